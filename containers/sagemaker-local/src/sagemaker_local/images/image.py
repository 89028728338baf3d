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
from sagemaker_local.images.catalogue import ImageCatalogue, difference, repository_name
from sagemaker_local.images.dockerfile import DEFAULT_PATH, Copy, Dockerfile, read_dockerfile
from sagemaker_local.images.environments import Environment, EnvironmentCache, Requirements
from sagemaker_local.images.pip_configuration import read_pip_configuration
from sagemaker_local.images.writable_layer import LAYER, has_pip, write_layer

PROGRAM_DIRECTORY = "/opt/program"
"""Where the code of a :class:`Source` lies in its sandbox."""

LEFT_OUT = shutil.ignore_patterns("__pycache__", ".git", ".venv")
"""Never copied into an image: they belong to the folder's development."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is ready to start.

    Attributes:
        visible: Host paths that its programs need beside the interpreter: local package indexes.
    """

    name: str
    folder: Path
    environment: Mapping[str, str]
    workdir: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    copies: tuple[Copy, ...]
    python: Environment
    visible: tuple[Path, ...] = ()

    def copy_files(self, root: Path) -> set[str]:
        """Put the files of COPY below ``root``; returns the paths (in the image) that hold them.

        Raises:
            ImageError: a source is not there.
        """
        places = {place for copy in self.copies for place in _copy(copy, root)}
        if has_pip(self.python):
            places.add(write_layer(root, self.python))
        return places


class ImageFolders:
    """Images as folders, of the user's or of this package.

    Args:
        directory: The containers directory.
        environments: Where virtual environments are kept.
        mappings: A table of the user's (``--images``).
    """

    def __init__(self, directory: Path, environments: EnvironmentCache, mappings: Path | None = None) -> None:
        self.directory = directory
        self.environments = environments
        self.catalogue = ImageCatalogue(directory, mappings)

    async def image(self, image: str | Source, log: LineSink) -> Image:
        """Find an image and make its environment ready.

        Raises:
            ImageError: no such folder, a Dockerfile that cannot be honoured, a build that fails.
        """
        if isinstance(image, Source):
            return await self._of_source(image, log)
        folder = self.folder(image)
        first = self._read(folder, DEFAULT_PATH)
        python = await self.environments.environment(first.requirements, first.python_version, log)
        # Read again now that the environment's bin, which `ENV PATH=…:$PATH` builds upon, is known.
        pip = read_pip_configuration() if has_pip(python) else None
        layer = f"{LAYER}/bin:" if pip else ""
        dockerfile = self._read(folder, f"{layer}{python.bin}:{DEFAULT_PATH}")
        return Image(
            name=repository_name(image),
            folder=folder,
            environment={**(pip.for_programs() if pip else {}), **dockerfile.environment},
            workdir=dockerfile.workdir,
            entrypoint=dockerfile.entrypoint,
            command=dockerfile.command,
            copies=tuple(dockerfile.copies),
            python=python,
            visible=pip.local_directories() if pip else (),
        )

    def tell(self, image: str | Source, log: LineSink) -> None:
        """Say in the log what stands for an image of AWS's.

        Raises:
            ImageError: there is no such image.
        """
        if isinstance(image, str) and (told := difference(image, self.folder(image))):
            log(f"sagemaker-local: {told}")

    def folder(self, uri: str) -> Path:
        """The folder that stands for an image URI.

        Raises:
            ImageError: there is none; says what to do.
        """
        return self.catalogue.folder(uri)

    def base(self, name: str) -> Path | None:
        """The folder of an image that another builds on, or None for one that is not known here."""
        return self.catalogue.known(name)

    def _read(self, folder: Path, path: str) -> Dockerfile:
        return read_dockerfile(folder / "Dockerfile", path, self.base)

    async def _of_source(self, source: Source, log: LineSink) -> Image:
        python = await self.environments.environment(
            [Requirements(source.requirements, options=source.options)], None, log
        )
        everything = Copy(source.directory, (".",), f"{PROGRAM_DIRECTORY}/", None, 0)
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


def _copy(copy: Copy, root: Path) -> set[str]:
    """Do one COPY; the paths in the image that it made."""
    places = set()
    where = f"{copy.folder}/Dockerfile, line {copy.line}"
    for pattern in copy.sources:
        found = sorted(glob.glob(pattern.lstrip("/") or ".", root_dir=copy.folder, include_hidden=True))
        if not found:
            raise ImageError(f"{where}: COPY of '{pattern}': there is no such file")
        for name in found:
            source = copy.folder / name
            if not source.resolve().is_relative_to(copy.folder.resolve()):
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
