"""Events of SageMaker's resources: what counts as a change of state, and what the event tells of it.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html. Times are
milliseconds in the events of jobs and endpoints, as AWS sends them (its page also shows them as strings).
"""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.model import ListShape, MapShape, Shape, StructureShape

from sagemaker_local.protocol import service_model
from sagemaker_local.settings import Settings
from sagemaker_local.store import Record

State = Mapping[str, Any]
"""What of a record an event is sent for, by part; a part that appears or changes is one event."""

Detail = dict[str, Any]
TIME_OF_MODEL_PACKAGES = "%Y-%m-%dT%H:%M:%SZ"


def iso(time_s: float) -> str:
    """A time in an event's envelope: to the second."""
    return datetime.datetime.fromtimestamp(time_s, datetime.UTC).strftime(TIME_OF_MODEL_PACKAGES)


def milliseconds(time_s: float) -> int:
    """A time in the detail of jobs and endpoints."""
    return round(time_s * 1000)


class Source(Protocol):
    """One kind of event of one kind of resource."""

    @property
    def detail_type(self) -> str:
        """AWS's name of the event."""

    def state(self, record: Record) -> State:
        """What an event is sent for when it changes."""

    def events(self, record: Record, earlier: State, tags: Mapping[str, str]) -> Iterator[Detail]:
        """The details of the events of one change."""

    def resources(self, record: Record) -> list[str]:
        """The ARNs that the event is about."""


@dataclass(frozen=True, slots=True)
class Described:
    """Events that repeat the answer of a Describe operation.

    Attributes:
        detail_type: AWS's name of the event.
        operation: The Describe operation.
        of_state: The part of the Describe answer whose change is one of state; empty while there is none.
        tags: Whether the event tells the tags.
        time: How it writes times.
        more: Further members of the detail, or other values of them: from the answer and the earlier state.
    """

    detail_type: str
    operation: str
    of_state: Callable[[Mapping[str, Any]], State]
    tags: bool = True
    time: Callable[[float], object] = milliseconds
    more: Callable[[Mapping[str, Any], State], Mapping[str, Any]] = lambda document, earlier: {}

    def state(self, record: Record) -> State:
        """See :class:`Source`."""
        return self.of_state(record.document)

    def events(self, record: Record, earlier: State, tags: Mapping[str, str]) -> Iterator[Detail]:
        """See :class:`Source`."""
        state = self.state(record)
        if not state or state == earlier:
            return
        shape = service_model("sagemaker").operation_model(self.operation).output_shape
        detail: Detail = _plain(shape, record.document, self.time)
        detail |= self.more(record.document, earlier)
        yield detail | ({"Tags": dict(tags)} if self.tags else {})

    def resources(self, record: Record) -> list[str]:
        """See :class:`Source`."""
        return [record.arn]


def _plain(shape: Shape | None, value: Any, time: Callable[[float], object]) -> Any:
    """A value as its shape has it, its times in another form."""
    if isinstance(shape, StructureShape):
        members = shape.members
        return {name: _plain(members[name], each, time) for name, each in value.items() if name in members}
    if isinstance(shape, ListShape):
        return [_plain(shape.member, each, time) for each in value]
    if isinstance(shape, MapShape):
        return {name: _plain(shape.value, each, time) for name, each in value.items()}
    if shape is not None and shape.type_name == "timestamp" and isinstance(value, int | float):
        return time(value)
    return value


def fields(*names: str) -> Callable[[Mapping[str, Any]], State]:
    """The state that lies in these members, once all are there."""

    def read(document: Mapping[str, Any]) -> State:
        found = {name: document[name] for name in names if name in document}
        return found if len(found) == len(names) else {}

    return read


def upper_snake(status: str) -> str:
    """An endpoint's status in its events: ``InService`` is ``IN_SERVICE``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", status).upper()


def _endpoint_status(document: Mapping[str, Any], _earlier: State) -> Detail:
    return {"EndpointStatus": upper_snake(document["EndpointStatus"])}


def _variant_statuses(document: Mapping[str, Any]) -> State:
    """What is being done to each variant, of what serves and of what is to serve."""
    found = {}
    for where, summary in (("serving", document), ("pending", document.get("PendingDeploymentSummary", {}))):
        for kind in ("ProductionVariants", "ShadowProductionVariants"):
            for variant in summary.get(kind, []):
                for status in variant.get("VariantStatus", []):
                    found[f"{where} {variant['VariantName']}"] = [
                        status["Status"], status.get("StatusMessage"),
                    ]  # fmt: skip
    return found


UPDATED_FIELDS = {
    "ModelApprovalStatus": "ModelApprovalStatus",
    "ApprovalDescription": "ApprovalDescription",
    "SourceUri": "sourceUri",
    "CustomerMetadataProperties": "CustomerMetadataProperties",
    "InferenceSpecification": "InferenceSpecification",
    "ModelLifeCycle": "ModelLifeCycle",
}
"""Members of a model package that are changed after its creation → how its event names them."""


def _of_model_package(document: Mapping[str, Any]) -> State:
    return {name: document.get(name) for name in ("ModelPackageStatus", *UPDATED_FIELDS)}


def _updated(document: Mapping[str, Any], earlier: State) -> Detail:
    if not earlier:
        return {}
    names = [told for name, told in UPDATED_FIELDS.items() if document.get(name) != earlier[name]]
    return {"UpdatedModelPackageFields": names} if names else {}


SOURCES_OF_DESCRIBED: Mapping[str, tuple[Described, ...]] = {
    "training_job": (
        Described(
            "SageMaker Training Job State Change", "DescribeTrainingJob",
            fields("TrainingJobStatus", "SecondaryStatus"),
        ),
    ),
    "processing_job": (
        Described(
            "SageMaker Processing Job State Change", "DescribeProcessingJob",
            fields("ProcessingJobStatus"), tags=False,
        ),
    ),
    "transform_job": (
        Described(
            "SageMaker Transform Job State Change", "DescribeTransformJob", fields("TransformJobStatus")
        ),
    ),
    "hyper_parameter_tuning_job": (
        Described(
            "SageMaker HyperParameter Tuning Job State Change", "DescribeHyperParameterTuningJob",
            fields("HyperParameterTuningJobStatus"),
        ),
    ),
    "endpoint": (
        Described(
            "SageMaker Endpoint State Change", "DescribeEndpoint", fields("EndpointStatus"),
            more=_endpoint_status,
        ),
        Described(
            "SageMaker Endpoint Deployment State Change", "DescribeEndpoint", _variant_statuses,
            more=_endpoint_status,
        ),
    ),
    "model_package": (
        Described(
            "SageMaker Model Package State Change", "DescribeModelPackage", _of_model_package,
            tags=False, time=iso, more=_updated,
        ),
    ),
}  # fmt: skip
"""Kinds of resource in the store → their events."""


def envelope(
    settings: Settings, source: Source, record: Record, detail: Mapping[str, Any], at: float
) -> Detail:
    """An event as rules and targets see it."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": source.detail_type,
        "source": "aws.sagemaker",
        "account": settings.account,
        "time": iso(at),
        "region": settings.region,
        "resources": source.resources(record),
        "detail": detail,
    }
