"""The server as SageMaker calls it: content types, refusals, load, death and drain."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.unit.containers.programs import Image, Server, held_port

SERVING = Image("model-serving")

MODEL = """
import os, time
from pathlib import Path
import numpy as np


class Sums:
    kind = "adding"
    features = 3

    def predict(self, rows):
        return np.column_stack([rows.sum(axis=1), rows[:, 0]])


def model_fn(model_dir):
    return Sums()


def predict_fn(rows, model):
    if rows[0, 0] == -1:
        raise KeyError("no such customer")
    if rows[0, 0] == -2:  # as slow as the test that looks on
        Path("begun").touch()
        while not Path("go").exists():
            time.sleep(0.01)
    if rows[0, 0] == -3:
        os._exit(9)
    return model.predict(rows)
"""


def program(base: Path, text: str = MODEL) -> Path:
    """The one file that an image adds to the base's."""
    (base / "model").mkdir(parents=True, exist_ok=True)
    (base / "program").mkdir(exist_ok=True)
    (base / "program/model.py").write_text(text)
    return base / "program"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Server]:
    """Two processes with the model above."""
    more = {"MODEL_SERVER_WORKERS": "2", "MODEL_SERVER_MAX_BODY_MB": "1", "MODEL_SERVER_ACCESS_LOG": "all"}
    with SERVING.server(base, more, program(base)) as running:
        yield running


def metric(server: Server, name: str) -> float:
    text = server.request("GET", "/metrics")[1]
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def eventually(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def workers(server: Server) -> list[int]:
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


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


def test_a_process_that_dies_is_replaced(server: Server, base: Path) -> None:
    before, starts = set(workers(server)), metric(server, "model_worker_starts_total")
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(set(workers(server)) - before) == 1)
    for _ in range(20):  # the port never closed
        assert server.invoke("1,2,3")[0] == 200
    assert metric(server, "model_worker_starts_total") == starts + 1
    assert f"(process {victim}) ended with signal 9; replacing it" in (base / "server.log").read_text()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        server.invoke("-3,0,0")
    eventually(lambda: metric(server, "model_worker_starts_total") == starts + 2)


def listens(server: Server) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", server.port)) == 0


def test_sigterm_drains(tmp_path: Path) -> None:
    in_threads = {"MODEL_SERVER_WORKERS": "2", "MODEL_SERVER_INLINE_KB": "0"}  # /metrics answers meanwhile
    with (
        SERVING.server(tmp_path, in_threads, program(tmp_path)) as server,
        ThreadPoolExecutor(6) as callers,
    ):
        try:
            slow = [callers.submit(server.invoke, f"-2,{number},0") for number in range(6)]
            eventually(lambda: metric(server, "model_requests_in_progress") == 6)
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: not listens(server))
            assert not any(call.done() for call in slow)
        finally:
            (tmp_path / "program/go").touch()
        assert [call.result() for call in slow] == [(200, f"{number - 2}.0,-2.0\n") for number in range(6)]
        assert server.process.wait(60) == 0
        with pytest.raises(ConnectionError):
            server.invoke("1,2,3")


def test_one_process_drains_too(tmp_path: Path) -> None:
    with (
        SERVING.server(tmp_path, {"MODEL_SERVER_WORKERS": "1"}, program(tmp_path)) as server,
        ThreadPoolExecutor(2) as callers,
    ):
        try:
            slow = callers.submit(server.invoke, "-2,0.5,0")
            eventually((tmp_path / "program/begun").exists)
            server.process.send_signal(signal.SIGTERM)
        finally:
            (tmp_path / "program/go").touch()
        assert slow.result() == (200, "-1.5,-2.0\n")
        assert server.process.wait(60) == 0


