"""Register a model version, and say whether it may be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Asset

from airflow_sagemaker.operators.base import SageMakerOperator, identity_of
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.model import ApprovalStatus, ModelPackage

if TYPE_CHECKING:
    from airflow.sdk import Context


class RegisterModelOperator(SageMakerOperator):
    """Register a version of a model, once a run; XCom: ``{"model_package_arn", "version"}``.

    :param model: the version; every ``str`` in it may hold Jinja
    """

    template_fields: Sequence[str] = ("model",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"model": "json"}
    ui_color = "#efe9f7"

    def __init__(self, *, model: ModelPackage | JsonObject, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model.model_dump(mode="json") if isinstance(model, ModelPackage) else model

    def execute(self, context: Context) -> JsonObject:
        """Register the version, or find the one of an earlier try."""
        from airflow_sagemaker.hooks.registry import RegistryHook

        spec = ModelPackage.model_validate(self.model)
        return RegistryHook(self.hook).register(
            spec, identity_of(context), context["task_state_store"], self.log
        )


class ApproveModelOperator(SageMakerOperator):
    """Set the approval of a registered version; XCom: ``{"model_package_arn", "status"}``.

    Every asset among the task's outlets gets the version's ARN in its event's ``extra``, so that a DAG
    scheduled on the asset reads it from ``triggering_asset_events``.

    :param model_package_arn: the version
    :param status: ``Approved``, ``Rejected`` or ``PendingManualApproval``
    :param note: why; kept with the version as ApprovalDescription
    """

    template_fields: Sequence[str] = ("model_package_arn", "status", "note")
    ui_color = "#efe9f7"

    def __init__(
        self,
        *,
        model_package_arn: str,
        status: ApprovalStatus | str = "Approved",
        note: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_package_arn = model_package_arn
        self.status = status
        self.note = note

    def execute(self, context: Context) -> JsonObject:
        """Set the approval and tell the outlets."""
        from airflow_sagemaker.hooks.registry import RegistryHook

        RegistryHook(self.hook).set_approval(self.model_package_arn, self.status, self.note)
        result = {"model_package_arn": self.model_package_arn, "status": self.status}
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra.update(result)
        return result
