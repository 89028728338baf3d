"""What an endpoint's state means for a rollout, as a table.

States are those of botocore's ``EndpointStatus``; what they mean is in the API reference of
DescribeEndpoint. An update that SageMaker rolled back leaves an endpoint ``InService`` with its earlier
config: only the config's name tells it from success.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any


class Step(Enum):
    """What to do next to make an endpoint serve a config."""

    CREATE = "create"
    UPDATE = "update"
    RECREATE = "delete, then create"
    WAIT = "wait for it to settle"
    DONE = "nothing"
    REFUSE = "refuse"


UNSETTLED = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})

SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})

STEPS: Mapping[str, Step] = {
    "Creating": Step.WAIT,
    "Updating": Step.WAIT,
    "SystemUpdating": Step.WAIT,
    "RollingBack": Step.WAIT,
    "Deleting": Step.WAIT,
    "InService": Step.UPDATE,
    "Failed": Step.RECREATE,
    "OutOfService": Step.REFUSE,
    "UpdateRollbackFailed": Step.REFUSE,
}


def is_settled(status: str) -> bool:
    """Whether an endpoint stays as it is until somebody changes it."""
    return status not in UNSETTLED


def next_step(described: Mapping[str, Any] | None, wanted_config: str) -> Step:
    """The step from what an endpoint is (None: there is none) to one that serves ``wanted_config``."""
    if described is None:
        return Step.CREATE
    status = str(described["EndpointStatus"])
    if status == "InService" and described["EndpointConfigName"] == wanted_config:
        return Step.DONE
    return STEPS.get(status, Step.REFUSE)


def served_config(described: Mapping[str, Any] | None) -> str | None:
    """The config that an endpoint answers with now; an update in progress leaves the earlier one in place."""
    if described is None or described["EndpointStatus"] not in SERVING:
        return None
    return str(described["EndpointConfigName"])


def has_come_back(
    described: Mapping[str, Any] | None, wanted_config: str, modified_before: str | None
) -> bool:
    """Whether an endpoint that was asked for a config serves another one again: it was rolled back.

    :param modified_before: its LastModifiedTime just before it was asked; None if it was not
    """
    if described is None or modified_before is None or described["EndpointStatus"] != "InService":
        return False
    elsewhere = described["EndpointConfigName"] != wanted_config
    return bool(elsewhere and str(described.get("LastModifiedTime")) != modified_before)
