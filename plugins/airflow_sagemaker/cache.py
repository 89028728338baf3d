"""Results across runs: an index of the jobs that were made for a key, and whether one of them may stand in.

The index is JSON documents in the connection's bucket, see docs/cache.md and docs/adr/0009:

* ``<root>/<kind>/<key>/<job>.json`` says that the job was made for that key. It is written as soon as the
  job is made; a look-up describes the job, so only a completed one counts. No two writers share a document.
* ``<root>/tasks/<dag>/<task>.json`` holds a task's latest keys, to say what changed since.

What a completed job wrote is added to its document by the worker on which the task ends. A job counts only
while exactly that is still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from airflow_sagemaker.cache_key import Facts, Objects, Parts, UncacheableError, changes, key_of, parts_of
from airflow_sagemaker.kinds import COMPILATION, TRAINING, End, JobKind, results_of
from airflow_sagemaker.names import UNMAPPED, TaskIdentity

VERSION = 1
MAX_CANDIDATES = 10
MAX_REMEMBERED = 5
MAX_REASONS = 3
ARTEFACT_FIELDS: Mapping[str, tuple[str, str]] = {
    TRAINING.operation: ("model_uri", "TrainingEndTime"),
    COMPILATION.operation: ("compiled_uri", "CompilationEndTime"),
}
"""Kinds whose one output is named by the job itself: result with its URI, and when it was whole."""


class Found(NamedTuple):
    """A document of the index."""

    location: str
    document: dict[str, Any]


class Index(Facts, Protocol):
    """What the cache needs of AWS beside what a key does."""

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        """The job, or None if there is none."""

    def documents(self, prefix: str, limit: int) -> list[Found]:
        """The newest documents under a prefix, newest first."""

    def read(self, location: str) -> dict[str, Any] | None:
        """A document, or None if there is none."""

    def write(self, location: str, document: Mapping[str, Any]) -> None:
        """Put a document, whole or not at all."""

    def delete(self, location: str) -> None:
        """Delete a document; one that is not there is no error."""

    def changed_after(self, uri: str, moment: datetime) -> bool:
        """Whether an object was written after a moment, or is not there."""


@dataclass(frozen=True)
class Lookup:
    """What came of looking for a job to reuse."""

    reason: str
    parts: Parts | None = None
    """None where there can be no key."""
    job_name: str | None = None
    results: dict[str, Any] | None = None
    """The XCom of the job to reuse; None on a miss."""
    changed: list[str] = field(default_factory=list)
    """What differs from the task's last completed job."""


def cache_root(dag_id: str) -> str:
    """Where the index of a DAG lies: the DAGs of one pipeline, ``<pipeline>__<family>``, share one."""
    return f"{dag_id.partition('__')[0]}/cache"


