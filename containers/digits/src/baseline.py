"""The plain model that training has to beat: nearest centroid.

A row gets the digit whose mean training image is closest (Euclidean distance). It is fitted on the training
rows and travels inside model.tar.gz, because evaluation sees the test rows only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BASELINE_FILE = "baseline.json"


@dataclass(frozen=True, slots=True)
class NearestCentroid:
    """The mean image of each digit."""

    labels: NDArray[np.int64]
    centroids: NDArray[np.float64]

    def predict(self, pixels: NDArray[np.float64]) -> NDArray[np.int64]:
        """Digit of each row."""
        squares = ((pixels[:, None, :] - self.centroids[None, :, :]) ** 2).sum(axis=2)
        nearest: NDArray[np.int64] = self.labels[squares.argmin(axis=1)]
        return nearest

    def write(self, directory: Path) -> None:
        """Put the baseline beside the model."""
        content = {
            "name": "nearest centroid",
            "labels": self.labels.tolist(),
            "centroids": self.centroids.tolist(),
        }
        (directory / BASELINE_FILE).write_text(json.dumps(content) + "\n")


def fit(labels: NDArray[np.int64], pixels: NDArray[np.float64]) -> NearestCentroid:
    """Average the rows of each label."""
    known = np.unique(labels)
    return NearestCentroid(known, np.stack([pixels[labels == label].mean(axis=0) for label in known]))


def read(directory: Path) -> NearestCentroid | None:
    """The baseline of a model directory; a compiled artefact carries none."""
    path = directory / BASELINE_FILE
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    return NearestCentroid(np.array(content["labels"]), np.array(content["centroids"]))
