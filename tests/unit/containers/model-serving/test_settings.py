"""The table of settings, and the document that shows it."""

from __future__ import annotations

import re

import pytest

from model_serving import content, settings
from model_serving.errors import StartError
from tests.unit.containers.programs import ROOT

DOCUMENT = (ROOT / "docs/serving.md").read_text()


def test_the_document_has_the_table() -> None:
    rows = re.findall(
        r"^\| `((?:MODEL_SERVER|SAGEMAKER)_\w+)` \| `?([^|`]*?)`? \| (.*) \|$", DOCUMENT, re.MULTILINE
    )
    assert rows == [(each.name, each.default, each.meaning) for each in settings.TABLE]


def test_the_document_has_every_content_type() -> None:
    rows = re.findall(r"^\| `(\w+/[\w-]+)` \|", DOCUMENT, re.MULTILINE)
    assert rows == [line.name for line in content.TABLE]


def test_defaults() -> None:
    told = settings.read({})
    assert told.workers == settings.cpus() >= 1
    assert (told.host, told.port) == ("0.0.0.0", 8080)
    assert told.model_dir.as_posix() == "/opt/ml/model"
    assert (told.queue, told.max_body_bytes, told.inline_s) == (100, 100 * 1024**2, 0.002)


def test_a_port_that_is_told_is_on_loopback() -> None:
    told = settings.read({"SAGEMAKER_BIND_TO_PORT": "9000", "MODEL_SERVER_COLUMNS": "a, b"})
    assert (told.host, told.port, told.columns) == ("127.0.0.1", 9000, ("a", "b"))


def test_models_that_come_and_go_live_in_one_process() -> None:
    told = settings.read({"SAGEMAKER_MULTI_MODEL": "true"})
    assert (told.workers, told.threads) == (1, settings.cpus())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MODEL_SERVER_WORKERS", "0"),
        ("MODEL_SERVER_QUEUE", "-1"),
        ("MODEL_SERVER_INLINE_MS", "1.5"),
        ("MODEL_SERVER_PRELOAD", "maybe"),
        ("MODEL_SERVER_ACCESS_LOG", "some"),
    ],
)
def test_wrong_values_are_named(name: str, text: str) -> None:
    with pytest.raises(StartError, match=f"{name}='{text}' must be"):
        settings.read({name: text})
