"""The Docker executor by itself: what programs see, how they end, and what is left of them."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.executors.base import ImageError, Limits, Mount, Program, Source
from sagemaker_local.executors.docker import DockerExecutor
from sagemaker_local.executors.docker_engine import LABEL_DATA
from sagemaker_local.images.environments import EnvironmentCache
from sagemaker_local.images.image import ImageFolders
from sagemaker_local.settings import Settings
from tests.docker.conftest import BASE, docker

END_S = 120.0
MIB = 1024**2
DOCKERFILE = f"""FROM {BASE}
COPY src/ /opt/program/
ENV PATH=/opt/program:$PATH GREETING=hello
WORKDIR /opt/program
"""


class Hello(BaseHTTPRequestHandler):
    """Stands in for the server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def own_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def containers(tmp_path: Path) -> Path:
    """A folder of two images."""
    for name, more in (("plain", 'CMD ["python", "-c", "print(1)"]\n'), ("as-user", "USER 1234:1234\n")):
        source = tmp_path / "containers" / name / "src"
        source.mkdir(parents=True)
        (source.parent / "Dockerfile").write_text(DOCKERFILE + more)
        (source / "hello").write_text("#!/bin/sh\necho hello from the image\n")
        (source / "hello").chmod(0o755)
    return tmp_path / "containers"


@pytest.fixture
def settings(tmp_path: Path, containers: Path, own_port: int) -> Settings:
    return Settings(data_dir=tmp_path / "data", containers_dir=containers, port=own_port, executor="docker")


@pytest.fixture
async def executor(settings: Settings) -> AsyncIterator[DockerExecutor]:
    made = make(settings)
    yield made
    await made.close()
    assert left(settings) == []


def make(settings: Settings) -> DockerExecutor:
    folders = ImageFolders(settings.containers_dir, EnvironmentCache(settings.data_dir / "venvs"))
    return DockerExecutor(folders, settings)


def left(settings: Settings) -> list[str]:
    """Containers and networks in the engine of this data directory."""
    label = f"label={LABEL_DATA}={settings.data_dir}"
    found = docker("ps", "-aq", "--filter", label) + "\n" + docker("network", "ls", "-q", "--filter", label)
    return found.split()


class Ran:
    """A program that ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.code: int | None = None
        self.out_of_memory = False


@pytest.fixture
def run(executor: DockerExecutor, tmp_path: Path) -> Callable[..., Any]:
    """Runs a Python program, or a command, to its end."""

    async def run(*command: str, python: str = "", **more: Any) -> Ran:
        ran = Ran()
        opt_ml = tmp_path / "ml"
        opt_ml.mkdir(exist_ok=True)
        command = command or ("python", "-c", python)
        program = Program(**{"image": "registry/plain:1", "opt_ml": opt_ml, "entrypoint": command, **more})
        running = await executor.start(program, ran.lines.append)
        ran.code = await asyncio.wait_for(running.wait(), END_S)
        ran.out_of_memory = running.out_of_memory
        ran.lines = [line for line in ran.lines if not built(line)]
        return ran

    return run


def built(line: str) -> bool:
    """Whether a line is the engine's, of a build."""
    return line.startswith(("sagemaker-local: ", "Step ", " ---> ", "Removing ", "Successfully "))


async def test_both_streams_arrive_line_by_line_in_the_order_they_were_printed(run):
    program = """
import sys
for number in range(300):
    print(number, file=sys.stderr if number % 2 else sys.stdout)
print("no line end", end="")
"""
    ran = await run(python=program)
    assert ran.lines == [*map(str, range(300)), "no line end"]
    assert ran.code == 0


@pytest.mark.parametrize(
    ("python", "code"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137), ("1/0", 1)],
)
async def test_exit_codes(run, python, code):
    assert (await run(python=python)).code == code


async def test_a_program_that_is_not_there_ends_with_127_and_a_reason(run):
    ran = await run("no-such-program")
    assert ran.code == 127
    assert "no-such-program" in ran.lines[-1]


async def test_the_image_says_what_the_request_does_not(run, executor, tmp_path):
    assert (await run(entrypoint=None)).lines == ["1"]
    assert (await run("sh", "-c", "echo $GREETING $(pwd) $NAME; hello", environment={"NAME": "x"})).lines == [
        "hello /opt/program x",
        "hello from the image",
    ]
    bare = tmp_path / "containers" / "bare"
    bare.mkdir()
    (bare / "Dockerfile").write_text(f"FROM {BASE}\nENTRYPOINT []\nCMD []\n")
    with pytest.raises(ImageError, match="neither ENTRYPOINT nor CMD"):
        await run(image="registry/bare:1", entrypoint=None)