def test_a_sigterm_while_it_gets_ready_is_not_lost(tmp_path: Path, port: int) -> None:
    """A process says that it serves right before uvicorn takes signals over: this one gets one then."""
    at_once = "import signal\nimport model_serving.worker\n"
    at_once += "model_serving.worker.say = lambda text: os.kill(os.getpid(), signal.SIGTERM)\n"
    told = {"SAGEMAKER_BIND_TO_PORT": str(port), "MODEL_SERVER_WORKERS": "1"}
    folder = program(tmp_path, MODEL + at_once)
    process = subprocess.Popen(["serve"], env=SERVING.environ(tmp_path, told), cwd=folder)
    try:
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_who_would_wait_too_long_is_sent_away(tmp_path: Path) -> None:
    more = {"MODEL_SERVER_WORKERS": "1", "MODEL_SERVER_QUEUE": "2", "MODEL_SERVER_INLINE_KB": "0"}

    def call(server: Server) -> tuple[int, str, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("POST", "/invocations", b"-2,0,0", {"Content-Type": "text/csv"})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.getheader("Retry-After")

    with SERVING.server(tmp_path, more, program(tmp_path)) as server, ThreadPoolExecutor(10) as callers:
        try:
            calls = [callers.submit(call, server) for _ in range(10)]
            eventually(lambda: sum(each.done() for each in calls) == 7)
            assert server.request("GET", "/ping")[0] == 200, "a thread predicts meanwhile"
            assert sum(each.done() for each in calls) == 7
        finally:
            (tmp_path / "program/go").touch()
        answers = [each.result() for each in calls]
    statuses = sorted(status for status, _, _ in answers)
    assert statuses == [200] * 3 + [503] * 7
    for status, text, after in answers:
        if status == 503:
            assert "MODEL_SERVER_QUEUE=2" in text
            assert int(after or 0) >= 1


def test_waiting_requests_are_predicted_together(tmp_path: Path) -> None:
    counting = """
import numpy as np


class Counted:
    features = 2

    def predict(self, rows):
        if (rows == 13).any():
            raise ValueError("unlucky")
        return np.column_stack([rows.sum(axis=1), np.full(len(rows), len(rows))])


def model_fn(model_dir):
    return Counted()
"""
    more = {
        "MODEL_SERVER_WORKERS": "1",
        "MODEL_SERVER_BATCH_MAX_ROWS": "8",
        "MODEL_SERVER_BATCH_WAIT_MS": "20000",  # until all of them have come, however slow the machine
    }
    with SERVING.server(tmp_path, more, program(tmp_path, counting)) as server, ThreadPoolExecutor(9) as pool:
        answers = list(pool.map(lambda number: server.invoke(f"{number},1"), range(8)))
        assert answers == [(200, f"{number + 1}.0,8.0\n") for number in range(8)]
        # One who is refused takes no other with him.
        answers = list(pool.map(lambda number: server.invoke(f"{number},1"), range(6, 14)))
        assert [status for status, _ in answers] == [200] * 7 + [500]
        assert server.invoke("1,2,3") == (400, "row 1 has 3 values, the model takes 2\n")
    # Who comes alone waits no longer than that.
    more["MODEL_SERVER_BATCH_WAIT_MS"] = "50"
    with SERVING.server(tmp_path, more, tmp_path / "program") as server:
        assert server.invoke("5,1") == (200, "6.0,1.0\n")


def test_transform_fn_does_it_all(tmp_path: Path) -> None:
    text = """
def model_fn(model_dir):
    return "!"


def transform_fn(model, body, content_type, accept):
    return body.decode().upper() + model, "text/plain"
"""
    with SERVING.server(tmp_path, {"MODEL_SERVER_WORKERS": "1"}, program(tmp_path, text)) as server:
        assert server.invoke("hello", "text/plain") == (200, "HELLO!")


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as held:
        yield held


def refused(tmp_path: Path, text: str, more: dict[str, str] | None = None) -> str:
    folder = program(tmp_path, text)
    with held_port() as port:
        environ = SERVING.environ(tmp_path, {"SAGEMAKER_BIND_TO_PORT": str(port), **(more or {})})
        done = subprocess.run(
            ["serve"], env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == 1, done.stdout
    return done.stderr


@pytest.mark.parametrize(
    ("text", "more", "complaint"),
    [
        (
            "def transform_fn(*a): pass\ndef output_fn(*a): pass",
            {},
            "transform_fn and output_fn exclude each other",
        ),
        (
            "",
            {"SAGEMAKER_BIND_TO_PORT": "0"},
            "SAGEMAKER_BIND_TO_PORT='0' must be a whole number of at least 1",
        ),
        (
            "",
            {"MODEL_SERVER_ACCESS_LOG": "most"},
            "must be one of off, errors",
        ),
        ("", {}, "has no manifest.json: deploy what a compilation job wrote"),
        (
            "def model_fn(model_dir): return object()",
            {},
            "the model is a object without predict(): write predict_fn",
        ),
        (
            "def model_fn(model_dir): raise OSError('it is broken')",
            {},
            "OSError: it is broken",
        ),
    ],
)
def test_what_cannot_start_says_why(tmp_path: Path, text: str, more: dict[str, str], complaint: str) -> None:
    assert complaint in refused(tmp_path, text, more)


def test_a_taken_port_is_not_shared(server: Server, tmp_path: Path) -> None:
    told = {"SAGEMAKER_BIND_TO_PORT": str(server.port), "MODEL_SERVER_WORKERS": "2"}
    assert f"cannot listen on 127.0.0.1:{server.port}" in refused(tmp_path, MODEL, told)


def test_a_model_with_threads_is_loaded_by_every_process(tmp_path: Path, port: int) -> None:
    text = MODEL.replace(
        "    return Sums()",
        "    import threading\n    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    print('loaded in', os.getpid(), flush=True)\n    return Sums()",
    )
    text = text.replace("import os, time\n", "import os, time\ntime.sleep(0.3)\n")
    told = {"SAGEMAKER_BIND_TO_PORT": str(port), "MODEL_SERVER_WORKERS": "2"}
    folder = program(tmp_path, text)
    with (tmp_path / "server.log").open("w") as output:
        process = subprocess.Popen(
            ["serve"], env=SERVING.environ(tmp_path, told), cwd=folder, stdout=output, stderr=output
        )
    server = Server(port, process)
    try:
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=30)
                break
            except ConnectionError:
                assert process.poll() is None
                time.sleep(0.002)
        with connection:  # Who came before the processes parted is not sent away.
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.invoke("1,2,3") == (200, "6.0,1.0\n")
        log = tmp_path / "server.log"
        eventually(lambda: log.read_text().count("loaded in") == 3)
        assert "the model started 1 threads" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(60) == 0


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


def compiled_model(base: Path) -> None:
    """What Neo would give, of two features."""
    code = "void predict(const float *x, long n, float *o) { for (long i = 0; i < n; i++) o[i] = x[2 * i]; }"
    (base / "model").mkdir()
    (base / "model.c").write_text(code)
    shared = ["cc", "-shared", "-fPIC", "-o", str(base / "model/model.so"), str(base / "model.c")]
    subprocess.run(shared, check=True)
    manifest = {
        "model_file": "model.so",
        "entry_point": "predict",
        "inputs": [{"name": "rows", "shape": [None, 2], "dtype": "float32"}],
        "outputs": [{"name": "answers", "shape": [None], "dtype": "float32", "method": "predict"}],
    }
    (base / "model/manifest.json").write_text(json.dumps(manifest))


CPUS = os.sched_getaffinity(0)


@pytest.mark.skipif(len(CPUS) < 2, reason="one CPU leaves no choice")
def test_workers_of_native_code_have_a_cpu_each(tmp_path: Path, server: Server) -> None:
    compiled_model(tmp_path)
    (tmp_path / "program").mkdir()

    def stay(more: dict[str, str], expected: list[set[int]]) -> None:
        with SERVING.server(tmp_path, more, tmp_path / "program") as running:
            started = float(more["MODEL_SERVER_WORKERS"])
            eventually(lambda: metric(running, "model_worker_starts_total") == started)
            eventually(lambda: [os.sched_getaffinity(pid) for pid in workers(running)] == expected)
            assert running.invoke("1.5,2") == (200, "1.5\n")

    one_each = {"MODEL_SERVER_WORKERS": str(len(CPUS))}
    stay(one_each, [{cpu} for cpu in sorted(CPUS)])
    # Others find CPUs as they need them: more workers, threads of the model's, libraries with threads.
    stay({"MODEL_SERVER_WORKERS": str(len(CPUS) + 1)}, [CPUS] * (len(CPUS) + 1))
    stay({**one_each, "COMPILED_MODEL_THREADS": "2"}, [CPUS] * len(CPUS))
    assert [os.sched_getaffinity(pid) for pid in workers(server)] == [CPUS] * 2


def test_cold_start_of_a_compiled_model(tmp_path: Path, port: int) -> None:
    """Prints what it takes; docs/serving.md has the figures of a quiet machine."""
    compiled_model(tmp_path)
    (tmp_path / "program").mkdir()
    taken_ms, resident_mb = [], 0.0
    for _ in range(3):
        told = {"SAGEMAKER_BIND_TO_PORT": str(port), "MODEL_SERVER_WORKERS": "1"}
        environ = SERVING.environ(tmp_path, told)
        began = time.monotonic()
        process = subprocess.Popen(
            ["serve"], env=environ, cwd=tmp_path / "program", stdout=subprocess.DEVNULL
        )
        server = Server(port, process)
        try:
            while True:
                try:
                    answer = server.invoke("1.5,2\n")
                    break
                except ConnectionError:
                    assert process.poll() is None
                    time.sleep(0.002)
            taken_ms.append((time.monotonic() - began) * 1000)
            assert answer == (200, "1.5\n")
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident_mb = int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024
            assert "pandas" not in Path(f"/proc/{process.pid}/maps").read_text()
        finally:
            process.terminate()
            assert process.wait(60) == 0
    print(f"first answer after {np.median(taken_ms):.0f} ms, resident {resident_mb:.0f} MB")
