"""Counts and times in memory that all processes share, as text for Prometheus.

Each process has a line of its own, so none waits for another; ``GET /metrics`` of any of them adds the lines
up. A process that takes a dead one's place goes on counting on its line.
Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import mmap
from bisect import bisect_left

STATUSES = (200, 400, 404, 405, 406, 409, 413, 415, 429, 500, 503, 507)
BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
OTHER = len(STATUSES)
FIRST_BUCKET = OTHER + 1
SUM_S = FIRST_BUCKET + len(BUCKETS_S) + 1
IN_PROGRESS = SUM_S + 1
STARTS = IN_PROGRESS + 1
WIDTH = STARTS + 1


class Metrics:
    """The shared memory; made before the processes part.

    Args:
        workers: Processes.
    """

    def __init__(self, workers: int) -> None:
        self._numbers = memoryview(mmap.mmap(-1, workers * WIDTH * 8)).cast("d")
        self._workers = workers
        self._at = 0
        self._status_at = {status: at for at, status in enumerate(STATUSES)}

    def take_line(self, worker: int) -> None:
        """Write on the line of this worker from now on."""
        self._at = worker * WIDTH
        self._numbers[self._at + IN_PROGRESS] = 0
        self._numbers[self._at + STARTS] += 1

    def begin(self) -> None:
        """A prediction was asked for."""
        self._numbers[self._at + IN_PROGRESS] += 1

    def end(self, status: int, seconds: float) -> None:
        """It was answered."""
        self._numbers[self._at + IN_PROGRESS] -= 1
        self.count(status, seconds)

    def count(self, status: int, seconds: float) -> None:
        """One was answered that nobody saw in progress."""
        numbers, at = self._numbers, self._at
        numbers[at + self._status_at.get(status, OTHER)] += 1
        numbers[at + FIRST_BUCKET + bisect_left(BUCKETS_S, seconds)] += 1
        numbers[at + SUM_S] += seconds

    def left(self) -> None:
        """It went away without an answer."""
        self._numbers[self._at + IN_PROGRESS] -= 1

    def text(self) -> bytes:
        """The sums over all processes."""
        sums = [
            sum(self._numbers[worker * WIDTH + at] for worker in range(self._workers)) for at in range(WIDTH)
        ]
        lines = [
            "# HELP model_requests_total Predictions asked for, by the status of the answer.",
            "# TYPE model_requests_total counter",
        ]
        lines += [
            f'model_requests_total{{status="{status}"}} {sums[at]:.0f}'
            for at, status in enumerate((*STATUSES, "other"))
            if sums[at] or status == 200
        ]
        lines += [
            "# HELP model_request_seconds From the first byte of a request to its answer.",
            "# TYPE model_request_seconds histogram",
        ]
        count = 0.0
        for number, limit in enumerate((*BUCKETS_S, "+Inf")):
            count += sums[FIRST_BUCKET + number]
            lines.append(f'model_request_seconds_bucket{{le="{limit}"}} {count:.0f}')
        lines += [
            f"model_request_seconds_sum {sums[SUM_S]!r}",
            f"model_request_seconds_count {count:.0f}",
            "# HELP model_requests_in_progress Predictions under way or waiting.",
            "# TYPE model_requests_in_progress gauge",
            f"model_requests_in_progress {sums[IN_PROGRESS]:.0f}",
            "# HELP model_workers Processes that serve.",
            "# TYPE model_workers gauge",
            f"model_workers {self._workers}",
            "# HELP model_worker_starts_total Processes started, those in place of dead ones too.",
            "# TYPE model_worker_starts_total counter",
            f"model_worker_starts_total {sums[STARTS]:.0f}",
        ]
        return ("\n".join(lines) + "\n").encode()
