"""Scaling activities: what was changed, why, and what came of it, in AWS's words.

Source: https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-scaling-activities.html
"""

from __future__ import annotations

import uuid
from typing import Any

from sagemaker_local.autoscaling.resources import ACTIVITY, DIMENSION, NAMESPACE, Variant
from sagemaker_local.names import now
from sagemaker_local.store import NotFound, Record, Store

KEPT_S = 42 * 86_400
KEPT_ACTIVITIES = 2000
"""AWS tells the activities of six weeks."""

OVER = ("Successful", "Failed", "Overridden", "Unfulfilled")


def begin(store: Store, variant: Variant, count: int, cause: str) -> str:
    """Note that instances are to come or go; returns the activity's id."""
    document = {
        "Description": f"Setting desired instance count to {count}.",
        "StatusCode": "InProgress",
        "StatusMessage": (
            f"Successfully set desired instance count to {count}. "
            "Waiting for change to be fulfilled by sagemaker."
        ),
    }
    private = {"count": count, "variant": [variant.endpoint, variant.name]}
    return _write(store, variant, document, cause, private)


def note(store: Store, variant: Variant, what: str, cause: str) -> None:
    """Note what was done at once, such as a change of the target's bounds."""
    document = {
        "Description": f"Setting {what}",
        "StatusCode": "Successful",
        "StatusMessage": f"Successfully set {what}",
        "EndTime": now(),
    }
    _write(store, variant, document, cause, {})


def refuse(store: Store, variant: Variant, count: int, cause: str, reason: str) -> None:
    """Note a change that could not be begun."""
    document = {
        "Description": f"Setting desired instance count to {count}.",
        "StatusCode": "Failed",
        "StatusMessage": f"Failed to set desired instance count to {count}. Reason: {reason}",
        "EndTime": now(),
    }
    _write(store, variant, document, cause, {})


def end(store: Store, activity_id: str, failure: str | None) -> None:
    """Note how a change ended."""

    def change(record: Record) -> None:
        count = record.private["count"]
        done = (
            f"Successfully set desired instance count to {count}. Change successfully fulfilled by sagemaker."
        )
        record.document |= {
            "EndTime": now(),
            "StatusCode": "Failed" if failure else "Successful",
            "StatusMessage": f"Failed to set desired instance count to {count}. Reason: {failure}"
            if failure
            else done,
        }

    store.update(ACTIVITY, activity_id, change)


def open_activities(store: Store) -> list[Record]:
    """Activities whose end is not known yet."""
    return [record for record in store.list(ACTIVITY) if record.document["StatusCode"] not in OVER]


def purge(store: Store) -> None:
    """Forget the activities that AWS has forgotten, and the oldest beyond a bound."""
    records = sorted(store.list(ACTIVITY), key=lambda record: record.document["StartTime"], reverse=True)
    for place, record in enumerate(records):
        if place >= KEPT_ACTIVITIES or record.document["StartTime"] < now() - KEPT_S:
            try:
                store.delete(ACTIVITY, record.name)
            except NotFound:
                continue


def _write(store: Store, variant: Variant, what: dict[str, Any], cause: str, private: dict[str, Any]) -> str:
    activity_id = str(uuid.uuid4())
    document = {
        "ActivityId": activity_id,
        "ServiceNamespace": NAMESPACE,
        "ResourceId": variant.resource_id,
        "ScalableDimension": DIMENSION,
        "Cause": cause,
        "StartTime": now(),
        **what,
    }
    store.insert(Record(ACTIVITY, activity_id, f"activity:{activity_id}", document, private))
    return activity_id
