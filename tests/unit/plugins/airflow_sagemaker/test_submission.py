"""The truth table of submitting a job: what is found × what happened to the task → what is done."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_sagemaker.errors import ForeignResourceError, JobError, ThrottledError
from airflow_sagemaker.fingerprint import FINGERPRINT_TAG, OWNER_TAG
from airflow_sagemaker.kinds import COMPILATION, KINDS, PROCESSING, TRAINING, JobKind
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.submission import (
    ACTIONS,
    MAX_ATTEMPTS,
    STATE_KEY,
    Action,
    NameTakenError,
    State,
    Submission,
    decide,
    state_of,
)

TASK = TaskIdentity("d", "r", "t")
BODY = {"RoleArn": "arn:aws:iam::123456789012:role/sagemaker"}


@dataclass
class FakeAws:
    """Jobs in memory, answering as AWS does; ``die`` names the calls that lose their worker."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    die: set[str] = field(default_factory=set)

    def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
        name = request[kind.name_field]
        self.calls.append(f"create {name}")
        if "before create" in self.die:
            raise KeyboardInterrupt
        if name in self.jobs:
            raise NameTakenError(name)
        tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        self.put(kind, name, "InProgress", tags)
        if "after create" in self.die:
            raise KeyboardInterrupt

    def put(self, kind: JobKind, name: str, status: str, tags: Mapping[str, str]) -> None:
        self.jobs[name] = {
            kind.name_field: name,
            kind.arn_field: f"arn:{name}",
            f"{kind.title}Status": status,
            "tags": dict(tags),
        }

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        self.calls.append(f"describe {name}")
        if "throttle describe" in self.die:
            raise ThrottledError(name, "AWS answers ThrottlingException", "Try again later")
        return self.jobs.get(name)

    def tags(self, arn: str) -> dict[str, str]:
        return dict(self.jobs[arn.removeprefix("arn:")]["tags"])

    def stop(self, kind: JobKind, name: str) -> None:
        self.calls.append(f"stop {name}")
        self.jobs[name][f"{kind.title}Status"] = "Stopping"

    @property
    def alive(self) -> list[str]:
        return [n for n, job in self.jobs.items() if job["TrainingJobStatus"] == "InProgress"]


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


def submission(aws: FakeAws, store: Store, first_attempt: int = 0, kind: JobKind = TRAINING) -> Submission:
    return Submission(
        api=aws,
        kind=kind,
        identity=TASK,
        first_attempt=first_attempt,
        store=store,
        announce=lambda name: aws.calls.append(f"announce {name}"),
        log=logging.getLogger("test"),
    )


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


@pytest.fixture
def store() -> Store:
    return Store()


def end(aws: FakeAws, name: str, status: str) -> None:
    aws.jobs[name]["TrainingJobStatus"] = status


def test_a_first_try_creates_one_job_and_has_said_so_before(aws: FakeAws, store: Store) -> None:
    submitted = submission(aws, store).submit(BODY, {"team": "ml"})
    assert not submitted.adopted
    assert aws.calls == [f"announce {submitted.name}", f"create {submitted.name}"]
    assert store[STATE_KEY]["name"] == submitted.name
    tags = aws.jobs[submitted.name]["tags"]
    assert tags["team"] == "ml"
    assert tags[FINGERPRINT_TAG] == store[STATE_KEY]["fingerprint"]
    assert tags[OWNER_TAG] == TASK.digest


def test_name_and_fingerprint_are_stored_before_create_is_called(aws: FakeAws, store: Store) -> None:
    aws.die = {"before create"}
    with pytest.raises(KeyboardInterrupt):
        submission(aws, store).submit(BODY, {})
    assert set(store[STATE_KEY]) == {"name", "fingerprint", "attempt", "first_attempt"}


@pytest.mark.parametrize("kept", [True, False], ids=["state store kept", "state store lost"])
def test_a_worker_lost_after_create_finds_its_job(aws: FakeAws, store: Store, kept: bool) -> None:
    aws.die = {"after create"}
    with pytest.raises(KeyboardInterrupt):
        submission(aws, store).submit(BODY, {})
    aws.die = set()
    submitted = submission(aws, store if kept else Store()).submit(BODY, {})
    assert submitted.adopted
    assert list(aws.jobs) == [submitted.name]


@pytest.mark.parametrize("kept", [True, False], ids=["state store kept", "state store lost"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Completed", "adopt"),
        ("Failed", "next"),
        ("Stopped", "next"),
        ("Stopping", "next"),
        ("InProgress", "adopt"),
    ],
)
def test_a_retry_within_the_same_start(
    aws: FakeAws, store: Store, status: str, expected: str, kept: bool
) -> None:
    first = submission(aws, store).submit(BODY, {})
    end(aws, first.name, status)
    second = submission(aws, store if kept else Store()).submit(BODY, {})
    assert second.adopted == (expected == "adopt")
    assert (second.name == first.name) == (expected == "adopt")
    assert (second.completed is not None) == (status == "Completed")
    if expected == "next":
        assert second.name == f"{first.name}-r1"


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped", "InProgress"])
def test_a_cleared_task_runs_anew_and_leaves_nothing_running(aws: FakeAws, store: Store, status: str) -> None:
    first = submission(aws, store).submit(BODY, {})
    end(aws, first.name, status)
    again = submission(aws, store, first_attempt=1).submit(BODY, {})
    assert not again.adopted
    assert again.name == f"{first.name}-r1"
    assert (f"stop {first.name}" in aws.calls) == (status == "InProgress")
    assert aws.alive == [again.name]


