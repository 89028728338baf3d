"""Endpoints as they are stored.

``private["fleet"]`` is the plan of what serves or is to serve; ``private["earlier_fleet"]`` what it was
before its weights or instance counts changed; ``private["pending"]`` the plan that an update moves to, and
``private["deployment"]`` how far it is. What a server was doing when it was killed follows from these and
the status.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local import limits
from sagemaker_local.names import now
from sagemaker_local.serving.fleet_plan import FleetPlan
from sagemaker_local.store import NotFound, Record, Store

KIND = "endpoint"

IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""Statuses in which AWS takes no other change."""


class EndpointRecords:
    """Reads and writes endpoints; each write is one transaction.

    Args:
        store: Holds them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Record]:
        """Every endpoint."""
        return self._store.list(KIND)

    def get(self, name: str) -> Record:
        """One endpoint; raises NotFound."""
        return self._store.get(KIND, name)

    def plan(self, name: str, key: str = "fleet") -> FleetPlan | None:
        """A stored plan: ``fleet``, ``earlier_fleet`` or ``pending``."""
        stored = self.get(name).private.get(key)
        return FleetPlan.from_json(stored) if stored else None

    def change(self, name: str, change: Callable[[Record], None]) -> None:
        """Change an endpoint in one transaction; raises NotFound."""
        self._store.update(KIND, name, change)

    def set(self, name: str, *, private: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Write fields of an endpoint, if it still exists; None removes one."""

        def change(record: Record) -> None:
            record.document |= {**fields, "LastModifiedTime": now()}
            record.document = {key: value for key, value in record.document.items() if value is not None}
            record.private |= private or {}

        with contextlib.suppress(NotFound):  # deleted meanwhile
            self._store.update(KIND, name, change)

    def delete(self, name: str) -> None:
        """Forget an endpoint and its tags."""
        self._store.delete(KIND, name)


def failure_reason(error: Exception | str) -> str:
    """As AWS cuts it."""
    return str(error)[: limits.FAILURE_REASON_CHARACTERS]
