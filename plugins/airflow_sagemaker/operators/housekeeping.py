"""Remove what nothing uses any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.deployment import VARIABLE, deployment_id
from airflow_sagemaker.errors import UnreachableError
from airflow_sagemaker.operators.base import SageMakerOperator
from airflow_sagemaker.retention import Inventory, Made, unused_configs, unused_models, without_pipeline
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.housekeeping import Retention

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.hooks.housekeeping import HousekeepingHook

AT_WORK = ["queued", "running"]


class RemoveUnusedOperator(SageMakerOperator):
    """Remove old endpoint configs, models and logs of jobs that this Airflow made and nothing uses.

    In use is what an endpoint has or is about to have (whoever made it), what a transform job in progress
    reads, and models of approved versions. While a run of one of ``dag_ids`` is queued or running no config
    and no model goes: it may go back to an earlier one. Endpoints that are none of ``endpoint_names`` are
    only reported. XCom: ``{"endpoint_configs", "models", "log_streams", "endpoints_without_pipeline"}``, the
    names of what went, or would go.

    :param retention: days to keep things
    :param endpoint_names: the endpoints of all pipelines
    :param dag_ids: DAGs whose runs use models and configs
    :param only_report: tell what would go and remove nothing; may be a template
    """

    template_fields: Sequence[str] = ("only_report",)
    ui_color = "#f5e0e0"

    def __init__(
        self,
        *,
        retention: Retention | JsonObject,
        endpoint_names: Sequence[str] = (),
        dag_ids: Sequence[str] = (),
        only_report: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.retention = retention.model_dump() if isinstance(retention, Retention) else retention
        self.endpoint_names = list(endpoint_names)
        self.dag_ids = list(dag_ids)
        self.only_report = only_report

    @property
    def only_reports(self) -> bool:
        """Whether nothing is to be removed."""
        return str(self.only_report).lower() == "true"

    def execute(self, context: Context) -> JsonObject:
        """Look at everything, then remove config by config, model by model, stream by stream."""
        deployment = deployment_id()
        if deployment is None:
            raise UnreachableError(
                f"Variable {VARIABLE!r}",
                "Airflow does not answer",
                "Check that Airflow's API server is up; the next run looks again",
            )
        retention, now = Retention.model_validate(self.retention), datetime.now(UTC)
        hook = self._hook()
        inventory = hook.inventory()
        configs: list[str] = []
        models: list[str] = []
        if at_work := self._at_work(context):
            self.log.info("Configs and models stay: runs of %s are at work", ", ".join(at_work))
        else:
            gone = self._remove_configs(hook, inventory, retention, now, deployment)
            configs = [config.name for config in gone]
            models = self._remove_models(hook, inventory, gone, retention, now, deployment)
        streams = self._remove_logs(hook, retention, now, deployment)
        strays = without_pipeline((each.endpoint_name for each in inventory.endpoints), self.endpoint_names)
        for name in strays:
            self.log.warning("Endpoint %s belongs to no pipeline here: delete it if nobody needs it", name)
        return {
            "endpoint_configs": configs,
            "models": models,
            "log_streams": streams,
            "endpoints_without_pipeline": strays,
        }

    def _remove_configs(
        self,
        hook: HousekeepingHook,
        inventory: Inventory,
        retention: Retention,
        now: datetime,
        deployment: str,
    ) -> list[Made]:
        gone = []
        for config in unused_configs(inventory, retention.endpoint_configs_days, now):
            if hook.is_made_by(deployment, config.arn):
                self._say("endpoint config", config.name)
                if not self.only_reports:
                    hook.delete_config(config.name)
                gone.append(config)
        return gone

    def _remove_models(
        self,
        hook: HousekeepingHook,
        inventory: Inventory,
        gone: Sequence[Made],
        retention: Retention,
        now: datetime,
        deployment: str,
    ) -> list[str]:
        names = []
        for model in unused_models(inventory, gone, retention.models_days, now):
            if hook.is_made_by(deployment, model.arn) and not hook.is_approved(model.name):
                self._say("model", model.name)
                if not self.only_reports:
                    hook.delete_model(model.name)
                names.append(model.name)
        return names

    def _remove_logs(
        self, hook: HousekeepingHook, retention: Retention, now: datetime, deployment: str
    ) -> list[str]:
        if retention.job_logs_days is None:
            return []
        names = []
        before = now - timedelta(days=retention.job_logs_days)
        for group, stream in hook.old_log_streams(before, deployment):
            self._say("log stream", f"{group} {stream}")
            if not self.only_reports:
                hook.delete_log_stream(group, stream)
            names.append(f"{group}/{stream}")
        return names

    def _at_work(self, context: Context) -> list[str]:
        ti: Any = context["ti"]
        return [dag_id for dag_id in self.dag_ids if ti.get_dr_count(dag_id=dag_id, states=AT_WORK)]

    def _say(self, noun: str, name: str) -> None:
        self.log.info("%s %s %s", "Would remove" if self.only_reports else "Removing", noun, name)

    def _hook(self) -> HousekeepingHook:
        from airflow_sagemaker.hooks.housekeeping import HousekeepingHook

        return HousekeepingHook(self.hook)
