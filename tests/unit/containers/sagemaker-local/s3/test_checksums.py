from __future__ import annotations

import base64
import zlib

import crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.s3 import checksums

BODIES = st.lists(st.binary(max_size=200), min_size=1, max_size=6)

# The catalogue's check values: the CRC of b"123456789". https://reveng.sourceforge.io/crc-catalogue/all.htm
CHECK_VALUES = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}


@pytest.mark.parametrize(("algorithm", "value"), CHECK_VALUES.items())
def test_crcs_are_the_catalogues(algorithm: str, value: str) -> None:
    assert base64.b64decode(checksums.checksum(algorithm, [b"123456789"])).hex() == value


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
@given(bodies=BODIES)
def test_pieces_make_the_checksum_of_the_whole(algorithm: str, bodies: list[bytes]) -> None:
    assert checksums.checksum(algorithm, bodies) == checksums.checksum(algorithm, [b"".join(bodies)])


@pytest.mark.parametrize("algorithm", checksums.POLYNOMIALS)
@given(bodies=BODIES)
def test_checksums_of_parts_combine_to_that_of_the_whole(algorithm: str, bodies: list[bytes]) -> None:
    parts = [(checksums.checksum(algorithm, [body]), len(body)) for body in bodies]
    assert checksums.full_object(algorithm, parts) == checksums.checksum(algorithm, bodies)


def test_a_composite_is_the_checksum_of_checksums() -> None:
    parts = [checksums.checksum("CRC32", [body]) for body in (b"one", b"two")]
    joined = b"".join(zlib.crc32(body).to_bytes(4, "big") for body in (b"one", b"two"))
    expected = base64.b64encode(zlib.crc32(joined).to_bytes(4, "big")).decode()
    assert checksums.composite("CRC32", parts) == f"{expected}-2"


def test_crc32c_is_not_crc32() -> None:
    assert checksums.checksum("CRC32C", [b"x"]) == checksums.encode(crc32c.crc32c(b"x").to_bytes(4, "big"))
    assert checksums.checksum("CRC32C", [b"x"]) != checksums.checksum("CRC32", [b"x"])


@pytest.mark.parametrize(
    ("algorithm", "value", "fits"),
    [
        ("CRC32", "AAAAAA==", True),
        ("CRC32", "AAAAAAAAAAA=", False),
        ("CRC64NVME", "AAAAAAAAAAA=", True),
        ("CRC32", "no base64", False),
        ("SHA1", "", False),
    ],
)
def test_a_value_must_have_the_algorithms_size(algorithm: str, value: str, fits: bool) -> None:
    assert checksums.is_well_formed(algorithm, value) is fits
