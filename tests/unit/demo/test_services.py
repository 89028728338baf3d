from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from demo import processes
from demo.services import Services, StackError

FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]
# Its child says itself that it is there: /proc shows no environment of who is in the middle of exec.
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "child = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
    "subprocess.Popen([sys.executable, '-c', child])\n"
    "time.sleep(600)",
]
FORKS_WHEN_ASKED = [
    sys.executable,
    "-c",
    "import os, signal, time\n"
    "def fork(*_):\n"
    "    if os.fork() == 0:\n"
    "        print(os.getpid(), flush=True)\n"
    "        time.sleep(600)\n"
    "signal.signal(signal.SIGUSR1, fork)\n"
    "print('ready', flush=True)\n"
    "while True: time.sleep(600)",
]


class Sleepers(Services):
    """Services that do nothing, or what they are told."""

    command = FOREVER

    def start_service(self, name: str) -> None:
        self._start(name, self.command, dict(os.environ))


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Sleepers]:
    sleepers = Sleepers(tmp_path, restarted=("scheduler",), restarts=1)
    yield sleepers
    sleepers._stop_all(grace_s=5)
    assert processes.leftovers(tmp_path) == []


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end_by_itself(services: Sleepers, name: str) -> None:
    os.kill(services.process_id(name), 9)
    eventually(lambda: not services.running(name))


def test_what_ends_by_itself_is_started_again_as_often_as_asked(services: Sleepers) -> None:
    services.start_service("scheduler")
    end_by_itself(services, "scheduler")
    services.check()
    assert services.running("scheduler")
    assert services.notes[0].startswith("the scheduler ended by itself and was started again")
    end_by_itself(services, "scheduler")
    with pytest.raises(StackError, match="scheduler ended with -9"):
        services.check()
    services.kill_service("scheduler")


def test_what_is_killed_stays_down(services: Sleepers) -> None:
    services.start_service("scheduler")
    services.kill_service("scheduler")
    services.check()
    assert not services.running("scheduler")


def test_a_lost_machine_takes_along_what_has_a_session_of_its_own(services: Sleepers, tmp_path: Path) -> None:
    """As each process of PostgreSQL has: none may be left when another server gets the same files."""
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)"
    program = f"import subprocess, sys, time\nprint({child}.pid, flush=True)\ntime.sleep(600)"
    services.command = [sys.executable, "-c", program]
    services.start_service("postgresql")
    log = tmp_path / "logs" / "postgresql.log"
    eventually(lambda: log.read_text().strip().isdigit())
    services.pause_service("postgresql")
    status = Path(f"/proc/{log.read_text().strip()}/stat")
    eventually(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")
    services.resume_service("postgresql")
    services.kill_service("postgresql")
    assert processes.leftovers(tmp_path) == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_lost_machine_takes_what_runs_there_along(services: Sleepers, tmp_path: Path, whole: bool) -> None:
    services.command = PARENT
    services.start_service("scheduler")
    log = tmp_path / "logs" / "scheduler.log"
    eventually(lambda: log.read_text().strip().isdigit())
    services.kill_service("scheduler", whole=whole)
    if whole:
        assert processes.leftovers(tmp_path) == []
    else:
        assert processes.leftovers(tmp_path) == [int(log.read_text())]


def test_what_is_started_while_a_machine_is_lost_is_lost_too(
    services: Sleepers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.command = FORKS_WHEN_ASKED
    services.start_service("scheduler")
    log = tmp_path / "logs" / "scheduler.log"
    eventually(lambda: log.read_text() == "ready\n")
    send = processes._signal

    def forks_first(process_ids: Iterable[int], number: signal.Signals) -> None:
        monkeypatch.setattr(processes, "_signal", send)
        os.kill(services_pid, signal.SIGUSR1)
        eventually(lambda: len(log.read_text().split()) == 2)
        send(process_ids, number)

    services_pid = services.process_id("scheduler")
    monkeypatch.setattr(processes, "_signal", forks_first)
    services.kill_service("scheduler")
    eventually(lambda: processes.leftovers(tmp_path) == [])


def test_a_service_is_held_up_and_goes_on(services: Sleepers) -> None:
    services.start_service("triggerer")
    status = Path(f"/proc/{services.process_id('triggerer')}/stat")
    services.pause_service("triggerer")
    eventually(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")
    services.resume_service("triggerer")
    eventually(lambda: status.read_text().rpartition(")")[2].split()[0] != "T")
