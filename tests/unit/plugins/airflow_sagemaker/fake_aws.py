"""Jobs and a state store in memory, answering as AWS and Airflow do."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_sagemaker.claim import Claim
from airflow_sagemaker.errors import ThrottledError
from airflow_sagemaker.kinds import COMPILATION, KINDS, TRAINING, JobKind
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.submission import STATE_KEY, NameTakenError, Submission
from airflow_sagemaker.task_record import Start, TaskRecord

TASK = TaskIdentity("d", "r", "t")
BODY = {"RoleArn": "arn:aws:iam::123456789012:role/sagemaker"}
FIRST = Start(max_tries=2, retries=2, try_number=1)
RETRIED = Start(max_tries=2, retries=2, try_number=2)
CLEARED = Start(max_tries=3, retries=2, try_number=2, clear_number=1)
"""After one try."""


class LostWorker(BaseException):
    """The worker is gone: nothing of what it would have done next happens."""


@dataclass
class FakeAws:
    """Jobs by name; ``die`` names the moments that lose the worker."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    die: set[str] = field(default_factory=set)

    def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
        name = request[kind.name_field]
        self.calls.append(f"create {name}")
        if "before create" in self.die:
            raise LostWorker
        if name in self.jobs:
            raise NameTakenError(name)
        self.put(kind, name, "InProgress", {tag["Key"]: tag["Value"] for tag in request["Tags"]})
        if "after create" in self.die:
            raise LostWorker

    def put(self, kind: JobKind, name: str, status: str, tags: Mapping[str, str]) -> None:
        written = status.upper() if kind is COMPILATION else status
        self.jobs[name] = {
            kind.name_field: name,
            kind.arn_field: f"arn:{name}",
            f"{kind.title}Status": written,
            "tags": dict(tags),
            "kind": kind.operation,
        }

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        self.calls.append(f"describe {name}")
        if "throttle describe" in self.die:
            raise ThrottledError(name, "AWS answers ThrottlingException", "Try again later")
        return copy.deepcopy(self.jobs.get(name))

    def tags(self, arn: str) -> dict[str, str]:
        return dict(self.jobs[arn.removeprefix("arn:")]["tags"])

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        self.calls.append(f"tag {arn.removeprefix('arn:')}")
        self.jobs[arn.removeprefix("arn:")]["tags"].update(tags)

    def stop(self, kind: JobKind, name: str) -> bool:
        self.calls.append(f"stop {name}")
        if name not in self.alive:
            return False
        self.end(name, "Stopping")
        return True

    def end(self, name: str, status: str) -> None:
        kind = KINDS[self.jobs[name]["kind"]]
        self.put(kind, name, status, self.jobs[name]["tags"])

    @property
    def alive(self) -> list[str]:
        return [name for name, job in self.jobs.items() if KINDS[job["kind"]].is_alive(job)]

    @property
    def stopped(self) -> list[str]:
        return [call.removeprefix("stop ") for call in self.calls if call.startswith("stop ")]


class Store(dict[str, Any]):
    """Airflow's task state store for one run, task and map index."""

    def set(self, key: str, value: Any) -> None:
        self[key] = copy.deepcopy(value)


def submission(
    aws: Any,
    store: Store,
    start: Start = FIRST,
    kind: JobKind = TRAINING,
    identity: TaskIdentity = TASK,
) -> Submission:
    """As a worker makes one."""
    log = logging.getLogger("test")
    return Submission(
        api=aws,
        kind=kind,
        identity=identity,
        start=start,
        record=TaskRecord(store, STATE_KEY),
        claim=Claim(aws, kind, identity.digest, log),
        announce=lambda name: aws.calls.append(f"announce {name}"),
        log=log,
    )
