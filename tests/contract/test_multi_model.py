"""Multi-model endpoints: models that come when they are asked for and go when there is no room."""

from __future__ import annotations

import datetime
import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import BUCKET, REGISTRY, ROLE, Probe, eventually, probe, unique

__all__ = ["probe"]
IMAGE = f"{REGISTRY}/multi-model:latest"


def archive(**files: str) -> bytes:
    """A model.tar.gz of text files; `version="1"` is a `version.txt`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{name}.txt")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


class Models:
    """An endpoint over a prefix, and what its container says."""

    def __init__(
        self, probe: Probe, *, instances: int = 1, cache: str = "Enabled", **environment: str
    ) -> None:
        self.probe, self.prefix = probe, unique("models")
        model = unique("multi")
        probe.sagemaker.create_model(
            ModelName=model,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={
                "Image": IMAGE,
                "Mode": "MultiModel",
                "ModelDataUrl": f"s3://{BUCKET}/{self.prefix}/",
                "MultiModelConfig": {"ModelCacheSetting": cache},
                "Environment": environment,
            },
        )
        self.name = probe.endpoint(probe.config(model, InitialInstanceCount=instances))

    def put(self, target: str, **files: str) -> None:
        self.probe.s3.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{target}", Body=archive(**files))

    def ask(self, target: str, what: str = "text/csv", body: bytes = b"") -> Any:
        return json.loads(self.probe.ask(self.name, what, body, TargetModel=target))

    def says(self, target: str) -> Any:
        """The container's history and what is loaded; asking loads `target`."""
        return self.ask(target, "history")


@pytest.fixture(scope="module")
def models(probe: Probe) -> Iterator[Models]:
    """An endpoint with room for everything."""
    endpoint = Models(probe)
    yield endpoint
    probe.delete(endpoint.name)


def test_a_model_is_loaded_when_it_is_first_asked_for_and_once(models: Models) -> None:
    models.put("a/first.tar.gz", version="one")
    for _ in range(3):
        answer = models.ask("a/first.tar.gz")
        assert (answer["version"], answer["target"]) == ("one", "a/first.tar.gz")
    history = models.says("a/first.tar.gz")["history"]
    assert history.count(["load", "a/first.tar.gz"]) == 1


def test_many_callers_load_a_model_once_and_others_go_on(models: Models) -> None:
    models.put("slow.tar.gz", version="slow", gate="closed")
    models.put("quick.tar.gz", version="quick")
    models.ask("quick.tar.gz")
    with ThreadPoolExecutor(8) as callers:
        waiting = [callers.submit(models.ask, "slow.tar.gz") for _ in range(7)]
        eventually(lambda: ["load", "slow.tar.gz"] in models.says("quick.tar.gz")["history"])
        assert models.ask("quick.tar.gz")["version"] == "quick"
        assert not any(each.done() for each in waiting)
        models.ask("quick.tar.gz", "opening")  # the slow one goes on only now
        assert {each.result()["version"] for each in waiting} == {"slow"}
    assert models.says("quick.tar.gz")["history"].count(["load", "slow.tar.gz"]) == 1


def test_a_model_that_is_not_there(models: Models) -> None:
    with pytest.raises(ClientError) as refused:
        models.ask("none.tar.gz")
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert refused.value.response["Error"]["Message"].startswith(
        f"Failed to download model data(bucket: {BUCKET}, key: {models.prefix}/none.tar.gz). "
        "Please ensure that there is an object located at the URL"
    )


def test_a_request_must_name_a_model(probe: Probe, models: Models) -> None:
    with pytest.raises(ClientError, match="is missing a target model header") as refused:
        probe.ask(models.name)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize("target", ["../escape.tar.gz", "..", "/", "a//b", "x" * 1024])
def test_no_target_leads_out_of_the_prefix(probe: Probe, models: Models, target: str) -> None:
    probe.s3.put_object(Bucket=BUCKET, Key="escape.tar.gz", Body=archive(version="outside"))
    with pytest.raises(ClientError) as refused:
        models.ask(target)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_an_archive_that_is_none_and_a_model_that_does_not_load(probe: Probe, models: Models) -> None:
    probe.s3.put_object(Bucket=BUCKET, Key=f"{models.prefix}/junk.tar.gz", Body=b"junk")
    with pytest.raises(ClientError, match="Failed to extract model data archive") as refused:
        models.ask("junk.tar.gz")
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    models.put("broken.tar.gz", version="x", broken="yes")
    with pytest.raises(probe.runtime.exceptions.ModelError) as failed:
        models.ask("broken.tar.gz")
    assert failed.value.response["OriginalStatusCode"] == 500
    assert "this model is broken" in failed.value.response["OriginalMessage"]


def test_a_changed_artefact_is_loaded_anew_and_a_deleted_one_unloaded(probe: Probe, models: Models) -> None:
    models.put("kept.tar.gz", version="kept")
    models.put("changing.tar.gz", version="before")
    assert models.ask("changing.tar.gz")["version"] == "before"
    models.put("changing.tar.gz", version="after")
    eventually(lambda: models.ask("changing.tar.gz")["version"] == "after")

    def unloaded() -> int:
        times: int = models.says("kept.tar.gz")["history"].count(["unload", "changing.tar.gz"])
        return times

    eventually(lambda: unloaded() == 1)  # beside the requests
    probe.s3.delete_object(Bucket=BUCKET, Key=f"{models.prefix}/changing.tar.gz")

    def gone() -> bool:
        try:
            models.ask("changing.tar.gz")
        except ClientError as error:
            return "Failed to download model data" in str(error)
        return False

    eventually(gone)
    eventually(lambda: unloaded() == 2)
    assert "changing.tar.gz" not in models.says("kept.tar.gz")["loaded"]


