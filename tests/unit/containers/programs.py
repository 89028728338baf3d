"""Run the programs of images and compilers as SageMaker would: as processes, on a tree of their own."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local import neo

ROOT = Path(__file__).parents[3]
CONTAINERS = ROOT / "containers"
NEO = CONTAINERS / "sagemaker-local/src/sagemaker_local/neo"
ENVIRONMENTS = ROOT / "build/test-environments"
SERVER_START_S = 120


def has_libgomp() -> bool:
    """Whether LightGBM can be imported here: its wheel needs this library of the machine."""
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return False
    return True


NEEDS_LIBGOMP = pytest.mark.skipif(
    not has_libgomp(), reason="LightGBM needs libgomp1; as root on Debian: make packages"
)


def environment(*requirements: Path) -> Path:
    """Python of a virtual environment with pinned requirements, built once for all test runs."""
    wanted = [
        line
        for path in requirements
        for line in path.read_text().splitlines()
        if line and not line.lstrip().startswith("#")
    ]
    files = [word for path in requirements for word in ("-r", str(path))]
    if not wanted:
        return Path(sys.executable)
    digest = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:16]
    directory = ENVIRONMENTS / digest
    python = directory / "bin/python"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = directory / "complete"
        if not complete.exists():
            shutil.rmtree(directory, ignore_errors=True)
            if uv := shutil.which("uv"):
                _call([uv, "venv", "-q", "-p", sys.executable, str(directory)])
                _call([uv, "pip", "install", "-q", "-p", str(python), *files])
            else:
                _call([sys.executable, "-m", "venv", str(directory)])
                _call(
                    [
                        str(python),
                        "-m",
                        "pip",
                        "install",
                        "-q",
                        "--only-binary=:all:",
                        *files,
                    ]
                )
            complete.touch()
    return python


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@dataclass(frozen=True, slots=True)
class Job:
    """A finished program: its ``/opt/ml``, exit code, and what it printed."""

    base: Path
    code: int
    output: str

    def read(self, path: str) -> str:
        return (self.base / path).read_text()

    def json(self, path: str) -> Any:
        return json.loads(self.read(path))


@dataclass(frozen=True, slots=True)
class Image:
    """A folder of containers/ with its environment."""

    name: str

    @property
    def source(self) -> Path:
        return CONTAINERS / self.name / "src"

    @property
    def layers(self) -> list[Path]:
        """Its folder, after that of the image it builds on, where that is a folder of ours."""
        folder = CONTAINERS / self.name
        base = re.findall(r"^FROM ([\w-]+):latest$", (folder / "Dockerfile").read_text(), re.MULTILINE)
        return [*(CONTAINERS / name for name in base), folder]

    @property
    def python(self) -> Path:
        return environment(*(folder / "requirements.txt" for folder in self.layers))

    def environ(self, base: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
        sources = [str(folder / "src") for folder in reversed(self.layers)]
        path = os.pathsep.join([str(self.python.parent), *sources, os.environ["PATH"]])
        own = {"PATH": path, "PYTHONPATH": sources[-1], "SAGEMAKER_BASE_DIR": str(base)}
        return {**os.environ, **own, **(more or {})}

    def run(self, base: Path, *command: str) -> Job:
        """Run a program of the image; ``train`` and its like are found on PATH, as in the container."""
        done = subprocess.run(
            command,
            env=self.environ(base),
            cwd=self.source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Job(base, done.returncode, done.stdout)

    def code(self, base: Path, text: str) -> str:
        """Run Python code among the image's modules; returns what it printed."""
        job = self.run(base, str(self.python), "-c", text)
        assert job.code == 0, job.output
        return job.output

    def train(self, base: Path, train_csv: str, hyperparameters: Mapping[str, str] | None = None) -> Job:
        write(base / "input/data/train/train.csv", train_csv)
        write(base / "input/config/hyperparameters.json", json.dumps(hyperparameters or {}))
        return self.run(base, "train")

    @contextmanager
    def server(
        self, base: Path, more: Mapping[str, str] | None = None, program: Path | None = None
    ) -> Iterator[Server]:
        """A model server that answers /ping, stopped in the end.

        Args:
            base: Its ``/opt/ml``.
            more: Environment variables.
            program: Where its functions are, if not in the image.
        """
        with held_port() as port, (base / "server.log").open("w") as log:
            environ = self.environ(base, {"SAGEMAKER_BIND_TO_PORT": str(port), **(more or {})})
            process = subprocess.Popen(
                ["serve"], env=environ, cwd=program or self.source, stdout=log, stderr=log
            )
            try:
                server = Server(port, process)
                deadline = time.monotonic() + SERVER_START_S
                while not server.answers():
                    assert process.poll() is None, (base / "server.log").read_text()
                    assert time.monotonic() < deadline, "the server does not answer /ping"
                    time.sleep(0.05)
                yield server
            finally:
                process.terminate()
                process.wait(60)