async def test_what_it_writes_is_ours_also_as_another_user(run, tmp_path):
    (tmp_path / "ml" / "model").mkdir(parents=True)
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "read").write_text("me")
    ran = await run(
        "sh", "-c", "id -u; umask 077; mkdir /opt/ml/model/deep; echo w >/opt/ml/model/deep/weights; "
        "cat /extra/read; echo; touch /extra/x || echo read-only",
        image="registry/as-user:1",
        mounts=(Mount(extra, "/extra"),),
    )  # fmt: skip
    assert ran.lines[:2] == ["1234", "me"]
    assert ran.lines[-1] == "read-only"
    assert (tmp_path / "ml/model/deep/weights").read_text() == "w\n"


async def test_limits_are_those_of_the_instance(run):
    limits = Limits(vcpus=0.5, memory_bytes=64 * MIB)
    fine = await run(python="x = bytearray(20 * 1024**2); print(len(x))", limits=limits)
    assert (fine.code, fine.out_of_memory) == (0, False)
    much = await run(python="x = bytearray(200 * 1024**2); print(len(x))", limits=limits)
    assert (much.code, much.out_of_memory) == (137, True)
    quota = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max"
    assert (await run("sh", "-c", quota, limits=limits)).lines == ["50000"]
    assert (await run(python="print(1)", limits=Limits(vcpus=500))).code == 0


CALL = """
import os, urllib.request
try:
    print(urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"], timeout=60).read().decode())
except OSError as error:
    print("unreachable")
"""


async def test_programs_reach_this_server_and_nobody_else_does_on_that_way(run, executor, settings, tmp_path):
    here = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{settings.port}"}
    assert (await run(python=CALL, environment=here)).lines == ["hi"]
    assert (await run(python=CALL, environment=here, network=False)).lines == ["unreachable"]
    inside = await run("sh", "-c", "echo $AWS_ENDPOINT_URL", environment=here)
    assert "127.0.0.1" not in inside.lines[0]
    stranger = docker(
        "run", "--rm", "--env", f"AWS_ENDPOINT_URL={inside.lines[0]}", BASE, "python", "-c", CALL
    )
    assert stranger == "unreachable"


async def test_hosts_of_a_job_reach_each_other_and_other_programs_do_not(executor, tmp_path):
    hosts = {"algo-1": "127.64.1.1", "algo-2": "127.64.1.2"}
    lines: list[str] = []
    listening = """
import socket
server = socket.create_server(("", 7000))
while server.accept()[0].recv(5) != b"hello":
    pass
print("met")
"""
    asking = """
import socket, time
end = time.monotonic() + 100
while True:
    try:
        socket.create_connection(("algo-1", 7000), timeout=5).sendall(b"hello")
        break
    except OSError:  # it does not listen yet, or the engine, making another network, has no rules for moments
        if time.monotonic() > end:
            raise
        time.sleep(0.1)
print(socket.gethostbyname(socket.gethostname()) == socket.gethostbyname("algo-2"))
"""

    async def start(name: str, python: str, **more: Any) -> Any:
        opt_ml = tmp_path / name
        opt_ml.mkdir(exist_ok=True)
        command = ("python", "-c", python)
        program = Program("registry/plain:1", opt_ml, entrypoint=command, host_name=name, **more)
        return await executor.start(program, lines.append)

    first = await start("algo-1", listening, hosts=hosts)
    own_address = docker(
        "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        docker("ps", "-q", "--filter", f"label={LABEL_DATA}={executor._settings.data_dir}"),
    )  # fmt: skip
    # Twenty times: whenever the engine makes a network, as other tests do, its rules are gone for moments.
    knocks = f"""
import socket
for _ in range(20):
    socket.create_connection(("{own_address}", 7000), timeout=0.3)
"""
    stranger = await start("stranger", knocks)
    assert await asyncio.wait_for(stranger.wait(), END_S) == 1
    second = await start("algo-2", asking, hosts=hosts)
    for running in (first, second):
        assert await asyncio.wait_for(running.wait(), END_S) == 0
    assert {"met", "True"} <= set(lines)


