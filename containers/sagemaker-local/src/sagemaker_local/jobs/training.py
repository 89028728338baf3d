"""The life of a training job."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from sagemaker_local.executors.base import Program
from sagemaker_local.jobs import environment, opt_ml
from sagemaker_local.jobs.inputs import download
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.metrics import MetricReader
from sagemaker_local.jobs.outcome import JobFailed, JobStopped, algorithm_error
from sagemaker_local.jobs.outputs import upload_archive, upload_tree
from sagemaker_local.jobs.run import JobRun

CHECKPOINTS = "/opt/ml/checkpoints"


async def run_training_job(run: JobRun) -> None:
    """Channels from S3, ``IMAGE train``, the model to S3.

    A stopped job's model is uploaded all the same: the 120 seconds after SIGTERM are there to save it.

    Raises:
        JobFailed, JobStopped
    """
    document = run.document
    algorithm = document["AlgorithmSpecification"]
    await run.prepare(algorithm["TrainingImage"])
    run.begin(document["StoppingCondition"]["MaxRuntimeInSeconds"])
    await asyncio.to_thread(opt_ml.write_training_tree, run.opt_ml, document)
    run.record.secondary("Downloading")
    await run.unless_stopped(_download_channels(run, document))
    run.record.secondary("Training")
    metrics = MetricReader(algorithm.get("MetricDefinitions", []))
    run.line_watchers.append(metrics.read)
    entrypoint = algorithm.get("ContainerEntrypoint")
    program = Program(
        image=algorithm["TrainingImage"],
        opt_ml=run.opt_ml,
        arguments=tuple(algorithm.get("ContainerArguments", () if entrypoint else ("train",))),
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        environment=environment.for_training(run.settings, document),
        network=not document["EnableNetworkIsolation"],
    )
    try:
        code = await run.run(program)
    except JobStopped:
        run.record.set(FinalMetricDataList=metrics.final() or None)
        await _upload(run, document)
        raise
    run.record.set(FinalMetricDataList=metrics.final() or None)
    if code:
        # What the program left beside the model helps to see why; that it cannot be had must not hide why.
        with contextlib.suppress(JobFailed):
            await _upload_output_data(run, document)
            await _upload_checkpoints(run, document)
        raise algorithm_error(run.failure_text("output/failure"), code)
    await _upload(run, document)


async def _download_channels(run: JobRun, document: dict[str, Any]) -> None:
    for channel in document.get("InputDataConfig", []):
        source = channel["DataSource"]["S3DataSource"]
        await download(
            run,
            source["S3Uri"],
            run.opt_ml / "input/data" / channel["ChannelName"],
            data_type=source["S3DataType"],
            gunzip=channel.get("CompressionType") == "Gzip",
        )
    if checkpoints := document.get("CheckpointConfig"):
        await _restore_checkpoints(run, checkpoints)


async def _restore_checkpoints(run: JobRun, checkpoints: dict[str, Any]) -> None:
    location = Location.parse(checkpoints["S3Uri"])
    target = opt_ml.host_path(run.opt_ml, checkpoints.get("LocalPath", CHECKPOINTS))
    target.mkdir(parents=True, exist_ok=True)
    there = await asyncio.to_thread(
        lambda: next(run.objects.iter_objects(location.bucket, location.key), None)
    )
    if there is not None:
        await download(run, checkpoints["S3Uri"], target)


async def _upload(run: JobRun, document: dict[str, Any]) -> None:
    run.record.secondary("Uploading")
    artefact = Location.parse(document["ModelArtifacts"]["S3ModelArtifacts"])
    if document["OutputDataConfig"].get("CompressionType") == "NONE":
        await upload_tree(run, run.opt_ml / "model", artefact)
    else:
        await upload_archive(run, run.opt_ml / "model", artefact)
    await _upload_output_data(run, document)
    await _upload_checkpoints(run, document)


async def _upload_checkpoints(run: JobRun, document: dict[str, Any]) -> None:
    if checkpoints := document.get("CheckpointConfig"):
        source = opt_ml.host_path(run.opt_ml, checkpoints.get("LocalPath", CHECKPOINTS))
        await upload_tree(run, source, Location.parse(checkpoints["S3Uri"]))


async def _upload_output_data(run: JobRun, document: dict[str, Any]) -> None:
    data = run.opt_ml / "output/data"
    if not any(data.iterdir()):
        return
    output = Location.parse(document["OutputDataConfig"]["S3OutputPath"]).join(run.name, "output")
    if document["OutputDataConfig"].get("CompressionType") == "NONE":
        await upload_tree(run, data, output.join("data"))
    else:
        await upload_archive(run, data, output.join("output.tar.gz"))
