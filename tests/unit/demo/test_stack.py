from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from demo.ports import free_port
from demo.stack import Stack, StackSettings


def test_a_taken_port_is_replaced_and_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = Stack(StackSettings(home=tmp_path, sagemaker_port=port, airflow_port=0))
        stack._choose_ports()
    assert stack.sagemaker_url != f"http://127.0.0.1:{port}"
    assert stack.notes == [
        f"port {port} is taken: the local SageMaker listens on {stack.sagemaker_url.rpartition(':')[2]}"
    ]


def test_a_free_port_is_taken_as_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert free_port(port) == port


def test_no_port_is_given_twice_before_it_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    given = free_port()

    class Again(socket.socket):
        """The kernel draws what it drew before, and then another one."""

        drawn = iter((given, 0))

        def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            super().bind((address[0], next(self.drawn)))

    monkeypatch.setattr("demo.ports.socket.socket", Again)
    assert free_port() != given


def test_airflow_cannot_reach_an_account_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    stack = Stack(StackSettings(home=tmp_path, sagemaker_port=0, airflow_port=0))
    stack._choose_ports()
    environment = stack._airflow_environment()
    assert not {"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "PYTHONDONTWRITEBYTECODE"} & set(environment)
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("sqlite:///")
    connection = json.loads(environment["AIRFLOW_CONN_AWS_SAGEMAKER"])
    assert connection["extra"]["endpoint_url"] == stack.sagemaker_url


def test_login_survives_a_restart_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    passwords = []
    for _ in range(2):
        stack = Stack(StackSettings(home=tmp_path, sagemaker_port=0, airflow_port=0))
        stack._choose_ports()
        stack._airflow_environment()
        passwords.append(stack.password)
    assert passwords[0] == passwords[1]
    for name in ("secrets.json", "passwords.json"):
        assert stat.S_IMODE((tmp_path / "airflow" / name).stat().st_mode) == 0o600
