"""The record of a tuning job: which training jobs are begun again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sagemaker_local.store import Record, Store
from sagemaker_local.tuning.record import KIND, RETRIES, TuningRecord

LOST = {"TrainingJobStatus": "Failed", "FailureReason": "InternalServerError: the server ended"}
BAD = {"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: no"}
GOOD = {"TrainingJobStatus": "Completed"}


@pytest.mark.parametrize(
    ("ends", "again"),
    [
        ([LOST], True),
        ([LOST, LOST], True),
        ([LOST, GOOD], False),
        ([LOST, None], False),
        ([BAD], False),
        ([LOST] * RETRIES, True),
        ([LOST] * (RETRIES + 1), False),
    ],
)
def test_what_failed_by_the_servers_fault_is_begun_again_but_not_for_ever(tmp_path, ends, again):
    store = Store(tmp_path / "store.sqlite")
    children: list[dict[str, Any]] = [
        {"name": f"tune-{at}", "number": 0, "space": 0, "values": {}, "summary": end}
        for at, end in enumerate(ends)
    ]
    store.insert(Record(KIND, "tune", "arn", {}, {"children": children}))
    record = TuningRecord(SimpleNamespace(store=store), "tune")  # type: ignore[arg-type]
    assert record.retryable() == ([0] if again else [])
