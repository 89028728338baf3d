"""The load: what wrk says is read with its errors, and errors are no throughput."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import environments, wrk

PRINTED = """Running 1s test @ http://127.0.0.1:8080/invocations
Requests/sec:    100.00

{"requests":120,"took_us":2000000,"p50_us":1500,"p99_us":9000,"most_us":9900,"status":20,"connect":1,"read":2,"write":3,"timeout":4}
"""


def test_answers_that_are_errors_are_counted_as_errors_only() -> None:
    found = wrk.read(PRINTED, used_s=0.5)
    assert found == wrk.Load(requests_per_s=50.0, p50_ms=1.5, p99_ms=9.0, errors=30, own_cpu=0.25)


@pytest.fixture
def half_refused() -> Iterator[str]:
    """A server that answers every other request with 503."""
    numbers = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            expected = body == b"1,2,3\n" and self.headers["content-type"] == "text/csv"
            self.send_response(503 if next(numbers) % 2 else 200 if expected else 400)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/invocations"
    server.shutdown()
    thread.join()
    server.server_close()


def test_wrk_posts_the_body_and_tells_answers_from_refusals(
    tmp_path: Path, half_refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        command = environments.program("wrk")
    except environments.Unavailable as error:
        pytest.skip(f"no wrk: {error}")
    body = tmp_path / "body"
    body.write_bytes(b"1,2,3\n")
    printed: list[str] = []
    read = wrk.read

    def reading(text: str, used_s: float) -> wrk.Load:
        printed.append(text)
        return read(text, used_s)

    monkeypatch.setattr(wrk, "read", reading)
    found = wrk.load(command, half_refused, body, "text/csv", connections=2, seconds=1)
    took_s = json.loads(printed[0].splitlines()[-1])["took_us"] / 1e6
    # They alternate; at either end one of each connection may be under way.
    assert abs(found.errors - found.requests_per_s * took_s) <= 4
    assert found.errors > 10
    assert 0 < found.p50_ms <= found.p99_ms
