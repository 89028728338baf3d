"""Which model version to use: the one that a run names, else the newest approved one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.errors import RequestRejectedError
from airflow_sagemaker.operators.base import SageMakerOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ChooseModelOperator(SageMakerOperator):
    """Choose a version of a model package group and refuse one that is not approved.

    :param group: the model package group
    :param model_package_arn: the version; empty or None for the newest approved one
    """

    template_fields: Sequence[str] = ("group", "model_package_arn")
    ui_color = "#efe9f7"

    def __init__(self, *, group: str, model_package_arn: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group
        self.model_package_arn = model_package_arn

    def execute(self, context: Context) -> dict[str, Any]:
        """Give the version's ARN."""
        from airflow_sagemaker.hooks.faults import translated

        with translated(f"Model package group {self.group}"):
            arn = self._named() if self.model_package_arn not in (None, "", "None") else self._newest()
        self.log.info("Using %s", arn)
        return {"model_package_arn": arn}

    def _named(self) -> str:
        described = self.hook.client("sagemaker").describe_model_package(
            ModelPackageName=self.model_package_arn
        )
        if described.get("ModelPackageGroupName") != self.group:
            raise RequestRejectedError(
                f"Model package {self.model_package_arn}",
                f"it belongs to {described.get('ModelPackageGroupName', 'no group')}, not to {self.group}",
                "Give a version of this pipeline's group",
            )
        if described["ModelApprovalStatus"] != "Approved":
            raise RequestRejectedError(
                f"Model package {self.model_package_arn}",
                f"it is {described['ModelApprovalStatus']}",
                "Approve it first, or give an approved version",
            )
        return str(described["ModelPackageArn"])

    def _newest(self) -> str:
        found = self.hook.client("sagemaker").list_model_packages(
            ModelPackageGroupName=self.group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=1,
        )["ModelPackageSummaryList"]
        if not found:
            raise RequestRejectedError(
                f"Model package group {self.group}",
                "it has no approved version",
                "Run the pipeline's model_build DAG, or approve a version",
            )
        return str(found[0]["ModelPackageArn"])
