"""The life of a processing job."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagemaker_local.executors.base import Program
from sagemaker_local.jobs import environment, left_behind, opt_ml
from sagemaker_local.jobs.host import Host
from sagemaker_local.jobs.inputs import S3Input, place
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import client_error
from sagemaker_local.jobs.outputs import upload_tree
from sagemaker_local.jobs.run import JobRun
from sagemaker_local.jobs.synchronisation import SyncedFolder, Synchronisation

EXIT_MESSAGE = "output/message"
EXIT_MESSAGE_BYTES = 1024


async def run_processing_job(run: JobRun) -> None:
    """Inputs from S3, the image's program, outputs to S3.

    Raises:
        JobFailed, JobStopped
    """
    document = run.document
    await run.prepare(document["AppSpecification"]["ImageUri"])
    run.begin(document["StoppingCondition"]["MaxRuntimeInSeconds"])
    outputs = [output["S3Output"] for output in document.get("ProcessingOutputConfig", {}).get("Outputs", [])]
    for host in run.hosts:
        await asyncio.to_thread(opt_ml.write_processing_tree, host, run.hosts, document)
        for output in outputs:
            _path(host, output).mkdir(parents=True, exist_ok=True)
    for source in document.get("ProcessingInputs", []):
        given = source["S3Input"]
        await run.unless_stopped(place(run, s3_input(given), [_path(host, given) for host in run.hosts]))
    synchronisation = Synchronisation(run, _continuous(run, outputs))
    try:
        async with synchronisation.running():
            ended = await run.run_all([(host, _program(run, host, document)) for host in run.hosts])
    finally:
        await asyncio.to_thread(_note_exit_message, run)
    if ended.code:
        raise ended.failure()
    await run.unless_stopped(synchronisation.finish())
    for output in outputs:
        if output["S3UploadMode"] != "Continuous":
            directories = [_path(host, output) for host in run.hosts]
            await run.unless_stopped(upload_tree(run, directories, Location.parse(output["S3Uri"])))


def s3_input(given: Mapping[str, Any]) -> S3Input:
    """What a processing input asks for.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingS3Input.html
    """
    return S3Input(
        uri=given["S3Uri"],
        data_type=given["S3DataType"],
        sharded=given.get("S3DataDistributionType") == "ShardedByS3Key",
    )


def _program(run: JobRun, host: Host, document: Mapping[str, Any]) -> Program:
    application = document["AppSpecification"]
    entrypoint = application.get("ContainerEntrypoint")
    return Program(
        image=application["ImageUri"],
        opt_ml=host.opt_ml,
        arguments=tuple(application.get("ContainerArguments", ())),
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        environment=environment.for_processing(run.settings, dict(document)),
        network=not document.get("NetworkConfig", {}).get("EnableNetworkIsolation", False),
    )


def _continuous(run: JobRun, outputs: list[dict[str, Any]]) -> list[SyncedFolder]:
    return [
        SyncedFolder(_path(host, output), Location.parse(output["S3Uri"]), host)
        for output in outputs
        if output["S3UploadMode"] == "Continuous"
        for host in run.hosts
    ]


def _path(host: Host, given: Mapping[str, Any]) -> Path:
    try:
        return opt_ml.host_path(host.opt_ml, given["LocalPath"])
    except ValueError as error:
        raise client_error(str(error)) from error


def _note_exit_message(run: JobRun) -> None:
    """The first kilobyte of what the programs left for whoever describes the job, one after the other."""
    message = b""
    for host in run.hosts:
        message += left_behind.head(host.opt_ml / EXIT_MESSAGE, EXIT_MESSAGE_BYTES)
    if message:
        run.record.set(ExitMessage=message[:EXIT_MESSAGE_BYTES].decode(errors="replace"))
