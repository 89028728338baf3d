"""How a job ends other than by completing."""

from __future__ import annotations

import enum


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
    """What the program itself is to blame for, in AWS's words."""
    return JobFailed(f"AlgorithmError: {reason}, exit code: {exit_code}")
