"""The rules of a fault plan: which calls or jobs they hit, how often, and with what.

A rule is checked when it is given: a misspelt field must not look like a client that needs no retries.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sagemaker_local.errors import ValidationException

Drop = Literal["before", "after"]
Fault = Literal["capacity", "die", "spot"]


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """One kind of error as the JSON services, the query services and S3 put it: code, HTTP status."""

    json: tuple[str, int]
    query: tuple[str, int]
    s3: tuple[str, int]
    message: str


ERRORS: Mapping[str, ErrorWords] = {
    "throttling": ErrorWords(
        ("ThrottlingException", 400), ("Throttling", 400), ("SlowDown", 503), "Rate exceeded"
    ),
    "internal": ErrorWords(
        ("InternalFailure", 500),
        ("InternalFailure", 500),
        ("InternalError", 500),
        "We encountered an internal error. Please try again.",
    ),
    "unavailable": ErrorWords(
        ("ServiceUnavailable", 503),
        ("ServiceUnavailable", 503),
        ("ServiceUnavailable", 503),
        "The service is temporarily unavailable. Please retry.",
    ),
    "timeout": ErrorWords(
        ("RequestTimeoutException", 408),
        ("RequestTimeoutException", 408),
        ("RequestTimeout", 400),
        "Your socket connection to the server was not read from or written to within the timeout period.",
    ),
    "access-denied": ErrorWords(
        ("AccessDeniedException", 400),
        ("AccessDenied", 403),
        ("AccessDenied", 403),
        "User is not authorized to perform this operation",
    ),
    "expired-token": ErrorWords(
        ("ExpiredTokenException", 400),
        ("ExpiredToken", 403),
        ("ExpiredToken", 400),
        "The security token included in the request is expired",
    ),
}
"""Value of a rule's ``error`` → what the caller sees. Sources: the services' "Common errors" pages and
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""

FAULTS: Mapping[str, str] = {
    "capacity": "the job fails with CapacityError before its program starts",
    "die": "the job's program is killed",
    "spot": "the job's spot instance is interrupted",
}


@dataclass(slots=True)
class CallRule:
    """What happens to calls of some operations.

    Attributes:
        service: botocore's name, with ``*`` and ``?``; none means every service.
        operation: The operation's name, with ``*`` and ``?``; none means every operation.
        error: A key of :data:`ERRORS`.
        code: An error code of one's own, in place of ``error``.
        status_code: HTTP status of ``code``.
        latency_s: Wait so long first.
        drop: Close the connection instead of answering: ``before`` the operation is done, or ``after``.
        probability: Share of matching calls that are hit.
        skip: So many matching calls are let through first.
        count: The rule is used up after so many hits; none means never.
        rate_per_s: Hit only what comes faster than this.
        hits: How many calls it has hit.
    """

    service: str | None = None
    operation: str | None = None
    error: str | None = None
    code: str | None = None
    status_code: int = 400
    latency_s: float = 0.0
    drop: Drop | None = None
    probability: float = 1.0
    skip: int = 0
    count: int | None = None
    rate_per_s: float | None = None
    hits: int = 0
    _tokens: float = field(default=0.0, repr=False)
    _refilled_at_s: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        """Check what types alone do not say."""
        if self.error is not None and self.error not in ERRORS:
            raise ValidationException(f"error must be one of {', '.join(ERRORS)}, not '{self.error}'")
        if self.drop not in (None, "before", "after"):
            raise ValidationException(f"drop must be 'before' or 'after', not '{self.drop}'")
        if not (self.error or self.code or self.latency_s or self.drop):
            raise ValidationException("a rule of a call needs error, code, latency_s or drop")
        if sum(map(bool, (self.error, self.code, self.drop))) > 1:
            raise ValidationException("error, code and drop exclude each other")
        if not 400 <= self.status_code <= 599:
            raise ValidationException(f"status_code must be between 400 and 599, not {self.status_code}")
        if self.rate_per_s is not None:
            if self.rate_per_s <= 0:
                raise ValidationException("rate_per_s must be positive")
            self._tokens, self._refilled_at_s = self.rate_per_s, time.monotonic()

    def matches(self, service: str, operation: str) -> bool:
        """Whether the rule is about this operation and not used up."""
        return (
            (self.count is None or self.hits < self.count)
            and fnmatch.fnmatchcase(service, self.service or "*")
            and fnmatch.fnmatchcase(operation, self.operation or "*")
        )

    def within_rate(self) -> bool:
        """Whether a call that comes now keeps to ``rate_per_s``: a token bucket of one second's calls."""
        if self.rate_per_s is None:
            return False
        now_s = time.monotonic()
        refill = (now_s - self._refilled_at_s) * self.rate_per_s
        self._tokens = min(max(self.rate_per_s, 1.0), self._tokens + refill)
        self._refilled_at_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass(slots=True)
