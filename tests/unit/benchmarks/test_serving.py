"""The serving benchmark with servers of the test's own: who answers wrongly or not at all is skipped."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import environments, reporting, serving, serving_model, serving_peers
from benchmarks.serving_model import ServedModel
from benchmarks.serving_peers import Peer, Start

SERVER = """
import http.server, subprocess, sys
port, digit = int(sys.argv[1]), sys.argv[2]
child = subprocess.Popen(["sleep", "600"])  # servers have workers


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one write an answer

    def do_POST(self):
        rows = self.rfile.read(int(self.headers["content-length"])).count(b"\\n")
        answer = (digit + "\\n").encode() * rows
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
MODEL = ServedModel(Path(), ("0,1,2",) * 300, (7,) * 300)


def peer(name: str, digit: str) -> Peer:
    def prepare(model: ServedModel, run: Path, port: int) -> Start:
        (run / "server.py").write_text(SERVER)
        return Start([sys.executable, run / "server.py", str(port), digit], {}, run)

    return Peer(name, prepare)


def broken(model: ServedModel, run: Path, port: int) -> Start:
    return Start([sys.executable, "-c", "raise SystemExit('no such model')"], {}, run)


def absent(model: ServedModel, run: Path, port: int) -> Start:
    raise environments.Unavailable("it cannot be installed here")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (serving, reporting):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(serving_peers, "ROOT", tmp_path)
    monkeypatch.setattr(reporting.Report.publish, "__defaults__", (tmp_path,))
    monkeypatch.setattr(serving_model, "trained", lambda: MODEL)
    monkeypatch.setattr(serving, "SCENARIOS", (serving.Scenario(1, 2),))
    return tmp_path


def test_the_right_one_is_measured_and_the_others_say_why_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        environments.program("wrk")
    except environments.Unavailable as error:
        pytest.skip(f"no wrk: {error}")
    peers = (peer("right", "7"), peer("wrong", "8"), Peer("broken", broken), Peer("absent", absent))
    monkeypatch.setattr(serving, "PEERS", peers)
    monkeypatch.setattr(sys, "argv", ["serving", "--quick", "--rounds", "1"])
    serving.main()
    report = json.loads((folder / "serving.json").read_text())
    skipped = report["skipped"]
    assert skipped["wrong"] == "answers rows 0 to 100 with [8, 8, 8, 8, 8]…, not as the model does"
    assert "exit code 1" in skipped["broken"]
    assert "no such model" in skipped["broken"]
    assert skipped["absent"] == "it cannot be installed here"
    figures = {result["measure"]: result["median"] for result in report["results"]}
    assert {result["peer"] for result in report["results"]} == {"right"}
    assert figures["1 row, c=2"] > 10
    assert figures["1 row, c=2, p50"] <= figures["1 row, c=2, p99"]
    assert figures["errors in all"] == 0
    assert figures["memory"] > 5
    assert (folder / "serving.svg").exists()
    assert "skipped: absent" in capsys.readouterr().out


def test_a_server_is_gone_afterwards_with_its_workers(folder: Path) -> None:
    with serving_peers.running(peer("right", "7"), MODEL, folder / "run", folder / "log") as server:
        tree = [server.process, *server.process.children(recursive=True)]
        assert len(tree) == 2
        assert server.memory_mb() > 5
    assert not [process for process in tree if serving_peers._lives(process)]
