"""The server as SageMaker calls it: content types, refusals, limits, metrics, log, models by name."""

from __future__ import annotations

import http.client
import json
import re
import select
import socket
import time
from pathlib import Path

import pytest

from tests.unit.containers.model_servers import SERVING, eventually, metric, program, refused
from tests.unit.containers.programs import Server


@pytest.mark.parametrize(
    ("content_type", "body", "answer"),
    [
        ("text/csv", b"1,2,3\n4,5,6\n", "6.0,1.0\n15.0,4.0\n"),
        ("application/json", b'{"instances": [[1, 2, 3]]}', '{"predictions":[[6.0,1.0]]}'),
        ("application/jsonlines", b"[1, 2, 3]\n[4, 5, 6]", "[6.0,1.0]\n[15.0,4.0]\n"),
    ],
)
def test_the_answer_comes_as_the_question(
    server: Server, content_type: str, body: bytes, answer: str
) -> None:
    assert server.invoke(body, content_type) == (200, answer)
    assert server.invoke(body, content_type, Accept="*/*") == (200, answer)
    assert server.invoke(body, content_type, Accept="text/csv")[1] == "".join(
        ",".join(re.findall(r"\d+\.0", row)) + "\n" for row in re.findall(r"\d+\.0,\d+\.0", answer)
    )


def test_refusals_say_what_would_be_taken(server: Server) -> None:
    assert server.invoke("1,2,3", "text/html") == (
        415,
        "content type 'text/html' is not supported; send text/csv, application/json, application/jsonlines, "
        "application/x-npy, application/x-recordio-protobuf\n",
    )
    status, text = server.invoke("1,2,3", Accept="image/png")
    assert (status, text.partition(";")[0]) == (406, "accept 'image/png' is not supported")
    assert server.invoke("1,2,3\n4,x,6\n") == (400, "row 2, value 2: 'x' is not a finite number\n")
    assert server.invoke("[[1]]", "application/json") == (400, "row 1 has 1 values, the model takes 3\n")
    assert server.request("GET", "/models") == (
        404,
        "there are /ping, /invocations, /execution-parameters and /metrics\n",
    )
    assert server.request("GET", "/invocations") == (405, "/invocations takes POST\n")


def test_an_error_of_the_users_is_a_500_that_names_it(server: Server, base: Path) -> None:
    assert server.invoke("-1,0,0") == (500, "model: KeyError: 'no such customer'\n")
    lines = [json.loads(line) for line in (base / "server.log").read_text().splitlines() if line[0] == "{"]
    assert any("predict_fn" in line.get("traceback", "") for line in lines)


def test_a_body_that_is_too_long_is_not_read(server: Server) -> None:
    status, text = server.invoke(b"1,2,3\n" * 200_000)
    assert status == 413
    assert "1048576 are accepted (MODEL_SERVER_MAX_BODY_MB)" in text
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            connection.sendall(b"8000\r\n" + b"1" * 0x8000 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", [b"Content-Length: 9000000", b"Transfer-Encoding: chunked"])
def test_who_is_still_sending_gets_the_refusal_too(server: Server, length: bytes) -> None:
    """Not a reset, which would take it away, as most clients read when they have sent all."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n" + length + b"\r\n\r\n"
        piece = b"186A0\r\n" + b"1" * 100_000 + b"\r\n"
        connection.sendall(head)
        for _ in range(11):
            connection.sendall(piece)
        select.select([connection], [], [], 60)  # it is refused
        for _ in range(40):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b" are accepted (MODEL_SERVER_MAX_BODY_MB)\n")


def test_requests_in_pieces_and_in_a_row(server: Server) -> None:
    """The short way and uvicorn's own give the same answers on one connection."""
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n%b\r\n"
    many = b"1,2,3\n" * 20_000  # too long for the short way
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        reader = connection.makefile("rb")

        def answer() -> bytes:
            assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
            lines = iter(reader.readline, b"\r\n")
            headers = dict(line.rstrip().split(b": ") for line in lines)
            return reader.read(int(headers[b"content-length"]))

        for piece in (head % (5, b""), b"1,", b"2,3"):
            connection.sendall(piece)
            time.sleep(0.01)
        assert answer() == b"6.0,1.0\n"
        connection.sendall((head % (5, b"") + b"2,2,2") * 3)
        assert [answer() for _ in range(3)] == [b"6.0,2.0\n"] * 3
        connection.sendall(head % (len(many), b"") + many)
        assert answer() == b"6.0,1.0\n" * 20_000
        connection.sendall(head % (5, b"Expect: 100-continue\r\n"))
        assert reader.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"1,2,3" + head % (5, b"") + b"3,2,3")
        assert [answer(), answer()] == [b"6.0,1.0\n", b"8.0,3.0\n"]


def test_execution_parameters(server: Server) -> None:
    status, text = server.request("GET", "/execution-parameters")
    assert status == 200
    assert json.loads(text) == {
        "MaxConcurrentTransforms": 8,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 1,
    }


