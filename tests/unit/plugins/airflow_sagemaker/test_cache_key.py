from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.cache_key import (
    MAX_LISTED_OBJECTS,
    Parts,
    UncacheableError,
    changes,
    key_of,
    parts_of,
)
from airflow_sagemaker.kinds import COMPILATION, KINDS, PROCESSING, TRAINING, TRANSFORM
from airflow_sagemaker.specs.compilation import CompilationJob
from airflow_sagemaker.specs.processing import ProcessingInput, ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import Channel, TrainingJob
from airflow_sagemaker.specs.transform import TransformJob


class Places:
    role_arn = "arn:aws:iam::123456789012:role/sagemaker"

    def s3_uri(self, location: str) -> str:
        return f"s3://data/{location}"

    def image_uri(self, image: str) -> str:
        return f"registry/{image}"


class Facts:
    def __init__(self, objects: Mapping[str, Mapping[str, str]]) -> None:
        self.stored, self.digest = objects, "sha256:one"

    def image_digest(self, uri: str) -> str:
        return f"{self.digest} of {uri}"

    def objects(self, uri: str) -> Mapping[str, str]:
        return self.stored[uri]

    def model(self, name: str) -> Parts:
        return {"model": name}


FACTS = Facts({"s3://data/raw/": {"a.csv": "e1 4", "b.csv": "e2 4"}, "s3://data/copy/": {"a.csv": "e1 4"}})
TRAIN = TrainingJob(
    image="digits",
    output="models/one/",
    hyperparameters={"C": 1.0},
    channels={"train": Channel(source="raw/")},
    environment={"SEED": 1},
)
PREPARE = ProcessingJob(
    image="prepare",
    arguments=("--mode", "build"),
    inputs=(ProcessingInput(name="raw", source="raw/", path="/opt/ml/processing/input"),),
    outputs=(ProcessingOutput(name="out", path="/opt/ml/processing/output", destination="runs/one/"),),
)
SCORE = TransformJob(model_package_arn="arn", source="raw/", destination="scored/one/")
COMPILE = CompilationJob(
    model_uri="raw/",
    framework="SKLEARN",
    input_shapes={"input": (1, 64)},
    output="compiled/one/",
    target_device="ml_m5",
)
BODIES = {
    TRAINING.operation: TRAIN.to_request(Places()),
    PROCESSING.operation: PREPARE.to_request(Places()),
    TRANSFORM.operation: SCORE.to_request(Places(), "model"),
    COMPILATION.operation: COMPILE.to_request(Places()),
}


def parts(body: Mapping[str, Any], kind: str = "training_job", facts: Any = FACTS) -> Parts:
    return parts_of(KINDS[kind], body, facts)


@pytest.mark.parametrize("kind", BODIES)
def test_names_roles_limits_disks_and_places_do_not_count(kind: str) -> None:
    body: Any = copy.deepcopy(BODIES[kind])
    body |= {
        KINDS[kind].name_field: "another",
        "RoleArn": "another",
        "StoppingCondition": {"MaxRuntimeInSeconds": 7},
        "Tags": [{"Key": "run", "Value": "another"}],
    }
    for name in ("OutputDataConfig", "OutputConfig", "TransformOutput"):
        for key in ("S3OutputPath", "S3OutputLocation"):
            if key in body.get(name, {}):
                body[name][key] = "s3://data/another/"
    for output in body.get("ProcessingOutputConfig", {}).get("Outputs", []):
        output["S3Output"]["S3Uri"] = "s3://data/another/"
    if "ResourceConfig" in body:
        body["ResourceConfig"]["VolumeSizeInGB"] = 77
    if "ProcessingResources" in body:
        body["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"] = 77
    assert body != BODIES[kind]
    assert key_of(parts(body, kind)) == key_of(parts(BODIES[kind], kind))


def test_what_a_compilation_does_with_a_slow_result_counts() -> None:
    lenient = COMPILE.model_copy(update={"if_not_faster": "serve_original"}).to_request(Places())
    assert key_of(parts(lenient, "compilation_job")) != key_of(
        parts(BODIES["compilation_job"], "compilation_job")
    )


