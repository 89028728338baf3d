"""Every paginator that botocore has for a List operation we serve finds every resource once, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore import xform_name

from sagemaker_local.app import SAGEMAKER
from sagemaker_local.automl.requests import ALGORITHMS
from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import eventually
from tests.contract.test_sagemaker_waiters import IMAGE, IMAGES, RESOURCES, ROLE

RECORDS = 5
PAGE = 2
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


# operation → what makes the resources, the answer's list, the field that names one, further arguments
Arguments = dict[str, Any] | Callable[[Any], dict[str, Any]]
CASES: dict[str, tuple[Callable[[Any], list[Any]], str, str, Arguments]] = {
    "ListModels": (models, "Models", "ModelName", {}),
    "ListEndpointConfigs": (endpoint_configs, "EndpointConfigs", "EndpointConfigName", {}),
    "ListEndpoints": (endpoints, "Endpoints", "EndpointName", {}),
    "ListModelPackageGroups": (
        model_package_groups, "ModelPackageGroupSummaryList", "ModelPackageGroupName", {},
    ),
    "ListModelPackages": (
        model_packages, "ModelPackageSummaryList", "ModelPackageArn", {"ModelPackageGroupName": "group-0"},
    ),
    "ListTrainingJobs": (
        training_jobs, "TrainingJobSummaries", "TrainingJobName", {"NameContains": "training-"},
    ),
    "ListProcessingJobs": (processing_jobs, "ProcessingJobSummaries", "ProcessingJobName", {}),
    "ListCompilationJobs": (compilation_jobs, "CompilationJobSummaries", "CompilationJobName", {}),
    "ListTransformJobs": (transform_jobs, "TransformJobSummaries", "TransformJobName", {}),
    "ListNotebookInstances": (notebook_instances, "NotebookInstances", "NotebookInstanceName", {}),
    "ListAutoMLJobs": (automl_jobs, "AutoMLJobSummaries", "AutoMLJobName", {}),
    "ListCandidatesForAutoMLJob": (
        automl_candidates, "Candidates", "CandidateName", {"AutoMLJobName": "automl-0"},
    ),
    "ListImages": (images, "Images", "ImageName", {}),
    "ListImageVersions": (image_versions, "ImageVersions", "Version", {"ImageName": "image-0"}),
    "ListAliases": (aliases, "SageMakerImageVersionAliases", "", {"ImageName": "image-0"}),
    "ListHyperParameterTuningJobs": (
        tuning_jobs, "HyperParameterTuningJobSummaries", "HyperParameterTuningJobName", {},
    ),
    "ListTrainingJobsForHyperParameterTuningJob": (
        tuning_children, "TrainingJobSummaries", "TrainingJobName",
        {"HyperParameterTuningJobName": "tuning-0"},
    ),
    "ListPipelines": (pipelines, "PipelineSummaries", "PipelineName", {}),
    "ListPipelineVersions": (
        pipeline_versions, "PipelineVersionSummaries", "PipelineVersionId", {"PipelineName": "pipeline-0"},
    ),
    "ListPipelineExecutions": (
        executions, "PipelineExecutionSummaries", "PipelineExecutionArn", {"PipelineName": "pipeline-0"},
    ),
    "ListPipelineExecutionSteps": (
        steps, "PipelineExecutionSteps", "StepName", of_first_execution,
    ),
    "ListPipelineParametersForExecution": (
        parameters, "PipelineParameters", "Name", of_first_execution,
    ),
    "ListExperiments": (experiments, "ExperimentSummaries", "ExperimentName", {}),
    "ListTrials": (trials, "TrialSummaries", "TrialName", {"ExperimentName": "experiment-0"}),
    "ListTrialComponents": (
        trial_components, "TrialComponentSummaries", "TrialComponentName", {"TrialName": "trial-0"},
    ),
    "Search": (searched, "Results", "Experiment.ExperimentName", {"Resource": "Experiment"}),
    "ListTags": (tags, "Tags", "Key", {"ResourceArn": MODEL_ARN}),
}  # fmt: skip


@pytest.fixture(scope="module")
def sagemaker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = LocalServer(tmp_path_factory.mktemp("paginators") / "data", IMAGES).start()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="artefacts")
    s3.put_object(Bucket="artefacts", Key="model.tar.gz", Body=b"never opened: nothing here waits for a job")
    yield server.client("sagemaker")
    server.stop()


@pytest.fixture(scope="module")
def made(sagemaker: Any) -> dict[str, list[str]]:
    """The resources of every case, made in the order of the table: later ones name earlier ones."""
    return {operation: make(sagemaker) for operation, (make, *_) in CASES.items()}


def named(entry: Any, path: str) -> Any:
    for field in filter(None, path.split(".")):
        entry = entry[field]
    return entry


@pytest.mark.parametrize("operation", CASES)
def test_a_paginator_finds_every_resource_once(
    sagemaker: Any, made: dict[str, list[str]], operation: str
) -> None:
    _, summaries, name_field, arguments = CASES[operation]
    paginator = sagemaker.get_paginator(xform_name(operation))
    page_size = 50 if operation == "ListTags" else PAGE  # the least that ListTags takes
    wanted = arguments(sagemaker) if callable(arguments) else arguments
    pages = list(paginator.paginate(**wanted, PaginationConfig={"PageSize": page_size}))
    found = [named(each, name_field) for page in pages for each in page[summaries]]
    assert sorted(found) == sorted(made[operation])
    assert all(len(page[summaries]) <= page_size for page in pages)


def test_no_list_operation_that_is_served_lacks_a_case(sagemaker: Any) -> None:
    served = {name for name in SAGEMAKER if sagemaker.can_paginate(xform_name(name))}
    assert served == set(CASES)
