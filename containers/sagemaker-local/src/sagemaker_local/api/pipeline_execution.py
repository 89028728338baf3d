"""Operations of pipeline executions."""

from __future__ import annotations

import contextlib
import secrets
import string
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import only_set
from sagemaker_local.api.listing import list_page
from sagemaker_local.api.pipeline import created, executions, get, get_version
from sagemaker_local.errors import ConflictException, ResourceNotFound, ValidationException
from sagemaker_local.experiments.records import EXPERIMENT, TRIAL
from sagemaker_local.experiments.records import create as create_record
from sagemaker_local.names import now
from sagemaker_local.pipelines.definition import read_definition
from sagemaker_local.pipelines.expressions import ExpressionError, evaluate
from sagemaker_local.pipelines.parameters import values, written
from sagemaker_local.pipelines.record import ALIVE, EXECUTION, VERSION, ExecutionRecord, version_name
from sagemaker_local.pipelines.scope import ExecutionScope
from sagemaker_local.pipelines.selective import kept_steps
from sagemaker_local.pipelines.step_kinds import EXECUTION_ID_CHARACTERS
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import NotFound, Record

CHANGEABLE = ("PipelineExecutionDisplayName", "PipelineExecutionDescription", "ParallelismConfiguration")
SUMMARY_FIELDS: Mapping[str, str] = {
    "PipelineExecutionArn": "PipelineExecutionArn",
    "CreationTime": "StartTime",
    "PipelineExecutionStatus": "PipelineExecutionStatus",
    "PipelineExecutionDescription": "PipelineExecutionDescription",
    "PipelineExecutionDisplayName": "PipelineExecutionDisplayName",
    "FailureReason": "PipelineExecutionFailureReason",
}


