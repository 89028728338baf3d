"""Run a training job."""

from __future__ import annotations

from airflow_sagemaker.kinds import TRAINING
from airflow_sagemaker.operators.job import JobOperator
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.training import TrainingJob


class TrainingJobOperator(JobOperator[TrainingJob]):
    """Run a training job; XCom: ``{"job_name", "job_arn", "model_uri", "metrics"}``."""

    kind = TRAINING
    spec_class = TrainingJob
    output_field = "output"

    def request(self, spec: TrainingJob) -> JsonObject:
        """The body of CreateTrainingJob."""
        return spec.to_request(self.hook)
