"""The server's processes: starts and refusals to start, CPUs, death, drain."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.unit.containers.model_servers import MODEL, SERVING, eventually, metric, program, refused
from tests.unit.containers.programs import Server, held_port


def workers(server: Server) -> list[int]:
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def listens(server: Server) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", server.port)) == 0


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as held:
        yield held


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
