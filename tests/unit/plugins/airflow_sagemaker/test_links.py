from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.links import JobLink, LogsLink, OutputLink, job_url, logs_url, output_url


def test_the_console_of_the_region_and_partition() -> None:
    assert job_url("eu-west-1", "jobs", "n") == (
        "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/jobs/n"
    )
    assert job_url("cn-north-1", "jobs", "n").startswith("https://cn-north-1.console.amazonaws.cn/")
    assert job_url("us-gov-west-1", "jobs", "n").startswith(
        "https://us-gov-west-1.console.amazonaws-us-gov.com/"
    )


def test_the_log_link_filters_the_streams_of_the_job() -> None:
    url = logs_url("us-east-1", "/aws/sagemaker/TrainingJobs", "n")
    assert url.endswith(
        "#logsV2:log-groups/log-group/$252Faws$252Fsagemaker$252FTrainingJobs$253FlogStreamNameFilter$253Dn/"
    )


def test_output_is_listed_by_the_endpoint_where_there_is_no_console() -> None:
    assert output_url("us-east-1", "s3://b/x y/", "http://127.0.0.1:4566/") == (
        "http://127.0.0.1:4566/b?list-type=2&prefix=x%20y/"
    )
    assert output_url("us-east-1", "s3://b/x/", None) == (
        "https://us-east-1.console.aws.amazon.com/s3/buckets/b?region=us-east-1&prefix=x/"
    )


@pytest.mark.parametrize(
    ("link", "which"), [(JobLink(), "job"), (LogsLink(), "logs"), (OutputLink(), "output")]
)
def test_a_link_is_what_the_operator_worked_out(link: Any, which: str) -> None:
    ti_key: Any = None
    operator: Any = SimpleNamespace(link_urls={which: "http://there"})
    assert link.get_link(operator, ti_key=ti_key) == "http://there"
    empty: Any = SimpleNamespace()
    assert link.get_link(empty, ti_key=ti_key) == ""
