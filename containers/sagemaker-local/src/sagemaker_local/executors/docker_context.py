"""What is sent to Docker's engine to build: an image's folder, or a :class:`Source` and a Dockerfile of ours.

The tag is a hash of everything that is sent, so an edit makes a new image and the same content never builds
twice. Two things of a Dockerfile are put differently for the builder that every engine has: the FROM of an
image that is a folder here names the image built from it, and ``COPY --chmod`` becomes modes of what is sent.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sagemaker_local.executors.base import ImageError, Source
from sagemaker_local.images.dockerfile import instructions
from sagemaker_local.images.environments import INCLUDE
from sagemaker_local.images.image import PROGRAM_DIRECTORY

LEFT_OUT = {"__pycache__", ".git", ".venv"}
"""Never sent to the engine: they belong to the folder's development."""

FROM = re.compile(r"^(\s*FROM\s+(?:--\S+\s+)*)(\S+)", re.IGNORECASE | re.MULTILINE)
CHMOD = re.compile(r"(^\s*(?:COPY|ADD)\s.*?)--chmod=(\S+)\s+", re.IGNORECASE | re.MULTILINE)

SOURCE_DOCKERFILE = """FROM python:{version}-slim
COPY requirements/ /tmp/requirements/
RUN pip install --no-cache-dir --no-input -r /tmp/requirements/{name}{options}
COPY program/ {program}/
ENV PATH={program}:$PATH
WORKDIR {program}
"""


@dataclass(frozen=True, slots=True)
class Context:
    """What is sent.

    Attributes:
        repository: Of the image's tag.
        name: What people call it.
        entries: Names in the archive, with a file's path or its text.
        modes: Of entries whose file's own does not count.
    """

    repository: str
    name: str
    entries: tuple[tuple[str, Path | str], ...]
    modes: Mapping[str, int] = field(default_factory=dict)

    def tag(self) -> str:
        """``<repository>:<hash of everything>``; reads every file."""
        digest = hashlib.sha256()
        for name, content in self.entries:
            data = _data(content)
            digest.update(f"{name}\0{self._mode(name, content):o}\0{len(data)}\0".encode())
            digest.update(data)
        return f"{self.repository}:{digest.hexdigest()[:20]}"

    def archive(self) -> BinaryIO:
        """A tar archive; the same content gives the same bytes."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name, content in self.entries:
                member = tarfile.TarInfo(name)
                data, member.mode = _data(content), self._mode(name, content)
                if isinstance(content, Path) and content.is_symlink():
                    member.type, member.linkname = tarfile.SYMTYPE, os.readlink(content)
                    tar.addfile(member)
                    continue
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        file.seek(0)
        return file

    def _mode(self, name: str, content: Path | str) -> int:
        executable = isinstance(content, Path) and os.access(content, os.X_OK)
        return self.modes.get(name, 0o755 if executable else 0o644)


def bases(folder: Path) -> list[str]:
    """The images that a folder's Dockerfile builds on."""
    return [match[2] for match in FROM.finditer(_dockerfile(folder))]


def folder_context(folder: Path, built: Mapping[str, str] | None = None) -> Context:
    """The folder of an image, as ``docker build`` would send it.

    Args:
        folder: It has a Dockerfile.
        built: What to put in place of images that its Dockerfile builds on.

    Raises:
        ImageError: its Dockerfile cannot be read, or says a mode that is none.
    """
    text, known = _dockerfile(folder), built or {}
    names = [str(path.relative_to(folder)) for path in _files(folder)]
    changed = FROM.sub(lambda match: match[1] + known.get(match[2], match[2]), text)
    changed = CHMOD.sub(r"\1", changed)
    entries: list[tuple[str, Path | str]] = [("Dockerfile", changed)]
    entries += [(name, folder / name) for name in names if name != "Dockerfile"]
    return Context(_repository(folder.name), folder.name, tuple(entries), _modes(folder, text, names))


def source_context(source: Source) -> Context:
    """A Dockerfile of ours around a program without one."""
    text = SOURCE_DOCKERFILE.format(
        version=f"{sys.version_info.major}.{sys.version_info.minor}",
        name=source.requirements.name,
        options="".join(f" {option}" for option in source.options),
        program=PROGRAM_DIRECTORY,
    )
    entries: list[tuple[str, Path | str]] = [("Dockerfile", text)]
    entries += [(f"requirements/{name}", path) for name, path in _requirements(source.requirements)]
    entries += [(f"program/{path.relative_to(source.directory)}", path) for path in _files(source.directory)]
    return Context(_repository(f"source-{source.directory.name}"), source.directory.name, tuple(entries))


def _dockerfile(folder: Path) -> str:
    try:
        return (folder / "Dockerfile").read_text()
    except OSError as error:
        raise ImageError(f"{folder / 'Dockerfile'} cannot be read: {error}") from error


def _modes(folder: Path, dockerfile: str, names: list[str]) -> dict[str, int]:
    """Modes of the files that a ``COPY --chmod`` takes."""
    modes: dict[str, int] = {}
    for line, instruction, rest in instructions(dockerfile):
        asked = re.search(r"--chmod=(\S+)", rest)
        if instruction not in ("COPY", "ADD") or asked is None:
            continue
        if not re.fullmatch(r"[0-7]{3,4}", asked[1]):
            raise ImageError(f"{folder}/Dockerfile, line {line}: --chmod={asked[1]} is no octal mode")
        words = [word for word in rest.split() if not word.startswith("--")]
        for source in words[:-1]:
            pattern = source.removeprefix("./").strip("/") or "*"
            taken = [
                name for name in names if fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/")
            ]
            modes |= dict.fromkeys(taken, int(asked[1], 8))
    return modes


def _files(folder: Path) -> list[Path]:
    found = []
    for directory, names, files in os.walk(folder):
        links = [name for name in names if (Path(directory) / name).is_symlink()]
        names[:] = sorted(set(names) - LEFT_OUT - set(links))
        found += [Path(directory) / name for name in (*files, *links) if not name.endswith(".pyc")]
    return sorted(found)


def _requirements(path: Path) -> Iterator[tuple[str, Path]]:
    """A requirements file and those it includes, by their names relative to its folder."""
    todo, seen = [path.name], set[str]()
    while todo:
        name = os.path.normpath(todo.pop())
        if name in seen or name.startswith(".."):
            continue
        seen.add(name)
        yield name, path.parent / name
        text = (path.parent / name).read_text()
        todo += [os.path.join(os.path.dirname(name), included) for included in INCLUDE.findall(text)]


def _repository(name: str) -> str:
    """A repository name that the engine takes: lower case, separators single and inside."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"sagemaker-local/{cleaned or 'image'}"


def _data(content: Path | str) -> bytes:
    if isinstance(content, str):
        return content.encode()
    return os.readlink(content).encode() if content.is_symlink() else content.read_bytes()
