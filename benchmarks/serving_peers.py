"""The servers that the serving benchmark compares: how each is made, started, asked and read."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import serving_model
from benchmarks.environments import Unavailable, environment, program
from benchmarks.machine import ROOT
from benchmarks.serving_model import ServedModel

PEERS_FOLDER = ROOT / "benchmarks" / "peers"
SERVING_BASE = ROOT / "containers" / "model-serving" / "src"
WORKERS = 2
STARTS_WITHIN_S = 90.0
STOPS_WITHIN_S = 10.0
CSV = "text/csv"
Command = list[str | Path]


@dataclass(frozen=True)
class Start:
    """How to start one server.

    Attributes:
        environment: Added to a bare one.
        directory: Where it runs.
    """

    command: Command
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path = ROOT


Prepare = Callable[[ServedModel, Path, int], Start]


@dataclass(frozen=True)
class Peer:
    """One server.

    Attributes:
        prepare: From the model, a folder of its own and a port to the way to start it.
        content_type: Of the rows as it takes them.
        header: Line before the rows, where it wants one.
        read: From an answer to the digits in it.
    """

    name: str
    prepare: Prepare
    content_type: str = CSV
    header: str = ""
    read: Callable[[bytes], list[int]] = lambda answer: [int(line) for line in answer.split()]

    def body(self, rows: Sequence[str]) -> bytes:
        """Rows as the peer takes them."""
        return (self.header + "\n".join(rows) + "\n").encode()


@dataclass
class Server:
    """A peer that answers."""

    peer: Peer
    url: str
    process: psutil.Process

    def ask(self, rows: Sequence[str]) -> list[int]:
        """The digits that it sees in the rows."""
        request = urllib.request.Request(  # noqa: S310  # our own loopback server
            self.url, self.peer.body(rows), {"Content-Type": self.peer.content_type}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return self.peer.read(answer.read())

    def memory_mb(self) -> float:
        """Of all its processes; memory that they share is counted once."""
        total = 0
        for process in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 1e6


def _flask_container(model: ServedModel, run: Path, port: int) -> Start:
    folder = PEERS_FOLDER / "flask_container"
    python = environment("flask_container", folder / "requirements.txt") / "bin" / "python"
    command: Command = [python, folder / "serve", run, str(port), *program("nginx")]
    settings = {"MODEL_DIR": str(model.folder), "MODEL_SERVER_WORKERS": str(WORKERS)}
    return Start(command, settings, folder)


def _mlflow(model: ServedModel, run: Path, port: int) -> Start:
    folder = PEERS_FOLDER / "mlflow"
    binaries = environment("mlflow", folder / "requirements.txt") / "bin"
    settings = {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    done = subprocess.run(
        [binaries / "python", folder / "save.py", model.folder],
        env=_bare() | settings,
        capture_output=True,
        text=True,
        cwd=run,
        timeout=300,
    )
    if done.returncode:
        raise Unavailable(f"MLflow could not save the model: {done.stderr[-300:]}")
    command: Command = [
        binaries / "mlflow",
        "models",
        "serve",
        "--env-manager",
        "local",
        "--host",
        "127.0.0.1",
    ]
    command += ["--port", str(port), "--workers", str(WORKERS), "--model-uri", str(model.folder / "mlflow")]
    return Start(command, settings, run)


def _bentoml(model: ServedModel, run: Path, port: int) -> Start:
    folder = PEERS_FOLDER / "bentoml"
    binaries = environment("bentoml", folder / "requirements.txt") / "bin"
    settings = {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "MODEL_DIR": str(model.folder),
        "BENTOML_HOME": str(run / "home"),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    command: Command = [binaries / "bentoml", "serve", "service:Digits", "--working-dir", folder]
    return Start([*command, "--host", "127.0.0.1", "--port", str(port)], settings, run)


def _multi_model_server(model: ServedModel, run: Path, port: int) -> Start:
    if shutil.which("java") is None:
        raise Unavailable("it is written in Java and there is none on PATH: install a JRE, 8 to 17")
    folder = PEERS_FOLDER / "multi_model_server"
    binaries = environment("multi_model_server", folder / "requirements.txt") / "bin"
    code, store = run / "code", run / "store"
    code.mkdir()
    store.mkdir()
    shutil.copy(folder / "handler.py", code)
    shutil.copy(model.folder / "model.joblib", code)
    archive: Command = [binaries / "model-archiver", "--model-name", "digits", "--model-path", code]
    subprocess.run(
        [*archive, "--handler", "handler:handle", "--runtime", "python3", "--export-path", store],
        check=True,
        capture_output=True,
        env=_bare(),
    )
    address = f"http://127.0.0.1:{port}"
    (run / "config.properties").write_text(
        f"inference_address={address}\nmanagement_address={address}\n"
        f"default_workers_per_model={WORKERS}\nmodel_store={store}\nload_models=digits.mar\n"
    )
    command: Command = [binaries / "multi-model-server", "--start", "--foreground"]
    settings = {"PATH": f"{binaries}:{os.environ['PATH']}", "TMPDIR": str(run), "TEMP": str(run)}
    return Start([*command, "--mms-config", run / "config.properties"], settings, run)


def _ours(kind: str) -> Prepare:
    def prepare(model: ServedModel, run: Path, port: int) -> Start:
        if not (SERVING_BASE / "serve").exists():
            raise Unavailable(f"there is no {SERVING_BASE / 'serve'}")
        folder = PEERS_FOLDER / "model_serving"
        binaries = environment("model_serving", folder / "requirements.txt") / "bin"
        served = serving_model.compiled(model) if kind == "compiled" else model.folder
        (run / "model").symlink_to(served, target_is_directory=True)
        settings = {
            "PYTHONPATH": str(SERVING_BASE),
            "SAGEMAKER_BASE_DIR": str(run),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "MODEL_SERVER_WORKERS": str(WORKERS),
        }
        return Start([binaries / "python", SERVING_BASE / "serve"], settings, folder / kind)

    return prepare


def _mlflow_digits(answer: bytes) -> list[int]:
    digits: list[int] = json.loads(answer)["predictions"]
    return digits


FLASK, MLFLOW, BENTOML, MMS = "Flask container", "MLflow", "BentoML", "multi-model-server"
ORIGINAL, COMPILED = "ours, scikit-learn", "ours, compiled"
PEERS = (
    Peer(FLASK, _flask_container),
    Peer(MLFLOW, _mlflow, header=",".join(f"pixel{n}" for n in range(64)) + "\n", read=_mlflow_digits),
    Peer(BENTOML, _bentoml, content_type="text/plain"),
    Peer(MMS, _multi_model_server),
    Peer(ORIGINAL, _ours("original")),
    Peer(COMPILED, _ours("compiled")),
)


def _bare() -> dict[str, str]:
    """What a container starts with, but for PATH."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "JAVA_HOME")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


