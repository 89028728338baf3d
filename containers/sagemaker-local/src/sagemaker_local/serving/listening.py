"""Which ports a container's processes listen on: some images listen on 8080 whatever they are told."""

from __future__ import annotations

import contextlib
import socket

PORT = 8080
"""Where AWS's contract has model servers listen."""


def is_taken(port: int) -> bool:
    """Whether anybody accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listens_on(pid: int, port: int) -> bool:
    """Whether a process, or one below it, accepts connections on a TCP port."""
    import psutil  # only where a container does not answer at once

    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                found = process.net_connections("tcp")
                if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found):
                    return True
    return False
