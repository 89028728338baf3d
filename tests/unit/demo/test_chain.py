from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from demo.airflow_api import AirflowApiError
from demo.chain import Chain
from demo.progress import Progress
from demo.stack import Stack


class Backfills:
    """Airflow, whose one backfill is under way when it is asked, and cannot be cancelled."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.cancelled: list[str] = []

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return {"backfills": [{"id": 7, "completed_at": None}, {"id": 6, "completed_at": "2026-01-01"}]}

    def put(self, path: str) -> None:
        self.cancelled.append(path)
        raise AirflowApiError(f"PUT {path}: {self.answer}")


def chain(api: Backfills) -> Chain:
    return Chain(cast(Stack, SimpleNamespace(api=api, sagemaker_url="http://127.0.0.1:1")), Progress.silent())


@pytest.mark.parametrize(
    "answer",
    ['409 {"detail":"Backfill is already completed."}', '404 {"detail":"Backfill not found"}'],
)
def test_a_backfill_that_the_scheduler_closes_meanwhile_is_closed(answer: str) -> None:
    api = Backfills(answer)
    chain(api).cancel_backfills()
    assert api.cancelled == ["/backfills/7/cancel"]


def test_a_backfill_that_stays_open_is_an_error() -> None:
    with pytest.raises(AirflowApiError, match="500"):
        chain(Backfills("500 broken")).cancel_backfills()
