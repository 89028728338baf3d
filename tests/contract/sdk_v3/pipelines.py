"""Pipelines of sagemaker.mlops: train, evaluate, check, register, create, score."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import WaiterError
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.training.configs import InputData, SourceCode
from sagemaker.core.transformer import Transformer
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep, TransformStep

from tests.contract.sdk_v3.processing import processor, result, source
from tests.contract.sdk_v3.serving import builder
from tests.contract.sdk_v3.settings import BUCKET, INSTANCE, PROGRAMS, ROLE
from tests.contract.sdk_v3.training import trainer


def pipeline(name: str, group: str) -> Any:
    session = PipelineSession(default_bucket=BUCKET)
    accuracy = ParameterFloat("Accuracy", default_value=0.95)
    epochs = ParameterInteger("Epochs", default_value=3)
    data = f"s3://{BUCKET}/batch"
    training = trainer(
        session,
        source_code=SourceCode(source_dir=PROGRAMS, entry_script="train.py"),
        hyperparameters={"epochs": epochs},
    )
    train = TrainingStep(
        "Train",
        step_args=training.train(input_data_config=[InputData(channel_name="train", data_source=data)]),
        cache_config=CacheConfig(enable_caching=True, expire_after="PT1H"),
    )
    artefact = train.properties.ModelArtifacts.S3ModelArtifacts
    report = PropertyFile("Evaluation", output_name="report", path="evaluation.json")
    reports = Join(on="/", values=[f"s3://{BUCKET}/reports", ExecutionVariables.PIPELINE_EXECUTION_ID])
    evaluate = ProcessingStep(
        "Evaluate",
        step_args=processor(ScriptProcessor, session).run(
            code=f"{PROGRAMS}/evaluate.py",
            arguments=[accuracy.to_string()],
            inputs=[source("model", artefact)],
            outputs=[result("report", reports)],
        ),
        property_files=[report],
    )
    building = builder(session, artefact)
    create = ModelStep("Create", step_args=building.build())
    register = ModelStep(
        "Register",
        step_args=building.register(
            model_package_group_name=group, content_types=["text/csv"], response_types=["text/csv"],
            inference_instances=[INSTANCE], transform_instances=[INSTANCE], approval_status="Approved",
        ),
    )  # fmt: skip
    transformer = Transformer(
        model_name=create.properties.ModelName, instance_count=1, instance_type=INSTANCE,
        output_path=f"s3://{BUCKET}/scored/{name}", sagemaker_session=session,
    )  # fmt: skip
    score = TransformStep("Score", step_args=transformer.transform(data=data, content_type="text/csv"))
    measured = JsonGet(step_name="Evaluate", property_file=report, json_path="accuracy.value")
    check = ConditionStep(
        "Check",
        conditions=[ConditionGreaterThanOrEqualTo(left=measured, right=0.9)],
        if_steps=[register, create, score],
        else_steps=[FailStep("Bad", error_message=Join(on=" ", values=["only", accuracy.to_string()]))],
    )
    return Pipeline(
        name, parameters=[accuracy, epochs], steps=[train, evaluate, check], sagemaker_session=session
    )


def run(name: str, group: str) -> dict[str, Any]:
    """Create, start twice, describe, list and delete."""
    made = pipeline(name, group)
    made.upsert(role_arn=ROLE)
    executions = [executed(made, {"Epochs": 4}), executed(made, {"Epochs": 4, "Accuracy": 0.5})]
    listed = made.list_executions()["PipelineExecutionSummaries"]
    answer = {
        "executions": executions,
        "listed": [each["PipelineExecutionStatus"] for each in listed],
        "status": made.describe()["PipelineStatus"],
        "version": made.latest_pipeline_version_id,
        "updated": made.upsert(role_arn=ROLE, description="again")["PipelineVersionId"],
    }
    made.delete()
    return answer


def executed(made: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    execution = made.start(parameters=parameters)
    try:
        execution.wait(delay=1, max_attempts=3000)  # of a fifth of a second each: see driver.py
        waited = "Succeeded"
    except WaiterError as error:
        waited = str(error)
    return {
        "waited": waited,
        "status": execution.describe()["PipelineExecutionStatus"],
        "steps": {step["StepName"]: step for step in execution.list_steps()},
        "parameters": execution.list_parameters()["PipelineParameters"],
    }
