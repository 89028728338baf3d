"""How a job ends other than by completing."""

from __future__ import annotations

import enum

from sagemaker_local import limits

CUT = " […] "


class StopCause(enum.Enum):
    """Why a job is stopped before its end."""

    REQUEST = "the job was stopped on request"
    MAX_RUNTIME = "the job ran longer than MaxRuntimeInSeconds"


class JobFailed(Exception):
    """The job ends as failed; the message is its FailureReason."""


class JobStopped(Exception):
    """The job ends as stopped."""

    def __init__(self, cause: StopCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


def client_error(reason: str) -> JobFailed:
    """What the caller's request is to blame for."""
    return JobFailed(f"ClientError: {reason}")


def algorithm_error(reason: str, exit_code: int) -> JobFailed:
    """What the program itself is to blame for, in AWS's words; a long reason loses its middle."""
    start, end = "AlgorithmError: ", f", exit code: {exit_code}"
    room = limits.FAILURE_REASON_CHARACTERS - len(start) - len(end)
    if len(reason) > room:
        head = room // 4
        reason = f"{reason[:head]}{CUT}{reason[len(reason) - (room - head - len(CUT)) :]}"
    return JobFailed(f"{start}{reason}{end}")
