"""The documents of the plugin name what its code has: no more, no less, with the defaults that it has.

In the manner of Datasette's test_docs.py: https://github.com/simonw/datasette/blob/main/tests/test_docs.py
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airflow_sagemaker import operators, rollout, specs, submission
from airflow_sagemaker.failures import FAILURES
from airflow_sagemaker.operators.base import SageMakerOperator
from airflow_sagemaker.provider_info import get_provider_info
from airflow_sagemaker.specs.base import Spec
from airflow_sagemaker.specs.loading import load_pipelines
from airflow_sagemaker.specs.pipeline import Pipeline
from tests.docs.documents import CODE, ROOT, Document, same

REQUIRED = "required"
OPERATORS, PIPELINES = Document("operators"), Document("pipelines")


def shown(default: object) -> str:
    """A default as the tables write it."""
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, BaseModel):
        return f"{type(default).__name__}()"
    return repr(default)


# Operators


def modules(package: types.ModuleType) -> Iterator[types.ModuleType]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def classes_of(package: types.ModuleType, base: type) -> list[type[Any]]:
    return [
        kind
        for module in modules(package)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind.__module__ == module.__name__
    ]


def nested_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from nested_models(argument)


def models_of(kind: type[BaseModel], known: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    known[kind.__name__] = kind
    for field in kind.model_fields.values():
        for nested in nested_models(field.annotation):
            if nested.__name__ not in known:
                models_of(nested, known)
    return known


OPERATOR_CLASSES = classes_of(operators, SageMakerOperator)
PIPELINE_MODELS = models_of(Pipeline, {})
JOB_SPECS = [
    kind for kind in classes_of(specs, Spec) if kind.__name__ not in (*PIPELINE_MODELS, "Spec", "Section")
]


def own_arguments(kind: type) -> dict[str, str]:
    """Arguments that a class adds to those of its bases, with their defaults."""
    if "__init__" not in vars(kind):
        return {}
    return {
        parameter.name: REQUIRED if parameter.default is parameter.empty else f"`{shown(parameter.default)}`"
        for parameter in inspect.signature(vars(kind)["__init__"]).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("kind", OPERATOR_CLASSES, ids=lambda kind: kind.__name__)
def test_arguments_of_operators(kind: type) -> None:
    rows, real = OPERATORS.rows(kind.__name__), own_arguments(kind)
    same(rows, real, kind.__name__)
    assert {name: cells[1] for name, cells in rows.items()} == real


@pytest.mark.parametrize("kind", OPERATOR_CLASSES, ids=lambda kind: kind.__name__)
def test_templated_fields_of_operators(kind: type[SageMakerOperator]) -> None:
    if "template_fields" in vars(kind):
        named = re.findall(r"^Templated: (.*)\.$", OPERATORS.section(kind.__name__), re.MULTILINE)
        assert [CODE.findall(line) for line in named] == [list(kind.template_fields)]


def field_default(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    if field.default_factory is not None:
        return "`{}`"
    return f"`{shown(field.default)}`"


@pytest.mark.parametrize("kind", JOB_SPECS, ids=lambda kind: kind.__name__)
def test_fields_of_job_specs(kind: type[Spec]) -> None:
    rows = OPERATORS.rows(kind.__name__)
    same(rows, kind.model_fields, kind.__name__)
    assert {field: rows[field][1] for field in rows} == {
        field: field_default(info) for field, info in kind.model_fields.items()
    }


def test_failures() -> None:
    def in_words(seconds: float) -> str:
        return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"

    rows = Document("failures").rows("Classes")
    same(rows, {row.error.__name__ for row in FAILURES}, "Classes")
    assert list(rows) == [row.error.__name__ for row in FAILURES], "the order decides about reasons"
    for row in FAILURES:
        _, when, by, delay, remedy = rows[row.error.__name__]
        assert when == (row.error.__doc__ or "").strip()
        codes = [f"`{code}`" for code in sorted(row.codes)]
        pattern = [f"reason `{row.reason.pattern}`"] if row.reason else []
        assert by.replace("\\|", "|") == ", ".join(codes + pattern)
        assert delay == (
            f"{in_words(row.delay.first_s)} to {in_words(row.delay.most_s)}" if row.delay else "no"
        )
        assert remedy == f"{row.remedy}."


def test_truth_table() -> None:
    real = {
        (state.value, origin.value, "same" if same_work else "other"): action.value
        for (state, origin, same_work), action in submission.ACTIONS.items()
    }
    documented = {
        (cells[0], cells[1], cells[2]): cells[3]
        for line in OPERATORS.section("Create or adopt").splitlines()
        if line.startswith("| ")
        for cells in [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")]]
        if cells[2:3] in (["same"], ["other"])
    }
    assert documented == real


def test_steps_of_an_endpoint() -> None:
    documented = {status: cells[1] for status, cells in OPERATORS.rows("The next step").items()}
    assert documented == {status: step.value for status, step in rollout.STEPS.items()}


def test_extra_links() -> None:
    rows = OPERATORS.rows("Extra links")
    kinds = [path.rpartition(".")[2] for path in get_provider_info()["extra-links"]]
    same(rows, set(kinds), "Extra links")
    module = importlib.import_module("airflow_sagemaker.links")
    assert all(f'"{getattr(module, name).title}"' in rows[name][1] for name in kinds)


# Pipelines


def allowed_values(field: FieldInfo) -> Iterator[str]:
    """Literals and bounds: what a reader must find in the field's row."""
    if typing.get_origin(field.annotation) is Literal:
        yield from map(str, typing.get_args(field.annotation))
    for constraint in field.metadata:
        for bound in ("ge", "gt", "le", "lt", "max_length"):
            if (value := getattr(constraint, bound, None)) is not None:
                yield f"{value}"


@pytest.mark.parametrize("kind", PIPELINE_MODELS.values(), ids=PIPELINE_MODELS)
def test_fields_of_a_pipeline(kind: type[BaseModel]) -> None:
    rows = PIPELINES.rows(kind.__name__)
    same(rows, kind.model_fields, kind.__name__)
    for name, field in kind.model_fields.items():
        _, _, default, allowed = rows[name]
        assert default == field_default(field), name
        missing = [value for value in allowed_values(field) if value not in allowed.replace(",", "")]
        assert not missing, f"{name}: {missing} not in {allowed!r}"


def test_the_wrong_spec_reads_as_shown(tmp_path: Path) -> None:
    """The errors in the document are those of digits.yaml with the changes in the document."""
    section = PIPELINES.section("What an error looks like")
    changes, shown_errors = re.findall(r"```(?:diff|text)\n(.*?)```", section, re.DOTALL)
    text = (ROOT / "include/pipelines/digits.yaml").read_text()
    for old, new in re.findall(r"^-(.*)\n\+(.*)$", changes, re.MULTILINE):
        assert text.count(f"{old}\n") == 1, old
        text = text.replace(f"{old}\n", f"{new}\n")
    (tmp_path / "include/pipelines").mkdir(parents=True)
    (tmp_path / "include/expectations").symlink_to(ROOT / "include/expectations")
    (tmp_path / "include/pipelines/digits.yaml").write_text(text)
    (error,) = load_pipelines(tmp_path / "include").errors
    assert str(error) == shown_errors.strip()
