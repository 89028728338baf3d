from __future__ import annotations

import json
import tomllib
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from pkgutil import resolve_name

from jsonschema import validate

from airflow_sagemaker.provider_info import get_provider_info


def test_airflow_accepts_what_the_provider_says() -> None:
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    validate(get_provider_info(), schema)
    assert version("apache-airflow").startswith("3.")


def test_name_and_version_are_those_of_the_wheel(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    info = get_provider_info()
    assert (info["package-name"], info["versions"]) == (project["name"], [project["version"]])


def test_every_link_is_there() -> None:
    for path in get_provider_info()["extra-links"]:
        assert resolve_name(path)().name
