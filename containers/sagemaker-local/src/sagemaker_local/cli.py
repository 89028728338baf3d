"""The ``sagemaker-local`` command."""

from __future__ import annotations

import argparse
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

from sagemaker_local import limits
from sagemaker_local.settings import Settings

READY_FILE = "ready.json"
"""Written below the data directory once the server answers: ``{"pid", "port", "url"}``."""


def parse(arguments: list[str] | None) -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="sagemaker-local", description="A SageMaker for one machine.")
    parser.add_argument(
        "--data", type=Path, default=Path("sagemaker-local-data"), help="directory for everything durable"
    )
    parser.add_argument(
        "--containers", type=Path, default=Path("containers"), help="every folder in it is an image"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4566, help="port to listen on; 0 takes a free one")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("--jobs", type=int, default=4, help="jobs that run side by side; the rest wait")
    parser.add_argument(
        "--executor", default="auto", choices=["auto", "bubblewrap", "unshare", "base-directory"]
    )
    parser.add_argument(
        "--ping-timeout-s",
        type=float,
        default=limits.PING_START_TIMEOUT_S,
        help="how long a serving container may take to answer its first /ping (default: %(default)s)",
    )
    parser.add_argument(
        "--stop-grace-s",
        type=float,
        default=limits.STOP_GRACE_S,
        help="time between SIGTERM and SIGKILL of a stopped job (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    return Settings(
        data_dir=options.data.resolve(),
        containers_dir=options.containers.resolve(),
        host=options.host,
        port=options.port,
        region=options.region,
        account=options.account,
        max_running_jobs=options.jobs,
        executor=options.executor,
        ping_start_timeout_s=options.ping_timeout_s,
        stop_grace_s=options.stop_grace_s,
    )


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

    listener = socket.create_server((settings.host, settings.port), backlog=2048)
    settings = dataclasses.replace(settings, port=listener.getsockname()[1])
    app = App(settings)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config, settings.data_dir / READY_FILE, settings.url)
    server.run(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    """Tells where it listens once it does, on standard output and in a file, to programs that wait for it."""

    def __init__(self, config: uvicorn.Config, ready_file: Path, url: str) -> None:
        super().__init__(config)
        self._ready_file = ready_file
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._ready_file.unlink(missing_ok=True)
        await super().startup(sockets)
        ready = {"pid": os.getpid(), "port": int(self._url.rpartition(":")[2]), "url": self._url}
        partial = self._ready_file.with_suffix(".partial")
        partial.write_text(json.dumps(ready))
        partial.replace(self._ready_file)
        print(f"sagemaker-local: ready on {self._url}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ready_file.unlink(missing_ok=True)
        await super().shutdown(sockets)


def _lock(data_dir: Path) -> TextIO | None:
    """Hold the data directory for this process; the kernel lets go of it however the process ends."""
    handle = (data_dir / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle
