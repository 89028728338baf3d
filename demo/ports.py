"""Ports of loopback."""

from __future__ import annotations

import socket


class NoPortError(Exception):
    """The kernel gives no port."""


ATTEMPTS = 1000
_given: set[int] = set()
"""Who got one of these may not listen there yet: the kernel would give it again."""


def free_port(wanted: int = 0) -> int:
    """The wanted port of loopback if it can be had, else one of the kernel's, each of those once."""
    for port in (wanted, *[0] * ATTEMPTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
        if port or found not in _given:
            _given.add(found)
            return found
    raise NoPortError("no free port on 127.0.0.1")
