"""Changes of a job's record: each is one transaction, each stamps the times that AWS stamps."""

from __future__ import annotations

from typing import Any

from sagemaker_local import limits
from sagemaker_local.jobs.kinds import SECONDARY_MESSAGES, JobKind
from sagemaker_local.names import now
from sagemaker_local.store import Record, Store

SPOT_PRICE = 0.3
"""What a spot instance costs of what one on demand does: AWS promises savings of up to 90 %, often 70 %."""


def billable_s(seconds: int, *, spot: bool) -> int:
    """BillableTimeInSeconds, from which people compute their savings: AWS scales it by the spot price."""
    return max(1, int(seconds * SPOT_PRICE)) if spot else seconds


def _ran_s(record: Record, at: float) -> float:
    since = record.private.get("running_since")
    return float(record.private.get("ran_s", 0.0)) + (at - since if since is not None else 0.0)


class JobRecord:
    """The durable record of one job.

    Args:
        store: Where it lies.
        kind: The kind of job.
        name: The job's name.
    """

    def __init__(self, store: Store, kind: JobKind, name: str) -> None:
        self.store = store
        self.kind = kind
        self.name = name

    def read(self) -> Record:
        """The record as it is now."""
        return self.store.get(self.kind.kind, self.name)

    @property
    def status(self) -> str:
        """The status as it is now."""
        return str(self.read().document[self.kind.status_field])

    def set(self, **fields: Any) -> None:
        """Write fields of the Describe answer; None removes one."""

        def change(record: Record) -> None:
            for name, value in fields.items():
                if value is None:
                    record.document.pop(name, None)
                else:
                    record.document[name] = value
            self._touch(record, now())

        self.store.update(self.kind.kind, self.name, change)

    def set_private(self, **fields: Any) -> None:
        """Write what only the server needs."""
        self.store.update(self.kind.kind, self.name, lambda record: record.private.update(fields))

    def secondary(self, status: str) -> None:
        """Take the next step of a training job; other kinds do not tell their steps."""
        if not self.kind.has_secondary_status:
            return
        at = now()
        self.store.update(self.kind.kind, self.name, lambda record: self._step(record, status, at))

    def restart(self) -> None:
        """Forget the steps of a job that is begun anew, unless it is tried again."""

        def change(record: Record) -> None:
            record.document[self.kind.status_field] = self.kind.statuses.starting
            if not record.private.get("retries"):
                record.document.pop(self.kind.start_field, None)
                record.document.pop("SecondaryStatusTransitions", None)
            record.private.pop("running_since", None)
            if self.kind.has_secondary_status:
                self._step(record, "Starting", now())

        self.store.update(self.kind.kind, self.name, change)

    def begin(self) -> None:
        """The job has its place on the machine: from now on it is billed on AWS."""
        at = now()

        def change(record: Record) -> None:
            record.document.setdefault(self.kind.start_field, at)
            if record.document[self.kind.status_field] != self.kind.statuses.stopping:
                record.document[self.kind.status_field] = self.kind.statuses.in_progress
            record.private["running_since"] = at
            self._touch(record, at)

        self.store.update(self.kind.kind, self.name, change)

    def pause(self, secondary: str) -> None:
        """The job's instances are gone for now: neither training nor billed."""
        at = now()

        def change(record: Record) -> None:
            record.private["ran_s"] = _ran_s(record, at)
            record.private.pop("running_since", None)
            record.private.pop("started", None)
            self._step(record, secondary, at)

        self.store.update(self.kind.kind, self.name, change)

    def retry(self, most: int) -> bool:
        """Begin anew after a failure of the service, if that did not happen ``most`` times already."""
        at = now()
        granted = False

        def change(record: Record) -> None:
            nonlocal granted
            retries = record.private.get("retries", 0)
            if granted := retries < most:
                record.private["retries"] = retries + 1
                record.private["ran_s"] = _ran_s(record, at)
                record.private.pop("running_since", None)
                record.private.pop("started", None)
                self._step(record, "Restarting", at)

        self.store.update(self.kind.kind, self.name, change)
        return granted

    @property
    def ran_s(self) -> float:
        """How long the job has had its instances, all times together."""
        return _ran_s(self.read(), now())

    def stopping(self) -> None:
        """Somebody asked to stop the job."""
        self.set(**{self.kind.status_field: self.kind.statuses.stopping})
        self.secondary("Stopping")

    def end(self, status: str, *, secondary: str, reason: str | None = None) -> None:
        """The job is over.

        Args:
            status: The kind's word for how it ended.
            secondary: The training job's last step.
            reason: Becomes FailureReason.
        """
        at = now()

        def change(record: Record) -> None:
            document = record.document
            document[self.kind.status_field] = status
            document[self.kind.end_field] = at
            if reason is not None:
                document["FailureReason"] = reason[: limits.FAILURE_REASON_CHARACTERS]
            if self.kind.has_secondary_status:
                self._step(record, secondary, at)
                document["SecondaryStatusTransitions"][-1]["EndTime"] = at
                if self.kind.start_field in document:
                    seconds = max(1, round(_ran_s(record, at)))
                    spot = document.get("EnableManagedSpotTraining", False)
                    document["TrainingTimeInSeconds"] = seconds
                    document["BillableTimeInSeconds"] = billable_s(seconds, spot=spot)
            self._touch(record, at)

        self.store.update(self.kind.kind, self.name, change)

    def _step(self, record: Record, status: str, at: float) -> None:
        transitions = record.document.setdefault("SecondaryStatusTransitions", [])
        if transitions:
            transitions[-1].setdefault("EndTime", at)
        message = SECONDARY_MESSAGES[status]
        transitions.append({"Status": status, "StartTime": at, "StatusMessage": message})
        record.document["SecondaryStatus"] = status
        self._touch(record, at)

    def _touch(self, record: Record, at: float) -> None:
        if self.kind.kind != "transform_job":  # DescribeTransformJob has no such field
            record.document["LastModifiedTime"] = at