def test_a_container_that_was_started_again_gets_its_models_again(probe: Probe, models: Models) -> None:
    models.put("survivor.tar.gz", version="here")
    models.ask("survivor.tar.gz")
    with pytest.raises(ClientError):
        models.ask("survivor.tar.gz", "die")

    def again() -> Any:
        try:
            return models.ask("survivor.tar.gz")
        except ClientError:
            return None

    after = eventually(again)
    assert after["version"] == "here"
    assert models.says("survivor.tar.gz")["loaded"] == ["survivor.tar.gz"]


def test_a_full_container_unloads_the_model_that_was_not_used_for_longest(probe: Probe) -> None:
    models = Models(probe, CAPACITY="3")
    for number in range(5):
        models.put(f"{number}.tar.gz", version=str(number))
    for number in (0, 1, 2, 0, 3):
        assert models.ask(f"{number}.tar.gz")["version"] == str(number)
    assert models.says("3.tar.gz")["loaded"] == ["0.tar.gz", "2.tar.gz", "3.tar.gz"]
    with ThreadPoolExecutor(8) as callers:  # more models at once than there is room for
        asked = [str(number % 5) for number in range(60)]
        answers = list(callers.map(lambda number: models.ask(f"{number}.tar.gz")["version"], asked))
    assert answers == asked
    probe.delete(models.name)


def test_a_container_with_no_room_for_one_model_is_a_model_error(probe: Probe) -> None:
    models = Models(probe, CAPACITY="0")
    models.put("one.tar.gz", version="1")
    with pytest.raises(probe.runtime.exceptions.ModelError) as failed:
        models.ask("one.tar.gz")
    assert failed.value.response["OriginalStatusCode"] == 507
    probe.delete(models.name)


def test_without_a_cache_a_model_goes_after_its_request(probe: Probe) -> None:
    models = Models(probe, cache="Disabled")
    models.put("one.tar.gz", version="1")
    models.put("two.tar.gz", version="2")
    assert models.ask("one.tar.gz")["version"] == "1"
    eventually(lambda: models.says("two.tar.gz")["loaded"] == ["two.tar.gz"])
    probe.delete(models.name)


def test_instances_keep_models_of_their_own_and_requests_find_them(probe: Probe) -> None:
    models = Models(probe, instances=2)

    def place(number: int) -> str:
        namespace: str = models.ask(f"{number}.tar.gz", "variables")["NAMESPACE"]
        return namespace

    for number in range(6):
        models.put(f"{number}.tar.gz", version=str(number))
    places = [place(number) for number in range(6)]
    assert len(set(places)) == 2
    assert [place(number) for number in range(6)] == places
    probe.delete(models.name)


def test_hundreds_of_small_models(probe: Probe, models: Models) -> None:
    for number in range(300):
        models.put(f"many/{number}.tar.gz", version=str(number))
    with ThreadPoolExecutor(8) as callers:
        versions = list(
            callers.map(lambda number: models.ask(f"many/{number}.tar.gz")["version"], range(300))
        )
    assert versions == [str(number) for number in range(300)]


def test_loading_is_measured(probe: Probe, models: Models) -> None:
    models.put("measured.tar.gz", version="1")
    for _ in range(3):
        models.ask("measured.tar.gz")
    cloudwatch = probe.server.client("cloudwatch")

    def total(metric: str) -> float:
        now = datetime.datetime.now(datetime.UTC)
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": models.name},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            StartTime=now - datetime.timedelta(hours=1),
            EndTime=now + datetime.timedelta(minutes=1),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(float(point["Sum"]) for point in points)

    eventually(lambda: total("ModelLoadingWaitTime") > 0 and total("ModelCacheHit") >= 2)


def test_what_a_multi_model_container_is_told(models: Models) -> None:
    models.put("told.tar.gz", version="1")
    assert models.ask("told.tar.gz", "variables")["SAGEMAKER_MULTI_MODEL"] == "true"


def test_describe_tells_the_mode_and_wrong_settings_are_refused(probe: Probe) -> None:
    name = unique("multi")
    container = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": f"s3://{BUCKET}/empty/"}
    probe.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    described = probe.sagemaker.describe_model(ModelName=name)["PrimaryContainer"]
    assert (described["Mode"], described["ModelDataUrl"]) == ("MultiModel", f"s3://{BUCKET}/empty/")
    for wrong, message in (
        ({"Image": IMAGE, "Mode": "MultiModel"}, "ModelDataUrl is required"),
        ({"Image": IMAGE, "MultiModelConfig": {"ModelCacheSetting": "Enabled"}}, "MultiModelConfig"),
    ):
        with pytest.raises(ClientError, match=message):
            probe.sagemaker.create_model(ModelName=unique("m"), PrimaryContainer=wrong, ExecutionRoleArn=ROLE)


def test_models_come_back_after_a_kill(probe: Probe, models: Models) -> None:
    models.put("again.tar.gz", version="1")
    models.ask("again.tar.gz")
    probe.server.kill()
    probe.server.start()
    probe.connect()
    eventually(lambda: probe.describe(models.name)["EndpointStatus"] == "InService")
    assert models.ask("again.tar.gz")["version"] == "1"
