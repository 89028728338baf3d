"""The model as multi-model-server runs one: ``handle`` is called with a batch of requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np


class Service:
    """One model a worker."""

    model: Any = None

    def initialize(self, context: Any) -> None:
        """Load what lies in the model's archive."""
        folder = Path(context.system_properties["model_dir"])
        self.model = joblib.load(folder / "model.joblib")

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[str]:
        """CSV without a header in, a prediction a line out."""
        return [self._answer(request["body"]) for request in data]

    def _answer(self, body: bytes | str) -> str:
        text = body.decode() if isinstance(body, bytes | bytearray) else body
        rows = np.loadtxt(text.splitlines(), delimiter=",", ndmin=2)
        return "\n".join(map(str, self.model.predict(rows).tolist())) + "\n"


SERVICE = Service()


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[str] | None:
    """The entry point; called without data once, when the worker starts."""
    if SERVICE.model is None:
        SERVICE.initialize(context)
    return None if data is None else SERVICE.handle(data, context)
