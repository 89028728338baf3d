"""Images for Docker's engine: built from a folder or a :class:`Source` when missing, else pulled.

Source: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_local.executors.base import ImageError, LineSink, Source
from sagemaker_local.executors.docker_container import ONE_STREAM, EngineImage
from sagemaker_local.executors.docker_context import Context, bases, folder_context, source_context
from sagemaker_local.executors.docker_engine import LABEL_IMAGE, remove_container, spoken
from sagemaker_local.images.catalogue import difference
from sagemaker_local.images.image import ImageFolders

if TYPE_CHECKING:
    import aiodocker

LAST_LINES = 8
PROXIES = (
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy",
)  # fmt: skip
"""Build arguments that every Dockerfile has: https://docs.docker.com/reference/dockerfile/#predefined-args"""


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
        if told := difference(image, folder):
            log(f"sagemaker-local: {told}")
        return await self._of_folder(docker, folder, log)

    async def _of_folder(self, docker: aiodocker.Docker, folder: Path, log: LineSink) -> str:
        """Build a folder's image, after those that it builds on and that are folders here too."""
        built = {}
        for base in bases(folder):
            if (below := self.folders.base(base)) is not None and below != folder:
                built[base] = await self._of_folder(docker, below, log)
        return await self._built(docker, folder_context(folder, built), log)

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
