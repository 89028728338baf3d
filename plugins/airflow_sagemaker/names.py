"""Names that follow from what a task is, never from when it runs.

SageMaker's names are unique per account and region, some of them for ever, so a name that follows from
dag, run, task and map index is what lets a second worker find the job of the first instead of paying for
another one. Pattern and length are those of the service's own API model:
``[a-zA-Z0-9](-*[a-zA-Z0-9])*`` and 63 characters (32 for tuning jobs).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

MAX_NAME_LENGTH = 63
DIGEST_LENGTH = 10
RUN_KEY_LENGTH = 40
UNMAPPED = -1


@dataclass(frozen=True)
class TaskIdentity:
    """The task instance that a job belongs to, whatever try or worker is at work on it."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = UNMAPPED

    @property
    def digest(self) -> str:
        """The task instance as a short hash."""
        return digest(self.dag_id, self.run_id, self.task_id, str(self.map_index))


def slug(text: str) -> str:
    """Letters, digits and single hyphens, lower case; ``x`` where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def digest(*parts: str) -> str:
    """A short hash over parts that cannot run into each other."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:DIGEST_LENGTH]


def bounded(stem: str, ending: str, limit: int = MAX_NAME_LENGTH) -> str:
    """``stem-ending`` cut to ``limit`` characters; only the stem gives way."""
    room = limit - len(ending) - 1
    kept = slug(stem)[: max(room, 0)].strip("-")
    return f"{kept}-{ending}" if kept else ending


def job_name(
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: int = UNMAPPED,
    attempt: int = 0,
    limit: int = MAX_NAME_LENGTH,
) -> str:
    """Name of a task's job; ``attempt`` counts the jobs of this task that ended without success."""
    identity = TaskIdentity(dag_id, run_id, task_id, map_index)
    readable = f"{dag_id}-{task_id}" if map_index == UNMAPPED else f"{dag_id}-{task_id}-{map_index}"
    ending = identity.digest if attempt == 0 else f"{identity.digest}-r{attempt}"
    return bounded(readable, ending, limit)


def content_name(stem: str, fingerprint: str, limit: int = MAX_NAME_LENGTH) -> str:
    """Name of a thing that is what it holds (a model, an endpoint config): same content, same name."""
    return bounded(stem, digest(fingerprint), limit)


def run_key(run_id: str) -> str:
    """A short slug of a run for prefixes: readable, stable, unique by its hash."""
    return bounded(run_id.replace("T00:00:00+00:00", ""), digest(run_id)[:8], RUN_KEY_LENGTH)


def partition(logical_date: datetime) -> str:
    """The daily partition of a logical date, as written in ``dt=YYYY-MM-DD``."""
    return f"{logical_date:%Y-%m-%d}"


TEMPLATE_MACROS: dict[str, Callable[..., str]] = {"run_key": run_key, "partition": partition}
"""For ``DAG(user_defined_macros=...)``: ``{{ run_key(run_id) }}``, ``{{ partition(logical_date) }}``."""
