"""Metrics on disk: by resolution, across restarts, without those that are too old."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.cloudwatch.invocations import InvocationMetrics
from sagemaker_local.cloudwatch.metric_store import DAY_S, MetricStore, finest_needed, series_of
from sagemaker_local.cloudwatch.statistics import of_values

NOON_S = 1_800_000_000 // 3600 * 3600


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetricStore]:
    opened = MetricStore(tmp_path)
    yield opened
    opened.close()


def totals(store: MetricStore, period_s: int, start_s: int = NOON_S) -> dict[int, float]:
    found = store.points("N", "m", {}, start_s=start_s, end_s=NOON_S + 7200, period_s=period_s)
    return {at - NOON_S: each.total for at, each in found.items()}


def test_periods_begin_where_they_are_asked_to(store: MetricStore) -> None:
    for second in (0, 1, 59, 60, 3599, 3600):
        store.put("N", "m", {}, 1.0, at_s=NOON_S + second)
    assert totals(store, 1) == {0: 1, 1: 1, 59: 1, 60: 1, 3599: 1, 3600: 1}
    assert totals(store, 10) == {0: 2, 50: 1, 60: 1, 3590: 1, 3600: 1}
    assert totals(store, 60) == {0: 3, 60: 1, 3540: 1, 3600: 1}
    assert totals(store, 3600) == {0: 5, 3600: 1}


def test_the_coarsest_resolution_that_fits_is_read() -> None:
    assert finest_needed(60, NOON_S) == 60
    assert finest_needed(3600, NOON_S) == 3600
    assert finest_needed(3600, NOON_S + 60) == 60
    assert finest_needed(300, NOON_S + 7) == 1


def test_dimensions_in_any_order_are_one_metric_and_units_are_not(store: MetricStore) -> None:
    store.put("N", "m", {"a": "1", "b": "2"}, 1.0, at_s=NOON_S)
    store.put("N", "m", {"b": "2", "a": "1"}, 2.0, at_s=NOON_S)
    store.put("N", "m", {"b": "2", "a": "1"}, 4.0, "Bytes", at_s=NOON_S)
    (metric,) = store.metrics("N")
    assert metric.dimensions == (("a", "1"), ("b", "2"))
    window: Any = {"start_s": NOON_S, "end_s": NOON_S + 60, "period_s": 60}
    assert store.points("N", "m", {"a": "1", "b": "2"}, **window)[NOON_S].total == 7.0
    assert store.points("N", "m", {"a": "1", "b": "2"}, unit="None", **window)[NOON_S].total == 3.0


def test_standard_resolution_has_no_seconds(store: MetricStore) -> None:
    store.add_set(series_of("N", "m", {}), of_values({2.0: 3.0}), NOON_S + 7, 60)
    assert totals(store, 1) == {}
    assert totals(store, 60) == {0: 6.0}


def test_old_points_go_finest_first(store: MetricStore) -> None:
    store.put("N", "m", {}, 1.0, at_s=NOON_S)
    store.flush()
    store.purge(NOON_S + DAY_S)
    assert totals(store, 1) == {}
    assert totals(store, 60) == {0: 1.0}
    store.purge(NOON_S + 20 * DAY_S)
    assert totals(store, 60) == {}
    assert totals(store, 300) == {0: 1.0}
    store.purge(NOON_S + 500 * DAY_S)
    assert totals(store, 3600) == {}
    assert store.metrics() == []


def test_what_was_flushed_is_there_after_a_restart(tmp_path: Path) -> None:
    first = MetricStore(tmp_path)
    first.put("N", "m", {}, 1.5, at_s=NOON_S)
    first.flush()  # and no close: killed
    second = MetricStore(tmp_path)
    assert totals(second, 60) == {0: 1.5}
    second.close()
    first.close()


def test_nothing_is_lost_between_threads(store: MetricStore) -> None:
    def put() -> None:
        for _ in range(500):
            store.put("N", "m", {}, 1.0, at_s=NOON_S)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        store.flush()
    for thread in threads:
        thread.join()
    assert totals(store, 60) == {0: 2000.0}


def test_a_write_that_fails_is_tried_again(store: MetricStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(store, "_write", full)
        store.put("N", "m", {}, 1.0, at_s=NOON_S)
        with pytest.raises(OSError, match="disk full"):
            store.flush()
        store.put("N", "m", {}, 1.0, at_s=NOON_S)
    assert totals(store, 60) == {0: 2.0}


@pytest.mark.parametrize(
    ("status", "client", "server", "model"), [(200, 0, 0, 0), (404, 1, 0, 1), (500, 0, 1, 1), (0, 0, 1, 1)]
)
def test_an_invocation_by_its_status(
    store: MetricStore, status: int, client: int, server: int, model: int
) -> None:
    metrics = InvocationMetrics(store)
    metrics.count_instances = lambda endpoint, variant: 4
    metrics.record("e", "v", status=status, model_latency_s=0.25, overhead_s=0.001)
    place = {"EndpointName": "e", "VariantName": "v"}

    def total(name: str) -> float:
        (found,) = store.points("AWS/SageMaker", name, place, start_s=0, end_s=2**33, period_s=3600).values()
        return found.total

    assert total("Invocations") == 1
    assert total("InvocationsPerInstance") == 0.25
    assert (total("Invocation4XXErrors"), total("Invocation5XXErrors")) == (client, server)
    assert total("InvocationModelErrors") == model
    assert (total("ModelLatency"), total("OverheadLatency")) == (250_000, 1000)
