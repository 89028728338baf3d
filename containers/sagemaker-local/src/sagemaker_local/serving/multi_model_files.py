"""The artefacts of a multi-model container on disk: fetched once; the longest unused go when there are many.

As on AWS, a model that was unloaded from memory stays on the volume and is loaded again from there.
"""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import Artefact

DISK_BYTES = 10 * 1024**3
"""What the artefacts of one instance may take together."""


class ModelFiles:
    """``/opt/ml/models`` of one instance; its methods block, one thread at a time may place one model.

    Args:
        directory: The host's directory of it.
        objects: Where the artefacts are.
        disk_bytes: Above this, models that are not in use go.
    """

    def __init__(self, directory: Path, objects: ObjectStore, disk_bytes: int = DISK_BYTES) -> None:
        self._directory = directory
        self._objects = objects
        self._disk_bytes = disk_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def clear(self) -> None:
        """Begin with nothing, whatever an earlier server left."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)
        self._sizes.clear()

    def place(self, name: str, artefact: Artefact, in_use: Callable[[str], bool]) -> None:
        """Have a model's files below ``<name>/model``.

        Raises:
            ArtefactError: they cannot be had.
        """
        if name in self._sizes:
            self._sizes.move_to_end(name)
            return
        partial = self._directory / f".{name}"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            artefact.place(self._objects, partial / "model")
            partial.rename(self._directory / name)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        self._sizes[name] = _size(self._directory / name)
        self._make_room(in_use)

    def remove(self, name: str) -> None:
        """Remove a model's files."""
        self._sizes.pop(name, None)
        shutil.rmtree(self._directory / name, ignore_errors=True)

    def _make_room(self, in_use: Callable[[str], bool]) -> None:
        over = sum(self._sizes.copy().values()) - self._disk_bytes
        for name in list(self._sizes):
            if over <= 0:
                return
            if not in_use(name):
                over -= self._sizes[name]
                self.remove(name)


def _size(directory: Path) -> int:
    return sum(
        (Path(folder) / name).lstat().st_size for folder, _, names in os.walk(directory) for name in names
    )
