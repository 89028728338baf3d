"""The worker's way to SageMaker: one Airflow connection, one endpoint, one place for defaults.

The connection's extra holds what the Amazon provider reads (``region_name``, ``endpoint_url``,
``config_kwargs``, …) and, under ``sagemaker``, the settings of
:class:`airflow_sagemaker.specs.connection.ConnectionSettings`::

    {"region_name": "us-east-1", "endpoint_url": "http://127.0.0.1:4566",
     "sagemaker": {"bucket": "ml", "role_arn": "arn:aws:iam::123456789012:role/sagemaker",
                   "image_registry": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
                   "poll_interval_s": 1}}

Leave ``endpoint_url`` out and the same DAG runs on AWS.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import boto3
import botocore.session
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore.config import Config
from botocore.loaders import Loader
from pydantic import ValidationError

from airflow_sagemaker.errors import ConnectionSettingsError
from airflow_sagemaker.specs.connection import DEFAULT_CONNECTION_ID, EXTRA_KEY, ConnectionSettings

BOUNDED_RETRIES = Config(
    retries={"mode": "standard", "total_max_attempts": 8},
    connect_timeout=10,
    read_timeout=70,
)
"""Standard mode backs off with jitter on throttling, 5xx and lost connections, 20 s at most each time.

The read timeout exceeds InvokeEndpoint's own limit of 60 s.
"""


FIRST_ERROR_STATUS = 300


@cache
def service_models() -> Loader:
    """What botocore knows of services, read once for a process and whatever is forked from it.

    Each session reads it again by default: 0.2 s of processor for SageMaker's.
    """
    return Loader()


class EndpointSession(boto3.Session):
    """A session whose clients all go where the Airflow connection says.

    The SDK builds its clients from the session it is given and offers no other way to an endpoint that
    leaves environment variables alone.
    """

    def __init__(self, hook: SageMakerHook) -> None:
        # A botocore session of our own with the same credentials (they may refresh themselves): boto3 adds
        # its S3 methods once for each boto3 session around a botocore session, and refuses the second time.
        own = botocore.session.get_session()
        own.register_component("data_loader", service_models())
        credentials = hook.get_session(region_name=hook.region_name).get_credentials()
        own._credentials = credentials  # type: ignore[attr-defined]
        super().__init__(botocore_session=own, region_name=hook.region)
        self._hook = hook
        self.accepted: set[str] = set()
        """Operations that clients of this session were answered without an error."""

    def client(self, service_name: Any, region_name: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """A client of the connection, whatever the caller knows of endpoints."""
        kwargs.setdefault("endpoint_url", self._hook.endpoint_url(service_name))
        kwargs.setdefault("verify", self._hook.verify)
        kwargs["config"] = self._hook.client_config.merge(kwargs.get("config") or Config())
        client = super().client(service_name, region_name=region_name, **kwargs)
        client.meta.events.register("after-call", self._note)
        return client

    def _note(self, http_response: Any, model: Any, **_: Any) -> None:
        if http_response.status_code < FIRST_ERROR_STATUS:
            self.accepted.add(model.name)


class SageMakerHook(AwsGenericHook[Any]):
    """Clients, the SDK's session and the short names of one connection.

    :param aws_conn_id: the Airflow connection
    :param region_name: a region other than the connection's
    """

    conn_name_attr = "aws_conn_id"
    default_conn_name = DEFAULT_CONNECTION_ID

    def __init__(self, aws_conn_id: str = DEFAULT_CONNECTION_ID, region_name: str | None = None) -> None:
        super().__init__(aws_conn_id=aws_conn_id, region_name=region_name, client_type="sagemaker")
        self._clients: dict[str, Any] = {}

    @cached_property
    def settings(self) -> ConnectionSettings:
        """What the connection says about SageMaker."""
        extra = self.conn_config.extra_config
        try:
            return ConnectionSettings.model_validate(extra.get(EXTRA_KEY, {}))
        except ValidationError as error:
            causes = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConnectionSettingsError(
                f"Connection {self.aws_conn_id!r}",
                f"its extra {EXTRA_KEY!r} is not usable ({causes})",
                'Set it to {"bucket": "...", "role_arn": "arn:aws:iam::<account>:role/..."}',
            ) from error

    @cached_property
    def region(self) -> str:
        """The region in use, from the connection or the usual places of botocore."""
        region = self.region_name or self.get_session().region_name
        if not region:
            raise ConnectionSettingsError(
                f"Connection {self.aws_conn_id!r}", "it names no region", "Set region_name in its extra"
            )
        return str(region)

    @property
    def bucket(self) -> str:
        """The bucket of relative locations."""
        return self.settings.bucket

    @property
    def role_arn(self) -> str:
        """The role that jobs run under."""
        return self.settings.role_arn

    def image_uri(self, image: str) -> str:
        """The full URI of an image: as it is, or ``<image_registry>/<image>:latest`` for a bare name."""
        if "/" in image:
            return image
        tagged = image if ":" in image else f"{image}:latest"
        return f"{self.settings.registry(self.region)}/{tagged}"

    def s3_uri(self, location: str) -> str:
        """The full URI of a location: as it is, or relative to the connection's bucket."""
        if location.startswith("s3://"):
            return location
        return f"s3://{self.bucket}/{location.lstrip('/')}"

    def endpoint_url(self, service_name: str) -> str | None:
        """The endpoint of a service by the connection; None means AWS's own."""
        return self.conn_config.get_service_endpoint_url(service_name)

    @cached_property
    def client_config(self) -> Config:
        """Bounded retries, under whatever the connection's ``config_kwargs`` say."""
        return BOUNDED_RETRIES.merge(self.config)

    def client(self, service_name: str) -> Any:
        """A boto3 client of this connection, one a service."""
        if service_name not in self._clients:
            self._clients[service_name] = self.session.client(service_name)
        return self._clients[service_name]

    @cached_property
    def session(self) -> EndpointSession:
        """What the SageMaker SDK is given."""
        return EndpointSession(self)
