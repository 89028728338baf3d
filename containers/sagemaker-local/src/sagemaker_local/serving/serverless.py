"""A serverless variant: no container until the first request, none again after a while without one.

Other than on AWS, one container takes all of a variant's requests, up to MaxConcurrency at a time; there,
each request under way has one of its own. Source:
https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from sagemaker_local import limits
from sagemaker_local.executors.base import Executor, LineSink
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.http import Client, NotListening
from sagemaker_local.serving.invocation_errors import ModelNotReady, ServiceUnavailable, Throttled
from sagemaker_local.serving.model_server import ModelServer, ServeError

IDLE_VARIABLE = "SAGEMAKER_LOCAL_SERVERLESS_IDLE_S"
"""Environment variable: how long a container is kept without a request."""
IDLE_S = 300.0
WAKE_WAIT_S = limits.INVOKE_TIMEOUT_S
"""A request waits so long for its container; the start goes on without it."""
SLEEP_GRACE_S = 5.0


def idle_s() -> float:
    """How long a container is kept without a request."""
    return float(os.environ.get(IDLE_VARIABLE, IDLE_S))


class ServerlessServer(ModelServer):
    """The container of a serverless variant; takes the same as :class:`ModelServer`.

    Args:
        max_concurrency: Requests that may be under way.
        provisioned: The container is kept, however long nobody asks (ProvisionedConcurrency).
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
        max_concurrency: int,
        provisioned: bool,
    ) -> None:
        new = functools.partial(
            ModelServer,
            container,
            directory,
            environment=environment,
            executor=executor,
            objects=objects,
            log=log,
            start_timeout_s=start_timeout_s,
        )
        super().__init__(*new.args, **new.keywords)
        self._new = new
        self._container_up: ModelServer | None = None
        self._max_concurrency = max_concurrency
        self._idle_s = None if provisioned else idle_s()
        self._over = False
        self._changing = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._waking: asyncio.Task[None] | None = None
        self._falling_asleep: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Without a container it can have one at once; with one it is as that one is."""
        return not self._over and (self._container_up is None or self._container_up.ready)

    @property
    def pid(self) -> int | None:
        """Process id while there is a container."""
        return self._container_up.pid if self._container_up else None

    async def wait_ready(self, timeout_s: float) -> bool:
        """As for any container.

        Raises:
            NotListening: it was stopped for good.
        """
        if self._over:
            raise NotListening("the instance was taken out of service")
        return self._container_up is None or await self._container_up.wait_ready(timeout_s)

    async def start(self) -> None:
        """Bring the container up once, to see that it comes up, as on AWS.

        Raises:
            ServeError: it does not.
        """
        await self._wake()
        self._rest()

    async def stop(self, grace_s: float = limits.SERVE_STOP_GRACE_S) -> None:
        """For good."""
        self._over = True
        if self._idle is not None:
            self._idle.cancel()
        for task in (self._waking, self._falling_asleep):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._container_up is not None:
            await self._container_up.stop(grace_s)

    @contextlib.contextmanager
    def use(self) -> Iterator[Client]:
        """The client to the container.

        Raises:
            NotListening: there is none.
        """
        if self._container_up is None:
            raise NotListening("the serverless variant has no container now")
        with self._container_up.use() as client:
            yield client

    def suspect(self) -> None:
        """As for any container."""
        if self._container_up is not None:
            self._container_up.suspect()

    @contextlib.asynccontextmanager
    async def set_up(self, _headers: Mapping[str, str]) -> AsyncIterator[float | None]:
        """Have a container and a place in it; gives the seconds that its start took.

        Raises:
            Throttled: MaxConcurrency requests are under way.
            ModelNotReady: the container is not up in time.
        """
        if self.outstanding >= self._max_concurrency:
            raise Throttled("Rate exceeded")
        self.outstanding += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        try:
            started = time.perf_counter()
            cold = self._container_up is None
            if cold:
                await self._woken()
            yield time.perf_counter() - started if cold else None
        finally:
            self.outstanding -= 1
            self._rest()

    async def _woken(self) -> None:
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._wake())
        try:
            async with asyncio.timeout(WAKE_WAIT_S):
                await asyncio.shield(self._waking)
        except TimeoutError:
            raise ModelNotReady(
                "The serverless variant's container is still being started. Wait and try again."
            ) from None
        except ServeError as error:
            raise ServiceUnavailable(f"The serverless variant's container does not start: {error}") from error

    async def _wake(self) -> None:
        async with self._changing:
            if self._container_up is None:
                container = self._new()
                container.limits = self.limits
                try:
                    await container.start()
                except BaseException:
                    await container.stop(0)
                    raise
                self._container_up = container

    def _rest(self) -> None:
        if self._idle_s is not None and not self.outstanding and not self._over:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._fall_asleep)

    def _fall_asleep(self) -> None:
        self._falling_asleep = asyncio.create_task(self._sleep())

    async def _sleep(self) -> None:
        async with self._changing:
            container = self._container_up
            if container is None or self.outstanding:
                return
            self._log(f"No request for {self._idle_s:g} s: the container is stopped.")
            self._container_up = None  # from now on a request waits for the lock and starts another
            try:
                await container.stop(SLEEP_GRACE_S)
            except BaseException:
                self._container_up = container  # who cancelled this stops it
                raise
