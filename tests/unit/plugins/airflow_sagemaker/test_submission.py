"""Submitting a job: what is stored when, which name is taken, and what is never touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_sagemaker.deployment import DEPLOYMENT_TAG
from airflow_sagemaker.errors import (
    ForeignResourceError,
    JobError,
    QuotaExceededError,
    RequestRejectedError,
    ThrottledError,
)
from airflow_sagemaker.fingerprint import FINGERPRINT_TAG, OWNER_TAG, START_TAG, TRY_TAG
from airflow_sagemaker.kinds import COMPILATION, KINDS, PROCESSING, TRAINING, TUNING, JobKind
from airflow_sagemaker.submission import (
    ACTIONS,
    MAX_ATTEMPTS,
    STATE_KEY,
    Action,
    NameTakenError,
    Origin,
    State,
    decide,
    state_of,
)
from airflow_sagemaker.task_record import Start
from tests.unit.plugins.airflow_sagemaker.fake_aws import (
    BODY,
    CLEARED,
    FIRST,
    RETRIED,
    TASK,
    FakeAws,
    LostWorker,
    Store,
    submission,
)


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


@pytest.fixture
def store() -> Store:
    return Store()


def test_a_first_try_creates_one_job_and_has_said_so_before(aws: FakeAws, store: Store) -> None:
    submitted = submission(aws, store).submit(BODY, {"team": "ml"})
    assert not submitted.adopted
    assert aws.calls == [f"announce {submitted.name}", f"create {submitted.name}"]
    assert store[STATE_KEY]["name"] == submitted.name
    tags = aws.jobs[submitted.name]["tags"]
    assert tags["team"] == "ml"
    assert tags[FINGERPRINT_TAG] == store[STATE_KEY]["fingerprint"]
    assert tags[OWNER_TAG] == TASK.digest
    assert tags[START_TAG] == store[STATE_KEY]["start_tag"]


def test_tags_that_are_part_of_the_work_are_kept(aws: FakeAws, store: Store) -> None:
    asked_for = {**BODY, "Tags": [{"Key": "compilation:if-not-faster", "Value": "serve_original"}]}
    tags = aws.jobs[submission(aws, store).submit(asked_for, {"team": "ml"}).name]["tags"]
    assert tags["compilation:if-not-faster"] == "serve_original"
    assert tags["team"] == "ml"
    assert tags[OWNER_TAG] == TASK.digest
    plain = submission(aws, store, RETRIED).submit(BODY, {"team": "ml"})
    assert aws.jobs[plain.name]["tags"][FINGERPRINT_TAG] != tags[FINGERPRINT_TAG]


def test_name_and_fingerprint_are_stored_before_create_is_called(aws: FakeAws, store: Store) -> None:
    aws.die = {"before create"}
    with pytest.raises(LostWorker):
        submission(aws, store).submit(BODY, {})
    stored = {"name", "fingerprint", "attempt", "start", "start_tag", "certain", "deployment"}
    assert set(store[STATE_KEY]) == stored


def test_retries_and_clears_never_meet_in_a_name(aws: FakeAws, store: Store) -> None:
    """Two tries fail, the task is cleared after them, and two more tries fail."""
    names = []
    for start in (
        FIRST,
        RETRIED,
        Start(max_tries=4, retries=2, try_number=3),
        Start(max_tries=4, retries=2, try_number=4),
    ):
        submitted = submission(aws, store, start).submit(BODY, {})
        assert not submitted.adopted
        aws.end(submitted.name, "Failed")
        names.append(submitted.name)
    assert len(set(names)) == 4


def test_a_job_of_ours_that_was_asked_for_other_work_is_replaced(aws: FakeAws, store: Store) -> None:
    first = submission(aws, store).submit(BODY, {})
    second = submission(aws, store, RETRIED).submit({**BODY, "Environment": {"A": "1"}}, {})
    assert not second.adopted
    assert aws.stopped == [first.name]
    assert aws.alive == [second.name]


def test_a_completed_job_of_other_work_is_not_taken_for_ours(aws: FakeAws, store: Store) -> None:
    first = submission(aws, store).submit(BODY, {})
    aws.end(first.name, "Completed")
    second = submission(aws, store, RETRIED).submit({**BODY, "Environment": {"A": "1"}}, {})
    assert second.name != first.name
    assert second.completed is None


def test_other_retries_in_the_dag_file_are_no_clear(aws: FakeAws, store: Store) -> None:
    first = submission(aws, store).submit(BODY, {})
    again = submission(aws, store, Start(max_tries=2, retries=0, try_number=2)).submit(BODY, {})
    assert (again.name, again.adopted) == (first.name, True)


def test_a_state_store_that_is_lost_for_a_while_loses_no_job(aws: FakeAws, store: Store) -> None:
    first = submission(aws, store).submit(BODY, {})
    store.clear()
    for try_number in (2, 3):
        again = submission(aws, store, Start(max_tries=2, retries=2, try_number=try_number)).submit(BODY, {})
        assert (again.name, again.adopted) == (first.name, True)
    assert aws.stopped == []


def test_a_create_that_a_client_repeats_finds_its_own_job(store: Store) -> None:
    """The answer to the first call was lost on the way; the second one hears that the name is in use."""

    class Repeating(FakeAws):
        def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
            super().create(kind, request)
            super().create(kind, request)

    aws = Repeating()
    submitted = submission(aws, store).submit(BODY, {})
    assert submitted.adopted
    assert aws.alive == [submitted.name]
    assert aws.stopped == []


def test_an_airflow_that_has_another_id_by_now_finds_its_job(aws: FakeAws, store: Store) -> None:
    """First tasks at once each made an id, and this one's was lost."""
    first = submission(aws, store).submit(BODY, {DEPLOYMENT_TAG: "lost"})
    for try_number in (2, 3):
        start = Start(max_tries=2, retries=2, try_number=try_number)
        again = submission(aws, store, start).submit(BODY, {DEPLOYMENT_TAG: "stays"})
        assert (again.name, again.adopted) == (first.name, True)
    anew = submission(aws, store, CLEARED).submit(BODY, {DEPLOYMENT_TAG: "stays"})
    assert aws.stopped == [first.name]
    assert aws.alive == [anew.name]


