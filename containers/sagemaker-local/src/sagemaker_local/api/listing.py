"""What every List operation of SageMaker shares: filters, order, pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sagemaker_local import limits
from sagemaker_local.errors import ValidationException
from sagemaker_local.store import Listed, Record

Position = tuple[float, str, str]
"""Where a record stands in an order: what it is sorted by (as number or as text) and its name."""

Filter = Callable[[Mapping[str, Any]], bool]
"""Whether a record, by its document, is one of those asked for."""


def list_page(
    records: Sequence[Record],
    request: dict[str, Any],
    *,
    name_field: str,
    status_field: str | None,
    summary: Callable[[Record], dict[str, Any]],
    summaries_field: str,
    sort_by_default: str = "CreationTime",
    sort_order_default: str = "Descending",
) -> dict[str, Any]:
    """Filter, sort and cut one page of records as SageMaker's List operations do.

    Args:
        records: All records of the kind.
        request: The validated request: NameContains, CreationTimeAfter/Before, LastModifiedTimeAfter/Before,
            StatusEquals, SortBy, SortOrder, MaxResults, NextToken are read when present.
        name_field: The document's field that holds the name, e.g. ``TrainingJobName``.
        status_field: The document's field that holds the status, or None.
        summary: Makes the answer's entry from a record.
        summaries_field: The answer's list, e.g. ``TrainingJobSummaries``.
        sort_by_default: Used when SortBy is absent (operations differ).
        sort_order_default: Used when SortOrder is absent (operations differ).

    Raises:
        ValidationException: the token is not one of ours.
    """
    wanted = _filters(request, name_field, status_field)
    field = {"Name": name_field, "Status": status_field}.get(request.get("SortBy", sort_by_default))
    field = field or request.get("SortBy", sort_by_default)
    descending = request.get("SortOrder", sort_order_default) == "Descending"

    def position(record: Record) -> Position:
        value = record.document.get(field)
        # The name breaks ties, so that pages neither repeat nor skip a record.
        return (value, "", record.name) if type(value) is float else (*_sort_key(value), record.name)

    found = _sorted(records, (field, descending), position)
    if wanted:
        found = [record for record in found if all(holds(record.document) for holds in wanted)]
    start = 0
    if token := request.get("NextToken"):
        last = _read_token(token)
        # By position and not by record: the one that ended the last page may be deleted meanwhile.
        past = (at for at, record in enumerate(found) if (position(record) < last) == descending
                and position(record) != last)  # fmt: skip
        start = next(past, len(found))
    size = int(request.get("MaxResults") or limits.LIST_PAGE_DEFAULT)
    page = found[start : start + size]
    answer: dict[str, Any] = {summaries_field: [summary(record) for record in page]}
    if start + size < len(found):
        answer["NextToken"] = base64.urlsafe_b64encode(json.dumps(position(page[-1])).encode()).decode()
    return answer


def _sorted(
    records: Sequence[Record], order: tuple[str, bool], position: Callable[[Record], Position]
) -> list[Record]:
    """The records in an order, worked out once for all calls until one of them changes."""
    memo = records.memo if isinstance(records, Listed) else {}
    if (found := memo.get(order)) is None:
        found = memo[order] = sorted(records, key=position, reverse=order[1])
    return found


def _filters(request: dict[str, Any], name_field: str, status_field: str | None) -> list[Filter]:
    """What a record must meet: read from the request once, not for each record."""
    filters: list[Filter] = []
    if "NameContains" in request:
        part = request["NameContains"].lower()
        filters.append(lambda document: part in document[name_field].lower())
    if status_field and "StatusEquals" in request:
        status = request["StatusEquals"]
        filters.append(lambda document: document[status_field] == status)
    for field in ("CreationTime", "LastModifiedTime"):
        if f"{field}After" in request or f"{field}Before" in request:
            first = _epoch(request.get(f"{field}After"), 0.0)
            last = _epoch(request.get(f"{field}Before"), float("inf"))
            filters.append(_between(field, first, last))
    return filters


def _between(field: str, first: float, last: float) -> Filter:
    return lambda document: first <= document.get(field, 0.0) <= last


def _sort_key(value: object) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def _epoch(value: float | str | None, default: float) -> float:
    try:
        return default if value is None else float(value)
    except ValueError as error:
        raise ValidationException(f"Timestamp '{value}' must be seconds since the epoch") from error


def _read_token(token: str) -> Position:
    try:
        number, text, name = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        return float(number), str(text), str(name)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValidationException(
            f"Invalid NextToken '{token}': pass on the one of the last answer"
        ) from error
