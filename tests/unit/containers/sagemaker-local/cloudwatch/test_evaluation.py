"""When an alarm is in ALARM: AWS's own tables, and what must hold for any data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.cloudwatch.evaluation import EXTRA_POINTS, TREATMENTS, evaluate

OK, ALARM, INSUFFICIENT, KEPT = "OK", "ALARM", "INSUFFICIENT_DATA", "kept"
POINTS = {"0": False, "X": True, "-": None}

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarms-and-missing-data
# Data points     M of 3   missing       ignore  breaching  notBreaching
AWS_TABLES = [
    ("0 - X - X", 3, OK,           OK,    OK,    OK),
    ("0 - - - -", 3, OK,           OK,    OK,    OK),
    ("- - - - -", 3, INSUFFICIENT, KEPT,  ALARM, OK),
    ("0 X X - X", 3, ALARM,        ALARM, ALARM, ALARM),
    ("- - X - -", 3, ALARM,        KEPT,  ALARM, OK),
    ("0 - X - X", 2, ALARM,        ALARM, ALARM, ALARM),
    ("0 0 X 0 X", 2, ALARM,        ALARM, ALARM, ALARM),
    ("0 - X - -", 2, OK,           OK,    ALARM, OK),
    ("- - - - 0", 2, OK,           OK,    ALARM, OK),
    ("- - - X -", 2, ALARM,        KEPT,  ALARM, OK),
]  # fmt: skip


@pytest.mark.parametrize("state", [OK, ALARM, INSUFFICIENT])
@pytest.mark.parametrize(("points", "needed", "missing", "ignore", "breaching", "not_breaching"), AWS_TABLES)
def test_the_tables_of_aws(
    points: str, needed: int, missing: str, ignore: str, breaching: str, not_breaching: str, state: str
) -> None:
    expected = {
        "missing": missing, "ignore": ignore, "breaching": breaching, "notBreaching": not_breaching,
    }  # fmt: skip
    for treatment, wanted in expected.items():
        found = evaluate(
            [POINTS[point] for point in points.split()],
            evaluation_periods=3,
            datapoints_to_alarm=needed,
            treat_missing_data=treatment,
            state=state,
        )
        assert found == (state if wanted == KEPT else wanted), treatment


periods = st.integers(1, 6)


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(periods)
    point = st.sampled_from([True, False, None])
    return {
        "points": draw(st.lists(point, min_size=count + EXTRA_POINTS, max_size=count + EXTRA_POINTS)),
        "evaluation_periods": count,
        "datapoints_to_alarm": draw(st.integers(1, count)),
        "treat_missing_data": draw(st.sampled_from(TREATMENTS)),
        "state": draw(st.sampled_from([OK, ALARM, INSUFFICIENT])),
    }


def run(situation: dict[str, Any]) -> str:
    points = situation["points"]
    return evaluate(points, **{key: each for key, each in situation.items() if key != "points"})  # type: ignore[arg-type]


@given(situations())
def test_with_all_data_the_latest_points_alone_decide(situation: dict[str, Any]) -> None:
    points = [point or False for point in situation["points"]]
    breaching = sum(points[-situation["evaluation_periods"] :])
    expected = ALARM if breaching >= situation["datapoints_to_alarm"] else OK
    assert run(situation | {"points": points}) == expected


@given(situations())
def test_another_breach_never_ends_an_alarm(situation: dict[str, Any]) -> None:
    if run(situation) == ALARM:
        worse = [True if point is False else point for point in situation["points"]]
        assert run(situation | {"points": worse}) == ALARM


@given(situations())
def test_only_silence_is_insufficient(situation: dict[str, Any]) -> None:
    if run(situation) == INSUFFICIENT and situation["state"] != INSUFFICIENT:
        assert situation["treat_missing_data"] == "missing"
        assert set(situation["points"]) == {None}


@given(situations())
def test_treating_missing_data_as_something_always_decides(situation: dict[str, Any]) -> None:
    if situation["treat_missing_data"] in ("breaching", "notBreaching"):
        assert run(situation) in (OK, ALARM)
        assert run(situation) == run(situation | {"state": INSUFFICIENT})
