"""A server that asks for signatures, with a key of the test's own; import the fixture to use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.contract.conftest import ROOT, LocalServer

KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SECOND_ID = "AKIDSECOND"
SECOND_SECRET = "anotherSecretOfSufficientLength+/="
SECOND_TOKEN = "session/token+=of-the-second-key"


class SignedServer(LocalServer):
    """The same server; its clients have the right key unless told otherwise."""

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client; `key`, `secret`, `token`, `region` are the signer's, the rest goes to Config."""
        key, secret = config.pop("key", KEY_ID), config.pop("secret", SECRET)
        token, region = config.pop("token", None), config.pop("region", "us-east-1")
        settings = {"retries": {"max_attempts": 0}, "s3": {"addressing_style": "path"}, **config}
        session: Any = boto3.session.Session()
        return session.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(**settings),
        )


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedServer]:
    """One server for all tests of signatures, with a bucket `signed` in it."""
    directory = tmp_path_factory.mktemp("signed")
    credentials = directory / "credentials"
    credentials.touch(0o600)
    credentials.write_text(
        f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
        f"[second]\naws_access_key_id={SECOND_ID}\naws_secret_access_key={SECOND_SECRET}\n"
        f"aws_session_token={SECOND_TOKEN}\n"
    )
    containers: Path = ROOT / "tests" / "contract" / "images"
    server = SignedServer(directory / "data", containers, "--require-auth", "--credentials", str(credentials))
    server.start()
    server.client("s3").create_bucket(Bucket="signed")
    yield server
    server.stop()
