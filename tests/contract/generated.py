"""Requests made from botocore's service models: valid ones, and each with one constraint broken."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from hypothesis import strategies as st

DEEPEST = 4
"""Below this only required members are given, so that recursive shapes end."""
LONGEST_TEXT = 40
MOST_EXTRA_ITEMS = 2
ASCII = st.characters(min_codepoint=32, max_codepoint=126)

JAVA_CLASSES = {
    r"\p{L}": "a-zA-Z",
    r"\p{Z}": " ",
    r"\p{N}": "0-9",
    r"\p{Print}": "[ -~]",
    r"\w-_": r"\w\-_",
    r"\uD800\uDC00-\uDBFF\uDFFF": "",
}
"""What Python does not read of Java's character classes, as ASCII."""

LOOK_AHEAD = "(?!"
UNPAIRED = r"\uD800"
"""In a pattern that no engine but Java's reads; the server does not enforce it."""
PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"
REPEATED_END = re.compile(r"\$\{\d+,\d+\}")
"""`…$` with a quantifier, as some patterns have it: no more than an end."""

Path = tuple[str | int, ...]


def valid(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that keep every constraint of a shape."""
    if isinstance(shape, StructureShape):
        return _structures(shape, depth)
    least, most = _bounds(shape)
    if isinstance(shape, ListShape):
        items = valid(shape.member, depth + 1)
        return st.lists(items, min_size=least, max_size=min(most, least + MOST_EXTRA_ITEMS))
    if isinstance(shape, MapShape):
        keys, values = valid(shape.key, depth + 1), valid(shape.value, depth + 1)
        return st.dictionaries(keys, values, min_size=least, max_size=min(most, least + MOST_EXTRA_ITEMS))
    return _scalars(shape)


def _structures(shape: StructureShape, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    if shape.is_tagged_union:
        ways: list[st.SearchStrategy[dict[str, Any]]] = [
            st.fixed_dictionaries({name: valid(member, depth + 1)})
            for name, member in shape.members.items()
            if possible(member)
        ]
        return st.one_of(ways)
    members = {name: member for name, member in shape.members.items() if possible(member)}
    required = {name: valid(members[name], depth + 1) for name in shape.required_members}
    if depth > DEEPEST:
        return st.fixed_dictionaries(required)
    optional = {
        name: st.deferred(lambda member=member: valid(member, depth + 1))  # type: ignore[misc]
        for name, member in members.items()
        if name not in required
    }
    names = st.sets(st.sampled_from(sorted(optional)), max_size=4) if optional else st.just(set())
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({**required, **{name: optional[name] for name in chosen}})
    )


def _scalars(shape: Shape) -> st.SearchStrategy[Any]:
    least, most = _bounds(shape)
    match shape.type_name:
        case "string":
            assert isinstance(shape, StringShape)
            if shape.enum:
                return st.sampled_from(shape.enum)
            pattern = shape.metadata.get("pattern")
            if pattern and (LOOK_AHEAD in pattern or UNPAIRED in pattern):  # slow or not at all by from_regex
                texts = st.text(PLAIN, min_size=max(least, 1), max_size=max(least, min(most, LONGEST_TEXT)))
                # What stands before a look-ahead is plain text in all patterns of the models.
                begins, ahead, _ = pattern.partition(LOOK_AHEAD)
                return texts.map(lambda text: begins + text) if ahead else texts
            if pattern and (compiled := _compiled(pattern)):
                texts = st.from_regex(compiled, fullmatch=True, alphabet=ASCII)
                return texts.filter(lambda text: least <= len(text) <= most)
            return st.text(ASCII, min_size=least, max_size=max(least, min(most, LONGEST_TEXT)))
        case "integer" | "long":
            limit = 2**31 - 1
            least = shape.metadata.get("min", -limit)
            return st.integers(int(least), int(min(shape.metadata.get("max", limit), limit)))
        case "float" | "double":
            least, most = shape.metadata.get("min", -1e6), shape.metadata.get("max", 1e6)
            return st.floats(least, most, allow_nan=False)
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.integers(0, 4_000_000_000)
        case "blob":
            return st.binary(max_size=LONGEST_TEXT).map(lambda content: base64.b64encode(content).decode())
    raise AssertionError(f"no values for a {shape.type_name}")


def possible(shape: Shape) -> bool:
    """Whether values can be made: not of the few patterns that only Java reads."""
    if isinstance(shape, StructureShape):
        return all(possible(shape.members[name]) for name in shape.required_members)
    pattern = shape.metadata.get("pattern") if shape.type_name == "string" else None
    return pattern is None or _compiled(pattern) is not None


def _compiled(pattern: str) -> re.Pattern[str] | None:
    for java, python in JAVA_CLASSES.items():
        pattern = REPEATED_END.sub("$", pattern).replace(java, python)
    try:
        return re.compile(pattern, re.ASCII)
    except re.error:
        return None


def _bounds(shape: Shape) -> tuple[int, int]:
    return int(shape.metadata.get("min", 0)), int(shape.metadata.get("max", 2**31))


@dataclass(frozen=True, slots=True)
class Break:
    """One constraint of one place in a request, broken.

    Attributes:
        path: The place.
        value: What stands there now.
        constraint: What the refusal must say.
    """

    path: Path
    value: Any
    constraint: str

    @property
    def field(self) -> str:
        """The place as AWS writes it: ``inputDataConfig.1.member.channelName``."""
        words: list[str] = []
        for step in self.path:
            if isinstance(step, int):
                words += [str(step + 1), "member"]
            else:
                words.append(step[:1].lower() + step[1:])
        return ".".join(words)

    def apply(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request with this place broken."""
        broken = copy.deepcopy(request)
        target: Any = broken
        for step in self.path[:-1]:
            target = target[step]
        target[self.path[-1]] = self.value
        return broken


def breaks(shape: Shape, value: Any, path: Path = ()) -> Iterator[Break]:
    """Every way to break one constraint of a valid request (maps left alone: their keys are in the path)."""
    if isinstance(shape, StructureShape):
        for name in shape.required_members:
            yield Break((*path, name), None, "Member must not be null")
        for name, item in value.items():
            yield from breaks(shape.members[name], item, (*path, name))
    elif isinstance(shape, ListShape):
        most = shape.metadata.get("max")
        if value and most is not None and most <= 100:
            too_many = [value[0]] * (most + 1)
            yield Break(path, too_many, f"Member must have length less than or equal to {most}")
        for position, item in enumerate(value):
            yield from breaks(shape.member, item, (*path, position))
    else:
        yield from _scalar_breaks(shape, path)


def _scalar_breaks(shape: Shape, path: Path) -> Iterator[Break]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "string":
        assert isinstance(shape, StringShape)
        if shape.enum:
            yield Break(path, "NoSuchWord", "Member must satisfy enum value set: [")
        elif most is not None and most <= 4096:
            yield Break(path, "a" * (most + 1), f"Member must have length less than or equal to {most}")
        if least and not shape.enum:
            yield Break(path, "", f"Member must have length greater than or equal to {least}")
        pattern = shape.metadata.get("pattern")
        if (
            pattern
            and UNPAIRED not in pattern
            and (compiled := _compiled(pattern))
            and not compiled.fullmatch("\x00")
        ):
            yield Break(path, "\x00", "Member must satisfy regular expression pattern: ")
    elif shape.type_name in ("integer", "long"):
        if least is not None:
            yield Break(path, least - 1, f"Member must have value greater than or equal to {least}")
        if most is not None:
            yield Break(path, most + 1, f"Member must have value less than or equal to {most}")


def conforms(shape: Shape, answer: Any, path: str = "") -> Iterator[str]:
    """What a JSON answer has that its shape does not allow, or lacks that it requires."""
    if isinstance(shape, StructureShape):
        if not isinstance(answer, dict):
            yield f"{path or 'the answer'} is {answer!r}, not a structure"
            return
        yield from (f"{path}.{name} is missing" for name in shape.required_members if name not in answer)
        for name, item in answer.items():
            if name not in shape.members:
                yield f"{path}.{name} is not in the model"
            elif item is None:
                yield f"{path}.{name} is null"
            else:
                yield from conforms(shape.members[name], item, f"{path}.{name}")
    elif isinstance(shape, ListShape):
        for position, item in enumerate(answer):
            yield from conforms(shape.member, item, f"{path}[{position}]")
    elif isinstance(shape, MapShape):
        for key, item in answer.items():
            yield from conforms(shape.value, item, f"{path}[{key!r}]")
    elif not TYPES[shape.type_name](answer):
        yield f"{path} is {answer!r}, not a {shape.type_name}"
    elif isinstance(shape, StringShape) and shape.enum and answer not in shape.enum:
        yield f"{path} is {answer!r}, not one of {shape.enum}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "blob": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "long": _is_integer,
    "float": _is_number,
    "double": _is_number,
    "timestamp": _is_number,
}
