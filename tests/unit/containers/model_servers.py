"""Model servers of the base image: the small program that they are given, and what they tell."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from tests.unit.containers.programs import Image, Server, held_port

SERVING = Image("model-serving")

MODEL = """
import os, time
from pathlib import Path
import numpy as np


class Sums:
    kind = "adding"
    features = 3

    def predict(self, rows):
        return np.column_stack([rows.sum(axis=1), rows[:, 0]])


def model_fn(model_dir):
    return Sums()


def predict_fn(rows, model):
    if rows[0, 0] == -1:
        raise KeyError("no such customer")
    if rows[0, 0] == -2:  # as slow as the test that looks on
        Path("begun").touch()
        while not Path("go").exists():
            time.sleep(0.01)
    if rows[0, 0] == -3:
        os._exit(9)
    return model.predict(rows)
"""


def program(base: Path, text: str = MODEL) -> Path:
    """The one file that an image adds to the base's."""
    (base / "model").mkdir(parents=True, exist_ok=True)
    (base / "program").mkdir(exist_ok=True)
    (base / "program/model.py").write_text(text)
    return base / "program"


def metric(server: Server, name: str) -> float:
    text = server.request("GET", "/metrics")[1]
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def eventually(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def refused(tmp_path: Path, text: str, more: dict[str, str] | None = None) -> str:
    folder = program(tmp_path, text)
    with held_port() as port:
        environ = SERVING.environ(tmp_path, {"SAGEMAKER_BIND_TO_PORT": str(port), **(more or {})})
        done = subprocess.run(
            ["serve"], env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == 1, done.stdout
    return done.stderr
