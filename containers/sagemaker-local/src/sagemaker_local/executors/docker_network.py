"""The networks that a server's containers are in, and the way from them to the server.

=====================================  ===========================================================
Program                                Network
=====================================  ===========================================================
one that may use the network           a bridge that all such programs share; they cannot see one another
isolated, and nobody asks it anything  none
isolated model server                  an internal bridge, without a way out, on which this server asks it
one of several hosts of a job          a bridge of the job's own, internal if isolated, with fixed addresses
=====================================  ===========================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sagemaker_local.executors.base import ImageError, Program
from sagemaker_local.executors.docker_engine import remove_network, short
from sagemaker_local.executors.docker_relay import Relay
from sagemaker_local.settings import Settings

if TYPE_CHECKING:
    import aiodocker

LISTENING_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
FIRST_HOST = 2
"""Of a subnet: 0 is its name, 1 the gateway."""
TAKEN = 409
SUBNET_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Joined:
    """A program's place in a network.

    Attributes:
        network: The engine's name of it.
        reached_at: The URL at which the program reaches this server; None where it cannot.
        address: The program's fixed address, where it has one.
        hosts: Names and addresses of the job's hosts.
    """

    network: str
    reached_at: str | None = None
    address: str | None = None
    hosts: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Network:
    """One bridge, as long as it has members."""

    name: str
    subnet: str
    relay: Relay | None
    reached_at: str | None
    members: int = 0


class ContainerNetworks:
    """Makes networks when the first program needs them, and removes those that nobody is in.

    Args:
        settings: The server's.
        labels: Whose they are.
    """

    def __init__(self, settings: Settings, labels: Mapping[str, str]) -> None:
        self._host = LISTENING_EVERYWHERE.get(settings.host, settings.host)
        self._port = settings.port
        self._prefix = f"sagemaker-local-{short(settings.data_dir)}"
        self._labels = dict(labels)
        self._lock = asyncio.Lock()
        self._networks: dict[str, _Network] = {}
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.own_urls = frozenset({f"http://{host}:{self._port}", settings.url})
        """Where this server listens, as environment variables of programs say it."""

    async def join(self, docker: aiodocker.Docker, program: Program) -> Joined:
        """Have a network for a program; leave it when the program is over.

        Raises:
            ImageError: the engine runs elsewhere.
        """
        together = len(program.hosts) > 1
        if not (program.network or together or program.port is not None):
            return Joined("none", hosts=program.hosts)
        name = self._name(program)
        async with self._lock:
            network = self._networks.get(name)
            if network is None:
                network = await self._make(docker, name, internal=not program.network, together=together)
                self._networks[name] = network
            network.members += 1
        if not together:
            return Joined(name, network.reached_at, hosts=program.hosts)
        subnet = ipaddress.ip_network(network.subnet)
        hosts = {host: str(subnet[FIRST_HOST + number]) for number, host in enumerate(sorted(program.hosts))}
        return Joined(name, network.reached_at, hosts[program.host_name], hosts)

    async def leave(self, docker: aiodocker.Docker, joined: Joined) -> None:
        """Forget a program that is over; the last one out of a job's network removes it."""
        async with self._lock:
            network = self._networks.get(joined.network)
            if network is None:
                return
            network.members -= 1
            if network.members == 0 and joined.address is not None:
                await self._remove(docker, network)

    async def close(self, docker: aiodocker.Docker) -> None:
        """Remove all; their containers are gone."""
        async with self._lock:
            for network in list(self._networks.values()):
                # Of whatever kind: the others are to go, too, and the next start removes what is left.
                with contextlib.suppress(Exception):
                    await self._remove(docker, network)

    def _name(self, program: Program) -> str:
        kind = "shared" if program.network else "isolated"
        if len(program.hosts) > 1:
            # No other job of this server has these addresses at the same time.
            own = hashlib.sha256(" ".join(sorted(program.hosts.values())).encode()).hexdigest()[:12]
            return f"{self._prefix}-{kind}-{own}"
        return f"{self._prefix}-{kind}"

    async def _remove(self, docker: aiodocker.Docker, network: _Network) -> None:
        del self._networks[network.name]
        if network.relay is not None:
            await network.relay.close()
        await remove_network(docker, network.name)

    async def _make(self, docker: aiodocker.Docker, name: str, *, internal: bool, together: bool) -> _Network:
        request: dict[str, Any] = {
            "Name": name,
            "CheckDuplicate": True,
            "Driver": "bridge",
            "Internal": internal,
            "Labels": self._labels,
            "Options": {"com.docker.network.bridge.enable_icc": "true" if together else "false"},
        }
        address = await self._create(docker, request, together=together)
        relay, reached_at = None, None
        if not internal:
            relay = Relay(address["Subnet"], (self._host, self._port))
            try:
                reached_at = await relay.start(address["Gateway"].partition("/")[0])
            except OSError as error:
                with contextlib.suppress(OSError):
                    await remove_network(docker, name)
                raise ImageError(
                    "Docker's engine does not run on this machine: the gateway of its network, "
                    f"{address['Gateway']}, is no address here ({error}), so programs could not reach this "
                    "server. Use an engine of this machine's own, or another executor"
                ) from error
        return _Network(name, address["Subnet"], relay, reached_at)

    async def _create(
        self, docker: aiodocker.Docker, request: dict[str, Any], *, together: bool
    ) -> dict[str, str]:
        """Have the engine make a network; its subnet and gateway."""
        import aiodocker

        for attempt in range(1, SUBNET_ATTEMPTS + 1):
            created = await _created(docker, request)
            address: dict[str, str] = (await created.show())["IPAM"]["Config"][0]
            if not together:
                return address
            # The engine gives fixed addresses only in a subnet that it was told: told what it chose itself.
            await created.delete()
            own = {"Config": [{"Subnet": address["Subnet"], "Gateway": address["Gateway"]}]}
            try:
                await _created(docker, {**request, "IPAM": own})
            except aiodocker.DockerError:
                # Somebody else's network may have been given the subnet in between.
                if attempt == SUBNET_ATTEMPTS:
                    raise
            else:
                break
        return address


async def _created(docker: aiodocker.Docker, request: dict[str, Any]) -> aiodocker.docker.DockerNetwork:
    """Make a network, in place of one that a start left which was broken off in the middle."""
    import aiodocker

    try:
        return await docker.networks.create(request)
    except aiodocker.DockerError as error:
        if error.status != TAKEN:
            raise
    await remove_network(docker, request["Name"])
    return await docker.networks.create(request)