async def start(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StartPipelineExecution; the same ClientRequestToken starts it once."""
    if request.get("MlflowExperimentName"):
        raise ValidationException("The local SageMaker does not support MlflowExperimentName; leave it out")
    pipeline = get(services, request["PipelineName"])
    token = request["ClientRequestToken"]
    for run in executions(services, pipeline.name):
        if run.private["token"] == token:
            return {"PipelineExecutionArn": run.arn}
    version = get_version(services, pipeline, request.get("PipelineVersionId"))
    definition = read_definition(version.document["PipelineDefinition"])
    private = {
        "pipeline": pipeline.name,
        "version": version.document["PipelineVersionId"],
        "parameters": values(definition.parameters, request.get("PipelineParameters", [])),
        "token": token,
        "retry_tokens": [],
        "steps": {},
    }
    if selective := request.get("SelectiveExecutionConfig"):
        source = selective.get("SourcePipelineExecutionArn")
        states = get_execution(services, source).private["steps"] if source else {}
        private["selected"] = [each["StepName"] for each in selective["SelectedSteps"]]
        private["steps"] = kept_steps(definition, private["selected"], source, states)
    alphabet = string.ascii_lowercase + string.digits
    id = "".join(secrets.choice(alphabet) for _ in range(EXECUTION_ID_CHARACTERS))
    at = now()
    document = only_set(
        {
            "PipelineArn": pipeline.arn,
            "PipelineExecutionArn": f"{pipeline.arn}/execution/{id}",
            "PipelineExecutionStatus": "Executing",
            "CreationTime": at,
            "LastModifiedTime": at,
            "CreatedBy": {},
            "LastModifiedBy": {},
            "PipelineVersionId": private["version"],
            "ParallelismConfiguration": pipeline.document.get("ParallelismConfiguration"),
            "SelectiveExecutionConfig": selective,
            **{field: request[field] for field in CHANGEABLE if request.get(field) is not None},
        }
    )
    document.setdefault("PipelineExecutionDisplayName", f"execution-{int(at * 1000)}")
    with services.store.transaction():
        services.store.insert(Record(EXECUTION, id, document["PipelineExecutionArn"], document, private))
        record = ExecutionRecord(services, id)
        try:
            experiment = evaluate(definition.experiment, ExecutionScope(record))
        except ExpressionError as error:
            raise ValidationException(f"PipelineExperimentConfig: {error}") from error
        if experiment:
            services.store.update(
                EXECUTION, id, lambda record: record.document.update(PipelineExperimentConfig=experiment)
            )
            _need_experiment(services, experiment)
    services.pipelines.submit(id)
    return {"PipelineExecutionArn": document["PipelineExecutionArn"]}


def _need_experiment(services: Services, config: Mapping[str, str]) -> None:
    """Make the experiment and the trial of an execution when they are missing, as AWS does."""
    for noun in (EXPERIMENT, TRIAL):
        if noun.name_field in config:
            with contextlib.suppress(ValidationException):  # it exists
                create_record(services, noun, dict(config))


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribePipelineExecution."""
    return get_execution(services, request["PipelineExecutionArn"]).document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListPipelineExecutions."""
    pipeline = get(services, request["PipelineName"])
    return list_page(
        executions(services, pipeline.name),
        created(request),
        name_field="PipelineExecutionArn",
        status_field=None,
        summary=lambda run: {
            to: run.document[field] for field, to in SUMMARY_FIELDS.items() if field in run.document
        },
        summaries_field="PipelineExecutionSummaries",
    )


async def list_steps(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListPipelineExecutionSteps: those that were started, the newest first."""
    if "PipelineExecutionArn" not in request:
        raise ValidationException("PipelineExecutionArn is required")
    run = get_execution(services, request["PipelineExecutionArn"])
    return list_page(
        [Record("step", name, "", state) for name, state in run.private["steps"].items()],
        request,
        name_field="StepName",
        status_field=None,
        summary=lambda step: {key: value for key, value in step.document.items() if key != "private"},
        summaries_field="PipelineExecutionSteps",
        sort_by_default="StartTime",
    )


async def list_parameters(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListPipelineParametersForExecution: defaults too."""
    run = get_execution(services, request["PipelineExecutionArn"])
    return list_page(
        [
            Record("parameter", name, "", {"Name": name, "Value": written(value)})
            for name, value in run.private["parameters"].items()
        ],
        request,
        name_field="Name",
        status_field=None,
        summary=lambda parameter: parameter.document,
        summaries_field="PipelineParameters",
        sort_by_default="Name",
        sort_order_default="Ascending",
    )


async def describe_definition(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribePipelineDefinitionForExecution: what it was when the execution started."""
    run = get_execution(services, request["PipelineExecutionArn"])
    version = services.store.get(VERSION, version_name(run.private["pipeline"], run.private["version"]))
    return {field: version.document[field] for field in ("PipelineDefinition", "CreationTime")}


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopPipelineExecution: also what its steps started; asking again while it stops is no error."""
    run = get_execution(services, request["PipelineExecutionArn"])
    status = run.document["PipelineExecutionStatus"]
    if status not in ALIVE:
        raise ConflictException(
            f"Only pipelines with Executing status can be stopped; {run.arn} is in status {status}"
        )
    services.pipelines.stop(run.name)
    return {"PipelineExecutionArn": run.arn}


async def retry(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """RetryPipelineExecution: failed and stopped steps run again, succeeded ones stay."""
    run = get_execution(services, request["PipelineExecutionArn"])
    token = request["ClientRequestToken"]
    if token in run.private["retry_tokens"]:
        return {"PipelineExecutionArn": run.arn}
    status = run.document["PipelineExecutionStatus"]
    if status not in ("Failed", "Stopped"):
        raise ConflictException(
            f"Only pipeline executions in status Failed or Stopped can be retried; "
            f"{run.arn} is in status {status}"
        )

    def change(record: Record) -> None:
        record.private["retry_tokens"].append(token)
        steps = record.private["steps"].items()
        record.private["steps"] = {name: step for name, step in steps if step["StepStatus"] == "Succeeded"}
        record.document["PipelineExecutionStatus"] = "Executing"
        record.document["LastModifiedTime"] = now()
        record.document.pop("FailureReason", None)
        if given := request.get("ParallelismConfiguration"):
            record.document["ParallelismConfiguration"] = given

    services.store.update(EXECUTION, run.name, change)
    services.pipelines.submit(run.name)
    return {"PipelineExecutionArn": run.arn}


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdatePipelineExecution: what people call it, and how many steps run side by side."""
    run = get_execution(services, request["PipelineExecutionArn"])
    given = {field: request[field] for field in CHANGEABLE if request.get(field) is not None}
    services.store.update(
        EXECUTION, run.name, lambda record: record.document.update(given, LastModifiedTime=now())
    )
    return {"PipelineExecutionArn": run.arn}


def get_execution(services: Services, execution_arn: str) -> Record:
    """Read an execution.

    Raises:
        ResourceNotFound: there is none of that ARN.
    """
    try:
        record = services.store.get_by_arn(execution_arn)
    except NotFound:
        record = None
    if record is None or record.kind != EXECUTION:
        raise ResourceNotFound(f"Pipeline execution '{execution_arn}' does not exist.")
    return record


OPERATIONS: Mapping[str, Handler] = {
    "StartPipelineExecution": start,
    "DescribePipelineExecution": describe,
    "ListPipelineExecutions": list_,
    "ListPipelineExecutionSteps": list_steps,
    "ListPipelineParametersForExecution": list_parameters,
    "DescribePipelineDefinitionForExecution": describe_definition,
    "StopPipelineExecution": stop,
    "RetryPipelineExecution": retry,
    "UpdatePipelineExecution": update,
}
