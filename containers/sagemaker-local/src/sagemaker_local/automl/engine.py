"""Runs AutoML jobs: candidates side by side, the best one kept, across restarts of the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from sagemaker_local import limits
from sagemaker_local.automl import requests
from sagemaker_local.automl.problem import METRICS, ProblemError, problem_type
from sagemaker_local.calls import call
from sagemaker_local.errors import AwsError, ResourceInUse, ValidationException
from sagemaker_local.names import now
from sagemaker_local.record_tasks import RecordTasks
from sagemaker_local.store import NotFound, Record

if TYPE_CHECKING:
    from sagemaker_local.services import Services

logger = logging.getLogger(__name__)

KIND = "auto_ml_job"
TRAINING = "training_job"
SIDE_BY_SIDE = 2
ALIVE = frozenset({"InProgress", "Stopping"})
OVER = ("Completed", "Failed", "Stopped")


class AutoMLEngine(RecordTasks):
    """Every AutoML job that is not over has a task here.

    Args:
        services: The server's parts; training jobs and endpoints are made through them as a client would.
    """

    kind, status_field, alive = KIND, "AutoMLJobStatus", ALIVE

    def __init__(self, services: Services) -> None:
        super().__init__(services.store)
        self.services = services

    def stop(self, name: str) -> None:
        """Have a job stop, and the training jobs that it started."""
        self._set(name, AutoMLJobStatus="Stopping", AutoMLJobSecondaryStatus="Stopping")
        self._call_to_stop(name)

    async def _live(self, name: str, stopping: asyncio.Event) -> None:
        try:
            await self._search(name, stopping)
        except (ProblemError, AwsError) as error:
            reason = error.message if isinstance(error, AwsError) else str(error)
            self._end(name, "Failed", "Failed", reason)
        except Exception as error:  # a defect of ours: it ends as failed and says so
            logger.exception("AutoML job '%s' failed in the local SageMaker", name)
            reason = f"InternalServerError: the local SageMaker failed: {error!r}; see its log"
            self._end(name, "Failed", "Failed", reason)

    async def _search(self, name: str, stopping: asyncio.Event) -> None:
        services, job = self.services, self._read(name)
        self._set(name, AutoMLJobSecondaryStatus="AnalyzingData")
        problem: str = job.get("ProblemType", "")
        if not problem:
            channel = job["InputDataConfig"][0]
            problem = await asyncio.to_thread(problem_type, services.objects, channel)
        metric: str = job.get("AutoMLJobObjective", {}).get("MetricName") or next(iter(METRICS[problem]))
        if metric not in METRICS[problem]:
            known = ", ".join(METRICS[problem])
            raise ProblemError(f"ClientError: {metric} is no metric of {problem}; choose one of {known}")
        criteria = job.get("AutoMLJobConfig", {}).get("CompletionCriteria", {})
        self._set(
            name,
            AutoMLJobSecondaryStatus="TrainingModels",
            ResolvedAttributes={
                "AutoMLJobObjective": {"MetricName": metric},
                "ProblemType": problem,
                "CompletionCriteria": criteria,
            },
        )
        bucket, _, key = requests.source_uri(job).removeprefix("s3://").partition("/")
        await asyncio.to_thread(services.objects.put, bucket, key, requests.source_archive())
        secondary = "Completed"
        try:
            async with asyncio.timeout(criteria.get("MaxAutoMLJobRuntimeInSeconds")):
                await self._train(name, stopping, job, problem, metric, criteria.get("MaxCandidates"))
        except TimeoutError:
            secondary = "MaxAutoMLJobRuntimeReached"
        await self._stop_children(name)
        if stopping.is_set():
            self._end(name, "Stopped", "Stopped")
            return
        best = self.best(name)
        if best is None:
            raise ProblemError(
                "AlgorithmError: no candidate could be trained; see the logs of the training jobs that "
                f"ListCandidatesForAutoMLJob names: {self._reasons(name)}"
            )
        await self._deploy(name, job, best)
        self._end(name, "Completed", secondary)

    async def _train(
        self,
        name: str,
        stopping: asyncio.Event,
        job: dict[str, Any],
        problem: str,
        metric: str,
        most: int | None,
    ) -> None:
        """All candidates to their ends, unless the job is stopped or cancelled."""
        waiting = list(requests.ALGORITHMS[:most])
        stopped = asyncio.create_task(stopping.wait())
        running: set[asyncio.Task[None]] = set()
        try:
            while (waiting or running) and not stopped.done():
                while waiting and len(running) < SIDE_BY_SIDE:
                    request = requests.training_job(job, waiting.pop(0), problem, metric)
                    with contextlib.suppress(ResourceInUse):  # made before the server was killed
                        await call(self.services, "CreateTrainingJob", request)
                    child = request["TrainingJobName"]
                    self._note(name, child)
                    running.add(asyncio.create_task(self.services.jobs.ended(TRAINING, child)))
                done, _ = await asyncio.wait({*running, stopped}, return_when=asyncio.FIRST_COMPLETED)
                running -= done
        finally:
            stopped.cancel()
            for task in running:
                task.cancel()

    async def _stop_children(self, name: str) -> None:
        for child in self._children(name):
            self.services.jobs.stop(TRAINING, child.name)
            await self.services.jobs.ended(TRAINING, child.name)

    async def _deploy(self, name: str, job: dict[str, Any], best: dict[str, Any]) -> None:
        wanted = job.get("ModelDeployConfig", {})
        endpoint = wanted.get("EndpointName") or (
            f"{name}-endpoint" if wanted.get("AutoGenerateEndpointName") else None
        )
        if endpoint is None:
            return
        self._set(name, AutoMLJobSecondaryStatus="DeployingModel")
        for operation, request in requests.hosting(job, endpoint, best["InferenceContainers"][0]).items():
            with contextlib.suppress(ResourceInUse):
                try:
                    await call(self.services, operation, request)
                except ValidationException as error:
                    if "already exist" not in error.message:
                        raise
        self._set(name, ModelDeployResult={"EndpointName": endpoint})

    def candidates(self, name: str) -> list[dict[str, Any]]:
        """The job's candidates as ListCandidatesForAutoMLJob tells of them, first come first."""
        resolved = self._read(name).get("ResolvedAttributes", {})
        metric = resolved.get("AutoMLJobObjective", {}).get("MetricName", "")
        direction = METRICS.get(resolved.get("ProblemType", ""), {}).get(metric, "Maximize")
        return [_candidate(child, metric, direction) for child in self._children(name)]

    def best(self, name: str) -> dict[str, Any] | None:
        """The best of the candidates that are complete, if any is."""
        found = [each for each in self.candidates(name) if "FinalAutoMLJobObjectiveMetric" in each]
        if not found:
            return None
        metrics = [each["FinalAutoMLJobObjectiveMetric"] for each in found]
        sign = 1 if metrics[0]["Type"] == "Maximize" else -1
        return max(found, key=lambda each: sign * each["FinalAutoMLJobObjectiveMetric"]["Value"])

    def _children(self, name: str) -> list[Record]:
        found = []
        for child in self.services.store.get(KIND, name).private.get("children", []):
            with contextlib.suppress(NotFound):
                found.append(self.services.store.get(TRAINING, child))
        return found

    def _reasons(self, name: str) -> str:
        reasons = {child.document.get("FailureReason", "") for child in self._children(name)}
        return "; ".join(sorted(reasons))[: limits.FAILURE_REASON_CHARACTERS // 2]

    def _note(self, name: str, child: str) -> None:
        def change(record: Record) -> None:
            children = record.private.setdefault("children", [])
            if child not in children:
                children.append(child)

        self.services.store.update(KIND, name, change)

    def _read(self, name: str) -> dict[str, Any]:
        return self.services.store.get(KIND, name).document

    def _set(self, name: str, **fields: Any) -> None:
        def change(record: Record) -> None:
            stopping = record.document["AutoMLJobStatus"] == "Stopping"
            record.document.update(fields)
            if stopping and fields.get("AutoMLJobStatus") is None:
                record.document["AutoMLJobSecondaryStatus"] = "Stopping"
            record.document["LastModifiedTime"] = now()

        self.services.store.update(KIND, name, change)

    def _end(self, name: str, status: str, secondary: str, reason: str | None = None) -> None:
        fields: dict[str, Any] = {"EndTime": now()}
        if reason:
            fields["FailureReason"] = reason[: limits.FAILURE_REASON_CHARACTERS]
        if best := self.best(name):
            fields["BestCandidate"] = best
        self._set(name, AutoMLJobStatus=status, AutoMLJobSecondaryStatus=secondary, **fields)


def _candidate(child: Record, metric: str, direction: str) -> dict[str, Any]:
    document = child.document
    status = document["TrainingJobStatus"]
    candidate: dict[str, Any] = {
        "CandidateName": child.name,
        "CandidateStatus": status,
        "ObjectiveStatus": "Failed" if status in OVER else "Pending",
        "CandidateSteps": [
            {
                "CandidateStepType": "AWS::SageMaker::TrainingJob",
                "CandidateStepArn": child.arn,
                "CandidateStepName": child.name,
            }
        ],
        "CreationTime": document["CreationTime"],
        "LastModifiedTime": document["LastModifiedTime"],
    }
    if "TrainingEndTime" in document:
        candidate["EndTime"] = document["TrainingEndTime"]
    if reason := document.get("FailureReason"):
        candidate["FailureReason"] = reason
    values = {each["MetricName"]: each["Value"] for each in document.get("FinalMetricDataList", [])}
    value = values.get(f"validation:{metric}")
    if status == "Completed" and value is not None:
        candidate["ObjectiveStatus"] = "Succeeded"
        candidate["FinalAutoMLJobObjectiveMetric"] = {
            "Type": direction,
            "MetricName": metric,
            "Value": value,
            "StandardMetricName": metric,
        }
        model_uri = document["ModelArtifacts"]["S3ModelArtifacts"]
        candidate["InferenceContainers"] = [requests.inference_container(model_uri)]
    return candidate
