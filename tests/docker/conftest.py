"""These tests need a Docker engine with `python:3.11-slim`: `make test-docker` brings both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "containers" / "sagemaker-local" / "src"))

BASE = "python:3.11-slim"


def docker(*arguments: str, check: bool = True, timeout_s: float = 120) -> str:
    """What a docker command printed."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout.strip()


def why_not() -> str | None:
    """Why these tests cannot run; None when they can."""
    try:
        docker("image", "inspect", BASE)
    except (OSError, AssertionError, subprocess.TimeoutExpired) as error:
        return f"needs a Docker engine with {BASE} (make test-docker): {error}"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    if here and (reason := why_not()):
        for item in here:
            item.add_marker(pytest.mark.skip(reason=reason))
