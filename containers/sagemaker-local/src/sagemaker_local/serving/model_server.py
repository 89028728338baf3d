"""One supervised serving container: started from its artefact, watched by /ping, started again when it dies.

Source of the contract: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sagemaker_local import limits
from sagemaker_local.executors.base import Executor, ImageError, Limits, LineSink, Program, RunningProgram
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import ArtefactError
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.container_network import PORT, ContainerNetwork
from sagemaker_local.serving.health import UNHEALTHY_PINGS, Health
from sagemaker_local.serving.http import Answer, Client, NotListening

START_CRASHES = 3
"""A container that ends so many times before its first good /ping will not come up."""
BACKOFF_FIRST_S = 0.2
BACKOFF_MOST_S = 30.0
STEADY_S = 60.0
"""A container that ran for this long is not in a crash loop."""
PLACED = ".artefacts-complete"


class ServeError(Exception):
    """The container does not come up; the message says why, in AWS's words where it has some."""


class PingError(ServeError):
    """The container did not answer /ping with 200 in time, or ended before it did."""


class ModelServer:
    """One instance's container.

    Args:
        container: What to run.
        directory: The container's ``/opt/ml``; kept over restarts, so that the artefact is fetched once.
        environment: Added to the container's own.
        executor: Runs it.
        objects: Where the artefacts are.
        log: Takes its output and what happens to it.
        start_timeout_s: It must answer /ping by then.
    """

    def __init__(
        self,
        container: Container,
        directory: Path,
        *,
        environment: Mapping[str, str],
        executor: Executor,
        objects: ObjectStore,
        log: LineSink,
        start_timeout_s: float,
    ) -> None:
        self._container = container
        self._opt_ml = directory
        self._environment = {**environment, **container.environment}
        self._executor = executor
        self._objects = objects
        self._log = log
        self._start_timeout_s = start_timeout_s
        self._program: RunningProgram | None = None
        self._client: Client | None = None
        self._crashes = 0
        self._running: asyncio.Task[None] | None = None
        self._network = ContainerNetwork(container, executor, log)
        self._health = Health(log, lambda: self.outstanding > 0)
        self.outstanding = 0
        self.limits = Limits()
        """What its instance type gives it; set before the start by who knows the type."""

    @property
    def ready(self) -> bool:
        """Whether it answered its last /ping and its process is there."""
        return self._health.ready

    @property
    def pid(self) -> int | None:
        """Process id while a process runs."""
        return self._program.pid if self._program else None

    @property
    def placed_marker(self) -> Path:
        """The file that says that ``/opt/ml`` is complete."""
        return self._opt_ml.with_name(self._opt_ml.name + PLACED)

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until it is ready; False when it is not by then.

        Raises:
            NotListening: it was stopped meanwhile and will not come back: ask another.
        """
        return await self._health.wait_ready(timeout_s)

    async def start(self) -> None:
        """Bring the container up; returns when it answers /ping, and supervises it from then on.

        Raises:
            ServeError: it does not come up; nothing is left running.
        """
        try:
            await self._executor.prepare(self._container.image, self._log)
            await asyncio.to_thread(self._place)
        except (ImageError, ArtefactError) as error:
            self._log(str(error))
            raise ServeError(str(error)) from error
        self._running = asyncio.create_task(self._supervise())
        ready = asyncio.create_task(self._health.comes_up())
        try:
            done, _ = await asyncio.wait(
                {self._running, ready},
                timeout=self._start_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except BaseException:
            await self.stop(0)
            raise
        finally:
            ready.cancel()
        if ready in done:
            return
        await self.stop(0)
        if self._running in done:
            self._running.result()
        raise PingError(f"no answer to /ping with status 200 within {self._start_timeout_s:g} seconds")

    async def stop(self, grace_s: float = limits.SERVE_STOP_GRACE_S) -> None:
        """Stop supervising and the container; nothing is left running."""
        self._health.retire()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        await self._end_program(grace_s)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float
    ) -> Answer:
        """Send a request to the container.

        Raises:
            ConnectionLost: the container is away, or went away before it answered.
            TimeoutError: no answer in time.
        """
        with self.use() as client:
            return await client.request(method, path, headers, body, timeout_s=timeout_s)

    async def invoke(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        sink: Callable[[bytes], None] | None = None,
        headed: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Have the model answer an invocation; ``sink`` and ``headed`` as in :meth:`Client.request`.

        Raises:
            ConnectionLost: the container is away, or went away before it answered.
            TimeoutError: no answer in time.
        """
        with self.use() as client:
            return await client.request(
                "POST", "/invocations", headers, body, timeout_s=timeout_s, sink=sink, headed=headed
            )

    @contextlib.contextmanager
    def use(self) -> Iterator[Client]:
        """The client to the container; counts as a request under way as long as it is held.

        Raises:
            NotListening: the container is away.
        """
        if self._client is None:
            raise NotListening("the container is being started again")
        self.outstanding += 1
        try:
            yield self._client
        finally:
            self.outstanding -= 1

    def suspect(self) -> None:
        """Someone saw it refuse or break a connection: not ready until /ping says otherwise."""
        self._health.suspect()

    def _place(self) -> None:
        """Fill ``/opt/ml``; once, however often the container starts."""
        marker = self.placed_marker
        if marker.exists():
            return
        (self._opt_ml / "model").mkdir(parents=True, exist_ok=True)
        if self._container.model:
            self._container.model.place(self._objects, self._opt_ml / "model")
        for channel, artefact in self._container.additional.items():
            artefact.place(self._objects, self._opt_ml / "additional-model-data-sources" / channel)
        marker.touch()

    async def _supervise(self) -> None:
        """Run the container over and over; ends only when it never came up."""
        came_up = False
        while True:
            started = time.monotonic()
            ended = await self._run_once()
            came_up = came_up or self._health.came_up
            if time.monotonic() - started > STEADY_S:
                self._crashes = 0
            self._crashes += 1
            self._log(f"The container ended: {ended}.")
            if not came_up and await self._network.moves(self._health.elsewhere):
                continue
            if not came_up and self._crashes >= START_CRASHES:
                raise PingError(f"it ended {self._crashes} times before it answered /ping: {ended}")
            backoff_s = min(BACKOFF_FIRST_S * 2 ** (self._crashes - 1), BACKOFF_MOST_S)
            self._log(f"The container is started again in {backoff_s:g} s.")
            await asyncio.sleep(backoff_s)

    async def _run_once(self) -> str:
        """Run the container until it ends or is unhealthy; says how it ended."""
        port = self._network.take_port()
        try:
            program = await self._executor.start(
                Program(
                    image=self._container.image,
                    opt_ml=self._opt_ml,
                    arguments=("serve",),
                    environment=self._environment,
                    port=port,
                    network=not self._network.own,
                    limits=self.limits,
                ),
                self._log,
            )
        except ImageError as error:
            self._network.release(port)
            return str(error)
        self._program = program
        host, listens_on = program.address or ("127.0.0.1", port)
        self._client = Client(listens_on, host, program.dial)
        told = program.address is None and program.dial is None
        watching = asyncio.create_task(self._health.watch(self._client, program.pid if told else None))
        waiting = asyncio.create_task(program.wait())
        try:
            await asyncio.wait({watching, waiting}, return_when=asyncio.FIRST_COMPLETED)
            unhealthy = not waiting.done()
        finally:
            self._health.ended()
            for task in (watching, waiting):
                task.cancel()
            await asyncio.gather(watching, waiting, return_exceptions=True)
        code = await self._end_program(limits.SERVE_STOP_GRACE_S)
        self._network.release(port)
        if self._health.elsewhere:
            return f"it listens on port {PORT} and not on SAGEMAKER_BIND_TO_PORT"
        return f"it failed {UNHEALTHY_PINGS} health checks" if unhealthy else f"exit code {code}"

    async def _end_program(self, grace_s: float) -> int | None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
        if self._program is None:
            return None
        code = await self._program.stop(grace_s)
        self._program = None  # only now: who cancels this wait stops it again
        return code
