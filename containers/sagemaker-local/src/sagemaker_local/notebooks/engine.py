"""Notebook instances as they live: started, stopped, started again, back after a restart of the server.

The record in the store is the truth. ``private["token"]`` opens the notebook; ``private["port"]`` is where it
listens while it is in service.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import secrets
import shutil
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from sagemaker_local.executors.base import Executor, ImageError, Mount, Program, RunningProgram, Source
from sagemaker_local.jobs.environment import common
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.names import now
from sagemaker_local.serving.container_log import ContainerLog
from sagemaker_local.settings import Settings
from sagemaker_local.store import NotFound, Record, Store

logger = logging.getLogger(__name__)

KIND = "notebook_instance"
LOG_GROUP = "/aws/sagemaker/NotebookInstances"
FOLDER = "/home/ec2-user/SageMaker"
"""Where AWS has the files that outlive a stop."""
SOURCE = Source(Path(__file__).parent / "program", Path(__file__).parent / "requirements.txt")
START_TIMEOUT_S = 180.0
STOP_GRACE_S = 10.0
POLL_S = 0.2


class NotebookError(Exception):
    """The notebook does not come up; the message is the FailureReason."""


class NotebookEngine:
    """Runs the notebooks of all instances.

    Args:
        settings: The server's configuration.
        store: Holds the records.
        logs: Takes what the notebooks print.
        executor: Runs them.
    """

    def __init__(self, settings: Settings, store: Store, logs: LogStore, executor: Executor) -> None:
        self._settings = settings
        self._store = store
        self._logs = logs
        self._executor = executor
        self._directory = settings.data_dir / "notebooks"
        self._running: dict[str, tuple[RunningProgram, ContainerLog]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Take up every instance where an earlier server left it."""
        steps = {
            "Pending": self._bring_up,
            "InService": self._bring_up,
            "Stopping": self._take_down,
            "Deleting": self._remove,
        }
        for record in self._store.list(KIND):
            status = record.document["NotebookInstanceStatus"]
            if status == "InService":
                self._set(record.name, "Pending")
            if step := steps.get(status):
                self._begin(record.name, step)

    async def close(self) -> None:
        """Stop every notebook; the records stay for the next start."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(self._stop(name) for name in list(self._running)))

    def bring_up(self, name: str) -> None:
        """Start an instance whose record is ``Pending``."""
        self._begin(name, self._bring_up)

    def take_down(self, name: str) -> None:
        """Stop an instance whose record is ``Stopping``."""
        self._begin(name, self._take_down)

    def remove(self, name: str) -> None:
        """Remove an instance whose record is ``Deleting``, with its files; the record goes last."""
        self._begin(name, self._remove)

    def url(self, name: str) -> str:
        """The address that opens a notebook that is in service, with its token."""
        private = self._store.get(KIND, name).private
        return f"http://127.0.0.1:{private['port']}/lab?token={private['token']}"

    def _begin(self, name: str, step: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        before = self._tasks.get(name)

        async def guarded() -> None:
            if before is not None:
                before.cancel()
                await asyncio.gather(before, return_exceptions=True)
            try:
                await step(name)
            except NotFound:
                return  # deleted meanwhile
            except Exception as error:  # a defect of ours: it ends as failed and says so
                logger.exception("notebook instance %s: %s failed", name, step.__name__)
                self._set(name, "Failed", f"Internal failure of the local SageMaker: {error!r}")

        self._tasks[name] = asyncio.create_task(guarded(), name=f"notebook instance {name}")

    async def _bring_up(self, name: str) -> None:
        log = ContainerLog(self._logs, LOG_GROUP, f"{name}/jupyter.log")
        token = secrets.token_hex(24)
        with socket.socket() as reserved:
            try:
                running, port = await self._start_program(name, reserved, token, log)
            except (ImageError, NotebookError) as error:
                await log.close()
                self._set(name, "Failed", str(error))
                return
            self._running[name] = (running, log)
            try:
                await self._answers(running, port)
            except NotebookError as error:
                await self._stop(name)
                self._set(name, "Failed", str(error))
                return
            except asyncio.CancelledError:
                await self._stop(name)
                raise

        def in_service(record: Record) -> None:
            record.private.update(port=port, token=token)
            record.document.pop("FailureReason", None)
            record.document.update(
                NotebookInstanceStatus="InService", Url=f"127.0.0.1:{port}", LastModifiedTime=now()
            )

        self._store.update(KIND, name, in_service)
        await running.wait()
        await self._stop(name)
        self._set(name, "Failed", "The notebook server ended by itself; see its log, then stop and start it")

    async def _start_program(
        self, name: str, reserved: socket.socket, token: str, log: ContainerLog
    ) -> tuple[RunningProgram, int]:
        files, scratch = self._directory / name / "SageMaker", self._directory / name / "ml"
        for directory in (files, scratch):
            await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
        await self._executor.prepare(SOURCE, log.write)  # takes minutes the first time: no port before it
        port = _reserve_port(reserved)
        in_sandbox = self._executor.name != "base-directory"
        program = Program(
            image=SOURCE,
            opt_ml=scratch,
            arguments=("notebook",),
            environment={
                **common(self._settings),
                "NOTEBOOK_TOKEN": token,
                "NOTEBOOK_FOLDER": FOLDER if in_sandbox else str(files),
            },
            port=port,
            host_name="notebook",
            mounts=(Mount(files, FOLDER, read_only=False),) if in_sandbox else (),
        )
        return await self._executor.start(program, log.write), port

    async def _answers(self, running: RunningProgram, port: int) -> None:
        ended = asyncio.create_task(running.wait())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await asyncio.to_thread(_responds, running.address or ("127.0.0.1", port)):
                    if ended.done():
                        raise NotebookError(f"The notebook server ended with exit code {ended.result()}")
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise NotebookError(f"The notebook server gave no answer in {START_TIMEOUT_S:g} s") from None
        finally:
            ended.cancel()

    async def _take_down(self, name: str) -> None:
        await self._stop(name)
        self._set(name, "Stopped")

    async def _remove(self, name: str) -> None:
        await self._stop(name)
        await asyncio.to_thread(shutil.rmtree, self._directory / name, ignore_errors=True)
        self._store.delete(KIND, name)

    async def _stop(self, name: str) -> None:
        if (found := self._running.pop(name, None)) is not None:
            running, log = found
            await running.stop(STOP_GRACE_S)
            await log.close()

    def _set(self, name: str, status: str, reason: str | None = None) -> None:
        def change(record: Record) -> None:
            record.document.update(NotebookInstanceStatus=status, LastModifiedTime=now())
            for field, value in (("FailureReason", reason), ("Url", None)):
                record.document.pop(field, None)
                if value:
                    record.document[field] = value

        self._store.update(KIND, name, change)


def _responds(address: tuple[str, int]) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=5)
    try:
        connection.request("GET", "/api")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _reserve_port(reserved: socket.socket) -> int:
    """A port that nobody else is given while this socket is open.

    Jupyter needs seconds from its start to its socket. It can have the port all the same, because it sets
    SO_REUSEADDR, too, and this socket does not listen.
    """
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    port: int = reserved.getsockname()[1]
    return port
