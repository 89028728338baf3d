"""How a job ends other than by completing."""

from __future__ import annotations

import enum

from sagemaker_local import limits

CUT = " […] "


class StopCause(enum.Enum):
    """Why a job is stopped before its end."""

    REQUEST = "the job was stopped on request"
    MAX_RUNTIME = "the job ran longer than MaxRuntimeInSeconds"
    MAX_WAIT = "the job, with its waiting for spot capacity, took longer than MaxWaitTimeInSeconds"
    MAX_PENDING = "the job waited for a place longer than MaxPendingTimeInSeconds"
    INTERRUPTED = "the spot instance was reclaimed"
    DIED = "the instance was lost"

    @property
    def passes(self) -> bool:
        """Whether the job may go on afterwards, on other instances."""
        return self in (StopCause.INTERRUPTED, StopCause.DIED)


class JobFailed(Exception):
    """The job ends as failed; the message is its FailureReason."""


class JobStopped(Exception):
    """The job ends as stopped."""

    def __init__(self, cause: StopCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


def internal_error(reason: str = "We encountered an internal error. Please try again.") -> JobFailed:
    """What the service itself is to blame for."""
    return JobFailed(f"InternalServerError: {reason}")


def capacity_error() -> JobFailed:
    """There are no instances of the type, in AWS's words."""
    return JobFailed(
        "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML "
        "instance type."
    )


def out_of_memory(instance_type: str) -> str:
    """What stands before the reason of a program that its memory limit killed."""
    return (
        f"OutOfMemoryError: a process was killed because the memory of {instance_type} was used up. Please "
        "use an instance type with more memory"
    )


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
