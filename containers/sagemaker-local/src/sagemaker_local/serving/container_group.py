"""An instance of a model of several containers: an inference pipeline, or containers that are named directly.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/inference-pipeline-real-time.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/multi-container-direct.html
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sagemaker_local import limits
from sagemaker_local.executors.base import Executor, LineSink
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.http import Answer, Client, ConnectionLost, NotListening
from sagemaker_local.serving.invocation_errors import ValidationError
from sagemaker_local.serving.model_server import ModelServer

TARGET_CONTAINER = "x-amzn-sagemaker-target-container-hostname"
ACCEPT, CONTENT_TYPE = "accept", "content-type"


class ContainerGroup(ModelServer):
    """The containers of one instance; takes the same as :class:`ModelServer`, for the first of them.

    Args:
        directory: Holds each container's ``/opt/ml``, by its number.
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
        super().__init__(
            container,
            directory,
            environment=environment,
            executor=executor,
            objects=objects,
            log=log,
            start_timeout_s=start_timeout_s,
        )
        self._direct = container.direct
        alone = dataclasses.replace(container, others=())
        self._servers = {
            each.hostname: ModelServer(
                each,
                directory / str(number),
                environment=environment,
                executor=executor,
                objects=objects,
                log=_named(log, each.hostname),
                start_timeout_s=start_timeout_s,
            )
            for number, each in enumerate((alone, *container.others), start=1)
        }

    @property
    def ready(self) -> bool:
        """Whether every container is."""
        return all(server.ready for server in self._servers.values())

    @property
    def pid(self) -> int | None:
        """Process id of the first container."""
        return next(iter(self._servers.values())).pid

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until every container is ready; False when one is not by then.

        Raises:
            NotListening: they were stopped for good.
        """
        waits = (server.wait_ready(timeout_s) for server in self._servers.values())
        return all(await asyncio.gather(*waits))

    async def start(self) -> None:
        """Bring all containers up side by side.

        Raises:
            ServeError: one does not come up; nothing is left running.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for server in self._servers.values():
                    server.limits = self.limits
                    group.create_task(server.start())
        except BaseException as error:
            await self.stop(0)
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise

    async def stop(self, grace_s: float = limits.SERVE_STOP_GRACE_S) -> None:
        """Stop all containers."""
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers.values()))

    @contextlib.contextmanager
    def use(self) -> Iterator[Client]:
        """The client to the first container."""
        with next(iter(self._servers.values())).use() as client:
            yield client

    def suspect(self) -> None:
        """Someone saw one refuse a connection."""
        for server in self._servers.values():
            server.suspect()

    async def invoke(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        sink: Callable[[bytes], None] | None = None,
        headed: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Have the named container answer, or all of them, each what the one before it answered.

        Raises:
            ValidationError: the request names no container, or one that is not there.
        """
        self.outstanding += 1
        try:
            if self._direct:
                server = self._target(headers.get(TARGET_CONTAINER))
                return await server.invoke(headers, body, timeout_s=timeout_s, sink=sink, headed=headed)
            return await self._in_turn(headers, body, timeout_s, sink, headed)
        finally:
            self.outstanding -= 1

    def _target(self, hostname: str | None) -> ModelServer:
        if hostname is None:
            raise ValidationError(
                "The request is missing a target container hostname header, which an endpoint of "
                "InferenceExecutionConfig Mode Direct needs."
            )
        if hostname not in self._servers:
            raise ValidationError(
                f"Container {hostname} is not one of this endpoint's: {', '.join(self._servers)}."
            )
        return self._servers[hostname]

    async def _in_turn(
        self,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        sink: Callable[[bytes], None] | None,
        headed: Callable[[Answer], None] | None,
    ) -> Answer:
        if TARGET_CONTAINER in headers:
            raise ValidationError(
                "The endpoint is an inference pipeline, whose containers cannot be invoked directly."
            )
        deadline = time.monotonic() + timeout_s
        *before, last = self._servers.values()
        given = {name: value for name, value in headers.items() if name != ACCEPT}
        for number, server in enumerate(before):
            with _begun(number > 0):
                answer = await server.invoke(given, body, timeout_s=_left(deadline))
            if answer.status >= 300:
                return answer
            body = bytes(answer.body)
            if CONTENT_TYPE in answer.headers:
                given[CONTENT_TYPE] = answer.headers[CONTENT_TYPE]
        given |= {ACCEPT: headers[ACCEPT]} if ACCEPT in headers else {}
        with _begun(True):
            return await last.invoke(given, body, timeout_s=_left(deadline), sink=sink, headed=headed)


@contextlib.contextmanager
def _begun(already: bool) -> Iterator[None]:
    """Once a container has done its part, the request is not sent again when the next is away."""
    try:
        yield
    except NotListening as error:
        if already:
            raise ConnectionLost(str(error)) from error
        raise


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _named(log: LineSink, hostname: str) -> LineSink:
    return lambda line: log(f"[{hostname}] {line}")
