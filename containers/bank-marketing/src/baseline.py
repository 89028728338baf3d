"""The plain model that training has to beat: the majority class.

Every row gets the answer that most training rows have. It is fitted on the training rows and travels inside
model.tar.gz, because evaluation sees the test rows only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BASELINE_FILE = "baseline.json"


@dataclass(frozen=True, slots=True)
class MajorityClass:
    """The answer that most training rows have."""

    label: int

    def accuracy(self, labels: NDArray[np.int64]) -> float:
        """Share of rows that have that answer."""
        return float((labels == self.label).mean())

    def write(self, directory: Path) -> None:
        """Put the baseline beside the model."""
        content = {"name": "majority class", "label": self.label}
        (directory / BASELINE_FILE).write_text(json.dumps(content) + "\n")


def fit(labels: NDArray[np.int64]) -> MajorityClass:
    """Count."""
    return MajorityClass(int(labels.mean() > 0.5))


def read(directory: Path) -> MajorityClass | None:
    """The baseline of a model directory; a compiled artefact carries none."""
    path = directory / BASELINE_FILE
    return MajorityClass(json.loads(path.read_text())["label"]) if path.exists() else None