@pytest.mark.parametrize("network", [True, False], ids=["open", "isolated"])
async def test_a_model_server_is_asked_at_its_own_address(executor, tmp_path, network):
    (tmp_path / "ml").mkdir()
    serve = ("python", "-m", "http.server", "8080", "--directory", "/opt/ml")
    (tmp_path / "ml" / "ping").write_text("pong")
    program = Program("registry/plain:1", tmp_path / "ml", entrypoint=serve, port=12345, network=network)
    running = await executor.start(program, lambda _: None)
    assert running.address is not None
    async with asyncio.timeout(END_S):
        while True:
            try:
                reader, writer = await asyncio.open_connection(*running.address)
                break
            except OSError:  # it does not listen yet
                await asyncio.sleep(0.1)
    writer.write(b"GET /ping HTTP/1.0\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), END_S)).endswith(b"pong")
    writer.close()
    assert await running.stop(0) == 137


async def test_stop_asks_first_and_then_kills(executor, tmp_path):
    (tmp_path / "ml").mkdir()
    waits = "print('up', flush=True); time.sleep(600)"
    for handler, grace_s, code in (("lambda *_: exit(3)", 60, 3), ("signal.SIG_IGN", 0.5, 137)):
        python = f"import signal, time; signal.signal(15, {handler}); {waits}"
        up = asyncio.Event()
        program = Program("registry/plain:1", tmp_path / "ml", entrypoint=("python", "-c", python))
        running = await executor.start(program, lambda line, up=up: up.set() if line == "up" else None)
        await asyncio.wait_for(up.wait(), END_S)
        assert await asyncio.wait_for(running.stop(grace_s), END_S) == code
        assert await running.stop(0) == code


async def test_a_stop_right_after_the_start_is_not_lost(executor, tmp_path):
    (tmp_path / "ml").mkdir()
    program = Program("registry/plain:1", tmp_path / "ml", entrypoint=("sleep", "600"))
    for _ in range(5):
        running = await executor.start(program, lambda _: None)
        assert await asyncio.wait_for(running.stop(END_S), END_S) == 143


async def test_sources_run_with_their_requirements(run, tmp_path):
    source = tmp_path / "compiler"
    source.mkdir()
    (source / "tool.py").write_text("import iniconfig, sys; print(iniconfig.__name__, sys.argv[1])")
    requirements = tmp_path / "requirements-tool.txt"
    requirements.write_text("iniconfig\n")
    ran = await run(
        image=Source(source, requirements), entrypoint=None, arguments=("python", "-m", "tool", "now")
    )
    assert ran.lines[-1] == "iniconfig now"


async def test_an_edit_makes_a_new_image_and_the_same_content_does_not(executor, containers):
    program = containers / "plain" / "src" / "hello"
    program.write_text(f"#!/bin/sh\necho {uuid.uuid4()}\n")

    async def prepared() -> list[str]:
        lines: list[str] = []
        await executor.prepare("registry/plain:1", lines.append)
        return lines

    assert any(line.startswith("Step 2/") for line in await prepared())
    assert await prepared() == []
    program.write_text(f"#!/bin/sh\necho {uuid.uuid4()}\n")
    assert await prepared() != []


async def test_a_build_that_fails_says_why(executor, containers):
    (containers / "plain" / "Dockerfile").write_text(f"FROM {BASE}\nRUN echo the cause >&2 && exit 3\n")
    with pytest.raises(
        ImageError, match=r"Building image 'plain' failed: .*the cause.*code: 3.*correct its Docker"
    ):
        await executor.prepare("registry/plain:1", lambda _: None)


async def test_an_image_of_the_engine_is_used_and_an_unknown_one_is_refused_in_words_of_aws(run, executor):
    uri = "registry.invalid/team/tool:1"
    docker("tag", BASE, uri)
    try:
        assert (await run(image=uri, python="print('here')")).lines == ["here"]
    finally:
        docker("rmi", uri)
    with pytest.raises(ImageError, match=r"(?i)cannot pull"):
        await executor.prepare("registry.invalid/team/nothing:1", lambda _: None)


async def test_a_server_that_was_killed_leaves_nothing_to_the_next(settings, tmp_path):
    (tmp_path / "ml").mkdir()
    killed = make(settings)
    command = ("python", "-c", "import time; time.sleep(600)")
    await killed.start(Program("registry/plain:1", tmp_path / "ml", entrypoint=command), lambda _: None)
    assert len(left(settings)) == 2
    # What is left when both the server and its reaper were killed.
    assert killed._reaper is not None
    killed._reaper.kill()
    following = make(settings)
    assert left(settings) == []
    await following.close()
    await killed.close()


async def test_the_reaper_removes_what_a_killed_server_left(settings, tmp_path):
    (tmp_path / "ml").mkdir()
    killed = make(settings)
    command = ("python", "-c", "import time; time.sleep(600)")
    await killed.start(Program("registry/plain:1", tmp_path / "ml", entrypoint=command), lambda _: None)
    assert killed._reaper is not None
    assert killed._lifeline is not None
    os.close(killed._lifeline)
    killed._lifeline = None
    await asyncio.wait_for(asyncio.to_thread(killed._reaper.wait), END_S)
    assert left(settings) == []
    await killed.close()
