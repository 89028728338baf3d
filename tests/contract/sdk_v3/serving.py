"""ModelBuilder, Endpoint, Transformer, registry and Neo."""

from __future__ import annotations

from typing import Any

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import (
    CompilationJob,
    Endpoint,
    EndpointConfig,
    ModelPackage,
    ModelPackageGroup,
)
from sagemaker.core.shapes import InputConfig, OutputConfig, StoppingCondition
from sagemaker.core.transformer import Transformer
from sagemaker.serve import ModelBuilder

from tests.contract.sdk_v3.settings import BUCKET, IMAGE, INSTANCE, ROLE


def builder(session: Any, artefact: Any) -> Any:
    return ModelBuilder(
        s3_model_data_url=artefact, image_uri=IMAGE, role_arn=ROLE, sagemaker_session=session,
        instance_type=INSTANCE,
    )  # fmt: skip


def deploy(name: str, artefact: str) -> dict[str, Any]:
    """Build, deploy, invoke, update and delete."""
    building = builder(Session(default_bucket=BUCKET), artefact)
    model = building.build(model_name=name)
    endpoint = building.deploy(endpoint_name=name, initial_instance_count=1, instance_type=INSTANCE)
    answer = {
        "model": model.model_name,
        "deployed": endpoint.endpoint_status,
        "first": invoke(endpoint, b"1,2"),
    }
    variant = {
        "variant_name": "AllTraffic", "model_name": name,
        "initial_instance_count": 1, "instance_type": INSTANCE,
    }  # fmt: skip
    EndpointConfig.create(endpoint_config_name=f"{name}-2", production_variants=[variant])
    endpoint.endpoint_config_name = f"{name}-2"
    endpoint.update()
    endpoint.wait_for_status("InService")
    answer["updated"] = Endpoint.get(name).endpoint_config_name
    answer["second"] = invoke(endpoint, b"3,4")
    endpoint.delete()
    endpoint.wait_for_delete()
    return answer


def invoke(endpoint: Any, body: bytes) -> str:
    answer = endpoint.invoke(body=body, content_type="text/csv", accept="text/csv")
    return str(answer.body.read().decode())


def deploy_again(name: str, artefact: str) -> None:
    """Update an endpoint by `deploy`, as the SDK's documents say."""
    building = builder(Session(default_bucket=BUCKET), artefact)
    building.build(model_name=name)
    building.deploy(endpoint_name=name, initial_instance_count=1, update_endpoint=True)


def transform(name: str, artefact: str, output: str) -> None:
    """Score a prefix."""
    session = Session(default_bucket=BUCKET)
    builder(session, artefact).build(model_name=name)
    transformer = Transformer(
        model_name=name, instance_count=1, instance_type=INSTANCE, output_path=output,
        sagemaker_session=session,
    )  # fmt: skip
    transformer.transform(data=f"s3://{BUCKET}/batch", content_type="text/csv", wait=True, logs=True)


def register(group: str, artefact: str) -> dict[str, Any]:
    """Register a model, list and describe it."""
    ModelPackageGroup.create(model_package_group_name=group)
    arn = builder(Session(default_bucket=BUCKET), artefact).register(
        model_package_group_name=group, content_types=["text/csv"], response_types=["text/csv"],
        inference_instances=[INSTANCE], transform_instances=[INSTANCE], approval_status="Approved",
    )  # fmt: skip
    listed = [each.model_package_arn for each in ModelPackage.get_all(model_package_group_name=group)]
    return {
        "arn": str(arn), "listed": listed, "status": ModelPackage.get(listed[0]).model_approval_status,
    }  # fmt: skip


def create_package(group: str, artefact: str) -> None:
    """Create a model package by its resource class."""
    ModelPackage.create(
        model_package_group_name=group,
        inference_specification={
            "containers": [{"image": IMAGE, "model_data_url": artefact}],
            "supported_content_types": ["text/csv"],
        },
    )


def compile_model(name: str, artefact: str, output: str) -> dict[str, Any]:
    """Compile with Neo."""
    job = CompilationJob.create(
        compilation_job_name=name,
        role_arn=ROLE,
        input_config=InputConfig(s3_uri=artefact, framework="SKLEARN", data_input_config='{"input": [1, 2]}'),
        output_config=OutputConfig(s3_output_location=output, target_device="ml_m5"),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
    )
    job.wait()
    return {
        "status": job.compilation_job_status,
        "model": job.model_artifacts.s3_model_artifacts,
    }