def _free_port() -> int:
    """One below those that the kernel hands out, some of which multi-model-server refuses."""
    for port in random.sample(range(20000, 30000), 100):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise Unavailable("no port between 20000 and 30000 is free")


@contextlib.contextmanager
def running(peer: Peer, model: ServedModel, run: Path, log: Path) -> Iterator[Server]:
    """A server that answers rows; it and its processes are gone afterwards.

    Raises:
        Unavailable: it cannot be installed or does not start; the text says why.
    """
    run.mkdir(parents=True)
    port = _free_port()
    start = peer.prepare(model, run, port)
    with log.open("wb") as output:
        process = subprocess.Popen(
            start.command,
            env=_bare() | start.environment,
            cwd=start.directory,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(peer, f"http://127.0.0.1:{port}/invocations", psutil.Process(process.pid))
    try:
        _wait_until_it_answers(server, model, process, log)
        yield server
    finally:
        _stop(server, process)


def _wait_until_it_answers(
    server: Server, model: ServedModel, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    last: object = "it did not listen"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = f"it ended with exit code {process.returncode}"
            break
        try:
            server.ask(model.rows[:1])
            return
        except (OSError, ValueError, KeyError) as error:  # urllib's errors are OSErrors
            last = error
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-200:]
    raise Unavailable(f"does not answer ({last}); {log.relative_to(ROOT)} ends with: {tail}")


def _stop(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Ask the group to end, then end what is left of the tree."""
    tree = [] if process.poll() is not None else server.process.children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOPS_WITHIN_S
    while any(map(_lives, tree)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for child in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def _lives(process: psutil.Process) -> bool:
    """Whether it does anything yet: not every machine's first process buries the dead."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
