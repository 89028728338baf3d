"""Makes namespaces and a root of their own by system calls, then runs a command as process 1 of them.

Run by path with a bare interpreter (``python -I -S namespace.py SPEC COMMAND…``), standard library only. It
does what ``unshare -Urmpf`` and a script of ``mount`` calls would, without depending on util-linux's
version, and makes recursive read-only binds, which ``mount`` cannot. Needs Linux 5.12 (mount_setattr) and
unprivileged user namespaces; where a call fails the error names it.

SPEC is JSON: ``root`` (an empty directory), ``user``, ``host_name``, ``network``, ``links`` [[path, target]],
``directories``, ``hidden``, and ``binds`` [[source, target, writable]]; system directories are bound before
``hidden`` covers places.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import signal
import socket
import struct
import sys

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 1
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR = 442

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

libc = ctypes.CDLL(None, use_errno=True)


class MountAttributes(ctypes.Structure):
    """``struct mount_attr`` of mount_setattr(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def checked(result: int, what: str) -> int:
    """Turn a failed call into an OSError that names it."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Attach a file system or a bind; the error names both places."""
    call = libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    checked(call, f"mount {source} on {target}")


def bind(source: str, target: str, writable: bool) -> None:
    """Show a file or directory, with what is mounted below it, at another place."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            open(target, "w").close()
    mount(source, target, "", MS_BIND | MS_REC)
    if not writable:
        attributes = MountAttributes(attr_set=MOUNT_ATTR_RDONLY)
        call = libc.syscall(
            SYS_MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, ctypes.byref(attributes),
            ctypes.sizeof(attributes),
        )  # fmt: skip
        checked(call, f"make {target} read-only")


def build_root(spec: dict[str, object]) -> None:
    """Put the program's file system together below ``root`` and make it the root."""
    root = str(spec["root"])
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for path, target in spec["links"]:  # type: ignore[attr-defined]
        os.symlink(target, root + path)
    for path in spec["directories"]:  # type: ignore[attr-defined]
        os.makedirs(root + path, exist_ok=True)
    binds: list[tuple[str, str, bool]] = spec["binds"]  # type: ignore[assignment]
    system = [entry for entry in binds if entry[1].count("/") == 1 and entry[0] == entry[1]]
    for source, target, writable in system:
        bind(source, root + target, writable)
    for path in spec["hidden"]:  # type: ignore[attr-defined]
        os.makedirs(root + path, exist_ok=True)
        mount("tmpfs", root + path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for source, target, writable in (entry for entry in binds if entry not in system):
        bind(source, root + target, writable)
    make_dev(root + "/dev")
    os.makedirs(root + "/proc", exist_ok=True)
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    old = root + "/.old"
    os.mkdir(old)
    call = libc.syscall(SYS_PIVOT_ROOT[platform.machine()], root.encode(), old.encode())
    checked(call, f"pivot_root to {root}")
    os.chdir("/")
    checked(libc.umount2(b"/.old", MNT_DETACH), "umount the old root")
    os.rmdir("/.old")


def make_dev(dev: str) -> None:
    """A /dev with the devices that every program may use, and its own /dev/shm."""
    os.makedirs(dev, exist_ok=True)
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=0755")
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            bind(f"/dev/{name}", f"{dev}/{name}", True)
    os.mkdir(f"{dev}/shm")
    os.chmod(f"{dev}/shm", 0o1777)  # noqa: S103 - what every /dev/shm has
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        os.symlink(f"/proc/self/fd{target}", f"{dev}/{name}")


def raise_loopback() -> None:
    """Let a program without a network at least talk to itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def main(spec: dict[str, object], command: list[str]) -> int:
    """Enter the namespaces, run the command as their process 1, return its exit code."""
    user, group = os.geteuid(), os.getegid()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS
    checked(libc.unshare(flags if spec["network"] else flags | CLONE_NEWNET), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{spec['user']} {user} 1"),
        ("gid_map", f"{spec['user']} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    alive_read, alive_write = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(alive_write)
        try:
            become_first(spec, command, alive_read)
        except OSError as error:
            os.write(2, f"sagemaker-local: cannot make the sandbox: {error.strerror}\n".encode())
        os._exit(1)
    os.close(alive_read)
    _, status = os.waitpid(first, 0)
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def become_first(spec: dict[str, object], command: list[str], alive: int) -> None:
    """Be process 1: bound to the parent's life, in the new root, then the command."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_blocking(alive, False)
    try:
        if os.read(alive, 1) == b"":
            os._exit(1)  # the parent was gone before the line above
    except BlockingIOError:
        pass
    os.setsid()
    if not spec["network"]:
        raise_loopback()
    build_root(spec)
    socket.sethostname(str(spec["host_name"]))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execv(command[0], command)  # noqa: S606 - init, with the program after it


if __name__ == "__main__":
    try:
        sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
    except OSError as error:
        sys.exit(f"sagemaker-local: cannot make the sandbox: {error.strerror}")
