"""What the expressions of one execution refer to: its parameters, its variables, its steps' outputs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import JobFailed
from sagemaker_local.pipelines.expressions import ExpressionError
from sagemaker_local.pipelines.paths import PathError, look_up
from sagemaker_local.pipelines.record import ExecutionRecord
from sagemaker_local.s3.errors import S3Error

FILE_BYTES = 16 * 1024 * 1024
"""Largest file that Std:JsonGet reads."""


class ExecutionScope:
    """The scope of one step of an execution.

    Args:
        record: The execution.
        job_name: What the step creates is called.
    """

    def __init__(self, record: ExecutionRecord, job_name: str = "") -> None:
        self.record = record
        self.job_name = job_name

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Pipeline parameters by name."""
        parameters: Mapping[str, Any] = self.record.read().private["parameters"]
        return parameters

    @property
    def variables(self) -> Mapping[str, str]:
        """Execution variables by name."""
        read = self.record.read()
        return {
            "StartDateTime": _iso(read.document["CreationTime"]),
            "CurrentDateTime": datetime.datetime.now(datetime.UTC).isoformat(),
            "PipelineName": read.private["pipeline"],
            "PipelineArn": read.document["PipelineArn"],
            "PipelineExecutionId": self.record.id,
            "PipelineExecutionArn": read.arn,
            "TrainingJobName": self.job_name,
            "ProcessingJobName": self.job_name,
        }

    def output(self, step: str) -> Mapping[str, Any]:
        """The properties of a step that is over.

        Raises:
            ExpressionError: it has none.
        """
        try:
            output: Mapping[str, Any] = self.record.states[step]["private"]["output"]
        except KeyError as error:
            raise ExpressionError(f"Step '{step}' has no properties") from error
        return output

    def property_file(self, step: str, name: str) -> bytes:
        """The content of a step's property file.

        Raises:
            ExpressionError: it cannot be read.
        """
        declared = self.record.definition.steps[step].property_file(name)
        if declared is None:
            raise ExpressionError(f"Step '{step}' has no property file '{name}'")
        path = ("ProcessingOutputConfig", "Outputs", declared["OutputName"], "S3Output", "S3Uri")
        try:
            uri = look_up(self.output(step), path)
        except PathError as error:
            raise ExpressionError(f"Step '{step}' has no output '{declared['OutputName']}'") from error
        return self.object(f"{uri.rstrip('/')}/{declared['FilePath'].lstrip('/')}")

    def object(self, uri: str) -> bytes:
        """The content of an object in S3.

        Raises:
            ExpressionError: it cannot be read.
        """
        try:
            location = Location.parse(uri)
            with self.record.services.objects.open(location.bucket, location.key) as file:
                content = file.read(FILE_BYTES + 1)
        except (JobFailed, S3Error) as error:
            raise ExpressionError(f"'{uri}' cannot be read: {error}") from error
        if len(content) > FILE_BYTES:
            raise ExpressionError(f"'{uri}' is longer than {FILE_BYTES} bytes")
        return content


def _iso(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()
