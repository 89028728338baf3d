"""What the plugin reads from an Airflow connection, beside what the Amazon provider reads."""

from __future__ import annotations

from pydantic import Field

from airflow_sagemaker.specs.base import Spec

DEFAULT_CONNECTION_ID = "aws_sagemaker"
EXTRA_KEY = "sagemaker"
"""Key of the connection's extra that holds :class:`ConnectionSettings`; the Amazon provider ignores it."""
DEFAULT_POLL_INTERVAL_S = 10.0


class ConnectionSettings(Spec):
    """``extra["sagemaker"]`` of a connection: where data lies and what jobs may do."""

    bucket: str
    role_arn: str = Field(pattern=r"^arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$")
    image_registry: str | None = None
    poll_interval_s: float = Field(default=DEFAULT_POLL_INTERVAL_S, gt=0)
    worker_wait_s: float = Field(default=0.0, ge=0)
    """So long a step waits for its job on its worker before it defers: for jobs of seconds, as local ones."""
    events_queue_url: str | None = None
    """An SQS queue that EventBridge fills with SageMaker's state changes; waiting then needs no polling."""
    create_with_sdk: bool = False
    """Create through SageMaker's SDK, which adds the defaults of its config file (VPC, KMS keys, …) to a
    request, for two seconds of processor time each."""

    def registry(self, region_name: str) -> str:
        """The registry of bare image names: as given, else the role's account in the region."""
        if self.image_registry:
            return self.image_registry.rstrip("/")
        partition, account_id = self.role_arn.split(":")[1], self.role_arn.split(":")[4]
        domain = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        return f"{account_id}.dkr.ecr.{region_name}.{domain}"
