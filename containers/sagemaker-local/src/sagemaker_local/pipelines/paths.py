"""Paths into documents, as pipeline definitions write them: ``A.B[0].C['d e']``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

PART = re.compile(
    r"""\.?(?P<word>[^.\[\]'"\s][^.\[\]'"]*)
    | \[(?P<index>\d+)\]
    | \[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]""",
    re.VERBOSE,
)
"""One step of a path: a word, a position, or a key in quotes."""

Path = tuple[str | int, ...]


class PathError(Exception):
    """The path cannot be read, or leads nowhere."""


def read_path(text: str) -> Path:
    """Cut a path into its parts; a leading ``$`` stands for the document itself.

    Raises:
        PathError: it is no path.
    """
    rest = text.removeprefix("$")
    parts: list[str | int] = []
    at = 0
    while at < len(rest):
        match = PART.match(rest, at)
        if match is None:
            raise PathError(f"'{text}' is not a path: write it like A.B[0].C['key']")
        if match["index"] is not None:
            parts.append(int(match["index"]))
        else:
            parts.append(match["word"] if match["key"] is None else match["key"])
        at = match.end()
    return tuple(parts)


def look_up(document: Any, path: Path) -> Any:
    """What a path leads to.

    An item of a list is chosen by its position, or by its name: ``Outputs['train']`` is the item one of whose
    fields that end in ``Name`` is ``train``.

    Raises:
        PathError: there is nothing; names the part.
    """
    found = document
    for part in path:
        try:
            found = _member(found, part)
        except (KeyError, IndexError) as error:
            raise PathError(f"'{part}' is not there") from error
    return found


def _member(value: Any, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value[str(part)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if isinstance(part, int):
            return value[part]
        for item in value:
            if isinstance(item, Mapping) and any(
                field.endswith("Name") and name == part for field, name in item.items()
            ):
                return item
    raise KeyError(part)
