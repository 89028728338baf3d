"""Which folder stands for an image URI: the user's own, one of their table, or one for AWS's images.

AWS's images are in ``frameworks/images.toml``. A table of the user's maps others: ``[images]`` with shell
patterns of URIs, each followed by a folder below the containers directory, an absolute path, or
``aws:<runtime>``::

    [images]
    "*/team/churn-model:*" = "churn"
    "*/legacy-sklearn:*" = "aws:scikit-learn"
"""

from __future__ import annotations

import fnmatch
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagemaker_local.executors.base import ImageError

FRAMEWORKS = Path(__file__).with_name("frameworks")
LOCAL_REGISTRY = "sagemaker-local/"
"""Before the name of a runtime, where an image's FROM names one."""

RUNTIME = "aws:"
"""Before the name of a runtime, in a table of the user's."""

CANNOT_PULL = (
    "Cannot pull algorithm container. Either the image does not exist or its permissions are incorrect."
)


@dataclass(frozen=True, slots=True)
class AwsImages:
    """The table of AWS's images.

    Attributes:
        folders: Folder below ``frameworks`` by repository.
        packages: The package whose version the image's tag tells, by folder.
        refused: Why an image is not served, by repository.
        inference: Repository of the image that serves what Neo compiled, by framework.
    """

    folders: Mapping[str, str]
    packages: Mapping[str, str]
    refused: Mapping[str, str]
    inference: Mapping[str, str]


@functools.cache
def aws_images() -> AwsImages:
    """The table, read once."""
    table = tomllib.loads((FRAMEWORKS / "images.toml").read_text())
    return AwsImages(
        folders={name: entry["folder"] for entry in table["runtime"] for name in entry["repositories"]},
        packages={entry["folder"]: entry["package"] for entry in table["runtime"]},
        refused={name: entry["reason"] for entry in table["refused"] for name in entry["repositories"]},
        inference=table["inference_images"],
    )


def repository_name(uri: str) -> str:
    """``digits`` of ``<registry>/team/digits:1`` or ``<registry>/digits@sha256:…``."""
    return uri.partition("@")[0].rpartition("/")[2].partition(":")[0]


def tag(uri: str) -> str:
    """``1.2-1-cpu-py3`` of ``<registry>/sagemaker-scikit-learn:1.2-1-cpu-py3``; empty where there is none."""
    return uri.partition("@")[0].rpartition("/")[2].partition(":")[2]


class ImageCatalogue:
    """Finds the folder of an image.

    Args:
        directory: The containers directory.
        mappings: A table of the user's (``--images``).
    """

    def __init__(self, directory: Path, mappings: Path | None = None) -> None:
        self.directory = directory
        self._mappings_file = mappings
        self._mappings = _read_mappings(mappings) if mappings else {}

    def folder(self, uri: str) -> Path:
        """The folder that stands for an image URI.

        Raises:
            ImageError: there is none; AWS's words, why, and what to do.
        """
        if (found := self.known(uri)) is not None:
            return found
        name = repository_name(uri)
        if reason := aws_images().refused.get(name):
            raise ImageError(f"{CANNOT_PULL} Image '{uri}' is one of AWS's, and {reason}")
        there = sorted(path.parent.name for path in self.directory.glob("*/Dockerfile"))
        raise ImageError(
            f"{CANNOT_PULL} For '{uri}' add a folder '{name}' with a Dockerfile to {self.directory}, or map "
            f"it in a file given by --images. There are: {', '.join(there) or 'none'}"
        )

    def known(self, uri: str) -> Path | None:
        """The same, or None."""
        for pattern, target in self._mappings.items():
            if fnmatch.fnmatchcase(uri, pattern):
                return self._mapped(pattern, target)
        name = repository_name(uri)
        if name not in {"", ".", ".."} and (self.directory / name / "Dockerfile").is_file():
            return self.directory / name
        if uri.startswith(LOCAL_REGISTRY) and (FRAMEWORKS / name / "Dockerfile").is_file():
            return FRAMEWORKS / name
        folder = aws_images().folders.get(name)
        return FRAMEWORKS / folder if folder and "/" in uri else None

    def _mapped(self, pattern: str, target: str) -> Path:
        folder = (
            FRAMEWORKS / target.removeprefix(RUNTIME)
            if target.startswith(RUNTIME)
            else self.directory / target
        )
        if not (folder / "Dockerfile").is_file():
            raise ImageError(
                f"{self._mappings_file} maps '{pattern}' to '{target}', but {folder} has no Dockerfile; "
                f"name a folder of {self.directory}, an absolute path, or one of "
                f"{', '.join(RUNTIME + name for name in sorted(aws_images().packages))}"
            )
        return folder


def difference(uri: str, folder: Path) -> str | None:
    """What to tell about an image of AWS's that another version stands for; None for other images."""
    if folder.parent != FRAMEWORKS:
        return None
    package = aws_images().packages[folder.name]
    lines = (folder / "requirements.txt").read_text().splitlines()
    version = next(
        (line.partition("==")[2].split()[0] for line in lines if line.startswith(f"{package}==")), ""
    )
    return f"'{uri}' stands for {package} {version} on a CPU here, whatever its tag says"


def _read_mappings(path: Path) -> dict[str, str]:
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ImageError(f"Image mappings {path} cannot be read: {error}") from error
    images = table.get("images")
    if not isinstance(images, dict):
        images = {"images": None}
    wrong = [name for name, value in images.items() if not isinstance(value, str)]
    if wrong or set(table) - {"images"}:
        raise ImageError(
            f'{path} needs one table [images] with lines such as "*/my-image:*" = "my-folder"; '
            f"wrong: {', '.join([*wrong, *(set(table) - {'images'})])}"
        )
    return dict(images)
