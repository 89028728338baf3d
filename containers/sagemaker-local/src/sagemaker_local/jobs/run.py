"""One run of one job: its directory, its log, its stop, and the program that it starts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from sagemaker_local.executors.base import Executor, ImageError, Program, Source
from sagemaker_local.jobs.kinds import JobKind
from sagemaker_local.jobs.outcome import JobStopped, StopCause, client_error
from sagemaker_local.jobs.record import JobRecord
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.names import now
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container_log import ContainerLog
from sagemaker_local.settings import Settings
from sagemaker_local.store import Store

Answer = TypeVar("Answer")

LAST_LINES = 12
"""Lines of output that explain a failure when the program wrote no reason itself."""


class JobRun:
    """What the lifecycle of a job works with.

    Attributes:
        settings, store, objects, logs, executor: The server's parts.
        kind: The kind of job.
        name: The job's name.
        record: Its durable record.
        directory: Below it everything of the job lies; removed at its end.
        stopped: The cause once the job is to stop.
        has_place: It is one of the jobs that run side by side.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        objects: ObjectStore,
        logs: LogStore,
        executor: Executor,
        kind: JobKind,
        name: str,
    ) -> None:
        self.settings = settings
        self.store = store
        self.objects = objects
        self.logs = logs
        self.executor = executor
        self.kind = kind
        self.name = name
        self.record = JobRecord(store, kind, name)
        self.directory = settings.data_dir / "jobs" / kind.kind / name
        self.stopped: StopCause | None = None
        self.has_place = False
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.line_watchers: list[Callable[[str], None]] = []
        self._stop = asyncio.Event()
        self._log = ContainerLog(logs, kind.log_group, f"{name}/algo-1-{int(now())}")
        self._timer: asyncio.TimerHandle | None = None
        self.abandoned = threading.Event()
        """Set when the job no longer wants what a thread still does for it."""

    @property
    def opt_ml(self) -> Path:
        """What the program sees as /opt/ml."""
        return self.directory / "ml"

    @property
    def document(self) -> dict[str, Any]:
        """The Describe answer as it is now."""
        return self.record.read().document

    def log(self, line: str) -> None:
        """Take a line of the job's output."""
        self.last_lines.append(line)
        for watch in self.line_watchers:
            watch(line)
        self._log.write(line)

    def begin(self, max_runtime_s: float | None) -> None:
        """Note the start and have the job stopped when its time is up."""
        self.record.begin()
        if max_runtime_s is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max_runtime_s, self.request_stop, StopCause.MAX_RUNTIME)

    def request_stop(self, cause: StopCause) -> None:
        """Have the job stop at the next point where it can; the first cause counts."""
        self.stopped = self.stopped or cause
        self._stop.set()

    async def unless_stopped(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Do something that a stop interrupts at once.

        Raises:
            JobStopped: the job was stopped before the work was done.
        """
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self.stopped is None:
                return task.result()
            self.abandoned.set()
            raise JobStopped(self.stopped)
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def prepare(self, image: str | Source) -> None:
        """Make an image ready, its build's output in the job's log.

        Raises:
            JobFailed: it cannot be had or built.
            JobStopped: stopped meanwhile.
        """
        try:
            await self.unless_stopped(self.executor.prepare(image, self.log))
        except ImageError as error:
            raise client_error(str(error)) from error

    async def run(self, program: Program) -> int:
        """Run a program to its end and return its exit code.

        Raises:
            JobFailed: it could not be started.
            JobStopped: it was stopped; it had its SIGTERM and the grace, and nothing of it is left.
        """
        if self.stopped is not None:
            raise JobStopped(self.stopped)
        self.record.set_private(started=True)
        try:
            running = await self.executor.start(program, self.log)
        except ImageError as error:
            raise client_error(str(error)) from error
        try:
            return await self.unless_stopped(running.wait())
        except JobStopped:
            await running.stop(self.settings.stop_grace_s)
            raise
        except asyncio.CancelledError:
            await running.stop(0)
            raise

    def failure_text(self, *files: str) -> str:
        """Why the program says it failed: the first file below /opt/ml that has text, else its last lines."""
        for name in files:
            path = self.opt_ml / name
            if path.is_file() and (text := path.read_text(errors="replace").strip()):
                return text
        return "\n".join(self.last_lines).strip() or "the program printed nothing"

    async def close(self) -> None:
        """Write what is left of the log."""
        if self._timer is not None:
            self._timer.cancel()
        await self._log.close()
