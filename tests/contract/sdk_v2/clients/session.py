"""What all programs share: a session, a role, where the data is, and how they tell what they found."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import sagemaker

ROLE = "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole"
SOURCES = Path(__file__).parents[1] / "sources"
INSTANCE = "ml.m5.large"

BUCKET, DATA = sys.argv[1], Path(sys.argv[2])

FASTER = 20


class _FastClock:
    """`time`, but faster: the SDK polls every 5 to 30 seconds, as is right for jobs that take minutes."""

    _start = time.time()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time(self) -> float:
        return self._start + (time.time() - self._start) * FASTER

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / FASTER)


sagemaker.session.time = _FastClock()


def session() -> sagemaker.Session:
    """A session whose bucket is the program's own."""
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return sagemaker.Session(default_bucket=BUCKET)


def rows(dataset: str, count: int = 5) -> tuple[list[list[float]], list[float]]:
    """The first rows of a dataset's validation part, and their labels."""
    lines = (DATA / dataset / "validation" / "data.csv").read_text().splitlines()[:count]
    table = [[float(cell) for cell in line.split(",")] for line in lines]
    return [row[1:] for row in table], [row[0] for row in table]


def found(**what: Any) -> None:
    """Tell the test."""
    print("FOUND", json.dumps(what, default=lambda value: value.tolist()), flush=True)
