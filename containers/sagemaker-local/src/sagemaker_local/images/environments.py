"""Virtual environments for images: one per Python and set of requirements, built once, shared by all servers.

They lie in ``~/.cache/sagemaker-local/venvs``, or below ``$SAGEMAKER_LOCAL_CACHE``, and not in a data
directory, so that a fresh one starts with what is there. An environment is complete when its marker is; a
half-built one is built anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sagemaker_local.executors.base import ImageError, LineSink
from sagemaker_local.executors.process import remove_tree, start_supervised
from sagemaker_local.images.package_indexes import usable
from sagemaker_local.images.pip_configuration import read_pip_configuration

FORMAT = 1
"""Raise to have every environment built anew."""

MARKER = "sagemaker-local.json"
LAST_LINES = 5

INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]\s*([^\s#]+)", re.MULTILINE)


def cache_directory() -> Path:
    """Where environments are kept: ``$SAGEMAKER_LOCAL_CACHE``, else the user's cache directory."""
    if chosen := os.environ.get("SAGEMAKER_LOCAL_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sagemaker-local"


@dataclass(frozen=True, slots=True)
class Requirements:
    """One step of an installation: a file, or lines of one.

    Attributes:
        file: A requirements file.
        lines: Requirements, where there is no file.
        options: Where packages come from: ``--extra-index-url …``.
    """

    file: Path | None = None
    lines: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For messages."""
        return str(self.file or " ".join(self.lines))

    def text(self) -> str:
        """What it says, with all files that it includes; two that say the same install the same."""
        said = _read(self.file) if self.file else "\n".join(self.lines)
        return "\n".join([*self.options, said])


@dataclass(frozen=True, slots=True)
class Environment:
    """A complete virtual environment and the interpreter installation it points to."""

    directory: Path
    base_prefix: Path

    @property
    def bin(self) -> Path:
        """The directory that comes first on PATH."""
        return self.directory / "bin"


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter that environments are made of."""

    executable: Path
    version: str


class EnvironmentCache:
    """Makes environments and finds made ones.

    Args:
        directory: Holds one directory per environment and its lock.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def environment(
        self, requirements: Path | Sequence[Requirements] | None, version: str | None, log: LineSink
    ) -> Environment:
        """The environment with these requirements, built when missing.

        Args:
            requirements: A requirements.txt, or what to install step by step, or None for a bare interpreter.
            version: ``3.11`` when the image says so; the server's own where there is no such interpreter.
            log: Takes the build's output.

        Raises:
            ImageError: the requirements cannot be read or installed.
        """
        steps = [Requirements(requirements)] if isinstance(requirements, Path) else list(requirements or ())
        texts = await asyncio.to_thread(lambda: [step.text() for step in steps])
        said = texts if len(texts) > 1 else "".join(texts)
        python = await find_python(version, log)
        identity = json.dumps([FORMAT, python.version, str(python.executable), platform.machine(), said])
        target = self.directory / hashlib.sha256(identity.encode()).hexdigest()[:20]
        if (found := _complete(target)) is not None:
            return found
        async with _locked(target.with_suffix(".lock")):
            if (found := _complete(target)) is not None:
                return found
            await asyncio.to_thread(remove_tree, target)
            what = ", then ".join(map(str, steps)) or "no requirements"
            log(f"sagemaker-local: building a Python {python.version} environment for {what}")
            await _build(target, python, steps, log)
            _write_marker(target, what)
        return _require(target)


async def find_python(version: str | None, log: LineSink) -> Python:
    """An installed interpreter of the version, else the server's own; says so in the log."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version is None or version == own:
        return Python(Path(os.path.realpath(sys.executable)), own)
    found = shutil.which(f"python{version}") or await asyncio.to_thread(_known_to_uv, version)
    if found:
        return Python(Path(os.path.realpath(found)), version)
    log(f"sagemaker-local: the image asks for Python {version}, which is not installed; it runs on {own}")
    return Python(Path(os.path.realpath(sys.executable)), own)


@functools.cache
def _known_to_uv(version: str) -> str | None:
    """An interpreter that uv installed earlier; none is downloaded behind the user's back."""
    if (uv := uv_command()) is None:
        return None
    command = [*uv, "python", "find", "--no-python-downloads", "--no-project", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None


def uv_command() -> list[str] | None:
    """How to run uv, when it is there."""
    if found := shutil.which("uv"):
        return [found]
    beside = Path(sys.executable).with_name("uv")
    if beside.exists():
        return [str(beside)]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None


async def _build(target: Path, python: Python, steps: Sequence[Requirements], log: LineSink) -> None:
    if uv := uv_command():
        commands = [[*uv, "venv", "--quiet", "--no-project", "--python", str(python.executable), str(target)]]
        install = [
            *uv,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            str(target / "bin/python"),
        ]
        if not any(
            name.startswith(("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX")) for name in os.environ
        ):
            install += read_pip_configuration().for_uv()
    else:
        commands = [[str(python.executable), "-m", "venv", str(target)]]
        install = [str(target / "bin/python"), "-m", "pip", "install", "--quiet", "--no-input"]
    for step in steps:
        left_out: list[str] = []  # a log is written by the event loop's thread alone
        options = await asyncio.to_thread(usable, step.options, left_out.append)
        for line in left_out:
            log(line)
        commands.append([*install, *options, *(["-r", str(step.file)] if step.file else step.lines)])
    for command in commands:
        await _run(command, ", ".join(map(str, steps)), log)


async def _run(command: list[str], requirements: str, log: LineSink) -> None:
    # Without what belongs to the server alone and would lead the build astray.
    dropped = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    last: deque[str] = deque(maxlen=LAST_LINES)

    def take(line: str) -> None:
        log(line)
        last.append(line)

    process = await start_supervised(command, environment=environment, log=take)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        await process.stop(0)
        raise
    if code:
        raise ImageError(
            f"Building the environment of {requirements} failed with exit code {code}: {' | '.join(last)}; "
            "correct the requirements and start the job again"
        )


def _read(requirements: Path) -> str:
    """The text of a requirements file and of all that it includes."""
    try:
        text = requirements.read_text()
    except OSError as error:
        raise ImageError(f"Requirements {requirements} cannot be read: {error}") from error
    included = INCLUDE.findall(text)
    return text + "".join(_read(requirements.parent / name) for name in included)


def _complete(target: Path) -> Environment | None:
    return _require(target) if (target / MARKER).exists() and (target / "bin/python").exists() else None


def _require(target: Path) -> Environment:
    interpreter = Path(os.path.realpath(target / "bin/python"))
    return Environment(target, interpreter.parent.parent)


def _write_marker(target: Path, requirements: str) -> None:
    partial = target / f"{MARKER}.partial"
    partial.write_text(json.dumps({"requirements": requirements}))
    partial.replace(target / MARKER)


@contextlib.asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Hold a lock that other servers on this machine honour; the kernel frees it when we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield
