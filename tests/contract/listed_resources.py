"""A few resources of every kind that is listed: each function makes them and returns what tells them apart.

They are called in the order of `test_sagemaker_paginators.CASES`: later ones name earlier ones.
"""

from __future__ import annotations

import json
from typing import Any

from sagemaker_local.automl.requests import ALGORITHMS
from tests.contract.serving_probe import eventually
from tests.contract.test_sagemaker_waiters import IMAGE, RESOURCES, ROLE

RECORDS = 5
MODEL_ARN = "arn:aws:sagemaker:us-east-1:123456789012:model/model-0"


def models(sagemaker: Any) -> list[str]:
    names = [f"model-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://artefacts/model.tar.gz"},
        )
    return names


def endpoint_configs(sagemaker: Any) -> list[str]:
    names = [f"config-{number}" for number in range(RECORDS)]
    for name in names:
        variant = {
            "VariantName": "a",
            "ModelName": "model-0",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return names


def endpoints(sagemaker: Any) -> list[str]:
    names = [f"endpoint-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="config-0")
    return names


def model_package_groups(sagemaker: Any) -> list[str]:
    names = [f"group-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return names


def model_packages(sagemaker: Any) -> list[str]:
    container = {"Image": IMAGE, "ModelDataUrl": "s3://artefacts/model.tar.gz"}
    specification = {
        "Containers": [container],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    return [
        sagemaker.create_model_package(ModelPackageGroupName="group-0", InferenceSpecification=specification)[
            "ModelPackageArn"
        ]
        for _ in range(RECORDS)
    ]


def training_jobs(sagemaker: Any) -> list[str]:
    names = [f"training-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://artefacts/out"},
            ResourceConfig=RESOURCES,
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
    return names


def processing_jobs(sagemaker: Any) -> list[str]:
    names = [f"processing-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_processing_job(
            ProcessingJobName=name,
            AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["process", "0"]},
            RoleArn=ROLE,
            ProcessingResources={"ClusterConfig": RESOURCES},
        )
    return names


def compilation_jobs(sagemaker: Any) -> list[str]:
    names = [f"compilation-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_compilation_job(
            CompilationJobName=name,
            RoleArn=ROLE,
            InputConfig={
                "S3Uri": "s3://artefacts/model.tar.gz",
                "DataInputConfig": '{"input": [1, 2]}',
                "Framework": "SKLEARN",
            },
            OutputConfig={"S3OutputLocation": "s3://artefacts/compiled", "TargetDevice": "ml_m5"},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
    return names


def transform_jobs(sagemaker: Any) -> list[str]:
    names = [f"transform-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName="model-0",
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://artefacts/rows"}}
            },
            TransformOutput={"S3OutputPath": "s3://artefacts/out"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )
    return names


def tags(sagemaker: Any) -> list[str]:
    arn = sagemaker.describe_model(ModelName="model-0")["ModelArn"]
    keys = [f"key-{number}" for number in range(RECORDS)]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": "value"} for key in keys])
    return keys


def notebook_instances(sagemaker: Any) -> list[str]:
    names = [f"notebook-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_notebook_instance(
            NotebookInstanceName=name, InstanceType="ml.t3.medium", RoleArn=ROLE
        )
    return names


def automl_jobs(sagemaker: Any) -> list[str]:
    names = [f"automl-{number}" for number in range(RECORDS)]
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://artefacts/table.csv"}
    for name in names:
        sagemaker.create_auto_ml_job(
            AutoMLJobName=name,
            InputDataConfig=[{"DataSource": {"S3DataSource": source}, "TargetAttributeName": "answer"}],
            OutputDataConfig={"S3OutputPath": "s3://artefacts/automl"},
            ProblemType="Regression",  # so that nothing looks at the data, which are not there
            AutoMLJobObjective={"MetricName": "MSE"},
            AutoMLJobConfig={"CompletionCriteria": {"MaxCandidates": 3}},
            RoleArn=ROLE,
        )
    return names


def automl_candidates(sagemaker: Any) -> list[str]:
    names = [f"automl-0-{algorithm}" for algorithm in ALGORITHMS[:3]]

    def listed() -> bool:
        answer = sagemaker.list_candidates_for_auto_ml_job(AutoMLJobName="automl-0")
        return len(answer["Candidates"]) == len(names)

    eventually(listed, 120)
    return names


def images(sagemaker: Any) -> list[str]:
    names = [f"image-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_image(ImageName=name, RoleArn=ROLE)
    return names


def image_versions(sagemaker: Any) -> list[int]:
    for number in range(RECORDS):
        sagemaker.create_image_version(
            ImageName="image-0", BaseImage=IMAGE, ClientToken=f"token-{number}", Aliases=[f"alias-{number}"]
        )
    return list(range(1, RECORDS + 1))


def aliases(sagemaker: Any) -> list[str]:
    return [f"alias-{number}" for number in range(RECORDS)]


def tuning_jobs(sagemaker: Any) -> list[str]:
    names = [f"tuning-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig={
                "Strategy": "Random",
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 3},
                "ParameterRanges": {
                    "ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0", "MaxValue": "1"}]
                },
            },
            TrainingJobDefinition={
                "AlgorithmSpecification": {
                    "TrainingImage": IMAGE,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "score", "Regex": "score=([0-9.]+)"}],
                },
                "RoleArn": ROLE,
                "OutputDataConfig": {"S3OutputPath": "s3://artefacts/out"},
                "ResourceConfig": RESOURCES,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            },
        )
    return names


