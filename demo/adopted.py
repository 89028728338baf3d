"""A process that somebody else started for us: watched, signalled and waited for like our own child."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path

CODE_TIMEOUT_S = 30.0
"""So long after an end its parent may take to say so."""
CODE_POLL_S = 0.02
UNKNOWN_CODE = -1


class Adopted:
    """What :class:`subprocess.Popen` is for a child, as far as a stack needs it.

    Args:
        pid: The process.
        code_file: Where its parent writes the exit code, once it has ended and before it is buried.
    """

    def __init__(self, pid: int, code_file: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._code_file = code_file
        self._ended_s: float | None = None
        # They keep meaning these processes even when the numbers are given to others.
        self._descriptor = _descriptor(pid)
        self._parent = _descriptor(_parent(pid))

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.returncode is None and self._ended(0):
            self._take_code()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit code, or -1 where its parent went before it could say.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        if self.returncode is None and not self._ended(timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        while self.returncode is None:
            self._take_code()
            if self.returncode is None:
                time.sleep(CODE_POLL_S)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """A signal, to it and to no other."""
        if self._descriptor is not None:
            try:
                signal.pidfd_send_signal(self._descriptor, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout_s: float | None) -> bool:
        if self._descriptor is None or self._ended_s is not None:
            return True
        if not _has_ended(self._descriptor, timeout_s):
            return False
        self._ended_s = time.monotonic()
        return True

    def _take_code(self) -> None:
        """Note how it ended, unless that is still to be told."""
        # Asked first: a code that is not there then will not come.
        told_by_now = self._is_buried() or self._has_no_parent() or self._has_waited()
        try:
            self.returncode = int(self._code_file.read_text())
        except (FileNotFoundError, ValueError):
            if not told_by_now:
                return
            self.returncode = UNKNOWN_CODE
        for descriptor in (self._descriptor, self._parent):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._parent = None

    def _is_buried(self) -> bool:
        if self._descriptor is None:
            return True
        try:
            signal.pidfd_send_signal(self._descriptor, 0)
        except ProcessLookupError:
            return True
        return False

    def _has_no_parent(self) -> bool:
        """Not every machine's first process buries what has none."""
        return self._parent is None or _has_ended(self._parent, 0)

    def _has_waited(self) -> bool:
        return self._ended_s is not None and time.monotonic() - self._ended_s >= CODE_TIMEOUT_S


def _descriptor(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _parent(pid: int) -> int:
    """The parent of a process; 0 where that is no more, or lies outside of what we see."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _has_ended(descriptor: int, timeout_s: float | None) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(None if timeout_s is None else timeout_s * 1000))
