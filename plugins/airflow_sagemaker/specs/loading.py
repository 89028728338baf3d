"""Pipeline files → pipelines, or errors that say where to look and what to write.

One problem reads `include/pipelines/digits.yaml:41: registration.approval: 'automatic' is not allowed;
allowed: 'auto' or 'manual'`. A file with problems never hides the others: `load_pipelines` returns what is
good and what is wrong side by side.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from airflow_sagemaker.specs.pipeline import Pipeline

Location = tuple[str | int, ...]


class SpecError(ValueError):
    """A pipeline file that cannot be used; the message has one line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class LoadedPipelines(NamedTuple):
    """What the files of a folder came to."""

    pipelines: tuple[Pipeline, ...]
    errors: tuple[SpecError, ...]

    def raise_errors(self) -> None:
        """Raise one error that holds the problems of all wrong files, if there are any."""
        if self.errors:
            raise SpecError([problem for error in self.errors for problem in error.problems])


def load_pipelines(include: Path) -> LoadedPipelines:
    """Load every `pipelines/*.yaml` below the include folder."""
    loaded: list[tuple[_Document, Pipeline]] = []
    errors: list[SpecError] = []
    for path in sorted((include / "pipelines").glob("*.y*ml")):
        try:
            loaded.append(_load(path))
        except SpecError as error:
            errors.append(error)
    pipelines: list[Pipeline] = []
    owners = _owners(loaded)
    for document, pipeline in loaded:
        if problems := _shared_name_problems(document, pipeline, owners):
            errors.append(SpecError(problems))
        else:
            pipelines.append(pipeline)
    return LoadedPipelines(tuple(pipelines), tuple(errors))


def load_pipeline(path: Path) -> Pipeline:
    """Load one file of `<include>/pipelines`; its suites must lie in `<include>/expectations`."""
    return _load(path)[1]


def _load(path: Path) -> tuple[_Document, Pipeline]:
    document = _read(path)
    try:
        pipeline = Pipeline.model_validate(document.values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise SpecError([document.problem(detail["loc"], _explain(detail)) for detail in details]) from None
    problems = [
        *_name_problems(document, pipeline),
        *_suite_problems(document, pipeline),
    ]
    if problems:
        raise SpecError(problems)
    return document, pipeline


def _shared_names(pipeline: Pipeline) -> tuple[tuple[Location, str, str], ...]:
    """What no two pipelines may share: the field, what the name is, the name as SageMaker compares it."""
    return (
        # SageMaker takes two endpoint names that differ in case only for the same.
        (("rollout", "endpoint_name"), "endpoint", pipeline.endpoint_name.casefold()),
        (("registration", "group"), "group", pipeline.model_package_group),
    )


def _owners(loaded: list[tuple[_Document, Pipeline]]) -> dict[tuple[str, str], list[_Document]]:
    """The files that claim each name."""
    owners: dict[tuple[str, str], list[_Document]] = {}
    for document, pipeline in loaded:
        for _, noun, name in _shared_names(pipeline):
            owners.setdefault((noun, name), []).append(document)
    return owners


def _shared_name_problems(
    document: _Document, pipeline: Pipeline, owners: dict[tuple[str, str], list[_Document]]
) -> list[str]:
    """What a pipeline shares with others: each would replace the other's model, so neither may run."""
    given = {"endpoint": pipeline.endpoint_name, "group": pipeline.model_package_group}
    return [
        document.problem(
            location,
            f"the {noun} {given[noun]!r} is that of {_shown(other.path)} too; give each its own",
        )
        for location, noun, name in _shared_names(pipeline)
        for other in owners[noun, name]
        if other is not document
    ]


def _name_problems(document: _Document, pipeline: Pipeline) -> list[str]:
    if pipeline.name == document.path.stem and document.path.suffix == ".yaml":
        return []
    expected = f"{pipeline.name}.yaml"
    return [
        document.problem(
            ("name",),
            f"{pipeline.name!r} is not the file's name; rename the file to {expected} or the pipeline",
        )
    ]


def _suite_problems(document: _Document, pipeline: Pipeline) -> list[str]:
    folder = document.path.parent.parent / "expectations"
    known = sorted(path.stem for path in folder.glob("*.json"))
    return [
        document.problem(
            location,
            f"no suite {suite!r} in {'/'.join(folder.parts[-2:])}; allowed: {', '.join(known) or 'none'}",
        )
        for location, suite in pipeline.suites.items()
        if suite not in known
    ]


@dataclass(frozen=True)
class _Document:
    """A parsed file that remembers the line of every field."""

    path: Path
    values: object
    lines: dict[Location, int]

    def problem(self, location: Location, text: str) -> str:
        return f"{_shown(self.path)}:{self._line(location)}: {_field(location)}{text}"

    def _line(self, location: Location) -> int:
        """Line of the field, or of the nearest mapping around it when the field is missing."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


def _read(path: Path) -> _Document:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError([f"{_shown(path)}:{line}: not YAML: {error.problem}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError([f"{_shown(path)}:1: not YAML: {error}"]) from None
    except OSError as error:
        raise SpecError([f"{_shown(path)}:1: cannot be read: {error.strerror}"]) from None
    reader = _Reader(path)
    try:
        values = {} if node is None else reader.read(node, ())
    except RecursionError:
        raise SpecError(
            [f"{_shown(path)}:1: an alias (*) stands in what it refers to; write it out"]
        ) from None
    return _Document(path, values, reader.lines)


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as everybody has it, but `1e-5` is a number, as YAML 1.2 and every reader of a spec think."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class _Reader:
    """Nodes → plain values, noting lines. A key given twice is a problem here, YAML itself takes the last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Location, int] = {}
        self._scalars = yaml.constructor.SafeConstructor()

    def read(self, node: yaml.Node, location: Location) -> object:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*location, index)) for index, item in enumerate(node.value)]
        try:
            return self._scalars.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise self._problem(location, f"{node.value!r} cannot be read: {error}") from None

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*location, key)
            twice = here in self.lines
            self.lines[here] = key_node.start_mark.line + 1
            if twice:
                raise self._problem(here, "given twice; keep one")
            values[key] = self.read(value_node, here)
        return values

    def _problem(self, location: Location, text: str) -> SpecError:
        return SpecError([_Document(self.path, None, self.lines).problem(location, text)])