def test_metrics_are_summed_over_processes(server: Server) -> None:
    ok, bad = 'model_requests_total{status="200"}', 'model_requests_total{status="400"}'
    counted = 'model_request_seconds_bucket{le="+Inf"}'
    before = {name: metric(server, name) for name in (ok, bad, counted, "model_request_seconds_count")}
    for _ in range(40):
        assert server.invoke("1,2,3")[0] == 200
    assert server.invoke("1,2")[0] == 400
    # Any process tells the same sum.
    for _ in range(8):
        assert metric(server, ok) - before[ok] == 40
        assert metric(server, bad) - before[bad] == 1
        assert metric(server, counted) - before[counted] == 41
    assert metric(server, "model_workers") == 2
    assert metric(server, "model_requests_in_progress") == 0


def test_every_request_is_a_line_of_json(server: Server, base: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    began = time.monotonic()
    connection.request(
        "POST", "/invocations", b"1,2", {"Content-Type": "text/csv", "X-Amzn-RequestId": "abc-1"}
    )
    assert connection.getresponse().status == 400
    most_ms = (time.monotonic() - began) * 1000

    def line() -> dict[str, object] | None:
        text = (base / "server.log").read_text()
        return next((json.loads(entry) for entry in text.splitlines() if "abc-1" in entry), None)

    eventually(line)
    entry = line()
    assert entry is not None
    assert entry["status"] == 400
    assert entry["reason"] == "row 1 has 2 values, the model takes 3"
    assert entry["path"] == "/invocations"
    assert 0 < float(str(entry["ms"])) <= most_ms


def test_transform_fn_does_it_all(tmp_path: Path) -> None:
    text = """
def model_fn(model_dir):
    return "!"


def transform_fn(model, body, content_type, accept):
    return body.decode().upper() + model, "text/plain"
"""
    with SERVING.server(tmp_path, {"MODEL_SERVER_WORKERS": "1"}, program(tmp_path, text)) as server:
        assert server.invoke("hello", "text/plain") == (200, "HELLO!")


def test_models_come_and_go(tmp_path: Path) -> None:
    text = """
from pathlib import Path


class Scaled:
    features = 1

    def __init__(self, factor):
        self.factor = factor

    def predict(self, rows):
        return rows[:, 0] * self.factor


def model_fn(model_dir):
    return Scaled(float((Path(model_dir) / "factor").read_text()))
"""
    for name, factor in (("two", "2"), ("three", "3"), ("none", "many")):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "factor").write_text(factor)

    def load(server: Server, name: str) -> tuple[int, str]:
        asked = {"model_name": name, "url": str(tmp_path / "models" / name)}
        return server.request("POST", "/models", json.dumps(asked).encode())

    def invoke(server: Server, name: str, body: bytes) -> tuple[int, str]:
        return server.request("POST", f"/models/{name}/invoke", body, {"Content-Type": "text/csv"})

    more = {"SAGEMAKER_MULTI_MODEL": "true", "MODEL_SERVER_MAX_MODELS": "2"}
    with SERVING.server(tmp_path, more, program(tmp_path, text)) as server:
        assert json.loads(server.request("GET", "/models")[1]) == {"models": []}
        assert load(server, "two")[0] == 200
        assert load(server, "two")[0] == 409
        assert load(server, "missing")[0] == 404
        status, said = load(server, "none")
        assert (status, "ValueError" in said) == (500, True)
        assert server.request("POST", "/models", b"{}")[0] == 400
        assert load(server, "three")[0] == 200
        assert load(server, "none")[0] == 507
        assert invoke(server, "two", b"5\n") == (200, "10.0\n")
        assert invoke(server, "three", b"5\n") == (200, "15.0\n")
        assert invoke(server, "four", b"5\n")[0] == 404
        assert invoke(server, "two", b"x\n") == (400, "row 1, value 1: 'x' is not a finite number\n")
        described = {"modelName": "two", "modelUrl": str(tmp_path / "models/two")}
        assert json.loads(server.request("GET", "/models/two")[1]) == described
        assert [
            model["modelName"] for model in json.loads(server.request("GET", "/models")[1])["models"]
        ] == [
            "three",
            "two",
        ]
        assert server.request("DELETE", "/models/two")[0] == 200
        assert server.request("DELETE", "/models/two")[0] == 404
        assert server.request("GET", "/models/two")[0] == 404
        assert invoke(server, "two", b"5\n")[0] == 404
        assert server.request("POST", "/invocations", b"5")[0] == 404
        assert metric(server, 'model_requests_total{status="200"}') == 2
    assert "MODEL_SERVER_WORKERS=2 cannot be with SAGEMAKER_MULTI_MODEL" in refused(
        tmp_path, text, {**more, "MODEL_SERVER_WORKERS": "2"}
    )