class JobRule:
    """What happens to jobs.

    Attributes:
        fault: A key of :data:`FAULTS`.
        kind: Such as ``training_job``, with ``*`` and ``?``; none means every kind.
        name: The job's name, with ``*`` and ``?``; none means every name.
        after_s: Seconds after the program's start.
        probability, skip, count, hits: As in :class:`CallRule`, counted in jobs.
    """

    fault: Fault
    kind: str | None = None
    name: str | None = None
    after_s: float = 0.0
    probability: float = 1.0
    skip: int = 0
    count: int | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        """Check what types alone do not say."""
        if self.fault not in FAULTS:
            raise ValidationException(f"fault must be one of {', '.join(FAULTS)}, not '{self.fault}'")

    def matches(self, kind: str, name: str) -> bool:
        """Whether the rule is about this job and not used up."""
        return (
            (self.count is None or self.hits < self.count)
            and fnmatch.fnmatchcase(kind, self.kind or "*")
            and fnmatch.fnmatchcase(name, self.name or "*")
        )


NUMBERS = {
    "latency_s": (0.0, 3600.0),
    "after_s": (0.0, 86400.0),
    "probability": (0.0, 1.0),
    "rate_per_s": (0.0, 1e6),
}
WHOLE_NUMBERS = ("skip", "count", "status_code")


def parse_rule(given: object) -> CallRule | JobRule:
    """A rule from its JSON: of jobs when it has a ``fault``, else of calls.

    Raises:
        ValidationException: names the field.
    """
    if not isinstance(given, dict):
        raise ValidationException(f"a rule must be an object, not {given!r}")
    kind: type[CallRule | JobRule] = JobRule if "fault" in given else CallRule
    names = [each.name for each in dataclasses.fields(kind) if not each.name.startswith("_")]
    names.remove("hits")
    values = {name: value for name, value in given.items() if name != "hits"}  # as a GET shows it
    for name, value in values.items():
        if name not in names:
            raise ValidationException(f"a rule has no '{name}'; it may have {', '.join(names)}")
        _check_type(name, value)
    return kind(**{name: value for name, value in values.items() if value is not None})


def _check_type(name: str, value: Any) -> None:
    if value is None:
        return
    if name in NUMBERS:
        least, most = NUMBERS[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValidationException(f"{name} must be a number from {least} to {most}, not {value!r}")
    elif name in WHOLE_NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValidationException(f"{name} must be a whole number, not {value!r}")
    elif not isinstance(value, str):
        raise ValidationException(f"{name} must be a string, not {value!r}")


def as_json(rule: CallRule | JobRule) -> dict[str, Any]:
    """The rule as it was given, and how often it has hit."""
    shown = {
        each.name: getattr(rule, each.name)
        for each in dataclasses.fields(rule)
        if not each.name.startswith("_") and getattr(rule, each.name) != each.default
    }
    return shown | {"hits": rule.hits}