@contextmanager
def held_port() -> Iterator[int]:
    """A port for a program that sets SO_REUSEADDR, as servers do; nobody else is given it meanwhile.

    Who binds with that option may do so beside a socket that has it too and does not listen, while the kernel
    does not choose such a port for others.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Server:
    """A model server on this machine."""

    port: int
    process: subprocess.Popen[bytes]

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def invoke(self, body: str | bytes, content_type: str = "text/csv", **headers: str) -> tuple[int, str]:
        data = body.encode() if isinstance(body, str) else body
        return self.request("POST", "/invocations", data, {"Content-Type": content_type, **headers})

    def answers(self) -> bool:
        try:
            return self.request("GET", "/ping")[0] == 200
        except OSError:
            return False


def compilation(
    base: Path,
    framework: str,
    model: Path,
    features: int,
    source: Mapping[str, Any] | None = None,
    **target: Any,
) -> Path:
    """Lay out a compilation job of a model artefact."""
    request = {
        "InputConfig": {
            "S3Uri": "s3://bucket/model.tar.gz",
            "DataInputConfig": json.dumps({"input": [1, features]}),
            "Framework": framework,
            **(source or {}),
        },
        "OutputConfig": {
            "S3OutputLocation": "s3://bucket/compiled",
            **(target or {"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"}}),
        },
    }
    write(base / "input/config/compilationjob.json", json.dumps(request))
    (base / "input/model").mkdir(parents=True, exist_ok=True)
    shutil.copy(model, base / "input/model/model.tar.gz")
    return base


def compile_model(
    base: Path,
    framework: str,
    model: Path,
    features: int,
    source: Mapping[str, Any] | None = None,
    **target: Any,
) -> Job:
    """Run Neo's compiler of a framework on a model artefact."""
    program = neo.compiler_program(framework)
    compilation(base, framework, model, features, source, **target)
    assert program.command[0] == "python"
    return compiler(program, base, *program.command[1:])


# Imports of the frameworks take seconds: several jobs may share a process.
TOGETHER = """
import importlib, os, sys
compiler = importlib.import_module(sys.argv[1])
for base in sys.argv[2:]:
    os.environ["SAGEMAKER_BASE_DIR"] = base
    print("job", base, "exit code", compiler.main(), flush=True)
"""


def compile_together(framework: str, bases: Iterable[Path]) -> dict[Path, Job]:
    """Run several jobs that :func:`compilation` laid out."""
    program = neo.compiler_program(framework)
    wanted = list(bases)
    done = compiler(program, wanted[0], "-c", TOGETHER, program.command[-1], *map(str, wanted))
    assert done.code == 0, done.output
    codes = dict(re.findall(r"^job (.*) exit code (\d+)$", done.output, re.MULTILINE))
    return {base: Job(base, int(codes[str(base)]), done.output) for base in wanted}


def compiler(program: neo.CompilerProgram, base: Path, *arguments: str) -> Job:
    done = subprocess.run(
        [str(environment(program.requirements)), *arguments],
        cwd=program.source,
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Job(base, done.returncode, done.stdout)


def in_environment(framework: str, code: str, *arguments: str) -> str:
    """Run code with a compiler's requirements; returns what it printed."""
    python = environment(neo.compiler_program(framework).requirements)
    done = subprocess.run([str(python), "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pack(directory: Path, archive: Path) -> Path:
    """model.tar.gz of a directory, as SageMaker packs /opt/ml/model."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(directory.iterdir()):
            tar.add(path, path.name)
    return archive


def unpack(archive: Path, directory: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(directory)  # noqa: S202 (an archive of the programs under test)
    return directory


def compiled_content(archive: Path) -> dict[str, Any]:
    """A compiled artefact's members by name; its manifest without what was measured."""
    with tarfile.open(archive) as tar:
        content: dict[str, Any] = {}
        for member in tar.getmembers():
            file = tar.extractfile(member)
            content[member.name] = file.read() if file else b""
    manifest = json.loads(content["manifest.json"])
    content["manifest.json"] = {
        name: value for name, value in manifest.items() if name not in ("timings", "why")
    }
    return content


def processing(base: Path, **inputs: Path) -> Path:
    """Put files where a processing job's inputs are: ``name=path`` becomes ``input/<name>/<file name>``."""
    for name, path in inputs.items():
        target = base / "processing/input" / name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / path.name)
    return base


def rows_of(text: str) -> list[list[float]]:
    return [[float(field) for field in line.split(",")] for line in text.splitlines()]
