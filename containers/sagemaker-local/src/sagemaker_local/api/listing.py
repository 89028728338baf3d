"""What every List operation of SageMaker shares: filters, order, pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any

from sagemaker_local import limits
from sagemaker_local.errors import ValidationException
from sagemaker_local.store import Record

Position = tuple[float, str, str]
"""Where a record stands in an order: what it is sorted by (as number or as text) and its name."""


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
    found = [record for record in records if _wanted(record.document, request, name_field, status_field)]
    field = {"Name": name_field, "Status": status_field}.get(request.get("SortBy", sort_by_default))
    field = field or request.get("SortBy", sort_by_default)
    descending = request.get("SortOrder", sort_order_default) == "Descending"

    def position(record: Record) -> Position:
        # The name breaks ties, so that pages neither repeat nor skip a record.
        return (*_sort_key(record.document.get(field)), record.name)

    found.sort(key=position, reverse=descending)
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


def _wanted(
    document: dict[str, Any], request: dict[str, Any], name_field: str, status_field: str | None
) -> bool:
    if "NameContains" in request and request["NameContains"].lower() not in document[name_field].lower():
        return False
    if status_field and "StatusEquals" in request and document[status_field] != request["StatusEquals"]:
        return False
    for field in ("CreationTime", "LastModifiedTime"):
        at = document.get(field, 0.0)
        if at < _epoch(request.get(f"{field}After"), 0.0) or at > _epoch(
            request.get(f"{field}Before"), float("inf")
        ):
            return False
    return True


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
