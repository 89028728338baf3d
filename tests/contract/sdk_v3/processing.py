"""Processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.processing import FrameworkProcessor, ScriptProcessor
from sagemaker.core.shapes import (
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)

from tests.contract.sdk_v3.settings import BUCKET, IMAGE, INSTANCE, PROGRAMS, ROLE

BASE = "/opt/ml/processing"


def source(name: str, uri: Any) -> Any:
    given = ProcessingS3Input(
        s3_uri=uri, local_path=f"{BASE}/{name}", s3_data_type="S3Prefix", s3_input_mode="File"
    )
    return ProcessingInput(input_name=name, s3_input=given)


def result(name: str, uri: Any) -> Any:
    given = ProcessingS3Output(s3_uri=uri, local_path=f"{BASE}/out", s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=name, s3_output=given)


def processor(kind: Any, session: Any) -> Any:
    return kind(
        role=ROLE, image_uri=IMAGE, command=["python"], instance_count=1, instance_type=INSTANCE,
        sagemaker_session=session,
    )  # fmt: skip


def run_script(output: str) -> str:
    """One file of code, local data."""
    Path("data.csv").write_text("1,2\n")
    script = processor(ScriptProcessor, Session(default_bucket=BUCKET))
    script.run(
        code=f"{PROGRAMS}/process.py", inputs=[source("data", "data.csv")], outputs=[result("out", output)],
        arguments=["a", "b"], wait=True, logs=False,
    )  # fmt: skip
    return str(script.latest_job.refresh().processing_job_status)


def run_framework(output: str) -> str:
    """A folder of code."""
    framework = processor(FrameworkProcessor, Session(default_bucket=BUCKET))
    framework.run(
        code="process.py", source_dir=PROGRAMS, inputs=[source("data", f"s3://{BUCKET}/batch")],
        outputs=[result("out", output)], arguments=["c"], wait=True, logs=False,
    )  # fmt: skip
    return str(framework.latest_job.refresh().processing_job_status)
