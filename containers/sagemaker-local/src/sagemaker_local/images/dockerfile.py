"""Reads the part of a Dockerfile that decides how its program runs.

Grammar: https://docs.docker.com/reference/dockerfile/. ``RUN`` is not executed: what it installs with pip,
and what stands in the ``requirements.txt`` beside the Dockerfile, goes to a virtual environment; everything
else is the machine's own. A base image that is known here gives its files, settings and requirements. What
would silently change the program is refused, by file and line.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sagemaker_local.executors.base import ImageError
from sagemaker_local.images.environments import Requirements
from sagemaker_local.images.pip_install import Install, NotUnderstood, installs

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

IGNORED = {"RUN", "LABEL", "MAINTAINER", "EXPOSE", "HEALTHCHECK", "USER", "VOLUME", "STOPSIGNAL"}
"""Instructions without effect here: jobs run as the server's user, on the machine's network and clock."""

REFUSED = {
    "SHELL": "use the exec form of ENTRYPOINT and CMD",
    "ONBUILD": "build images have no descendants here",
}

PYTHON_IMAGE = re.compile(r"(?:.*/)?python:(\d+\.\d+)(?:[.\-].*)?$")
VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?::?([-+])([^}]*))?\})")

FindBase = Callable[[str], Path | None]
"""From the name after FROM to the folder of an image that is known here, or None for a plain base."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One COPY or ADD: paths in the image's folder, and where they go in the image."""

    folder: Path
    sources: tuple[str, ...]
    destination: str
    mode: int | None
    line: int


@dataclass(slots=True)
class Dockerfile:
    """What a Dockerfile says about running the image."""

    base: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    copies: list[Copy] = field(default_factory=list)
    requirements: list[Requirements] = field(default_factory=list)

    @property
    def python_version(self) -> str | None:
        """``3.11`` of ``FROM python:3.11-slim``; None for other bases."""
        match = PYTHON_IMAGE.match(self.base)
        return match.group(1) if match else None


def read_dockerfile(
    path: Path, base_path: str = DEFAULT_PATH, find_base: FindBase | None = None
) -> Dockerfile:
    """Parse a Dockerfile, and those of its base images that are known here.

    Args:
        path: The file.
        base_path: What ``$PATH`` is before the first ENV.
        find_base: Finds the folder of a base image.

    Raises:
        ImageError: the file is missing, or says what cannot be honoured; names the line.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise ImageError(
            f"Image folder {path.parent} cannot be read: {error}; it needs a Dockerfile"
        ) from error
    reader = _Reader(path, base_path, find_base or (lambda name: None))
    for line, instruction, rest in instructions(text):
        reader.take(line, instruction, rest)
    if not reader.based:
        raise ImageError(f"{path} has no FROM")
    beside = path.with_name("requirements.txt")
    if beside.exists() and not any(step.file == beside for step in reader.requirements):
        reader.requirements.insert(0, Requirements(beside))
    reader.found.requirements += reader.requirements
    return reader.found


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, instruction and its text, with continuation lines joined and comments dropped."""
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#") or (pending and not line.strip()):
            continue
        first = first or number
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1] + " "
            continue
        whole, start = (pending + line).strip(), first
        pending, first = "", 0
        if whole:
            word, _, rest = whole.partition(" ")
            yield start, word.upper(), rest.strip()
    if pending.strip():
        word, _, rest = pending.strip().partition(" ")
        yield first, word.upper(), rest.strip()


