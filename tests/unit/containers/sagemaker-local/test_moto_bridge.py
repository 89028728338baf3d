"""What moto answers badly leaves in AWS's shape. The real moto is in tests/contract/test_identity.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any
from xml.etree import ElementTree

import pytest

from sagemaker_local import moto_bridge
from sagemaker_local.moto_bridge import Call, MotoBridge

HTML = b"<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>"


def call(service: str) -> Call:
    return Call(service, "SomeAction", "POST", "/", "", {"content-type": "text/plain"}, b"body")


def answering(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[dict[str, Any]], tuple[str, bytes]]
) -> MotoBridge:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, body = answer(environ)
        start_response(status, [("Content-Type", "text/html; charset=utf-8")])
        return [body]

    monkeypatch.setattr(moto_bridge, "_load", lambda: application)
    return MotoBridge("111122223333", "eu-central-1")


@pytest.mark.parametrize("body", [HTML, b""])
def test_html_and_nothing_become_errors_of_the_protocol(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    moto = answering(monkeypatch, lambda environ: ("500 Internal Server Error", body))
    answer = moto(call("iam"))
    root = ElementTree.fromstring(answer.body)  # noqa: S314 - our own
    namespace = {"iam": moto_bridge.NAMESPACES["iam"]}
    assert root.findtext("iam:Error/iam:Code", namespaces=namespace) == "InternalFailure"
    assert "SomeAction" in (root.findtext("iam:Error/iam:Message", namespaces=namespace) or "")
    assert (answer.status, answer.headers["content-type"]) == (500, "text/xml")
    answer = moto(call("ecr"))
    assert json.loads(answer.body)["__type"] == "InternalFailure"
    assert (answer.status, answer.headers["content-type"]) == (500, "application/x-amz-json-1.1")


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (NotImplementedError("no"), "UnknownOperationException", 400),
        (KeyError("x"), "InternalFailure", 500),
    ],
)
def test_exceptions_become_errors(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, status: int
) -> None:
    def fail(environ: dict[str, Any]) -> tuple[str, bytes]:
        raise error

    answer = answering(monkeypatch, fail)(call("ecr"))
    assert (json.loads(answer.body)["__type"], answer.status) == (code, status)
    assert "ecr SomeAction" in json.loads(answer.body)["message"]


def test_answers_of_the_service_pass_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(environ: dict[str, Any]) -> tuple[str, bytes]:
        body = environ["wsgi.input"].read()
        assert environ["HTTP_HOST"] == "iam.eu-central-1.amazonaws.com"
        assert environ["HTTP_X_MOTO_ACCOUNT_ID"] == "111122223333"
        return "404 Not Found", b"<ErrorResponse>" + body

    answer = answering(monkeypatch, echo)(call("iam"))
    assert (answer.status, answer.body) == (404, b"<ErrorResponse>body")


def test_moto_is_not_imported_before_it_is_asked() -> None:
    program = (
        "import sys, sagemaker_local.api.identity as identity; "
        "rules = identity.MotoBridge('111122223333', 'eu-central-1').has_rules; "
        "raise SystemExit(rules or 'moto' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
