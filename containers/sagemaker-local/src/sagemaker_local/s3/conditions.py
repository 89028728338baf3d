"""Conditional requests: If-Match and its kin, for reads, writes and the sources of copies.

Source: RFC 9110 §13 and https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from sagemaker_local.s3.errors import NotImplementedHere, PreconditionFailed
from sagemaker_local.s3.records import ObjectInfo, WriteCondition


class NotModified(Exception):
    """The client's copy is current: 304, which is an answer and no error."""


def check_read(info: ObjectInfo, headers: Mapping[str, str]) -> None:
    """Evaluate the conditions of a GET or HEAD.

    Raises:
        PreconditionFailed, NotModified
    """
    failed = _first_failed(info, headers, "")
    if failed in ("If-Match", "If-Unmodified-Since"):
        raise PreconditionFailed(failed)
    if failed:
        raise NotModified


def check_copy_source(info: ObjectInfo, headers: Mapping[str, str]) -> None:
    """Evaluate the conditions on the source of a copy.

    Raises:
        PreconditionFailed
    """
    failed = _first_failed(info, headers, "x-amz-copy-source-")
    if failed:
        raise PreconditionFailed(f"x-amz-copy-source-{failed}")


def write_condition(headers: Mapping[str, str]) -> WriteCondition:
    """The condition of a PUT, copy or CompleteMultipartUpload.

    Raises:
        NotImplementedHere: If-None-Match with anything but ``*``, as on AWS.
    """
    none_match = headers.get("if-none-match")
    if none_match not in (None, "*"):
        raise NotImplementedHere("If-None-Match with an ETag on a write; only If-None-Match: * is possible")
    match = headers.get("if-match")
    return WriteCondition(none_match == "*", None if match is None else match.strip().strip('"'))


def http_date(moment: datetime) -> str:
    """A time as it stands in headers."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def _first_failed(info: ObjectInfo, headers: Mapping[str, str], prefix: str) -> str | None:
    match = headers.get(f"{prefix}if-match")
    unmodified = _date(headers.get(f"{prefix}if-unmodified-since"))
    none_match = headers.get(f"{prefix}if-none-match")
    modified = _date(headers.get(f"{prefix}if-modified-since"))
    if match is not None:
        if not _names(match, info.etag):
            return "If-Match"
    elif unmodified is not None and info.last_modified > unmodified:
        return "If-Unmodified-Since"
    if none_match is not None:
        if _names(none_match, info.etag):
            return "If-None-Match"
    elif modified is not None and info.last_modified <= modified:
        return "If-Modified-Since"
    return None


def _names(header: str, etag: str) -> bool:
    candidates = [candidate.strip().removeprefix("W/").strip('"') for candidate in header.split(",")]
    return etag in candidates or "*" in candidates


def _date(header: str | None) -> datetime | None:
    """A date header; one that cannot be read is ignored, as RFC 9110 says."""
    if header is None:
        return None
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
