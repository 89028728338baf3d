"""What a request asks for, as a hash: two requests with one fingerprint want the same work done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_sagemaker.names import TaskIdentity

FINGERPRINT_TAG = "airflow:fingerprint"
OWNER_TAG = "airflow:owner"
START_TAG = "airflow:start"
"""Which start of the task (its first, or after which clear) a job belongs to."""
TRY_TAG = "airflow:try"
"""The latest try of the task that took up the job, from the second on: an earlier one must not stop it."""
MAX_TAG_VALUE_LENGTH = 256


def fingerprint(operation: str, request: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a request without its name and its tags."""
    canonical = json.dumps(
        {"operation": operation, "request": request}, sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def tag_value(text: str) -> str:
    """A value that AWS accepts in a tag: letters, digits, spaces and ``_ . : / = + - @``."""
    allowed = "".join(char if char.isalnum() or char in " _.:/=+-@" else "_" for char in text)
    return allowed[:MAX_TAG_VALUE_LENGTH]


def ownership_tags(identity: TaskIdentity, request_fingerprint: str, start: str) -> dict[str, str]:
    """The tags by which a later worker knows a job again, and by which people find it in the bill."""
    tags = {
        OWNER_TAG: identity.digest,
        FINGERPRINT_TAG: request_fingerprint,
        START_TAG: start,
        "airflow:dag_id": tag_value(identity.dag_id),
        "airflow:run_id": tag_value(identity.run_id),
        "airflow:task_id": tag_value(identity.task_id),
    }
    if identity.map_index >= 0:
        tags["airflow:map_index"] = str(identity.map_index)
    return tags


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as AWS's requests write them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
