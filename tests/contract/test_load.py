"""A small helping of `benchmarks/load.py`: everything at once, and no error."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.contract.conftest import ROOT


def test_everything_at_once() -> None:
    amounts = [
        "--jobs",
        "60",
        "--seconds",
        "4",
        "--describes",
        "30",
        "--megabytes",
        "8",
        "--invocations",
        "40",
    ]
    command = [sys.executable, "-m", "benchmarks.load", *amounts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert {kind: figures[kind]["errors"] for kind in ("describe", "s3", "invoke")} == {
        "describe": 0,
        "s3": 0,
        "invoke": 0,
    }
    assert figures["rss_most_mb"] < 400
