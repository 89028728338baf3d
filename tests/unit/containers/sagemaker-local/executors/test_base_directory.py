from pathlib import Path

import pytest

from sagemaker_local.executors.base_directory import BaseDirectoryExecutor
from sagemaker_local.executors.container import Container, Mount


@pytest.fixture
def fitted(tmp_path):
    container = Container(
        command=(
            "python",
            "/opt/program/main.py",
            "--model=/opt/ml/model",
            "/opt/ml.txt",
            "s3://bucket/opt/ml/x",
        ),
        environment={
            "PATH": "/opt/program:/tmp/cache/venv/bin:/usr/bin",
            "WORK": "/opt/program/../program",
            "TEMPORARY": "/tmp/x",
            "OTHER": "/opt/programs",
        },
        workdir="/opt/program",
        host_name="algo-1",
        network=True,
        scratch=tmp_path,
        mounts=(
            Mount(Path("/s/tmp"), "/tmp"),
            Mount(Path("/s/p"), "/opt/program"),
            Mount(Path("/ml"), "/opt/ml"),
        ),
        needed=(Path("/tmp/cache/venv"),),
    )
    return BaseDirectoryExecutor(None, tmp_path / "run").fit(container)  # type: ignore[arg-type]


def test_paths_of_the_image_become_paths_of_the_machine(fitted):
    assert fitted.command[1:3] == ("/s/p/main.py", "--model=/ml/model")
    assert fitted.workdir == "/s/p"
    assert fitted.environment["SAGEMAKER_BASE_DIR"] == "/ml"
    assert fitted.environment["TEMPORARY"] == "/s/tmp/x"


def test_what_only_looks_alike_and_what_is_the_machines_own_stays(fitted):
    assert fitted.command[3:] == ("/opt/ml.txt", "s3://bucket/opt/ml/x")
    assert fitted.environment["OTHER"] == "/opt/programs"
    assert fitted.environment["PATH"] == "/s/p:/tmp/cache/venv/bin:/usr/bin"
