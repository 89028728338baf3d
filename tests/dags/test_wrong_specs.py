"""A wrong spec takes only its own DAGs away, and Airflow shows what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

Copy = tuple[Path, Callable[[], DagBag]]


def break_digits(folder: Path) -> None:
    spec = folder / "include/pipelines/digits.yaml"
    spec.write_text(spec.read_text().replace("approval: auto", "approval: automatic"))


def of_pipelines(bag: DagBag) -> list[str]:
    return [dag_id for dag_id in bag.dag_ids if not dag_id.startswith("housekeeping__")]


def test_the_other_pipelines_stay(copy: Copy) -> None:
    folder, parse = copy
    break_digits(folder)
    bag = parse()
    assert {dag_id.split("__")[0] for dag_id in of_pipelines(bag)} == {"bank_marketing"}
    assert len(of_pipelines(bag)) == 3


def test_airflow_shows_file_line_field_and_allowed_values(copy: Copy) -> None:
    folder, parse = copy
    break_digits(folder)
    errors = parse().import_errors
    assert list(errors) == ["pipeline_specs.py"]  # an import error of a DAG file makes that file's DAGs stale
    line = (folder / "include/pipelines/digits.yaml").read_text().splitlines().index(
        "  approval: automatic"
    ) + 1
    assert (
        f"include/pipelines/digits.yaml:{line}: registration.approval: 'automatic' is not allowed; "
        "allowed: 'auto' or 'manual'" in errors["pipeline_specs.py"]
    )


def test_all_wrong_files_are_shown_together(copy: Copy) -> None:
    folder, parse = copy
    break_digits(folder)
    (folder / "include/pipelines/letters.yaml").write_text("name: letters\n")
    bag = parse()
    (message,) = bag.import_errors.values()
    assert "include/pipelines/digits.yaml:" in message
    assert "include/pipelines/letters.yaml:1: description: is required: " in message
    assert len(of_pipelines(bag)) == 3


def test_corrected_it_comes_back(copy: Copy) -> None:
    folder, parse = copy
    spec = folder / "include/pipelines/digits.yaml"
    right = spec.read_text()
    break_digits(folder)
    assert len(of_pipelines(parse())) == 3
    spec.write_text(right)
    bag = parse()
    assert len(of_pipelines(bag)) == 6
    assert bag.import_errors == {}
