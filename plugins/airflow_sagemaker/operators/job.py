"""The one life cycle of every job: submit, defer, end. Each kind adds only its nouns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from airflow_sagemaker import links
from airflow_sagemaker.errors import JobStoppedError, JobTimedOutError, JobVanishedError, error_named
from airflow_sagemaker.kinds import JobKind, results_of
from airflow_sagemaker.operators.base import SageMakerOperator, identity_of, tries_before_clear
from airflow_sagemaker.policies import ended, failure
from airflow_sagemaker.specs.base import JsonObject, Spec
from airflow_sagemaker.submission import STATE_KEY, Submission

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.triggers.job import JobTrigger

JobSpec = TypeVar("JobSpec", bound=Spec)

PENDING_ALLOWANCE_S = 7200
"""How long a job may wait for machines, beside its own maximum run time, before waiting for it ends."""
BACKSTOP_S = 600
"""Airflow's own deferral timeout comes this much after the trigger's, which stops the job properly."""


class JobOperator(SageMakerOperator, Generic[JobSpec]):
    """Run a job exactly once and end with it.

    :param job: what to run; every ``str`` in it may hold Jinja
    :param poll_interval_s: seconds between two looks at the job, the connection's setting by default
    :param pending_allowance_s: seconds that the job may wait for machines before the task gives up
    :param end_in_trigger: let a completed job end the task in the triggerer, without another worker;
        by default wherever the task has neither outlets nor success callbacks, which need a worker
    """

    kind: ClassVar[JobKind]
    spec_class: ClassVar[type[Spec]]
    output_field: ClassVar[str]
    """Field of the rendered spec that the output link leads to."""

    template_fields: Sequence[str] = ("job",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json"}
    operator_extra_links = (links.JobLink(), links.LogsLink(), links.OutputLink())
    ui_color = "#e8f4f2"

    def __init__(
        self,
        *,
        job: JobSpec | JsonObject,
        poll_interval_s: float | None = None,
        pending_allowance_s: int = PENDING_ALLOWANCE_S,
        end_in_trigger: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job.model_dump(mode="json") if isinstance(job, Spec) else job
        self.poll_interval_s = poll_interval_s
        self.pending_allowance_s = pending_allowance_s
        self.end_in_trigger = end_in_trigger
        self.link_urls: dict[str, str] = {}
        self._job_name: str | None = None
        self._killed = False

    def request(self, spec: JobSpec) -> JsonObject:
        """The body of the kind's Create call, but for name and tags."""
        raise NotImplementedError

    def max_runtime_s(self, spec: JobSpec) -> int:
        """How long the job itself may run."""
        return int(getattr(spec, "max_runtime_s"))  # noqa: B009  # every job spec has it; Spec does not

    def rendered(self) -> JobSpec:
        """The spec as it is after Airflow rendered its templates."""
        return self.spec_class.model_validate(self.job)  # type: ignore[return-value]

    @property
    def thing(self) -> str:
        """As errors and log lines name it."""
        return f"{self.kind.noun.capitalize()} {self._job_name!r}"

    def execute(self, context: Context) -> Any:
        """Make sure that the job exists, then wait for it in the triggerer."""
        from airflow_sagemaker.hooks.jobs import JobHook

        spec = self.rendered()
        submission = Submission(
            api=JobHook(self.hook),
            kind=self.kind,
            identity=identity_of(context),
            first_attempt=tries_before_clear(context),
            store=context["task_state_store"],
            announce=self._announce,
            log=self.log,
        )
        submitted = submission.submit(self.request(spec), dict(getattr(spec, "tags", {})))
        self._announce(submitted.name)
        self._stop_if_killed()
        if submitted.completed is not None:
            self.log.info("%s had completed already; using its results", self.thing)
            return results_of(self.kind, submitted.completed)
        waiting_s = self.max_runtime_s(spec) + self.pending_allowance_s
        self.defer(
            trigger=self.trigger(
                submitted.name,
                deadline_s=time.time() + waiting_s,
                max_runtime_s=self.max_runtime_s(spec) if self.kind.start_field else None,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=waiting_s + BACKSTOP_S),
        )

    def trigger(self, name: str, *, deadline_s: float, max_runtime_s: int | None) -> JobTrigger:
        """What waits."""
        from airflow_sagemaker.triggers.job import JobTrigger

        return JobTrigger(
            kind=self.kind.operation,
            job_name=name,
            max_runtime_s=max_runtime_s,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            poll_interval_s=self.poll_interval_s or self.hook.settings.poll_interval_s,
            deadline_s=deadline_s,
            succeed_in_trigger=self.may_end_in_trigger()
            if self.end_in_trigger is None
            else self.end_in_trigger,
            push_results=bool(self.do_xcom_push),
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Back on a worker: give the results, or raise what the trigger found."""
        self._announce(event["job_name"])
        match event["end"]:
            case "completed":
                return event["results"]
            case "failed":
                raise failure(self.thing, event["reason"])
            case "stopped":
                raise ended(JobStoppedError, self.thing, f"it was stopped ({event['reason']})")
            case "timed_out":
                raise ended(JobTimedOutError, self.thing, event["reason"])
            case "vanished":
                raise ended(JobVanishedError, self.thing, f"it no longer exists ({event['reason']})")
        self._stop_unless_retried(context)
        raise error_named(event["error"], self.thing, event["reason"], event["remedy"])

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Airflow's own ends of a deferral leave the job running; this is where it is stopped."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            self._recall(context)
            self.on_kill()
            raise ended(
                JobTimedOutError,
                self.thing,
                "Airflow's deferral or execution timeout passed; it has been stopped",
            ) from error
        except TaskDeferralError:
            self._recall(context)
            self._stop_unless_retried(context)
            raise

    def on_kill(self) -> None:
        """Stop the paid job; ending it twice is no error."""
        from airflow_sagemaker.hooks.jobs import JobHook

        self._killed = True
        if self._job_name is not None:
            self.log.info("Stopping %s", self.thing)
            JobHook(self.hook).stop(self.kind, self._job_name)

    def _stop_if_killed(self) -> None:
        """A kill may have come while AWS was still making the job, when there was nothing to stop."""
        if self._killed:
            self.on_kill()
            raise ended(JobStoppedError, self.thing, "its task was killed while the job was being made")

    def _stop_unless_retried(self, context: Context) -> None:
        ti = context["ti"]
        if ti.try_number > ti.max_tries:
            self.on_kill()

    def _recall(self, context: Context) -> None:
        """The job's name from the state store, where an earlier process of this task left it."""
        recorded = context["task_state_store"].get(STATE_KEY)
        if isinstance(recorded, dict):
            self._job_name = str(recorded["name"])

    def _announce(self, name: str) -> None:
        """From here on a kill stops this job, and the links lead to it."""
        self._job_name = name
        region, endpoint_url = self.hook.region, self.hook.endpoint_url("sagemaker")
        urls: dict[str, str] = {}
        if endpoint_url is None:
            urls[links.JOB] = links.job_url(region, self.kind.console_path, name)
            urls[links.LOGS] = links.logs_url(region, self.kind.log_group, name)
        if output := self.output_location():
            uri = self.hook.s3_uri(output)
            urls[links.OUTPUT] = links.output_url(region, uri, self.hook.endpoint_url("s3"))
        self.link_urls = urls

    def output_location(self) -> str | None:
        """Where the job writes, for the link."""
        return str(self.job[self.output_field])
