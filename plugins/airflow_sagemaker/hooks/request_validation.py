"""Requests against AWS's own API model, without a connection: what it would refuse is never sent.

botocore checks members, types and lower bounds before it sends (``botocore/validate.py``); enums, patterns
and upper bounds it leaves to the service. They stand in the same model, so they are checked here too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore
import botocore.session
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from airflow_sagemaker.errors import RequestRejectedError

REMEDY = "Correct the spec of the task"
SHOWN_CHARACTERS = 80
CLOSE_VALUES = 3
FEW_VALUES = 7


@cache
def service_model() -> ServiceModel:
    """SageMaker's API as botocore knows it; no client, no credentials, no network."""
    session: Any = botocore.session.get_session()
    model: ServiceModel = session.get_service_model("sagemaker")
    return model


def require_valid(operation: str, request: Mapping[str, Any], model: ServiceModel | None = None) -> None:
    """Raise for a request that AWS would refuse as it stands.

    :param operation: such as ``CreateTrainingJob``
    :param model: of a client that is there anyway; reading another costs a tenth of a second
    """
    if found := problems(operation, request, model):
        raise RequestRejectedError(operation, "; ".join(found), REMEDY)


def problems(operation: str, request: Mapping[str, Any], model: ServiceModel | None = None) -> list[str]:
    """What is wrong with a request, each with the path of the field."""
    shape = (model or service_model()).operation_model(operation).input_shape
    if shape is None:
        return []
    report: Any = ParamValidator().validate(dict(request), shape)
    found = str(report.generate_report()).splitlines() if report.has_errors() else []
    return [*found, *_walk(shape, request, "")]


def _walk(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """Enums, patterns and upper bounds, all the way down; wrong types are botocore's to report."""
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            if isinstance(value, Mapping) and name in value:
                yield from _walk(member, value[name], f"{path}.{name}" if path else name)
        return
    if isinstance(shape, ListShape) and isinstance(value, list | tuple):
        yield from _too_many(shape, len(value), path, "entries")
        for index, entry in enumerate(value):
            yield from _walk(shape.member, entry, f"{path}[{index}]")
    elif isinstance(shape, MapShape) and isinstance(value, Mapping):
        yield from _too_many(shape, len(value), path, "entries")
        for key, entry in value.items():
            yield from _walk(shape.key, key, f"{path}, key {key!r}")
            yield from _walk(shape.value, entry, f"{path}[{key!r}]")
    elif isinstance(value, str):
        yield from _text(shape, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        most = shape.metadata.get("max")
        if most is not None and value > most:
            yield f"{path}: {value} is more than {most}"


def _too_many(shape: Shape, length: int, path: str, what: str) -> Iterator[str]:
    most = shape.metadata.get("max")
    if most is not None and length > most:
        yield f"{path}: {length} {what} are more than {most}"


def _text(shape: Shape, value: str, path: str) -> Iterator[str]:
    if allowed := getattr(shape, "enum", None):
        if value not in allowed:
            yield f"{path}: {value!r} is none of {_allowed(value, allowed)}"
        return
    yield from _too_many(shape, len(value), path, "characters")
    written = shape.metadata.get("pattern")
    pattern = _compiled(written) if written else None
    if pattern is not None and not pattern.fullmatch(value):
        shown = value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}…"
        yield f"{path}: {shown!r} does not match {written}"


def _allowed(value: str, allowed: list[str]) -> str:
    """The values, or of a long list those that are close; a type may be newer than botocore."""
    if len(allowed) <= FEW_VALUES:
        return ", ".join(allowed)
    close = difflib.get_close_matches(value, allowed, CLOSE_VALUES)
    hint = f", such as {', '.join(close)}" if close else ""
    return f"the {len(allowed)} values that botocore {botocore.__version__} knows{hint}"


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern, or None where Python's ``re`` cannot read Java's: then the service has to judge."""
    try:
        return re.compile(pattern)
    except re.error:
        return None
