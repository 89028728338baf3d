"""The ``sagemaker-local`` command."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import logging
import os
import socket
import sys
from pathlib import Path
from typing import TextIO

import uvicorn

from sagemaker_local.command_line import CREDENTIALS_FILE, parse
from sagemaker_local.settings import Settings

READY_FILE = "ready.json"
"""Written below the data directory once the server answers: ``{"pid", "port", "url"}``."""

KEEP_ALIVE_S = 75
"""How long an idle connection is kept. uvicorn's 5 s are what httpx and many pollers pause, too: a request
that meets the closing is lost, and one that may have been taken is not sent twice."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    settings = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    lock = _lock(settings.data_dir)
    if lock is None:
        message = f"{settings.data_dir} is in use by another server; stop it or choose another --data"
        print(f"sagemaker-local: {message}", file=sys.stderr)
        return 1
    # After the checks above: botocore and starlette take a second to import.
    from sagemaker_local.app import App
    from sagemaker_local.connection import Connection
    from sagemaker_local.executors.choice import ExecutorUnavailable

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        print(
            f"sagemaker-local: cannot listen on {where}: {error.strerror}; choose another --port",
            file=sys.stderr,
        )
        return 1
    settings = dataclasses.replace(settings, port=listener.getsockname()[1])
    try:
        app = App(settings)
    except ExecutorUnavailable as error:
        print(f"sagemaker-local: {error}", file=sys.stderr)
        return 1
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        proxy_headers=False,
        lifespan="on",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config, settings.data_dir / READY_FILE, settings)
    server.run(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    """Tells where it listens once it does, on standard output and in a file, to programs that wait for it."""

    def __init__(self, config: uvicorn.Config, ready_file: Path, settings: Settings) -> None:
        super().__init__(config)
        self._ready_file = ready_file
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._ready_file.unlink(missing_ok=True)
        await super().startup(sockets)
        url = self._settings.url
        ready = {"pid": os.getpid(), "port": self._settings.port, "url": url}
        partial = self._ready_file.with_suffix(".partial")
        partial.write_text(json.dumps(ready))
        partial.replace(self._ready_file)
        print(f"sagemaker-local: ready on {url}\n{what_to_export(self._settings)}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ready_file.unlink(missing_ok=True)
        await super().shutdown(sockets)


def what_to_export(settings: Settings) -> str:
    """The lines that make AWS's clients in a shell talk to this server; never a secret."""
    lines = [f"export AWS_ENDPOINT_URL={settings.url}", f"export AWS_DEFAULT_REGION={settings.region}"]
    if not settings.require_auth:
        lines.append("export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local")
    elif (settings.data_dir / CREDENTIALS_FILE).exists():
        lines.append(f"export AWS_SHARED_CREDENTIALS_FILE={settings.data_dir / CREDENTIALS_FILE}")
    else:
        lines.append("# and the key that the server was given")
    return "\n".join(f"  {line}" for line in lines)


def _lock(data_dir: Path) -> TextIO | None:
    """Hold the data directory for this process; the kernel lets go of it however the process ends."""
    handle = (data_dir / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle
