"""The life of a compilation job: Neo."""

from __future__ import annotations

import asyncio

from sagemaker_local import neo
from sagemaker_local.executors.base import Program, Source
from sagemaker_local.images.catalogue import aws_images
from sagemaker_local.jobs import environment, opt_ml
from sagemaker_local.jobs.inputs import fetch_object
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import client_error
from sagemaker_local.jobs.outputs import upload_file
from sagemaker_local.jobs.run import JobRun

MODEL = "input/model/model.tar.gz"
COMPILED = "output/compiled.tar.gz"


async def run_compilation_job(run: JobRun) -> None:
    """The model artefact from S3, the framework's compiler, the compiled artefact to S3.

    Raises:
        JobFailed, JobStopped
    """
    document = run.document
    try:
        compiler = neo.compiler_program(document["InputConfig"]["Framework"])
    except neo.UnsupportedFramework as error:
        raise client_error(str(error)) from error
    image = Source(compiler.source, compiler.requirements, compiler.options)
    await run.prepare(image)
    run.begin(document["StoppingCondition"]["MaxRuntimeInSeconds"])
    tags = run.store.tags(document["CompilationJobArn"])
    await asyncio.to_thread(opt_ml.write_compilation_tree, run.opt_ml, document, tags)
    model = Location.parse(document["InputConfig"]["S3Uri"])
    await run.unless_stopped(fetch_object(run, model, run.opt_ml / MODEL))
    program = Program(
        image=image,
        opt_ml=run.opt_ml,
        arguments=compiler.command,
        environment=environment.common(run.settings),
    )
    code = (await run.run(program)).code
    compiled = run.opt_ml / COMPILED
    if code or not compiled.is_file():
        raise client_error(f"CompilationError: {run.leader.failure_text('output/failure')}")
    await upload_file(run, compiled, Location.parse(document["ModelArtifacts"]["S3ModelArtifacts"]))
    if document["OutputConfig"].get("TargetDevice", "").startswith("ml_"):
        repository = aws_images().inference[document["InputConfig"]["Framework"].upper()]
        registry = f"{run.settings.account}.dkr.ecr.{run.settings.region}.amazonaws.com"
        run.record.set(InferenceImage=f"{registry}/{repository}:latest")
