"""When scheduled actions are due."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from sagemaker_local.autoscaling.schedules import check, due
from sagemaker_local.errors import ValidationException


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(f"{text}+00:00").timestamp()


MADE = at("2026-11-20T00:00:00")


def is_due(schedule: str, since: str, until: str, **more: Any) -> bool:
    return due({"Schedule": schedule, **more}, MADE, at(since), at(until))


@pytest.mark.parametrize(
    ("schedule", "moment", "zone"),
    [
        ("cron(30 8 * * ? *)", "2026-11-20T08:30:00", "UTC"),
        ("cron(0/15 * ? * FRI *)", "2026-11-20T13:45:00", "UTC"),
        ("cron(0 9 ? * MON-FRI *)", "2026-11-20T14:00:00", "America/New_York"),
        ("cron(5,10 0 1 JAN ? 2027)", "2027-01-01T00:10:00", "UTC"),
        ("rate(5 minutes)", "2026-11-20T10:35:00", "UTC"),
        ("rate(1 hour)", "2026-11-20T10:00:00", "UTC"),
        ("at(2026-11-20T12:00:00)", "2026-11-20T11:00:00", "Europe/Berlin"),
    ],
)
def test_due_at_its_moment_and_not_before(schedule: str, moment: str, zone: str) -> None:
    check(schedule, zone)
    before = at(moment) - 1
    action = {"Schedule": schedule, "Timezone": zone}
    assert due(action, MADE, before, at(moment))
    assert not due(action, MADE, before - 10, before)


def test_after_a_pause_it_is_done_once_and_not_when_too_long_ago() -> None:
    assert is_due("cron(0 8 * * ? *)", "2026-11-20T07:00:00", "2026-11-20T08:40:00")
    assert not is_due("cron(0 8 * * ? *)", "2026-11-20T07:00:00", "2026-11-20T23:40:00")


def test_not_before_its_start_nor_after_its_end() -> None:
    minute = ("cron(* * * * ? *)", "2026-11-20T08:00:30", "2026-11-20T08:01:30")
    assert is_due(*minute)
    assert not is_due(*minute, StartTime=at("2026-11-20T09:00:00"))
    assert not is_due(*minute, EndTime=at("2026-11-20T08:00:00"))


WRONG = [
    "", "daily", "at(2026-13-01T00:00:00)", "at(tomorrow)", "rate(0 minutes)", "rate(5 weeks)",
    "cron(* * *)", "cron(60 * * * ? *)", "cron(0 0 L * ? *)", "cron(0 0 ? * 2#1 *)", "cron(0/0 * * * ? *)",
    "cron(a * * * ? *)",
]  # fmt: skip


@pytest.mark.parametrize("schedule", WRONG)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValidationException):
        check(schedule, "UTC")


def test_a_time_zone_must_be_one() -> None:
    with pytest.raises(ValidationException, match="not a time zone"):
        check("rate(1 hour)", "Mars/Olympus")
