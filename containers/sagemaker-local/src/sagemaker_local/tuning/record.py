"""The durable record of a tuning job: its plan, its training jobs, what they found."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_local import limits
from sagemaker_local.names import arn, now
from sagemaker_local.services import Services
from sagemaker_local.store import NotFound, Record
from sagemaker_local.tuning.objective import (
    best,
    is_retryable,
    not_improving,
    objective_counters,
    status_counters,
)
from sagemaker_local.tuning.search import Search, read_search

KIND = "hyper_parameter_tuning_job"
ALIVE = frozenset({"InProgress", "Stopping"})
RETRIES = 5
"""How often one training job is begun again: a fault that stays must not go on for ever."""

SUMMARY_FIELDS = (
    "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
    "TrainingJobStatus", "FailureReason",
)  # fmt: skip


@dataclass(slots=True)
class Child:
    """A training job of a tuning job, planned before it is created."""

    name: str
    number: int
    space: int
    values: dict[str, str]
    summary: dict[str, Any] | None = None
    """How it ended; its own record may be deleted."""


class TuningRecord:
    """Reads and changes one tuning job; every change is one transaction.

    Args:
        services: The server's parts.
        name: The tuning job's name.
    """

    def __init__(self, services: Services, name: str) -> None:
        self.services = services
        self.name = name

    def read(self) -> Record:
        """The record as it is now."""
        return self.services.store.get(KIND, self.name)

    @property
    def status(self) -> str:
        """The status as it is now."""
        return str(self.read().document["HyperParameterTuningJobStatus"])

    @property
    def search(self) -> Search:
        """The plan."""
        record = self.read()
        return read_search(record.private["request"], record.private["seed"])

    @property
    def children(self) -> list[Child]:
        """Its training jobs, in the order of their numbers; those planned last may not exist yet."""
        return [Child(**each) for each in self.read().private["children"]]

    def plan(self, number: int, space: int, values: dict[str, str]) -> Child:
        """Note a training job that is about to be created, so that a restart creates it under this name."""
        children = self.read().private["children"]
        name = f"{self.name}-{len(children) + 1:03d}-{secrets.token_hex(4)}"
        child = Child(name, number, space, values)
        self._change(lambda record: record.private["children"].append(_plain(child)))
        return child

    def forget(self, child: Child) -> None:
        """Take back the plan of a training job that is not to be created any more."""

        def change(record: Record) -> None:
            children = record.private["children"]
            record.private["children"] = [each for each in children if each["name"] != child.name]

        self._change(change)

    def end_child(self, child: Child) -> None:
        """Note how a training job ended, and count it."""
        summary = summary_of(self.services, self.name, self.search, child)

        def change(record: Record) -> None:
            children = record.private["children"]
            (noted,) = (each for each in children if each["name"] == child.name)
            noted["summary"] = summary
            record.private["ended"] = [*record.private["ended"], child.name]

        self._change(change)
        self.count()

    def ended(self) -> list[dict[str, Any]]:
        """Summaries of the training jobs that are over, in the order of their ends."""
        private = self.read().private
        summaries = {each["name"]: each["summary"] for each in private["children"]}
        return [summaries[name] for name in private["ended"]]

    def summaries(self) -> list[dict[str, Any]]:
        """Summaries of all training jobs that were created, as they are now."""
        search = self.search
        found = (each.summary or summary_of(self.services, self.name, search, each) for each in self.children)
        return [each for each in found if each is not None]

    def retryable(self) -> list[int]:
        """Numbers of the training jobs that failed by the server's fault and are to be begun again."""
        tries: dict[int, list[Child]] = {}
        for child in self.children:
            tries.setdefault(child.number, []).append(child)
        return sorted(
            number
            for number, children in tries.items()
            if len(children) <= RETRIES
            and all(each.summary is not None and is_retryable(each.summary) for each in children)
        )

    def count(self) -> None:
        """Bring the counters and the best training job up to date."""
        summaries, ended = self.summaries(), self.ended()

        def change(record: Record) -> None:
            document = record.document
            document["TrainingJobStatusCounters"] = status_counters(summaries)
            document["ObjectiveStatusCounters"] = objective_counters(summaries)
            if (winner := best(ended)) is not None:
                document["BestTrainingJob"] = dict(winner)
            document["TuningJobCompletionDetails"] = {
                "NumberOfTrainingJobsObjectiveNotImproving": not_improving(ended)
            }

        self._change(change)

    def stop(self) -> None:
        """Somebody asked to stop it; it may be over by now."""

        def change(record: Record) -> None:
            if record.document["HyperParameterTuningJobStatus"] in ALIVE:
                record.document["HyperParameterTuningJobStatus"] = "Stopping"

        self._change(change)

    def conclude(self, status: str, reason: str | None = None) -> None:
        """Decide how it will end once its training jobs are over."""
        self._change(lambda record: record.private.update(conclusion=[status, reason]))

    @property
    def conclusion(self) -> tuple[str, str | None] | None:
        """How it will end, once that is decided."""
        given = self.read().private.get("conclusion")
        return None if given is None else (given[0], given[1])

    def end(self, status: str, reason: str | None) -> None:
        """It is over."""
        at = now()

        def change(record: Record) -> None:
            document = record.document
            document["HyperParameterTuningJobStatus"] = status
            document["HyperParameterTuningEndTime"] = at
            document["ConsumedResources"] = {"RuntimeInSeconds": round(at - document["CreationTime"])}
            if reason is not None:
                document["FailureReason"] = reason[: limits.FAILURE_REASON_CHARACTERS]

        self._change(change)

    def _change(self, change: Any) -> None:
        def stamped(record: Record) -> None:
            change(record)
            record.document["LastModifiedTime"] = now()

        self.services.store.update(KIND, self.name, stamped)


def summary_of(services: Services, tuning_job: str, search: Search, child: Child) -> dict[str, Any] | None:
    """A training job as ListTrainingJobsForHyperParameterTuningJob tells it; None when it does not exist."""
    try:
        document: Mapping[str, Any] = services.store.get("training_job", child.name).document
    except NotFound:
        if child.summary is not None:
            return child.summary
        return None
    space = search.spaces[child.space]
    summary = {field: document[field] for field in SUMMARY_FIELDS if field in document}
    summary["TunedHyperParameters"] = dict(child.values)
    if name := space.definition.get("DefinitionName"):
        summary |= {"TrainingJobDefinitionName": name, "TuningJobName": tuning_job}
    metric = space.objective.final(document)
    over = document["TrainingJobStatus"] not in ALIVE
    if over and metric is not None and document["TrainingJobStatus"] != "Failed":
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = metric
        summary["ObjectiveStatus"] = "Succeeded"
    else:
        summary["ObjectiveStatus"] = "Failed" if over else "Pending"
    return summary


def lost(services: Services, child: Child) -> dict[str, Any]:
    """The summary of a training job that somebody deleted before it could be counted."""
    at = now()
    return {
        "TrainingJobName": child.name,
        "TrainingJobArn": arn(services.settings, "training_job", child.name),
        "CreationTime": at,
        "TrainingJobStatus": "Failed",
        "FailureReason": "ClientError: the training job was deleted",
        "TunedHyperParameters": child.values,
        "ObjectiveStatus": "Failed",
    }


def _plain(child: Child) -> dict[str, Any]:
    return {field: getattr(child, field) for field in Child.__slots__}
