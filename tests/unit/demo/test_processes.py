from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
SAYS_AND_SLEEPS = [sys.executable, "-uc", "import time; print('here'); time.sleep(600)"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.kill_leftovers(tmp_path, grace_s=0)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def test_stop_ends_processes_and_keeps_their_output(home: Path) -> None:
    command = [sys.executable, "-uc", "import time; print('hello'); time.sleep(60)"]
    service = processes.start("talker", command, environment=os.environ, home=home)
    assert eventually(lambda: service.last_lines() == "hello")
    processes.stop([service], grace_s=5)
    assert not service.running
    assert processes.leftovers(home) == []


def test_stop_kills_what_ignores_it(home: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x'); time.sleep(60)"
    service = processes.start("deaf", [sys.executable, "-uc", code], environment=os.environ, home=home)
    assert eventually(lambda: service.last_lines() == "x")
    processes.stop([service], grace_s=0.2)
    assert service.process.returncode == -signal.SIGKILL


def test_processes_die_with_a_parent_that_is_killed(home: Path) -> None:
    code = textwrap.dedent(f"""
        import os, sys, time
        from pathlib import Path
        from demo import processes
        processes.start("child", {SLEEP!r}, environment=os.environ, home=Path({str(home)!r}))
        print("started", flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path.cwd()) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        assert processes.leftovers(home)
        parent.kill()
    assert eventually(lambda: processes.leftovers(home) == [])


def test_nothing_is_started_for_a_parent_that_is_dead_by_then(home: Path) -> None:
    code = textwrap.dedent(f"""
        import os, time
        from pathlib import Path
        from demo import processes

        class Late:
            def prctl(self, *_):
                os.write(1, b"forked\\n")
                while os.getppid() == parent:
                    time.sleep(0.01)

        parent = os.getpid()
        processes._libc = Late()
        processes.start("child", {SLEEP!r}, environment=os.environ, home=Path({str(home)!r}))
    """)
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path.cwd()) as parent:
        log = home / "logs" / "child.log"
        assert eventually(lambda: log.exists() and log.read_text() == "forked\n")
        parent.kill()
    assert eventually(lambda: processes.leftovers(home) == [])


@pytest.mark.parametrize("forgets", ["environment", "file"])
def test_leftovers_are_found_by_either_mark(home: Path, forgets: str) -> None:
    """As workers that overwrite their environment with a title, and programs that close what they inherit."""
    child = {
        "environment": f"import subprocess; subprocess.run({SAYS_AND_SLEEPS!r}, env={{}}, close_fds=False)",
        "file": f"import subprocess; subprocess.run({SAYS_AND_SLEEPS!r}, close_fds=True)",
    }[forgets]
    parent = processes.start("parent", [sys.executable, "-c", child], environment=os.environ, home=home)
    # By then it is past its exec, in the middle of which /proc shows no environment.
    assert eventually(lambda: parent.last_lines() == "here")
    assert len(processes.leftovers(home)) == 2
    assert processes.kill_leftovers(home, grace_s=2) == 2
    assert processes.leftovers(home) == []


def test_processes_of_another_home_are_left_alone(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    service = processes.start("mine", SLEEP, environment=os.environ, home=home)
    assert processes.kill_leftovers(other, grace_s=0) == 0
    assert service.running
