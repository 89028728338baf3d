"""What every executor promises, checked with real programs in real sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest

from sagemaker_local.executors.base import Executor, ImageError, Program, RunningProgram, Source
from sagemaker_local.images.writable_layer import LAYER, has_pip
from sagemaker_local.settings import Settings
from tests.unit.containers.programs import held_port

BASE = "import os, pathlib, sys, time\nbase = pathlib.Path(os.environ.get('SAGEMAKER_BASE_DIR', '/opt/ml'))\n"
WAIT_S = 120.0


def program(text: str) -> str:
    return "#!/usr/bin/env python\n" + BASE + textwrap.dedent(text)


class Harness:
    """Starts programs of an image and keeps what they print."""

    def __init__(self, executor: Executor, opt_ml: Path) -> None:
        self.executor, self.opt_ml, self.lines = executor, opt_ml, list[str]()
        opt_ml.mkdir(parents=True)

    async def start(self, image: str, *arguments: str, **more: object) -> RunningProgram:
        await self.executor.prepare(image, self.lines.append)
        self.lines.clear()
        return await self.executor.start(
            Program(image, self.opt_ml, arguments, **more),  # type: ignore[arg-type]
            self.lines.append,
        )

    async def run(self, image: str, *arguments: str, **more: object) -> int:
        return await (await self.start(image, *arguments, **more)).wait()

    async def line(self, text: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while text not in self.lines:
            assert time.monotonic() < deadline, self.lines
            await asyncio.sleep(0.01)


@pytest.fixture
def harness(executor: Executor, settings: Settings) -> Harness:
    return Harness(executor, settings.data_dir / "jobs" / "ml")


def marked(marker: str) -> list[int]:
    """Processes of this machine with the marker in their environment or command line."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
                if marker.encode() in text:
                    found.append(int(process.name))
    return found


async def gone(marker: str) -> bool:
    deadline = time.monotonic() + WAIT_S
    while marked(marker):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_a_program_sees_its_files_environment_and_arguments(harness, make_image):
    uri = make_image(
        "seer",
        {
            "train": program("""
                print(*sys.argv[1:], os.environ["COLOUR"], os.environ["JOB"])
                print(pathlib.Path.cwd() == pathlib.Path(__file__).parent)
                (base / "model").mkdir()
                (base / "model" / "weights").write_text((base / "input").read_text().upper())
                print("to stderr", file=sys.stderr)
            """)
        },
        "FROM python:3.11\nWORKDIR /opt/program\nCOPY src/ .\nENV PATH=/opt/program:$PATH COLOUR=red\n",
    )
    (harness.opt_ml / "input").write_text("text")

    assert await harness.run(uri, "train", "now", environment={"JOB": "j1"}) == 0

    assert harness.lines == ["now red j1", "True", "to stderr"]
    assert (harness.opt_ml / "model" / "weights").read_text() == "TEXT"


@pytest.mark.parametrize(
    ("text", "code"), [("sys.exit(3)", 3), ("raise ValueError('no')", 1), ("os.kill(os.getpid(), 9)", 137)]
)
async def test_the_exit_code_is_the_programs_and_128_more_than_its_signal(harness, make_image, text, code):
    assert await harness.run(make_image("ender", {"train": program(text)}), "train") == code


async def test_a_program_that_is_not_there_says_so(harness, make_image):
    assert await harness.run(make_image("empty", {"readme": ""}), "train") == 127
    assert "cannot run 'train'" in harness.lines[-1]


async def test_output_arrives_while_the_program_runs_and_long_or_broken_lines_survive(harness, make_image):
    uri = make_image("talker", {"train": program("""
        print("first")
        while not (base / "go").exists(): time.sleep(0.01)
        sys.stdout.buffer.write(b"x" * 300_000 + b"\\nbad \\xff byte\\r\\nno end")
    """)})  # fmt: skip
    running = await harness.start(uri, "train")
    await harness.line("first")
    (harness.opt_ml / "go").touch()
    assert await running.wait() == 0
    assert "".join(harness.lines[1:-2]) == "x" * 300_000
    assert harness.lines[-2:] == ["bad \ufffd byte", "no end"]


