from __future__ import annotations

import pytest

from sagemaker_local.logs.filter_pattern import InvalidParameterException, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR disk", "disk ERROR", True),
        ("ERROR disk", "ERROR", False),
        ('"disk full"', "the disk full", True),
        ('"disk full"', "full disk", False),
        (r'"say \"no\""', 'say "no"', True),
        ("?a ?b", "b", True),
        ("?a ?b", "c", False),
        ("ERROR -retry", "ERROR, will retry", False),
        ("ERROR -retry", "ERROR", True),
        ('-"not this"', "not this", False),
        ("ERROR ?x", "ERROR", True),
    ],
)
def test_terms(pattern: str, message: str, matches: bool) -> None:
    assert compile_pattern(pattern)(message) is matches


@pytest.mark.parametrize("pattern", ["{ $.a = 1 }", "[ip, user]", "%regex%", '"open', 'a "'])
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidParameterException):
        compile_pattern(pattern)
