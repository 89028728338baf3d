"""Pipelines over the wire with plain boto3: steps run, wait for each other, stop, retry, outlive a kill."""

from __future__ import annotations

import functools
import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.pipeline_probe import (
    IMAGES,
    REGISTRY,
    ROLE,
    condition,
    create,
    ended,
    get,
    local,
    process,
    reasons,
    run,
    train,
    until,
)

__all__ = ["local"]


def has_begun(step: str, found: Any, steps: dict[str, Any]) -> bool:
    return step in steps


def test_a_model_is_trained_checked_registered_and_used(local):
    sagemaker, s3 = local.client("sagemaker"), local.client("s3")
    group = f"group-{uuid.uuid4().hex[:8]}"
    artefact = get("Steps.Train.ModelArtifacts.S3ModelArtifacts")
    container = {"Image": f"{REGISTRY}/echo:1", "ModelDataUrl": artefact}
    accuracy = {
        "Std:JsonGet": {
            "PropertyFile": get("Steps.Evaluate.PropertyFiles.evaluation"),
            "Path": "accuracy.value",
        }
    }
    good = [
        {
            "Name": "Register",
            "Type": "RegisterModel",
            "Arguments": {
                "ModelPackageGroupName": group,
                "InferenceSpecification": {
                    "Containers": [container],
                    "SupportedContentTypes": ["text/csv"],
                    "SupportedResponseMIMETypes": ["text/csv"],
                },
                "ModelApprovalStatus": get("Parameters.Approval"),
            },
        },
        {
            "Name": "Create",
            "Type": "Model",
            "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE},
        },
        {
            "Name": "Score",
            "Type": "Transform",
            "Arguments": {
                "ModelName": get("Steps.Create.ModelName"),
                "TransformInput": {
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/batch"}},
                    "ContentType": "text/csv",
                },
                "TransformOutput": {
                    "S3OutputPath": {
                        "Std:Join": {
                            "On": "/",
                            "Values": ["s3://bucket/scored", get("Execution.PipelineExecutionId")],
                        }
                    }
                },
                "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            },
        },
    ]
    steps = [
        train("Train", {"model": get("Parameters.Model")}),
        process(
            "Evaluate",
            {"Std:Join": {"On": "", "Values": [get("Parameters.Accuracy")]}},
            DependsOn=["Train"],
        ),
        condition(
            [{"Type": "GreaterThanOrEqualTo", "LeftValue": accuracy, "RightValue": 0.9}],
            good,
            [{"Name": "Bad", "Type": "Fail", "Arguments": {"ErrorMessage": "too bad"}}],
        ),
    ]
    name = create(
        sagemaker,
        steps,
        [
            {"Name": "Accuracy", "Type": "Float", "DefaultValue": 0.95},
            {"Name": "Approval", "Type": "String", "DefaultValue": "Approved", "EnumValues": ["Approved"]},
            {"Name": "Model", "Type": "Integer"},
        ],
    )
    arn = run(sagemaker, name, PipelineParameters=[{"Name": "Model", "Value": "7"}])
    status, done = ended(sagemaker, arn)
    assert status == "Succeeded", reasons(done)
    assert done.keys() == {"Train", "Evaluate", "Check", "Register", "Create", "Score"}
    assert done["Check"]["Metadata"]["Condition"]["Outcome"] == "True"
    execution = arn.rpartition("/")[2]
    job = done["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert job.startswith(f"pipelines-{execution}-train-")
    trained = sagemaker.list_training_jobs(NameContains=job)["TrainingJobSummaries"][0]["TrainingJobName"]
    described = sagemaker.describe_training_job(TrainingJobName=trained)
    assert described["HyperParameters"] == {"model": "7"}
    tags = sagemaker.list_tags(ResourceArn=described["TrainingJobArn"])["Tags"]
    assert {"Key": "sagemaker:pipeline-execution-arn", "Value": arn} in tags
    package = sagemaker.describe_model_package(
        ModelPackageName=done["Register"]["Metadata"]["RegisterModel"]["Arn"]
    )
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["ModelPackageGroupName"] == group
    assert (
        package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
        == (described["ModelArtifacts"]["S3ModelArtifacts"])
    )
    assert s3.get_object(Bucket="bucket", Key=f"scored/{execution}/a.csv.out")["Body"].read()
    parameters = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert {each["Name"]: each["Value"] for each in parameters["PipelineParameters"]} == {
        "Accuracy": "0.95", "Approval": "Approved", "Model": "7",
    }  # fmt: skip

    given = [{"Name": "Model", "Value": "7"}, {"Name": "Accuracy", "Value": "0.5"}]
    arn = run(sagemaker, name, PipelineParameters=given)
    status, done = ended(sagemaker, arn)
    assert status == "Failed"
    assert done.keys() == {"Train", "Evaluate", "Check", "Bad"}
    assert done["Bad"]["FailureReason"] == "too bad"
    summaries = sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert [each["PipelineExecutionStatus"] for each in summaries] == ["Failed", "Succeeded"]


def test_tuning_and_its_best_model(local):
    sagemaker = local.client("sagemaker")
    definition = train("Unused", {})["Arguments"]
    algorithm = definition["AlgorithmSpecification"]
    algorithm["MetricDefinitions"] = [{"Name": "rate", "Regex": "'rate': '([0-9.]+)'"}]
    del definition["HyperParameters"]
    grid = {"CategoricalParameterRanges": [{"Name": "rate", "Values": ["0.1", "0.2"]}]}
    tune = {
        "Name": "Tune",
        "Type": "Tuning",
        "Arguments": {
            "HyperParameterTuningJobConfig": {
                "Strategy": "Grid",
                "ResourceLimits": {"MaxParallelTrainingJobs": 2},
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "rate"},
                "ParameterRanges": grid,
            },
            "TrainingJobDefinition": definition,
        },
    }
    best = {
        "Std:Join": {
            "On": "/",
            "Values": [
                "s3://bucket/models",
                get("Steps.Tune.TrainingJobSummaries[0].TrainingJobName"),
                "output/model.tar.gz",
            ],
        }
    }
    model = {
        "Name": "Model",
        "Type": "Model",
        "Arguments": {
            "PrimaryContainer": {"Image": f"{REGISTRY}/echo:1", "ModelDataUrl": best},
            "ExecutionRoleArn": ROLE,
        },
    }
    status, done = ended(sagemaker, run(sagemaker, create(sagemaker, [tune, model])))
    assert status == "Succeeded", reasons(done)
    tuned = sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=job_of(sagemaker, done["Tune"]["Metadata"]["TuningJob"]["Arn"])
    )
    assert tuned["BestTrainingJob"]["TunedHyperParameters"] == {"rate": "0.2"}
    made = sagemaker.describe_model(ModelName=model_of(sagemaker, done["Model"]["Metadata"]["Model"]["Arn"]))
    assert tuned["BestTrainingJob"]["TrainingJobName"] in made["PrimaryContainer"]["ModelDataUrl"]