def _shown(path: Path) -> str:
    """The path from the folder that holds include/, short and the same on every machine."""
    return "/".join(path.parts[-3:])


def _field(location: Location) -> str:
    return f"{'.'.join(str(part) for part in location)}: " if location else ""


def _explain(detail: ErrorDetails) -> str:
    """What is wrong and what is allowed, in the words of the file."""
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    allowed = _ALLOWED.get(kind)
    if kind == "missing":
        field = _model_at(detail["loc"][:-1]).model_fields[str(detail["loc"][-1])]
        return f"is required: {field.description}"
    if kind == "extra_forbidden":
        fields = list(_model_at(detail["loc"][:-1]).model_fields)
        close = difflib.get_close_matches(str(detail["loc"][-1]), fields, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"unknown field; {hint}allowed: {', '.join(fields)}"
    if kind == "value_error":
        return str(context["error"])
    if allowed is None:
        return f"{given!r} is not allowed: {detail['msg']}"
    return f"{given!r} is not allowed; allowed: {allowed.format(**context)}"


#: Allowed values by kind of error, filled in from the error's context.
#: Kinds: https://docs.pydantic.dev/latest/errors/validation_errors/
_ALLOWED = {
    "literal_error": "{expected}",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_type": "text (quote a number to make it text)",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "date_type": "a date such as 2026-01-31",
    "date_parsing": "a date such as 2026-01-31",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
    "date_from_datetime_inexact": "a date without a time, such as 2026-01-31",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "too_short": "at least {min_length} entry",
    "too_long": "at most {max_length} entries",
    "tuple_type": "a list",
    "dict_type": "a mapping of fields",
    "model_type": "a mapping of fields",
}


def _model_at(location: Location) -> type[BaseModel]:
    """The model that describes the mapping at a place of the file."""
    kind: Any = Pipeline
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:  # dict[str, X] or tuple[X, ...]: the X
            kind = [item for item in typing.get_args(kind) if item is not Ellipsis][-1]
        if isinstance(kind, types.UnionType):
            kind = next(item for item in typing.get_args(kind) if item is not types.NoneType)
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise TypeError(f"no model at {'.'.join(str(part) for part in location)}")
    return kind
