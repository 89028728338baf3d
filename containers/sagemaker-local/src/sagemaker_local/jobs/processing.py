"""The life of a processing job."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sagemaker_local.executors.base import Program
from sagemaker_local.jobs import environment, opt_ml
from sagemaker_local.jobs.inputs import download
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import algorithm_error, client_error
from sagemaker_local.jobs.outputs import upload_tree
from sagemaker_local.jobs.run import JobRun

EXIT_MESSAGE = "output/message"
EXIT_MESSAGE_BYTES = 1024


async def run_processing_job(run: JobRun) -> None:
    """Inputs from S3, the image's program, outputs to S3.

    Raises:
        JobFailed, JobStopped
    """
    document = run.document
    application = document["AppSpecification"]
    await run.prepare(application["ImageUri"])
    run.begin(document["StoppingCondition"]["MaxRuntimeInSeconds"])
    await asyncio.to_thread(opt_ml.write_processing_tree, run.opt_ml, document)
    outputs = document.get("ProcessingOutputConfig", {}).get("Outputs", [])
    for output in outputs:
        _path(run, output["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    for source in document.get("ProcessingInputs", []):
        given = source["S3Input"]
        target = _path(run, given["LocalPath"])
        await run.unless_stopped(download(run, given["S3Uri"], target, data_type=given["S3DataType"]))
    entrypoint = application.get("ContainerEntrypoint")
    program = Program(
        image=application["ImageUri"],
        opt_ml=run.opt_ml,
        arguments=tuple(application.get("ContainerArguments", ())),
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        environment=environment.for_processing(run.settings, document),
        network=not document.get("NetworkConfig", {}).get("EnableNetworkIsolation", False),
    )
    try:
        code = await run.run(program)
    finally:
        await asyncio.to_thread(_note_exit_message, run)
    if code:
        raise algorithm_error(run.failure_text("output/failure"), code)
    for output in outputs:
        target = output["S3Output"]
        await run.unless_stopped(
            upload_tree(run, _path(run, target["LocalPath"]), Location.parse(target["S3Uri"]))
        )


def _path(run: JobRun, path: str) -> Path:
    try:
        return opt_ml.host_path(run.opt_ml, path)
    except ValueError as error:
        raise client_error(str(error)) from error


def _note_exit_message(run: JobRun) -> None:
    """The first kilobyte of what the program left for whoever describes the job."""
    path = run.opt_ml / EXIT_MESSAGE
    if path.is_file():
        with path.open("rb") as file:
            run.record.set(ExitMessage=file.read(EXIT_MESSAGE_BYTES).decode(errors="replace"))
