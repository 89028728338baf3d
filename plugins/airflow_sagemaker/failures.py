"""Every failure in one table: how it is recognised, whether another try may help, and what a person does.

docs/failures.md shows this table, and a test holds it to it. Codes are those that SageMaker, S3, STS and
CloudWatch Logs answer calls with; botocore lists the throttling ones in ``botocore/retries/standard.py``
(``_THROTTLED_ERROR_CODES``). Reasons are patterns of the FailureReason of jobs and endpoints, which begins
with the class of the fault: AlgorithmError is the program's, ClientError the request's or the data's,
InternalServerError the service's
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from airflow_sagemaker import errors
from airflow_sagemaker.errors import SageMakerError

JITTER = 0.5
"""A delay is drawn from its half to itself: many tasks that failed together come back apart."""


@dataclass(frozen=True)
class Delay:
    """How long to wait before the next try: doubling from ``first_s`` to ``most_s``, with jitter."""

    first_s: float
    most_s: float

    def after(self, tries: int) -> timedelta:
        """The delay after so many tries that failed."""
        seconds = min(self.first_s * 2.0 ** min(max(tries - 1, 0), 16), self.most_s)
        return timedelta(seconds=seconds * random.uniform(1 - JITTER, 1))


PASSING = Delay(30, 600)
"""Begins with the task's own ``retry_delay`` where it has one."""
SPOT = Delay(120, 1200)
QUOTA = Delay(300, 1800)
CAPACITY = Delay(600, 3600)


@dataclass(frozen=True)
class Failure:
    """What is known of one class of error.

    :param remedy: what to do; the end of every text of this class that has no better one
    :param codes: AWS's codes in answers to calls
    :param reason: what a FailureReason of this class looks like
    :param delay: before the next try; None where another try would meet the same end
    """

    error: type[SageMakerError]
    remedy: str
    codes: frozenset[str] = frozenset()
    reason: re.Pattern[str] | None = None
    delay: Delay | None = None


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