def test_the_same_objects_elsewhere_are_the_same_input() -> None:
    moved = TRAIN.model_copy(update={"channels": {"train": Channel(source="elsewhere/")}})
    facts = Facts({**FACTS.stored, "s3://data/elsewhere/": FACTS.stored["s3://data/raw/"]})
    assert parts(moved.to_request(Places()), facts=facts) == parts(BODIES["training_job"])


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"hyperparameters": {"C": 2.0}}, "HyperParameters.C: '1.0' is now '2.0'"),
        ({"hyperparameters": {}}, "HyperParameters.C: '1.0' is gone"),
        ({"environment": {"SEED": 1, "X": "y"}}, "Environment.X: 'y' is new"),
        ({"image": "other"}, "image: 'sha256:one of registry/digits' is now 'sha256:one of registry/other'"),
        ({"channels": {"train": Channel(source="copy/")}}, "input train: b.csv is gone"),
    ],
)
def test_what_counts_is_named_when_it_changes(changed: dict[str, Any], line: str) -> None:
    now = parts(TRAIN.model_copy(update=changed).to_request(Places()))
    assert key_of(now) != key_of(parts(BODIES["training_job"]))
    assert changes(now, parts(BODIES["training_job"])) == [line]


def test_a_field_that_nobody_here_knows_counts() -> None:
    body = {**BODIES["training_job"], "NewSettingOfAws": "on"}
    assert changes(parts(body), parts(BODIES["training_job"])) == ["NewSettingOfAws: 'on' is new"]


def test_the_request_itself_stays_as_it_is() -> None:
    before = copy.deepcopy(BODIES)
    for kind, body in BODIES.items():
        parts(body, kind)
    assert before == BODIES


def test_many_objects_count_by_one_digest() -> None:
    many = {f"{number}.csv": "e 1" for number in range(MAX_LISTED_OBJECTS + 1)}
    before = parts(BODIES["training_job"], facts=Facts({"s3://data/raw/": many}))
    after = parts(BODIES["training_job"], facts=Facts({"s3://data/raw/": many | {"7.csv": "f 1"}}))
    assert len(str(before)) < 2000
    (line,) = changes(after, before)
    assert line.startswith("inputs.train.sha256: ")


def test_only_some_changes_are_shown() -> None:
    many = {f"{number}.csv": "e 1" for number in range(50)}
    after = parts(BODIES["training_job"], facts=Facts({"s3://data/raw/": many}))
    assert changes(after, parts(BODIES["training_job"]))[-1] == "and 42 more"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ({"FileSystemDataSource": {"FileSystemId": "fs-1"}}, "'train' is no prefix in S3"),
        ({"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://data/raw/"}}, "'train' is no prefix"),
    ],
)
def test_an_input_that_cannot_be_told_makes_no_key(source: dict[str, Any], cause: str) -> None:
    body = {**BODIES["training_job"], "InputDataConfig": [{"ChannelName": "train", "DataSource": source}]}
    with pytest.raises(UncacheableError, match=cause):
        parts(body)


def test_an_algorithm_without_an_image_makes_no_key() -> None:
    body = {**BODIES["training_job"], "AlgorithmSpecification": {"AlgorithmName": "arn"}}
    with pytest.raises(UncacheableError, match=r"no AlgorithmSpecification\.TrainingImage"):
        parts(body)


def test_other_kinds_make_no_key() -> None:
    with pytest.raises(UncacheableError, match="tuning job is never taken"):
        parts({}, "hyper_parameter_tuning_job")


TREES = st.recursive(
    st.text(max_size=3) | st.integers() | st.lists(st.text(max_size=2), max_size=2),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), TREES, max_size=4), st.dictionaries(st.text(max_size=3), TREES))
def test_equal_keys_and_no_changes_are_the_same(now: Parts, before: Parts) -> None:
    assert (key_of(now) == key_of(before)) == (not changes(now, before))
