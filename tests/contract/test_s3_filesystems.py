"""s3fs and its aiobotocore, which Airflow's object storage and pandas use, against the local S3."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import s3fs


@pytest.fixture
def files(server: Any) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        key="test",
        secret="test",
        endpoint_url=server.url,
        client_kwargs={"region_name": "us-east-1"},
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def test_a_tree_goes_up_down_and_away(files: s3fs.S3FileSystem, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    contents = {"a.csv": b"1,2\n", "dt=2026-01-01/data.csv": b"x" * 100_000, "deep/er/ü b.txt": b""}
    for name, body in contents.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(body)
    files.put(f"{source}/", f"{bucket}/tree/", recursive=True)
    assert sorted(files.find(f"{bucket}/tree")) == sorted(f"{bucket}/tree/{name}" for name in contents)
    assert files.ls(f"{bucket}/tree", detail=False) == [
        f"{bucket}/tree/a.csv",
        f"{bucket}/tree/deep",
        f"{bucket}/tree/dt=2026-01-01",
    ]
    assert files.isdir(f"{bucket}/tree/deep")
    assert not files.exists(f"{bucket}/tree/absent")
    files.get(f"{bucket}/tree/", f"{tmp_path}/target/", recursive=True)
    assert {name: (tmp_path / "target" / name).read_bytes() for name in contents} == contents
    files.mv(f"{bucket}/tree/a.csv", f"{bucket}/tree/b.csv")
    assert files.cat(f"{bucket}/tree/b.csv") == b"1,2\n"
    files.rm(f"{bucket}/tree", recursive=True)
    assert files.find(bucket) == []


def test_files_are_written_and_read_in_blocks(files: s3fs.S3FileSystem, bucket: str) -> None:
    body = os.urandom(12 * 1024 * 1024)
    with files.open(f"{bucket}/big", "wb", block_size=5 * 1024 * 1024) as file:
        for at in range(0, len(body), 1_000_000):
            file.write(body[at : at + 1_000_000])
    assert files.info(f"{bucket}/big")["ETag"].endswith('-3"')
    with files.open(f"{bucket}/big", "rb", block_size=1024 * 1024) as file:
        file.seek(5 * 1024 * 1024 - 10)
        assert file.read(20) == body[5 * 1024 * 1024 - 10 : 5 * 1024 * 1024 + 10]
    assert files.cat(f"{bucket}/big") == body
