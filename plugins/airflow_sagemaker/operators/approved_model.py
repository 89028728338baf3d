"""Which model version to use: the one that a run names, else the newest approved one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
        from airflow_sagemaker.hooks.registry import RegistryHook

        registry = RegistryHook(self.hook)
        named = None if self.model_package_arn in (None, "", "None") else self.model_package_arn
        arn = registry.approved(self.group, named) if named else registry.newest_approved(self.group)
        self.log.info("Using %s", arn)
        return {"model_package_arn": arn}