@dataclass(frozen=True)
class Cache:
    """The cache as one task sees it."""

    index: Index
    kind: JobKind
    identity: TaskIdentity

    def look_up(self, body: Mapping[str, Any]) -> Lookup:
        """A completed job with the parts of this request, or why there is none."""
        try:
            parts = parts_of(self.kind, body, self.index)
        except UncacheableError as error:
            return Lookup(f"no key: {error}")
        reasons: list[str] = []
        for location, document in self.index.documents(f"{self._folder(parts)}/", MAX_CANDIDATES):
            described, reason = self._usable(location, document)
            if described is not None:
                name = str(document["job_name"])
                task = document["task"]
                results = {**results_of(self.kind, described), "reused_job": name}
                made_by = f"{task['dag_id']} {task['run_id']} {task['task_id']}"
                return Lookup(f"the same work was done by {name} ({made_by})", parts, name, results)
            reasons.append(reason)
        if reasons:
            return Lookup("; ".join(reasons[:MAX_REASONS]), parts)
        changed = self._changed(parts)
        return Lookup(
            "changed: " + "; ".join(changed) if changed else "no such job yet", parts, changed=changed
        )

    def remember(self, parts: Parts, job_name: str) -> str:
        """Note the job that was made for these parts; gives the location of the note."""
        location = f"{self._folder(parts)}/{job_name}.json"
        task = self.identity
        document = {
            "version": VERSION,
            "kind": self.kind.operation,
            "job_name": job_name,
            "task": {
                "dag_id": task.dag_id,
                "run_id": task.run_id,
                "task_id": task.task_id,
                "map_index": task.map_index,
            },
            "parts": parts,
            "outputs": None,
        }
        self.index.write(location, document)
        self.index.write(self._history_location, {"version": VERSION, "made": self._history(location)})
        return location

    def complete(self, location: str, body: Mapping[str, Any]) -> str | None:
        """Add what the job wrote to its note, or say why the job will not be reused.

        The key was made before the job read anything. Parts that differ now may have differed then.
        """
        document = self.index.read(location)
        if document is None:
            return "its note is gone"
        described = self.index.describe(self.kind, document["job_name"])
        if described is None or self.kind.end(described) is not End.COMPLETED:
            return "it has not completed"
        try:
            parts = parts_of(self.kind, body, self.index)
        except UncacheableError as error:
            return str(error)
        if changed := changes(parts, document["parts"]):
            self.index.delete(location)
            return f"what it worked on changed while it ran: {'; '.join(changed)}"
        outputs = self._outputs(described)
        self.index.write(
            location, {**document, "job_arn": described[self.kind.arn_field], "outputs": outputs}
        )
        return None

    def _usable(self, location: str, document: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """The described job if it may stand in, else why not."""
        name = document["job_name"]
        described = self.index.describe(self.kind, name)
        if described is None:
            return None, f"{name} did the same work, but no longer exists"
        if self.kind.end(described) is not End.COMPLETED:
            return None, f"{name} was asked for the same work, but is {self.kind.status(described)}"
        if document.get("job_arn", described[self.kind.arn_field]) != described[self.kind.arn_field]:
            return None, f"{name} is another job of that name, elsewhere"
        recorded: Mapping[str, Objects] | None = document["outputs"]
        if recorded is None:
            return self._recorded_late(location, document, described)
        if not recorded:
            return None, f"{name} did the same work, but wrote nothing that could be reused"
        for uri, wanted in recorded.items():
            if difference := _difference(self.index.objects(uri), wanted):
                return None, f"{name} did the same work, but of its output {uri} {difference}"
        return described, ""

    def _recorded_late(
        self, location: str, document: Mapping[str, Any], described: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, str]:
        """A job whose task ended without a worker: nobody noted what it wrote."""
        name = document["job_name"]
        if self.kind.operation not in ARTEFACT_FIELDS:
            return None, f"{name} did the same work, but nobody noted what it wrote"
        field_name, end_field = ARTEFACT_FIELDS[self.kind.operation]
        uri = results_of(self.kind, described)[field_name]
        ended: datetime | None = described.get(end_field)
        if ended is None or self.index.changed_after(uri, ended):
            return None, f"{name} did the same work, but its output {uri} is gone or was written since"
        arn = described[self.kind.arn_field]
        self.index.write(location, {**document, "job_arn": arn, "outputs": self._outputs(described)})
        return described, ""

    def _outputs(self, described: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        return {uri: dict(self.index.objects(uri)) for uri in output_uris(self.kind, described)}

    def _changed(self, parts: Parts) -> list[str]:
        """What differs from the task's last completed job, as far as the index remembers."""
        for location in self._made():
            document = self.index.read(location)
            if document is None:
                continue
            described = self.index.describe(self.kind, document["job_name"])
            if described is not None and self.kind.end(described) is End.COMPLETED:
                return [f"since {document['job_name']}", *changes(parts, document["parts"])]
        return []

    def _history(self, newest: str) -> list[str]:
        others = [location for location in self._made() if location != newest]
        return [newest, *others][:MAX_REMEMBERED]

    def _made(self) -> list[str]:
        return list((self.index.read(self._history_location) or {}).get("made", []))

    @property
    def _history_location(self) -> str:
        task = self.identity
        mapped = "" if task.map_index == UNMAPPED else f"-{task.map_index}"
        return f"{cache_root(task.dag_id)}/tasks/{task.dag_id}/{task.task_id}{mapped}.json"

    def _folder(self, parts: Parts) -> str:
        return f"{cache_root(self.identity.dag_id)}/{self.kind.operation}/{key_of(parts)}"


def output_uris(kind: JobKind, described: Mapping[str, Any]) -> list[str]:
    """Everything that a completed job wrote, as its results name it."""
    results = kind.results(described)
    named = results.get("outputs", {})
    return [
        *named.values(),
        *(results[name] for name in ("model_uri", "compiled_uri", "output") if name in results),
    ]


def _difference(now: Objects, before: Objects) -> str:
    if not before:
        return "is nothing known"
    if gone := sorted(set(before) - set(now)):
        return f"{gone[0]} is gone"
    other = sorted(key for key in now if now[key] != before.get(key))
    return f"{other[0]} is not what it wrote" if other else ""
