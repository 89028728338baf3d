"""Checks a request against botocore's service model and words every broken constraint as AWS does.

botocore's own validator knows required members, types and lower bounds; AWS also enforces enums, patterns and
upper bounds. All of it is in the model's shapes, so one walk over them serves every operation.

AWS's wording: ``2 validation errors detected: Value null at 'roleArn' failed to satisfy constraint:
Member must not be null; Value 'x' at 'status' failed to satisfy constraint: Member must satisfy enum
value set: [a]``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import regex
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from sagemaker_local.errors import SerializationException, ValidationException

# Patterns that Java accepts and no Python engine compiles (unpaired surrogates in a class): they exclude only
# control characters, so they are not enforced.
UNENFORCED_PATTERN_PART = "\\uD800"

INTEGER_BOUNDS = {"integer": 2**31, "long": 2**63}
LARGEST_NUMBER = 1.8e308
"""JSON has larger ones, which Python reads as infinite."""

PATTERN_TIMEOUT_S = 1.0
"""Some patterns of the model take exponential time on values made for it."""


def validate(shape: StructureShape | None, request: dict[str, Any]) -> None:
    """Check a parsed JSON request against an operation's input shape.

    Args:
        shape: The operation's input, or None when it takes none.
        request: The parsed JSON body.

    Raises:
        SerializationException: a value has the wrong JSON type.
        ValidationException: required, enum, pattern, length or range constraints are broken; names them all.
    """
    if shape is None:
        return
    broken = list(_check(shape, request, ""))
    if broken:
        count = f"{len(broken)} validation error{'s' if len(broken) > 1 else ''} detected: "
        raise ValidationException(count + "; ".join(broken))


def _check(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        yield from _check_structure(shape, value, path)
    elif isinstance(shape, ListShape):
        _require_type(value, list, path)
        yield from _check_bounds(shape, len(value), value, path, "length")
        for position, item in enumerate(value, start=1):
            yield from _check(shape.member, item, f"{path}.{position}.member")
    elif isinstance(shape, MapShape):
        _require_type(value, dict, path)
        yield from _check_bounds(shape, len(value), value, path, "length")
        for key, item in value.items():
            yield from _check(shape.key, key, f"{path}.{key}.key" if path else key)
            yield from _check(shape.value, item, f"{path}.{key}.value" if path else key)
    else:
        yield from _check_scalar(shape, value, path)


def _check_structure(shape: StructureShape, value: Any, path: str) -> Iterator[str]:
    _require_type(value, dict, path)
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _check(member, value[name], _join(path, name))
    for name in value.keys() - shape.members.keys():
        raise SerializationException(
            f"Unknown member '{name}' at '{path or shape.name}'; the model knows {', '.join(shape.members)}"
        )
    given = [name for name in shape.members if value.get(name) is not None]
    if shape.is_tagged_union and len(given) != 1:
        yield (
            f"Value at '{path}' failed to satisfy constraint: Member must have exactly one of "
            f"[{', '.join(shape.members)}] set"
        )


def _check_scalar(shape: Shape, value: Any, path: str) -> Iterator[str]:
    match shape.type_name:
        case "string":
            _require_type(value, str, path)
            if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
                yield _broken(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
            yield from _check_bounds(shape, len(value), value, path, "length")
            pattern = shape.metadata.get("pattern")
            if pattern and not _matches(pattern, value):
                yield _broken(value, path, f"Member must satisfy regular expression pattern: {pattern}")
        case "integer" | "long":
            if isinstance(value, bool) or not (
                isinstance(value, int) or (isinstance(value, float) and value % 1 == 0)
            ):
                raise _wrong_type(value, "an integer", path)
            if abs(value) >= INTEGER_BOUNDS[shape.type_name]:
                raise SerializationException(f"'{path}' is too large for its type: {str(value)[:40]}")
            yield from _check_bounds(shape, value, value, path, "value")
        case "float" | "double":
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _wrong_type(value, "a number", path)
            _require_finite(value, path)
            yield from _check_bounds(shape, value, value, path, "value")
        case "boolean":
            _require_type(value, bool, path)
        case "timestamp":
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise _wrong_type(value, "a timestamp", path)
            _require_finite(value, path)
        case "blob":
            _require_type(value, str, path)


def _require_finite(value: float | str, path: str) -> None:
    if not isinstance(value, str) and not abs(value) < LARGEST_NUMBER:
        raise SerializationException(f"'{path}' is too large for its type: {str(value)[:40]}")


def _check_bounds(shape: Shape, size: float, value: Any, path: str, what: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield _broken(value, path, f"Member must have {what} greater than or equal to {least}")
    if most is not None and size > most:
        yield _broken(value, path, f"Member must have {what} less than or equal to {most}")


def _broken(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str] | None:
    if UNENFORCED_PATTERN_PART in pattern:
        return None
    # Java reads '[\w-_]' as a literal hyphen and POSIX names inside \p{}; regex reads the latter.
    return regex.compile(pattern.replace("\\w-_", "\\w\\-_"), regex.VERSION0)


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    try:
        return compiled is None or compiled.fullmatch(value, timeout=PATTERN_TIMEOUT_S) is not None
    except TimeoutError:  # no sensible value takes so long
        return False


def _require_type(value: Any, kind: type, path: str) -> None:
    if not isinstance(value, kind):
        raise _wrong_type(
            value, {dict: "a structure", list: "a list", str: "a string", bool: "a boolean"}[kind], path
        )


def _wrong_type(value: Any, wanted: str, path: str) -> SerializationException:
    return SerializationException(
        f"'{path or 'the request'}' must be {wanted}, not {type(value).__name__}: {value!r}"
    )


def _join(path: str, name: str) -> str:
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name