def tuning_children(sagemaker: Any) -> list[str]:
    def listed() -> list[str]:
        answer = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName="tuning-0"
        )
        return [each["TrainingJobName"] for each in answer["TrainingJobSummaries"]]

    eventually(lambda: len(listed()) == 3)
    return listed()


def pipelines(sagemaker: Any) -> list[str]:
    steps = [
        {
            "Name": f"Step{number}",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
                "IfSteps": [],
                "ElseSteps": [],
            },
        }
        for number in range(RECORDS)
    ]
    parameters = [
        {"Name": f"Parameter{number}", "Type": "String", "DefaultValue": "a"} for number in range(RECORDS)
    ]
    definition = {"Version": "2020-12-01", "Parameters": parameters, "Steps": steps}
    names = [f"pipeline-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=ROLE)
    return names


def pipeline_versions(sagemaker: Any) -> list[int]:
    for number in range(1, RECORDS):
        description = f"version {number + 1}"
        definition = sagemaker.describe_pipeline(PipelineName="pipeline-0")["PipelineDefinition"]
        sagemaker.update_pipeline(
            PipelineName="pipeline-0",
            PipelineDescription=description,
            PipelineDefinition=definition.replace('"RightValue": 1', f'"RightValue": {number}'),
        )
    return list(range(1, RECORDS + 1))


def executions(sagemaker: Any) -> list[str]:
    return [
        sagemaker.start_pipeline_execution(PipelineName="pipeline-0")["PipelineExecutionArn"]
        for _ in range(RECORDS)
    ]


def experiments(sagemaker: Any) -> list[str]:
    names = [f"experiment-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_experiment(ExperimentName=name)
    return names


def trials(sagemaker: Any) -> list[str]:
    names = [f"trial-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_trial(TrialName=name, ExperimentName="experiment-0")
    return names


def trial_components(sagemaker: Any) -> list[str]:
    names = [f"component-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_trial_component(TrialComponentName=name)
        sagemaker.associate_trial_component(TrialComponentName=name, TrialName="trial-0")
    return names


def searched(sagemaker: Any) -> list[str]:
    return [f"experiment-{number}" for number in range(RECORDS)]


def first_execution(sagemaker: Any) -> str:
    listed = sagemaker.list_pipeline_executions(
        PipelineName="pipeline-0", SortBy="CreationTime", SortOrder="Ascending", MaxResults=1
    )
    return str(listed["PipelineExecutionSummaries"][0]["PipelineExecutionArn"])


def steps(sagemaker: Any) -> list[str]:
    arn = first_execution(sagemaker)

    def over() -> bool:
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return bool(found["PipelineExecutionStatus"] == "Succeeded")

    eventually(over)
    return [f"Step{number}" for number in range(RECORDS)]


def parameters(sagemaker: Any) -> list[str]:
    return [f"Parameter{number}" for number in range(RECORDS)]


def of_first_execution(sagemaker: Any) -> dict[str, Any]:
    return {"PipelineExecutionArn": first_execution(sagemaker)}