FAILURES: tuple[Failure, ...] = (
    Failure(
        errors.JobFailedError,
        "Read the job's log above, correct the program or its data, then clear the task",
        reason=_words("^AlgorithmError"),
    ),
    Failure(
        errors.AccessDeniedError,
        "Check the credentials of the connection and their expiry, and the policies of user and role; then "
        "clear the task",
        codes=frozenset(
            {
                "AccessDenied",
                "AccessDeniedException",
                "AuthFailure",
                "ExpiredToken",
                "ExpiredTokenException",
                "InvalidAccessKeyId",
                "InvalidClientTokenId",
                "InvalidSignatureException",
                "MissingAuthenticationToken",
                "OptInRequired",
                "RequestExpired",
                "SignatureDoesNotMatch",
                "UnauthorizedOperation",
                "UnrecognizedClientException",
            }
        ),
        reason=_words(r"Access ?Denied|not authorized|permission|AssumeRole|PassRole|Forbidden"),
    ),
    Failure(
        errors.ThrottledError,
        "Wait: the task tries again; if it happens often, lower how many tasks call AWS at once",
        codes=frozenset(
            {
                "Throttling",
                "ThrottlingException",
                "ThrottledException",
                "RequestThrottledException",
                "RequestThrottled",
                "TooManyRequestsException",
                "RequestLimitExceeded",
                "BandwidthLimitExceeded",
                "LimitExceededException",
                "SlowDown",
                "EC2ThrottledException",
                "PriorRequestNotComplete",
                "ProvisionedThroughputExceededException",
                "TransactionInProgressException",
            }
        ),
        reason=_words(r"SlowDown|reduce your request rate|Throttl|Rate exceeded|Too ?Many ?Requests"),
        delay=PASSING,
    ),
    Failure(
        errors.QuotaTooSmallError,
        "Ask AWS for a higher quota (Service Quotas, Amazon SageMaker), or take fewer or other instances; "
        "then clear the task",
    ),
    Failure(
        errors.QuotaExceededError,
        "Wait for other jobs to end, raise quota_wait_s, or ask AWS for a higher quota; include/quotas.yaml "
        "lets such tasks queue in Airflow instead",
        codes=frozenset({"ResourceLimitExceeded", "ServiceQuotaExceededException"}),
        reason=_words(r"ResourceLimitExceeded|account-level service limit|service quota"),
        delay=QUOTA,
    ),
    Failure(
        errors.SpotInterruptedError,
        "Wait: the task tries again; use on-demand instances or checkpoints if it happens often",
        reason=_words(r"\bspot\b"),
        delay=SPOT,
    ),
    Failure(
        errors.CapacityError,
        "Wait: the task tries again; if AWS stays short of this instance type, choose another one or another "
        "region",
        codes=frozenset({"CapacityError", "InsufficientCapacityException", "InsufficientInstanceCapacity"}),
        reason=_words(r"CapacityError|Insufficient ?(Instance)? ?Capacity|Unable to provision"),
        delay=CAPACITY,
    ),
    Failure(
        errors.ServiceFaultError,
        "Wait: the task tries again; the fault is not in the job",
        reason=_words(
            r"^(?!ClientError).*(Internal ?Server ?Error|InternalError|InternalFailure|an internal error"
            r"|Request to service failed|server (was )?(restart|stopp))"
        ),
        delay=PASSING,
    ),
    Failure(
        errors.UnreachableError,
        "Check that the endpoint of the connection is up; the next try finds its job again",
        delay=PASSING,
    ),
    Failure(
        errors.RequestRejectedError,
        "Correct the spec of the task, then clear it; another try with the same spec will not do",
    ),
    Failure(errors.ConnectionSettingsError, "Complete the connection's extra, then clear the task"),
    Failure(
        errors.ForeignResourceError,
        "Delete or rename what has the name, or give this DAG or run another id; then clear the task",
    ),
    Failure(errors.JobStoppedError, "Find out who stopped it; clear the task to run it anew"),
    Failure(
        errors.JobTimedOutError,
        "Give the spec a longer max_runtime_s, or make the job shorter, then clear the task",
    ),
    Failure(errors.JobVanishedError, "Find out who deleted it; clear the task to run it anew"),
    Failure(errors.JobError, "Find out what makes jobs under these names, then clear the task"),
    Failure(
        errors.RolloutError,
        "Read the endpoint's log, correct the model or its image, then clear the task",
    ),
    Failure(
        errors.InvocationError,
        "Compare what is sent with what the model takes, read the endpoint's log, then clear the task",
    ),
    Failure(errors.MissingDataError, "Land the data, then clear the task"),
    Failure(errors.BadTableError, "Land the table again, or correct the program that wrote it"),
    Failure(errors.BadSuiteError, "Correct the suite's file"),
    Failure(errors.ExpectationsNotMetError, "Correct the data or the suite, then clear the task"),
    Failure(errors.BarsNotMetError, "Improve the model, or lower the bar"),
    Failure(errors.DataError, "Correct the data, then clear the task"),
    Failure(
        errors.SageMakerError,
        "Read the text; the task tries again",
        delay=PASSING,
    ),
)
"""The first row whose error an error is decides; so does the first row whose pattern is in a reason."""

BY_ERROR = {failure.error: failure for failure in FAILURES}
BY_CODE = {code: failure for failure in FAILURES for code in failure.codes}


def of_error(error: BaseException) -> Failure | None:
    """The row of an error of ours: of its own class, or of the nearest one above it."""
    return next((BY_ERROR[kind] for kind in type(error).__mro__ if kind in BY_ERROR), None)


def of_reason(reason: str) -> Failure | None:
    """The row whose pattern a FailureReason matches."""
    return next((row for row in FAILURES if row.reason and row.reason.search(reason.strip())), None)


def retried() -> Iterable[Failure]:
    """The rows after which another try is worth its while."""
    return (failure for failure in FAILURES if failure.delay is not None)