def test_a_job_says_which_try_works_with_it(aws: FakeAws, store: Store) -> None:
    """So that the first one, which may only have stood still, does not stop it."""
    name = submission(aws, store).submit(BODY, {}).name
    assert TRY_TAG not in aws.jobs[name]["tags"]
    submission(aws, store, RETRIED).submit(BODY, {})
    assert aws.jobs[name]["tags"][TRY_TAG] == "2"
    aws.end(name, "Failed")
    following = submission(aws, store, Start(max_tries=2, retries=2, try_number=3)).submit(BODY, {})
    assert aws.jobs[following.name]["tags"][TRY_TAG] == "3"


def test_another_airflows_job_is_passed_over(aws: FakeAws, store: Store) -> None:
    theirs = submission(aws, Store()).submit(BODY, {DEPLOYMENT_TAG: "theirs"})
    ours = submission(aws, store).submit(BODY, {DEPLOYMENT_TAG: "ours"})
    again = submission(aws, store, RETRIED).submit(BODY, {DEPLOYMENT_TAG: "ours"})
    assert (again.name, again.adopted) == (ours.name, True)
    assert set(aws.alive) == {theirs.name, ours.name}
    assert aws.stopped == []


def test_a_throttled_describe_fails_the_try_makes_no_job_and_loses_none(aws: FakeAws, store: Store) -> None:
    first = submission(aws, store).submit(BODY, {})
    aws.die = {"throttle describe"}
    with pytest.raises(ThrottledError):
        submission(aws, store, RETRIED).submit(BODY, {})
    aws.die = set()
    assert submission(aws, store, Start(max_tries=2, retries=2, try_number=3)).submit(BODY, {}).adopted
    assert list(aws.jobs) == [first.name]


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
    first = task.submit(BODY, {})
    aws.jobs[first.name]["tags"][OWNER_TAG] = "somebody else"
    submission(aws, store, CLEARED).submit(BODY, {})
    assert aws.stopped == []


def test_a_foreign_job_is_refused_with_the_name_and_the_owner(aws: FakeAws, store: Store) -> None:
    task = submission(aws, store)
    aws.put(TRAINING, task.name(0), "InProgress", {OWNER_TAG: "somebody else"})
    with pytest.raises(ForeignResourceError, match="somebody else") as raised:
        task.submit(BODY, {})
    assert task.name(0) in str(raised.value)


def test_a_kill_after_a_refusal_has_nothing_to_stop(aws: FakeAws, store: Store) -> None:
    class Refusing(FakeAws):
        def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
            raise RequestRejectedError("t", "c", "r")

    refusing = Refusing()
    task = submission(refusing, store)
    with pytest.raises(RequestRejectedError):
        task.submit(BODY, {})
    refusing.calls.clear()
    task.claim.kill()
    assert refusing.calls == []


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("same_work", [True, False])
def test_the_table_is_whole(state: State, same_work: bool) -> None:
    for origin in (Origin.THIS_START, Origin.EARLIER_START):
        assert decide(state, origin, same_work=same_work) is ACTIONS[state, origin, same_work]
    assert decide(state, Origin.FOREIGN, same_work=same_work) is Action.REFUSE


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("InProgress", State.ALIVE),
        ("Completed", State.COMPLETED),
        ("Failed", State.DEAD),
        ("Stopped", State.DEAD),
        ("Stopping", State.DEAD),
        ("Deleting", State.DEAD),
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


def test_the_name_of_a_tuning_job_is_short_and_its_attempts_differ(aws: FakeAws, store: Store) -> None:
    tuning = submission(aws, store, kind=TUNING)
    names = [tuning.name(attempt) for attempt in (0, 1, MAX_ATTEMPTS)]
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 32


def test_what_is_refused_for_a_quota_is_asked_for_again_under_the_same_name(
    aws: FakeAws, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(aws, "create", refuse)
        with pytest.raises(QuotaExceededError):
            submission(aws, store).submit(BODY, {})
    name = store[STATE_KEY]["name"]
    assert aws.jobs == {}
    assert submission(aws, store).submit(BODY, {}).name == name


def test_a_quota_that_our_own_job_uses_up_is_no_refusal(
    aws: FakeAws, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Create was accepted, its answer was lost, and the client's next attempt exceeds the quota."""
    name = submission(aws, store).submit(BODY, {}).name
    monkeypatch.setattr(aws, "create", refuse)
    submitted = submission(aws, store).submit(BODY, {})
    assert (submitted.name, submitted.adopted) == (name, True)


def refuse(*_: Any) -> None:
    raise QuotaExceededError("Training job", "AWS answers ResourceLimitExceeded", "Wait")
