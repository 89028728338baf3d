"""Removes a server's containers when the server dies without having done so: ``kill -9``, a crash.

Containers are children of the engine, not of the server, and would run on. The server starts this file by
path with a bare interpreter (``python -I -S docker_reaper.py LIFELINE SOCKET LABEL``), so it imports the
standard library only. LIFELINE is the reading end of a pipe whose writing end the server holds: it ends when
the server does. Then every container with the label is removed, and this process ends too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sys
import urllib.parse
from typing import Any

TIMEOUT_S = 60.0


class EngineConnection(http.client.HTTPConnection):
    """HTTP over the engine's unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self.path)


def ask(path: str, method: str, url: str) -> Any:
    """One request to the engine; None when it answers with no JSON."""
    connection = EngineConnection(path)
    try:
        connection.request(method, url)  # without a version: engines refuse those that they find too old
        body = connection.getresponse().read()
        return json.loads(body) if body else None
    finally:
        connection.close()


def remove(path: str, label: str) -> None:
    """Remove all containers with the label, then the networks that they were in."""
    filters = urllib.parse.quote(json.dumps({"label": [label]}))
    for listing, one, options in (
        (f"/containers/json?all=1&filters={filters}", "/containers/", "?force=1&v=1"),
        (f"/networks?filters={filters}", "/networks/", ""),
    ):
        for each in ask(path, "GET", listing) or ():
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                ask(path, "DELETE", one + each["Id"] + options)


def main(lifeline: int, path: str, label: str) -> int:
    """Wait for the server's end, then clean up."""
    # The server's terminal and its service manager mean the server, whose end is what counts here.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(lifeline, 1):
        pass
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        remove(path, label)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