async def test_stop_lets_a_program_that_heeds_sigterm_finish(harness, make_image):
    uri = make_image("polite", {"train": program("""
        import signal
        def leave(*_):
            (base / "saved").write_text("yes")
            sys.exit(0)
        signal.signal(signal.SIGTERM, leave)
        print("ready")
        while True: time.sleep(1)
    """)})  # fmt: skip
    running = await harness.start(uri, "train")
    await harness.line("ready")
    assert await running.stop(WAIT_S) == 0
    assert (harness.opt_ml / "saved").read_text() == "yes"


async def test_stop_kills_a_program_that_ignores_sigterm_and_all_that_it_started(harness, make_image):
    marker = f"marker-{uuid.uuid4().hex}"
    uri = make_image("stubborn", {"train": program("""
        import signal, subprocess
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        deaf = "trap '' TERM HUP; setsid sleep 600 & sleep 600"
        subprocess.Popen(["sh", "-c", deaf], start_new_session=True)
        print("ready")
        while True: time.sleep(1)
    """)})  # fmt: skip
    running = await harness.start(uri, "train", environment={"MARKER": marker})
    await harness.line("ready")
    assert len(marked(marker)) >= 3
    assert await running.stop(0.2) == 137
    assert await gone(marker)


async def test_what_a_program_leaves_in_the_background_ends_with_it(harness, make_image):
    marker = f"marker-{uuid.uuid4().hex}"
    uri = make_image("parent", {"train": program("""
        import subprocess
        subprocess.Popen(["setsid", "sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    """)})  # fmt: skip
    assert await harness.run(uri, "train", environment={"MARKER": marker}) == 0
    assert await gone(marker)


async def test_nothing_of_a_run_is_left_on_disk(harness, make_image, settings):
    uri = make_image("litter", {"train": program("""
        import tempfile
        tempfile.mkstemp()
        pathlib.Path("locked").mkdir(mode=0o500)
    """)})  # fmt: skip
    assert await harness.run(uri, "train") == 0
    assert list((settings.data_dir / "run").iterdir()) == []


async def test_entrypoint_cmd_and_arguments_combine_as_docker_combines_them(harness, make_image):
    dockerfile = "FROM python:3.11\nCOPY src/ /app/\nWORKDIR /app\n"
    dockerfile += 'ENTRYPOINT ["python", "/app/say.py"]\nCMD ["default"]\n'
    uri = make_image("sayer", {"say.py": "import sys; print(sys.argv[1:])"}, dockerfile)
    assert await harness.run(uri) == 0
    assert await harness.run(uri, "given") == 0
    assert await harness.run(uri, entrypoint=("python", "/app/say.py", "own")) == 0
    assert harness.lines[-1] == "['own']"
    with pytest.raises(ImageError, match="neither ENTRYPOINT nor CMD"):
        await harness.run(make_image("mute", {}, "FROM python:3.11\n"))


async def test_a_source_runs_from_its_folder(harness, tmp_path):
    folder = tmp_path / "compiler"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__main__.py").write_text("print('compiled')")
    requirements = tmp_path / "none.txt"
    requirements.write_text("")
    assert await harness.run(Source(folder, requirements), "python", "-m", "package") == 0
    assert harness.lines == ["compiled"]


