"""Endpoints when processes are killed: a container, and the whole server."""

from __future__ import annotations

import os
import signal

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import BUCKET, Probe, eventually, probe

__all__ = ["probe"]


def answers(probe: Probe, endpoint: str) -> bool:
    try:
        return probe.ask(endpoint, "version") == b"v1"
    except ClientError:
        return False


def once_back(probe: Probe, endpoint: str) -> bytes:
    """What answers next; a busy machine may need longer for a container than a request waits for it."""

    def answered() -> bytes:
        try:
            return probe.ask(endpoint, "version")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ServiceUnavailable":
                raise
            return b""

    found: bytes = eventually(answered)
    return found


def test_a_killed_container_is_started_again(probe: Probe) -> None:
    name = probe.endpoint()
    before = probe.process(name)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: answers(probe, name))
    assert probe.process(name) != before
    assert probe.describe(name)["EndpointStatus"] == "InService"
    eventually(lambda: any("is started again" in line for line in probe.printed(name)))


@pytest.mark.parametrize("how", ["die", "die-slowly"])
def test_a_container_that_dies_of_a_request_fails_that_request_only(probe: Probe, how: str) -> None:
    name = probe.endpoint()
    with pytest.raises(ClientError, match="exception occurred while sending request to model") as lost:
        probe.ask(name, how)
    assert lost.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert once_back(probe, name) == b"v1"


def test_after_a_kill_of_the_server_endpoints_come_back_as_they_were(probe: Probe) -> None:
    kept = probe.endpoint(probe.config(InitialInstanceCount=2))
    failed = probe.endpoint(probe.config(probe.model(EXIT_CODE="7")), wait=False)
    assert probe.ended(failed)["EndpointStatus"] == "Failed"
    container = probe.process(probe.endpoint())
    interrupted = probe.endpoint(wait=False)
    probe.server.kill()
    eventually(lambda: not os.path.exists(f"/proc/{container}"))

    probe.server.start()
    probe.connect()
    # The artefacts are with the endpoints: nothing of S3 is needed.
    for found in probe.s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        probe.s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    assert probe.wait(kept)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert probe.ask(kept, "version") == b"v1"
    assert probe.ended(interrupted)["EndpointStatus"] in ("InService", "Failed")
    assert probe.describe(failed)["EndpointStatus"] == "Failed"
    probe.delete(kept)


def test_after_a_kill_in_an_update_the_update_goes_on(probe: Probe) -> None:
    name = probe.endpoint()
    newer = probe.config(probe.model("v2"))
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=newer)
    probe.server.kill()
    probe.server.start()
    probe.connect()
    assert probe.wait(name)["EndpointConfigName"] == newer
    assert probe.ask(name, "version") == b"v2"


def test_after_a_stop_of_the_server_nothing_runs(probe: Probe) -> None:
    name = probe.endpoint()
    container = probe.process(name)
    probe.server.stop()
    assert not os.path.exists(f"/proc/{container}")
    probe.server.start()
    probe.connect()
    assert probe.wait(name)["EndpointStatus"] == "InService"
