"""Check that a compiled model answers like the original, and how much faster: a processing job.

Both models answer every test row; then they are timed on single rows in turns, so that a noisy machine slows
both.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import inputs
import model
import numpy as np
import opt_ml
import rows

TURNS = 20
ROWS_A_TURN = 25
WARM_UP_ROWS = 5  # of each turn: the other model has just emptied the caches


def verify() -> None:
    """Run the job: both artefacts in, the comparison out."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        original = inputs.load_model("model", Path(one))
        compiled = inputs.load_model("compiled", Path(other))
        if compiled.kind != "compiled":
            raise opt_ml.JobError(
                "input compiled: holds an uncompiled model (no manifest.json); pass Neo's artefact"
            )
        _, features = inputs.read_test(original.features)
        difference = np.abs(original.predict(features) - compiled.predict(features)).max()
        original_p50_us, p50_us = one_row_p50_us((original, compiled), features)
    metrics: dict[str, object] = {
        "max_abs_diff": float(difference),
        "rows": len(features),
        "p50_us": round(p50_us, 2),
        "original_p50_us": round(original_p50_us, 2),
        "speedup": round(original_p50_us / p50_us, 2),
    }
    opt_ml.write_json(inputs.PROCESSING_DIR / "output/verification/verification.json", {"metrics": metrics})
    print(f"compared the compiled model with the original: {metrics}")


def one_row_p50_us(models: tuple[model.Model, ...], features: rows.Rows) -> list[float]:
    """Median time of a prediction of one row, per model, in microseconds."""
    taken_us: list[list[float]] = [[] for _ in models]
    for turn in range(TURNS):
        for timed, taken in zip(models, taken_us, strict=True):
            for number in range(WARM_UP_ROWS + ROWS_A_TURN):
                at = (turn * ROWS_A_TURN + number) % len(features)
                row = features[at : at + 1]
                start_ns = time.perf_counter_ns()
                timed.predict(row)
                if number >= WARM_UP_ROWS:
                    taken.append((time.perf_counter_ns() - start_ns) / 1000)
    return [float(np.median(taken)) for taken in taken_us]
