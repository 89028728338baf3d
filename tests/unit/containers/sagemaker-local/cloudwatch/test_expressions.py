"""Metric math: against Python's own arithmetic, and what is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.cloudwatch.alarm_rules import RuleError, alarms_of, state
from sagemaker_local.cloudwatch.expression_functions import Context, ExpressionError
from sagemaker_local.cloudwatch.expressions import evaluate

TIMES = [0, 60, 120]
M1 = {0: 1.0, 60: 2.0, 120: 4.0}
M2 = {0: 10.0, 120: 0.0}


def value(expression: str) -> object:
    return evaluate(expression, Context({"m1": M1, "m2": M2}, ["m1", "m2"], 60, TIMES))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m1 + 1", {0: 2.0, 60: 3.0, 120: 5.0}),
        ("m1 - m2", {0: -9.0, 120: 4.0}),
        ("m1 / m2", {0: 0.1}),
        ("-m1 ^ 2", {0: -1.0, 60: -4.0, 120: -16.0}),
        ("(m1 + 1) * 2 > 5", {0: 0.0, 60: 1.0, 120: 1.0}),
        ("SUM(m1)", 7.0),
        ("SUM([m1, m2])", {0: 11.0, 60: 2.0, 120: 4.0}),
        ('MAX(METRICS("m"))', {0: 10.0, 60: 2.0, 120: 4.0}),
        ("m1 / PERIOD(m1) * 60", M1),
        ("FILL(m2, 0)", {0: 10.0, 60: 0.0, 120: 0.0}),
        ("FILL(m2, REPEAT)", {0: 10.0, 60: 10.0, 120: 0.0}),
        ("FILL(m2, m1)", {0: 10.0, 60: 2.0, 120: 0.0}),
        ("DIFF(m1)", {60: 1.0, 120: 2.0}),
        ("RATE(m1)", {60: 1 / 60, 120: 2 / 60}),
        ("IF(m1 > 1, m1)", {60: 2.0, 120: 4.0}),
        ("IF(m1 == 1 || m1 >= 4, 1, 0)", {0: 1.0, 60: 0.0, 120: 1.0}),
        ("[m1, m2] / 2", [{0: 0.5, 60: 1.0, 120: 2.0}, {0: 5.0, 120: 0.0}]),
        ("RUNNING_SUM(m1)", {0: 1.0, 60: 3.0, 120: 7.0}),
        ("CEIL(m1 / 3)", {0: 1.0, 60: 1.0, 120: 2.0}),
    ],
)
def test_values(expression: str, expected: object) -> None:
    assert value(expression) == expected


WRONG = [
    "", "m1 +", "m1 m2", "(m1", "SUM m1", "ANOMALY_DETECTION_BAND(m1)", "SUM(m1, m2)", "1 / 0",
    "FILL(m1, LINEAR)", "FILL(1, 0)", "m1 ;", "IF([m1],1)",
]  # fmt: skip


@pytest.mark.parametrize("expression", WRONG)
def test_what_cannot_be_computed_is_refused(expression: str) -> None:
    with pytest.raises((ExpressionError, KeyError)):
        value(expression)


numbers = st.integers(0, 99).map(str)
arithmetic = st.recursive(
    numbers, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner), max_leaves=12
)


@given(arithmetic)
def test_arithmetic_is_pythons(expression: str) -> None:
    assert value(expression) == pytest.approx(float(eval(expression)))  # noqa: S307 - made above


@given(st.text("m12 +-*/^()[],.<>=!&|SUMFILIABCtx\"'", max_size=40))
def test_any_text_is_computed_or_refused(expression: str) -> None:
    with contextlib.suppress(ExpressionError, KeyError):
        value(expression)


def test_rules_of_composite_alarms() -> None:
    states = {"a": "ALARM", "b": "OK", 'c "d"': "INSUFFICIENT_DATA"}
    for rule, expected in {
        "ALARM(a)": "ALARM",
        'ALARM("b")': "OK",
        "ALARM(a) AND NOT OK(b)": "OK",
        "NOT ALARM(b) AND (OK(b) OR FALSE)": "ALARM",
        'INSUFFICIENT_DATA("c \\"d\\"") AND TRUE': "ALARM",
        "ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)": "ALARM",
        "ALARM(b) AND ALARM(b) OR ALARM(a)": "ALARM",
        "ALARM(gone)": "OK",
    }.items():
        assert state(rule, states) == expected, rule
    assert alarms_of("ALARM(a) OR (OK(b) AND ALARM(a))") == ["a", "b"]
    for wrong in ("", "ALARM()", "ALARM(a) ALARM(b)", "NOT", "(ALARM(a)", "alarm(a)", "(" * 200):
        with pytest.raises(RuleError):
            alarms_of(wrong)
