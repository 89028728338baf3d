"""The documents of the local SageMaker and of the images name what their code has: no more, no less.

In the manner of Datasette's test_docs.py: https://github.com/simonw/datasette/blob/main/tests/test_docs.py
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sagemaker_local import command_line, limits
from sagemaker_local.executors.choice import EXECUTORS
from sagemaker_local.images import dockerfile
from sagemaker_local.neo import COMPILERS
from sagemaker_local.neo.compilers.request import TARGET_DEVICES
from tests.docs.documents import DOCS, ROOT, Document, same

LOCAL, CONTAINERS = Document("local-sagemaker"), Document("containers")


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