async def test_a_sandbox_hides_the_servers_data_and_other_processes(harness, make_image, settings):
    if harness.executor.name == "base-directory":
        pytest.skip("the fallback keeps nothing apart, as its docstring says")
    (settings.data_dir / "secret").write_text("s")
    uri = make_image("spy", {"train": program(f"""
        print(pathlib.Path({str(settings.data_dir / "secret")!r}).exists())
        print(len([name for name in os.listdir("/proc") if name.isdigit()]) < 5, os.uname().nodename)
        print(sorted(os.listdir("/opt")), sorted(os.listdir("/tmp")), os.getuid())
        try:
            pathlib.Path("/usr/written").touch()
        except OSError as error:
            print(error.strerror)
    """)})  # fmt: skip
    assert await harness.run(uri, "train") == 0
    # Where the repository itself lies below /tmp, the way to its environments is all that is seen there; and
    # where pip of this machine takes packages from directories, those are; and a layer to install into where
    # there is pip at all: uv, which may have made the environment, leaves it out.
    image = await harness.executor.images.image(uri, harness.lines.append)
    shown = [Path(sys.prefix), *[Path(LAYER)] * has_pip(image.python), *image.visible]
    tmp, opt = ({path.parts[2] for path in shown if path.is_relative_to(top)} for top in ("/tmp", "/opt"))
    listed = f"{sorted({'ml', 'program', *opt})} {sorted(tmp)} 1000"
    assert harness.lines == ["False", "True algo-1", listed, "Read-only file system"]


async def test_a_port_is_told_and_reachable(harness, make_image):
    uri = make_image("server", {"serve": program("""
        import http.server
        address = ("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
        server = http.server.ThreadingHTTPServer(address, http.server.SimpleHTTPRequestHandler)
        print("ready")
        server.serve_forever()
    """)})  # fmt: skip
    with held_port() as port:
        running = await harness.start(uri, "serve", port=port)
        await harness.line("ready")
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await running.stop(1)


SERVER = """
import asyncio, sys
from pathlib import Path
from sagemaker_local.executors.base import Program
from sagemaker_local.executors.choice import choose_executor
from sagemaker_local.settings import Settings

async def main(data, containers, name, image, marker):
    executor = choose_executor(Settings(Path(data), Path(containers), executor=name))
    opt_ml = Path(data) / "ml"
    opt_ml.mkdir()
    program = Program(image, opt_ml, ("train",), environment={"MARKER": marker})
    await executor.start(program, lambda line: print(line, flush=True))
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("moment", ["ready", "started"])
def test_no_process_survives_a_killed_server(executor, settings, make_image, moment):
    """Killed when the program runs, and killed at once, while the sandbox is still being made."""
    marker = f"marker-{uuid.uuid4().hex}"
    uri = make_image("survivor", {"train": program("""
        import signal, subprocess
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        subprocess.Popen(["setsid", "sleep", "600"])
        print("ready")
        while True: time.sleep(1)
    """)})  # fmt: skip
    data = settings.data_dir / "other"
    data.mkdir()
    asyncio.run(executor.prepare(uri, print))
    arguments = [str(data), str(settings.containers_dir), executor.name, uri, marker]
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, *arguments], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if line.strip() == moment:
                    break
            assert marked(marker)
        finally:
            os.kill(server.pid, signal.SIGKILL)
    assert asyncio.run(gone(marker))


async def test_an_isolated_program_talks_to_nobody_but_itself(harness, make_image):
    uri = make_image("hermit", {"train": program("""
        import socket
        with socket.create_server(("127.0.0.1", 0)) as own:
            socket.create_connection(own.getsockname()).close()
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        except OSError as error:
            print(error.strerror)
    """)})  # fmt: skip
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = str(server.sockets[0].getsockname()[1])
        if harness.executor.name == "base-directory":
            with pytest.raises(ImageError, match="EnableNetworkIsolation needs a sandbox"):
                await harness.run(uri, "train", port, network=False)
            return
        assert await harness.run(uri, "train", port, network=False) == 0
        assert harness.lines == ["Connection refused"]
        harness.lines.clear()
        assert await harness.run(uri, "train", port) == 0
        assert harness.lines == []


async def test_the_host_name_resolves_and_the_user_has_a_name(harness, make_image):
    if harness.executor.name == "base-directory":
        pytest.skip("the fallback has the machine's own names")
    uri = make_image("namer", {"train": program("""
        import pwd, socket
        print(socket.gethostbyname(socket.gethostname()), pwd.getpwuid(os.getuid()).pw_name)
    """)})  # fmt: skip
    assert await harness.run(uri, "train") == 0
    assert harness.lines == ["127.0.0.1 sagemaker"]
