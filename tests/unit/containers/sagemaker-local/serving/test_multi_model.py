"""A multi-model container in every executor: bounded memory, bounded disk."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sagemaker_local.executors.base import Executor
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import Artefact
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.http import Answer, Client
from sagemaker_local.serving.multi_model import MEMORY_SHARE, TARGET_MODEL, LoadFailed, MultiModelServer
from sagemaker_local.serving.multi_model_files import ModelFiles
from sagemaker_local.serving.process_memory import resident_bytes

SERVE = Path(__file__).parents[4] / "contract" / "images" / "multi-model" / "src" / "serve"
MIB = 1024 * 1024
BALLAST_MIB = 40
LIMIT_MIB = 200


def archive(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{name}.txt")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("models")
    for number in range(8):
        packed = archive(version=str(number), ballast=str(BALLAST_MIB))
        store.put("models", f"many/{number}.tar.gz", io.BytesIO(packed))
    return store


@pytest.fixture
async def server(
    make_image: Callable[[str, Mapping[str, str]], str],
    executor: Executor,
    objects: ObjectStore,
    tmp_path: Path,
) -> AsyncIterator[MultiModelServer]:
    image = make_image("many", {"serve": SERVE.read_text()})
    server = MultiModelServer(
        Container(image, Artefact("s3://models/many/", is_prefix=True), multi_model=True),
        tmp_path / "opt-ml",
        environment={},
        executor=executor,
        objects=objects,
        log=print,
        start_timeout_s=120,
        memory_bytes=int(LIMIT_MIB * MIB / MEMORY_SHARE),
    )
    await server.start()
    yield server
    await server.stop(5)


async def ask(server: MultiModelServer, number: int) -> str:
    headers = {TARGET_MODEL: f"{number}.tar.gz"}
    async with server.set_up(headers):
        answer = await server.invoke(headers, b"", timeout_s=60)
    version: str = json.loads(answer.body)["version"]
    return version


async def test_memory_stays_below_the_instances_whatever_is_asked_for(server: MultiModelServer) -> None:
    for number in [*range(8), *range(8)]:
        assert await ask(server, number) == str(number)
        assert server.pid is not None
        assert resident_bytes(server.pid) <= LIMIT_MIB * MIB
    held = [number for number in range(8) if server.holds(f"{number}.tar.gz")]
    assert 1 < len(held) < 8
    assert held[-1] == 7, "the last one asked for is there"


class Small:
    """A container with room for so many models, which unloads once it may."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.held = capacity, set[str]()
        self.unloading, self.may_unload = asyncio.Event(), asyncio.Event()
        self.refused: asyncio.Queue[str] = asyncio.Queue()
        self.loads = 0

    async def request(
        self, method: str, path: str, _headers: Any = None, body: bytes = b"", **_: Any
    ) -> Answer:
        await asyncio.sleep(0)
        if method == "DELETE":
            self.unloading.set()
            await self.may_unload.wait()
            self.held.remove(path.rpartition("/")[2])
        elif path == "/models":
            name = json.loads(body)["model_name"]
            if len(self.held) >= self.capacity:
                self.refused.put_nowait(name)
                return Answer(status=507)
            self.loads += 1
            self.held.add(name)
        else:
            assert path.split("/")[2] in self.held, "the model is not loaded"
        return Answer(status=200, body=bytearray(b'{"version": ""}'))


def small_server(objects: ObjectStore, directory: Path, container: Small) -> MultiModelServer:
    server = MultiModelServer(
        Container("image", Artefact("s3://models/many/", is_prefix=True), multi_model=True),
        directory,
        environment={},
        executor=cast(Executor, SimpleNamespace(name="process", network_interface="lo")),
        objects=objects,
        log=print,
        start_timeout_s=30,
        memory_bytes=MIB,
    )
    server._client = cast(Client, container)
    server._files.clear()
    return server


async def test_who_asks_while_the_last_model_is_being_unloaded_waits_for_the_room(
    objects: ObjectStore, tmp_path: Path
) -> None:
    container = Small(1)
    server = small_server(objects, tmp_path, container)
    await ask(server, 0)
    second = asyncio.create_task(ask(server, 1))
    await container.unloading.wait()
    await container.refused.get()
    third = asyncio.create_task(ask(server, 2))
    await container.refused.get()  # the container holds none but the one that goes
    container.may_unload.set()
    async with asyncio.timeout(60):
        await asyncio.gather(second, third)


async def test_models_that_are_asked_for_at_once_do_not_drive_each_other_out_before_they_answer(
    objects: ObjectStore, tmp_path: Path
) -> None:
    container = Small(1)
    container.may_unload.set()
    server = small_server(objects, tmp_path, container)
    async with asyncio.timeout(60):
        await asyncio.gather(*(ask(server, number) for number in range(8)))
    assert container.loads == 8


async def test_none_waits_for_ever_where_there_is_no_room_at_all(
    objects: ObjectStore, tmp_path: Path
) -> None:
    server = small_server(objects, tmp_path, Small(0))
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(ask(server, number) for number in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LoadFailed] * 3


def test_files_of_models_that_are_not_in_use_go_when_the_disk_is_full(
    objects: ObjectStore, tmp_path: Path
) -> None:
    files = ModelFiles(tmp_path / "models", objects, disk_bytes=10)
    files.clear()
    for number in range(5):  # each is 3 bytes: the version and the ballast's two digits
        artefact = Artefact(f"s3://models/many/{number}.tar.gz")
        files.place(f"name-{number}", artefact, lambda name: name == "name-0")
    kept = sorted(each.name for each in (tmp_path / "models").iterdir())
    assert kept == ["name-0", "name-3", "name-4"]
