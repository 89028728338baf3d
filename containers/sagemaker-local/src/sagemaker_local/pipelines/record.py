"""The durable record of a pipeline execution: its parameters, and how far each step is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.names import now
from sagemaker_local.pipelines.definition import Definition, read_definition
from sagemaker_local.services import Services
from sagemaker_local.store import Record

PIPELINE, VERSION, EXECUTION = "pipeline", "pipeline_version", "pipeline_execution"

ALIVE = frozenset({"Executing", "Stopping"})
STEPS_ALIVE = frozenset({"Starting", "Executing", "Stopping"})
FAILURE_REASON_CHARACTERS = 1024
FAILED = "Step failure: One or multiple steps failed."


class ExecutionRecord:
    """Reads and changes one execution; every change is one transaction.

    Args:
        services: The server's parts.
        id: The execution's id, the last part of its ARN.
    """

    def __init__(self, services: Services, id: str) -> None:
        self.services = services
        self.id = id
        private = self.read().private
        version = services.store.get(VERSION, version_name(private["pipeline"], private["version"]))
        self.definition: Definition = read_definition(version.document["PipelineDefinition"])

    def read(self) -> Record:
        """The record as it is now."""
        return self.services.store.get(EXECUTION, self.id)

    @property
    def status(self) -> str:
        """``PipelineExecutionStatus`` as it is now."""
        return str(self.read().document["PipelineExecutionStatus"])

    @property
    def states(self) -> dict[str, dict[str, Any]]:
        """Each step that was started: what ListPipelineExecutionSteps answers, and ``private``."""
        states: dict[str, dict[str, Any]] = self.read().private["steps"]
        return states

    def statuses(self) -> dict[str, str]:
        """The status of each step that was started."""
        return {name: state["StepStatus"] for name, state in self.states.items()}

    def outcomes(self) -> dict[str, str]:
        """The outcome of each Condition step that was evaluated."""
        return {
            name: state["Metadata"]["Condition"]["Outcome"]
            for name, state in self.states.items()
            if "Condition" in state.get("Metadata", {})
        }

    def begin_step(self, name: str) -> None:
        """A step starts."""
        step = self.definition.steps[name]
        state: dict[str, Any] = {
            "StepName": name,
            "StartTime": now(),
            "StepStatus": "Starting",
            "AttemptCount": 1,
            "private": {},
        }
        for field, member in (("DisplayName", "StepDisplayName"), ("Description", "StepDescription")):
            if step.given.get(field):
                state[member] = step.given[field]
        self._change(lambda record: record.private["steps"].update({name: state}))

    def set_step(self, name: str, private: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Write fields of a step; None removes one."""

        def change(record: Record) -> None:
            state = record.private["steps"][name]
            state["private"].update(private or {})
            state.update(fields)
            for field in [field for field, value in fields.items() if value is None]:
                del state[field]

        self._change(change)

    def end_step(
        self,
        name: str,
        status: str,
        reason: str | None = None,
        private: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """A step is over: with its output, in one transaction."""
        more = {} if reason is None else {"FailureReason": reason[:FAILURE_REASON_CHARACTERS]}
        self.set_step(name, private, StepStatus=status, EndTime=now(), **more, **fields)

    def stop(self) -> None:
        """Somebody asked to stop it."""
        self._change(lambda record: record.document.update(PipelineExecutionStatus="Stopping"))

    def end(self) -> None:
        """It is over; how follows from its steps."""
        statuses = set(self.statuses().values())

        def change(record: Record) -> None:
            document = record.document
            if document["PipelineExecutionStatus"] == "Stopping":
                document["PipelineExecutionStatus"] = "Stopped"
            elif statuses <= {"Succeeded"}:
                document["PipelineExecutionStatus"] = "Succeeded"
            else:
                document["PipelineExecutionStatus"] = "Failed"
                document["FailureReason"] = FAILED

        self._change(change)

    def fail(self, reason: str) -> None:
        """It cannot go on, by no step's fault."""
        self._change(
            lambda record: record.document.update(
                PipelineExecutionStatus="Failed", FailureReason=reason[:FAILURE_REASON_CHARACTERS]
            )
        )

    def _change(self, change: Callable[[Record], None]) -> None:
        def stamped(record: Record) -> None:
            change(record)
            record.document["LastModifiedTime"] = now()

        self.services.store.update(EXECUTION, self.id, stamped)


def version_name(pipeline: str, version: int) -> str:
    """The name of a version's record."""
    return f"{pipeline}/{version}"
