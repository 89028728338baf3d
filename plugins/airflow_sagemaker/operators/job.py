"""The one life cycle of every job: submit, defer, end. Each kind adds only its nouns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from airflow_sagemaker import links
from airflow_sagemaker.claim import UNANSWERED_PATIENCE_S, Claim, KilledError
from airflow_sagemaker.deployment import deployment_tags
from airflow_sagemaker.errors import (
    JobStoppedError,
    JobTimedOutError,
    JobVanishedError,
    QuotaExceededError,
    SageMakerError,
    error_named,
)
from airflow_sagemaker.kinds import End, JobKind, results_of
from airflow_sagemaker.operators.base import (
    ends_the_task,
    identity_of,
    start_of,
    time_left_s,
    will_retry,
)
from airflow_sagemaker.operators.instances import InstanceOperator
from airflow_sagemaker.policies import ended, failure
from airflow_sagemaker.specs.base import JsonObject, Spec
from airflow_sagemaker.submission import STATE_KEY, Submission, Submitted
from airflow_sagemaker.task_record import TaskRecord

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.hooks.jobs import JobHook
    from airflow_sagemaker.operators.reuse import TaskReuse
    from airflow_sagemaker.triggers.job import JobTrigger

JobSpec = TypeVar("JobSpec", bound=Spec)

PENDING_ALLOWANCE_S = 7200
"""How long a job may wait for machines, beside its own maximum run time, before waiting for it ends."""
BACKSTOP_S = 600
"""Airflow's own deferral timeout comes this much after the trigger's, which stops the job properly."""
CLOCK_SKEW_S = 60
"""By so much the clocks of this host and of AWS may differ."""


class JobOperator(InstanceOperator, Generic[JobSpec]):
    """Run a job exactly once and end with it.

    :param job: what to run; every ``str`` in it may hold Jinja
    :param poll_interval_s: seconds between two looks at the job, the connection's setting by default
    :param pending_allowance_s: seconds that the job may wait for machines before the task gives up
    :param end_in_trigger: let a completed job end the task in the triggerer, without another worker;
        by default wherever the task has neither outlets nor success callbacks, which need a worker
    :param cache: reuse an earlier completed job that did the same work, see docs/cache.md; needs a worker at
        the end
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
        cache: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job.model_dump(mode="json") if isinstance(job, Spec) else job
        self.queue_in_pool(self.kind.operation, self.job)
        self.poll_interval_s = poll_interval_s
        self.pending_allowance_s = pending_allowance_s
        self.end_in_trigger = end_in_trigger
        self.cache = cache
        self.link_urls: dict[str, str] = {}
        self._job_name: str | None = None
        self._since_ms: int | None = None
        self._claim: Claim | None = None
        self._killed = False
        self._cached: TaskReuse | None = None

    def request(self, spec: JobSpec) -> JsonObject:
        """The body of the kind's Create call, but for name and tags."""
        raise NotImplementedError

    def max_runtime_s(self, spec: JobSpec) -> int:
        """How long the job itself may run."""
        return int(getattr(spec, "max_runtime_s"))  # noqa: B009  # every job spec has it; Spec does not

    def rendered(self) -> JobSpec:
        """The spec as it is after Airflow rendered its templates."""
        return self.spec_class.model_validate(self.job)  # type: ignore[return-value]

    @cached_property
    def jobs(self) -> JobHook:
        """Jobs by the task's connection."""
        from airflow_sagemaker.hooks.jobs import JobHook

        return JobHook(self.hook)

    @property
    def thing(self) -> str:
        """As errors and log lines name it."""
        return f"{self.kind.noun.capitalize()} {self._job_name!r}"

    def execute(self, context: Context) -> Any:
        """Make sure that the job exists, then wait for it in the triggerer."""
        spec = self.rendered()
        body = self.request(spec)
        if (reused := self.reusable(context, body)) is not None:
            return reused
        began_s = time.time()
        try:
            submitted = self.submit(context, body, dict(getattr(spec, "tags", {})))
        except KilledError as error:
            raise ended(JobStoppedError, self.thing, "its task was killed while it was being made") from error
        except QuotaExceededError as error:
            self.wait_for_quota(error)
        except SageMakerError as error:
            if not will_retry(self, context, error):
                self.on_kill(patience_s=0.0)
            raise
        if not submitted.adopted:  # its log begins now: nobody has to look for older lines
            self._since_ms = int((began_s - CLOCK_SKEW_S) * 1000)
        if (reuse := self._reuse(context)) is not None:
            reuse.remember(submitted.name, adopted=submitted.adopted)
        if submitted.completed is not None:
            self.log.info("%s had completed already; using its results", self.thing)
            self._keep(context)
            return results_of(self.kind, submitted.completed)
        return self.wait(context, submitted.name, self.max_runtime_s(spec))

    def reusable(self, context: Context, body: JsonObject) -> JsonObject | None:
        """The results of an earlier job that did the same work, where the task allows their use."""
        reuse = self._reuse(context)
        results = reuse.look_up(body) if reuse is not None else None
        if results is not None:
            self._link(results["job_name"])
        return results

    def may_end_in_trigger(self) -> bool:
        """Whether success needs no worker; what a job wrote is noted for the cache by one."""
        return not self.cache and super().may_end_in_trigger()

    def submit(self, context: Context, body: JsonObject, tags: dict[str, str]) -> Submitted:
        """The job that does the task's work, made now or found."""
        submission = Submission(
            api=self.jobs,
            kind=self.kind,
            identity=identity_of(context),
            start=start_of(context),
            record=TaskRecord(context["task_state_store"], STATE_KEY),
            claim=self._claimed(context),
            announce=self._announce,
            log=self.log,
            failed_for_good=lambda described: self._failed_for_good(context, described),
        )
        return submission.submit(body, {**tags, **deployment_tags()})

    def wait(self, context: Context, name: str, max_runtime_s: int) -> Any:
        """Wait until the job has ended: for a moment here where the connection says so, then deferred."""
        most_s = time_left_s(context)
        allowed_s = max_runtime_s + self.pending_allowance_s
        waiting_s = min(allowed_s, most_s)
        # A job that got its machines late has its whole run time; a task's own timeout comes before that.
        late_s = max_runtime_s if allowed_s < most_s else 0
        trigger = partial(
            self.trigger,
            name,
            deadline_s=time.time() + waiting_s,
            max_runtime_s=max_runtime_s if self.kind.start_field or late_s else None,
        )
        if (event := self.wait_here(context, trigger)) is not None:
            return self.execute_complete(context, event)
        self.defer(
            trigger=trigger(),
            method_name="execute_complete",
            timeout=timedelta(seconds=waiting_s + late_s + BACKSTOP_S),
        )

    def trigger(self, name: str, *, deadline_s: float, max_runtime_s: int | None) -> JobTrigger:
        """What waits."""
        from airflow_sagemaker.triggers.job import JobTrigger

        return JobTrigger(
            kind=self.kind.operation,
            job_name=name,
            max_runtime_s=max_runtime_s,
            metric_definitions=[
                *({"Name": name, "Regex": regex} for name, regex in self.kind.log_metrics.items()),
                *(
                    {"Name": metric["name"], "Regex": metric["regex"]}
                    for metric in self.job.get("metric_definitions", ())
                ),
            ],
            since_ms=self._since_ms,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            region=self.hook.region,
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
                self._keep(context)
                return event["results"]
            case "failed":
                raise self.failed(event["reason"])
            case "stopped":
                raise ended(JobStoppedError, self.thing, f"it was stopped ({event['reason']})")
            case "timed_out":
                raise ended(JobTimedOutError, self.thing, event["reason"])
            case "vanished":
                raise ended(JobVanishedError, self.thing, f"it no longer exists ({event['reason']})")
        error = error_named(event["error"], self.thing, event["reason"], event["remedy"])
        self._stop_unless_retried(context, error)
        raise error

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Airflow's own ends of a deferral leave the job running; this is where it is stopped."""
        self._recall(context, next_kwargs)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            self.on_kill()
            raise ended(
                JobTimedOutError,
                self.thing,
                "Airflow's deferral or execution timeout passed; it has been stopped",
            ) from error
        except TaskDeferralError as error:
            self._stop_unless_retried(context, error)
            raise

    def failed(self, reason: str) -> SageMakerError:
        """The error of the failed job, by AWS's reason."""
        return failure(self.thing, reason)

    def on_kill(self, patience_s: float = UNANSWERED_PATIENCE_S) -> None:
        """Stop the paid job, once; make none where it is not made yet."""
        self._killed = True
        if self._claim is not None:
            self._claim.kill(patience_s)

    def _claimed(self, context: Context) -> Claim:
        """What a kill stops; a kill that came before it is not forgotten."""
        if self._claim is None:
            digest, try_number = identity_of(context).digest, int(context["ti"].try_number)
            self._claim = Claim(self.jobs, self.kind, digest, self.log, try_number)
        self._claim.killed = self._claim.killed or self._killed
        return self._claim

    def _reuse(self, context: Context) -> TaskReuse | None:
        """The cache, once for the task; None where the task does not use it."""
        if self.cache and self._cached is None:
            from airflow_sagemaker.operators.reuse import TaskReuse

            self._cached = TaskReuse(self.hook, self.kind, context, self.log)
        return self._cached

    def _keep(self, context: Context) -> None:
        """Let later runs reuse the completed job."""
        if (reuse := self._reuse(context)) is not None and self._job_name is not None:
            reuse.complete(self._job_name, lambda: self.request(self.rendered()))

    def _failed_for_good(self, context: Context, described: Mapping[str, Any]) -> SageMakerError | None:
        """The error of a failed job, where the task's policy lets no try follow it."""
        if self.kind.end(described) is not End.FAILED:
            return None
        error = self.failed(self.kind.reason(described))
        return error if ends_the_task(self, context, error) else None

    def _stop_unless_retried(self, context: Context, error: BaseException) -> None:
        if not will_retry(self, context, error):
            self.on_kill()

    def _recall(self, context: Context, next_kwargs: dict[str, Any] | None) -> None:
        """The job of an earlier process of this task: its trigger tells its name, else the state store."""
        event = (next_kwargs or {}).get("event")
        name = event.get("job_name") if isinstance(event, dict) else None
        if name is None:
            asked = TaskRecord(context["task_state_store"], STATE_KEY).read()
            name = asked.name if asked else None
        if name is not None:
            self._announce(name)
            claim = self._claimed(context)
            claim.adopt(name)
            if claim.killed:
                claim.stop_quietly()
                raise ended(JobStoppedError, self.thing, "its task was killed")

    def _announce(self, name: str) -> None:
        """From here on a kill stops this job, and the links lead to it."""
        self._job_name = name
        self._link(name)

    def _link(self, name: str) -> None:
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
