"""Which compiler a framework has."""

from __future__ import annotations

import pytest

from sagemaker_local import neo


@pytest.mark.parametrize("framework", sorted(neo.COMPILERS))
def test_a_program_is_complete(framework: str) -> None:
    program = neo.compiler_program(framework)
    assert program.requirements.is_file()
    module = program.command[-1].replace(".", "/")
    assert (program.source / f"{module}.py").is_file()
    pins = [
        line
        for line in program.requirements.read_text().splitlines()
        if line.strip() and line[0] not in "#- "
    ]
    assert pins
    assert all("==" in pin for pin in pins)


@pytest.mark.parametrize("framework", ["MXNET", "sklearn", ""])
def test_another_framework_is_refused(framework: str) -> None:
    with pytest.raises(neo.UnsupportedFramework, match="supported are KERAS, ONNX, PYTORCH, SKLEARN"):
        neo.compiler_program(framework)
