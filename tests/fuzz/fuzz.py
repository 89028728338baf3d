"""Coverage-guided fuzzing of what reads bytes from strangers, by atheris (libFuzzer).

    PYTHONPATH=containers/sagemaker-local/src .venv/bin/python tests/fuzz/fuzz.py s3 -max_total_time=60

The first argument is a target below, the rest are libFuzzer's (https://llvm.org/docs/LibFuzzer.html#options).
A crash leaves its input beside the corpus, build/fuzz/<target>. `make fuzz` runs every
target for a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["sagemaker_local"]):
    from sagemaker_local import archives
    from sagemaker_local.auth.gate import AuthenticationGate
    from sagemaker_local.auth.keys import AccessKey, KeyRing
    from sagemaker_local.errors import AwsError
    from sagemaker_local.faults.plan import FaultPlan
    from sagemaker_local.logs.filter_pattern import compile_pattern
    from sagemaker_local.protocol import parse_json, service_model, without_nulls
    from sagemaker_local.s3 import xml
    from sagemaker_local.s3.app import create_app
    from sagemaker_local.s3.chunked import ChunkedDecoder
    from sagemaker_local.s3.object_store import ObjectStore
    from sagemaker_local.validation import validate

ROOT = Path(__file__).resolve().parents[2]
LOOP = asyncio.new_event_loop()
SHAPES = [
    service_model(service).operation_model(operation).input_shape
    for service, operation in (
        ("sagemaker", "CreateTrainingJob"),
        ("sagemaker", "CreateEndpointConfig"),
        ("sagemaker", "ListTrainingJobs"),
        ("logs", "PutLogEvents"),
    )
]
HEADERS = [
    b"range",
    b"content-md5",
    b"x-amz-content-sha256",
    b"x-amz-copy-source",
    b"x-amz-tagging",
    b"if-match",
    b"x-amz-checksum-crc32",
    b"x-amz-trailer",
    b"x-amz-decoded-content-length",
    b"content-encoding",
    b"if-modified-since",
    b"x-amz-meta-a",
    b"authorization",
    b"x-amz-date",
    b"content-length",
]


def chunked(data: bytes) -> None:
    """The aws-chunked encoding: payload or an error of S3's."""
    decoder = ChunkedDecoder()
    with contextlib.suppress(AwsError):
        for start in range(0, len(data), 7):
            decoder.feed(data[start : start + 7])
        decoder.finish()


def document(data: bytes) -> None:
    """XML that comes in."""
    with contextlib.suppress(AwsError):
        xml.parse(data, "Delete")


def request(data: bytes) -> None:
    """A JSON request against shapes of the model."""
    provider = atheris.FuzzedDataProvider(data)
    shape = SHAPES[provider.ConsumeIntInRange(0, len(SHAPES) - 1)]
    with contextlib.suppress(AwsError):
        parsed = parse_json(provider.ConsumeBytes(len(data)))
        if isinstance(parsed, dict):
            validate(shape, parsed)
            json.dumps(without_nulls(parsed), allow_nan=False).encode()


def faults(data: bytes) -> None:
    """A fault plan."""
    with contextlib.suppress(AwsError, ValueError, RecursionError):
        FaultPlan().replace(json.loads(data))


def pattern(data: bytes) -> None:
    """A filter pattern of the logs."""
    with contextlib.suppress(AwsError, ValueError):
        compile_pattern(data.decode("utf-8", "replace"))("some message")


