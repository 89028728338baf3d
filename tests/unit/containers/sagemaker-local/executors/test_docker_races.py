"""What Docker's engine answers late, or differently because others use it too; no engine needed."""

from __future__ import annotations

import asyncio
import http.server
import json
import socketserver
import tempfile
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiodocker import DockerError
from aiodocker.stream import Message

from sagemaker_local.executors import docker_engine, docker_program, docker_reaper
from sagemaker_local.executors.base import Program
from sagemaker_local.executors.docker_network import SUBNET_ATTEMPTS, ContainerNetworks
from sagemaker_local.executors.docker_program import ContainerProgram
from sagemaker_local.settings import Settings

TWO_HOSTS = {"algo-1": "127.64.1.1", "algo-2": "127.64.1.2"}


class Networks:
    """The engine's networks: each has a subnet that no other has; names are not given twice."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.deleted: Callable[[str], None] = lambda subnet: None
        self.refused: dict[str, int] = {}
        """Networks that cannot be removed so many times, because something is still in them."""

    async def create(self, request: dict[str, Any]) -> Network:
        await asyncio.sleep(0)
        name = request["Name"]
        if name in self.there:
            raise DockerError(409, f"network with name {name} already exists")
        free = (f"10.0.{number}.0/24" for number in range(250))
        subnet = next(each for each in free if each not in self.there.values())
        if asked := request.get("IPAM"):
            subnet = asked["Config"][0]["Subnet"]
            if subnet in self.there.values():
                raise DockerError(403, "Pool overlaps with other one on this address space")
        self.there[name] = subnet
        return Network(self, name)

    async def get(self, name: str) -> Network:
        if name not in self.there:
            raise DockerError(404, f"network {name} not found")
        return Network(self, name)


class Network:
    def __init__(self, networks: Networks, name: str) -> None:
        self.networks, self.name = networks, name

    async def show(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        subnet = self.networks.there[self.name]
        return {"IPAM": {"Config": [{"Subnet": subnet, "Gateway": subnet.replace("0/24", "1")}]}}

    async def delete(self) -> None:
        if self.networks.refused.get(self.name, 0) > 0:
            self.networks.refused[self.name] -= 1
            raise DockerError(403, f"{self.name} has active endpoints")
        self.networks.deleted(self.networks.there.pop(self.name))


class Docker:
    def __init__(self) -> None:
        self.networks: Any = Networks()


@pytest.fixture
def docker() -> Any:
    return Docker()


@pytest.fixture
def networks(settings: Settings) -> ContainerNetworks:
    return ContainerNetworks(settings, {"whose": "mine"})


def host(name: str, hosts: dict[str, str]) -> Program:
    return Program("image", Path("/ml"), network=False, host_name=name, hosts=hosts)


async def test_a_subnet_that_somebody_else_was_given_in_between_is_not_asked_for_again(docker, networks):
    taken: list[str] = []

    def take(subnet: str) -> None:
        if len(taken) < SUBNET_ATTEMPTS - 1:
            taken.append(subnet)
            docker.networks.there[f"stranger-{len(taken)}"] = subnet

    docker.networks.deleted = take
    joined = await networks.join(docker, host("algo-2", TWO_HOSTS))
    assert len(taken) == SUBNET_ATTEMPTS - 1
    assert joined.address == f"10.0.{SUBNET_ATTEMPTS - 1}.3"
    assert docker.networks.there[joined.network] == f"10.0.{SUBNET_ATTEMPTS - 1}.0/24"


async def test_a_subnet_that_is_never_to_be_had_is_the_engines_refusal(docker, networks):
    docker.networks.deleted = lambda subnet: docker.networks.there.update({f"stranger {subnet}": subnet})
    with pytest.raises(DockerError, match="overlaps"):
        await networks.join(docker, host("algo-1", TWO_HOSTS))


@pytest.mark.parametrize("steps", range(1, 4))
async def test_a_start_that_is_broken_off_does_not_keep_the_next_from_the_network(docker, networks, steps):
    broken_off = asyncio.create_task(networks.join(docker, host("algo-1", TWO_HOSTS)))
    for _ in range(steps):
        await asyncio.sleep(0)
    broken_off.cancel()
    await asyncio.gather(broken_off, return_exceptions=True)
    joined = await networks.join(docker, host("algo-1", TWO_HOSTS))
    assert list(docker.networks.there) == [joined.network]


async def test_what_the_reaper_of_a_killed_server_is_removing_is_gone_in_a_moment(docker, monkeypatch):
    monkeypatch.setattr(docker_engine, "REMOVE_POLL_S", 0)
    docker.networks.there["left"], docker.networks.refused["left"] = "10.0.9.0/24", 3
    await docker_engine.remove_network(docker, "left")
    assert docker.networks.there == {}
    answers = [DockerError(409, "removal is already in progress")] * 2 + [
        DockerError(404, "no such container")
    ]

    async def delete(**_: Any) -> None:
        raise answers.pop(0)

    container = type("Container", (), {"delete": staticmethod(delete)})
    docker.containers = type("Containers", (), {"container": lambda self, identity: container})()
    await docker_engine.remove_container(docker, "left")
    assert answers == []


async def test_a_network_that_cannot_be_removed_keeps_no_other(docker, networks, monkeypatch):
    monkeypatch.setattr(docker_engine, "REMOVE_TIMEOUT_S", 0)
    monkeypatch.setattr(docker_engine, "REMOVE_POLL_S", 0)
    others = {"algo-1": "127.64.2.1", "algo-2": "127.64.2.2"}
    first = await networks.join(docker, host("algo-1", TWO_HOSTS))
    await networks.join(docker, host("algo-1", others))
    docker.networks.refused = {first.network: 1000}
    await networks.close(docker)
    assert list(docker.networks.there) == [first.network]
    docker.networks.refused = {}
    assert (await networks.join(docker, host("algo-1", TWO_HOSTS))).network == first.network


class Container:
    """A container that printed a line and ended.

    Args:
        states: Of it, one for each look; the last stays.
        memory: Its limit.
        delete: The engine's answer when it is to be removed.
    """

    def __init__(self, code: int, states: list[bool], memory: int, delete: Exception | None = None) -> None:
        self.code, self.states, self.memory, self.delete_error = code, states, memory, delete
        self.ended = asyncio.Event()
        self.looks = 0

    async def wait(self, **_: Any) -> dict[str, int]:
        await self.ended.wait()
        return {"StatusCode": self.code}

    async def show(self) -> dict[str, Any]:
        self.looks += 1
        killed = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"State": {"OOMKilled": killed}, "HostConfig": {"Memory": self.memory}}

    async def kill(self, signal: str) -> None:
        self.ended.set()

    async def delete(self, **_: Any) -> None:
        if self.delete_error:
            raise self.delete_error


class Output:
    def __init__(self) -> None:
        self.messages = [Message(1, b"hello\n")]

    async def read_out(self) -> Message | None:
        return self.messages.pop() if self.messages else None

    async def close(self) -> None: ...


def follow(container: Container) -> tuple[ContainerProgram, list[str]]:
    docker: Any = Docker()
    docker.containers = type("Containers", (), {"container": lambda self, identity: container})()
    said: list[str] = []

    async def ended() -> None:
        said.append("ended")

    output: Any = Output()
    program = ContainerProgram(
        docker, "c" * 64, pid=0, address=None, output=output, log=said.append, ended=ended
    )
    return program, said


@pytest.mark.parametrize(
    ("code", "states", "memory", "out_of_memory", "looks"),
    [
        (137, [False, False, True], 64, True, 3),
        (137, [False], 64, False, docker_program.OOM_LOOKS),
        (137, [False], 0, False, 1),
        (1, [False], 64, False, 1),
        (1, [True], 64, True, 1),
    ],
    ids=["told late", "killed itself", "no limit", "failed", "failed without what was killed"],
)
async def test_that_memory_ran_out_may_be_told_after_the_end(
    monkeypatch, code, states, memory, out_of_memory, looks
):
    monkeypatch.setattr(docker_program, "OOM_POLL_S", 0)
    container = Container(code, states, memory)
    container.ended.set()
    program, said = follow(container)
    assert await program.wait() == code
    assert (program.out_of_memory, container.looks) == (out_of_memory, looks)
    assert said == ["hello", "ended"]


async def test_nobody_waits_for_the_cause_of_a_death_that_was_asked_for():
    container = Container(137, [False], 64)
    program, _ = follow(container)
    assert await program.stop(0) == 137
    assert (program.out_of_memory, container.looks) == (False, 1)


async def test_a_container_that_cannot_be_removed_leaves_its_network_all_the_same(monkeypatch):
    monkeypatch.setattr(docker_engine, "REMOVE_TIMEOUT_S", 0)
    container = Container(0, [False], 0, DockerError(500, "device or resource busy"))
    container.ended.set()
    program, said = follow(container)
    assert await program.wait() == 0
    assert said == ["hello", "ended"]


class NewEngine(http.server.BaseHTTPRequestHandler):
    """Refuses versions of its API that it finds too old, as Docker 29 does."""

    deleted: list[str]

    def address_string(self) -> str:
        return "unix"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.startswith("/v"):
            return self.answer(400, {"message": "client version 1.40 is too old. Minimum supported is 1.44"})
        label = json.loads(urllib.parse.parse_qs(query)["filters"][0])
        assert label == {"label": ["whose=mine"]}
        return self.answer(200, [{"Id": f"{path.split('/')[1]}-1"}])

    def do_DELETE(self) -> None:
        self.deleted.append(self.path)
        self.answer(204, None)

    def answer(self, status: int, body: Any) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if data:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def engine() -> Iterator[tuple[str, list[str]]]:
    deleted: list[str] = []
    handler = type("Handler", (NewEngine,), {"deleted": deleted})
    # A socket's path may have 107 characters, and a test's own directory more.
    with (
        tempfile.TemporaryDirectory() as folder,
        socketserver.UnixStreamServer(path := f"{folder}/engine.sock", handler) as server,
    ):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield path, deleted
        server.shutdown()
        thread.join()


def test_the_reaper_speaks_to_engines_of_every_age(engine):
    path, deleted = engine
    docker_reaper.remove(path, "whose=mine")
    assert deleted == ["/containers/containers-1?force=1&v=1", "/networks/networks-1"]
