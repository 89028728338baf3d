"""What jobs and endpoints tell and use, as CloudWatch then has it."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import BUCKET, IMAGES, REGISTRY, ROLE, Probe, eventually, unique

PATIENCE_S = 90.0
OFTEN = {"Delay": 1, "MaxAttempts": 120}
HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    server = LocalServer(tmp_path_factory.mktemp("metrics") / "data", IMAGES, "--stop-grace-s", "5").start()
    yield Probe(server)
    server.stop()


def point(probe: Probe, namespace: str, name: str, **dimensions: str) -> dict[str, Any] | None:
    at = datetime.datetime.now(datetime.UTC)
    points = probe.server.client("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=name, StartTime=at - HOUR, EndTime=at + HOUR, Period=86400,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        Statistics=["Sum", "SampleCount", "Maximum", "Average"],
    )["Datapoints"]  # fmt: skip
    return points[0] if points else None


def test_invocations_are_counted(probe: Probe) -> None:
    endpoint = probe.endpoint(probe.config(InitialInstanceCount=2))
    place = {"EndpointName": endpoint, "VariantName": "AllTraffic"}
    for _ in range(6):
        probe.ask(endpoint, "pause", b"0.05")
    for status in (b"400", b"404", b"500"):
        with pytest.raises(probe.runtime.exceptions.ModelError):
            probe.ask(endpoint, "status", status)

    def total(name: str) -> float:
        found = point(probe, "AWS/SageMaker", name, **place)
        return float(found["Sum"]) if found else -1.0

    assert eventually(lambda: total("Invocations") == 9)
    assert total("InvocationsPerInstance") == 4.5
    assert (total("Invocation4XXErrors"), total("Invocation5XXErrors"), total("InvocationModelErrors")) == (
        2,
        1,
        3,
    )
    latency = point(probe, "AWS/SageMaker", "ModelLatency", **place)
    overhead = point(probe, "AWS/SageMaker", "OverheadLatency", **place)
    assert latency is not None
    assert overhead is not None
    assert latency["Maximum"] >= 50_000  # microseconds
    assert latency["Unit"] == "Microseconds"
    assert overhead["Average"] > 0
    for name in ("CPUUtilization", "MemoryUtilization", "DiskUtilization"):
        look = functools.partial(point, probe, "/aws/sagemaker/Endpoints", name, **place)
        used = eventually(look, PATIENCE_S)
        assert used["Unit"] == "Percent"
        assert used["Maximum"] >= 0
    assert point(probe, "/aws/sagemaker/Endpoints", "MemoryUtilization", **place)["Maximum"] > 0  # type: ignore[index]
    assert point(probe, "AWS/SageMaker", "ConcurrentRequestsPerModel", **place) is not None
    probe.delete(endpoint)


def test_a_training_jobs_metrics_are_told_and_published(probe: Probe) -> None:
    name = unique("job")
    definitions = {
        "loss": r"loss=([-+.\deE]+)",
        "accuracy": r"acc: (\S+?)%",
        "never": r"no such (\d+)",
        "no-number": r"word=(\w+)",
        "no-group": r"loss",
    }
    lines = ["epoch 1 loss=0.5 acc: 70%", "epoch 2 loss=2.5e-1 acc: 81.5% word=abc", "loss=nan"]
    probe.sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": f"{REGISTRY}/scripted:latest",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["sh", "-c", "; ".join(f"echo '{line}'" for line in lines)],
            "MetricDefinitions": [{"Name": key, "Regex": value} for key, value in definitions.items()],
        },
        OutputDataConfig={"S3OutputPath": "s3://probe-models/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    probe.sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig=OFTEN
    )
    described = probe.sagemaker.describe_training_job(TrainingJobName=name)
    final = {each["MetricName"]: each["Value"] for each in described["FinalMetricDataList"]}
    assert final == {"loss": 0.25, "accuracy": 81.5}
    loss = point(probe, "/aws/sagemaker/TrainingJobs", "loss", TrainingJobName=name)
    assert loss is not None
    assert (loss["SampleCount"], loss["Sum"]) == (2, 0.75)
    assert point(probe, "/aws/sagemaker/TrainingJobs", "never", TrainingJobName=name) is None


def test_a_transform_jobs_instances_are_watched(probe: Probe) -> None:
    """Its containers are model servers, which nobody starts as a job's programs."""
    name = unique("transform")
    probe.s3.put_object(Bucket=BUCKET, Key=f"{name}/a", Body=b"600")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{name}/"}}
    probe.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=probe.model(),
        TransformInput={"DataSource": source, "ContentType": "application/x-pause"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/out"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    for metric in ("CPUUtilization", "MemoryUtilization"):
        look = functools.partial(point, probe, "/aws/sagemaker/TransformJobs", metric, Host=f"{name}/algo-1")
        assert eventually(look, PATIENCE_S)["Maximum"] >= (metric == "MemoryUtilization") * 0.01
    probe.sagemaker.stop_transform_job(TransformJobName=name)