def archive(data: bytes) -> None:
    """A tar archive: nothing lands outside its directory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        base = Path(folder)
        (base / "a").write_bytes(data)
        with contextlib.suppress(tarfile.TarError, EOFError, OSError):
            archives.unpack(base / "a", base / "deep" / "out")
        inside = os.path.realpath(base / "deep" / "out")
        assert sorted(os.listdir(base)) in (["a"], ["a", "deep"])
        for place, folders, files in os.walk(inside):
            for name in (*folders, *files):
                assert os.path.realpath(os.path.join(place, name)).startswith(inside)


class Asgi:
    """One HTTP request made of fuzzed bytes; the status of its answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, data: bytes) -> int:
        provider = atheris.FuzzedDataProvider(data)
        method = provider.PickValueInList(["GET", "PUT", "POST", "DELETE", "HEAD"])
        path = provider.PickValueInList([b"/fuzz/", b"/fuzz/key", b"/", b""]) + provider.ConsumeBytes(12)
        query = provider.PickValueInList(
            [b"", b"uploads", b"delete", b"tagging", b"list-type=2&", b"uploadId="]
        )
        query += provider.ConsumeBytes(24)
        headers = [(b"host", b"localhost")]
        for _ in range(provider.ConsumeIntInRange(0, 3)):
            headers.append((provider.PickValueInList(HEADERS), provider.ConsumeBytes(30)))
        body = provider.ConsumeBytes(len(data))
        scope = {"type": "http", "method": method, "path": path.decode("latin-1"), "raw_path": path,
                 "query_string": query, "headers": headers}  # fmt: skip
        return LOOP.run_until_complete(self._ask(scope, body))

    async def _ask(self, scope: dict[str, Any], body: bytes) -> int:
        statuses: list[int] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                for _, value in message["headers"]:
                    assert b"\n" not in value
                    assert b"\r" not in value

        await self.app(scope, receive, send)
        return statuses[0]


def s3_target() -> Callable[[bytes], None]:
    """The whole of S3 on a store of its own: never a 500."""
    store = ObjectStore(Path(tempfile.mkdtemp(dir="/dev/shm", prefix="fuzz-s3-")))
    store.create_bucket("fuzz")
    ask = Asgi(create_app(store))

    def s3(data: bytes) -> None:
        assert ask(data) != 500

    return s3


def gate_target() -> Callable[[bytes], None]:
    """Authentication: nobody gets in without a signature, and nothing fails on the way."""

    async def never(scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError(f"let in: {scope}")

    ask = Asgi(AuthenticationGate(never, KeyRing(AccessKey("AKID", "secret")), "us-east-1"))

    def gate(data: bytes) -> None:
        assert 400 <= ask(data) < 500

    return gate


TARGETS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "chunked": lambda: chunked,
    "document": lambda: document,
    "request": lambda: request,
    "faults": lambda: faults,
    "pattern": lambda: pattern,
    "archive": lambda: archive,
    "s3": s3_target,
    "gate": gate_target,
}
SEEDS: dict[str, list[bytes]] = {
    "chunked": [b"5;chunk-signature=ab\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"],
    "document": [b"<Delete><Object><Key>k</Key></Object></Delete>"],
    "request": [
        b'\x00{"TrainingJobName": "a", "HyperParameters": {"k": "v"}, "Tags": [{"Key": "k", "Value": "v"}]}'
    ],
    "faults": [b'{"rules": [{"service": "s3", "error": "throttling", "probability": 0.5, "count": 1}]}'],
    "pattern": [b'?ERROR -INFO "some phrase"'],
    "s3": [b"\x01\x01\x00key"],
    "gate": [
        b"\x01AWS4-HMAC-SHA256 Credential=AKID/20200101/us-east-1/s3/aws4_request,"
        b" SignedHeaders=host, Signature=00"
    ],
}


def main() -> None:
    """Fuzz one target until libFuzzer stops."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        raise SystemExit(f"usage: {sys.argv[0]} {{{','.join(TARGETS)}}} [libFuzzer options]")
    corpus = ROOT / "build" / "fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS.get(name, [])):
        (corpus / f"seed-{number}").write_bytes(seed)
    if name == "archive":
        with tarfile.open(corpus / "seed-tar", "w") as tar:
            tar.add(Path(__file__), "folder/file")
    options = [sys.argv[0], str(corpus), f"-artifact_prefix={corpus.parent}/{name}-", *sys.argv[2:]]
    atheris.Setup(options, TARGETS[name]())
    try:
        atheris.Fuzz()
    finally:
        for left in Path("/dev/shm").glob("fuzz-s3-*"):
            shutil.rmtree(left, ignore_errors=True)


if __name__ == "__main__":
    main()
