"""Real data as daily partitions in S3: ``<name>/raw/dt=YYYY-MM-DD/data.csv``, with a header.

Landing again changes nothing: a partition is written only where its bytes differ from what is there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

DIGITS_FIRST_DAY = date(2026, 1, 1)
DIGITS_PARTITIONS = 14
BANK_FIRST_DAY = date(2008, 5, 1)
"""The table starts in May 2008; it tells no days of the month."""


def digits() -> dict[date, bytes]:
    """scikit-learn's 1,797 handwritten digits, in their order: label, then 64 pixels of 0 to 16."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    header = ["label", *(f"pixel_{index}" for index in range(images.shape[1]))]
    rows = [
        [int(label), *(int(pixel) for pixel in image)] for label, image in zip(labels, images, strict=True)
    ]
    bounds = [round(day * len(rows) / DIGITS_PARTITIONS) for day in range(DIGITS_PARTITIONS + 1)]
    return {
        DIGITS_FIRST_DAY + timedelta(days=day): _csv(header, rows[first:last])
        for day, (first, last) in enumerate(itertools.pairwise(bounds))
    }


def bank_marketing(table: Path) -> dict[date, bytes]:
    """UCI Bank Marketing, which is in date order, cut where month or weekday changes: a day for each run.

    The days are consecutive from 2008-05-01 because the table keeps month and weekday only.
    """
    with table.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    month, weekday = header.index("month"), header.index("day_of_week")
    runs = itertools.groupby(rows, key=lambda row: (row[month], row[weekday]))
    days = itertools.count()
    return {BANK_FIRST_DAY + timedelta(days=next(days)): _csv(header, run) for _, run in runs}


def land(s3: Any, bucket: str, name: str, partitions: Mapping[date, bytes]) -> int:
    """Put the partitions of a pipeline where they differ; returns how many were written."""
    try:
        s3.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    prefix = f"{name}/raw/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    there = {item["Key"]: item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])}
    written = 0
    for day, body in partitions.items():
        key = f"{prefix}dt={day.isoformat()}/data.csv"
        if there.get(key) != hashlib.md5(body, usedforsecurity=False).hexdigest():
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="text/csv")
            written += 1
    return written


def _csv(header: list[str], rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
