from __future__ import annotations

import json
from pathlib import Path

import pytest

from sagemaker_local.auth.keys import LOCAL_KEY
from sagemaker_local.cli import what_to_export
from sagemaker_local.command_line import command_line, parse


def test_every_option_has_its_help() -> None:
    text = command_line().format_help()
    for action in command_line()._actions:
        assert action.help, action.option_strings
        if action.default not in (None, False, "==SUPPRESS==", []):
            assert str(action.default) in text, f"{action.option_strings} does not tell its default"
    for name in (
        "SAGEMAKER_LOCAL_ACCESS_KEY_ID",
        "SAGEMAKER_LOCAL_SECRET_ACCESS_KEY",
        "SAGEMAKER_LOCAL_CACHE",
    ):
        assert name in text


def test_no_secret_is_taken_from_the_command_line() -> None:
    assert not [
        name for action in command_line()._actions for name in action.option_strings if "secret" in name
    ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--host", "0.0.0.0"], "--require-auth"),
        (["--host", "192.168.1.1"], "--require-auth"),
        (["--host", "::"], "--require-auth"),
        (["--account", "123"], "twelve digits"),
        (["--jobs", "0"], "at least 1"),
        (["--port", "70000"], "from 0 to 65535"),
        (["--credentials", "x"], "both or neither"),
        (["--faults", "/not/there"], "--faults"),
        (["--requ"], "unrecognized"),
    ],
)
def test_what_cannot_be(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_key(host: str) -> None:
    settings = parse(["--host", host, "--port", "1"])
    assert settings.program_key is LOCAL_KEY
    assert "AWS_ACCESS_KEY_ID=local" in what_to_export(settings)
    assert settings.url in ("http://" + host.strip("[]") + ":1", "http://[::1]:1")


def test_keys_are_made_once_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--data", str(tmp_path), "--require-auth", "--host", "0.0.0.0"]
    first, second = parse(arguments), parse(arguments)
    assert first.keys == second.keys
    assert first.program_key != second.program_key, "programs get a new key at each start"
    for key in (*first.keys, first.program_key):
        assert key.secret not in repr(first) + what_to_export(first) + repr(key)
    monkeypatch.setenv("SAGEMAKER_LOCAL_ACCESS_KEY_ID", "AKIDMINE")
    monkeypatch.setenv("SAGEMAKER_LOCAL_SECRET_ACCESS_KEY", "a secret of sufficient length")
    assert [key.access_key_id for key in parse(arguments).keys] == ["AKIDMINE"]


def test_a_fault_plan_is_checked_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"rules": [{"error": "nonsense"}]}))
    with pytest.raises(SystemExit):
        parse(["--faults", str(plan)])
    assert "rule 1: error must be one of" in capsys.readouterr().err
    plan.write_text(json.dumps({"rules": [{"error": "throttling"}]}))
    assert parse(["--faults", str(plan)]).fault_plan == {"rules": [{"error": "throttling"}]}
