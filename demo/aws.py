"""boto3 clients of the local SageMaker, whatever account this machine is logged in to."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config


def client(service: str, endpoint_url: str) -> Any:
    """A client with made-up credentials that never leaves the given endpoint."""
    # Any: the stubs describe a client by its literal name only.
    session: Any = boto3.session.Session(
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 (made up)
        region_name="us-east-1",
    )
    config = Config(
        retries={"max_attempts": 3},
        read_timeout=90,
        # Machines behind a proxy would ask it for 127.0.0.1.
        proxies={},
        s3={"addressing_style": "path"},
    )
    return session.client(service, endpoint_url=endpoint_url, config=config)
