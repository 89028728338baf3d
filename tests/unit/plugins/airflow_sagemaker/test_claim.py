"""A kill in every window: the paid job is stopped once, or never made."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from airflow_sagemaker.claim import LOOK_INTERVAL_S, UNANSWERED_PATIENCE_S, Claim, KilledError
from airflow_sagemaker.errors import UnreachableError
from airflow_sagemaker.fingerprint import OWNER_TAG, TRY_TAG
from airflow_sagemaker.kinds import TRAINING
from tests.unit.plugins.airflow_sagemaker.fake_aws import TASK, FakeAws

OURS = {OWNER_TAG: TASK.digest}


class Slept(list[float]):
    """What was slept, and what happens meanwhile."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def __call__(self, seconds: float) -> None:
        self.append(seconds)
        self.meanwhile()


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


def claim(aws: FakeAws, sleep: Callable[[float], None] | None = None) -> Claim:
    return Claim(
        aws, TRAINING, TASK.digest, logging.getLogger("test"), _sleep=Slept() if sleep is None else sleep
    )


def test_nothing_is_stopped_where_nothing_was_asked_for(aws: FakeAws) -> None:
    claim(aws).kill()
    assert aws.calls == []


def test_nothing_is_made_after_a_kill(aws: FakeAws) -> None:
    ours = claim(aws)
    ours.kill()
    with pytest.raises(KilledError):
        ours.ask("job", lambda: pytest.fail("Create was called"))
    assert aws.calls == []


def test_a_kill_that_meets_an_accepted_create_stops_it_there_and_then_once(aws: FakeAws) -> None:
    ours = claim(aws)

    def create() -> None:
        aws.put(TRAINING, "job", "InProgress", OURS)
        ours.kill()
        # With not a call more than it takes: Airflow sends SIGKILL five seconds after SIGTERM.
        assert aws.calls == ["describe job", "stop job"]

    ours.ask("job", create)
    with pytest.raises(KilledError):
        ours.require_life()
    ours.kill()
    assert aws.stopped == ["job"]


def test_a_kill_that_comes_before_create_is_accepted_stops_it_once_it_is(aws: FakeAws) -> None:
    slept = Slept()
    ours = claim(aws, slept)

    def create() -> None:
        ours.kill()
        aws.put(TRAINING, "job", "InProgress", OURS)

    ours.ask("job", create)
    with pytest.raises(KilledError):
        ours.require_life()
    assert aws.stopped == ["job"]
    assert slept == []  # the handler lies on top of Create: waiting there would only hold it up


def test_a_create_that_was_cut_off_is_waited_for(aws: FakeAws) -> None:
    ours = claim(aws, Slept(lambda: aws.put(TRAINING, "job", "InProgress", OURS)))

    def cut_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ours.ask("job", cut_off)
    ours.kill()
    assert aws.stopped == ["job"]


def test_a_create_that_never_arrives_is_not_waited_for_for_ever(aws: FakeAws) -> None:
    slept = Slept()
    ours = claim(aws, slept)

    def cut_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ours.ask("job", cut_off)
    ours.kill()
    assert aws.stopped == []
    assert sum(slept) == pytest.approx(UNANSWERED_PATIENCE_S, abs=LOOK_INTERVAL_S)


def test_somebody_elses_job_is_left_alone(aws: FakeAws) -> None:
    ours = claim(aws)
    aws.put(TRAINING, "job", "InProgress", {OWNER_TAG: "somebody else"})
    with pytest.raises(KeyboardInterrupt):
        ours.ask("job", raise_interrupt)
    ours.kill()
    assert aws.stopped == []


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def test_an_adopted_job_is_ours(aws: FakeAws) -> None:
    aws.put(TRAINING, "job", "InProgress", OURS)
    ours = claim(aws)
    ours.adopt("job")
    ours.kill()
    assert aws.stopped == ["job"]


@pytest.mark.parametrize(("latest", "stopped"), [("2", []), ("1", ["job"]), ("", ["job"]), ("x", ["job"])])
def test_a_job_that_a_later_try_took_up_is_left_to_it(aws: FakeAws, latest: str, stopped: list[str]) -> None:
    """This try stood still, was taken for dead, and comes back to be told that it is over."""
    ours = claim(aws)
    ours.ask("job", lambda: aws.put(TRAINING, "job", "InProgress", OURS))
    aws.put(TRAINING, "job", "InProgress", {**OURS, TRY_TAG: latest})
    ours.kill()
    assert aws.stopped == stopped


def test_a_kill_stops_the_job_where_nobody_can_say_who_works_with_it(aws: FakeAws) -> None:
    ours = claim(aws)
    ours.ask("job", lambda: aws.put(TRAINING, "job", "InProgress", {**OURS, TRY_TAG: "2"}))
    aws.die = {"throttle describe"}
    ours.kill()
    assert aws.stopped == ["job"]


def test_aws_that_cannot_be_told_is_told_again_after_create(
    aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that left the signal handler would break the very Create that is under way."""
    aws.die = {"throttle describe"}
    ours = claim(aws)

    def create() -> None:
        aws.put(TRAINING, "job", "InProgress", OURS)
        ours.kill()

    ours.ask("job", create)
    assert "could not be stopped" in caplog.text
    with pytest.raises(KilledError):
        ours.require_life()
    assert aws.stopped == ["job"]


def test_a_stop_that_fails_is_no_reason_to_raise_in_a_signal_handler(
    aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    class Unreachable(FakeAws):
        def stop(self, *_: object) -> bool:
            raise UnreachableError("t", "no answer", "r")

    ours = claim(Unreachable())
    ours.adopt("job")
    ours.kill()
    assert "could not be stopped" in caplog.text
    assert not ours.stopped
