"""Run a compilation job."""

from __future__ import annotations

from airflow_sagemaker.kinds import COMPILATION
from airflow_sagemaker.operators.job import JobOperator
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.compilation import CompilationJob


class CompilationJobOperator(JobOperator[CompilationJob]):
    """Compile a model for a target; XCom: ``{"job_name", "job_arn", "compiled_uri"}``."""

    kind = COMPILATION
    spec_class = CompilationJob
    output_field = "output"

    def request(self, spec: CompilationJob) -> JsonObject:
        """The body of CreateCompilationJob."""
        return spec.to_request(self.hook)
