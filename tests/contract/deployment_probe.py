"""What the tests of deployments share: a server whose waits are short, steady load, and alarms."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import IMAGES, Probe, eventually, unique

WAIT_SCALE = 0.01
"""A wait of 100 seconds takes one."""
PING_TIMEOUT_S = 120
"""No test here waits for it, and after a restart twenty containers come up at once."""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server of its own for each module, with deployments that wait a hundredth of the time."""
    data = tmp_path_factory.mktemp("deployments") / "data"
    arguments = ["--ping-timeout-s", str(PING_TIMEOUT_S), "--deployment-wait-scale", str(WAIT_SCALE)]
    server = LocalServer(data, IMAGES, *arguments).start()
    yield Probe(server)
    server.stop()


class Seen(Counter[str]):
    """How many requests each version answered, and how many each caller made."""

    def __init__(self, callers: int) -> None:
        super().__init__()
        self.turns = [0] * callers
        self.counting = threading.Lock()

    def count(self, caller: int, answer: str) -> None:
        with self.counting:
            self[answer] += 1
            self.turns[caller] += 1


@contextmanager
def load(probe: Probe, endpoint: str, callers: int = 4) -> Iterator[Seen]:
    """Ask without a pause while the block runs; counts the versions that answered, and the errors."""
    seen = Seen(callers)
    over = threading.Event()

    def ask(caller: int) -> None:
        while not over.is_set():
            try:
                answer = probe.ask(endpoint, "version").decode()
            except (BotoCoreError, ClientError) as error:
                answer = f"failed: {error}"
            seen.count(caller, answer)

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def share_of(seen: Seen, version: str, requests: int = 200) -> float:
    """Which share of the next so many requests a version answers.

    The requests that were under way before do not count: their answers are of an earlier time. Those under
    way at the end are the error: as many as there are callers, of so many requests.
    """

    def counted() -> tuple[int, int, list[int]]:
        with seen.counting:
            return seen[version], sum(seen.values()), list(seen.turns)

    _, _, turns = counted()
    eventually(lambda: all(now > then for now, then in zip(counted()[2], turns, strict=True)))
    answered, all_answered, _ = counted()
    eventually(lambda: counted()[1] - all_answered >= requests)
    answered_then, all_then, _ = counted()
    return (answered_then - answered) / (all_then - all_answered)


def size(kind: str, value: int) -> dict[str, Any]:
    """A CapacitySize."""
    return {"Type": kind, "Value": value}


def blue_green(kind: str, wait_s: int = 0, *, termination_s: int = 0, **sizes: Any) -> dict[str, Any]:
    """A DeploymentConfig with a BlueGreenUpdatePolicy."""
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **sizes}
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": termination_s}
    return {"BlueGreenUpdatePolicy": policy}


def rolling(batch: dict[str, Any], wait_s: int = 0, **more: Any) -> dict[str, Any]:
    """A DeploymentConfig with a RollingUpdatePolicy."""
    policy = {"MaximumBatchSize": batch, "WaitIntervalInSeconds": wait_s, **more}
    return {"RollingUpdatePolicy": policy}


def watched_by(alarm: str, config: dict[str, Any]) -> dict[str, Any]:
    """The config with automatic roll-back on an alarm."""
    return {**config, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}}


def alarm(probe: Probe) -> str:
    """A new alarm that nothing but `sound` puts into ALARM."""
    name = unique("alarm")
    probe.server.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Tests",
        MetricName="Nothing",
        Statistic="Sum",
        Period=3600,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    return name


def sound(probe: Probe, name: str) -> None:
    """Put an alarm into ALARM."""
    probe.server.client("cloudwatch").set_alarm_state(
        AlarmName=name, StateValue="ALARM", StateReason="a test"
    )


def pending(described: dict[str, Any]) -> dict[str, Any]:
    """The new fleet's only variant as DescribeEndpoint told it; empty when no update is under way."""
    summary = described.get("PendingDeploymentSummary", {})
    found: dict[str, Any] = next(iter(summary.get("ProductionVariants", [])), {})
    return found


def stage(probe: Probe, endpoint: str, what: str = "Status") -> str:
    """What is done to the new fleet: Creating, ActivatingTraffic, Baking, Deleting, or nothing."""
    statuses: list[dict[str, Any]] = pending(probe.describe(endpoint)).get("VariantStatus", [])
    return str(statuses[0].get(what, "")) if statuses else ""
