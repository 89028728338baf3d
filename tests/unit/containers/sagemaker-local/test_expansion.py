"""What is decompressed comes out as it went in, and not without end."""

from __future__ import annotations

import gzip
import io

import pytest

from sagemaker_local import expansion
from sagemaker_local.expansion import ExpandsTooMuch, Expansion


def stream(plain: bytes) -> tuple[io.BytesIO, int]:
    packed = gzip.compress(plain)
    return io.BytesIO(packed), len(packed)


def test_all_that_went_in_comes_out_however_often_it_was_cut() -> None:
    packed = gzip.compress(b"first\n") + gzip.compress(b"second\n")
    with Expansion().gunzip(io.BytesIO(packed), len(packed)) as plain:
        assert plain.readlines() == [b"first\n", b"second\n"]


def test_a_bomb_ends_at_its_bound_which_streams_of_one_expansion_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expansion, "ALLOWED_BYTES", 1_000_000)
    together = Expansion()
    assert len(together.gunzip(*stream(bytes(900_000))).read()) == 900_000
    with pytest.raises(ExpandsTooMuch, match="200 times"):
        together.gunzip(*stream(bytes(900_000))).read()
    assert len(Expansion().gunzip(*stream(bytes(900_000))).read()) == 900_000


def test_what_grows_as_data_does_may_be_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "ALLOWED_BYTES", 10)
    plain = "".join(f"{number},{number * number}\n" for number in range(10_000)).encode()
    assert Expansion().gunzip(*stream(plain)).read() == plain
