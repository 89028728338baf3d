"""Check that a compiled model answers like the original, and how much faster: a processing job.

Both models answer every test row, and the same single rows in turn, so that a noisy machine slows both.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import model
import numpy as np
import opt_ml
import rows
from evaluation import PROCESSING_DIR, load_input, read_test

TIMED_ROWS = 400
WARM_UP_ROWS = 50


def verify() -> None:
    _, features = read_test()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        original = load_input("model", Path(one))
        compiled = load_input("compiled", Path(other))
        if compiled.kind != "compiled":
            raise opt_ml.JobError("input compiled: holds an uncompiled model (no manifest.json); pass Neo's artefact")
        difference = np.abs(original.probabilities(features) - compiled.probabilities(features)).max()
        original_p50_us, p50_us = one_row_p50_us((original, compiled), features)
    metrics: dict[str, object] = {
        "max_abs_diff": float(difference),
        "rows": len(features),
        "p50_us": round(p50_us, 2),
        "original_p50_us": round(original_p50_us, 2),
        "speedup": round(original_p50_us / p50_us, 2),
    }
    opt_ml.write_json(PROCESSING_DIR / "output/verification/verification.json", {"metrics": metrics})
    print(f"compared the compiled model with the original: {metrics}")


def one_row_p50_us(models: tuple[model.Model, ...], features: rows.Rows) -> list[float]:
    """Median time of a prediction of one row, per model, in microseconds."""
    taken_us: list[list[float]] = [[] for _ in models]
    for turn in range(WARM_UP_ROWS + TIMED_ROWS):
        at = turn % len(features)
        row = features[at : at + 1]
        for timed, taken in zip(models, taken_us, strict=True):
            start_ns = time.perf_counter_ns()
            timed.probabilities(row)
            taken.append((time.perf_counter_ns() - start_ns) / 1000)
    return [float(np.median(taken[WARM_UP_ROWS:])) for taken in taken_us]
