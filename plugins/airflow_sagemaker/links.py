"""Links from a task to its job: the job in the console, its logs, its output.

Airflow stores what ``get_link`` gives as XCom when a worker is done with a task, also when it defers, so
the links are there while the job runs. A connection with an endpoint of its own has no console: then the
job and log links stay empty, and the output link lists the prefix at that endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

import attrs
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

CONSOLES = {
    "aws": "https://{region}.console.aws.amazon.com",
    "aws-cn": "https://{region}.console.amazonaws.cn",
    "aws-us-gov": "https://{region}.console.amazonaws-us-gov.com",
}

JOB = "job"
LOGS = "logs"
OUTPUT = "output"


def partition_of(region: str) -> str:
    """The AWS partition of a region, by its prefix."""
    return next((f"aws-{area}" for area in ("cn", "us-gov") if region.startswith(f"{area}-")), "aws")


def console(region: str) -> str:
    """The AWS console of a region."""
    return CONSOLES[partition_of(region)].format(region=region)


def job_url(region: str, console_path: str, name: str) -> str:
    """A job in the SageMaker console."""
    return f"{console(region)}/sagemaker/home?region={region}#/{console_path}/{name}"


def logs_url(region: str, log_group: str, name: str) -> str:
    """CloudWatch's console wants its fragment quoted twice, with ``$`` for ``%``."""
    group = quote(quote(log_group, safe=""), safe="").replace("%", "$")
    streams = quote(quote(f"?logStreamNameFilter={name}/", safe="/"), safe="/").replace("%", "$")
    return f"{console(region)}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}{streams}"


def output_url(region: str, uri: str, endpoint_url: str | None) -> str:
    """The objects under an S3 URI: in the console, or as the endpoint of one's own lists them."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if endpoint_url:
        return f"{endpoint_url.rstrip('/')}/{bucket}?list-type=2&prefix={quote(key)}"
    return f"{console(region)}/s3/buckets/{bucket}?region={region}&prefix={quote(key)}"


@attrs.define()
class _StoredLink(BaseOperatorLink):
    """A link that the operator worked out when it submitted its job."""

    which: ClassVar[str]
    title: ClassVar[str]

    @property
    def name(self) -> str:
        return self.title

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        urls: dict[str, str] = getattr(operator, "link_urls", {})
        return urls.get(self.which, "")


@attrs.define()
class JobLink(_StoredLink):
    """The job in the AWS console."""

    which = JOB
    title = "SageMaker job"


@attrs.define()
class LogsLink(_StoredLink):
    """The job's log streams in CloudWatch."""

    which = LOGS
    title = "Job logs"


@attrs.define()
class OutputLink(_StoredLink):
    """What the job writes."""

    which = OUTPUT
    title = "Job output"
