"""Which job may stand in, on an index and a SageMaker in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_sagemaker.cache import Cache, Found, cache_root
from airflow_sagemaker.cache_key import UncacheableError
from airflow_sagemaker.kinds import PROCESSING, TRAINING, JobKind
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.specs.processing import ProcessingInput, ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import Channel, TrainingJob

ENDED = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """Everything that a cache knows of AWS."""

    role_arn = "role"

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, str]] = {"s3://data/raw/": {"a.csv": "e1 4"}}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.index: dict[str, dict[str, Any]] = {}
        self.written_since: set[str] = set()
        self.digest: str | None = "sha256:one"

    def s3_uri(self, location: str) -> str:
        return f"s3://data/{location}"

    def image_uri(self, image: str) -> str:
        return image

    def image_digest(self, uri: str) -> str:
        if self.digest is None:
            raise UncacheableError(f"no digest of {uri}")
        return self.digest

    def objects(self, uri: str) -> Mapping[str, str]:
        return dict(self.stored.get(uri, {}))

    def model(self, name: str) -> dict[str, Any]:
        return {"name": name}

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        return self.jobs.get(name)

    def documents(self, prefix: str, limit: int) -> list[Found]:
        found = [Found(key, copy.deepcopy(value)) for key, value in self.index.items()]
        return [each for each in reversed(found) if each.location.startswith(prefix)][:limit]

    def read(self, location: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.index.get(location))

    def write(self, location: str, document: Mapping[str, Any]) -> None:
        self.index[location] = copy.deepcopy(dict(document))

    def delete(self, location: str) -> None:
        self.index.pop(location, None)

    def changed_after(self, uri: str, moment: datetime) -> bool:
        return uri not in self.stored or uri in self.written_since


class Runs:
    """Runs of one task."""

    def __init__(self, world: World, kind: JobKind = PROCESSING) -> None:
        self.world, self.kind = world, kind
        self.made = 0

    def body(self, run: str, value: str = "x") -> dict[str, Any]:
        if self.kind is PROCESSING:
            given = ProcessingInput(name="raw", source="raw/", path="/opt/ml/processing/input")
            wanted = ProcessingOutput(name="out", path="/opt/ml/processing/output", destination=f"{run}/")
            job = ProcessingJob(image="p", arguments=(value,), inputs=(given,), outputs=(wanted,))
            return job.to_request(self.world)
        channels = {"train": Channel(source="raw/")}
        spec = TrainingJob(image="t", output=f"{run}/", channels=channels, hyperparameters={"value": value})
        return spec.to_request(self.world)

    def cache(self, run: str) -> Cache:
        return Cache(self.world, self.kind, TaskIdentity("digits__model_build", run, "task"))

    def make(self, run: str, value: str = "x", status: str = "Completed", *, noted: bool = True) -> str:
        """A run that finds nothing to reuse; the name of its job."""
        found = self.cache(run).look_up(self.body(run, value))
        assert found.parts is not None
        self.made += 1
        name = f"job-{self.made}"
        location = self.cache(run).remember(found.parts, name)
        uri = f"s3://data/{run}/" if self.kind is PROCESSING else f"s3://data/{run}/model.tar.gz"
        self.world.stored[uri] = {"rows.csv": "w1 9"}
        outputs = [{"OutputName": "out", "S3Output": {"S3Uri": uri}}]
        self.world.jobs[name] = {
            f"{self.kind.title}Name": name,
            f"{self.kind.title}Arn": f"arn:{name}",
            f"{self.kind.title}Status": status,
            "ProcessingOutputConfig": {"Outputs": outputs},
            "ModelArtifacts": {"S3ModelArtifacts": uri},
            "TrainingEndTime": ENDED,
        }
        if noted and status == "Completed":
            assert self.cache(run).complete(location, self.body(run, value)) is None
        return name

    def look(self, run: str = "next", value: str = "x") -> Any:
        return self.cache(run).look_up(self.body(run, value))


@pytest.fixture
def runs() -> Runs:
    return Runs(World())


def test_a_completed_twin_stands_in_with_its_own_results(runs: Runs) -> None:
    name = runs.make("one")
    found = runs.look()
    assert found.results == {
        "job_name": name,
        "job_arn": f"arn:{name}",
        "outputs": {"out": "s3://data/one/"},
        "reused_job": name,
    }
    assert found.reason == "the same work was done by job-1 (digits__model_build one task)"


@pytest.mark.parametrize("status", ["InProgress", "Stopping", "Stopped", "Failed"])
def test_only_a_completed_job_counts(runs: Runs, status: str) -> None:
    runs.make("one", status=status)
    found = runs.look()
    assert found.results is None
    assert found.reason == f"job-1 was asked for the same work, but is {status}"


def test_a_later_twin_that_failed_does_not_hide_the_one_that_completed(runs: Runs) -> None:
    """Two runs at once both make a job, and each notes its own."""
    first, second = runs.cache("one"), runs.cache("two")
    parts = first.look_up(runs.body("one")).parts
    assert parts == second.look_up(runs.body("two")).parts
    runs.make("one")
    runs.world.jobs["twin"] = {**runs.world.jobs["job-1"], "ProcessingJobStatus": "Failed"}
    second.remember(parts or {}, "twin")
    assert runs.look().job_name == "job-1"


def test_a_job_that_is_gone_does_not_count(runs: Runs) -> None:
    runs.make("one")
    runs.world.jobs.clear()
    assert runs.look().reason == "job-1 did the same work, but no longer exists"


def test_a_job_of_that_name_elsewhere_does_not_count(runs: Runs) -> None:
    runs.make("one")
    runs.world.jobs["job-1"]["ProcessingJobArn"] = "arn:of another region"
    assert runs.look().results is None


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({}, "rows.csv is gone"),
        ({"rows.csv": "w2 9"}, "rows.csv is not what it wrote"),
        ({"rows.csv": "w1 9", "more.csv": "w3 1"}, "more.csv is not what it wrote"),
    ],
)
def test_only_what_the_job_wrote_counts(runs: Runs, now: dict[str, str], reason: str) -> None:
    runs.make("one")
    runs.world.stored["s3://data/one/"] = now
    found = runs.look()
    assert found.results is None
    assert reason in found.reason


def test_a_job_that_wrote_nothing_is_no_result(runs: Runs) -> None:
    runs.make("one")
    (entry,) = [document for document in runs.world.index.values() if "outputs" in document]
    entry["outputs"] = {}
    assert "wrote nothing that could be reused" in runs.look().reason


def test_a_miss_says_what_changed_since_the_last_completed_job(runs: Runs) -> None:
    assert runs.look().reason == "no such job yet"
    runs.make("one", "x")
    runs.make("two", "y", status="Failed")
    found = runs.look(value="z")
    assert found.changed == ["since job-1", "AppSpecification.ContainerArguments: ['x'] is now ['z']"]
    runs.world.digest = "sha256:two"
    assert "image: 'sha256:one' is now 'sha256:two'" in runs.look().reason


def test_inputs_that_changed_meanwhile_take_the_note_away(runs: Runs) -> None:
    cache = runs.cache("one")
    parts = cache.look_up(runs.body("one")).parts
    runs.make("other", "other")
    runs.world.jobs["mine"] = runs.world.jobs["job-1"]
    location = cache.remember(parts or {}, "mine")
    runs.world.stored["s3://data/raw/"] = {"a.csv": "e2 4"}
    said = cache.complete(location, runs.body("one"))
    assert said == "what it worked on changed while it ran: input raw: a.csv has other content"
    assert location not in runs.world.index


def test_without_a_digest_there_is_no_key(runs: Runs) -> None:
    runs.make("one")
    runs.world.digest = None
    assert runs.look() == type(runs.look())("no key: no digest of p")


def test_one_artefact_needs_no_note_while_nobody_has_touched_it() -> None:
    runs = Runs(World(), TRAINING)
    name = runs.make("one", noted=False)
    assert runs.look().job_name == name
    runs.world.written_since.add("s3://data/one/model.tar.gz")
    assert runs.look().job_name == name, "what it wrote was noted at the first look"
    runs.world.stored["s3://data/one/model.tar.gz"] = {"rows.csv": "w2 9"}
    assert runs.look().results is None


def test_one_artefact_that_was_touched_before_anybody_looked_does_not_count() -> None:
    runs = Runs(World(), TRAINING)
    runs.make("one", noted=False)
    runs.world.written_since.add("s3://data/one/model.tar.gz")
    assert "was written since" in runs.look().reason


def test_a_prefix_that_nobody_noted_does_not_count(runs: Runs) -> None:
    runs.make("one", noted=False)
    assert runs.look().reason == "job-1 did the same work, but nobody noted what it wrote"


def test_the_dags_of_a_pipeline_share_an_index() -> None:
    assert cache_root("digits__model_build") == cache_root("digits__other") == "digits/cache"
    assert cache_root("my_dag") == "my_dag/cache"
