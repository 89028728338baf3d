"""Model package groups and versions."""

from __future__ import annotations

import time
from typing import Any

from airflow_sagemaker.claim import Claim, Log
from airflow_sagemaker.errors import JobFailedError, JobTimedOutError, RequestRejectedError
from airflow_sagemaker.hooks.faults import if_found, translated
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.hooks.versions import VersionApi
from airflow_sagemaker.kinds import MODEL_VERSION
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.model import ModelPackage
from airflow_sagemaker.submission import NameTakenError, Submission
from airflow_sagemaker.task_record import Start, StateStore, TaskRecord

STATE_KEY = "sagemaker_model_version"
ONLY_START = Start(max_tries=0)
"""A version is what it holds: a cleared task finds the one it made."""
VERSION_WAIT_S = 300.0
VERSION_POLL_S = 1.0


class RegistryHook:
    """Register a version once, set its approval, and find the approved one."""

    def __init__(self, sagemaker: SageMakerHook) -> None:
        self.sagemaker = sagemaker

    @property
    def _client(self) -> Any:
        return self.sagemaker.client("sagemaker")

    def register(self, spec: ModelPackage, identity: TaskIdentity, store: StateStore, log: Log) -> JsonObject:
        """The ARN and number of the version, whether made now or by an earlier try."""
        self._ensure_group(spec)
        versions = VersionApi(self.sagemaker, spec.group)
        submitted = Submission(
            api=versions,
            kind=MODEL_VERSION,
            identity=identity,
            start=ONLY_START,
            record=TaskRecord(store, STATE_KEY),
            claim=Claim(versions, MODEL_VERSION, identity.digest, log),
            announce=lambda _: None,
            log=log,
        ).submit(spec.to_request(self.sagemaker), {})
        arn = versions.arn(submitted.name)
        described = self._wait(arn)
        return {"model_package_arn": arn, "version": described["ModelPackageVersion"]}

    def set_approval(self, arn: str, status: str, note: str) -> None:
        """Say whether a version may be used, and why."""
        request: JsonObject = {"ModelPackageArn": arn, "ModelApprovalStatus": status}
        if note:
            request["ApprovalDescription"] = note
        with translated(f"Model package {arn}"):
            self._client.update_model_package(**request)

    def approved(self, group: str, arn: str) -> str:
        """The ARN of a version of the group, which has to be approved."""
        thing = f"Model package {arn}"
        with translated(thing):
            described: JsonObject = self._client.describe_model_package(ModelPackageName=arn)
        if described.get("ModelPackageGroupName") != group:
            raise RequestRejectedError(
                thing,
                f"it belongs to {described.get('ModelPackageGroupName', 'no group')}, not to {group}",
                "Give a version of this pipeline's group",
            )
        if described["ModelApprovalStatus"] != "Approved":
            raise RequestRejectedError(
                thing,
                f"it is {described['ModelApprovalStatus']}",
                "Approve it first, or give an approved version",
            )
        return str(described["ModelPackageArn"])

    def newest_approved(self, group: str) -> str:
        """The ARN of the group's newest approved version."""
        thing = f"Model package group {group!r}"
        with translated(thing):
            found = self._client.list_model_packages(
                ModelPackageGroupName=group,
                ModelApprovalStatus="Approved",
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=1,
            )["ModelPackageSummaryList"]
        if not found:
            raise RequestRejectedError(
                thing,
                "it has no approved version",
                "Run the pipeline's model_build DAG, or approve a version",
            )
        return str(found[0]["ModelPackageArn"])

    def _ensure_group(self, spec: ModelPackage) -> None:
        describe = self._client.describe_model_package_group
        if if_found(f"Model package group {spec.group!r}", describe, ModelPackageGroupName=spec.group):
            return
        request: JsonObject = {"ModelPackageGroupName": spec.group}
        if spec.group_description:
            request["ModelPackageGroupDescription"] = spec.group_description
        try:
            JobHook(self.sagemaker).create_resource("ModelPackageGroup", "ModelPackageGroupName", request)
        except NameTakenError:
            return  # another task made it meanwhile

    def _wait(self, arn: str) -> JsonObject:
        """A version is there at once, unless AWS validates it; that takes seconds, so no deferring."""
        thing, until = f"Model package {arn}", time.monotonic() + VERSION_WAIT_S
        while True:
            with translated(thing):
                described: JsonObject = self._client.describe_model_package(ModelPackageName=arn)
            status = described["ModelPackageStatus"]
            if status == "Completed":
                return described
            if status == "Failed":
                details = described.get("ModelPackageStatusDetails", {}).get("ValidationStatuses", [])
                reasons = (
                    "; ".join(str(item.get("FailureReason")) for item in details) or "AWS gives no reason"
                )
                raise JobFailedError(
                    thing, f"it failed: {reasons}", "Correct the model or its image, then clear the task"
                )
            if time.monotonic() > until:
                raise JobTimedOutError(
                    thing,
                    f"it is still {status} after {VERSION_WAIT_S:.0f} s",
                    "Look at it in the registry; clear the task to find this version again",
                )
            time.sleep(VERSION_POLL_S)
