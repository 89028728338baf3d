"""What a task would ask of SageMaker, as the requests themselves, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_sagemaker.fingerprint import FINGERPRINT_TAG, fingerprint, ownership_tags, tag_list
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.names import TaskIdentity, content_name, job_name
from airflow_sagemaker.plan.rendering import unknown_in, with_stand_ins
from airflow_sagemaker.specs.base import JsonObject, Places, Spec
from airflow_sagemaker.specs.connection import ConnectionSettings
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.model import ModelPackage, PackagedModel
from airflow_sagemaker.specs.transform import TransformJob

KNOWN_IN_THE_RUN = "<fingerprint of the request>"


@dataclass(frozen=True)
class PlanPlaces:
    """Where short names lead, by settings alone; `hooks/sagemaker.py` does the same with a connection."""

    settings: ConnectionSettings
    region: str

    @property
    def role_arn(self) -> str:
        """The role that jobs run under."""
        return self.settings.role_arn

    def s3_uri(self, location: str) -> str:
        """The full URI of a location; what only a run knows stays as it is."""
        if location.startswith(("s3://", "<")):
            return location
        return f"s3://{self.settings.bucket}/{location.lstrip('/')}"

    def image_uri(self, image: str) -> str:
        """The full URI of an image."""
        if "/" in image:
            return image
        tagged = image if ":" in image else f"{image}:latest"
        return f"{self.settings.registry(self.region)}/{tagged}"


@dataclass(frozen=True)
class Request:
    """One call."""

    operation: str
    body: JsonObject


def requests_of(
    spec: Spec, kind: JobKind | None, identity: TaskIdentity, start: str, places: Places
) -> list[Request]:
    """The calls of a task that make something, the last one for its job where it has one."""
    if isinstance(spec, ModelPackage):
        return [Request("CreateModelPackage", spec.to_request(places))]
    if isinstance(spec, EndpointRollout):
        return _rollout(spec, places)
    if kind is None:
        raise TypeError(f"{type(spec).__name__} makes nothing")
    requests: list[Request] = []
    if isinstance(spec, TransformJob):
        model = PackagedModel(model_package_arn=spec.model_package_arn)
        requests.append(_by_content("Model", model.stem, model.to_request(places), {}))
        body = spec.to_request(places, str(requests[0].body["ModelName"]))
    else:
        body = spec.to_request(places)  # type: ignore[attr-defined]  # every job's spec has it; Spec does not
    operation = f"Create{kind.title}"
    work = KNOWN_IN_THE_RUN if unknown_in(body) else fingerprint(operation, body)
    asked_for = {each["Key"]: each["Value"] for each in body.get("Tags", ())}
    tags = {**dict(getattr(spec, "tags", {})), **asked_for, **ownership_tags(identity, work, start)}
    named = {kind.name_field: name_of(kind, identity), **body, "Tags": tag_list(tags)}
    return [*requests, Request(operation, named)]


def name_of(kind: JobKind, identity: TaskIdentity) -> str:
    """The name of the task's first job."""
    task = identity
    return job_name(task.dag_id, task.run_id, task.task_id, task.map_index, 0, kind.name_limit)


def _rollout(spec: EndpointRollout, places: Places) -> list[Request]:
    model = _by_content("Model", spec.to_model().stem, spec.to_model().to_request(places), {})
    config = _by_content(
        "EndpointConfig", spec.endpoint_name, spec.to_config_request(model.body["ModelName"]), spec.tags
    )
    endpoint = {
        "EndpointName": spec.endpoint_name,
        "EndpointConfigName": config.body["EndpointConfigName"],
    }
    if spec.tags:
        endpoint["Tags"] = tag_list(spec.tags)
    return [model, config, Request("CreateEndpoint", endpoint)]


def _by_content(resource: str, stem: str, body: JsonObject, tags: Mapping[str, str]) -> Request:
    """A thing that is named by what it holds: its name is known when that is."""
    field, operation = f"{resource}Name", f"Create{resource}"
    content, name = fingerprint(operation, body), ""
    if unknown := unknown_in(body):
        name, content = f"<name of the {resource} by {unknown[0].strip('<>')}>", KNOWN_IN_THE_RUN
    name = name or content_name(stem, content)
    return Request(operation, {field: name, **body, "Tags": tag_list({**tags, FINGERPRINT_TAG: content})})


def problems_of(request: Request) -> list[str]:
    """What AWS's own API model would refuse; placeholders are taken for something of the right form."""
    # botocore takes a while to import; neither boto3 nor the SDK comes with it.
    from airflow_sagemaker.hooks.request_validation import problems

    return problems(request.operation, with_stand_ins(request.body))
