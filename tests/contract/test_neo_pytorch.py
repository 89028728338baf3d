"""PyTorch for real: nets trained on the digits, compiled by a job, served by an endpoint."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract import pytorch_probe
from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import ROLE, eventually, unique
from tests.contract.test_neo_networks import Compilation, packed, python_of

PROGRAM = Path(__file__).parent / "programs/pytorch_digits.py"
SHAPES = {"dense": [1, 64], "convolutional": [1, 1, 8, 8]}
NETS = ("dense-traced", "dense-exported", "convolutional-scripted")
RIGHT_AT_LEAST = 0.95
BUCKET = "neo-pytorch"


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of trained nets."""
    pytorch_probe.need()
    from sklearn.datasets import load_digits
    from sklearn.utils import shuffle

    directory = tmp_path_factory.mktemp("pytorch-digits")
    pixels, labels = shuffle(*load_digits(return_X_y=True), random_state=0)
    np.savez(directory / "digits.npz", pixels=pixels, labels=labels)
    command = [python_of("PYTORCH"), PROGRAM, directory / "digits.npz", directory]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def jobs(server: LocalServer, nets: Path) -> dict[str, dict[str, Any]]:
    """The compilation job of each net, ended."""
    server.client("s3").create_bucket(Bucket=BUCKET)
    found = {}
    for name in (*NETS, "convolutional-of-one"):
        shape = SHAPES[name.partition("-")[0]]
        compilation = Compilation(server, BUCKET, packed(nets / name))
        found[name] = compilation.ended("PYTORCH", {"pixels": shape})
        if found[name]["CompilationJobStatus"] == "COMPLETED":
            compilation.artefact(found[name], nets / f"{name}-compiled")
    return found


def manifest(nets: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((nets / f"{name}-compiled/manifest.json").read_text())
    return found


def served(server: LocalServer, job: dict[str, Any]) -> str:
    """An endpoint of what a job compiled, on the image that the job names, in service."""
    sagemaker, name = server.client("sagemaker"), unique("pytorch")
    container = {
        "Image": job["InferenceImage"],
        "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
    }
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "only", "ModelName": name, "InstanceType": "ml.c5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    def settled() -> dict[str, Any] | None:
        found: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        return None if found["EndpointStatus"] == "Creating" else found

    found = eventually(settled, 600)  # what serves it is installed first
    assert found["EndpointStatus"] == "InService", found.get("FailureReason")
    return name


@pytest.mark.parametrize("name", NETS)
def test_every_form_of_a_net_is_compiled_and_proved(
    jobs: dict[str, dict[str, Any]], nets: Path, name: str
) -> None:
    job = jobs[name]
    assert job["CompilationJobStatus"] == "COMPLETED", job["FailureReason"]
    said = manifest(nets, name)
    assert said["inputs"][0]["shape"] == [None, *SHAPES[name.partition("-")[0]][1:]]
    assert said["versions"]["torch"].startswith("2.")
    assert said["check"]["max_abs_diff"] < 1e-4
    assert said["timings"]["judged_at_rows"] == 1
    assert said["timings"]["speed_up"]["1"] > 1
    for timed in ("1", "32", "1024"):
        took = said["timings"]["rows"][timed]
        assert took["original_us"] > 0
        assert took["compiled_us"] > 0
        assert took["original_setting"].startswith("threads=")
    if name.startswith("dense"):
        assert f"{said['runtime']} took least, in µs for 1 / 32 / 1024 rows" in said["why"]
    else:
        assert said["runtime"] == "onnxruntime"
        assert said["why"] == "not native: an input of shape [0, 1, 8, 8] is not a table"


def test_a_program_exported_for_one_row_stays_with_one(jobs: dict[str, dict[str, Any]], nets: Path) -> None:
    job = jobs["convolutional-of-one"]
    assert job["CompilationJobStatus"] == "COMPLETED", job["FailureReason"]
    said = manifest(nets, "convolutional-of-one")
    assert said["inputs"][0]["shape"] == [1, 1, 8, 8]
    assert list(said["timings"]["rows"]) == ["1"]


@pytest.mark.parametrize("name", ["dense-exported", "convolutional-scripted"])
def test_an_endpoint_answers_like_the_net(
    server: LocalServer, jobs: dict[str, dict[str, Any]], nets: Path, name: str
) -> None:
    expected = np.load(nets / f"{name}.npz")
    rows, labels = expected["rows"].reshape(len(expected["rows"]), -1), expected["labels"]
    endpoint = served(server, jobs[name])
    runtime = server.client("sagemaker-runtime")
    body = io.StringIO()
    np.savetxt(body, rows, delimiter=",", fmt="%.9g")
    answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=body.getvalue())
    answers = np.loadtxt(io.BytesIO(answer["Body"].read()), delimiter=",")
    server.client("sagemaker").delete_endpoint(EndpointName=endpoint)
    np.testing.assert_allclose(answers, expected["answers"], atol=1e-5)
    assert (answers.argmax(1) == labels).mean() > RIGHT_AT_LEAST


def test_a_broken_exported_program_is_named(
    server: LocalServer, jobs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "model.pt2").write_text("no archive")
    job = Compilation(server, BUCKET, packed(tmp_path)).ended("PYTORCH", {"pixels": [1, 64]})
    assert job["CompilationJobStatus"] == "FAILED"
    assert "model.pt2 is no exported program that PyTorch 2." in job["FailureReason"]
    assert "torch.export.save" in job["FailureReason"]
