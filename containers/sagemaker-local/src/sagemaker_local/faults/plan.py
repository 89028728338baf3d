"""The fault plan of a running server: its rules, and the dice.

Kept in memory only: a restart ends every fault, so that nobody hunts one that an earlier test left behind.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any

from sagemaker_local.errors import ValidationException
from sagemaker_local.faults.rules import CallRule, Drop, Fault, JobRule, as_json, parse_rule

MAXIMUM_RULES = 1000


@dataclass(frozen=True, slots=True)
class CallFault:
    """What happens to one call; see :class:`~sagemaker_local.faults.rules.CallRule`."""

    error: str | None
    code: str | None
    status_code: int
    latency_s: float
    drop: Drop | None


@dataclass(frozen=True, slots=True)
class JobFault:
    """What happens to one job.

    Attributes:
        fault: ``capacity``: fails with CapacityError before its program starts; ``die``: its program is
            killed; ``spot``: its spot instance is interrupted.
        after_s: So long after its program's start; without meaning for ``capacity``.
    """

    fault: Fault
    after_s: float


class FaultPlan:
    """The rules, in order: the first that matches and whose dice fall decides. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[CallRule] = []
        self._jobs: list[JobRule] = []
        self._seed: int | None = None
        self._random = random.Random()

    @property
    def touches_calls(self) -> bool:
        """Whether there is any rule of calls; without one a request passes at no cost."""
        return bool(self._calls)

    def replace(self, document: object) -> None:
        """Take a whole new plan, ``{"seed": 7, "rules": […]}``; nothing changes if anything in it is wrong.

        Raises:
            ValidationException: names the rule and the field.
        """
        if not isinstance(document, dict) or document.keys() - {"seed", "rules"}:
            raise ValidationException('a fault plan is {"seed": <number>, "rules": [<rule>, …]}')
        seed, given = document.get("seed"), document.get("rules", [])
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValidationException(f"seed must be a whole number, not {seed!r}")
        if not isinstance(given, list) or len(given) > MAXIMUM_RULES:
            raise ValidationException(f"rules must be a list of at most {MAXIMUM_RULES} rules")
        rules = []
        for number, each in enumerate(given, start=1):
            try:
                rules.append(parse_rule(each))
            except ValidationException as error:
                raise ValidationException(f"rule {number}: {error.message}") from error
        with self._lock:
            self._calls = [rule for rule in rules if isinstance(rule, CallRule)]
            self._jobs = [rule for rule in rules if isinstance(rule, JobRule)]
            self._seed = seed
            self._random = random.Random(seed)

    def clear(self) -> None:
        """No faults any more."""
        self.replace({})

    def document(self) -> dict[str, Any]:
        """The plan as JSON, with each rule's hits."""
        with self._lock:
            rules: list[CallRule | JobRule] = [*self._calls, *self._jobs]
            return {"seed": self._seed, "rules": [as_json(rule) for rule in rules]}

    def call_fault(self, service: str, operation: str) -> CallFault | None:
        """What is to happen to this call, or None; counts as a hit."""
        with self._lock:
            for rule in self._calls:
                if rule.matches(service, operation) and not rule.within_rate() and self._falls(rule):
                    return CallFault(rule.error, rule.code, rule.status_code, rule.latency_s, rule.drop)
        return None

    def job_fault(self, kind: str, name: str) -> JobFault | None:
        """What is to happen to a job that starts now, or None; counts as a hit.

        Args:
            kind: The record's kind, such as ``training_job``.
            name: The job's name.
        """
        with self._lock:
            for rule in self._jobs:
                if rule.matches(kind, name) and self._falls(rule):
                    return JobFault(rule.fault, rule.after_s)
        return None

    def _falls(self, rule: CallRule | JobRule) -> bool:
        if rule.skip > 0:
            rule.skip -= 1
            return False
        if rule.probability < 1.0 and self._random.random() >= rule.probability:
            return False
        rule.hits += 1
        return True
