"""How each kind is listed, as data, and what its pages tell: names, states, and the server's time.

Sources: ListTrainingJobs and its siblings in the SageMaker API reference. With ``StatusEquals`` AWS filters a
page of training jobs only after it has cut it, so a page may hold few or none and still not be the last.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from airflow_sagemaker.kinds import COMPILATION, KINDS
from airflow_sagemaker.rollout import UNSETTLED

PAGE_SIZE = 100
"""The most that the service gives."""
ENDPOINT = "endpoint"
"""The operation that an endpoint's poll is named for, beside those of :data:`KINDS`."""


class Mark(NamedTuple):
    """What a list tells of one job."""

    status: str
    modified_s: float


@dataclass(frozen=True)
class Listing:
    """One kind's List call."""

    list_operation: str
    summaries_field: str
    name_field: str
    status_field: str
    active: tuple[str, ...]
    """Every status that something waited for may have, in the order in which most have it."""

    def marks(self, page: Mapping[str, Any]) -> Iterable[tuple[str, Mark]]:
        """Name and mark of everything on a page."""
        for summary in page.get(self.summaries_field, []):
            modified = summary.get("LastModifiedTime")
            modified_s = modified.timestamp() if isinstance(modified, datetime) else 0.0
            yield summary[self.name_field], Mark(summary[self.status_field], modified_s)

    def mark(self, described: Mapping[str, Any]) -> Mark | None:
        """The mark of a describe answer; None where it does not tell when it changed (a transform job's)."""
        modified = described.get("LastModifiedTime")
        if not isinstance(modified, datetime):
            return None
        return Mark(str(described[self.status_field]), modified.timestamp())

    async def pages(self, client: Any, **request: Any) -> AsyncIterator[Mapping[str, Any]]:
        """Page after page of the List call."""
        call = getattr(client, self.list_operation)
        token: str | None = None
        while True:
            page = await call(MaxResults=PAGE_SIZE, **request, **({"NextToken": token} if token else {}))
            yield page
            following = page.get("NextToken")
            if not following or following == token:
                return
            token = following


ACTIVE: Mapping[str, tuple[str, ...]] = {COMPILATION.operation: ("INPROGRESS", "STARTING", "STOPPING")}
"""Of the kinds that differ from the rest; by botocore's enumeration of ``CompilationJobStatus``."""

LISTINGS: Mapping[str, Listing] = {
    **{
        kind.operation: Listing(
            list_operation=kind.list_operation,
            summaries_field=kind.summaries_field,
            name_field=kind.name_field,
            status_field=f"{kind.title}Status",
            active=ACTIVE.get(kind.operation, ("InProgress", "Stopping")),
        )
        for kind in KINDS.values()
    },
    ENDPOINT: Listing(
        list_operation="list_endpoints",
        summaries_field="Endpoints",
        name_field="EndpointName",
        status_field="EndpointStatus",
        active=tuple(sorted(UNSETTLED)),
    ),
}
"""By operation."""


def server_time_s(page: Mapping[str, Any]) -> float:
    """The server's clock when it answered: its and ours may differ, and its stamps are the ones compared."""
    given = page.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(given).timestamp()
    except (TypeError, ValueError):
        return time.time()


def as_time(epoch_s: float) -> datetime:
    """As botocore takes it."""
    return datetime.fromtimestamp(epoch_s, UTC)
