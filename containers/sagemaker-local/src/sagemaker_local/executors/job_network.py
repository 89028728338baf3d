"""Networks of isolated jobs with several hosts: they reach one another, and nothing else.

On AWS EnableNetworkIsolation leaves calls between the peers of a training cluster: the hosts of a job are in
one network namespace, each with its address of the loopback interface there.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/mkt-algo-model-internet-free.html
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sagemaker_local.executors import network_holder
from sagemaker_local.executors.base import ImageError
from sagemaker_local.executors.process import BASE_PYTHON

HOLDER = str(Path(network_holder.__file__).resolve())


@dataclass(slots=True, eq=False)
class JobNetwork:
    """One job's network.

    Attributes:
        key: The addresses of the job's hosts: no other job has them at the same time.
        holder: The process that holds it.
        members: Programs in it.
    """

    key: frozenset[str]
    holder: asyncio.subprocess.Process
    members: int = 0

    def command(self) -> list[str]:
        """What stands before a sandbox that is to be in this network."""
        nsenter = shutil.which("nsenter")
        assert nsenter is not None
        return [nsenter, "--target", str(self.holder.pid), "--user", "--net", "--preserve-credentials"]


class JobNetworks:
    """Makes a job's network for its first program, and ends it with the last."""

    def __init__(self) -> None:
        self._networks: dict[frozenset[str], JobNetwork] = {}
        self._making = asyncio.Lock()

    async def join(self, hosts: Mapping[str, str]) -> JobNetwork:
        """The network of the job with these hosts; leave it when the program is over.

        Raises:
            ImageError: none can be made here.
        """
        key = frozenset(hosts.values())
        async with self._making:
            network = self._networks.get(key)
            if network is None:
                network = self._networks[key] = JobNetwork(key, await _hold())
            network.members += 1
            return network

    def leave(self, network: JobNetwork) -> None:
        """A program is over; the last one ends the network."""
        network.members -= 1
        if network.members == 0:
            del self._networks[network.key]
            assert network.holder.stdin is not None
            network.holder.stdin.close()


async def _hold() -> asyncio.subprocess.Process:
    if shutil.which("nsenter") is None:
        raise ImageError(
            "EnableNetworkIsolation on several instances needs nsenter (Debian and Ubuntu: apt-get install "
            "util-linux); install it, or create the job on one instance"
        )
    holder = await asyncio.create_subprocess_exec(
        BASE_PYTHON, "-I", "-S", "-B", HOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    assert holder.stdout is not None
    said = await holder.stdout.readline()
    if said != b"ready\n":
        await holder.wait()
        raise ImageError(said.decode(errors="replace").strip() or "no network can be made for the job")
    return holder
