"""What can go wrong, one class for each thing a person would do about it.

Every text names the thing, the cause and what to do next. The classes know nothing of Airflow;
:mod:`airflow_sagemaker.policies` says which of them are worth another try.
"""

from __future__ import annotations


class SageMakerError(Exception):
    """Something about SageMaker kept a task from doing its work."""

    def __init__(self, thing: str, cause: str, remedy: str) -> None:
        super().__init__(thing, cause, remedy)
        self.thing = thing
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.thing}: {self.cause.rstrip('.')}. {self.remedy}"


class ConnectionSettingsError(SageMakerError):
    """The Airflow connection lacks what the plugin needs."""


class RequestRejectedError(SageMakerError):
    """AWS, or AWS's own API model before it, refuses the request as it is."""


class AccessDeniedError(SageMakerError):
    """The credentials or the role may not do this, or have expired."""


class ThrottledError(SageMakerError):
    """AWS slowed us down for longer than the bounded retries of a call."""


class UnreachableError(SageMakerError):
    """No answer from the endpoint within the bounded retries of a call."""


class QuotaExceededError(SageMakerError):
    """The account's quota for this resource is used up."""


class QuotaTooSmallError(QuotaExceededError):
    """The request alone exceeds the account's quota: waiting for others does not help."""


class CapacityError(SageMakerError):
    """AWS has no machine of this type at the moment."""


class ForeignResourceError(SageMakerError):
    """The name is taken by something that this task did not make."""


class JobError(SageMakerError):
    """A job ended without success, or there is no name left for it."""


class JobFailedError(JobError):
    """A job's own program or data made it fail, or a model version its validation."""


class ServiceFaultError(JobError):
    """The job failed through no fault of its own: the service broke underneath it."""


class SpotInterruptedError(JobError):
    """AWS took the spot machines back before the job ended."""


class JobStoppedError(JobError):
    """Someone or something stopped the job; that is never success."""


class JobTimedOutError(JobError):
    """A job, a rollout or a registration outlasted its time, or waiting for it did."""


class JobVanishedError(JobError):
    """The job that a task waits for no longer exists."""


class RolloutError(SageMakerError):
    """An endpoint does not serve what it was asked to serve."""


class InvocationError(SageMakerError):
    """An endpoint, or the model's program behind it, does not answer as it should."""


class DataError(SageMakerError):
    """Data, or a model made of it, is not what the pipeline demands; another try finds the same."""


class MissingDataError(DataError):
    """Data that a task needs has not landed."""


class BadTableError(DataError):
    """An object is not the table it should be."""


class BadSuiteError(DataError):
    """A suite of expectations cannot be used."""


class ExpectationsNotMetError(DataError):
    """A table does not meet its expectations."""


class BarsNotMetError(DataError):
    """A model's metrics miss their bars."""


def error_named(name: str, thing: str, cause: str, remedy: str) -> SageMakerError:
    """The error of that class name: what crosses from the triggerer to a worker is text."""
    found = globals().get(name, SageMakerError)
    known = isinstance(found, type) and issubclass(found, SageMakerError)
    kind: type[SageMakerError] = found if known else SageMakerError
    return kind(thing, cause, remedy)
