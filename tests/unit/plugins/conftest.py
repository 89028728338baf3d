"""An S3 that nobody here wrote (moto's server), behind the Airflow connection of the plugin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "data"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def moto_connection(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The connection `aws_sagemaker` to an empty moto; gives its endpoint."""
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": moto_url,
        "sagemaker": {"bucket": BUCKET, "role_arn": "arn:aws:iam::123456789012:role/sagemaker"},
    }
    connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))
    yield moto_url
    httpx.post(f"{moto_url}/moto-api/reset", timeout=60).raise_for_status()


@pytest.fixture
def s3(moto_connection: str) -> Any:
    """A client of the connection's S3, whose bucket is empty."""
    client = boto3.client("s3", endpoint_url=moto_connection)
    client.create_bucket(Bucket=BUCKET)
    return client
