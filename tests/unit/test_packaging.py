"""The wheel that other Airflows install, and the set-up that this repository needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from scripts import fetch_uv

ROOT = Path(__file__).parents[2]
UV = ROOT / "build" / "uv" / "uv"


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--wheel", "--out-dir", out, ROOT)
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "airflow_sagemaker/provider_info.py" in names
    assert "airflow_sagemaker/operators/training.py" in names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {
        "airflow_sagemaker",
        "airflow_provider_sagemaker_pipelines",
    }


def test_airflow_lists_the_installed_wheel_as_a_provider(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, venv)
    python = venv / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel)
    # Airflow itself comes from our environment: installing it again takes minutes.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    (site / "airflow.pth").write_text(sysconfig.get_paths()["purelib"])
    listed = run(
        python,
        "-m",
        "airflow",
        "providers",
        "list",
        "--output",
        "json",
        AIRFLOW_HOME=str(tmp_path / "airflow"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(tmp_path / "none"),
        AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "none"),
        AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
    )
    providers = {entry["package_name"]: entry for entry in json.loads(listed[listed.index("[") :])}
    ours = providers["airflow-provider-sagemaker-pipelines"]
    assert ours["version"] == "0.1.0"
    assert "SageMaker" in ours["description"]


def test_uv_can_be_had_without_venv_and_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Debian without python3-venv and python3-pip the wheel is fetched with the standard library."""

    def refuse(folder: Path) -> Path:
        raise fetch_uv.FetchError("not here")

    monkeypatch.setattr(fetch_uv, "by_venv", refuse)
    monkeypatch.setattr(fetch_uv, "by_pip", refuse)
    monkeypatch.setattr(sys, "argv", ["fetch_uv", str(tmp_path / "uv")])
    assert fetch_uv.main() == 0
    assert run(tmp_path / "uv", "--version").startswith(f"uv {fetch_uv.VERSION}")


def test_an_uv_with_other_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fetch_uv, "WHEELS", {machine: (path, "0" * 64) for machine, (path, _) in fetch_uv.WHEELS.items()}
    )
    with pytest.raises(fetch_uv.FetchError, match="expected 0000"):
        fetch_uv.by_download(tmp_path / "uv")


def test_a_warm_set_up_does_nothing() -> None:
    assert run("scripts/bootstrap") == ""


def test_requirements_are_compiled_from_their_sources() -> None:
    """A dependency added to requirements.in but not to requirements.txt fails here first."""
    for name in ("requirements", "requirements-dev"):
        pinned = {
            line.partition("==")[0].lower().replace("_", "-")
            for line in (ROOT / f"{name}.txt").read_text().splitlines()
            if "==" in line and not line.startswith((" ", "#"))
        }
        wanted = set(_names(ROOT / f"{name}.in"))
        assert wanted <= pinned, f"run make lock: {wanted - pinned} not in {name}.txt"


def _names(path: Path) -> list[str]:
    names = []
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            names += _names(path.parent / line[3:].strip())
        elif line and not line.startswith("#"):
            name = line.split("[")[0]
            for mark in "<>=!~ ;":
                name = name.split(mark)[0]
            names.append(name.lower().replace("_", "-"))
    return names
