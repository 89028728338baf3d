"""Ports of loopback."""

from __future__ import annotations

import socket


class NoPortError(Exception):
    """The kernel gives no port."""


def free_port(wanted: int = 0) -> int:
    """The wanted port of loopback if it can be had, else one that the kernel gives."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NoPortError("no free port on 127.0.0.1")
