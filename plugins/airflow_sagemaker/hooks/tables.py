"""CSV tables in S3: single objects, and prefixes of daily partitions `dt=YYYY-MM-DD/`."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas

from airflow_sagemaker.errors import BadTableError, MissingDataError
from airflow_sagemaker.hooks.faults import if_found, translated
from airflow_sagemaker.hooks.object_storage import ObjectStorageHook

_PARTITION = re.compile(r"/dt=(\d{4}-\d{2}-\d{2})/[^/]+\.csv$")


@dataclass(frozen=True)
class TableObject:
    """One CSV object and its size."""

    uri: str
    size_bytes: int


@dataclass(frozen=True)
class Content:
    """What an object holds, whoever wrote it and whenever."""

    rows: int
    size_bytes: int
    sha256: str


class TableHook:
    """Reads CSV tables by location.

    :param storage: where they lie, by the connection and region of the task
    """

    def __init__(self, storage: ObjectStorageHook) -> None:
        self.storage = storage

    @property
    def _client(self) -> Any:
        return self.storage.sagemaker.client("s3")

    def objects(self, location: str) -> list[TableObject]:
        """The CSV objects of a location: the object of that name, or all below the prefix, by key."""
        bucket, key = self.storage.split(location)
        with translated(f"Listing {self.storage.uri(location)}"):
            found = [
                TableObject(f"s3://{bucket}/{entry['Key']}", entry["Size"])
                for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
                for entry in page.get("Contents", [])
            ]
        if not key.endswith("/"):
            return [entry for entry in found if entry.uri == f"s3://{bucket}/{key}"]
        return [entry for entry in found if entry.uri.endswith(".csv")]

    def partitions(
        self, prefix: str, first: date | None, last: date | None, *, gaps_allowed: bool = False
    ) -> list[TableObject]:
        """The objects of the daily partitions from first to last, both included; each has to be there.

        An end that is None is that of the partitions which are there.
        """
        by_day: dict[date, list[TableObject]] = {}
        for entry in self.objects(prefix):
            if match := _PARTITION.search(entry.uri):
                by_day.setdefault(date.fromisoformat(match[1]), []).append(entry)
        thing = f"Table {self.storage.uri(prefix)}"
        if not by_day:
            raise MissingDataError(thing, "it has no partition dt=YYYY-MM-DD/ with a CSV object", "Land some")
        first, last = first or min(by_day), last or max(by_day)
        if last < first:
            raise MissingDataError(
                thing, f"no day lies between {first} and {last}", "Give the range in order, and where data is"
            )
        wanted = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        missing = [day for day in wanted if day not in by_day]
        if missing and (not gaps_allowed or len(missing) == len(wanted)):
            raise MissingDataError(
                thing,
                f"{len(missing)} of {len(wanted)} partitions from {first} to {last} are missing: "
                + _listed([f"dt={day}" for day in missing]),
                "Land them, or give the range that is there",
            )
        return [entry for day in wanted for entry in by_day.get(day, [])]

    def read(self, uri: str, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        """An object as a frame; columns are the names when the object has no header."""
        names = list(columns) if columns is not None else None
        try:
            frame = pandas.read_csv(
                io.BytesIO(self.storage.read_bytes(uri)),
                names=names,
                header="infer" if names is None else None,
                index_col=False,
            )
        except (ValueError, pandas.errors.ParserError) as error:  # an empty object is a ValueError too
            raise BadTableError(
                f"Table {uri}", f"it is not a readable CSV ({error})", "Land the object again"
            ) from error
        return frame.apply(_numbers_where_possible)

    def content(self, location: str) -> Content:
        """Rows, bytes and hash of an object without a header, read in pieces."""
        bucket, key = self.storage.split(location)
        thing = f"Table s3://{bucket}/{key}"
        found = if_found(thing, self._client.get_object, Bucket=bucket, Key=key)
        if found is None:
            raise MissingDataError(thing, "there is no such object", "Check what should have written it")
        rows, size_bytes, digest, last = 0, 0, hashlib.sha256(), b"\n"
        with translated(thing):
            for piece in found["Body"].iter_chunks(1 << 20):
                rows += piece.count(b"\n")
                size_bytes += len(piece)
                digest.update(piece)
                last = piece[-1:] or last
        return Content(rows + (last != b"\n"), size_bytes, digest.hexdigest())


def _numbers_where_possible(column: pandas.Series[Any]) -> pandas.Series[Any]:
    """Undo what one stray text does to a column of numbers: pandas reads all of its values as text then."""
    if not pandas.api.types.is_string_dtype(column):
        return column
    numbers = pandas.to_numeric(column, errors="coerce")
    if 2 * numbers.count() <= column.count():
        return column
    return numbers.astype(object).where(numbers.notna(), column)


def _listed(names: Sequence[str], limit: int = 10) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
