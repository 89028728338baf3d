"""Lets containers reach this server, which listens on loopback, where no container can reach it.

The containers of a server have a network of their own. The relay listens on that network's gateway, an
address of this machine's that belongs to the network's bridge, and takes connections only from the network's
own addresses: another container, or a neighbour on the machine's real network who sets a route to the bridge,
has none of them and could never receive an answer to a forged one. What comes in is passed on to the server
byte by byte, so whatever the server asks of a client (signatures) it asks of programs too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging

logger = logging.getLogger(__name__)

CHUNK_BYTES = 65536


class Relay:
    """A listener for the programs of one network.

    Args:
        subnet: The network's addresses, such as ``172.18.0.0/16``.
        server: Host and port of this server.
    """

    def __init__(self, subnet: str, server: tuple[str, int]) -> None:
        self._subnet = ipaddress.ip_network(subnet)
        self._server = server
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, gateway: str) -> str:
        """Listen on the network's gateway; the URL for programs there.

        Raises:
            OSError: the gateway is no address of this machine.
        """
        try:
            self._listener = await asyncio.start_server(self._take, gateway, self._server[1])
        except OSError:
            self._listener = await asyncio.start_server(self._take, gateway, 0)
        port = self._listener.sockets[0].getsockname()[1]
        return f"http://{gateway}:{port}"

    async def close(self) -> None:
        """Take no more connections and end those that there are."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            peer = ipaddress.ip_address(writer.get_extra_info("peername")[0])
            if peer in self._subnet:
                await self._pass_on(reader, writer)
            else:
                logger.warning("a connection from %s, which is no container of ours, was refused", peer)
        except (OSError, asyncio.CancelledError):
            pass  # either side is gone; the other is told by the close below
        finally:
            self._connections.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(*self._server)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, requests))
                both.create_task(_pump(answers, writer))
        except* OSError:
            pass
        finally:
            requests.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK_BYTES):
        target.write(chunk)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()
