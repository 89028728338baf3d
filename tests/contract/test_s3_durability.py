"""Kill the server in the middle of a write: what is there afterwards is the old object or the new one."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

MIB = 1024 * 1024


def files_of(server: Any, folder: str) -> list[Path]:
    return [path for path in (server.data / "s3" / folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_put_killed_while_the_body_arrives(start_server: Callable[..., Any], old: bytes | None) -> None:
    server = start_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="survivors")
    s3.put_object(Bucket="survivors", Key="bystander", Body=b"unharmed", Metadata={"a": "b"})
    if old is not None:
        s3.put_object(Bucket="survivors", Key="k", Body=old)
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"PUT /survivors/k HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {20 * MIB}\r\n\r\n"
        connection.sendall(head.encode() + os.urandom(10 * MIB))
        deadline = time.monotonic() + 30
        while not files_of(server, "tmp"):
            assert time.monotonic() < deadline, "nothing was written in 30 s"
            time.sleep(0.01)
        server.kill()
    assert files_of(server, "tmp")
    server.start()
    s3 = server.client("s3")
    if old is None:
        with pytest.raises(ClientError, match="NoSuchKey"):
            s3.get_object(Bucket="survivors", Key="k")
    else:
        assert s3.get_object(Bucket="survivors", Key="k")["Body"].read() == old
    bystander = s3.get_object(Bucket="survivors", Key="bystander")
    assert (bystander["Body"].read(), bystander["Metadata"]) == (b"unharmed", {"a": "b"})
    assert files_of(server, "tmp") == []


def test_a_client_that_hangs_up_changes_nothing(start_server: Callable[..., Any]) -> None:
    server = start_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="survivors")
    s3.put_object(Bucket="survivors", Key="k", Body=b"old")
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"PUT /survivors/k HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {20 * MIB}\r\n\r\n"
        connection.sendall(head.encode() + os.urandom(4 * MIB))
        deadline = time.monotonic() + 30
        while not files_of(server, "tmp"):
            assert time.monotonic() < deadline, "nothing was written in 30 s"
            time.sleep(0.01)
    while files_of(server, "tmp"):
        assert time.monotonic() < deadline, "what the client left is still there after 30 s"
        time.sleep(0.01)
    assert s3.get_object(Bucket="survivors", Key="k")["Body"].read() == b"old"


def versions() -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield f"{number}:".encode() + bytes([number % 256]) * (300_000 + number)


def test_kills_at_any_moment_leave_whole_objects(start_server: Callable[..., Any]) -> None:
    """Overwrite two keys as fast as possible and kill the server, again and again.

    Each time counts from the first answer: how long that takes is the machine's.
    """
    server = start_server()
    server.client("s3").create_bucket(Bucket="survivors")
    bodies = versions()
    for delay_s in (0.0, 0.06, 0.12, 0.18):
        s3 = server.client("s3", retries={"total_max_attempts": 1})
        last: dict[str, tuple[bytes, bytes]] = {}
        answered = threading.Event()

        def overwrite(
            s3: Any = s3, last: dict[str, tuple[bytes, bytes]] = last, answered: threading.Event = answered
        ) -> None:
            previous = {"one": b"", "two": b""}
            while True:
                for key in ("one", "two"):
                    body = next(bodies)
                    last[key] = (previous[key], body)  # answered before, and under way
                    try:
                        s3.put_object(Bucket="survivors", Key=key, Body=body)
                    except (BotoCoreError, ClientError):
                        return
                    previous[key] = body
                    last[key] = (body, body)
                    answered.set()

        writer = threading.Thread(target=overwrite)
        writer.start()
        assert answered.wait(60), "no write was answered in 60 s"
        time.sleep(delay_s)
        server.kill()
        writer.join(60)
        assert not writer.is_alive()
        server.start()
        s3 = server.client("s3")
        for key, possible in last.items():
            if possible[0]:  # else no write of it was answered in this round: anything whole is right
                assert s3.get_object(Bucket="survivors", Key=key)["Body"].read() in possible
        listed = s3.list_objects_v2(Bucket="survivors").get("Contents", [])
        assert len(files_of(server, "blobs")) == len(listed)


def test_uploads_under_way_go_on_after_a_kill(start_server: Callable[..., Any]) -> None:
    server = start_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="survivors")
    upload = {"Bucket": "survivors", "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, Metadata={"a": "b"})["UploadId"]
    first = s3.upload_part(**upload, PartNumber=1, Body=b"1" * 5 * MIB)["ETag"]
    server.kill()
    server.start()
    s3 = server.client("s3")
    second = s3.upload_part(**upload, PartNumber=2, Body=b"2")["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    server.kill()
    server.start()
    answer = server.client("s3").get_object(Bucket="survivors", Key="k")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"1" * 5 * MIB + b"2", {"a": "b"})


def test_overwriting_does_not_disturb_a_reader(start_server: Callable[..., Any]) -> None:
    server = start_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="survivors")
    upload = {"Bucket": "survivors", "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    bodies = [os.urandom(8 * MIB), os.urandom(8 * MIB)]
    etags = [
        s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate(bodies, 1)
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    stream = s3.get_object(Bucket="survivors", Key="k")["Body"]
    begin = stream.read(MIB)
    s3.put_object(Bucket="survivors", Key="k", Body=b"new")  # both blobs of the old version are doomed now
    assert begin + stream.read() == b"".join(bodies)
    assert s3.get_object(Bucket="survivors", Key="k")["Body"].read() == b"new"
    deadline = time.monotonic() + 30
    while len(files_of(server, "blobs")) != 1:
        assert time.monotonic() < deadline, "the old version's blobs were never removed"
        time.sleep(0.05)
