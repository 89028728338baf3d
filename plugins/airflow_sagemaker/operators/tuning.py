"""Run a hyperparameter tuning job."""

from __future__ import annotations

from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.failures import of_reason
from airflow_sagemaker.kinds import TUNING
from airflow_sagemaker.operators.job import JobOperator
from airflow_sagemaker.policies import failure
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.tuning import TuningJob


class TuningJobOperator(JobOperator[TuningJob]):
    """Search for the best hyperparameters.

    XCom: ``{"job_name", "job_arn", "best_job_name", "metric", "hyperparameters", "model_uri", "counts"}``.
    """

    kind = TUNING
    spec_class = TuningJob

    def request(self, spec: TuningJob) -> JsonObject:
        """The body of CreateHyperParameterTuningJob."""
        return spec.to_request(self.hook)

    def output_location(self) -> str | None:
        """Where the training jobs' models go."""
        return str(self.job["training"]["output"])

    def failed(self, reason: str) -> SageMakerError:
        """By what the training jobs failed of: of a search AWS says no more than that they did.

        One that another try cannot mend decides; a search that only ran out of capacity is tried again.
        """
        if of_reason(reason) is not None or self._job_name is None:
            return super().failed(reason)
        try:
            told = self.jobs.training_failures(self._job_name)
        except SageMakerError as error:
            self.log.warning("%s. So it is not known why the training jobs failed", error)
            told = {}
        if not told:
            return super().failed(reason)
        name, deciding = min(told.items(), key=lambda job: _is_passing(job[1]))
        return failure(self.thing, deciding, cause=f"it failed: {reason} {name}: {deciding}")


def _is_passing(reason: str) -> bool:
    row = of_reason(reason)
    return row is not None and row.delay is not None
