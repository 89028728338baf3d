"""CompilerOptions: which processor a shared object is built for."""

from __future__ import annotations

import pytest

from sagemaker_local.neo.compilers import cpus
from sagemaker_local.neo.compilers.request import CompilationError


@pytest.mark.parametrize("options", [None, ""])
def test_by_default_every_server_of_the_architecture_will_do(options: str | None) -> None:
    assert cpus.cpu("X86_64", options) == cpus.Cpu("x86-64-v2", "x86_64_v2")
    assert cpus.cpu("ARM64", options).features == ()


@pytest.mark.parametrize(
    "options",
    ['{"mcpu": "skylake-avx512"}', "{'mcpu': 'skylake-avx512'}", '"{\\"mcpu\\": \\"skylake-avx512\\"}"'],
)
def test_a_processor_is_asked_for_as_aws_documents_it(options: str) -> None:
    found = cpus.cpu("X86_64", options)
    assert found.zig == "skylake_avx512"
    assert {"avx2", "avx512f", "avx512vl"} <= set(found.features)


@pytest.mark.parametrize(
    ("architecture", "options", "complaint"),
    [
        (
            "X86_64",
            '{"mcpu": "neoverse-n1"}',
            "'neoverse-n1' is not supported for X86_64; supported are x86-64-v2, ",
        ),
        ("ARM64", '{"mcpu": "haswell"}', "not supported for ARM64; supported are generic, cortex-a72"),
        ("X86_64", '{"mattr": ["+avx2"]}', "CompilerOptions mattr are not supported for trees"),
        ("X86_64", '{"mcpu": 5}', "without mcpu"),
        ("X86_64", "--verbose 1", "must be JSON as"),
        ("X86_64", "[1]", "must be JSON as"),
    ],
)
def test_anything_else_is_refused_by_name(architecture: str, options: str, complaint: str) -> None:
    with pytest.raises(CompilationError) as refused:
        cpus.cpu(architecture, options)
    assert complaint in str(refused.value)
