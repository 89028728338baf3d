"""The checksums that S3 takes and gives, and how those of parts make that of an object.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import crc32c

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"
HEADER_PREFIX = "x-amz-checksum-"


class Hasher(Protocol):
    """What hashlib's objects have in common with the CRCs here."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """The checksum of all bytes so far, big-endian."""


# Reflected polynomials; https://reveng.sourceforge.io/crc-catalogue/all.htm
POLYNOMIALS = {"CRC32": (32, 0xEDB88320), "CRC32C": (32, 0x82F63B78), "CRC64NVME": (64, 0x9A6C9329AC4BC9B5)}


_WORDS = struct.Struct("<Q")


@lru_cache(maxsize=1)
def _crc64_tables() -> tuple[tuple[int, ...], ...]:
    """Slicing-by-8 tables for CRC-64/NVME."""
    _, polynomial = POLYNOMIALS["CRC64NVME"]
    first = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        first.append(value)
    tables = [first]
    for _ in range(7):
        tables.append([first[value & 0xFF] ^ (value >> 8) for value in tables[-1]])
    return tuple(tuple(table) for table in tables)


def crc64nvme(data: bytes, previous: int = 0) -> int:
    """CRC-64/NVME in plain Python, about 10 MB/s: no wheel without AWS's native runtime computes it."""
    t0, t1, t2, t3, t4, t5, t6, t7 = _crc64_tables()
    value = previous ^ 0xFFFFFFFFFFFFFFFF
    whole = len(data) - len(data) % 8
    for (word,) in _WORDS.iter_unpack(memoryview(data)[:whole]):
        value ^= word
        value = (
            t7[value & 0xFF]
            ^ t6[value >> 8 & 0xFF]
            ^ t5[value >> 16 & 0xFF]
            ^ t4[value >> 24 & 0xFF]
            ^ t3[value >> 32 & 0xFF]
            ^ t2[value >> 40 & 0xFF]
            ^ t1[value >> 48 & 0xFF]
            ^ t0[value >> 56]
        )
    for byte in data[whole:]:
        value = t0[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFFFFFFFFFF


class _Crc:
    def __init__(self, step: Callable[[bytes, int], int], width_bits: int) -> None:
        self._step, self._size, self._value = step, width_bits // 8, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


ALGORITHMS: Mapping[str, Callable[[], Hasher]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 32),
    "CRC32C": lambda: _Crc(crc32c.crc32c, 32),
    "CRC64NVME": lambda: _Crc(crc64nvme, 64),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
}


def header_name(algorithm: str) -> str:
    """The request and response header of an algorithm."""
    return HEADER_PREFIX + algorithm.lower()


ALGORITHM_BY_HEADER = {header_name(algorithm): algorithm for algorithm in ALGORITHMS}


def encode(digest: bytes) -> str:
    """A digest as it stands in headers and XML."""
    return base64.b64encode(digest).decode("ascii")


def is_well_formed(algorithm: str, value: str) -> bool:
    """Whether a header's value is base64 of the algorithm's size."""
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(digest) == len(ALGORITHMS[algorithm]().digest())


def checksum(algorithm: str, chunks: Iterable[bytes]) -> str:
    """The base64 checksum of some bytes."""
    hasher = ALGORITHMS[algorithm]()
    for chunk in chunks:
        hasher.update(chunk)
    return encode(hasher.digest())


def composite(algorithm: str, part_checksums: Sequence[str]) -> str:
    """The checksum of checksums of a multipart upload, ``…-N``."""
    joined = checksum(algorithm, (base64.b64decode(value) for value in part_checksums))
    return f"{joined}-{len(part_checksums)}"


def full_object(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of an object from the CRC and size of each part, without reading the bytes again."""
    width_bits, polynomial = POLYNOMIALS[algorithm]
    value = 0
    for part, size in parts:
        value = _shift(value, size, width_bits, polynomial) ^ int.from_bytes(base64.b64decode(part), "big")
    return encode(value.to_bytes(width_bits // 8, "big"))


def _shift(value: int, size: int, width_bits: int, polynomial: int) -> int:
    """Advance a CRC over ``size`` zero bytes: zlib's crc32_combine, for any reflected polynomial."""
    bits = size * 8
    # An operator maps each bit of the CRC to what it becomes; squaring doubles the number of zero bits.
    operator = [polynomial, *(1 << bit for bit in range(width_bits - 1))]
    while bits:
        if bits & 1:
            value = _apply(operator, value)
        operator = [_apply(operator, column) for column in operator]
        bits >>= 1
    return value


def _apply(operator: Sequence[int], value: int) -> int:
    result, bit = 0, 0
    while value:
        if value & 1:
            result ^= operator[bit]
        value >>= 1
        bit += 1
    return result
