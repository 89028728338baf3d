"""Reads ``RUN pip install …`` of a Dockerfile: what a line adds to the image's virtual environment.

Options: https://pip.pypa.io/en/stable/cli/pip_install/. What changes which packages come, and is not known
here, is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

INSTALL = re.compile(r"^(?:\S*/)?(?:uv\s+pip|pip[\d.]*|python[\d.]*\s+-m\s+pip)\s+(?:-\S+\s+)*install\b(.*)$")
SEPARATOR = re.compile(r"&&|\|\||;|\n")
TOOLS = frozenset({"pip", "setuptools", "wheel"})
"""Upgrades of the installer itself; ours is another."""

FILE = ("-r", "--requirement")
INDEXES = ("--index-url", "-i", "--extra-index-url", "--find-links", "-f", "--trusted-host")
"""Options with a value that say where packages come from; lines of a requirements file can say the same."""

WITH_VALUE = ("--timeout", "--retries", "--root-user-action", "--progress-bar", "--cache-dir")
WITHOUT_EFFECT = frozenset(
    [
        "--no-cache-dir",
        "--upgrade",
        "-U",
        "--quiet",
        "-q",
        "-qq",
        "--verbose",
        "-v",
        "--disable-pip-version-check",
        "--no-input",
        "--user",
        "--system",
        "--break-system-packages",
        "--no-warn-script-location",
        "--prefer-binary",
        "--no-compile",
        "--compile",
        "--ignore-installed",
        "-I",
        "--force-reinstall",
        "--only-binary=:all:",
        "--no-build-isolation",
    ]
)


class NotUnderstood(ValueError):
    """The line says something that cannot be honoured; the message says what."""


@dataclass(frozen=True, slots=True)
class Install:
    """One ``pip install``.

    Attributes:
        files: Requirements files, by their paths in the image.
        packages: Requirements as they would stand in such a file.
        options: Where packages come from, as lines of such a file.
    """

    files: tuple[str, ...]
    packages: tuple[str, ...]
    options: tuple[str, ...]


def installs(run: str) -> Iterator[Install]:
    """What a RUN installs with pip, in order.

    Raises:
        NotUnderstood: an option is unknown here, or a package is a local path.
    """
    for part in SEPARATOR.split(run):
        if match := INSTALL.match(part.strip()):
            yield _read(match.group(1))


def _read(arguments: str) -> Install:
    try:
        words = iter(shlex.split(arguments, comments=True))
    except ValueError as error:
        raise NotUnderstood(str(error)) from error
    files, packages, options = [], [], []
    for word in words:
        name, has_value, value = word.partition("=")
        if not word.startswith("-"):
            packages.append(_package(word))
        elif word in WITHOUT_EFFECT:
            continue
        elif name in FILE:
            files.append(value if has_value else next(words, ""))
        elif word.startswith("-r"):
            files.append(word.removeprefix("-r"))
        elif name in INDEXES:
            options.append(f"{name} {value if has_value else next(words, '')}")
        elif name in WITH_VALUE:
            if not has_value:
                next(words, "")
        else:
            raise NotUnderstood(f"pip install {name} is not supported: use requirements.txt, or leave it out")
    wanted = tuple(package for package in packages if not _is_tool(package))
    return Install(tuple(files), wanted, tuple(options))


def _package(word: str) -> str:
    local = word.startswith((".", "/", "~")) or word.endswith((".whl", ".tar.gz", ".zip"))
    if local and "://" not in word:
        raise NotUnderstood(
            f"pip install {word} is not supported: COPY the code to a directory on PYTHONPATH, and name "
            "what it requires in requirements.txt"
        )
    return word


def _is_tool(package: str) -> bool:
    return re.split(r"[<>=!~\[; ]", package, maxsplit=1)[0].lower() in TOOLS
