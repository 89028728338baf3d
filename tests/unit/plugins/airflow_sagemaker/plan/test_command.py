"""The command line, as a process of its own: quick, and without Airflow, boto3 or the SDK."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.names import job_name

ROOT = Path(__file__).parents[5]
TRACED = """
import sys
from airflow_sagemaker.__main__ import main
status = main(sys.argv[1:])
heavy = {"airflow", "boto3", "aiobotocore", "sagemaker", "pandas"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
sys.exit(status)
"""


def command(*arguments: str, at: Path = ROOT, traced: bool = False) -> subprocess.CompletedProcess[str]:
    program = ["-c", TRACED] if traced else ["-m", "airflow_sagemaker"]
    # No way to any network or database: whatever is asked there fails.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "plugins"), "HOME": str(at)}
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=at,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with an `include/` to break."""
    shutil.copytree(ROOT / "include", tmp_path / "include")
    return tmp_path


def replace(house: Path, old: str, new: str) -> None:
    spec = house / "include/pipelines/digits.yaml"
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, new))


def test_help_names_every_command_and_argument() -> None:
    done = command("--help")
    assert done.returncode == 0
    assert "plan" in done.stdout
    done = command("plan", "--help")
    for argument in ("pipeline", "--family", "--partition", "--param", "--run-id", "--explain", "--json"):
        assert argument in done.stdout


def test_a_plan_reads_files_and_nothing_else() -> None:
    done = command("plan", "digits", "--run-id", "manual__one", traced=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert job_name("digits__model_build", "manual__one", "train") in done.stdout
    assert "Total of the jobs, instances only: at most" in done.stdout


def test_a_partition_plans_the_night_of_its_scheduled_run() -> None:
    done = command("plan", "digits", "--partition", "2026-01-03", "--json")
    document: Any = json.loads(done.stdout)
    assert document["dag_id"] == "digits__nightly_batch_transform"
    assert document["run_id"] == "scheduled__2026-01-04T00:00:00+00:00"
    features = next(task for task in document["tasks"] if task["task_id"] == "features")
    assert features["reads"] == ["s3://bucket-of-the-connection/digits/raw/dt=2026-01-03/"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["digit"], "There are: bank_marketing, digits"),
        (["digits", "--family", "model_build", "--partition", "2026-01-03"], "model_build has no partition"),
        (["digits", "--param", "D=1"], "NAME being one of first_partition, last_partition, C, gamma"),
        (["digits", "--param", "C=high"], "--param C=high: give a float"),
        (["digits", "--param", "C=-1"], "is not between"),
        (["digits", "--param", "first_partition=yesterday"], "give a date such as 2026-01-31"),
        (["digits", "--partition", "yesterday"], "--partition"),
    ],
)
def test_what_cannot_be_planned_says_what_could(arguments: list[str], error: str) -> None:
    done = command("plan", *arguments)
    assert done.returncode == 2
    assert error in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_spec_shows_file_line_and_field(house: Path) -> None:
    replace(house, "approval: auto", "approval: automatic")
    done = command("plan", "digits", at=house)
    assert done.returncode == 2
    line = next(
        number
        for number, text in enumerate(
            (house / "include/pipelines/digits.yaml").read_text().splitlines(), start=1
        )
        if "automatic" in text
    )
    assert done.stderr.startswith(f"include/pipelines/digits.yaml:{line}: registration.approval: 'automatic'")


def test_what_aws_would_refuse_fails_the_command(house: Path) -> None:
    replace(house, "  instance_type: ml.m5.large\n", "  instance_type: ml.m5.vast\n")
    done = command("plan", "digits", "--family", "endpoint_rollout", at=house)
    assert done.returncode == 1
    assert "REFUSED ProductionVariants[0].InstanceType: 'ml.m5.vast' is none of" in done.stdout
