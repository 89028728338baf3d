"""Images made for one test, and the executors that work on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sagemaker_local.executors.base import Executor
from sagemaker_local.executors.choice import EXECUTORS, ExecutorUnavailable, choose_executor
from sagemaker_local.settings import Settings

DOCKERFILE = (
    "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\nWORKDIR /opt/program\n"
)

ImageMaker = Callable[..., str]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A server's settings with directories of the test's own."""
    (tmp_path / "containers").mkdir()
    (tmp_path / "data").mkdir()
    return Settings(data_dir=tmp_path / "data", containers_dir=tmp_path / "containers", stop_grace_s=60)


@pytest.fixture
def make_image(settings: Settings) -> ImageMaker:
    """Write an image folder and return its URI: name, programs by file name, Dockerfile."""

    def make(name: str, programs: Mapping[str, str], dockerfile: str = DOCKERFILE) -> str:
        source = settings.containers_dir / name / "src"
        source.mkdir(parents=True, exist_ok=True)
        for file, text in programs.items():
            (source / file).write_text(text)
            (source / file).chmod(0o755)
        (source.parent / "Dockerfile").write_text(dockerfile)
        return f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{name}:latest"

    return make


@pytest.fixture(params=[kind.name for kind in EXECUTORS])
def executor(request: pytest.FixtureRequest, settings: Settings) -> Executor:
    """Every executor that works here, one after the other."""
    import dataclasses

    try:
        return choose_executor(dataclasses.replace(settings, executor=request.param))
    except ExecutorUnavailable as error:
        pytest.skip(str(error))
