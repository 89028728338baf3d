"""SageMaker's state-change events, as EventBridge puts them on a queue.

Source: "Automating Amazon SageMaker AI with Amazon EventBridge" in the SageMaker developer guide, which gives
the detail type and the fields of each kind. Compilation jobs have no such event: their poll goes on.

An event only says where to look: what a job's state is, its Describe tells. So an event that is late, lost,
repeated or made up does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from airflow_sagemaker.kinds import KINDS
from airflow_sagemaker.triggers.shared_poll_listings import ENDPOINT, LISTINGS

DETAIL_TYPES: Mapping[str, str] = {
    "SageMaker Training Job State Change": "training_job",
    "SageMaker Processing Job State Change": "processing_job",
    "SageMaker Transform Job State Change": "transform_job",
    "SageMaker HyperParameter Tuning Job State Change": "hyper_parameter_tuning_job",
    "SageMaker Endpoint State Change": ENDPOINT,
}
"""EventBridge's ``detail-type`` → operation."""

OPERATIONS_WITH_EVENTS = frozenset(DETAIL_TYPES.values()) & {*KINDS, ENDPOINT}


class Event(NamedTuple):
    """Something happened to a job."""

    id: str
    operation: str
    name: str


def event_of(body: str) -> Event | None:
    """The event in a message; None where it is another one, or none at all."""
    try:
        message = json.loads(body)
        operation = DETAIL_TYPES[message["detail-type"]]
        name = message["detail"][LISTINGS[operation].name_field]
        return Event(str(message["id"]), operation, str(name))
    except (KeyError, TypeError, ValueError):
        return None
