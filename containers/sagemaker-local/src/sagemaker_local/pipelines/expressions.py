"""Expressions of a pipeline definition: what they refer to, and their values in an execution.

Source: https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from sagemaker_local.pipelines.paths import Path, PathError, look_up, read_path

GET, JOIN, JSON_GET = "Get", "Std:Join", "Std:JsonGet"
PROPERTY_FILES = "PropertyFiles"


class ExpressionError(Exception):
    """An expression has no value; the message says why."""


class Scope(Protocol):
    """What the expressions of one execution may refer to."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Pipeline parameters by name."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Execution variables by name."""

    def output(self, step: str) -> Mapping[str, Any]:
        """The properties of a step that is over.

        Raises:
            ExpressionError: it has none.
        """

    def property_file(self, step: str, name: str) -> bytes:
        """The content of a step's property file.

        Raises:
            ExpressionError: it cannot be read.
        """

    def object(self, uri: str) -> bytes:
        """The content of an object in S3.

        Raises:
            ExpressionError: it cannot be read.
        """


def expression(value: Any) -> str | None:
    """Which kind of expression a value is, or None when it is a value."""
    if isinstance(value, Mapping) and len(value) == 1:
        (key,) = value
        if key in (GET, JOIN, JSON_GET):
            return str(key)
    return None


def references(value: Any) -> Iterator[Path]:
    """Every path that a value's expressions refer to, for example ``("Steps", "Train", …)``.

    Raises:
        ExpressionError: an expression is malformed.
    """
    if expression(value) == GET:
        yield _path(value[GET])
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def evaluate(value: Any, scope: Scope) -> Any:
    """A value with all expressions in it replaced by theirs.

    Raises:
        ExpressionError: one has none.
    """
    match expression(value):
        case "Get":
            return _get(_path(value[GET]), scope)
        case "Std:Join":
            given = value[JOIN]
            return str(given.get("On", "")).join(text(evaluate(each, scope)) for each in given["Values"])
        case "Std:JsonGet":
            return _json_get(value[JSON_GET], scope)
    if isinstance(value, Mapping):
        return {key: evaluate(each, scope) for key, each in value.items()}
    if isinstance(value, list):
        return [evaluate(each, scope) for each in value]
    return value


def text(value: Any) -> str:
    """A value as Std:Join writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def _path(given: Any) -> Path:
    try:
        return read_path(given)
    except (PathError, AttributeError) as error:
        raise ExpressionError(f"Get of {given!r} is not a path") from error


def _get(path: Path, scope: Scope) -> Any:
    written = ".".join(str(part) for part in path)
    try:
        match path:
            case ("Parameters", str(name)):
                return scope.parameters[name]
            case ("Execution", str(name)):
                return scope.variables[name]
            case ("Steps", str(step), *rest):
                return look_up(scope.output(step), tuple(rest))
    except (KeyError, PathError) as error:
        raise ExpressionError(f"'{written}' has no value: {error}") from error
    raise ExpressionError(f"'{written}' must begin with Parameters, Execution or Steps")


def _json_get(given: Mapping[str, Any], scope: Scope) -> Any:
    if "S3Uri" in given:
        where = str(evaluate(given["S3Uri"], scope))
        content = scope.object(where)
    else:
        match _path(given.get("PropertyFile", {}).get(GET)):
            case ("Steps", str(step), "PropertyFiles", str(name)):
                where = f"property file '{name}' of step '{step}'"
                content = scope.property_file(step, name)
            case _:
                raise ExpressionError(f"{JSON_GET} needs a PropertyFile or an S3Uri, not {dict(given)}")
    try:
        return look_up(json.loads(content), read_path(given["Path"]))
    except (ValueError, PathError) as error:
        raise ExpressionError(f"The path '{given['Path']}' cannot be read from {where}: {error}") from error
