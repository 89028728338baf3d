"""Batch transform: a model's container, fed with the objects of a prefix, one output object for each.

An output object appears whole or not at all, its rows in the order of the input. Payloads and answers are in
memory for some more than ``MaxConcurrentTransforms`` requests of an instance at most, however large the input
and however long the answers; everything else is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from sagemaker_local.executors.base import Executor, LineSink
from sagemaker_local.instances import allot
from sagemaker_local.jobs.environment import common
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.names import instance_id
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container import ContainerError, resolve
from sagemaker_local.serving.container_log import ContainerLog
from sagemaker_local.serving.http import ConnectionLost
from sagemaker_local.serving.model_server import ModelServer, ServeError
from sagemaker_local.serving.transform_feed import Feed, TransformError
from sagemaker_local.serving.transform_input import InputError, input_objects, split_uri
from sagemaker_local.serving.transform_progress import PREFIX, Progress
from sagemaker_local.serving.transform_request import TransformSettings, environment
from sagemaker_local.settings import Settings
from sagemaker_local.store import NotFound, Record, Store

LOG_GROUP = "/aws/sagemaker/TransformJobs"
EXECUTION_PARAMETERS_TIMEOUT_S = 2.0
STOP_GRACE_S = 5.0


async def run_transform(
    *,
    settings: Settings,
    store: Store,
    objects: ObjectStore,
    logs: LogStore,
    executor: Executor,
    record: Record,
    log: LineSink,
    started: Callable[[Sequence[int | None]], None] | None = None,
    noted: Callable[[str], None] | None = None,
) -> None:
    """Carry out a transform job; when this is cancelled, nothing is left running.

    Args:
        settings: The server's configuration.
        store: Holds the model.
        objects: Input and output.
        logs: Takes what happens to single objects and how far it is, in the job's ``data-log`` stream.
        executor: Runs the container.
        record: The job, as DescribeTransformJob answers it.
        log: Takes the container's output.
        started: Takes the process ids of the containers, for whoever watches them.
        noted: Takes how far it is, every few seconds.

    Raises:
        TransformError: the job fails; objects that succeeded have their output.
    """
    job = record.document
    try:
        container = resolve(store, store.get("model", job["ModelName"]))
        if container.others or container.multi_model:
            raise ContainerError(
                "The local SageMaker transforms with models of one container and one artefact."
            )
        inputs = await asyncio.to_thread(
            input_objects, objects, job["TransformInput"]["DataSource"]["S3DataSource"]
        )
        output = split_uri(job["TransformOutput"]["S3OutputPath"])
    except NotFound as error:
        raise TransformError(f"ClientError: Could not find model {job['ModelName']}.") from error
    except (ContainerError, InputError) as error:
        raise TransformError(str(error)) from error
    work = settings.data_dir / "transform" / record.name
    data_log = ContainerLog(logs, LOG_GROUP, f"{record.name}/{instance_id()}-{int(time.time())}/data-log")
    servers = [
        ModelServer(
            container,
            work / f"algo-{number}",
            environment=common(settings) | environment(job) | job.get("Environment", {}),
            executor=executor,
            objects=objects,
            log=log,
            start_timeout_s=settings.ping_start_timeout_s,
        )
        for number in range(1, int(job["TransformResources"]["InstanceCount"]) + 1)
    ]
    for server in servers:
        server.limits = allot(job["TransformResources"]["InstanceType"]).limits
    try:
        await asyncio.to_thread(work.mkdir, parents=True, exist_ok=True)
        for server in servers:
            await server.start()
        if started is not None:
            started([server.pid for server in servers])
        wanted = TransformSettings.of(job, await _execution_parameters(servers[0]))
        data_log.write(f"[sagemaker logs]: {wanted.said()}")  # as AWS words it
        progress = Progress(len(inputs), sum(each.size for each in inputs), packed=wanted.gzip)
        feed = Feed(wanted, objects, output, work, servers, data_log.write, progress)
        async with _reported(progress, data_log.write, noted):
            await feed.run(inputs)
        data_log.write(PREFIX + progress.summary())
    except ServeError as error:
        raise TransformError(
            f"AlgorithmError: The model's container does not serve: {error}. See job logs."
        ) from error
    finally:
        await asyncio.gather(*(server.stop(STOP_GRACE_S) for server in servers))
        await data_log.close()
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)


@contextlib.asynccontextmanager
async def _reported(
    progress: Progress, write: LineSink, noted: Callable[[str], None] | None
) -> AsyncIterator[None]:
    """Say how far it is while it goes on."""

    async def report() -> None:
        while True:
            await asyncio.sleep(progress.next_line_s)
            line = progress.line()
            write(PREFIX + line)
            if noted is not None:
                noted(line)

    reporting = asyncio.create_task(report())
    try:
        yield
    finally:
        reporting.cancel()
        await asyncio.wait({reporting})


async def _execution_parameters(server: ModelServer) -> Mapping[str, Any]:
    """What the container says it takes best; it need not say anything."""
    try:
        answer = await server.request(
            "GET", "/execution-parameters", {}, b"", timeout_s=EXECUTION_PARAMETERS_TIMEOUT_S
        )
        parameters = json.loads(bytes(answer.body)) if answer.status == 200 else {}
    except (ConnectionLost, TimeoutError, ValueError):
        return {}
    return parameters if isinstance(parameters, dict) else {}
