"""State-change events over the wire with plain boto3: a rule, an SQS queue as its target, jobs that run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import LocalServer

Event = dict[str, Any]

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
IMAGES = Path(__file__).parent / "images"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/echo:1"
WAIT_S = 300.0
ENVELOPE = {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
TRAINING: dict[str, Any] = {
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "RoleArn": ROLE,
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
    "ResourceConfig": {**CLUSTER, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 300},
}
PROCESSING = {
    "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python", "-c", "print('done')"]},
    "ProcessingResources": {"ClusterConfig": {**CLUSTER, "VolumeSizeInGB": 1}},
    "RoleArn": ROLE,
}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """One server, with a bucket."""
    running = LocalServer(tmp_path_factory.mktemp("events") / "data", IMAGES, "--jobs", "2").start()
    running.client("s3").create_bucket(Bucket="bucket")
    yield running
    running.stop()


class Listener:
    """A queue that a rule fills."""

    def __init__(self, server: LocalServer, name: str, **pattern: Any) -> None:
        self.sqs, self.events = server.client("sqs", read_timeout=60), server.client("events")
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        self.name = name
        pattern = {"source": ["aws.sagemaker"], **{key.replace("_", "-"): pattern[key] for key in pattern}}
        self.events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        self.target()

    def target(self, **more: Any) -> None:
        """Have the queue as the rule's target."""
        self.events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": self.arn, **more}])

    def bodies(self) -> Iterator[str]:
        """Messages as they come."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            answer = self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=20, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                yield message["Body"]
        pytest.fail(f"{self.name}: no message that was waited for came within {WAIT_S} s")

    def until(self, last: Callable[[Event], bool]) -> list[Event]:
        """All events up to the one that is waited for."""
        seen: list[Event] = []
        for body in self.bodies():
            seen.append(json.loads(body))
            if last(seen[-1]):
                return seen
        raise AssertionError

    def details(self, field: str, value: str) -> list[Event]:
        """The details of all events up to the one with this value."""
        return [event["detail"] for event in self.until(lambda event: event["detail"].get(field) == value)]


def test_a_training_job_tells_each_of_its_steps(local: LocalServer) -> None:
    listener = Listener(local, "training", detail_type=["SageMaker Training Job State Change"])
    sagemaker = local.client("sagemaker")
    arn = sagemaker.create_training_job(
        TrainingJobName="steps",
        HyperParameters={"rate": "0.1"},
        Tags=[{"Key": "team", "Value": "a"}],
        **TRAINING,
    )["TrainingJobArn"]
    seen = listener.until(lambda event: event["detail"]["TrainingJobStatus"] == "Completed")
    described = sagemaker.describe_training_job(TrainingJobName="steps")
    assert [event["detail"]["SecondaryStatus"] for event in seen] == [
        step["Status"] for step in described["SecondaryStatusTransitions"]
    ] + ["Completed"] * (described["SecondaryStatusTransitions"][-1]["Status"] != "Completed")
    last = seen[-1]
    assert set(last) == ENVELOPE
    assert len({event["id"] for event in seen}) == len(seen)
    assert (last["version"], last["source"], last["account"], last["region"]) == (
        "0", "aws.sagemaker", "123456789012", "us-east-1",
    )  # fmt: skip
    assert last["detail-type"] == "SageMaker Training Job State Change"
    assert last["resources"] == [arn]
    assert time.strptime(last["time"], "%Y-%m-%dT%H:%M:%SZ")
    detail = last["detail"]
    assert detail["HyperParameters"] == {"rate": "0.1"}
    assert detail["Tags"] == {"team": "a"}
    assert detail["ModelArtifacts"] == described["ModelArtifacts"]
    assert detail["TrainingEndTime"] == round(described["TrainingEndTime"].timestamp() * 1000)
    assert detail["SecondaryStatusTransitions"][0]["StartTime"] == round(
        described["SecondaryStatusTransitions"][0]["StartTime"].timestamp() * 1000
    )


def test_the_pattern_decides_which_events_come(local: LocalServer) -> None:
    listener = Listener(
        local,
        "failed",
        detail_type=["SageMaker Processing Job State Change"],
        detail={"ProcessingJobStatus": ["Failed"], "ProcessingJobName": [{"prefix": "picked-"}]},
    )
    sagemaker = local.client("sagemaker")
    wrong = {**PROCESSING, "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["false"]}}
    sagemaker.create_processing_job(ProcessingJobName="picked-well", **PROCESSING)
    sagemaker.create_processing_job(ProcessingJobName="other-wrong", **wrong)
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName="picked-well", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    sagemaker.create_processing_job(ProcessingJobName="picked-wrong", **wrong)
    (detail,) = listener.details("ProcessingJobName", "picked-wrong")
    assert detail["FailureReason"].startswith("AlgorithmError")
    assert "Tags" not in detail


def test_a_target_gets_what_it_asks_for_and_a_disabled_rule_sends_nothing(local: LocalServer) -> None:
    names = {"detail": {"ProcessingJobName": ["transformed"], "ProcessingJobStatus": ["Completed"]}}
    listener, silent, path = (Listener(local, name, **names) for name in ("template", "silent", "path"))
    listener.target(
        InputTransformer={
            "InputPathsMap": {"name": "$.detail.ProcessingJobName", "at": "$.time"},
            "InputTemplate": '{"job": "<name>"}',
        }
    )
    path.target(InputPath="$.detail.ProcessingJobStatus")
    silent.events.disable_rule(Name="silent")
    nowhere = {"Id": "gone", "Arn": silent.arn.replace("silent", "no-such-queue")}
    listener.events.put_targets(Rule="template", Targets=[nowhere])
    local.client("sagemaker").create_processing_job(ProcessingJobName="transformed", **PROCESSING)
    assert json.loads(next(listener.bodies())) == {"job": "transformed"}
    assert json.loads(next(path.bodies())) == "Completed"
    assert "Messages" not in silent.sqs.receive_message(QueueUrl=silent.url, WaitTimeSeconds=1)


def test_tuning_transforms_endpoints_and_packages_tell_their_states(local: LocalServer) -> None:
    sagemaker = local.client("sagemaker")
    image = {"Image": IMAGE}
    packages = Listener(local, "packages", detail_type=["SageMaker Model Package State Change"])
    sagemaker.create_model_package_group(ModelPackageGroupName="models")
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="models",
        InferenceSpecification={"Containers": [image], "SupportedContentTypes": ["text/csv"]},
    )["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    first, second = packages.details("ModelApprovalStatus", "Approved")
    assert first["ModelApprovalStatus"] == "PendingManualApproval"
    assert "UpdatedModelPackageFields" not in first
    assert second["UpdatedModelPackageFields"] == ["ModelApprovalStatus"]
    assert time.strptime(second["CreationTime"], "%Y-%m-%dT%H:%M:%SZ")

    sagemaker.create_model(ModelName="model", PrimaryContainer=image, ExecutionRoleArn=ROLE)
    transforms = Listener(local, "transforms", detail_type=["SageMaker Transform Job State Change"])
    local.client("s3").put_object(Bucket="bucket", Key="batch/a.csv", Body=b"1,2\n")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/batch"}}
    sagemaker.create_transform_job(
        TransformJobName="transform",
        ModelName="model",
        TransformInput={"DataSource": source},
        TransformOutput={"S3OutputPath": "s3://bucket/out"},
        TransformResources=CLUSTER,
    )
    details = transforms.details("TransformJobStatus", "Completed")
    assert [detail["TransformJobStatus"] for detail in details] == ["InProgress", "Completed"]
    assert isinstance(details[-1]["TransformEndTime"], int)

    endpoints = Listener(local, "endpoints", detail_type=["SageMaker Endpoint State Change"])
    deployments = Listener(local, "deployments", detail_type=["SageMaker Endpoint Deployment State Change"])
    variant = {"VariantName": "all", "ModelName": "model", "InstanceType": "ml.m5.large"}
    for config in ("one", "two"):
        sagemaker.create_endpoint_config(
            EndpointConfigName=config, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
    sagemaker.create_endpoint(EndpointName="endpoint", EndpointConfigName="one")
    statuses = [detail["EndpointStatus"] for detail in endpoints.details("EndpointStatus", "IN_SERVICE")]
    assert statuses == ["CREATING", "IN_SERVICE"]
    sagemaker.update_endpoint(EndpointName="endpoint", EndpointConfigName="two")
    statuses = [detail["EndpointStatus"] for detail in endpoints.details("EndpointStatus", "IN_SERVICE")]
    assert statuses == ["UPDATING", "IN_SERVICE"]
    detail = next(json.loads(body)["detail"] for body in deployments.bodies() if '"Creating"' in body)
    (pending,) = detail["PendingDeploymentSummary"]["ProductionVariants"]
    assert pending["VariantStatus"][0]["Status"] == "Creating"

    tuning = Listener(local, "tuning", detail_type=["SageMaker HyperParameter Tuning Job State Change"])
    rate = {"Name": "rate", "Regex": r"'rate': '([0-9.e-]+)'"}
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="tuning",
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "rate"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {
                "ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.1", "MaxValue": "1"}]
            },
        },
        TrainingJobDefinition={
            **TRAINING,
            "AlgorithmSpecification": {**TRAINING["AlgorithmSpecification"], "MetricDefinitions": [rate]},
        },
    )
    details = tuning.details("HyperParameterTuningJobStatus", "Completed")
    assert [each["HyperParameterTuningJobStatus"] for each in details] == ["InProgress", "Completed"]
    assert details[-1]["TrainingJobStatusCounters"]["Completed"] == 1
    sagemaker.delete_endpoint(EndpointName="endpoint")


def test_a_pipeline_tells_of_its_execution_and_of_each_step(local: LocalServer) -> None:
    executions = Listener(
        local, "executions", detail_type=["SageMaker Model Building Pipeline Execution Status Change"]
    )
    steps = Listener(
        local, "steps", detail_type=["SageMaker Model Building Pipeline Execution Step Status Change"]
    )
    sagemaker = local.client("sagemaker")
    definition = {
        "Version": "2020-12-01",
        "Steps": [
            {"Name": "process", "Type": "Processing", "Arguments": PROCESSING},
            {
                "Name": "stop",
                "Type": "Fail",
                "Arguments": {"ErrorMessage": "enough"},
                "DependsOn": ["process"],
            },
        ],
    }
    pipeline = sagemaker.create_pipeline(
        PipelineName="pipeline",
        PipelineDefinition=json.dumps(definition),
        RoleArn=ROLE,
        ClientRequestToken="a" * 32,
    )["PipelineArn"]
    execution = sagemaker.start_pipeline_execution(PipelineName="pipeline", ClientRequestToken="b" * 32)
    seen = executions.until(lambda event: event["detail"]["currentPipelineExecutionStatus"] == "Failed")
    assert [event["detail"]["currentPipelineExecutionStatus"] for event in seen] == ["Executing", "Failed"]
    assert seen[-1]["detail"]["previousPipelineExecutionStatus"] == "Executing"
    assert seen[-1]["resources"] == [pipeline, execution["PipelineExecutionArn"]]
    assert "executionEndTime" in seen[-1]["detail"]
    details = [
        event["detail"]
        for event in steps.until(
            lambda event: (
                (event["detail"]["stepName"], event["detail"]["currentStepStatus"]) == ("stop", "Failed")
            )
        )
    ]
    processing = [each for each in details if each["stepName"] == "process"]
    assert [each["currentStepStatus"] for each in processing] == ["Starting", "Executing", "Succeeded"]
    assert processing[-1]["stepType"] == "Processing"
    assert ":processing-job/" in processing[-1]["metadata"]["processingJob"]["arn"]
    assert "enough" in details[-1]["failureReason"]


def test_who_waits_for_messages_holds_up_nobody(local: LocalServer) -> None:
    sqs = local.client("sqs", read_timeout=60)
    url = sqs.create_queue(QueueName="waited-for", Attributes={"ReceiveMessageWaitTimeSeconds": "20"})[
        "QueueUrl"
    ]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sqs.receive_message, QueueUrl=url)
        other = local.client("sqs")
        for _ in range(10):
            other.list_queues()
        assert not waiting.done()
        other.send_message(QueueUrl=url, MessageBody="here")
        assert waiting.result(60)["Messages"][0]["Body"] == "here"


def test_no_event_is_made_up_of_what_happened_before_the_rule(
    start_server: Callable[..., LocalServer],
) -> None:
    server = start_server(containers=IMAGES)
    sagemaker = server.client("sagemaker")
    wait = {"Delay": 1, "MaxAttempts": 120}
    sagemaker.create_processing_job(ProcessingJobName="unheard", **PROCESSING)
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName="unheard", WaiterConfig=wait
    )
    server.kill()
    server.start()
    listener = Listener(server, "late")
    server.client("sagemaker").create_processing_job(ProcessingJobName="heard", **PROCESSING)
    details = listener.details("ProcessingJobStatus", "Completed")
    assert {detail["ProcessingJobName"] for detail in details} == {"heard"}
