"""Processors that a shared object may be built for, by the names of CompilerOptions' ``mcpu``.

By default it runs on every server processor and chooses newer instructions when it is called. Built for one
processor it may use all of its instructions anywhere, and ``cpu_features`` of the manifest says what a
machine must have: whoever loads it compares them with ``/proc/cpuinfo``.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass

from .request import CompilationError


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor.

    Attributes:
        name: As clang and AWS have it.
        zig: As Zig has it.
        features: What ``/proc/cpuinfo`` must name, beyond what every server has.
    """

    name: str
    zig: str
    features: tuple[str, ...] = ()


_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_HASWELL = (*_V3, "aes", "pclmulqdq", "rdrand", "fsgsbase")
_BROADWELL = (*_HASWELL, "adx", "rdseed")
_SKYLAKE = (*_BROADWELL, "clflushopt", "xsavec", "xsaves")
_SKYLAKE_AVX512 = (*_SKYLAKE, *_V4[len(_V3) :], "clwb")

CPUS: dict[str, tuple[Cpu, ...]] = {
    "X86_64": (
        Cpu("x86-64-v2", "x86_64_v2"),
        Cpu("x86-64-v3", "x86_64_v3", _V3),
        Cpu("x86-64-v4", "x86_64_v4", _V4),
        Cpu("haswell", "haswell", _HASWELL),
        Cpu("broadwell", "broadwell", _BROADWELL),
        Cpu("skylake", "skylake", _SKYLAKE),
        Cpu("skylake-avx512", "skylake_avx512", _SKYLAKE_AVX512),
        Cpu("cascadelake", "cascadelake", (*_SKYLAKE_AVX512, "avx512_vnni")),
    ),
    "ARM64": (
        Cpu("generic", "baseline"),
        Cpu("cortex-a72", "cortex_a72", ("aes", "pmull", "sha1", "sha2", "crc32")),
        Cpu("neoverse-n1", "neoverse_n1", ("atomics", "fphp", "asimdhp", "asimdrdm", "lrcpc", "asimddp")),
    ),
}
"""By architecture; the first is the default."""


def cpu(architecture: str, options: str | None) -> Cpu:
    """The processor that CompilerOptions ask for: JSON, or the single quotes of AWS's examples.

    Raises:
        CompilationError: naming what there is.
    """
    known = CPUS[architecture]
    if not options:
        return known[0]
    wanted = _parsed(options)
    unknown = sorted(set(wanted) - {"mcpu"})
    if unknown or not isinstance(wanted.get("mcpu"), str):
        raise CompilationError(
            f"CompilerOptions {', '.join(unknown) or 'without mcpu'} are not supported for trees; give "
            '{"mcpu": "<processor>"} or leave them out'
        )
    for each in known:
        if each.name == wanted["mcpu"]:
            return each
    names = ", ".join(each.name for each in known)
    raise CompilationError(
        f"CompilerOptions mcpu {wanted['mcpu']!r} is not supported for {architecture}; supported are {names}"
    )


def _parsed(options: str) -> dict[str, object]:
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(options)
        except (ValueError, SyntaxError):
            continue
        if isinstance(parsed, str):  # JSON within JSON, as some clients send it
            return _parsed(parsed)
        if isinstance(parsed, dict):
            return parsed
    raise CompilationError(
        f'CompilerOptions must be JSON as {{"mcpu": "skylake-avx512"}}; got {options[:200]}'
    )
