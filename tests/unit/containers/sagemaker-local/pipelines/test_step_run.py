"""A step whose server is killed in the worst moments creates what it creates once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sagemaker_local.errors import ResourceInUse
from sagemaker_local.pipelines import step_run
from sagemaker_local.pipelines.record import EXECUTION, PIPELINE, VERSION, ExecutionRecord
from sagemaker_local.pipelines.step_run import StepRun
from sagemaker_local.store import NotFound, Record, Store

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"
STEP = {"Name": "Train", "Type": "Training", "Arguments": {"RoleArn": "role"}}


class Killed(BaseException):
    """Nothing of the step's code runs after it."""


class Server:
    """A store that outlives its servers, and jobs that complete at once.

    Attributes:
        created: Names of the training jobs that were created.
        dies: When the next server is killed: ``before`` or ``after`` it created the job, or never.
    """

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory / "store.sqlite")
        self.jobs = SimpleNamespace(ended=self.ended, stop=lambda kind, name: None)
        self.created: list[str] = []
        self.dies = ""
        definition = json.dumps({"Version": "2020-12-01", "Steps": [STEP]})
        self.store.insert(Record(PIPELINE, "p", ARN, {}))
        self.store.insert(Record(VERSION, "p/1", f"{ARN}/version/1", {"PipelineDefinition": definition}))
        document = {"PipelineArn": ARN, "PipelineExecutionStatus": "Executing", "CreationTime": 0.0}
        private = {"pipeline": "p", "version": 1, "parameters": {}, "steps": {}}
        self.store.insert(Record(EXECUTION, "e", f"{ARN}/execution/e", document, private))

    async def ended(self, kind: str, name: str) -> None:
        """Jobs are over as soon as they exist."""

    async def call(self, _: Any, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """CreateTrainingJob and DescribeTrainingJob."""
        name = request["TrainingJobName"]
        if operation == "DescribeTrainingJob":
            return self.store.get("training_job", name).document
        self.die("before")
        try:
            self.store.get("training_job", name)
        except NotFound:
            self.store.insert(Record("training_job", name, f"job/{name}", {"TrainingJobStatus": "Completed"}))
        else:
            raise ResourceInUse(name)
        self.created.append(name)
        self.die("after")
        return {"TrainingJobArn": f"job/{name}"}

    def die(self, moment: str) -> None:
        """Be killed, if this is the moment."""
        if self.dies == moment:
            self.dies = ""
            raise Killed

    def run(self) -> dict[str, Any]:
        """Let a new server take the step up; its state afterwards."""
        record = ExecutionRecord(self, "e")  # type: ignore[arg-type]
        if "Train" not in record.states:
            record.begin_step("Train")

        async def live() -> None:
            await StepRun(record, "Train", asyncio.Event()).run()

        asyncio.run(live())
        return record.states["Train"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(tmp_path)
    monkeypatch.setattr(step_run, "call", made.call)
    return made


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_around_the_creation_creates_one_job(server, moment):
    server.dies = moment
    with pytest.raises(Killed):
        server.run()
    state = server.run()
    assert (state["StepStatus"], state["AttemptCount"]) == ("Succeeded", 1), state
    assert state["Metadata"] == {"TrainingJob": {"Arn": f"job/{server.created[0]}"}}
    assert len(server.created) == 1


def test_a_name_that_is_taken_by_others_fails_the_step(server, monkeypatch):
    monkeypatch.setattr(step_run, "job_name", lambda *_: "taken")
    server.store.insert(Record("training_job", "taken", "job/other", {"TrainingJobStatus": "Completed"}))
    state = server.run()
    assert state["StepStatus"] == "Failed"
    assert state["FailureReason"] == "ResourceInUse: taken"
