"""CSV and LIBSVM, as XGBoost's image reads them: https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost.html.

In training data the label comes first; CSV has no header line.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from scipy.sparse import csr_matrix, vstack
from sklearn.datasets import load_svmlight_files

CSV = "text/csv"
LIBSVM = "text/libsvm"
PARQUET = "application/x-parquet"

FORMATS = {
    "csv": CSV,
    CSV: CSV,
    "libsvm": LIBSVM,
    LIBSVM: LIBSVM,
    "text/x-libsvm": LIBSVM,
    "parquet": PARQUET,
    PARQUET: PARQUET,
}
"""What a content type may be called."""


class DataError(ValueError):
    """The user's data or its description is wrong; the message says what."""


def format_of(content_type: str | None) -> str:
    """``text/csv`` of ``csv`` or ``text/csv; label_size=1``; LIBSVM where nothing is said.

    Raises:
        DataError: the type is not accepted.
    """
    if not content_type:
        return LIBSVM
    name, _, parameters = content_type.lower().partition(";")
    if name.strip() not in FORMATS:
        raise DataError(f"{content_type} is not an accepted ContentType: {', '.join(FORMATS)}.")
    size = [pair for pair in parameters.replace(" ", "").split(";") if pair.startswith("label_size=")]
    if size and size != ["label_size=1"]:
        raise DataError(
            f"{content_type} is not an accepted csv ContentType. Optional parameter label_size must be "
            "equal to 1"
        )
    return FORMATS[name.strip()]


def read_channels(directories: Iterable[Path], format: str, csv_weights: bool) -> list[xgboost.DMatrix]:
    """One matrix for each directory, all of one width.

    Raises:
        DataError: a directory has no data, or a file is not of the format.
    """
    files = [_data_files(directory) for directory in directories]
    try:
        if format == LIBSVM:
            return _read_libsvm(files)
        read = _read_parquet if format == PARQUET else _read_csv
        return [_labelled(np.vstack([read(file) for file in each]), csv_weights) for each in files]
    except (ValueError, OSError) as error:
        raise DataError(f"Failed to load {format} data with exception:\n{error}") from error


def parse(body: bytes, content_type: str, width: int) -> xgboost.DMatrix:
    """The rows of a request, without labels.

    Raises:
        DataError: the type is not accepted, or the body is not of it.
    """
    format = format_of(content_type)
    text = body.strip().decode()
    try:
        if format == CSV:
            rows = pd.read_csv(io.StringIO(text), header=None, dtype=np.float32).to_numpy()
            # As the image: a first column too many is the label.
            return xgboost.DMatrix(rows[:, 1:] if width and rows.shape[1] == width + 1 else rows)
        if format == LIBSVM:
            return xgboost.DMatrix(_sparse(text.splitlines(), width))
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(
            f"Loading {format} data failed, please ensure data is in the format:\n{error}"
        ) from error
    raise DataError(
        f"Content-type {content_type} not supported. Supported content-type is text/csv, text/libsvm"
    )


def _data_files(directory: Path) -> list[Path]:
    files = sorted(
        path for path in directory.rglob("*") if path.is_file() and not path.name.startswith((".", "_"))
    )
    if not files:
        raise DataError(f"No data in {directory.name} channel path {directory}")
    return files


def _read_csv(file: Path) -> np.ndarray:
    return pd.read_csv(file, header=None, sep=None, engine="python").to_numpy(dtype=np.float32)


def _read_parquet(file: Path) -> np.ndarray:
    return pd.read_parquet(file).to_numpy(dtype=np.float32)


def _read_libsvm(files: list[list[Path]]) -> list[xgboost.DMatrix]:
    flat = [str(file) for each in files for file in each]
    loaded = iter(load_svmlight_files(flat, dtype=np.float32, zero_based=True))
    pairs = list(zip(loaded, loaded, strict=True))
    matrices = []
    for each in files:
        own, pairs = pairs[: len(each)], pairs[len(each) :]
        matrices.append(
            xgboost.DMatrix(
                vstack([rows for rows, _ in own], format="csr"),
                label=np.concatenate([labels for _, labels in own]),
            )
        )
    return matrices


def _labelled(rows: np.ndarray, weights: bool) -> xgboost.DMatrix:
    if weights:
        return xgboost.DMatrix(rows[:, 2:], label=rows[:, 0], weight=rows[:, 1])
    return xgboost.DMatrix(rows[:, 1:], label=rows[:, 0])


def _sparse(lines: list[str], width: int) -> csr_matrix:
    values: list[float] = []
    columns: list[int] = []
    ends = [0]
    for line in lines:
        for item in line.split():
            column, colon, value = item.partition(":")
            if colon:
                columns.append(int(column))
                values.append(float(value))
        ends.append(len(values))
    wide = max([width, *(column + 1 for column in columns)])
    return csr_matrix((values, columns, ends), shape=(len(lines), wide), dtype=np.float32)
