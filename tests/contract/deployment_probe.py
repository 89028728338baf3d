"""What the tests of deployments share: a server whose waits are short, steady load, and alarms."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import IMAGES, PING_TIMEOUT_S, Probe, eventually, unique

WAIT_SCALE = 0.01
"""A wait of 100 seconds takes one."""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server of its own for each module, with deployments that wait a hundredth of the time."""
    data = tmp_path_factory.mktemp("deployments") / "data"
    arguments = ["--ping-timeout-s", str(PING_TIMEOUT_S), "--deployment-wait-scale", str(WAIT_SCALE)]
    server = LocalServer(data, IMAGES, *arguments).start()
    yield Probe(server)
    server.stop()


@contextmanager
def load(probe: Probe, endpoint: str, callers: int = 4) -> Iterator[Counter[str]]:
    """Ask without a pause while the block runs; counts the versions that answered, and the errors."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answer = probe.ask(endpoint, "version").decode()
            except ClientError as error:
                answer = f"failed: {error}"
            seen[answer] += 1

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def share_of(seen: Counter[str], version: str, requests: int = 60) -> float:
    """Which share of the next so many requests a version answers."""
    before = Counter(seen)
    eventually(lambda: sum(seen.values()) - sum(before.values()) >= requests)
    after = Counter(seen)
    return (after[version] - before[version]) / (sum(after.values()) - sum(before.values()))


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


def pending(probe: Probe, endpoint: str) -> dict[str, Any]:
    """The new fleet's only variant as DescribeEndpoint tells it; empty when no update is under way."""
    summary = probe.describe(endpoint).get("PendingDeploymentSummary", {})
    found: dict[str, Any] = next(iter(summary.get("ProductionVariants", [])), {})
    return found


def stage(probe: Probe, endpoint: str, what: str = "Status") -> str:
    """What is done to the new fleet: Creating, ActivatingTraffic, Baking, Deleting, or nothing."""
    statuses: list[dict[str, Any]] = pending(probe, endpoint).get("VariantStatus", [])
    return str(statuses[0].get(what, "")) if statuses else ""
