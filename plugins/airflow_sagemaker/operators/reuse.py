"""A task's dealings with the cache: look for a job to reuse, note the one it made, add what that wrote.

The cache only ever saves work. Whatever is wrong with it (no rights, throttled, a strange document) is
a warning in the task log, and the job runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_sagemaker.cache import Cache
from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.operators.base import identity_of, start_of
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.submission import STATE_KEY

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.cache_key import Parts
    from airflow_sagemaker.hooks.sagemaker import SageMakerHook

CACHE_KEY = "sagemaker_cache"
Answer = TypeVar("Answer")


class TaskReuse:
    """The cache for one task instance.

    :param log: Airflow's own logger of the task
    """

    def __init__(self, hook: SageMakerHook, kind: JobKind, context: Context, log: Any) -> None:
        from airflow_sagemaker.hooks.cache import CacheHook

        self._cache = Cache(CacheHook(hook), kind, identity_of(context))
        self._store: Any = context["task_state_store"]
        self._start = start_of(context)
        self._log = log
        self._parts: Parts | None = None

    def look_up(self, body: JsonObject) -> JsonObject | None:
        """The XCom of a completed job that did this work, unless the task is to run anew or has begun to."""
        found = self._tried(lambda: self._cache.look_up(body))
        if found is None:
            return None
        self._parts = found.parts
        if self._begun():
            return None
        if found.results is None:
            self._log.info("Cache: nothing to reuse; %s", found.reason)
            return None
        if self._cleared():
            self._log.info("Cache: %s, but the task was cleared and runs anew", found.reason)
            return None
        self._store.set(CACHE_KEY, {"reused": found.job_name, "max_tries": self._start.max_tries})
        self._log.info("Cache: reusing %s; %s", found.job_name, found.reason)
        return found.results

    def remember(self, job_name: str, *, adopted: bool) -> None:
        """Note the job, so that others find it once it has completed."""
        noted = self._noted()
        if noted.get("job_name") == job_name:
            return
        if adopted:  # made by a worker that died before it noted what the job was made from
            self._log.info("Cache: %s is not kept; nobody noted its inputs when it was made", job_name)
            return
        if (parts := self._parts) is None:
            return
        location = self._tried(lambda: self._cache.remember(parts, job_name))
        if location is not None:
            self._store.set(
                CACHE_KEY,
                {"job_name": job_name, "location": location, "max_tries": self._start.max_tries},
            )

    def complete(self, job_name: str, body: Callable[[], JsonObject]) -> None:
        """Add what the completed job wrote to its note."""
        noted = self._noted()
        if noted.get("job_name") != job_name:
            return
        kept = self._tried(lambda: (self._cache.complete(noted["location"], body()),))
        if kept is not None and kept[0] is not None:
            self._log.warning("Cache: %s will not be reused: %s", job_name, kept[0])

    def _begun(self) -> bool:
        """Whether this task has asked for a job of its own already: that one is to be found again."""
        return self._store.get(STATE_KEY) is not None

    def _cleared(self) -> bool:
        """Whether the task was cleared since it first ran (see ``task_record.Start``)."""
        before = self._noted().get("max_tries", self._start.max_tries)
        return self._start.max_tries > self._start.retries or before != self._start.max_tries

    def _noted(self) -> dict[str, Any]:
        found = self._store.get(CACHE_KEY)
        return found if isinstance(found, dict) else {}

    def _tried(self, call: Callable[[], Answer]) -> Answer | None:
        try:
            return call()
        # A document of the index that somebody else wrote may hold anything.
        except (SageMakerError, LookupError, TypeError, ValueError, AttributeError) as error:
            self._log.warning("Cache: not used this time: %s", str(error) or repr(error))
            return None
