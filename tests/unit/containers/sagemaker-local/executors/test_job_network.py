"""The network of an isolated job's hosts: made once, gone with the last host and with the server."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sagemaker_local.executors.base import ImageError
from sagemaker_local.executors.job_network import JobNetworks

HOSTS = {"algo-1": "127.64.1.1", "algo-2": "127.64.1.2"}

SERVER = """
import asyncio, sys
from sagemaker_local.executors.job_network import JobNetworks

async def main():
    network = await JobNetworks().join({"algo-1": "127.64.1.1", "algo-2": "127.64.1.2"})
    print(network.holder.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def runs(pid: int) -> bool:
    """Whether a process is not over: not every machine's first process takes notice of orphans that are."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def joined(networks: JobNetworks):
    try:
        return await networks.join(HOSTS)
    except ImageError as error:
        pytest.skip(str(error))


async def test_hosts_share_a_network_that_goes_with_the_last(tmp_path):
    networks = JobNetworks()
    first = await joined(networks)
    second = await networks.join(HOSTS)
    assert first is second
    other = await networks.join({"algo-1": "127.64.2.1", "algo-2": "127.64.2.2"})
    assert other is not first
    networks.leave(first)
    assert first.holder.returncode is None
    networks.leave(second)
    networks.leave(other)
    assert await asyncio.wait_for(first.holder.wait(), 30) == 0
    assert await asyncio.wait_for(other.holder.wait(), 30) == 0


def test_a_killed_server_leaves_no_network():
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert server.stdout is not None
    line = server.stdout.readline()
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    if not line:
        pytest.skip("no network namespace can be made here")
    deadline = time.monotonic() + 30
    while runs(int(line)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