def job_of(sagemaker: Any, arn: str) -> str:
    listed = sagemaker.list_hyper_parameter_tuning_jobs(MaxResults=100)["HyperParameterTuningJobSummaries"]
    (name,) = (
        each["HyperParameterTuningJobName"] for each in listed if each["HyperParameterTuningJobArn"] == arn
    )
    return str(name)


def model_of(sagemaker: Any, arn: str) -> str:
    (name,) = (each["ModelName"] for each in sagemaker.list_models()["Models"] if each["ModelArn"] == arn)
    return str(name)


def test_an_endpoint_of_the_pipelines_own(local):
    """AWS names what these steps create as the definition says, unlike jobs."""
    sagemaker = local.client("sagemaker")
    config, endpoint = (f"{noun}-{uuid.uuid4().hex[:8]}" for noun in ("config", "endpoint"))
    image = {"Image": f"{REGISTRY}/echo:1"}
    model = {
        "Name": "Model",
        "Type": "Model",
        "Arguments": {"PrimaryContainer": image, "ExecutionRoleArn": ROLE},
    }
    variant = {
        "VariantName": "all",
        "ModelName": get("Steps.Model.ModelName"),
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    configured = {
        "Name": "Config",
        "Type": "EndpointConfig",
        "Arguments": {"EndpointConfigName": config, "ProductionVariants": [variant]},
    }
    up = {
        "Name": "Up",
        "Type": "Endpoint",
        "Arguments": {
            "EndpointName": endpoint,
            "EndpointConfigName": get("Steps.Config.EndpointConfigName"),
        },
    }
    name = create(sagemaker, [model, configured, up])
    status, done = ended(sagemaker, run(sagemaker, name))
    assert status == "Succeeded", reasons(done)
    described = sagemaker.describe_endpoint(EndpointName=endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", config)
    assert done["Up"]["Metadata"]["Endpoint"]["Arn"] == described["EndpointArn"]
    assert done["Config"]["Metadata"]["EndpointConfig"]["Arn"].endswith(f"/{config}")
    answer = local.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=b"1,2")
    assert answer["Body"].read()

    status, again = ended(sagemaker, run(sagemaker, name))
    assert status == "Failed", "the names are taken"
    assert config in again["Config"]["FailureReason"]
    assert "Up" not in again
    sagemaker.delete_endpoint(EndpointName=endpoint)


def test_a_cached_step_does_not_run_again(local):
    sagemaker = local.client("sagemaker")
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "PT1H"}}
    steps = [
        train("Train", {"model": "m", "seconds": get("Parameters.Seconds")}, **cached),
        process("After", get("Steps.Train.HyperParameters.seconds"), DependsOn=["Train"]),
    ]
    name = create(sagemaker, steps, [{"Name": "Seconds", "Type": "String", "DefaultValue": "0"}])
    first_arn = run(sagemaker, name)
    _, first = ended(sagemaker, first_arn)
    status, second = ended(sagemaker, run(sagemaker, name))
    assert status == "Succeeded"
    assert second["Train"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first_arn}
    assert second["Train"]["Metadata"] == first["Train"]["Metadata"]
    other = run(sagemaker, name, PipelineParameters=[{"Name": "Seconds", "Value": "0.1"}])
    assert "CacheHitResult" not in ended(sagemaker, other)[1]["Train"]


