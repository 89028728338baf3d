"""Every command that the documents show works, and every path that they name is there."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from demo import stack, summary

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```shell\n(.*?)```", README, re.DOTALL) for line in block.splitlines()
]
MAKE_TARGETS = sorted(
    set(re.findall(r"`make ([a-z0-9-]+)", "\n".join(path.read_text() for path in DOCUMENTS)))
)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=600
    )


def test_readme_opens_with_three_sentences_and_two_commands() -> None:
    opening = README.split("```shell")[0].split("\n\n")[1]
    assert len(re.findall(r"\.(?:\s|$)", opening)) == 3
    assert COMMANDS[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("target", MAKE_TARGETS)
def test_make_knows_every_target_that_is_named(target: str) -> None:
    done = run("make", "--dry-run", target)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("make ")])
def test_every_command_is_tested(command: str) -> None:
    """Long-running or stateful commands are run by other tiers; each must be claimed here."""
    program, *arguments = command.split()
    match program:
        case "pip":  # what a wheel of it can do is tried by tests/contract/test_wheel.py
            assert arguments == ["install", "dist/sagemaker_local-*.whl"]
            assert "containers/sagemaker-local" in run("make", "--dry-run", "wheel").stdout
            project = tomllib.loads((ROOT / "containers/sagemaker-local/pyproject.toml").read_text())[
                "project"
            ]
            assert project["name"].replace("-", "_") == "sagemaker_local"
        case "sagemaker-local":
            help_text = run(Path(stack._program(program)), "--help").stdout
            assert all(argument in help_text for argument in arguments if argument.startswith("--"))
        case "aws":  # run against a server by tests/contract/test_awscli.py
            text = (ROOT / "tests/contract/test_awscli.py").read_text()
            assert f'"{arguments[2]}"' in text
        case "airflow":
            done = run(stack._program(program), *arguments[:2], "--help")
            assert done.returncode == 0, done.stderr
            options = [argument for argument in arguments if argument.startswith("--")]
            assert all(option in done.stdout for option in options)
        case "PYTHONPATH=plugins":
            done = run("bash", "-c", command)
            assert done.returncode == 0, done.stderr
            assert "CreateTrainingJob" in done.stdout
        case _:
            pytest.fail(f"no test runs {command!r}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_in_documents_exist(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        assert (document.parent / target).exists(), target
    prefixes = "|".join(["dags", "plugins", "containers", "include", "tests", "demo", "docs", "scripts"])
    for path in re.findall(rf"`((?:{prefixes})/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_pipelines_named_in_the_readme_exist() -> None:
    for name in set(re.findall(r"\b([a-z]+(?:_[a-z]+)*)__(?:model|endpoint|nightly)", README)):
        assert (ROOT / "include" / "pipelines" / f"{name}.yaml").exists(), name


def test_the_demos_curl_line_sends_a_whole_image() -> None:
    line = summary.curl_line("http://127.0.0.1:4566/endpoints/digits/invocations")
    (body,) = re.findall(r"-d '([^']*)'", line)
    assert len(body.split(",")) == 64
