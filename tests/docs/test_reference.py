"""The reference documents name what the code has: no more, no less, with the defaults that it has.

A table belongs to the heading above it; the first column holds the names. In the manner of Datasette's
test_docs.py: https://github.com/simonw/datasette/blob/main/tests/test_docs.py
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import os
import pkgutil
import re
import socket
import subprocess
import sys
import types
import typing
from collections.abc import Iterator, Mapping
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
from sagemaker_local import command_line, limits
from sagemaker_local.executors.choice import EXECUTORS
from sagemaker_local.images import dockerfile
from sagemaker_local.neo import COMPILERS
from sagemaker_local.neo.compilers.request import TARGET_DEVICES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NAMES = ("architecture", "operators", "pipelines", "local-sagemaker", "containers")
PAGES = (
    *NAMES,
    "compose",
    "capacity",
    "failures",
    "housekeeping",
    "security",
    *sorted(f"local-sagemaker/{path.stem}" for path in (DOCS / "local-sagemaker").glob("*.md")),
)
CODE = re.compile(r"`([^`]+)`")
REQUIRED = "required"

Row = list[str]


class Document:
    """A Markdown file cut at its headings."""

    def __init__(self, name: str) -> None:
        self.path = DOCS / f"{name}.md"
        self.text = self.path.read_text()
        self.sections: dict[str, str] = {}
        heading, fenced = "", False
        for line in self.text.splitlines():
            fenced ^= line.startswith("```")
            if line.startswith("#") and not fenced:
                heading = line.lstrip("#").strip()
                assert heading not in self.sections, f"{self.path.name} has the heading {heading!r} twice"
                self.sections[heading] = ""
            else:
                self.sections[heading] = self.sections.get(heading, "") + line + "\n"

    def section(self, name: str) -> str:
        """The text below the heading that is ``name``, or has it as code."""
        found = [text for heading, text in self.sections.items() if name in (heading, *CODE.findall(heading))]
        assert len(found) == 1, f"{self.path.name}: {len(found)} headings for {name}, need one"
        return found[0]

    def rows(self, section: str) -> dict[str, Row]:
        """The rows of a section's tables by the code in their first column."""
        rows: dict[str, Row] = {}
        for line in self.section(section).splitlines():
            if line.startswith("| `"):
                cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
                for name in CODE.findall(cells[0]):
                    assert name not in rows, f"{self.path.name}, {section}: {name} twice"
                    rows[name] = cells
        return rows


@pytest.fixture(scope="module", params=PAGES)
def document(request: pytest.FixtureRequest) -> Document:
    return Document(request.param)


OPERATORS, PIPELINES, LOCAL, CONTAINERS = map(Document, NAMES[1:])


def same(documented: Mapping[str, Any] | set[str], real: Mapping[str, Any] | set[str], where: str) -> None:
    assert set(documented) == set(real), (
        f"{where}: lacks {sorted(set(real) - set(documented))}, invents {sorted(set(documented) - set(real))}"
    )


def shown(default: object) -> str:
    """A default as the tables write it."""
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, BaseModel):
        return f"{type(default).__name__}()"
    return repr(default)


# The plugin


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


# The local SageMaker


def options(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Action]:
    class Caught(Exception):
        pass

    found: list[argparse.Action] = []

    def catch(self: argparse.ArgumentParser, *_: object) -> None:
        found.extend(self._actions)
        raise Caught

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", catch)
    with pytest.raises(Caught):
        command_line.parse([])
    return [action for action in found if action.dest not in ("help", "version")]


def test_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = LOCAL.rows("Command line")
    actions = {action.option_strings[0]: action for action in options(monkeypatch)}
    same(rows, actions, "Command line")
    for name, action in actions.items():
        assert rows[name][1] == f"`{action.default}`", name
        assert all(f"`{choice}`" in rows[name][2] for choice in action.choices or ()), name


def test_each_page_of_the_local_sagemaker_is_reached_from_its_overview() -> None:
    pages = sorted(path.name for path in (DOCS / "local-sagemaker").glob("*.md"))
    assert not [name for name in pages if f"](local-sagemaker/{name})" not in LOCAL.section("Topics")]


