"""What a server was started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """One server's configuration; nothing else is read from the environment.

    Attributes:
        data_dir: Everything durable lives here; two servers never share one.
        containers_dir: Every folder in it is an image, found by the last part of the image URI's repository.
        host: Address to listen on; loopback unless asked otherwise.
        port: TCP port; 0 takes a free one.
        region: The one region that is served.
        account: The one account that is served; twelve digits.
        max_running_jobs: Jobs that run side by side; the rest wait as ``Pending``.
        executor: ``auto`` or the name of a sandbox (see :mod:`sagemaker_local.executors`).
    """

    data_dir: Path
    containers_dir: Path
    host: str = "127.0.0.1"
    port: int = 4566
    region: str = "us-east-1"
    account: str = "123456789012"
    max_running_jobs: int = 4
    executor: str = "auto"
