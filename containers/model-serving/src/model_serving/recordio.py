"""SageMaker's RecordIO-protobuf, read and written by hand: it needs neither protobuf nor the SDK.

A record is a magic number, a length, the message and zeros up to a multiple of four. Of the message
(``aialgs.data.Record``) the features are a map from names to dense float32, float64 or int32 tensors.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_serving.errors import BadRequest

MAGIC = 0xCED7230A
FEATURES, LABEL = 1, 2
FLOAT32, FLOAT64, INT32 = 2, 3, 7
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def parse(body: bytes) -> list[NDArray[np.float64]]:
    """The features of each record.

    Raises:
        BadRequest: naming the record that is cut off, sparse or none.
    """
    rows: list[NDArray[np.float64]] = []
    at = 0
    while at < len(body):
        number = len(rows) + 1
        if len(body) - at < 8 or struct.unpack_from("<I", body, at)[0] != MAGIC:
            raise BadRequest(f"record {number}: there is no RecordIO header at byte {at}")
        (length,) = struct.unpack_from("<I", body, at + 4)
        if at + 8 + length > len(body):
            raise BadRequest(f"record {number} is cut off: {length} bytes are announced")
        try:
            rows.append(_features(body[at + 8 : at + 8 + length]))
        except (ValueError, IndexError, struct.error) as error:
            raise BadRequest(f"record {number}: {error}") from None
        at += 8 + (length + 3) // 4 * 4
    return rows


def write(answers: NDArray[Any]) -> bytes:
    """One record for each row, its values as the float32 tensor ``score`` of the label."""
    records = []
    for row in answers.reshape(len(answers), -1).astype("<f4"):
        tensor = _field(1, row.tobytes())
        entry = _field(1, b"score") + _field(2, _field(FLOAT32, tensor))
        message = _field(LABEL, entry)
        padding = b"\0" * (-len(message) % 4)
        records.append(struct.pack("<II", MAGIC, len(message)) + message + padding)
    return b"".join(records)


def _features(message: bytes) -> NDArray[np.float64]:
    tensors = [tensor for field, entry in _fields(message) if field == FEATURES for tensor in _entry(entry)]
    if len(tensors) != 1:
        raise ValueError(f"it has {len(tensors)} dense feature tensors, one is read")
    return tensors[0]


def _entry(entry: Any) -> Iterator[NDArray[np.float64]]:
    for field, value in _fields(entry):
        if field == 2:
            for kind, tensor in _fields(value):
                yield _tensor(kind, tensor)


def _tensor(kind: int, tensor: Any) -> NDArray[np.float64]:
    parts: list[NDArray[Any]] = []
    for field, content in _fields(tensor):
        if field == 2 and len(content):
            raise ValueError("the features are sparse, dense ones are read")
        if field != 1:
            continue
        if kind == INT32:
            numbers = _varints(content) if isinstance(content, bytes) else [content]
            parts.append(np.array(numbers, np.uint64).astype(np.uint32).view(np.int32))
        elif kind in (FLOAT32, FLOAT64) and isinstance(content, bytes):
            parts.append(np.frombuffer(content, "<f4" if kind == FLOAT32 else "<f8"))
        else:
            raise ValueError("its values are neither float32, float64 nor int32")
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)


def _fields(message: Any) -> Iterator[tuple[int, Any]]:
    if not isinstance(message, bytes):
        raise ValueError("a message was expected")
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == VARINT:
            value: Any
            value, at = _varint(message, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            value, at = message[at : at + size], at + size
        elif wire == BYTES:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        else:
            raise ValueError(f"wire type {wire} is unknown")
        if at > len(message):
            raise ValueError("the message is cut off")
        yield field, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _varints(content: bytes) -> list[int]:
    values, at = [], 0
    while at < len(content):
        value, at = _varint(content, at)
        values.append(value & 0xFFFFFFFFFFFFFFFF)
    return values


def _field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | BYTES]) + length + bytes([size]) + content
