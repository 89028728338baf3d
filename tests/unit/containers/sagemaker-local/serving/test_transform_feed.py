"""Feeding: every row once and in its place, memory bounded, room given back whatever fails."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.http import Answer
from sagemaker_local.serving.transform_feed import Feed, TransformError
from sagemaker_local.serving.transform_input import InputObject
from sagemaker_local.serving.transform_progress import Progress
from sagemaker_local.serving.transform_request import TransformSettings

BUCKET = "transform"
MIB = 1024 * 1024
Behaviour = Callable[[bytes], Awaitable[tuple[int, bytes]]]


class Container:
    """A model server whose answers a function gives; its own client."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.under_way = self.most_under_way = 0

    @contextmanager
    def use(self) -> Iterator[Container]:
        yield self

    async def request(
        self, method: str, path: str, headers: Any, body: bytes, *, timeout_s: float, sink: Any, keep: bool
    ) -> Answer:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            status, text = await self.behave(body)
        finally:
            self.under_way -= 1
        if status < 300:
            for start in range(0, len(text), 64 * 1024):
                sink(text[start : start + 64 * 1024])
            return Answer(status)
        return Answer(status, body=bytearray(text))


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket(BUCKET)
    yield store
    store.close()


def feed(
    objects: ObjectStore, work: Path, container: Container, *, payload_bytes: int, concurrent: int = 3,
    many_records: bool = True,
) -> tuple[Feed, Progress]:  # fmt: skip
    wanted = TransformSettings(
        by_line=True,
        many_records=many_records,
        max_payload_bytes=payload_bytes,
        max_concurrent=concurrent,
        gzip=False,
        assemble_by_line=True,
        timeout_s=60,
        retries=0,
        headers={},
        accept=None,
        processing=None,
    )
    progress = Progress(1, 1)
    servers: Any = [container]
    return Feed(wanted, objects, (BUCKET, "out"), work, servers, lambda line: None, progress), progress


def inputs(objects: ObjectStore, bodies: dict[str, bytes]) -> list[InputObject]:
    for name, body in bodies.items():
        objects.put(BUCKET, f"in/{name}", body)
    return [InputObject(BUCKET, f"in/{name}", name, len(body)) for name, body in bodies.items()]


def output(objects: ObjectStore, name: str) -> bytes:
    with objects.open(BUCKET, f"out/{name}.out") as stream:
        return stream.read()


@pytest.mark.parametrize("many_records", [True, False])
async def test_answers_are_in_order_however_they_come(
    objects: ObjectStore, tmp_path: Path, many_records: bool
) -> None:
    generator = random.Random(3)
    together, begun = asyncio.Barrier(4), 0

    async def answer(body: bytes) -> tuple[int, bytes]:
        nonlocal begun
        begun += 1
        if begun <= 4:
            await asyncio.wait_for(together.wait(), 60)
        await asyncio.sleep(generator.random() / 200)
        return 200, b"".join(b"of " + line + b"\n" for line in body.split(b"\n") if line)

    bodies = {
        f"{number}.csv": b"".join(b"%d,%d\n" % (number, row) for row in range(200)) for number in range(7)
    }
    container = Container(answer)
    feeding, progress = feed(
        objects, tmp_path, container, payload_bytes=100, concurrent=4, many_records=many_records
    )
    await feeding.run(inputs(objects, bodies))
    for number in range(7):
        wanted = b"".join(b"of %d,%d\n" % (number, row) for row in range(200))
        assert output(objects, f"{number}.csv") == wanted
    assert container.most_under_way == 4
    assert progress.rows == 1400
    assert progress.objects_done == 7


async def test_small_objects_are_under_way_together(objects: ObjectStore, tmp_path: Path) -> None:
    together = asyncio.Barrier(4)

    async def answer(body: bytes) -> tuple[int, bytes]:
        await asyncio.wait_for(together.wait(), 60)
        return 200, body

    feeding, _ = feed(objects, tmp_path, Container(answer), payload_bytes=MIB, concurrent=4)
    await feeding.run(inputs(objects, {f"{number}.csv": b"1\n" for number in range(8)}))


async def test_a_slow_answer_does_not_fill_the_memory(objects: ObjectStore, tmp_path: Path) -> None:
    """The first answer is late; the others must not pile up behind it."""
    late, taken = asyncio.Event(), 0

    async def answer(body: bytes) -> tuple[int, bytes]:
        nonlocal taken
        taken += 1
        if taken == 1:
            await late.wait()
        return 200, body

    body = b"".join(b"%0999d\n" % row for row in range(10_000))
    feeding, _ = feed(objects, tmp_path, Container(answer), payload_bytes=100_000, concurrent=2)
    running = asyncio.create_task(feeding.run(inputs(objects, {"a.csv": body})))
    async with asyncio.timeout(60):
        while taken < 2:  # noqa: ASYNC110 - the feed tells nobody what it has sent
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # for one too many
    assert 2 <= taken <= 4
    late.set()
    await running
    assert output(objects, "a.csv") == body


async def test_an_input_of_any_size_takes_the_same_memory(objects: ObjectStore, tmp_path: Path) -> None:
    async def answer(body: bytes) -> tuple[int, bytes]:
        return 200, body

    line = b"7" * 1023 + b"\n"
    found = inputs(objects, {"a.csv": line * 48 * 1024})
    feeding, _ = feed(objects, tmp_path, Container(answer), payload_bytes=MIB, concurrent=3)
    tracemalloc.start()
    try:
        await feeding.run(found)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MIB  # six payloads, their answers, and what is being written; the object has 48
    assert objects.head(BUCKET, "out/a.csv.out").size == 48 * MIB


async def test_objects_that_fail_give_their_room_back(objects: ObjectStore, tmp_path: Path) -> None:
    async def answer(body: bytes) -> tuple[int, bytes]:
        await asyncio.sleep(0)
        return (400, b"poison") if b"bad" in body else (200, body)

    bodies = {f"{number}.csv": b"1\nbad\n2\n3\n4\n" for number in range(20)} | {"z.csv": b"1\n2\n"}
    feeding, progress = feed(objects, tmp_path, Container(answer), payload_bytes=4, concurrent=2)
    with pytest.raises(TransformError, match=r"status 400: poison \(20 of 21 objects failed\)"):
        await asyncio.wait_for(feeding.run(inputs(objects, bodies)), 60)
    assert output(objects, "z.csv") == b"1\n2\n"
    assert progress.objects_done == 1
    assert [found.key for found in objects.iter_objects(BUCKET, "out/")] == ["out/z.csv.out"]