def test_stop_retry_and_the_token_of_a_start(local):
    sagemaker = local.client("sagemaker")
    name = create(
        sagemaker,
        [train("First", {}), train("Slow", {"seconds": "600"}, DependsOn=["First"])],
    )
    token = uuid.uuid4().hex
    arn = run(sagemaker, name, ClientRequestToken=token)
    assert run(sagemaker, name, ClientRequestToken=token) == arn
    until(sagemaker, arn, lambda _, steps: "TrainingJob" in steps.get("Slow", {}).get("Metadata", {}))
    with pytest.raises(ClientError, match="ConflictException"):
        sagemaker.delete_pipeline(PipelineName=name)
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    status, first = ended(sagemaker, arn)
    assert (status, first["Slow"]["StepStatus"]) == ("Stopped", "Stopped")
    sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
    _, again = until(
        sagemaker, arn, lambda _, steps: "TrainingJob" in steps.get("Slow", {}).get("Metadata", {})
    )
    assert again["First"]["Metadata"] == first["First"]["Metadata"]
    assert again["Slow"]["Metadata"] != first["Slow"]["Metadata"]
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    ended(sagemaker, arn)
    sagemaker.delete_pipeline(PipelineName=name)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)


def test_a_killed_server_goes_on_without_a_second_job(start_server):
    local = start_server("--jobs", "1", containers=IMAGES)
    local.client("s3").create_bucket(Bucket="bucket")
    sagemaker = local.client("sagemaker")
    retried = {"RetryPolicies": [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "MaxAttempts": 5,
                                  "IntervalSeconds": 0, "BackoffRate": 1.0}]}  # fmt: skip
    steps = [
        train("First", {}, **retried),
        train("Second", {"seconds": "2"}, DependsOn=["First"], **retried),
        train("Third", {}, DependsOn=["Second"], **retried),
    ]
    arn = run(sagemaker, create(sagemaker, steps))
    for name in ("First", "Second"):
        until(sagemaker, arn, functools.partial(has_begun, name))
        local.kill()
        sagemaker = local.start().client("sagemaker")
    status, done = ended(sagemaker, arn)
    assert status == "Succeeded", reasons(done)
    jobs = sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
    # As many jobs as attempts: none was created twice.
    assert len(jobs) == sum(step["AttemptCount"] for step in done.values()), jobs


def test_a_new_version_and_its_definition(local):
    sagemaker = local.client("sagemaker")
    name = create(sagemaker, [train("One", {})])
    arn = run(sagemaker, name)
    experiment = {
        "ExperimentName": get("Execution.PipelineName"),
        "TrialName": get("Execution.PipelineExecutionId"),
    }
    new = {"Version": "2020-12-01", "Steps": [train("Two", {})], "PipelineExperimentConfig": experiment}
    updated = sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps(new))
    assert updated["PipelineVersionId"] == 2
    assert json.loads(sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]) == new
    old = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    assert json.loads(old["PipelineDefinition"])["Steps"][0]["Name"] == "One"
    versions = sagemaker.list_pipeline_versions(PipelineName=name)["PipelineVersionSummaries"]
    assert [each["PipelineVersionId"] for each in versions] == [2, 1]
    assert ended(sagemaker, arn)[0] == "Succeeded"
    selected = {"SourcePipelineExecutionArn": arn, "SelectedSteps": [{"StepName": "Two"}]}
    second = run(sagemaker, name, SelectiveExecutionConfig=selected)
    assert ended(sagemaker, second)[0] == "Succeeded"
    trials = sagemaker.list_trials(ExperimentName=name)["TrialSummaries"]
    assert [each["TrialName"] for each in trials] == [second.rpartition("/")[2]]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"Name": "L", "Type": "Lambda", "Arguments": {}}], "does not support Lambda steps"),
        ([{"Name": "L", "Type": "Nonsense", "Arguments": {}}], "unknown type 'Nonsense'"),
        ([train("A", {"x": get("Steps.B.y")})], "refers to B"),
        ([train("A", {}, DependsOn=["B"]), train("B", {}, DependsOn=["A"])], "Cycle detected"),
        ([train("A", {"x": get("Parameters.X")})], "no parameter of the pipeline"),
        ([train("A", {}), train("A", {})], "unique within a pipeline"),
        ([], "no steps"),
    ],
)
def test_a_definition_that_cannot_be_executed_is_refused(local, steps, message):
    with pytest.raises(ClientError, match=message):
        create(local.client("sagemaker"), steps)
