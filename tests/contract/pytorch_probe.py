"""Whether PyTorch can be had here, for tests that compile its models for real.

Without PyTorch's index or a mirror that has builds for CPUs, what is installed is a build with several
gigabytes of CUDA: tests do without it then.
"""

from __future__ import annotations

import functools
import subprocess

import pytest

from sagemaker_local import neo
from sagemaker_local.images.environments import uv_command
from sagemaker_local.images.package_indexes import usable
from sagemaker_local.images.pip_configuration import read_pip_configuration

OF_CUDA = "nvidia-"


@functools.cache
def why_not() -> str | None:
    """Why the compiler's environment cannot be made here; None where it can."""
    uv = uv_command()
    if uv is None:
        return "uv is not there to ask for PyTorch: make setup"
    program = neo.compiler_program("PYTORCH")
    options = [*read_pip_configuration().for_uv(), *usable(program.options, print)]
    command = [*uv, "pip", "compile", "--quiet", "--no-header", *options, str(program.requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason"]
        return f"PyTorch cannot be had here: {said[0]}"
    if OF_CUDA in done.stdout:
        return "only PyTorch's builds with CUDA can be had here: give pip find-links with one for CPUs"
    return None


def need() -> None:
    """Skip the test where there is no PyTorch, and say why."""
    if reason := why_not():
        pytest.skip(reason)
