"""Captured data on its way to S3: whole lines, each once, whatever an earlier server left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving import capture
from sagemaker_local.serving.capture import DataCapture
from sagemaker_local.serving.capture_record import capture_line

CONFIG = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://captured/prefix/",
    "CaptureOptions": [{"CaptureMode": "Input"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
}


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("captured")
    return store


def lines(objects: ObjectStore) -> list[str]:
    found = []
    for each in objects.iter_objects("captured"):
        with objects.open("captured", each.key) as stored:
            found += [
                json.loads(line)["captureData"]["endpointInput"]["data"]
                for line in stored.read().splitlines()
            ]
    return found


async def take(data: DataCapture, text: str) -> None:
    await data.capture(CONFIG, "endpoint", "AllTraffic", {"content-type": "text/csv"}, text.encode(), {}, b"")


async def test_an_unfinished_line_of_an_earlier_server_is_cut_off(
    tmp_path: Path, objects: ObjectStore
) -> None:
    directory = tmp_path / "capture"
    killed = DataCapture(directory, objects)
    directory.mkdir()
    await take(killed, "first")
    await take(killed, "second")
    (spool,) = directory.glob("*.jsonl")
    with spool.open("ab") as file:
        file.write(b'{"captureData": {"endpo')
    (directory / "orphan.json").write_text("{}")
    after = DataCapture(directory, objects)
    await after.start()
    await after.close()
    assert lines(objects) == ["first", "second"]
    assert list(directory.iterdir()) == []


async def test_large_files_become_objects_before_their_time(
    tmp_path: Path, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "FLUSH_BYTES", 1000)
    data = DataCapture(tmp_path / "capture", objects)
    await data.start()
    for number in range(10):
        await take(data, f"{number}" * 400)
        data._rotate()
    await data.close()
    assert len(list(objects.iter_objects("captured"))) >= 4
    assert len(lines(objects)) == 10


async def test_a_full_disk_fails_no_invocation(
    tmp_path: Path, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataCapture(tmp_path / "capture", objects)
    await data.start()
    monkeypatch.setattr(
        Path, "write_text", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    await take(data, "lost")
    monkeypatch.undo()
    await take(data, "kept")
    await data.close()
    assert lines(objects) == ["kept"]


def test_text_that_is_none_is_base64() -> None:
    line = json.loads(capture_line(CONFIG, {"content-type": "text/csv"}, b"\xff\xfe", {}, b"", 0.0))
    assert line["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert line["eventMetadata"]["inferenceTime"] == "1970-01-01T00:00:00Z"
