"""What an AutoML job has to solve, and by which metric: from the request, or from the target's values.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/autopilot-metrics-validation.html
"""

from __future__ import annotations

import contextlib
import csv
import io
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from sagemaker_local.errors import AwsError
from sagemaker_local.expansion import Expansion
from sagemaker_local.s3.object_store import ObjectStore

METRICS: Mapping[str, Mapping[str, str]] = {
    "Regression": {"MSE": "Minimize", "RMSE": "Minimize", "MAE": "Minimize", "R2": "Maximize"},
    "BinaryClassification": dict.fromkeys(
        ("F1", "Accuracy", "AUC", "BalancedAccuracy", "Precision", "Recall"), "Maximize"
    ),
    "MulticlassClassification": dict.fromkeys(
        ("Accuracy", "F1macro", "BalancedAccuracy", "PrecisionMacro", "RecallMacro"), "Maximize"
    ),
}
"""Metrics of each problem with their direction; the first is Autopilot's default."""
ROWS_LOOKED_AT = 10_000
LINE_CHARACTERS_MOST = 1024 * 1024
CLASSES_MOST = 20
"""Whole numbers with more distinct values are measured and not counted."""
ROWS_LEAST = 20


class ProblemError(Exception):
    """The data cannot be learned from; the message is the FailureReason."""


def problem_type(objects: ObjectStore, channel: Mapping[str, Any]) -> str:
    """Regression, BinaryClassification or MulticlassClassification, by the target's first values; blocking.

    Raises:
        ProblemError: no data, no such column, or too few rows.
    """
    uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
    values = list(_target_values(objects, channel, uri))
    if len(values) < ROWS_LEAST:
        raise ProblemError(
            f"ClientError: {uri} has {len(values)} rows with a target; at least {ROWS_LEAST} are needed"
        )
    distinct = set(values)
    if len(distinct) < 2:
        raise ProblemError(f"ClientError: every row of {uri} has the same target, {values[0]!r}")
    if len(distinct) == 2:
        return "BinaryClassification"
    if all(_is_number(value) for value in distinct):
        whole = all(float(value).is_integer() for value in distinct)
        return "MulticlassClassification" if whole and len(distinct) <= CLASSES_MOST else "Regression"
    return "MulticlassClassification"


def _target_values(objects: ObjectStore, channel: Mapping[str, Any], uri: str) -> Iterator[str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    target = channel["TargetAttributeName"]
    count = 0
    expansion = Expansion()
    try:
        for found in objects.iter_objects(bucket, prefix):
            packed = channel.get("CompressionType") == "Gzip"
            with contextlib.ExitStack() as stack:
                stream = stack.enter_context(objects.open(bucket, found.key))
                plain = expansion.gunzip(stream, found.size) if packed else stream
                text = stack.enter_context(io.TextIOWrapper(plain, newline=""))
                rows = csv.DictReader(_lines(text))
                if rows.fieldnames is None or target not in rows.fieldnames:
                    raise ProblemError(
                        f"ClientError: s3://{bucket}/{found.key} has no column '{target}'; its header has "
                        f"{', '.join(rows.fieldnames or ())[:300]}"
                    )
                for row in rows:
                    if value := (row[target] or "").strip():
                        yield value
                        count += 1
                    if count == ROWS_LOOKED_AT:
                        return
    except AwsError as error:
        raise ProblemError(f"ClientError: Cannot read input data at {uri}: {error.message}") from error
    except (UnicodeDecodeError, OSError, EOFError, zlib.error, csv.Error) as error:
        raise ProblemError(f"ClientError: the input data at {uri} is not CSV in UTF-8: {error}") from error


def _lines(text: io.TextIOBase) -> Iterator[str]:
    """Lines of a length that the memory holds."""
    while line := text.readline(LINE_CHARACTERS_MOST):
        if len(line) == LINE_CHARACTERS_MOST:
            raise csv.Error(f"a line is longer than {LINE_CHARACTERS_MOST} characters")
        yield line


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
