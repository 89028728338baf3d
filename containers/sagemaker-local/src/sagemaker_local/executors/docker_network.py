"""The network that a server's containers share, and the way from it to the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sagemaker_local.executors.base import ImageError
from sagemaker_local.executors.docker_engine import remove_network, short
from sagemaker_local.executors.docker_relay import Relay
from sagemaker_local.settings import Settings

if TYPE_CHECKING:
    import aiodocker

LISTENING_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class ContainerNetwork:
    """A bridge of the server's own, made when the first program needs it.

    Args:
        settings: The server's.
        labels: Whose it is.
    """

    def __init__(self, settings: Settings, labels: Mapping[str, str]) -> None:
        self._host = LISTENING_EVERYWHERE.get(settings.host, settings.host)
        self._port = settings.port
        self._name = f"sagemaker-local-{short(settings.data_dir)}"
        self._labels = dict(labels)
        self._lock = asyncio.Lock()
        self._docker: aiodocker.Docker | None = None
        self._identity = ""
        self._relay: Relay | None = None
        self._url = ""
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.own_urls = frozenset({f"http://{host}:{self._port}", settings.url})
        """Where this server listens, as environment variables of programs say it."""

    async def ready(self, docker: aiodocker.Docker) -> tuple[str, str]:
        """The network's name, and the URL at which programs in it reach this server.

        Raises:
            ImageError: the engine runs elsewhere.
        """
        async with self._lock:
            if self._relay is None:
                await self._make(docker)
        return self._name, self._url

    async def close(self) -> None:
        """Remove the network; its containers are gone."""
        if self._relay is not None:
            await self._relay.close()
            self._relay = None
        if self._docker is not None:
            await remove_network(self._docker, self._identity)
            self._docker = None

    async def _make(self, docker: aiodocker.Docker) -> None:
        network = await docker.networks.create(
            {
                "Name": self._name,
                "CheckDuplicate": True,
                "Driver": "bridge",
                "Labels": self._labels,
            }
        )
        self._docker, self._identity = docker, network.id
        shown = await network.show()
        address = shown["IPAM"]["Config"][0]
        relay = Relay(address["Subnet"], (self._host, self._port))
        try:
            self._url = await relay.start(address["Gateway"].partition("/")[0])
        except OSError as error:
            await self.close()
            raise ImageError(
                "Docker's engine does not run on this machine: the gateway of its network, "
                f"{address['Gateway']}, is no address here ({error}), so programs could not reach this "
                "server. Use an engine of this machine's own, or another executor"
            ) from error
        self._relay = relay
