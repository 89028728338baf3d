from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import adopted as module
from demo.adopted import Adopted
from demo.stack import ROOT

FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(FOREVER)
    yield process
    process.kill()
    process.wait()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_dead_and_not_buried(process: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_an_adopted_process_is_watched_and_ended(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    adopted = Adopted(child.pid, tmp_path / "code")
    assert adopted.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        adopted.wait(0.05)
    (tmp_path / "code").write_text("-15")
    adopted.send_signal(signal.SIGTERM)
    assert adopted.wait(30) == -15
    assert adopted.poll() == -15
    adopted.send_signal(signal.SIGTERM)  # to nobody, whoever has the number by now


def test_the_code_may_be_written_after_the_end(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Its parent is told of the end when we are, and writes then."""
    adopted = Adopted(child.pid, tmp_path / "code")
    child.kill()
    writing = threading.Timer(0.5, (tmp_path / "code").write_text, ["-9"])
    writing.start()
    assert adopted.wait(30) == -9
    writing.join()


def test_one_that_nobody_told_about_has_ended(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    child.kill()
    child.wait()
    assert Adopted(child.pid, tmp_path / "code").poll() == -1


def test_a_code_that_is_still_to_be_told_is_waited_for(
    child: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CODE_TIMEOUT_S", 600)
    adopted, looking_again = Adopted(child.pid, tmp_path / "code"), Adopted(child.pid, tmp_path / "code")
    child.kill()
    eventually(lambda: is_dead_and_not_buried(child))
    assert adopted.poll() is None
    (tmp_path / "code").write_text("-9")
    assert adopted.poll() == -9
    assert looking_again.wait(0) == -9


def test_a_code_is_not_waited_for_where_nobody_buries_the_dead(
    child: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CODE_TIMEOUT_S", 0.1)
    adopted = Adopted(child.pid, tmp_path / "code")
    child.kill()
    assert adopted.wait(60) == -1


def test_forked_services_have_logs_and_codes_and_end_with_their_parent(tmp_path: Path) -> None:
    """The mechanics of the fork alone: what would be Airflow is a module of the test's."""
    (tmp_path / "stand_in.py").write_text(
        "import sys, time\n"
        "def main():\n"
        "    print('is', sys.argv, flush=True)\n"
        "    if sys.argv[1] == 'fails': raise SystemExit(3)\n"
        "    time.sleep(600)\n"
        "def preload(): pass\n"
    )
    log = str(tmp_path / "log")
    services = {name: {"arguments": [name], "log": log} for name in ("fails", "scheduler")}
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"folder": str(tmp_path), "services": services, "first": None}))
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\n"
        "import stand_in; from demo import warm_airflow as warm\n"
        "sys.modules['airflow.__main__'] = sys.modules['airflow_sagemaker.preload'] = stand_in\n"
        "warm.load = lambda names: None\n"
        f"warm.main(['--fork', {str(plan)!r}])"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        time.sleep(0.3)
        assert not list(tmp_path.glob("*.pid"))  # not before it is told to go
        (tmp_path / "go").touch()
        eventually((tmp_path / "fails.pid").exists)
        failed = Adopted(int((tmp_path / "fails.pid").read_text()), tmp_path / "fails.code")
        assert failed.wait(120) == 3  # however long its parent takes to say so
        eventually((tmp_path / "scheduler.pid").exists)
        pid = int((tmp_path / "scheduler.pid").read_text())
        stays = Adopted(pid, tmp_path / "scheduler.code")
        # The parent writes its number, maybe before the child has done anything: what it says comes later.
        eventually(lambda: "is ['airflow', 'scheduler']" in Path(log).read_text())
        assert os.getsid(pid) == pid
        assert stays.poll() is None
    finally:
        parent.kill()
        parent.wait()
    assert stays.wait(120) == -1  # its parent's death ended it, and nobody was left to say how
