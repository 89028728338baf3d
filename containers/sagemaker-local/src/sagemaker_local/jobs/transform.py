"""The life of a batch transform job; the feeding itself is :mod:`sagemaker_local.serving.transform`."""

from __future__ import annotations

from sagemaker_local.jobs.outcome import JobFailed
from sagemaker_local.jobs.run import JobRun
from sagemaker_local.serving.transform import run_transform
from sagemaker_local.serving.transform_feed import TransformError


async def run_transform_job(run: JobRun) -> None:
    """Start the model, feed it every object, write every answer.

    Raises:
        JobFailed, JobStopped
    """
    run.begin(None)
    run.record.set_private(started=True)
    run.arm_fault()
    feeding = run_transform(
        settings=run.settings,
        store=run.store,
        objects=run.objects,
        logs=run.logs,
        executor=run.executor,
        record=run.record.read(),
        log=run.log,
        started=run.note_processes,
        noted=lambda line: run.record.set_private(progress=line),
    )
    try:
        await run.unless_stopped(feeding)
    except TransformError as error:
        raise JobFailed(str(error)) from error
