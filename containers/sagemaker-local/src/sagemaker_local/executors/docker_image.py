"""Images for Docker's engine: a folder of ``containers/`` or a :class:`Source` built once for each content.

The tag is a hash of the build context, so an edit makes a new image and the same content never builds twice.
Source: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import sys
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sagemaker_local.executors.base import ImageError, LineSink, Source
from sagemaker_local.executors.docker_container import ONE_STREAM, EngineImage
from sagemaker_local.executors.docker_engine import LABEL_IMAGE, remove_container, spoken
from sagemaker_local.images.environments import INCLUDE
from sagemaker_local.images.image import PROGRAM_DIRECTORY, ImageFolders

if TYPE_CHECKING:
    import aiodocker

LAST_LINES = 8
LEFT_OUT = {"__pycache__", ".git", ".venv"}
"""Never sent to the engine: they belong to the folder's development."""

PROXIES = (
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy",
)  # fmt: skip
"""Build arguments that every Dockerfile has: https://docs.docker.com/reference/dockerfile/#predefined-args"""

SOURCE_DOCKERFILE = """FROM python:{version}-slim
COPY requirements/ /tmp/requirements/
RUN pip install --no-cache-dir --no-input -r /tmp/requirements/{name}
COPY program/ {program}/
ENV PATH={program}:$PATH
WORKDIR {program}
"""


@dataclass(frozen=True, slots=True)
class Context:
    """What is sent to the engine to build: names in the archive, with a file's path or its text."""

    repository: str
    name: str
    entries: tuple[tuple[str, Path | str], ...]

    def tag(self) -> str:
        """``<repository>:<hash of everything>``; reads every file."""
        digest = hashlib.sha256()
        for name, content in self.entries:
            data, mode = _content(content)
            digest.update(f"{name}\0{mode:o}\0{len(data)}\0".encode())
            digest.update(data)
        return f"{self.repository}:{digest.hexdigest()[:20]}"

    def archive(self) -> BinaryIO:
        """A tar archive; the same content gives the same bytes."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name, content in self.entries:
                member = tarfile.TarInfo(name)
                data, member.mode = _content(content)
                if isinstance(content, Path) and content.is_symlink():
                    member.type, member.linkname = tarfile.SYMTYPE, os.readlink(content)
                    tar.addfile(member)
                    continue
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        file.seek(0)
        return file


def folder_context(folder: Path) -> Context:
    """The folder of an image, as ``docker build`` would send it."""
    entries = tuple((str(path.relative_to(folder)), path) for path in _files(folder))
    return Context(_repository(folder.name), folder.name, entries)


def source_context(source: Source) -> Context:
    """A Dockerfile of ours around a program without one."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = SOURCE_DOCKERFILE.format(version=version, name=source.requirements.name, program=PROGRAM_DIRECTORY)
    entries: list[tuple[str, Path | str]] = [("Dockerfile", text)]
    entries += [(f"requirements/{name}", path) for name, path in _requirements(source.requirements)]
    entries += [(f"program/{path.relative_to(source.directory)}", path) for path in _files(source.directory)]
    return Context(_repository(f"source-{source.directory.name}"), source.directory.name, tuple(entries))


