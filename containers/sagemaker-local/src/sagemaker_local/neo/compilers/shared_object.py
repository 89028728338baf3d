"""C → a shared object that needs nothing of the machine: by Zig's clang, from a wheel."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

MODEL_FILE = "model.so"
CSV_SOURCE = Path(__file__).with_name("csv_rows.c")
CSV_ENTRY_POINT = "read_csv"
"""Every shared object reads rows as well: to many a model, reading CSV is more work than predicting."""

# With a glibc old enough for every supported system.
TARGETS = {"X86_64": "x86_64-linux-gnu.2.17", "ARM64": "aarch64-linux-gnu.2.17"}
MACHINES = {"x86_64": "X86_64", "aarch64": "ARM64"}
OPTIONS = ("-std=gnu11", "-O3", "-g0", "-s", "-shared", "-fPIC", "-nostdlib", "-fvisibility=hidden")


def here() -> str:
    """This machine's architecture."""
    return MACHINES.get(platform.machine(), "X86_64")


def build(sources: Mapping[str, bytes], main: str, architecture: str, cpu: str, *options: str) -> bytes:
    """Compile.

    Args:
        sources: By the names under which they include one another.
        main: Which of them is compiled.
        architecture: Of AWS's names.
        cpu: A processor of it, by Zig's name.
        options: Further ones of the compiler.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for file, content in {**sources, CSV_SOURCE.name: CSV_SOURCE.read_bytes()}.items():
            (directory / file).write_bytes(content)
        command = [sys.executable, "-m", "ziglang", "cc", "-target", TARGETS[architecture], f"-mcpu={cpu}"]
        command += [*OPTIONS, *options, "-I.", "-Wa,-I.", main, CSV_SOURCE.name, "-o", MODEL_FILE]
        cache = {
            "ZIG_GLOBAL_CACHE_DIR": str(directory / "cache"),
            "ZIG_LOCAL_CACHE_DIR": str(directory / "cache"),
        }
        done = subprocess.run(
            command, cwd=directory, env={**os.environ, **cache}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        return (directory / MODEL_FILE).read_bytes()
