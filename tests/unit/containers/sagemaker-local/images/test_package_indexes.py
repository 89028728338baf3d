import http.server
import threading

import pytest

from sagemaker_local.images import package_indexes
from sagemaker_local.images.package_indexes import usable


@pytest.fixture
def index(monkeypatch):
    monkeypatch.setattr(package_indexes, "ANSWER_TIMEOUT_S", 60.0)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/whl/cpu"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_index_that_answers_is_used_whatever_it_says(index, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert usable([f"--extra-index-url {index}"], print) == ["--extra-index-url", index]


def test_an_index_that_does_not_answer_is_left_out_and_named():
    lines: list[str] = []
    options = ["--extra-index-url http://127.0.0.1:1/simple", "-f /wheels", "--trusted-host h"]
    assert usable(options, lines.append) == ["-f", "/wheels", "--trusted-host", "h"]
    assert lines == [
        "sagemaker-local: goes on without --extra-index-url http://127.0.0.1:1/simple: it does not answer"
    ]


def test_builds_for_cpus_are_left_out_where_there_is_a_gpu(index, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    assert usable([f"--extra-index-url {index}"], print) == []
