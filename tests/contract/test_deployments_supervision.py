"""`kill -9` of the server in every phase of a deployment: each ends as it would have."""

from __future__ import annotations

from typing import Any

from tests.contract.deployment_probe import alarm, blue_green, probe, rolling, size, sound, stage, watched_by
from tests.contract.serving_probe import BUCKET, Probe, eventually

__all__ = ["probe"]
CANARY = blue_green("CANARY", 400, CanarySize=size("INSTANCE_COUNT", 1), termination_s=400)
ROLLING = rolling(size("INSTANCE_COUNT", 1), 400)
PHASES = {
    "canary bakes": (CANARY, "Step 1"),
    "last step bakes": (CANARY, "Step 2"),
    "half rolled": (ROLLING, "Step 2"),
}
"""Where each deployment is when the server is killed: its policy and the beginning of its StatusMessage."""


def created(probe: Probe) -> tuple[str, str]:
    """An endpoint of two old instances that comes up, and its config."""
    old = probe.config(probe.model("old"), InitialInstanceCount=2)
    return probe.endpoint(old, wait=False), old


def update(probe: Probe, name: str, deployment: dict[str, Any], **environment: str) -> str:
    """Begin to replace its instances by two new ones; returns their config."""
    new = probe.config(probe.model("new", **environment), InitialInstanceCount=2)
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new, DeploymentConfig=deployment)
    return new


def killed(probe: Probe) -> None:
    probe.server.kill()
    probe.server.start()
    probe.connect()


def reached(probe: Probe, name: str, message: str) -> bool:
    """Whether a deployment is as far as that, or, where nobody looked in time, further."""
    over = probe.describe(name)["EndpointStatus"] != "Updating"
    return over or stage(probe, name, "StatusMessage") >= message


def test_deployments_go_on_to_their_ends_from_every_phase(probe: Probe) -> None:
    names = {phase: created(probe)[0] for phase in (*PHASES, "old fleet waits for its end", "coming up")}
    for name in names.values():
        probe.wait(name)
    configs = {}
    waiting = names["old fleet waits for its end"]
    configs[waiting] = update(probe, waiting, blue_green("ALL_AT_ONCE", 0, termination_s=3600))
    eventually(lambda: not stage(probe, waiting))  # of the new fleet: it has everything
    for phase, (deployment, _) in PHASES.items():
        configs[names[phase]] = update(probe, names[phase], deployment)
    eventually(lambda: all(reached(probe, names[phase], message) for phase, (_, message) in PHASES.items()))
    coming = names["coming up"]
    configs[coming] = update(probe, coming, CANARY)
    killed(probe)
    for name, new in configs.items():
        ended = probe.wait(name)
        assert ended["EndpointConfigName"] == new
        assert ended["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        assert "FailureReason" not in ended
        assert "PendingDeploymentSummary" not in ended
        assert {probe.ask(name, "version") for _ in range(6)} == {b"new"}
        probe.delete(name)


def test_a_roll_back_goes_on_to_its_end(probe: Probe) -> None:
    bell = alarm(probe)
    long = rolling(size("INSTANCE_COUNT", 1), 3600)
    name, old = created(probe)
    probe.wait(name)
    update(probe, name, watched_by(bell, long))
    eventually(lambda: stage(probe, name) == "Baking")
    sound(probe, bell)
    eventually(lambda: stage(probe, name) != "Baking")
    killed(probe)
    ended = probe.wait(name)
    assert ended["EndpointConfigName"] == old
    assert bell in ended["FailureReason"]
    assert ended["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert {probe.ask(name, "version") for _ in range(6)} == {b"old"}


def test_a_roll_back_that_fails_leaves_both_serving_until_the_next_update(probe: Probe) -> None:
    model = probe.model("old")
    name = probe.endpoint(probe.config(model, InitialInstanceCount=3))
    bell = alarm(probe)
    newer = probe.config(probe.model("new"), InitialInstanceCount=3)
    # Long enough to sound the alarm before the last step, which leaves nothing to the old fleet.
    deployment = watched_by(bell, rolling(size("INSTANCE_COUNT", 1), 800))
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=newer, DeploymentConfig=deployment)
    uri = probe.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["ModelDataUrl"]
    probe.s3.delete_object(Bucket=BUCKET, Key=uri.rpartition("/")[2])  # what is gone cannot come back
    eventually(lambda: probe.describe(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2)
    sound(probe, bell)
    eventually(lambda: probe.describe(name)["EndpointStatus"] == "UpdateRollbackFailed")
    reason = probe.describe(name)["FailureReason"]
    assert bell in reason
    assert "Failed to download model data" in reason
    assert {probe.ask(name, "version") for _ in range(12)} == {b"old", b"new"}
    killed(probe)
    eventually(lambda: answers(probe, name) == b"new")  # the config that still comes up
    assert probe.describe(name)["EndpointStatus"] == "UpdateRollbackFailed"
    third = probe.config(probe.model("third"))
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=third)
    ended = probe.wait(name)
    assert ended["EndpointConfigName"] == third
    assert "FailureReason" not in ended
    assert {probe.ask(name, "version") for _ in range(6)} == {b"third"}


def test_the_old_fleet_serves_while_the_new_one_comes_back(probe: Probe) -> None:
    name, _ = created(probe)
    probe.wait(name)
    update(probe, name, CANARY, PING_STATUS="503")
    eventually(lambda: stage(probe, name) == "Creating")
    killed(probe)
    eventually(lambda: answers(probe, name) == b"old")
    assert probe.describe(name)["EndpointStatus"] in ("Updating", "InService")


def answers(probe: Probe, name: str) -> bytes:
    try:
        return probe.ask(name, "version")
    except probe.runtime.exceptions.ClientError:
        return b""
