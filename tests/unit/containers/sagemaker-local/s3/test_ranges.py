from __future__ import annotations

import pytest

from sagemaker_local.s3.errors import InvalidRange
from sagemaker_local.s3.ranges import parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-", (0, 10)),
        ("bytes=9-9", (9, 1)),
        ("bytes=2-100", (2, 8)),
        ("bytes=-4", (6, 4)),
        ("bytes=-40", (0, 10)),
        # not one range of bytes: everything, as RFC 9110 lets a server do
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_ranges_of_ten_bytes(header: str | None, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_ranges_outside_are_refused(header: str, size: int) -> None:
    with pytest.raises(InvalidRange) as error:
        parse_range(header, size)
    assert error.value.details == {"RangeRequested": header, "ActualObjectSize": str(size)}
