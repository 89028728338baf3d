"""When scheduled actions are due: ``at(…)``, ``rate(…)`` and ``cron(…)`` in a time zone.

Source: https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sagemaker_local.errors import ValidationException

AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
CRON = re.compile(r"cron\((.*)\)")
UNIT_S = {"minute": 60, "hour": 3600, "day": 86_400}

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
LATE_S = 3600
"""After a pause of the server an action that was due in it is done once, if it is no older than this."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a cron expression."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minutes", 0, 59),
    Field("hours", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, tuple(MONTHS)),
    Field("day of week", 1, 7, tuple(DAYS)),
    Field("year", 1970, 2199),
)


def check(schedule: str, timezone: str) -> None:
    """Refuse a schedule that cannot be read.

    Raises:
        ValidationException: names what is wrong with it.
    """
    try:
        _zone(timezone)
    except (KeyError, ValueError, OSError):
        raise ValidationException(f"{timezone} is not a time zone") from None
    if AT.fullmatch(schedule):
        try:
            datetime.datetime.fromisoformat(schedule[3:-1])
        except ValueError as error:
            raise ValidationException(f"Schedule {schedule}: {error}") from None
        return
    if match := RATE.fullmatch(schedule):
        if int(match[1]) < 1:
            raise ValidationException(f"Schedule {schedule}: the rate must be at least 1")
        return
    if match := CRON.fullmatch(schedule):
        cron(match[1])
        return
    raise ValidationException(
        f"Schedule {schedule} is none of at(yyyy-mm-ddThh:mm:ss), rate(value unit) and "
        "cron(minutes hours day-of-month month day-of-week year)"
    )


def due(action: Mapping[str, Any], anchor_s: float, since_s: float, now_s: float) -> bool:
    """Whether an action comes due after ``since_s`` and not after ``now_s``.

    Args:
        action: As DescribeScheduledActions tells it.
        anchor_s: When it was made: rates count from its StartTime, else from then.
        since_s: When somebody last asked.
        now_s: The time.
    """
    since_s = max(since_s, now_s - LATE_S, action.get("StartTime", 0) - 1e-3)
    until_s = min(now_s, action.get("EndTime", now_s))
    if since_s >= until_s:
        return False
    schedule, zone = action["Schedule"], _zone(action.get("Timezone", "UTC"))
    if match := AT.fullmatch(schedule):
        at = datetime.datetime.fromisoformat(match[1]).replace(tzinfo=zone).timestamp()
        return bool(at <= now_s)  # it is removed once it was done
    if match := RATE.fullmatch(schedule):
        every_s = int(match[1]) * UNIT_S[match[2]]
        start_s = action.get("StartTime", anchor_s)
        return bool((until_s - start_s) // every_s > (since_s - start_s) // every_s and until_s > start_s)
    fields = cron(schedule[5:-1])
    minute_s = (int(since_s) // 60 + 1) * 60
    while minute_s <= until_s:
        if _matches(fields, datetime.datetime.fromtimestamp(minute_s, zone)):
            return True
        minute_s += 60
    return False


@functools.lru_cache(maxsize=256)
def cron(expression: str) -> tuple[frozenset[int] | None, ...]:
    """The values of each field; None where any will do.

    Raises:
        ValidationException: it cannot be read, or uses L, W or #, which are not served.
    """
    parts = expression.split()
    if len(parts) == 5:
        parts.append("*")  # the year may be left out
    if len(parts) != len(FIELDS):
        raise ValidationException(f"cron({expression}) has {len(parts)} fields, not {len(FIELDS)}")
    return tuple(_values(part, field) for part, field in zip(parts, FIELDS, strict=True))


def _values(text: str, field: Field) -> frozenset[int] | None:
    if text in ("*", "?"):
        return None
    values: set[int] = set()
    for part in text.split(","):
        body, _, step = part.partition("/")
        first, dash, last = body.partition("-")
        if body == "*":
            low, high = field.least, field.most
        else:
            low = _number(first, field)
            high = _number(last, field) if dash else (field.most if step else low)
        if not (field.least <= low <= field.most and field.least <= high <= field.most):
            raise ValidationException(
                f"'{part}' is not between {field.least} and {field.most} ({field.name})"
            )
        width = _number(step, field) if step else 1
        if width < 1:
            raise ValidationException(f"'{part}' has no step ({field.name})")
        values.update(range(low, high + 1, width))
    return frozenset(values)


def _number(text: str, field: Field) -> int:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + 1
    if not text.isdecimal() or len(text) > 4:
        raise ValidationException(
            f"'{text}' is not served for {field.name}; numbers, names, ranges, lists and steps are"
        )
    return int(text)


def _matches(fields: tuple[frozenset[int] | None, ...], at: datetime.datetime) -> bool:
    weekday = at.isoweekday() % 7 + 1  # Sunday is 1
    moment = (at.minute, at.hour, at.day, at.month, weekday, at.year)
    return all(wanted is None or value in wanted for wanted, value in zip(fields, moment, strict=True))


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> datetime.tzinfo:
    return datetime.UTC if name in ("UTC", "Etc/UTC") else ZoneInfo(name)
