"""The life of a training job."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from sagemaker_local.executors.base import Program
from sagemaker_local.jobs import channels, environment, opt_ml
from sagemaker_local.jobs.host import Host
from sagemaker_local.jobs.inputs import S3Input, place
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.metrics import NAMESPACE, MetricReader, Publish
from sagemaker_local.jobs.outcome import JobFailed, JobStopped, StopCause, internal_error
from sagemaker_local.jobs.outputs import upload_archive, upload_tree
from sagemaker_local.jobs.run import JobRun
from sagemaker_local.jobs.synchronisation import SyncedFolder, Synchronisation

logger = logging.getLogger(__name__)

CHECKPOINTS = "/opt/ml/checkpoints"
TENSORS = "/opt/ml/output/tensors"
TENSORBOARD = "/opt/ml/output/tensorboard"

SYNCHRONISED = (
    ("CheckpointConfig", "S3Uri", CHECKPOINTS),
    ("DebugHookConfig", "S3OutputPath", TENSORS),
    ("TensorBoardOutputConfig", "S3OutputPath", TENSORBOARD),
)
"""Member of the request, its member that says where to, and the default of its LocalPath."""


async def run_training_job(run: JobRun) -> None:
    """Channels from S3, ``IMAGE train``, the model to S3; again, when the instances were lost.

    A stopped job's model is uploaded all the same: the 120 seconds after SIGTERM are there to save it.

    Raises:
        JobFailed, JobStopped
    """
    document = run.document
    retries = document.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
    definitions = document["AlgorithmSpecification"].get("MetricDefinitions", [])
    metrics = MetricReader(definitions, _publisher(run))
    run.line_watchers.append(metrics.read)
    while True:
        try:
            await _attempt(run, document, metrics)
        except JobStopped as stop:
            if run.stopped is not None and not run.stopped.passes:
                raise JobStopped(
                    run.stopped
                ) from stop  # for good, perhaps while an interruption was under way
            if stop.cause is StopCause.INTERRUPTED:
                run.record.pause("Interrupted")
                run.record.secondary("Starting")
            elif not run.record.retry(retries):
                raise internal_error() from stop
        except JobFailed:
            raise
        except Exception:
            # A defect here is an InternalServerError to the caller, and those are what RetryStrategy is for.
            logger.exception("%s '%s' failed in the local SageMaker", run.kind.words, run.name)
            if not run.record.retry(retries):
                raise
        else:
            return
        run.resume()
        await run.take_hosts()


def _publisher(run: JobRun) -> Publish | None:
    """Brings a job's metrics to CloudWatch."""
    if (store := run.metrics) is None:
        return None
    place = {"TrainingJobName": run.name}
    return lambda name, value, at: store.put(NAMESPACE, name, place, value, at_s=at)


async def _attempt(run: JobRun, document: dict[str, Any], metrics: MetricReader) -> None:
    """The job on one set of instances."""
    algorithm = document["AlgorithmSpecification"]
    await run.prepare(algorithm["TrainingImage"])
    run.begin(document["StoppingCondition"]["MaxRuntimeInSeconds"] - run.record.ran_s)
    for host in run.hosts:
        await asyncio.to_thread(opt_ml.write_training_tree, host, run.hosts, document)
    run.record.secondary("Downloading")
    await run.unless_stopped(channels.bring_channels(run, document))
    synchronisation = await run.unless_stopped(_synchronisation(run, document))
    run.record.secondary("Training")
    try:
        async with synchronisation.running():
            ended = await run.run_all([(host, _program(run, host, document)) for host in run.hosts])
    except JobStopped as stop:
        run.record.set(FinalMetricDataList=metrics.final() or None)
        await synchronisation.finish(killed_at=run.killed_at)
        if not stop.cause.passes:
            await _upload(run, document)
        raise
    run.record.set(FinalMetricDataList=metrics.final() or None)
    if ended.code:
        # What the program left beside the model helps to see why; that it cannot be had must not hide why.
        with contextlib.suppress(JobFailed):
            await _upload_output_data(run, document)
            await synchronisation.finish(killed_at=run.killed_at)
        raise ended.failure()
    await synchronisation.finish()
    await _upload(run, document)


def _program(run: JobRun, host: Host, document: Mapping[str, Any]) -> Program:
    algorithm = document["AlgorithmSpecification"]
    entrypoint = algorithm.get("ContainerEntrypoint")
    return Program(
        image=algorithm["TrainingImage"],
        opt_ml=host.opt_ml,
        arguments=tuple(algorithm.get("ContainerArguments", () if entrypoint else ("train",))),
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        environment=environment.for_training(run.settings, dict(document), host, run.hosts),
        network=not document["EnableNetworkIsolation"],
        mounts=(
            *channels.mounts(host, run.hosts, document),
            *run.warm_pools.mounts(run.name, host, document),
        ),
    )


async def _synchronisation(run: JobRun, document: Mapping[str, Any]) -> Synchronisation:
    """What goes to S3 while the program runs; checkpoints that are there come from it first."""
    folders = []
    for member, uri, default in SYNCHRONISED:
        if (given := document.get(member)) is None:
            continue
        location = Location.parse(given[uri])
        for host in run.hosts:
            directory = opt_ml.host_path(host.opt_ml, given.get("LocalPath", default))
            await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
            folder = SyncedFolder(directory, location, host)
            if member == "CheckpointConfig":
                await _restore(run, given[uri], folder)
            folders.append(folder)
    return Synchronisation(run, folders)


async def _restore(run: JobRun, uri: str, folder: SyncedFolder) -> None:
    location = folder.destination
    there = await asyncio.to_thread(
        lambda: next(run.objects.iter_objects(location.bucket, location.key), None)
    )
    if there is not None:
        await place(run, S3Input(uri), [folder.directory])
        await asyncio.to_thread(folder.note)


async def _upload(run: JobRun, document: Mapping[str, Any]) -> None:
    run.record.secondary("Uploading")
    artefact = Location.parse(document["ModelArtifacts"]["S3ModelArtifacts"])
    models = [host.opt_ml / "model" for host in run.hosts]
    if document["OutputDataConfig"].get("CompressionType") == "NONE":
        await upload_tree(run, models, artefact)
    else:
        await upload_archive(run, models, artefact)
    await _upload_output_data(run, document)


async def _upload_output_data(run: JobRun, document: Mapping[str, Any]) -> None:
    data = [host.opt_ml / "output/data" for host in run.hosts]
    if not any(any(directory.iterdir()) for directory in data):
        return
    output = Location.parse(document["OutputDataConfig"]["S3OutputPath"]).join(run.name, "output")
    if document["OutputDataConfig"].get("CompressionType") == "NONE":
        await upload_tree(run, data, output.join("data"))
    else:
        await upload_archive(run, data, output.join("output.tar.gz"))
