"""The processes of a stack by name: ended, killed, held up, looked after."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from demo import processes
from demo.processes import Service

RESTARTS = 3
"""How often a service that ended by itself is started again before it counts as broken."""


class StackError(Exception):
    """The stack cannot be started or died; says which process, and shows the end of its log."""


class Services:
    """What runs in one home.

    Attributes:
        notes: What a user should know: ports that were taken, leftovers that were stopped, restarts.
    """

    def __init__(self, home: Path, *, restarted: Collection[str], restarts: int = RESTARTS) -> None:
        """Nothing runs yet.

        Args:
            home: Of the stack.
            restarted: Services that are started again when they end by themselves, as in any deployment.
            restarts: How often each of them is.
        """
        self.notes: list[str] = []
        self._home = home
        self._services: dict[str, Service] = {}
        self._restarts_left = dict.fromkeys(restarted, restarts)

    def start_service(self, name: str) -> None:
        """Start a service that is down."""
        raise NotImplementedError

    def stop_service(self, name: str, *, grace_s: float = 15) -> None:
        """Ask a service to end, as a deployment does, and wait until it has."""
        processes.stop([self._services.pop(name)], grace_s=grace_s)

    def kill_service(self, name: str, *, whole: bool = True) -> None:
        """SIGKILL to a service; it stays down until it is started.

        Args:
            name: Of the service.
            whole: With everything that it has started, as when its machine is lost; else the process alone.
        """
        service = self._services.pop(name)
        killed = processes.signal_all(service, signal.SIGKILL) if whole else set()
        service.process.kill()
        service.process.wait()
        # Who comes next must not meet them: two generations of a database would write to the same files.
        processes.wait_for_ends(killed)

    def pause_service(self, name: str) -> None:
        """SIGSTOP: it is there, holds its connections, and does nothing."""
        processes.signal_all(self._services[name], signal.SIGSTOP)

    def resume_service(self, name: str) -> None:
        """SIGCONT."""
        processes.signal_all(self._services[name], signal.SIGCONT)

    def kill(self, *names: str) -> None:
        """SIGKILL to some services, or without names to everything at once, as a power cut would."""
        for name in names or tuple(self._services):
            self.kill_service(name, whole=False)
        if not names:
            processes.kill_leftovers(self._home, grace_s=0)

    def running(self, name: str) -> bool:
        """Whether a service is up."""
        return name in self._services and self._services[name].running

    def process_id(self, name: str) -> int:
        """Process id of a service."""
        return self._services[name].process.pid

    def check(self) -> None:
        """Look after the processes: one that ended by itself is started again where that was asked for.

        Raises:
            StackError: another process has ended by itself, or one does so again and again.
        """
        for name, service in list(self._services.items()):
            if service.running:
                continue
            if self._restarts_left.get(name, 0) > 0:
                self._restarts_left[name] -= 1
                self.notes.append(f"the {name} ended by itself and was started again; see {service.log}")
                self.start_service(name)
                continue
            code = service.process.returncode
            raise StackError(f"{name} ended with {code}; {service.log}:\n{service.last_lines()}")

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        self._services[name] = processes.start(name, command, environment=environment, home=self._home)

    def _wait(self, ready: Callable[[], bool], what: str, names: Collection[str], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                logs = "\n".join(
                    f"--- {name}\n{self._services[name].last_lines()}"
                    for name in names
                    if name in self._services
                )
                raise StackError(f"{what} is not healthy after {timeout_s} s:\n{logs}")
            time.sleep(0.1)

    def _stop_all(self, *last: str, grace_s: float) -> None:
        """Stop everything: those named last, each after everything before it has ended."""
        first = [service for name, service in self._services.items() if name not in last]
        processes.stop(first, grace_s=grace_s)
        for name in last:
            if name in self._services:
                processes.stop([self._services[name]], grace_s=grace_s)
        self._services.clear()
        processes.kill_leftovers(self._home)
