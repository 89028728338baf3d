"""Rules of composite alarms: ``ALARM("a") AND NOT (OK(b) OR INSUFFICIENT_DATA(c))``.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping

TOKEN = re.compile(
    r"\s*(?:(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)+)\"|(?P<bare>[^\s()\"]+))\s*\)"
    r"|(?P<word>AND|OR|NOT|TRUE|FALSE)\b|(?P<mark>[()]))"
)
NESTING = 60

Token = tuple[str, str]


class RuleError(ValueError):
    """The rule cannot be read."""


def state(rule: str, states: Mapping[str, str]) -> str:
    """ALARM when the rule holds, else OK; an alarm that is not there is in no state."""
    return "ALARM" if _Rule(rule, states).value() else "OK"


def alarms_of(rule: str) -> list[str]:
    """The names of the alarms of a rule.

    Raises:
        RuleError: it cannot be read.
    """
    _Rule(rule, {}).value()
    return list(dict.fromkeys(name for kind, name in _tokens(rule) if kind in _STATES))


_STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")


def _tokens(rule: str) -> list[Token]:
    tokens: list[Token] = []
    text, at = rule.rstrip(), 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise RuleError(f"AlarmRule must not contain '{text[at : at + 30].strip()}' there")
        if match["state"]:
            name = match["bare"] or re.sub(r"\\(.)", r"\1", match["quoted"])
            tokens.append((match["state"], name.rpartition(":alarm:")[2]))
        else:
            tokens.append((match["word"] or match["mark"], ""))
        at = match.end()
    return tokens


class _Rule:
    def __init__(self, rule: str, states: Mapping[str, str]) -> None:
        self._tokens, self._at, self._states, self._depth = _tokens(rule), 0, states, 0

    def value(self) -> bool:
        held = self._any()
        if self._at < len(self._tokens):
            raise RuleError(f"AlarmRule goes on with '{self._peek()}' after its end")
        return held

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _any(self) -> bool:
        held = self._all()
        while self._peek() == "OR":
            self._at += 1
            held = self._all() or held
        return held

    def _all(self) -> bool:
        held = self._one()
        while self._peek() == "AND":
            self._at += 1
            held = self._one() and held
        return held

    def _one(self) -> bool:
        self._depth += 1
        if self._depth > NESTING:
            raise RuleError(f"AlarmRule nests deeper than {NESTING}")
        kind, name = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        self._at += 1
        if kind in _STATES:
            held = self._states.get(name) == kind
        elif kind in ("TRUE", "FALSE"):
            held = kind == "TRUE"
        elif kind == "NOT":
            held = not self._one()
        elif kind == "(":
            held = self._any()
            if self._peek() != ")":
                raise RuleError("AlarmRule lacks a closing bracket")
            self._at += 1
        else:
            raise RuleError(f"AlarmRule needs a condition where it has '{kind or 'its end'}'")
        self._depth -= 1
        return held
