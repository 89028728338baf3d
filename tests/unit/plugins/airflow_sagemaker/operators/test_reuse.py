"""When a task asks the cache, and that nothing about the cache ever fails it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.cache import Lookup
from airflow_sagemaker.errors import AccessDeniedError
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import TRAINING
from airflow_sagemaker.operators.reuse import CACHE_KEY, TaskReuse
from airflow_sagemaker.submission import STATE_KEY

HIT = Lookup("twin", {"image": "x"}, "job-1", {"job_name": "job-1", "reused_job": "job-1"})
MISS = Lookup("no such job yet", {"image": "x"})


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


class FakeCache:
    """Answers as told, or raises."""

    def __init__(self, answer: Lookup | Exception = MISS) -> None:
        self.answer = answer
        self.kept: list[str] = []
        self.completed: list[str] = []

    def _tell(self, value: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return value

    def look_up(self, body: Any) -> Any:
        return self._tell(self.answer)

    def remember(self, parts: Any, job_name: str) -> Any:
        self.kept.append(job_name)
        return self._tell(f"cache/{job_name}.json")

    def complete(self, location: str, body: Any) -> Any:
        self.completed.append(location)
        return self._tell(None)


def reuse(cache: FakeCache, store: Store | None = None, *, max_tries: int = 2, retries: int = 2) -> TaskReuse:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, max_tries=max_tries)
    ti.task = SimpleNamespace(retries=retries)
    context: Any = {"ti": ti, "task_state_store": Store() if store is None else store}
    made = TaskReuse(SageMakerHook(), TRAINING, context, logging.getLogger("test"))
    made._cache = cache  # type: ignore[assignment]
    return made


def test_a_hit_gives_the_results_of_the_job_it_names() -> None:
    store = Store()
    assert reuse(FakeCache(HIT), store).look_up({}) == HIT.results
    assert store[CACHE_KEY]["reused"] == "job-1"


def test_a_task_that_was_cleared_runs_anew() -> None:
    assert reuse(FakeCache(HIT), max_tries=3).look_up({}) is None
    store = Store()
    reuse(FakeCache(HIT), store).look_up({})
    lowered = reuse(FakeCache(HIT), store, max_tries=3, retries=3)  # retries were raised with the clear
    assert lowered.look_up({}) is None


def test_a_task_that_has_made_a_job_goes_on_with_it() -> None:
    assert reuse(FakeCache(HIT), Store({STATE_KEY: {"name": "mine"}})).look_up({}) is None


def test_the_job_that_was_made_is_noted_and_completed() -> None:
    store, cache = Store(), FakeCache()
    made = reuse(cache, store)
    assert made.look_up({}) is None
    made.remember("mine", adopted=False)
    later = reuse(cache, store)  # another process of the task
    later.remember("mine", adopted=True)
    later.complete("mine", dict)
    assert (cache.kept, cache.completed) == (["mine"], ["cache/mine.json"])


def test_a_job_whose_inputs_nobody_noted_is_not_kept() -> None:
    """Its worker died between Create and the note; what it read may have changed since."""
    cache = FakeCache()
    made = reuse(cache)
    made.look_up({})
    made.remember("mine", adopted=True)
    made.complete("mine", dict)
    assert (cache.kept, cache.completed) == ([], [])


def test_without_a_key_nothing_is_noted() -> None:
    cache = FakeCache(Lookup("no key: no digest"))
    made = reuse(cache)
    made.look_up({})
    made.remember("mine", adopted=False)
    assert cache.kept == []


@pytest.mark.parametrize(
    "trouble",
    [AccessDeniedError("Prefix", "denied", "Allow it"), KeyError("parts"), TypeError("no mapping")],
    ids=lambda error: type(error).__name__,
)
def test_trouble_with_the_cache_is_a_warning(trouble: Exception, caplog: pytest.LogCaptureFixture) -> None:
    made, cache = reuse(FakeCache()), FakeCache(trouble)
    made.look_up({})
    made._cache = cache  # type: ignore[assignment]
    assert made.look_up({}) is None
    made.remember("mine", adopted=False)
    store = Store({CACHE_KEY: {"job_name": "mine", "location": "x"}})
    reuse(cache, store).complete("mine", dict)
    assert caplog.text.count("Cache: not used this time") == 3