def in_units(name: str, value: float) -> str:
    if name.endswith("_BYTES"):
        return f"{value / limits.MIB:g} MiB"
    return f"{value:g} s" if name.endswith("_S") else f"{value:g}"


def test_limits() -> None:
    real = {name: value for name, value in vars(limits).items() if name.isupper() and name != "MIB"}
    rows = LOCAL.rows("Limits")
    same(rows, real, "Limits")
    assert {name: rows[name][1] for name in rows} == {
        name: in_units(name, value) for name, value in real.items()
    }


def test_executors_stand_in_the_order_in_which_they_are_tried() -> None:
    # Docker's is never tried: it is asked for by name.
    assert list(LOCAL.rows("Executors")) == [*(kind.name for kind in EXECUTORS), "docker"]


@pytest.mark.parametrize("name", [*COMPILERS, *TARGET_DEVICES])
def test_frameworks_and_targets_of_neo(name: str) -> None:
    assert f"`{name}`" in Document("local-sagemaker/neo").text


@pytest.mark.parametrize("instruction", sorted(dockerfile.IGNORED | dockerfile.REFUSED.keys()))
def test_instructions_without_effect_are_named(instruction: str) -> None:
    assert f"`{instruction}`" in LOCAL.section("Images")


# Images


IMAGES = sorted(path.parent for path in (ROOT / "containers").glob("*/Dockerfile"))
IMAGES.remove(ROOT / "containers" / "sagemaker-local")  # runs images, is no job's


@pytest.mark.parametrize("folder", IMAGES, ids=lambda path: path.name)
def test_images(folder: Path) -> None:
    section = CONTAINERS.section(folder.name)
    programs = [path.name for path in (folder / "src").iterdir() if path.is_file() and not path.suffix]
    assert not [name for name in programs if f"`{name}`" not in section]


@pytest.mark.parametrize("folder", IMAGES, ids=lambda path: path.name)
def test_hyperparameters_and_arguments_of_images(folder: Path) -> None:
    section = CONTAINERS.section(folder.name)
    training, prepare = folder / "src/training.py", folder / "src/prepare.py"
    wanted = re.findall(r'add_argument\("(--[a-z-]+)"', prepare.read_text()) if prepare.exists() else []
    wanted += hyperparameters(training.read_text()) if training.exists() else []
    assert wanted or not (training.exists() or prepare.exists())  # a base neither trains nor prepares
    assert not [name for name in wanted if f"`{name}`" not in section]


def hyperparameters(source: str) -> list[str]:
    """The keys of LIMITS, without importing what the image imports."""
    values: dict[str, ast.expr] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = node.value
    table = values["LIMITS"]
    assert isinstance(table, ast.Dict)
    keys = [values[key.id] if isinstance(key, ast.Name) else key for key in table.keys]
    return [str(key.value) for key in keys if isinstance(key, ast.Constant)]


def test_running_an_image_by_hand(tmp_path: Path) -> None:
    (commands,) = re.findall(r"```shell\n(.*?)```", CONTAINERS.section("Run one by hand"), re.DOTALL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    commands = commands.replace("$PWD/build/by-hand", str(tmp_path)).replace("8089", port)
    commands = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + commands
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-mc", commands],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^[0-9](,[0-9.e-]+){10}$", done.stdout, re.MULTILINE), done.stdout


# Links and paths


def anchor(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_links(document: Document) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.text):
        name, _, fragment = target.partition("#")
        path = (document.path.parent / name).resolve() if name else document.path
        assert path.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert fragment in map(anchor, headings), target


OF_A_MODEL = {"code/inference.py"}
"""Paths in an archive of a model's, not here."""
BASES = (ROOT, ROOT / "plugins/airflow_sagemaker", ROOT / "containers/sagemaker-local/src/sagemaker_local")


def test_paths(document: Document) -> None:
    for name in CODE.findall(document.text):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", name) and re.search(r"\.(py|yaml|toml|md|in|c)$", name):
            assert name in OF_A_MODEL or any((base / name).exists() for base in BASES), name


def test_each_document_is_reached_from_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text()
    assert not [name for name in NAMES[1:] if f"]({name}.md" not in text]