class _Reader:
    def __init__(self, path: Path, base_path: str, find_base: FindBase) -> None:
        self.path = path
        self.base_path = base_path
        self.find_base = find_base
        self.found = Dockerfile(environment={"PATH": base_path})
        self.based = False
        self.requirements: list[Requirements] = []
        self.arguments: dict[str, str] = {}
        self.line = 0

    def take(self, line: int, instruction: str, rest: str) -> None:
        self.line = line
        if instruction in REFUSED:
            raise self._refusal(f"{instruction} is not supported: {REFUSED[instruction]}")
        if "<<" in rest and instruction in {"RUN", "COPY", "ADD"}:
            raise self._refusal("here-documents are not supported: put the text in a file")
        if instruction not in IGNORED and not self.based and instruction not in {"FROM", "ARG"}:
            raise self._refusal(f"{instruction} before FROM")
        match instruction:
            case "FROM":
                self._from(rest)
            case "ARG":
                self._arg(rest)
            case "ENV":
                self._env(rest)
            case "WORKDIR":
                self.found.workdir = posixpath.normpath(
                    posixpath.join(self.found.workdir, self._expand(rest))
                )
            case "COPY" | "ADD":
                self._copy(instruction, rest)
            case "ENTRYPOINT":
                self.found.entrypoint = self._command(rest)
                self.found.command = ()  # as Docker: an ENTRYPOINT resets the CMD before it
            case "CMD":
                self.found.command = self._command(rest)
            case "RUN":
                self._run(rest)
            case _ if instruction not in IGNORED:
                raise self._refusal(f"unknown instruction {instruction}")

    def _from(self, rest: str) -> None:
        words = [word for word in self._expand(rest).split() if not word.startswith("--")]
        if self.based:
            raise self._refusal("several FROM (a multi-stage build) are not supported: keep one stage")
        if not words:
            raise self._refusal("FROM names no image")
        self.based = True
        folder = self.find_base(words[0])
        if folder is None:
            self.found.base = words[0]
            return
        if folder.resolve() == self.path.parent.resolve():
            raise self._refusal(f"'{words[0]}' is this image itself")
        self.found = read_dockerfile(folder / "Dockerfile", self.base_path, self.find_base)

    def _arg(self, rest: str) -> None:
        for pair in self._split(rest):
            name, has_default, default = pair.partition("=")
            if has_default:
                self.arguments[name] = self._expand(default)

    def _env(self, rest: str) -> None:
        if "=" not in rest.split(None, 1)[0]:
            name, _, value = rest.partition(" ")
            pairs = [(name, value.strip())]
        else:
            pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in self._split(rest))]
        # All values of one ENV see the environment before it.
        self.found.environment |= {name: self._expand(value) for name, value in pairs}

    def _copy(self, instruction: str, rest: str) -> None:
        mode = None
        while rest.startswith("--"):
            option, _, rest = rest.partition(" ")
            name, _, value = option.partition("=")
            rest = rest.lstrip()
            match name:
                case "--chmod":
                    mode = int(value, 8)
                case "--chown" | "--link":
                    pass  # everything belongs to the one user of the sandbox
                case _:
                    raise self._refusal(
                        f"{instruction} {name} is not supported: only the image's folder is there"
                    )
        words = json.loads(rest) if rest.startswith("[") else self._split(rest)
        words = [self._expand(word) for word in words]
        if len(words) < 2:
            raise self._refusal(f"{instruction} needs sources and a destination")
        *sources, destination = words
        if instruction == "ADD":
            for source in sources:
                if "://" in source or re.search(r"\.(tar|tgz|tar\.\w+)$", source):
                    raise self._refusal(
                        f"ADD of '{source}' is not supported: unpack it in the folder and COPY that"
                    )
        slash = "/" if destination.endswith(("/", "/.")) or destination == "." or len(sources) > 1 else ""
        target = posixpath.normpath(posixpath.join(self.found.workdir, destination)).rstrip("/") + slash
        self.found.copies.append(Copy(self.path.parent, tuple(sources), target, mode, self.line))

    def _run(self, rest: str) -> None:
        try:
            for install in installs(self._expand(rest)):
                self._install(install)
        except NotUnderstood as error:
            raise self._refusal(str(error)) from error

    def _install(self, install: Install) -> None:
        for file in install.files:
            self.requirements.append(Requirements(self._copied(file), options=install.options))
        if install.packages:
            self.requirements.append(Requirements(lines=install.packages, options=install.options))

    def _copied(self, file: str) -> Path:
        """The file of the folder that an earlier COPY put at this path in the image."""
        path = posixpath.normpath(posixpath.join(self.found.workdir, file))
        for copy in reversed(self.found.copies):
            target = copy.destination.rstrip("/")
            for source in copy.sources:
                here = copy.folder / source.lstrip("/")
                if here.is_dir():
                    candidate = (
                        here / path.removeprefix(f"{target}/") if path.startswith(f"{target}/") else here
                    )
                elif copy.destination.endswith("/"):
                    candidate = here if path == f"{target}/{here.name}" else copy.folder
                else:
                    candidate = here if path == target else copy.folder
                if candidate.is_file():
                    return candidate
        raise self._refusal(f"pip install -r {file}: no COPY before it puts a file there")

    def _command(self, rest: str) -> tuple[str, ...]:
        if rest.startswith("["):
            try:
                words = json.loads(rest)
            except ValueError:
                words = None  # as Docker: what is no JSON is the shell form
            if isinstance(words, list) and all(isinstance(word, str) for word in words):
                return tuple(words)
        return ("/bin/sh", "-c", rest) if rest else ()

    def _split(self, rest: str) -> list[str]:
        # '$' must survive until _expand, which honours '\$'.
        try:
            return shlex.split(rest.replace("\\$", "\\\\$"), posix=True)
        except ValueError as error:
            raise self._refusal(str(error)) from error

    def _expand(self, text: str) -> str:
        return expand(text, {**self.arguments, **self.found.environment})

    def _refusal(self, what: str) -> ImageError:
        return ImageError(f"{self.path}, line {self.line}: {what}")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in, as Docker does: ``$NAME``, ``${NAME}``, ``${NAME:-default}``, ``${NAME:+other}``."""

    def value(match: re.Match[str]) -> str:
        if match.group(0) == "\\$":
            return "$"
        found = variables.get(match.group(1) or match.group(2), "")
        if match.group(3) == "-":
            return found or match.group(4)
        if match.group(3) == "+":
            return match.group(4) if found else ""
        return found

    return VARIABLE.sub(value, text)
