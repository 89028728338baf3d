"""One server and one process with SageMaker's SDK 3 for all tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import LocalServer

FOLDER = Path(__file__).parent
BUCKET = "sdk-bucket"
CONFIG = f"""SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: {BUCKET}
"""

Sdk = Callable[..., Any]


class SdkError(Exception):
    """What a scenario raised; the message begins with the exception's class."""


class SdkProcess:
    """Runs scenarios against a server.

    Args:
        server: Where the SDK's clients go.
        directory: For the SDK's own files.
    """

    def __init__(self, server: LocalServer, directory: Path) -> None:
        config = directory / "config.yaml"
        config.write_text(CONFIG)
        self.log = directory / "sdk.log"
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(config),
            "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(config),
            "SAGEMAKER_VALIDATE_ROLE": "false",
            "TQDM_DISABLE": "1",
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(FOLDER / "driver.py")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                cwd=directory, env=environment, text=True,
            )  # fmt: skip

    def __call__(self, scenario: str, **arguments: Any) -> Any:
        """Run one scenario, ``module.function``, and return its result.

        Raises:
            SdkError: it raised an exception.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"scenario": scenario, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process ended:\n{self.log.read_text()[-4000:]}"
        answer = json.loads(line)
        if "error" in answer:
            print(answer["traceback"])
            raise SdkError(answer["error"])
        return answer["result"]

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server whose images do next to nothing, with a bucket."""
    images = FOLDER.parent / "images"
    running = LocalServer(tmp_path_factory.mktemp("sdk-server") / "data", images, "--jobs", "2").start()
    s3 = running.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="batch/a.csv", Body=b"5,6\n")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def sdk(local: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sdk]:
    """A function that runs a scenario with SageMaker's SDK: `sdk("training.train", name="x")`."""
    process = SdkProcess(local, tmp_path_factory.mktemp("sdk"))
    yield process
    process.stop()
