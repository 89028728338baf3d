"""Run a batch transform job."""

from __future__ import annotations

from typing import Any

from airflow_sagemaker.kinds import TRANSFORM
from airflow_sagemaker.operators.job import JobOperator
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.model import PackagedModel
from airflow_sagemaker.specs.transform import TransformJob


class BatchTransformOperator(JobOperator[TransformJob]):
    """Apply a registered model version to a prefix; XCom: ``{"job_name", "job_arn", "output"}``.

    The model that the job needs is made on the way, named by the version: every partition shares it.

    :param transform: what to transform with what; every ``str`` in it may hold Jinja
    """

    kind = TRANSFORM
    spec_class = TransformJob
    output_field = "destination"

    def __init__(self, *, transform: TransformJob | JsonObject, **kwargs: Any) -> None:
        super().__init__(job=transform, **kwargs)

    def request(self, spec: TransformJob) -> JsonObject:
        """The body of CreateTransformJob, its model made on the way."""
        from airflow_sagemaker.hooks.models import ModelHook

        model = PackagedModel(model_package_arn=spec.model_package_arn)
        return spec.to_request(self.hook, ModelHook(self.hook).ensure_model(model))
