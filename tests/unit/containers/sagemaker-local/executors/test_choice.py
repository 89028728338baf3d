import dataclasses

import pytest

from sagemaker_local.executors import choice
from sagemaker_local.executors.base_directory import BaseDirectoryExecutor
from sagemaker_local.executors.choice import EXECUTORS, ExecutorUnavailable, choose_executor


def test_auto_takes_the_first_that_works(settings, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(
        choice,
        "why_not",
        lambda executor: None if isinstance(executor, BaseDirectoryExecutor) else "no such call",
    )
    assert choose_executor(settings).name == "base-directory"
    assert "the executor 'bubblewrap' does not work here: no such call" in caplog.text
    assert "jobs run by the executor 'base-directory'" in caplog.text


def test_one_that_was_asked_for_is_not_replaced(settings, monkeypatch):
    monkeypatch.setattr(choice, "why_not", lambda executor: "no such call")
    with pytest.raises(ExecutorUnavailable, match="'unshare' does not work here: no such call"):
        choose_executor(dataclasses.replace(settings, executor="unshare"))


@pytest.mark.parametrize("kind", EXECUTORS)
def test_a_probe_finds_a_sandbox_that_does_not_work(kind, settings, monkeypatch):
    monkeypatch.setattr(kind, "sandbox", lambda self, container: ["/bin/false"])
    with pytest.raises(ExecutorUnavailable, match="exit code 1"):
        choose_executor(dataclasses.replace(settings, executor=kind.name))


def test_a_missing_program_is_named(settings, monkeypatch):
    monkeypatch.setenv("PATH", str(settings.data_dir))
    with pytest.raises(ExecutorUnavailable, match="bwrap"):
        choose_executor(dataclasses.replace(settings, executor="bubblewrap"))


def test_an_engine_that_does_not_answer_is_named_with_what_to_do(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(ExecutorUnavailable, match=r"'docker' does not work .*nothing\.sock.*docker\.io"):
        choose_executor(dataclasses.replace(settings, executor="docker"))
