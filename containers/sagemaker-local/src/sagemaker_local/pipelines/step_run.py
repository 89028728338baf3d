"""One step of an execution, from where it is to its end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import string
import uuid
from typing import Any

from sagemaker_local.calls import call
from sagemaker_local.errors import AwsError
from sagemaker_local.jobs.kinds import KINDS as JOB_KINDS
from sagemaker_local.names import now
from sagemaker_local.pipelines.caching import cache_key
from sagemaker_local.pipelines.conditions import all_hold
from sagemaker_local.pipelines.expressions import ExpressionError, evaluate, text
from sagemaker_local.pipelines.past import find_result
from sagemaker_local.pipelines.record import ExecutionRecord
from sagemaker_local.pipelines.requests import shaped
from sagemaker_local.pipelines.retries import exception_type, failure_type, pause_s
from sagemaker_local.pipelines.scope import ExecutionScope
from sagemaker_local.pipelines.step_kinds import CONDITION, FAIL, KINDS, SUFFIX_CHARACTERS, job_name
from sagemaker_local.protocol import service_model
from sagemaker_local.store import NotFound, Record
from sagemaker_local.tuning.record import KIND as TUNING

POLL_S = 0.2
TOP_TRAINING_JOBS = 50
"""Training jobs of a Tuning step that its properties have, best first."""

EXACT_NAMES = frozenset({"Endpoint", "EndpointConfig"})
"""Kinds whose definition names what is created; the names of the others are prefixes."""

REFUSALS = (AwsError, ExpressionError)


class StepFailed(Exception):
    """An attempt failed.

    Attributes:
        kind: What a retry policy calls it, if anything.
        status: How the step ends unless it is tried again.
    """

    def __init__(self, reason: str, kind: str | None = None, status: str = "Failed") -> None:
        super().__init__(reason)
        self.kind = kind
        self.status = status


class StepRun:
    """Runs a step that the record says has started.

    Args:
        record: The execution.
        name: The step.
        stopping: Set when the execution is to stop.
    """

    def __init__(self, record: ExecutionRecord, name: str, stopping: asyncio.Event) -> None:
        self.services = record.services
        self.record = record
        self.step = record.definition.steps[name]
        self.stopping = stopping

    async def run(self) -> None:
        """Bring the step to its end, whatever that is."""
        try:
            if self.step.type == CONDITION:
                await self._decide()
            elif self.step.type == FAIL:
                await self._fail()
            else:
                await self._create()
        except StepFailed as failure:
            was_asked = failure.status == "Stopped" and self.stopping.is_set()
            self._end(failure.status, None if was_asked else str(failure))
        except REFUSALS as error:
            self._end("Failed", f"ClientError: {error}")

    async def _decide(self) -> None:
        scope = ExecutionScope(self.record)
        holds = await asyncio.to_thread(all_hold, self.step.arguments["Conditions"], scope)
        outcome = str(holds)
        self._end(
            "Succeeded",
            private={"output": {"Outcome": outcome}},
            Metadata={"Condition": {"Outcome": outcome}},
        )

    async def _fail(self) -> None:
        message = await asyncio.to_thread(
            evaluate, self.step.arguments.get("ErrorMessage", ""), ExecutionScope(self.record)
        )
        self._end("Failed", text(message), Metadata={"Fail": {"ErrorMessage": text(message)}})

    async def _create(self) -> None:
        """Create what the step creates and see it through; try again as the retry policies say."""
        while True:
            attempt = self._state()["private"].get("attempt")
            if attempt is None:
                if self.stopping.is_set():
                    raise StepFailed("The execution was stopped", status="Stopped")
                attempt = await self._plan()
                if attempt is None:
                    return  # an earlier result stands for it
            try:
                await self._attempt(attempt)
                return
            except StepFailed as failure:
                await self._pause(failure)

    async def _pause(self, failure: StepFailed) -> None:
        state = self._state()
        attempts = state["AttemptCount"]
        elapsed_s = now() - state["StartTime"]
        pause = pause_s(self.step.retry_policies, failure.kind, attempts, elapsed_s)
        if pause is None or self.stopping.is_set():
            raise failure
        self.record.set_step(self.step.name, {"attempt": None}, AttemptCount=attempts + 1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):  # wait_for of 3.11 can lose a cancellation
                await self.stopping.wait()

    async def _plan(self) -> dict[str, Any] | None:
        """Note what is about to be created, and under which name, so that a restart creates it once."""
        kind = KINDS[self.step.type]
        suffix = "".join(
            secrets.choice(string.ascii_letters + string.digits) for _ in range(SUFFIX_CHARACTERS)
        )
        given = self.step.arguments.get(kind.name_field)
        scope = ExecutionScope(self.record)
        if given is not None:
            given = await asyncio.to_thread(evaluate, given, scope)
        name = job_name(self.step.type, self.record.id, self.step.name, suffix, given)
        if self.step.type in EXACT_NAMES and given is not None:
            name = given
        elif not kind.name_field:
            name = str(uuid.uuid4())
        scope.job_name = name
        arguments = await asyncio.to_thread(evaluate, dict(self.step.arguments), scope)
        arguments.pop(kind.name_field, None)
        shape = service_model("sagemaker").operation_model(kind.operation).input_shape
        assert shape is not None
        request = shaped(shape, arguments)
        key = cache_key(self.step.name, self.step.type, request)
        if self._reuse(key):
            return None
        attempt = {"name": name, "request": request, "is_new": True}
        self.record.set_step(self.step.name, {"attempt": attempt, "cache_key": key}, StepStatus="Executing")
        return attempt

    def _reuse(self, key: str) -> bool:
        """Take an earlier execution's result, when the step's CacheConfig allows one and there is one."""
        age_s = self.step.cache_s if KINDS[self.step.type].is_cacheable else None
        if age_s is None:
            return False
        found = find_result(self.record, self.step.name, key, age_s)
        if found is None:
            return False
        source, state = found
        self._end(
            "Succeeded",
            private={"output": state["private"]["output"]},
            Metadata=state["Metadata"],
            CacheHitResult={"SourcePipelineExecutionArn": source},
        )
        return True

    async def _attempt(self, attempt: dict[str, Any]) -> None:
        """Create it, unless an earlier server did, and wait for its end.

        Raises:
            StepFailed: it did not succeed.
        """
        kind = KINDS[self.step.type]
        found = self._find(attempt["name"]) if kind.name_field else None
        if found is None or attempt.pop("is_new", False):
            arn = await self._call_create(attempt)
        else:
            arn = found.arn
        self.record.set_step(
            self.step.name,
            {"attempt": attempt},
            StepStatus="Executing",
            Metadata={kind.metadata: {"Arn": arn}},
        )
        name = attempt["name"] if kind.name_field else arn
        if kind.status_field:
            await self._ended(name)
        described = await call(
            self.services,
            kind.operation.replace("Create", "Describe", 1),
            {kind.name_field or "ModelPackageName": name},
        )
        if kind.record_kind == TUNING:
            from sagemaker_local.api.hyper_parameter_tuning_job import best_first

            described["TrainingJobSummaries"] = best_first(self.services, name)[:TOP_TRAINING_JOBS]
        self._end("Succeeded", private={"output": described})

    async def _call_create(self, attempt: dict[str, Any]) -> str:
        kind = KINDS[self.step.type]
        request = dict(attempt["request"])
        if kind.name_field:
            request[kind.name_field] = attempt["name"]
            given = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
            request["Tags"] = [{"Key": key, "Value": each} for key, each in (self._tags() | given).items()]
        else:
            request["ClientToken"] = attempt["name"]
            await self._need_group(request)
        # From here on a restart looks for what was created, rather than being told that its name is taken.
        self.record.set_step(self.step.name, {"attempt": attempt | {"is_new": False}})
        try:
            answer = await call(self.services, kind.operation, request)
        except AwsError as error:
            raise StepFailed(f"{error.code}: {error.message}", exception_type(error)) from error
        attempt["is_new"] = False
        return str(next(value for field, value in answer.items() if field.endswith("Arn")))

    async def _need_group(self, request: dict[str, Any]) -> None:
        """Make the model package group if it is missing, as AWS does for RegisterModel."""
        group = request.get("ModelPackageGroupName")
        if group is None:
            return
        try:
            await call(self.services, "DescribeModelPackageGroup", {"ModelPackageGroupName": group})
        except AwsError:
            await call(self.services, "CreateModelPackageGroup", {"ModelPackageGroupName": group})
        request.pop("Tags", None)

    async def _ended(self, name: str) -> None:
        """Wait for the end of what was created; stop it when the execution stops.

        Raises:
            StepFailed: it did not complete.
        """
        kind = KINDS[self.step.type]
        waiting = asyncio.create_task(self._wait(name))
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                self.record.set_step(self.step.name, StepStatus="Stopping")
                self._stop(name)
            document = await waiting
        except NotFound as error:
            raise StepFailed(f"ClientError: {kind.record_kind} '{name}' was deleted") from error
        finally:
            waiting.cancel()
            stopping.cancel()
        status = document[kind.status_field]
        if status in kind.stopped:
            reason = document.get("FailureReason", f"{kind.record_kind} '{name}' was stopped")
            raise StepFailed(f"ClientError: {reason}", status="Stopped")
        if status in kind.failed:
            reason = document.get("FailureReason", f"{kind.record_kind} '{name}' failed")
            raise StepFailed(reason, failure_type(reason))

    async def _wait(self, name: str) -> dict[str, Any]:
        kind = KINDS[self.step.type]
        over = {kind.completed, *kind.failed, *kind.stopped}
        while True:
            if kind.record_kind in JOB_KINDS:
                await self.services.jobs.ended(kind.record_kind, name)
            elif kind.record_kind == TUNING:
                await self.services.tuning.ended(name)
            document = self.services.store.get(kind.record_kind, name).document
            if document[kind.status_field] in over:
                return document
            await asyncio.sleep(POLL_S)

    def _stop(self, name: str) -> None:
        kind = KINDS[self.step.type]
        if kind.record_kind in JOB_KINDS:
            self.services.jobs.stop(kind.record_kind, name)
        elif kind.record_kind == TUNING:
            self.services.tuning.stop(name)

    def _find(self, name: str) -> Record | None:
        try:
            return self.services.store.get(KINDS[self.step.type].record_kind, name)
        except NotFound:
            return None

    def _tags(self) -> dict[str, str]:
        record = self.record.read()
        return {
            **self.services.store.tags(record.document["PipelineArn"]),
            "sagemaker:pipeline-execution-arn": record.arn,
            "sagemaker:pipeline-step-name": self.step.name,
        }

    def _state(self) -> dict[str, Any]:
        return self.record.states[self.step.name]

    def _end(self, status: str, reason: str | None = None, **fields: Any) -> None:
        self.record.end_step(self.step.name, status, reason, **fields)