@dataclass(slots=True)
class DockerImages:
    """Finds, builds or pulls images.

    Attributes:
        folders: Where images of folders come from.
    """

    folders: ImageFolders
    _building: dict[str, asyncio.Lock] = field(default_factory=dict)
    _shells: dict[str, bool] = field(default_factory=dict)

    async def ready(self, docker: aiodocker.Docker, image: str | Source, log: LineSink) -> str:
        """The engine's name of an image that is ready to start; built or pulled when it is missing.

        Raises:
            ImageError: no such image, or its build fails.
        """
        if isinstance(image, Source):
            return await self._built(docker, source_context(image), log)
        try:
            folder = self.folders.folder(image)
        except ImageError as unknown:
            return await self._pulled(docker, image, unknown, log)
        return await self._built(docker, folder_context(folder), log)

    async def inspect(self, docker: aiodocker.Docker, name: str, labels: Mapping[str, str]) -> EngineImage:
        """What the engine knows of an image that is ready; the labels are for what is made to find out."""
        shown = await docker.images.inspect(name)
        said = shown["Config"] or {}
        identity = shown["Id"]
        if identity not in self._shells:
            self._shells[identity] = await _has_shell(docker, identity, labels)
        return EngineImage(
            name=name,
            environment=tuple(said.get("Env") or ()),
            entrypoint=tuple(said.get("Entrypoint") or ()),
            command=tuple(said.get("Cmd") or ()),
            user=said.get("User") or "",
            shell=self._shells[identity],
        )

    async def _built(self, docker: aiodocker.Docker, context: Context, log: LineSink) -> str:
        try:
            tag = await asyncio.to_thread(context.tag)
        except OSError as error:
            raise ImageError(f"Image '{context.name}' cannot be read: {error}") from error
        async with self._building.setdefault(tag, asyncio.Lock()):
            async with spoken(f"Looking for image '{tag}'"):
                if await _there(docker, tag):
                    return tag
            log(f"sagemaker-local: Docker builds the image '{tag}'")
            await _build(docker, context, tag, log)
        return tag

    async def _pulled(self, docker: aiodocker.Docker, uri: str, unknown: ImageError, log: LineSink) -> str:
        async with self._building.setdefault(uri, asyncio.Lock()):
            async with spoken(f"Looking for image '{uri}'"):
                if await _there(docker, uri):
                    return uri
            try:
                async with spoken("Pulling it"):
                    log(f"sagemaker-local: Docker pulls the image '{uri}'")
                    await docker.images.pull(uri)
            except ImageError as refused:
                raise ImageError(f"{unknown}. {refused}") from refused
        return uri


async def _has_shell(docker: aiodocker.Docker, image: str, labels: Mapping[str, str]) -> bool:
    """Look into a container of the image that never starts."""
    import aiodocker

    container = await docker.containers.create(
        {"Image": image, "Entrypoint": ["none"], "Labels": dict(labels), "NetworkDisabled": True}
    )
    try:
        async with docker._query(
            f"containers/{container.id}/archive", method="HEAD", params={"path": ONE_STREAM[0]}
        ):
            return True
    except aiodocker.DockerError as error:
        if error.status != 404:
            raise
        return False
    finally:
        await remove_container(docker, container.id)


async def _there(docker: aiodocker.Docker, name: str) -> bool:
    import aiodocker

    try:
        await docker.images.inspect(name)
    except aiodocker.DockerError as error:
        if error.status in (400, 404):
            return False
        raise
    return True


async def _build(docker: aiodocker.Docker, context: Context, tag: str, log: LineSink) -> None:
    import aiodocker

    last: deque[str] = deque(maxlen=LAST_LINES)

    def take(line: str) -> None:
        log(line)
        last.append(line)

    file = await asyncio.to_thread(context.archive)
    try:
        async with spoken(f"Building image '{context.name}'"):
            parts = docker.images.build(
                fileobj=file,
                encoding="identity",
                tag=tag,
                forcerm=True,
                labels={LABEL_IMAGE: context.name},
                buildargs={name: os.environ[name] for name in PROXIES if name in os.environ},
                stream=True,
            )
            async for part in parts:
                for line in _lines(part):
                    take(line)
    except ImageError as error:
        cause = error.__cause__
        said = cause.message if isinstance(cause, aiodocker.DockerError) else str(cause)
        text = " | ".join([*last, *([] if said in last else [said])])
        raise ImageError(
            f"Building image '{context.name}' failed: {text}; correct its Dockerfile or requirements and "
            "start the job again"
        ) from error
    finally:
        file.close()


def _lines(part: dict[str, Any]) -> Iterator[str]:
    text = part.get("stream") or ""
    if part.get("status") and not part.get("progressDetail"):
        text = f"{part['status']} {part.get('id', '')}"
    for line in re.split(r"[\r\n]+", text):
        if line.strip():
            yield line.rstrip()


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


def _content(content: Path | str) -> tuple[bytes, int]:
    if isinstance(content, str):
        return content.encode(), 0o644
    if content.is_symlink():
        return os.readlink(content).encode(), 0o777
    return content.read_bytes(), 0o755 if os.access(content, os.X_OK) else 0o644
