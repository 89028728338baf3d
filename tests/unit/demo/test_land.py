from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sklearn.datasets import load_digits

from demo import land


class FakeS3:
    """A bucket in a dictionary; answers as S3 does where `land` looks."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.created = 0
        self.puts: list[str] = []

    def create_bucket(self, Bucket: str) -> None:
        self.created += 1
        if self.created > 1:
            raise ClientError({"Error": {"Code": "BucketAlreadyOwnedByYou"}}, "CreateBucket")

    def get_paginator(self, operation: str) -> FakeS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        import hashlib

        return [
            {"Contents": [{"Key": key, "ETag": f'"{hashlib.md5(body).hexdigest()}"'}]}
            for key, body in self.objects.items()
            if key.startswith(Prefix)
        ] or [{}]

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        self.puts.append(Key)
        self.objects[Key] = Body


def rows(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode())))


def test_digits_keep_every_row_in_order_over_fourteen_consecutive_days() -> None:
    partitions = land.digits()
    assert list(partitions) == [date(2026, 1, day) for day in range(1, 15)]
    images, labels = load_digits(return_X_y=True)
    landed = [row for body in partitions.values() for row in rows(body)[1:]]
    assert landed == [
        [str(int(value)) for value in (label, *image)] for label, image in zip(labels, images, strict=True)
    ]
    assert {len(rows(body)) - 1 for body in partitions.values()} == {128, 129}


def test_digits_have_a_header_in_every_partition() -> None:
    header = ["label", *(f"pixel_{index}" for index in range(64))]
    assert all(rows(body)[0] == header for body in land.digits().values())


def test_bank_marketing_starts_a_day_where_month_or_weekday_changes(tmp_path: Path) -> None:
    table = tmp_path / "bank.csv"
    table.write_text("age,month,day_of_week,y\n1,may,mon,no\n2,may,mon,no\n3,may,tue,no\n4,jun,tue,yes\n")
    partitions = land.bank_marketing(table)
    assert {day: [row[0] for row in rows(body)[1:]] for day, body in partitions.items()} == {
        date(2008, 5, 1): ["1", "2"],
        date(2008, 5, 2): ["3"],
        date(2008, 5, 3): ["4"],
    }


def test_landing_again_writes_only_what_differs() -> None:
    s3 = FakeS3()
    partitions = {date(2026, 1, 1): b"a\n1\n", date(2026, 1, 2): b"a\n2\n"}
    assert land.land(s3, "bucket", "digits", partitions) == 2
    assert sorted(s3.objects) == ["digits/raw/dt=2026-01-01/data.csv", "digits/raw/dt=2026-01-02/data.csv"]
    s3.objects["digits/raw/dt=2026-01-02/data.csv"] = b"spoilt"
    s3.puts.clear()
    assert land.land(s3, "bucket", "digits", partitions) == 1
    assert s3.puts == ["digits/raw/dt=2026-01-02/data.csv"]


def test_a_bucket_of_somebody_else_is_an_error() -> None:
    s3 = FakeS3()

    def refuse(Bucket: str) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "CreateBucket")

    s3.create_bucket = refuse  # type: ignore[method-assign]  # the one call that differs
    with pytest.raises(ClientError, match="AccessDenied"):
        land.land(s3, "bucket", "digits", {})
