"""What a server was started with."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sagemaker_local import limits
from sagemaker_local.auth.keys import LOCAL_KEY, AccessKey


@dataclass(frozen=True, slots=True)
class Settings:
    """One server's configuration.

    Attributes:
        data_dir: Everything durable lives here; two servers never share one.
        containers_dir: Every folder in it is an image, found by the last part of the image URI's repository.
        images_file: A table that maps further image URIs to folders; see :mod:`sagemaker_local.images`.
        host: Address to listen on; loopback unless asked otherwise.
        port: TCP port; 0 on the command line takes a free one, which then stands here.
        region: The one region that is served.
        account: The one account that is served; twelve digits.
        max_running_jobs: Jobs that run side by side; the rest wait as ``Pending``.
        executor: ``auto`` or the name of a sandbox (see :mod:`sagemaker_local.executors`).
        ping_start_timeout_s: How long a serving container may take to answer its first /ping.
        require_auth: Whether every request must be signed with one of the keys.
        keys: The keys that may sign; see :mod:`sagemaker_local.auth.keys`.
        program_key: The key that jobs and model servers get; one of its own for each start of the server.
        allowed_hosts: Further names in the Host header under which the server answers without authentication.
        fault_plan: Fault rules to start with, as ``/_local/faults`` takes them; None for none.
        deployment_wait_scale: What the waits of an endpoint's deployment are multiplied by; less than 1 to
            see one through in less time than its DeploymentConfig says.
        scaling_time_scale: What the periods of target tracking's alarms and the cool-downs of all policies
            are multiplied by; less than 1 to see instances come and go without waiting a quarter of an hour.
        quotas: Instances that may be used at once, by AWS's name of the quota; see
            :mod:`sagemaker_local.quotas`. What is not in it has none.
        stop_grace_s: Seconds between SIGTERM and SIGKILL of a stopped job.
    """

    data_dir: Path
    containers_dir: Path
    images_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 4566
    region: str = "us-east-1"
    account: str = "123456789012"
    max_running_jobs: int = 4
    executor: str = "auto"
    ping_start_timeout_s: float = limits.PING_START_TIMEOUT_S
    stop_grace_s: float = limits.STOP_GRACE_S
    deployment_wait_scale: float = 1.0
    scaling_time_scale: float = 1.0

    require_auth: bool = False
    keys: tuple[AccessKey, ...] = field(default=(), repr=False)
    program_key: AccessKey = field(default=LOCAL_KEY, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    fault_plan: object = None
    quotas: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """Where this server answers; jobs and model servers get it as ``AWS_ENDPOINT_URL``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"
