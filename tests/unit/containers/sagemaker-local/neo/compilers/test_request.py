"""Reading a compilation job: what is taken, and the words for what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.neo.compilers import request as requests
from sagemaker_local.neo.compilers.request import CompilationError, Request

LINUX = {"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"}}


def read(tmp_path: Path, shapes: str | None, output: dict[str, Any], **source: str) -> Request:
    config = {"S3Uri": "s3://bucket/model.tar.gz", "Framework": "SKLEARN", **source}
    if shapes is not None:
        config["DataInputConfig"] = shapes
    path = tmp_path / "compilationjob.json"
    path.write_text(json.dumps({"InputConfig": config, "OutputConfig": output}))
    return requests.read(path)


@pytest.mark.parametrize(
    ("shapes", "rows", "features"),
    [
        ('{"input": [1, 64]}', 1, 64),
        ('{"input": [-1, 64]}', None, 64),
        ('{"input": [1000, 3]}', 1000, 3),
        ('{"input": {"shape": [1, 64]}}', 1, 64),
        (None, None, None),
    ],
)
def test_shapes_that_are_taken(
    tmp_path: Path, shapes: str | None, rows: int | None, features: int | None
) -> None:
    request = read(tmp_path, shapes, LINUX)
    assert (request.rows, request.features) == (rows, features)


def test_rows_of_a_network_are_its_first_inputs(tmp_path: Path) -> None:
    request = read(tmp_path, '{"pixels": [8, 3, 4, 4], "hints": [1, 2]}', LINUX, Framework="PYTORCH")
    assert request.rows == 8


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ('{"data": [1, 64]}', "called 'input', not 'data'"),
        ('{"input": [64]}', "got the shape [64]"),
        ('{"input": [1, 8, 8]}', "got the shape [1, 8, 8]"),
        ('{"input": [1, 0]}', "got the shape [1, 0]"),
        ('{"input": [0, 64]}', "got the shape [0, 64]"),
        ('{"input": [1, "64"]}', 'got the shape [1, "64"]'),
        ('{"input": [1, true]}', "got the shape [1, true]"),
        ('{"input": null}', "got the shape null"),
        ('{"input": [1, 64], "mask": [1, 64]}', "with exactly one input"),
        ("{}", "with exactly one input"),
        ("[1, 64]", "with exactly one input"),
        ("input:1,64", "it is not JSON"),
    ],
)
def test_shapes_that_are_not(tmp_path: Path, shapes: str, complaint: str) -> None:
    with pytest.raises(CompilationError) as caught:
        read(tmp_path, shapes, LINUX)
    assert complaint in str(caught.value)
    assert '{"input": [1, 64]}' in str(caught.value)


@pytest.mark.parametrize(
    ("output", "architecture", "described"),
    [
        ({"TargetDevice": "ml_m5"}, "X86_64", {"device": "ml_m5"}),
        ({"TargetDevice": "ml_c6g"}, "ARM64", {"device": "ml_c6g"}),
        (LINUX, "X86_64", {"os": "LINUX", "arch": "X86_64"}),
        ({"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64"}}, "ARM64", {"os": "LINUX", "arch": "ARM64"}),
    ],
)
def test_targets_that_are_taken(
    tmp_path: Path, output: dict[str, Any], architecture: str, described: dict[str, str]
) -> None:
    target = read(tmp_path, None, output).target
    assert (target.architecture, target.described) == (architecture, described)


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ({"TargetDevice": "ml_p3"}, "TargetDevice ml_p3 is not supported; supported are lambda, ml_c4"),
        ({"TargetPlatform": {"Os": "ANDROID", "Arch": "ARM64"}}, "ANDROID/ARM64 is not supported"),
        ({"TargetPlatform": {"Os": "LINUX", "Arch": "ARM_EABI"}}, "LINUX with X86_64 or ARM64"),
        ({"TargetPlatform": {**LINUX["TargetPlatform"], "Accelerator": "NVIDIA"}}, "Accelerator NVIDIA"),
        ({}, "neither TargetDevice nor TargetPlatform"),
    ],
)
def test_targets_that_are_not(tmp_path: Path, output: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CompilationError) as caught:
        read(tmp_path, None, output)
    assert complaint in str(caught.value)


def test_compiler_options_are_for_frameworks_of_rows(tmp_path: Path) -> None:
    output = {**LINUX, "CompilerOptions": '{"mcpu": "skylake-avx512"}'}
    assert read(tmp_path, None, output).compiler_options == output["CompilerOptions"]
    with pytest.raises(CompilationError, match="are not supported for PYTORCH; leave them out"):
        read(tmp_path, '{"input0": [1, 3]}', output, Framework="PYTORCH")


@pytest.mark.parametrize("version", [None, "1", "1.9", "1.9.1"])
def test_versions_that_fit(tmp_path: Path, version: str | None) -> None:
    read(tmp_path, None, LINUX, **({} if version is None else {"FrameworkVersion": version})).check_version(
        "1.9.1"
    )


@pytest.mark.parametrize("version", ["0.20", "1.9.2", "1.90", "2"])
def test_versions_that_do_not(tmp_path: Path, version: str) -> None:
    with pytest.raises(CompilationError, match=f"FrameworkVersion {version} of SKLEARN .* has 1.9.1"):
        read(tmp_path, None, LINUX, FrameworkVersion=version).check_version("1.9.1")


def test_a_width_that_is_not_the_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompilationError, match=r"declares 63 features, m\.joblib was trained on 64"):
        read(tmp_path, '{"input": [1, 63]}', LINUX).check_features(64, "m.joblib")
