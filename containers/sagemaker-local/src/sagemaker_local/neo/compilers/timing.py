"""Time models against one another on a machine that does other things too.

The models take turns within one round, so that whatever else runs slows all of them; what counts is the
median over the rounds, which a few disturbed ones do not move.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

ROW_COUNTS = (1, 32, 1024)
ROUNDS = 15
ROUNDS_AT_LEAST = 5
LONGEST_S = 1.0
"""For one row count, all models together; slow models get fewer rounds."""
TURN_NS = 200_000
"""A turn repeats a call for about this long: a clock is too coarse for one of a microsecond."""
CALLS_A_TURN = 64
LONGEST_CALL_S = 2.0
"""A number of rows at which one call is expected to take longer is not timed."""


def medians_us(models: Mapping[str, Callable[[Any], Any]], given: Any) -> dict[str, float]:
    """Median microseconds of one call of each model with what is given."""
    calls: dict[str, int] = {}
    for name, model in models.items():
        model(given)  # sets up buffers and kernels
        started = time.perf_counter_ns()
        model(given)
        taken = time.perf_counter_ns() - started
        calls[name] = max(1, min(CALLS_A_TURN, TURN_NS // max(1, taken)))
    samples: dict[str, list[float]] = {name: [] for name in models}
    began = time.perf_counter()
    for done in range(ROUNDS):
        if done >= ROUNDS_AT_LEAST and time.perf_counter() - began > LONGEST_S:
            break
        for name, model in models.items():
            model(given)  # the other model has just emptied the caches
            count = calls[name]
            started = time.perf_counter_ns()
            for _ in range(count):
                model(given)
            samples[name].append((time.perf_counter_ns() - started) / count / 1000)
    return {name: statistics.median(taken) for name, taken in samples.items()}
