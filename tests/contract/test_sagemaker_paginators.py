"""Every paginator that botocore has for a List operation we serve finds every resource once, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore import xform_name

from sagemaker_local.app import SAGEMAKER
from tests.contract import listed_resources as make
from tests.contract.conftest import LocalServer
from tests.contract.test_sagemaker_waiters import IMAGES

PAGE = 2

# operation → what makes the resources, the answer's list, the field that names one, further arguments
Arguments = dict[str, Any] | Callable[[Any], dict[str, Any]]
CASES: dict[str, tuple[Callable[[Any], list[Any]], str, str, Arguments]] = {
    "ListModels": (make.models, "Models", "ModelName", {}),
    "ListEndpointConfigs": (make.endpoint_configs, "EndpointConfigs", "EndpointConfigName", {}),
    "ListEndpoints": (make.endpoints, "Endpoints", "EndpointName", {}),
    "ListModelPackageGroups": (
        make.model_package_groups, "ModelPackageGroupSummaryList", "ModelPackageGroupName", {},
    ),
    "ListModelPackages": (
        make.model_packages, "ModelPackageSummaryList", "ModelPackageArn",
        {"ModelPackageGroupName": "group-0"},
    ),
    "ListTrainingJobs": (
        make.training_jobs, "TrainingJobSummaries", "TrainingJobName", {"NameContains": "training-"},
    ),
    "ListProcessingJobs": (make.processing_jobs, "ProcessingJobSummaries", "ProcessingJobName", {}),
    "ListCompilationJobs": (make.compilation_jobs, "CompilationJobSummaries", "CompilationJobName", {}),
    "ListTransformJobs": (make.transform_jobs, "TransformJobSummaries", "TransformJobName", {}),
    "ListNotebookInstances": (make.notebook_instances, "NotebookInstances", "NotebookInstanceName", {}),
    "ListAutoMLJobs": (make.automl_jobs, "AutoMLJobSummaries", "AutoMLJobName", {}),
    "ListCandidatesForAutoMLJob": (
        make.automl_candidates, "Candidates", "CandidateName", {"AutoMLJobName": "automl-0"},
    ),
    "ListImages": (make.images, "Images", "ImageName", {}),
    "ListImageVersions": (make.image_versions, "ImageVersions", "Version", {"ImageName": "image-0"}),
    "ListAliases": (make.aliases, "SageMakerImageVersionAliases", "", {"ImageName": "image-0"}),
    "ListHyperParameterTuningJobs": (
        make.tuning_jobs, "HyperParameterTuningJobSummaries", "HyperParameterTuningJobName", {},
    ),
    "ListTrainingJobsForHyperParameterTuningJob": (
        make.tuning_children, "TrainingJobSummaries", "TrainingJobName",
        {"HyperParameterTuningJobName": "tuning-0"},
    ),
    "ListPipelines": (make.pipelines, "PipelineSummaries", "PipelineName", {}),
    "ListPipelineVersions": (
        make.pipeline_versions, "PipelineVersionSummaries", "PipelineVersionId",
        {"PipelineName": "pipeline-0"},
    ),
    "ListPipelineExecutions": (
        make.executions, "PipelineExecutionSummaries", "PipelineExecutionArn", {"PipelineName": "pipeline-0"},
    ),
    "ListPipelineExecutionSteps": (
        make.steps, "PipelineExecutionSteps", "StepName", make.of_first_execution,
    ),
    "ListPipelineParametersForExecution": (
        make.parameters, "PipelineParameters", "Name", make.of_first_execution,
    ),
    "ListExperiments": (make.experiments, "ExperimentSummaries", "ExperimentName", {}),
    "ListTrials": (make.trials, "TrialSummaries", "TrialName", {"ExperimentName": "experiment-0"}),
    "ListTrialComponents": (
        make.trial_components, "TrialComponentSummaries", "TrialComponentName", {"TrialName": "trial-0"},
    ),
    "Search": (make.searched, "Results", "Experiment.ExperimentName", {"Resource": "Experiment"}),
    "ListTags": (make.tags, "Tags", "Key", {"ResourceArn": make.MODEL_ARN}),
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
    return {operation: resources(sagemaker) for operation, (resources, *_) in CASES.items()}


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
