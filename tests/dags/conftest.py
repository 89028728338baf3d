"""The DAGs as Airflow's own parser sees them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

ROOT = Path(__file__).parents[2]


def parse(folder: Path) -> DagBag:
    return DagBag(folder, bundle_path=folder, bundle_name="dags-folder", load_op_links=False)


@pytest.fixture(scope="session")
def dag_bag() -> DagBag:
    """The repository's DAGs, parsed once."""
    return parse(ROOT / "dags")


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], DagBag]]]:
    """A copy of dags/ and include/ to break: its folder, and a way to parse it."""
    for name in ("dags", "include"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = set(sys.modules)
    yield tmp_path, lambda: parse(tmp_path / "dags")
    for name in set(sys.modules) - before:  # DAG files are imported under names of their own
        if name.startswith("unusual_prefix_"):
            del sys.modules[name]
