"""What was paid for, by the server's own lists: jobs and their tags, endpoints, model versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from demo.airflow_api import AirflowApiError
from demo.runs import RunRecord
from demo.stack import BUCKET
from tests.running_stack import House


@dataclass(frozen=True)
class Kind:
    """How a kind of job is listed in AWS's words."""

    title: str
    listed: str

    @property
    def summaries(self) -> str:
        return f"{self.title}Summaries"


JOBS: Mapping[str, Kind] = {
    "processing": Kind("ProcessingJob", "list_processing_jobs"),
    "training": Kind("TrainingJob", "list_training_jobs"),
    "spot": Kind("TrainingJob", "list_training_jobs"),
    "compilation": Kind("CompilationJob", "list_compilation_jobs"),
    "transform": Kind("TransformJob", "list_transform_jobs"),
    "tuning": Kind("HyperParameterTuningJob", "list_hyper_parameter_tuning_jobs"),
}
DESCRIBE = {
    "ProcessingJob": "describe_processing_job",
    "TrainingJob": "describe_training_job",
    "CompilationJob": "describe_compilation_job",
    "TransformJob": "describe_transform_job",
    "HyperParameterTuningJob": "describe_hyper_parameter_tuning_job",
}
OVER = ("COMPLETED", "FAILED", "STOPPED")
OUR_DOING = ("CapacityError", "InternalServerError")
"""How the reason of an attempt begins that the fault itself ended: the machine was not there, or was lost."""


@dataclass(frozen=True)
class Job:
    """A job as the server describes it."""

    kind: str
    name: str
    status: str
    reason: str

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def lost_to_the_fault(self) -> bool:
        return self.status == "FAILED" and self.reason.startswith(OUR_DOING)


def kind_of(run: RunRecord) -> str:
    """``fault_training`` → ``training``."""
    return run.dag_id.partition("_")[2]


class Books:
    """Everything that the server says was made for runs."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._tags: dict[str, dict[str, str]] = {}

    def jobs(self, run: RunRecord) -> list[Job]:
        """The jobs that carry the run's tag."""
        kind = kind_of(run)
        return [self._described(kind, item) for item in self._listed(kind, run)]

    def complaints(self, run: RunRecord) -> list[str]:
        """What is wrong with a run that is over; each line begins with the word that it is counted under."""
        kind = kind_of(run)
        found = [] if run.state == "success" else [f"unwell: {run.dag_id} {run.run_id} ended as {run.state}"]
        match kind:
            case "endpoint":
                return found + self._endpoint(run)
            case "registration":
                return found + self._versions(run)
        jobs = self.jobs(run)
        for job in jobs:
            if not job.over:
                found.append(f"orphan: {job}")
        kept = [job for job in jobs if not job.lost_to_the_fault]
        if len(kept) > 1:
            found.append(f"duplicate: {run.run_id}: {kept}")
        if run.state == "success":
            found += self._lost(run, kept)
        if kind == "tuning":
            found += self._children(jobs)
        return found

    def _lost(self, run: RunRecord, kept: list[Job]) -> list[str]:
        completed = [job.name for job in kept if job.status == "COMPLETED"]
        try:
            result = self._house.api.xcom(run.dag_id, run.run_id, "step")
        except AirflowApiError as error:
            return [f"lost: {run.dag_id} {run.run_id} has no result: {error}"]
        if result["job_name"] not in completed:
            return [f"lost: {run.dag_id} {run.run_id} names {result['job_name']}, completed are {completed}"]
        places = [result.get(key) for key in ("model_uri", "compiled_uri", "output")]
        places += list(result.get("outputs", {}).values())
        return [
            f"lost: {run.dag_id} {run.run_id}: nothing at {place}"
            for place in places
            if place and not self._house.objects(place.removeprefix(f"s3://{BUCKET}/"))
        ]

    def _children(self, jobs: list[Job]) -> list[str]:
        client = self._house.sagemaker
        return [
            f"orphan: training job {child['TrainingJobName']} of {job.name} is {child['TrainingJobStatus']}"
            for job in jobs
            for child in client.list_training_jobs_for_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=job.name
            )["TrainingJobSummaries"]
            if child["TrainingJobStatus"].upper() not in OVER
        ]

    def _endpoint(self, run: RunRecord) -> list[str]:
        if run.state != "success":
            return []
        try:
            result = self._house.api.xcom(run.dag_id, run.run_id, "step")
            described = self._house.sagemaker.describe_endpoint(EndpointName=result["endpoint_name"])
        except (ClientError, AirflowApiError) as error:
            return [f"lost: {run.dag_id} {run.run_id}: {error}"]
        if described["EndpointStatus"] != "InService":
            return [f"lost: {result['endpoint_name']} is {described['EndpointStatus']}"]
        if described["EndpointConfigName"] != result["endpoint_config_name"]:
            return [f"lost: {result['endpoint_name']} serves {described['EndpointConfigName']}"]
        return []

    def _versions(self, run: RunRecord) -> list[str]:
        made = [
            arn for arn, metadata in self._versions_made() if metadata.get("run") == run.run_id and run.run_id
        ]
        if len(made) > 1:
            return [f"duplicate: {run.run_id} registered {made}"]
        if not made and run.state == "success":
            return [f"lost: {run.run_id} registered nothing"]
        return []

    def _versions_made(self) -> Iterator[tuple[str, dict[str, str]]]:
        client = self._house.sagemaker
        pages = client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName="fault-registration"
        )
        for page in pages:
            for item in page["ModelPackageSummaryList"]:
                arn = item["ModelPackageArn"]
                if arn not in self._tags:
                    described = client.describe_model_package(ModelPackageName=arn)
                    self._tags[arn] = described.get("CustomerMetadataProperties", {})
                yield arn, self._tags[arn]

    def _listed(self, kind: str, run: RunRecord) -> Iterator[dict[str, Any]]:
        job = JOBS[kind]
        # All names of a task begin with its DAG's id, some are cut: 32 characters hold that much.
        pages = self._house.sagemaker.get_paginator(job.listed).paginate(
            NameContains=run.dag_id.replace("_", "-")
        )
        for page in pages:
            for item in page[job.summaries]:
                if self._tags_of(item[f"{job.title}Arn"]).get("airflow:run_id") == run.run_id:
                    yield item

    def _tags_of(self, arn: str) -> dict[str, str]:
        if arn not in self._tags:
            answer = self._house.sagemaker.list_tags(ResourceArn=arn, MaxResults=50)
            self._tags[arn] = {tag["Key"]: tag["Value"] for tag in answer["Tags"]}
        return self._tags[arn]

    def _described(self, kind: str, item: dict[str, Any]) -> Job:
        title = JOBS[kind].title
        name = item[f"{title}Name"]
        described = getattr(self._house.sagemaker, DESCRIBE[title])(**{f"{title}Name": name})
        return Job(
            kind=kind,
            name=name,
            status=str(described[f"{title}Status"]).upper(),
            reason=described.get("FailureReason") or "",
        )
