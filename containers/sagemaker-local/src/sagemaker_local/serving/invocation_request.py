"""One invocation as a caller asks it, and how one instance takes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sagemaker_local import limits
from sagemaker_local.serving.container_group import TARGET_CONTAINER, ContainerGroup
from sagemaker_local.serving.http import Answer, ConnectionLost, NotListening
from sagemaker_local.serving.invocation_errors import ValidationError
from sagemaker_local.serving.model_server import ModelServer
from sagemaker_local.serving.multi_model import TARGET_MODEL, MultiModelServer
from sagemaker_local.serving.router import Variant
from sagemaker_local.serving.serverless import ServerlessServer

if TYPE_CHECKING:
    from sagemaker_local.serving.fleet import Fleet

NOT_MULTI_MODEL = "Endpoint {} is not a multi-model endpoint and does not support target model header."
NOT_MULTI_CONTAINER = (
    "Endpoint {} is not a multi-container endpoint and does not support target container header."
)


@dataclass(slots=True)
class Invocation:
    """What a caller asks, and what became of it.

    Attributes:
        endpoint: Name of the endpoint.
        headers: What the container gets, by lower-case name.
        body: The payload.
        request_id: Names the request in errors.
        target_variant: The variant that must take it, or None.
        timeout_s: For the container's answer.
        started: When it came in, by :func:`time.perf_counter`.
        fleet: What took it; known once it is over.
        variant: The variant that took it; likewise.
        model_latency_s: How long the container took; None when it did not reach one.
        model_setup_s: How long a serverless variant took to start it; None when it was there.
        model_loading_s: How long a multi-model container took to load its model; 0 when it was loaded.
    """

    endpoint: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str
    target_variant: str | None = None
    timeout_s: float = limits.INVOKE_TIMEOUT_S
    started: float = field(default_factory=time.perf_counter)
    fleet: Fleet | None = None
    variant: str = ""
    model_latency_s: float | None = None
    model_setup_s: float | None = None
    model_loading_s: float | None = None


async def ask(
    server: ModelServer,
    invocation: Invocation,
    sink: Callable[[bytes], None] | None,
    headed: Callable[[Answer], None] | None,
) -> Answer:
    """The instance's answer; ``sink`` and ``headed`` as in :meth:`Client.request`.

    Raises:
        AwsError: it has no place, or not the model, for this request.
        ConnectionLost: the container is away, or went away before it answered.
        LoadFailed: the container did not load the model.
        TimeoutError: no answer in time.
    """
    if not isinstance(server, MultiModelServer | ServerlessServer):
        return await _timed(server, invocation, sink, headed)
    # Loading a model or starting a container is not the model's latency.
    async with server.set_up(invocation.headers) as setup_s:
        if isinstance(server, ServerlessServer):
            invocation.model_setup_s = setup_s
        else:
            invocation.model_loading_s = setup_s or 0.0
        return await _timed(server, invocation, sink, headed)


async def _timed(
    server: ModelServer,
    invocation: Invocation,
    sink: Callable[[bytes], None] | None,
    headed: Callable[[Answer], None] | None,
) -> Answer:
    asked = time.perf_counter()
    try:
        return await server.invoke(
            invocation.headers, invocation.body, timeout_s=invocation.timeout_s, sink=sink, headed=headed
        )
    except ConnectionLost as error:
        if isinstance(error, NotListening):
            asked = 0.0
        # A process that ends may take connections for a moment more: the next request waits for a /ping.
        server.suspect()
        raise
    finally:
        invocation.model_latency_s = time.perf_counter() - asked if asked else None


def choose(variant: Variant, invocation: Invocation) -> ModelServer:
    """An instance that has the model already, else the least busy one.

    Raises:
        NotListening: the variant has no instance now.
        ValidationError: the request is not one for its kind of endpoint.
    """
    target = invocation.headers.get(TARGET_MODEL)
    if target is not None:
        holding = [
            server
            for server in variant.servers
            if isinstance(server, MultiModelServer) and server.ready and server.holds(target)
        ]
        if holding:
            return min(holding, key=lambda server: server.outstanding)
    server = variant.pick()
    _check(server, invocation)
    return server


def _check(server: ModelServer, invocation: Invocation) -> None:
    multi_model = isinstance(server, MultiModelServer)
    if TARGET_MODEL in invocation.headers and not multi_model:
        raise ValidationError(NOT_MULTI_MODEL.format(invocation.endpoint))
    if TARGET_CONTAINER in invocation.headers and not isinstance(server, ContainerGroup):
        raise ValidationError(NOT_MULTI_CONTAINER.format(invocation.endpoint))
    if multi_model and TARGET_MODEL not in invocation.headers:
        raise ValidationError(f"Request {invocation.request_id} is missing a target model header.")
