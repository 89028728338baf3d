"""Run a processing job."""

from __future__ import annotations

from airflow_sagemaker.kinds import PROCESSING
from airflow_sagemaker.operators.job import JobOperator
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.processing import ProcessingJob


class ProcessingJobOperator(JobOperator[ProcessingJob]):
    """Run a processing job; XCom: ``{"job_name", "job_arn", "outputs": {name: uri}}``."""

    kind = PROCESSING
    spec_class = ProcessingJob

    def request(self, spec: ProcessingJob) -> JsonObject:
        """The body of CreateProcessingJob."""
        return spec.to_request(self.hook)

    def output_location(self) -> str | None:
        """Where the first output goes."""
        outputs = self.rendered().outputs
        return outputs[0].destination if outputs else None
