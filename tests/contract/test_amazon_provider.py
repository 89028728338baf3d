"""Every SageMaker operator and sensor of the Amazon provider, waiting in the worker and deferred."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.amazon.aws.operators import sagemaker as operators
from airflow.providers.amazon.aws.sensors import sagemaker as sensors

from tests.contract.provider_probe import operators_of, run
from tests.contract.serving_probe import (
    BUCKET,
    IMAGE,
    REGISTRY,
    ROLE,
    Probe,
    eventually,
    probe,
    unique,
)

__all__ = ["probe"]
CONNECTION = "local_sagemaker"
ECHO = f"{REGISTRY}/echo:latest"
PATIENCE = {"max_attempts": 600}
"""Of deferred operators that give up after 60 looks: a minute here, where they look every second."""
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
TRIED: set[str] = set()
"""Operators and sensors that a test has run to its end."""


@pytest.fixture(autouse=True)
def connection(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"endpoint_url": probe.server.url, "region_name": "us-east-1"}
    value = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", json.dumps(value))


def make(name: str, /, **arguments: Any) -> Any:
    """An operator or sensor of the provider, by its name."""
    TRIED.add(name)
    kind = getattr(operators if hasattr(operators, name) else sensors, name)
    if name != "SageMakerConditionOperator":
        arguments.setdefault("aws_conn_id", CONNECTION)
    return kind(task_id=unique("task"), **arguments)


def sense(name: str, **arguments: Any) -> None:
    assert make(name, poke_interval=1, timeout=900, **arguments).execute({}) is None


def waiting(deferrable: bool) -> dict[str, Any]:
    return {"deferrable": deferrable, "wait_for_completion": True, "check_interval": 1}


def training(name: str, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": ECHO, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/training"},
        "ResourceConfig": CLUSTER,
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        **more,
    }


def processing(name: str, seconds: str = "0.1") -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": ECHO,
            "ContainerEntrypoint": ["process"],
            "ContainerArguments": [seconds],
        },
        "ProcessingResources": {"ClusterConfig": CLUSTER},
    }


both = pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])


@both
def test_processing(probe: Probe, deferrable: bool) -> None:
    name = unique("processing")
    operator = make(
        "SageMakerProcessingOperator", config=processing(name, "2"), **waiting(deferrable), **PATIENCE
    )
    assert run(operator)["Processing"]["ProcessingJobStatus"] == "Completed"
    sense("SageMakerProcessingSensor", job_name=name)


@both
def test_training(probe: Probe, deferrable: bool) -> None:
    name = unique("training")
    operator = make(
        "SageMakerTrainingOperator",
        config=training(name),
        print_log=not deferrable,
        **waiting(deferrable),
        **PATIENCE,
    )
    assert run(operator)["Training"]["TrainingJobStatus"] == "Completed"
    sense("SageMakerTrainingSensor", job_name=name, print_log=True)


def test_a_second_training_of_the_same_name_takes_another(probe: Probe) -> None:
    name = unique("training")
    for _ in range(2):
        answer = run(
            make("SageMakerTrainingOperator", config=training(name), print_log=False, check_interval=1)
        )
    assert answer["Training"]["TrainingJobName"].startswith(f"{name}-")


@both
def test_tuning(probe: Probe, deferrable: bool) -> None:
    name = unique("tune")[:32]
    probe.s3.put_object(Bucket=BUCKET, Key=f"{name}/data.csv", Body=b"1,2\n")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{name}/"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    definition = training("unused", InputDataConfig=[channel])
    del definition["TrainingJobName"]
    definition["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "score", "Regex": "'rate': '([0-9.]+)'"}
    ]
    config = {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.1", "MaxValue": "0.9"}]
            },
        },
        "TrainingJobDefinition": definition,
    }
    answer = run(make("SageMakerTuningOperator", config=config, **waiting(deferrable)))
    assert answer["Tuning"]["HyperParameterTuningJobStatus"] == "Completed"
    sense("SageMakerTuningSensor", job_name=name)


@both
def test_model_transform_and_deletion(probe: Probe, deferrable: bool) -> None:
    model, job = unique("model"), unique("transform")
    probe.s3.put_object(Bucket=BUCKET, Key=f"{model}/in/a.csv", Body=b"1,2\n3,4\n")
    container = {"Image": IMAGE}
    run(
        make(
            "SageMakerModelOperator",
            config={"ModelName": model, "PrimaryContainer": container, "ExecutionRoleArn": ROLE},
        )
    )
    config = {
        "TransformJobName": job,
        "ModelName": model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{model}/in"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/{model}/out", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    answer = run(make("SageMakerTransformOperator", config=config, **waiting(deferrable), **PATIENCE))
    assert answer["Transform"]["TransformJobStatus"] == "Completed"
    sense("SageMakerTransformSensor", job_name=job)
    run(make("SageMakerDeleteModelOperator", config={"ModelName": model}))
    assert not probe.sagemaker.list_models(NameContains=model)["Models"]


@both
def test_endpoint_created_and_updated(probe: Probe, deferrable: bool) -> None:
    endpoint = unique("endpoint")
    for version in ("v1", "v2"):
        config = unique("config")
        variants = [probe.variant(probe.model(version))]
        run(
            make(
                "SageMakerEndpointConfigOperator",
                config={"EndpointConfigName": config, "ProductionVariants": variants},
            )
        )
        answer = run(
            make(  # the second time "create" finds the endpoint and updates it
                "SageMakerEndpointOperator",
                config={"EndpointName": endpoint, "EndpointConfigName": config},
                **waiting(deferrable),
            )
        )
        assert answer["Endpoint"]["EndpointStatus"] == "InService"
        sense("SageMakerEndpointSensor", endpoint_name=endpoint)
        assert probe.ask(endpoint, "version") == version.encode()
    probe.delete(endpoint)


def pipeline(probe: Probe, seconds: str) -> str:
    name = unique("pipeline")
    step = processing("unused", seconds)
    del step["ProcessingJobName"]
    definition = {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Colour", "Type": "String", "DefaultValue": "blue"}],
        "Steps": [{"Name": "Process", "Type": "Processing", "Arguments": step}],
    }
    probe.sagemaker.create_pipeline(
        PipelineName=name,
        PipelineDefinition=json.dumps(definition),
        RoleArn=ROLE,
        ClientRequestToken=32 * "a",
    )
    return name


@both
def test_pipeline_started(probe: Probe, deferrable: bool) -> None:
    arn = run(
        make(
            "SageMakerStartPipelineOperator",
            pipeline_name=pipeline(probe, "1"),
            pipeline_params={"Colour": "red"},
            **waiting(deferrable),
        )
    )
    sense("SageMakerPipelineSensor", pipeline_exec_arn=arn)
    found = probe.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    assert found["PipelineExecutionStatus"] == "Succeeded"


@both
def test_pipeline_stopped(probe: Probe, deferrable: bool) -> None:
    arn = run(make("SageMakerStartPipelineOperator", pipeline_name=pipeline(probe, "300")))
    stopped = make("SageMakerStopPipelineOperator", pipeline_exec_arn=arn, **waiting(deferrable))
    assert run(stopped) == "Stopped"


def test_model_version_registered(probe: Probe) -> None:
    model = probe.model()
    url = probe.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["ModelDataUrl"]
    arn = run(
        make(
            "SageMakerRegisterModelVersionOperator",
            image_uri=IMAGE,
            model_url=url,
            package_group_name=unique("group"),
        )
    )
    found = probe.sagemaker.describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == "PendingManualApproval"


def test_experiment(probe: Probe) -> None:
    name = unique("experiment")
    arn = run(make("SageMakerCreateExperimentOperator", name=name, description="tried", tags={"team": "ml"}))
    assert probe.sagemaker.describe_experiment(ExperimentName=name)["ExperimentArn"] == arn


def test_notebook(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    name = unique("notebook")
    created = make(
        "SageMakerCreateNotebookOperator",
        instance_name=name,
        instance_type="ml.t3.medium",
        role_arn=ROLE,
        wait_for_completion=False,
    )
    run(created)

    def status() -> str:
        found = probe.sagemaker.describe_notebook_instance(NotebookInstanceName=name)
        return str(found["NotebookInstanceStatus"])

    eventually(lambda: status() == "InService", 900)  # botocore's waiter asks every 30 s
    for operator, wanted in [
        ("SageMakerStopNotebookOperator", "Stopped"),
        ("SageMakerStartNoteBookOperator", "InService"),
        ("SageMakerStopNotebookOperator", "Stopped"),
    ]:
        run(make(operator, instance_name=name, wait_for_completion=False))
        eventually(functools.partial(lambda expected: status() == expected, wanted), 900)
    run(make("SageMakerDeleteNotebookOperator", instance_name=name, wait_for_completion=False))
    eventually(lambda: not probe.sagemaker.list_notebook_instances(NameContains=name)["NotebookInstances"])


def test_automl(probe: Probe) -> None:
    """From a table to an endpoint, by candidates that are training jobs."""
    name, generator = unique("automl")[:24], random.Random(3)
    rows = [(generator.gauss(0, 1), generator.choice("abc")) for _ in range(300)]
    lines = [f"{x:.4f},{kind},{'yes' if x + (kind == 'a') > 0 else 'no'}\n" for x, kind in rows]
    table = "x,kind,answer\n" + "".join(lines)
    probe.s3.put_object(Bucket=BUCKET, Key=f"{name}/in/table.csv", Body=table.encode())
    best = run(
        make(
            "SageMakerAutoMLOperator",
            job_name=name,
            s3_input=f"s3://{BUCKET}/{name}/in/",
            target_attribute="answer",
            s3_output=f"s3://{BUCKET}/{name}/out",
            role_arn=ROLE,
            autodeploy_endpoint_name=name,
            extras={"AutoMLJobConfig": {"CompletionCriteria": {"MaxCandidates": 2}}},
            check_interval=1,
        )
    )
    assert best["FinalAutoMLJobObjectiveMetric"]["MetricName"] == "F1"
    assert best["FinalAutoMLJobObjectiveMetric"]["Value"] > 0.8
    sense("SageMakerAutoMLSensor", job_name=name)
    listed = probe.sagemaker.list_candidates_for_auto_ml_job(AutoMLJobName=name)["Candidates"]
    assert [each["CandidateStatus"] for each in listed] == ["Completed"] * 2
    probe.wait(name)
    assert probe.ask(name, body=b"3,b\n-3,b\n", Accept="text/csv").split() == [b"yes", b"no"]
    probe.delete(name)


def test_condition() -> None:
    made = make(
        "SageMakerConditionOperator",
        condition_type="GreaterThan",
        left_value=0.9,
        right_value=0.8,
        if_task_ids="deploy",
        else_task_ids="stop",
    )
    assert made.choose_branch({}) == ["deploy"]


@pytest.mark.parametrize("kind", ["Processing", "Training"])
@both
def test_a_failure_is_an_error_with_its_reason(probe: Probe, kind: str, deferrable: bool) -> None:
    name = unique("fails")
    missing = f"{REGISTRY}/no-such-image:latest"
    config = processing(name) if kind == "Processing" else training(name)
    config["AppSpecification" if kind == "Processing" else "AlgorithmSpecification"] |= (
        {"ImageUri": missing} if kind == "Processing" else {"TrainingImage": missing}
    )
    more = {} if kind == "Processing" else {"print_log": False}
    operator = make(f"SageMaker{kind}Operator", config=config, **more, **waiting(deferrable), **PATIENCE)
    with pytest.raises(Exception, match=r"(?i)fail|error"):
        run(operator)
    reason = "no-such-image" if kind == "Training" else "failed"  # the provider reads it of training only
    with pytest.raises(Exception, match=reason):
        make(f"SageMaker{kind}Sensor", job_name=name, poke_interval=1).execute({})


def untried() -> Iterator[str]:
    known = {*operators_of(operators, ending="Operator"), *operators_of(sensors, ending="Sensor")}
    yield from sorted(known - TRIED)


@pytest.fixture(scope="module", autouse=True)
def none_is_forgotten(request: pytest.FixtureRequest) -> Iterator[None]:
    """When the whole file ran, every operator and sensor of the provider was among it."""
    yield
    ran = {getattr(item, "originalname", "") for item in request.session.items if item.path == request.path}
    if ran >= {name for name in globals() if name.startswith("test_")} and not request.session.testsfailed:
        assert list(untried()) == []
