"""aiobotocore clients for the triggerer: one for each connection, region and service, shared by all triggers.

Making a client reads the service's model, tens of milliseconds in which every other trigger waits; so the
first trigger makes it, and the last one to leave closes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async

from airflow_sagemaker.errors import ConnectionSettingsError
from airflow_sagemaker.hooks.sagemaker import SageMakerHook, service_models
from airflow_sagemaker.specs.connection import ConnectionSettings

ClientKey: TypeAlias = tuple[int, str, str | None, str | None, str]

QUICK_CALLS: Mapping[str, Any] = {
    "retries": {"mode": "standard", "total_max_attempts": 2},
    "connect_timeout": 5,
    "read_timeout": 30,
    "max_pool_connections": 50,
}
"""Few retries in a call: the triggers' own backing off is logged and holds up nothing else."""


@dataclass
class _Shared:
    """A client, who closes it, and how many use it."""

    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    client: Any = None
    users: int = 0


_shared: dict[ClientKey, _Shared] = {}


@asynccontextmanager
async def shared_client(
    aws_conn_id: str, region_name: str | None, service_name: str, region: str | None = None
) -> AsyncIterator[Any]:
    """The client of a connection, region and service, while the block lasts.

    :param region: the region that the connection must lead to; a :class:`ConnectionSettingsError` where it
        has been changed since
    """
    key = _key(aws_conn_id, region_name, service_name, region)
    shared = _shared.setdefault(key, _Shared())
    shared.users += 1
    try:
        async with shared.lock:
            if shared.client is None:
                shared.client = await shared.stack.enter_async_context(
                    await _client_context(aws_conn_id, region_name, service_name, region)
                )
        yield shared.client
    finally:
        shared.users -= 1
        if shared.users == 0:
            if _shared.get(key) is shared:
                del _shared[key]
            await shared.stack.aclose()


def forget_client(
    aws_conn_id: str, region_name: str | None, service_name: str, region: str | None = None
) -> None:
    """Make whoever comes next read the connection anew: its keys may have been replaced since.

    Those who use the client now keep it.
    """
    _shared.pop(_key(aws_conn_id, region_name, service_name, region), None)


async def connection_settings(aws_conn_id: str, region_name: str | None) -> ConnectionSettings:
    """What the connection says about SageMaker, read off the event loop."""
    return await sync_to_async(lambda: SageMakerHook(aws_conn_id, region_name).settings)()


def _key(aws_conn_id: str, region_name: str | None, service_name: str, region: str | None) -> ClientKey:
    return (id(asyncio.get_running_loop()), aws_conn_id, region_name, region, service_name)


async def _client_context(
    aws_conn_id: str, region_name: str | None, service_name: str, region: str | None
) -> Any:
    # Reading the connection blocks, and inside the triggerer must not happen in the event loop.
    return await sync_to_async(_make_client_context)(aws_conn_id, region_name, service_name, region)


def _make_client_context(
    aws_conn_id: str, region_name: str | None, service_name: str, region: str | None
) -> Any:
    # Imported here: a worker imports the triggers to defer with one, and aiohttp costs it 0.3 s.
    from aiobotocore.config import AioConfig  # type: ignore[import-untyped]

    hook = SageMakerHook(aws_conn_id, region_name)
    if region is not None and hook.region != region:
        raise ConnectionSettingsError(
            f"Connection {aws_conn_id!r}",
            f"it leads to {hook.region} now, and what is waited for was made in {region}",
            f"Give it the region {region} again, or stop the job there and clear the task",
        )
    session: Any = hook.get_session(region_name=hook.region_name, deferrable=True)
    session.register_component("data_loader", service_models())
    return session.create_client(
        service_name,
        region_name=hook.region,
        endpoint_url=hook.endpoint_url(service_name),
        verify=hook.verify,
        config=AioConfig(**QUICK_CALLS).merge(hook.config),
    )
