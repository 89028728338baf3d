"""Requests that come together: who waits, who is sent away, who is predicted with others."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.unit.containers.model_servers import SERVING, eventually, program
from tests.unit.containers.programs import Server


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
