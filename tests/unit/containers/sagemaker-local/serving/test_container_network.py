"""A container's port is nobody else's, from when it is chosen to when the container has ended."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sagemaker_local.executors.base import Executor
from sagemaker_local.serving import container_network
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.container_network import ContainerNetwork

FIRST = 100_000 * os.getpid()
"""No port can have this number, and no other run of this test has it."""
OTHER_SERVER = f"""
import sys
from sagemaker_local.serving import container_network
container_network._unused_port = lambda: {FIRST}
print(container_network._free_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> ContainerNetwork:
    class Process:
        network_interface = "lo"
        own_networks = True

    offered = iter([FIRST, FIRST + 1, FIRST, FIRST + 1, FIRST + 2])
    monkeypatch.setattr(container_network, "_taken", {})
    monkeypatch.setattr(container_network, "_unused_port", lambda: next(offered))
    executor: Executor = Process()  # type: ignore[assignment]
    return ContainerNetwork(Container(image="image"), executor, print)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that end with their process")
def test_two_servers_give_no_two_containers_the_same_port(network: ContainerNetwork) -> None:
    command = [sys.executable, "-c", OTHER_SERVER]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == f"{FIRST}\n"
        assert network.take_port() == FIRST + 1
        other.kill()
    assert network.take_port() == FIRST, "what a killed server had is free again"
    assert network.take_port() == FIRST + 2, "its own are not given twice"
    for port in (FIRST, FIRST + 1, FIRST + 2):
        network.release(port)
    assert not container_network._taken
