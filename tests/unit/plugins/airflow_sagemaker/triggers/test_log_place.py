from __future__ import annotations

import pytest

from airflow_sagemaker.triggers.log_place import LogPlace


@pytest.mark.parametrize(
    ("prefix", "stream", "taken", "short"),
    [
        ("job/", "job/algo-1-1700000000", True, "algo-1"),
        ("job/", "job/i-0abc-1700000000", True, "i-0abc"),
        ("job/", "job/i-0abc-1700000000/data-log", True, "i-0abc/data-log"),
        ("job/", "job", True, "job"),
        ("job/", "job-2/algo-1-1", False, ""),
        ("job/", "job2", False, ""),
        ("tuning-", "tuning-001-abcd/algo-1-1700000000", True, "001-abcd/algo-1"),
        ("", "AllTraffic/i-0abc", True, "AllTraffic/i-0abc"),
    ],
)
def test_streams_of_every_kind(prefix: str, stream: str, taken: bool, short: str) -> None:
    place = LogPlace("group", prefix)
    assert place.takes(stream) == taken
    assert stream.startswith(place.stream_prefix) or not taken
    if taken:
        assert place.short(stream) == short
        assert place.line(stream, "text") == f"[{short}] text"
