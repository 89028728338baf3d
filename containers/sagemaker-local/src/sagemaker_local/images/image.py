"""Image URI → the folder that stands for it → what its program needs to start."""

from __future__ import annotations

import glob
import os
import posixpath
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sagemaker_local.executors.base import ImageError, LineSink, Source
from sagemaker_local.images.dockerfile import DEFAULT_PATH, Copy, read_dockerfile
from sagemaker_local.images.environments import Environment, EnvironmentCache

PROGRAM_DIRECTORY = "/opt/program"
"""Where the code of a :class:`Source` lies in its sandbox."""

LEFT_OUT = shutil.ignore_patterns("__pycache__", ".git", ".venv")
"""Never copied into an image: they belong to the folder's development."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is ready to start."""

    name: str
    folder: Path
    environment: Mapping[str, str]
    workdir: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    copies: tuple[Copy, ...]
    python: Environment

    def copy_files(self, root: Path) -> set[str]:
        """Put the files of COPY below ``root``; returns the paths (in the image) that hold them.

        Raises:
            ImageError: a source is not there.
        """
        return {place for copy in self.copies for place in _copy(self, copy, root)}


class ImageFolders:
    """Every folder of a directory is an image.

    Args:
        directory: The containers directory.
        environments: Where virtual environments are kept.
    """

    def __init__(self, directory: Path, environments: EnvironmentCache) -> None:
        self.directory = directory
        self.environments = environments

    async def image(self, image: str | Source, log: LineSink) -> Image:
        """Find an image and make its environment ready.

        Raises:
            ImageError: no such folder, a Dockerfile that cannot be honoured, a build that fails.
        """
        if isinstance(image, Source):
            return await self._of_source(image, log)
        folder = self.folder(image)
        version = read_dockerfile(folder / "Dockerfile", DEFAULT_PATH).python_version
        requirements = folder / "requirements.txt"
        python = await self.environments.environment(
            requirements if requirements.exists() else None, version, log
        )
        # Read again now that the environment's bin, which `ENV PATH=…:$PATH` builds upon, is known.
        dockerfile = read_dockerfile(folder / "Dockerfile", f"{python.bin}:{DEFAULT_PATH}")
        return Image(
            name=repository_name(image),
            folder=folder,
            environment=dockerfile.environment,
            workdir=dockerfile.workdir,
            entrypoint=dockerfile.entrypoint,
            command=dockerfile.command,
            copies=tuple(dockerfile.copies),
            python=python,
        )

    def folder(self, uri: str) -> Path:
        """The folder that stands for an image URI: the last part of its repository.

        Raises:
            ImageError: there is none; names those that are there.
        """
        name = repository_name(uri)
        folder = self.directory / name
        if name not in {"", ".", ".."} and (folder / "Dockerfile").is_file():
            return folder
        there = sorted(path.parent.name for path in self.directory.glob("*/Dockerfile"))
        raise ImageError(
            f"Cannot pull image '{uri}': the repository '{name}' does not exist; {self.directory} has no "
            f"folder '{name}' with a Dockerfile. There are: {', '.join(there) or 'none'}"
        )

    async def _of_source(self, source: Source, log: LineSink) -> Image:
        python = await self.environments.environment(source.requirements, None, log)
        everything = Copy((".",), f"{PROGRAM_DIRECTORY}/", None, 0)
        return Image(
            name=source.directory.name,
            folder=source.directory,
            environment={"PATH": f"{PROGRAM_DIRECTORY}:{python.bin}:{DEFAULT_PATH}"},
            workdir=PROGRAM_DIRECTORY,
            entrypoint=(),
            command=(),
            copies=(everything,),
            python=python,
        )


def repository_name(uri: str) -> str:
    """``digits`` of ``<registry>/team/digits:1`` or ``<registry>/digits@sha256:…``."""
    return uri.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _copy(image: Image, copy: Copy, root: Path) -> set[str]:
    """Do one COPY; the paths in the image that it made."""
    places = set()
    where = f"{image.folder}/Dockerfile, line {copy.line}"
    for pattern in copy.sources:
        found = sorted(glob.glob(pattern.lstrip("/") or ".", root_dir=image.folder, include_hidden=True))
        if not found:
            raise ImageError(f"{where}: COPY of '{pattern}': there is no such file")
        for name in found:
            source = image.folder / name
            if not source.resolve().is_relative_to(image.folder.resolve()):
                raise ImageError(f"{where}: '{name}' is outside the folder")
            destination = copy.destination
            if source.is_file() and destination.endswith("/"):
                destination = posixpath.join(destination, source.name)
            destination = destination.rstrip("/") or "/"
            target = root / destination.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True, ignore=LEFT_OUT, symlinks=True)
                places.add(destination)
            else:
                shutil.copy2(source, target)
                places.add(posixpath.dirname(destination))
            if copy.mode is not None:
                _change_mode(target, copy.mode)
    if "/" in places:
        # The root itself cannot be replaced, so each of its entries is placed alone.
        places = (places - {"/"}) | {f"/{entry.name}" for entry in os.scandir(root)}
    return places


def _change_mode(target: Path, mode: int) -> None:
    paths = [target, *target.rglob("*")] if target.is_dir() else [target]
    for path in paths:
        if not path.is_symlink():
            path.chmod(mode)
