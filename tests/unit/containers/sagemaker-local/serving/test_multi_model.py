"""A multi-model container in every executor: bounded memory, bounded disk."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from sagemaker_local.executors.base import Executor
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import Artefact
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.multi_model import MEMORY_SHARE, TARGET_MODEL, MultiModelServer
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
