"""Neo for networks: a framework's own model, compiled by a job, answers the same without its framework."""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local import neo
from sagemaker_local.images.environments import EnvironmentCache, Requirements, cache_directory
from tests.contract import pytorch_probe
from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import ROLE, eventually, unique

PROGRAM = Path(__file__).parent / "programs/networks.py"
PIXELS = {"pixels": [1, 8, 8, 1]}
MODELS: dict[str, tuple[str, dict[str, list[int]]]] = {
    "onnx": ("ONNX", {"pixels": [1, 64]}),
    "pytorch": ("PYTORCH", {"pixels": [1, 1, 8, 8], "hints": [1, 2]}),
    "tensorflow": ("TENSORFLOW", PIXELS),
    "frozen": ("TENSORFLOW", PIXELS),
    "keras": ("KERAS", {"pixels": [1, 1, 8, 8]}),  # channels first, as AWS has them declared
}


def python_of(framework: str) -> Path:
    """The interpreter of the environment that the server compiles in."""
    cache = EnvironmentCache(cache_directory() / "venvs")
    program = neo.compiler_program(framework)
    wanted = [Requirements(program.requirements, options=program.options)]
    return asyncio.run(cache.environment(wanted, None, print)).bin / "python"


def run(framework: str, action: str, model: str, directory: Path) -> None:
    command = [python_of(framework), "-W", "ignore", PROGRAM, action, model, directory]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Compilation:
    """One job, with a model of its own."""

    def __init__(self, server: LocalServer, bucket: str, packed: bytes) -> None:
        self.server, self.bucket, self.name = server, bucket, unique("compile")
        server.client("s3").put_object(Bucket=bucket, Key=f"{self.name}/model.tar.gz", Body=packed)

    def ended(self, framework: str, inputs: Any, **output: Any) -> dict[str, Any]:
        sagemaker = self.server.client("sagemaker")
        sagemaker.create_compilation_job(
            CompilationJobName=self.name,
            RoleArn=ROLE,
            InputConfig={
                "S3Uri": f"s3://{self.bucket}/{self.name}/model.tar.gz",
                "Framework": framework,
                "DataInputConfig": json.dumps(inputs),
            },
            OutputConfig={
                "S3OutputLocation": f"s3://{self.bucket}/{self.name}/compiled",
                **(output or {"TargetDevice": "ml_c5"}),
            },
            StoppingCondition={"MaxRuntimeInSeconds": 900},
        )

        def over() -> dict[str, Any] | None:
            job: dict[str, Any] = sagemaker.describe_compilation_job(CompilationJobName=self.name)
            return job if job["CompilationJobStatus"] in ("COMPLETED", "FAILED") else None

        return dict(eventually(over, 600))

    def artefact(self, job: dict[str, Any], directory: Path) -> None:
        key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{self.bucket}/")
        body = self.server.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            archive.extractall(directory, filter="data")


def packed(directory: Path) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        archive.add(directory, ".")
    return written.getvalue()


@pytest.mark.parametrize("model", MODELS)
def test_a_compiled_network_answers_like_its_original(
    server: LocalServer, bucket: str, tmp_path: Path, model: str
) -> None:
    framework, inputs = MODELS[model]
    if framework == "PYTORCH":
        pytorch_probe.need()
    (tmp_path / "model").mkdir()
    run(framework, "make", model, tmp_path / "model")
    compilation = Compilation(server, bucket, packed(tmp_path / "model"))
    job = compilation.ended(framework, inputs)
    assert job["CompilationJobStatus"] == "COMPLETED", job["FailureReason"]
    compilation.artefact(job, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert sorted(found["name"] for found in manifest["inputs"]) == sorted(inputs)
    assert all(found["shape"][0] is None for found in manifest["inputs"])
    assert manifest["check"]["max_abs_diff"] < 1e-4
    run("ONNX", "compare", model, tmp_path)  # in an environment that has no framework


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"other": [1, 64]}, r"declares the inputs \['other'\]; the model has \['pixels'\]"),
        ({"pixels": [1, "x"]}, "must be positive whole numbers"),
        ({}, "must name the inputs with their shapes"),
        ({"pixels": [1, 63]}, "63"),
    ],
)
def test_wrong_inputs_fail_the_job_by_name(
    server: LocalServer, bucket: str, tmp_path: Path, inputs: Any, words: str
) -> None:
    (tmp_path / "model").mkdir()
    run("ONNX", "make", "onnx", tmp_path / "model")
    job = Compilation(server, bucket, packed(tmp_path / "model")).ended("ONNX", inputs)
    assert job["CompilationJobStatus"] == "FAILED"
    assert re.search(words, job["FailureReason"]), job["FailureReason"]
    assert job["FailureReason"].startswith("ClientError: CompilationError: ")


@pytest.mark.parametrize(
    ("framework", "output", "words"),
    [
        ("ONNX", {"TargetDevice": "ml_inf1"}, "TargetDevice ml_inf1 is not supported; supported are"),
        ("ONNX", {"TargetDevice": "jetson_nano"}, "TargetDevice jetson_nano is not supported"),
        (
            "ONNX",
            {"TargetPlatform": {"Os": "ANDROID", "Arch": "ARM64"}},
            "TargetPlatform ANDROID/ARM64 is not supported",
        ),
        (
            "ONNX",
            {"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64", "Accelerator": "NVIDIA"}},
            "Accelerator NVIDIA is not supported",
        ),
        ("MXNET", {"TargetDevice": "ml_c5"}, "Framework MXNET cannot be compiled here; supported are"),
    ],
)
def test_what_cannot_be_compiled_for_is_refused_by_name(
    server: LocalServer, bucket: str, framework: str, output: dict[str, Any], words: str
) -> None:
    job = Compilation(server, bucket, packed(PROGRAM.parent)).ended(framework, {"pixels": [1, 64]}, **output)
    assert job["CompilationJobStatus"] == "FAILED"
    assert words in job["FailureReason"]
