"""The model as a BentoML service: CSV as text in, a prediction a line out."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=2)
class Digits:
    """One model a worker."""

    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["MODEL_DIR"]) / "model.joblib")

    @bentoml.api(route="/invocations")  # type: ignore[untyped-decorator]
    def invocations(self, body: str, /) -> str:
        """Rows of numbers, parsed by numpy."""
        rows = np.loadtxt(body.splitlines(), delimiter=",", ndmin=2)
        return "\n".join(map(str, self.model.predict(rows).tolist())) + "\n"