def test_a_task_cleared_after_its_state_store_was_dropped_still_runs_anew(aws: FakeAws) -> None:
    first = submission(aws, Store()).submit(BODY, {})
    end(aws, first.name, "Completed")
    again = submission(aws, Store(), first_attempt=1).submit(BODY, {})
    assert again.name == f"{first.name}-r1"


def test_failures_and_clears_never_meet_in_a_name(aws: FakeAws, store: Store) -> None:
    """Tries 1 and 2 fail (two jobs), the task is cleared (two tries used), try 3 fails, try 4 is a retry."""
    names = []
    for first_attempt in (0, 0, 2, 2):
        submitted = submission(aws, store, first_attempt).submit(BODY, {})
        assert not submitted.adopted
        end(aws, submitted.name, "Failed")
        names.append(submitted.name)
    assert len(set(names)) == 4


@pytest.mark.parametrize("status", ["InProgress", "Completed", "Failed", "Stopped"])
@pytest.mark.parametrize("first_attempt", [0, 1])
def test_a_foreign_job_of_our_name_is_refused(
    aws: FakeAws, store: Store, status: str, first_attempt: int
) -> None:
    task = submission(aws, store, first_attempt)
    aws.put(TRAINING, task.name(first_attempt), status, {OWNER_TAG: "somebody else"})
    with pytest.raises(ForeignResourceError, match="somebody else") as raised:
        task.submit(BODY, {})
    assert task.name(first_attempt) in str(raised.value)
    assert len(aws.jobs) == 1
    assert not [call for call in aws.calls if call.startswith("stop")]


def test_a_job_of_ours_that_was_asked_for_other_work_is_replaced(aws: FakeAws, store: Store) -> None:
    first = submission(aws, store).submit(BODY, {})
    second = submission(aws, store).submit({**BODY, "Environment": {"A": "1"}}, {})
    assert not second.adopted
    assert f"stop {first.name}" in aws.calls
    assert aws.alive == [second.name]


def test_a_completed_job_of_other_work_is_not_taken_for_ours(aws: FakeAws, store: Store) -> None:
    first = submission(aws, store).submit(BODY, {})
    end(aws, first.name, "Completed")
    second = submission(aws, store).submit({**BODY, "Environment": {"A": "1"}}, {})
    assert second.name != first.name
    assert second.completed is None


def test_a_throttled_describe_fails_the_try_and_makes_no_job(aws: FakeAws, store: Store) -> None:
    submission(aws, store).submit(BODY, {})
    aws.die = {"throttle describe"}
    with pytest.raises(ThrottledError):
        submission(aws, store).submit(BODY, {})
    assert len(aws.jobs) == 1


def test_a_name_that_stays_taken_after_its_job_was_deleted_is_passed_over(aws: FakeAws, store: Store) -> None:
    task = submission(aws, store)

    class Haunted(FakeAws):
        def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
            if request[kind.name_field] == task.name(0):
                raise NameTakenError
            super().create(kind, request)

    haunted = Haunted()
    assert submission(haunted, store).submit(BODY, {}).name == task.name(1)


def test_endless_names_end_in_an_error(store: Store) -> None:
    class Full(FakeAws):
        def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
            raise NameTakenError

    with pytest.raises(JobError, match=str(MAX_ATTEMPTS)):
        submission(Full(), store).submit(BODY, {})


def test_a_foreign_job_is_not_stopped_when_the_task_is_cleared(aws: FakeAws, store: Store) -> None:
    task = submission(aws, store)
    aws.put(TRAINING, task.name(0), "InProgress", {OWNER_TAG: "somebody else"})
    store[STATE_KEY] = {"name": task.name(0), "fingerprint": "x", "attempt": 0, "first_attempt": 0}
    submission(aws, store, first_attempt=1).submit(BODY, {})
    assert not [call for call in aws.calls if call.startswith("stop")]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("same_work", [True, False])
def test_the_table_is_whole(state: State, same_work: bool) -> None:
    assert decide(state, ours=True, same_work=same_work) is ACTIONS[state, same_work]
    assert decide(state, ours=False, same_work=same_work) is Action.REFUSE


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("InProgress", State.ALIVE),
        ("Completed", State.COMPLETED),
        ("Failed", State.DEAD),
        ("Stopped", State.DEAD),
        ("Stopping", State.DEAD),
    ],
)
def test_states_of_every_kind(kind: JobKind, status: str, state: State) -> None:
    written = status.upper() if kind is COMPILATION else status
    assert state_of(kind, {f"{kind.title}Status": written}) is state


def test_compilation_jobs_wait_in_a_state_of_their_own() -> None:
    assert state_of(COMPILATION, {"CompilationJobStatus": "STARTING"}) is State.ALIVE


def test_kinds_do_not_share_names_by_accident(aws: FakeAws, store: Store) -> None:
    """The name follows from the task: two kinds under one name live in two services' name spaces."""
    assert submission(aws, store).name(0) == submission(aws, store, kind=PROCESSING).name(0)
