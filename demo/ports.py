"""Ports of loopback."""

from __future__ import annotations

import socket

ATTEMPTS = 100
_given: set[int] = set()
"""What this process was given already, and may not have bound yet: the kernel gives it a second time."""


class NoPortError(Exception):
    """The kernel gives no port."""


def free_port(wanted: int = 0) -> int:
    """The wanted port of loopback if it can be had, else one that the kernel gives."""
    for port in (wanted, *[0] * ATTEMPTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
            if wanted == found or found not in _given:
                _given.add(found)
                return found
    raise NoPortError("no free port on 127.0.0.1")
