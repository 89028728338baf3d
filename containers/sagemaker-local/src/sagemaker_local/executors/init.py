"""The first process of every sandbox: starts the program, passes SIGTERM on, reaps, leaves nothing behind.

Run by path with a bare interpreter (``python -I -S init.py LIFELINE WORKDIR PROGRAM ARGUMENT…``), so it
imports the standard library only. It is what ``docker run --init`` puts in front of a program, plus a
*lifeline*: a socket whose other end the server holds. A ``T`` on it means "SIGTERM to the program"; its end,
which the kernel sends when the server dies however it dies, means "kill everything now". Parent-death
signals alone are not enough: they are tied to the thread that forked, and lost when the parent dies before
they are set. A ``C`` asks for a connection to the port that the program was told to listen on: it is made
here, in the sandbox's own network, and handed out, so that a program can serve without any other way in or
out.

As process 1 of a PID namespace its end makes the kernel kill the rest; without a namespace (base directory)
it is the subreaper of all its descendants and kills them itself.

Every job and every container waits for this file's imports, so it does with what the interpreter has built
in: ``contextlib``, ``ctypes`` and ``signal``, which makes enums, double the time that it takes to start.
"""

# ruff: noqa: SIM105 - see above

from __future__ import annotations

import errno
import os
import select
import sys

TYPE_CHECKING = False  # typing is too large to import
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # what signal is made of; it is there whenever signal is

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
NOT_FOUND, NOT_EXECUTABLE = 127, 126


def main(lifeline: int, workdir: str, command: list[str]) -> int:
    """Run the command until it ends or the lifeline does; returns its exit code, 128 + n for signal n."""
    os.set_inheritable(lifeline, False)
    namespaced = os.getpid() == 1
    if not namespaced:
        control_process(PR_SET_CHILD_SUBREAPER, 1)
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    os.set_blocking(wakeup_read, False)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    program = start(workdir, command, namespaced=namespaced)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: send(program, number))
    code: int | None = None
    while code is None:
        readable, _, _ = select.select([lifeline, wakeup_read], [], [])
        if wakeup_read in readable:
            try:
                os.read(wakeup_read, 4096)
            except BlockingIOError:
                pass
            code = reap(program)
        if code is None and lifeline in readable:
            asked = os.read(lifeline, 1)
            if not asked:
                code = 128 + signal.SIGKILL
            elif asked == b"C":
                hand_out_connection(lifeline)
            else:
                send(program, signal.SIGTERM)
    kill_descendants()
    return code


def control_process(option: int, value: int) -> None:
    """``prctl``; process 1 of a PID namespace needs none of it, because the kernel ends the rest with it."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value)


def start(workdir: str, command: list[str], *, namespaced: bool) -> int:
    """Fork and become the program; says what is wrong when it cannot.

    Args:
        workdir: Its working directory.
        command: The program and its arguments.
        namespaced: The kernel ends it with this process, which is the first of its namespace.
    """
    this = os.getpid()
    program = os.fork()
    if program:
        return program
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # CPython ignores these two, and what is ignored stays ignored across exec.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        if not namespaced:
            control_process(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != this:
            os._exit(128 + signal.SIGKILL)
        os.setsid()
        os.chdir(workdir)
        os.execvp(command[0], command)  # noqa: S606 - the program that the image names
    except FileNotFoundError as error:
        path = os.environ.get("PATH")
        refuse(NOT_FOUND, f"cannot run '{command[0]}': {error.strerror}; PATH is {path}, workdir {workdir}")
    except OSError as error:
        refuse(
            NOT_EXECUTABLE, f"cannot run '{command[0]}': {error.strerror}; is it executable, with a #! line?"
        )
    os._exit(NOT_EXECUTABLE)


def refuse(code: int, why: str) -> None:
    """End the forked child with a line in the job's log."""
    os.write(2, f"sagemaker-local: {why}\n".encode())
    os._exit(code)


def hand_out_connection(lifeline: int) -> None:
    """Send a socket that is connected to the program, or an ``R`` alone when it refuses."""
    import socket  # most programs are never asked for one

    with (
        socket.socket(fileno=os.dup(lifeline)) as door,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection,
    ):
        connection.setblocking(False)
        code = connection.connect_ex(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])))
        try:
            if code in (0, errno.EINPROGRESS):
                socket.send_fds(door, [b"C"], [connection.fileno()])
            else:
                door.send(b"R")
        except OSError:  # the server went: its end of the lifeline says so next
            pass


def send(program: int, number: int) -> None:
    """Signal the program alone, as container engines do; what it started is its own to stop."""
    try:
        os.kill(program, number)
    except ProcessLookupError:
        pass


def reap(program: int) -> int | None:
    """Collect everything that ended; the program's exit code when it is among them."""
    code = None
    try:
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == 0:
                break
            if ended == program:
                signalled = os.WIFSIGNALED(status)
                code = 128 + os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)
    except ChildProcessError:
        pass
    return code


def kill_descendants() -> None:
    """SIGKILL until no child is left; orphans come to us because we are their subreaper."""
    if os.getpid() == 1:
        return  # the kernel does it as soon as we end
    while True:
        for process in descendants(os.getpid()):
            send(process, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def descendants(root: int) -> list[int]:
    """Process ids below ``root``, by the parents that /proc tells."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                # "pid (command) state parent …"; the command may hold anything, also ')'
                parent = int(stat.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
