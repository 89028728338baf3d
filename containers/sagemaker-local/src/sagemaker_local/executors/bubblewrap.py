"""The preferred sandbox: bubblewrap, which needs no root and no daemon.

Own mount, PID, IPC, UTS and user namespaces; the host's system directories read-only; a fresh root
otherwise, so that /opt, /home, /tmp hold only what the image and the job put there. The network is the
host's, so that model servers can be reached on the port that ``SAGEMAKER_BIND_TO_PORT`` says; only isolated
jobs have none.

Source: https://github.com/containers/bubblewrap
"""

from __future__ import annotations

import shutil

from sagemaker_local.executors.container import USER_ID, Container
from sagemaker_local.executors.local import LocalExecutor
from sagemaker_local.executors.root_view import FRESH, links, visible_directories


class BubblewrapExecutor(LocalExecutor):
    """Programs in bubblewrap sandboxes."""

    name = "bubblewrap"

    def sandbox(self, container: Container) -> list[str]:
        """The bwrap command line up to and including ``--``."""
        # By its full path: the program's own PATH, with which it is started, need not lead there.
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise FileNotFoundError("bwrap is not installed (Debian and Ubuntu: apt-get install bubblewrap)")
        command = [
            bwrap, "--unshare-user", "--uid", str(USER_ID), "--gid", str(USER_ID),
            "--unshare-pid", "--unshare-ipc",
            "--unshare-uts", "--hostname", container.host_name, "--unshare-cgroup-try",
            "--die-with-parent", "--new-session", "--as-pid-1",
        ]  # fmt: skip
        command += [] if container.network else ["--unshare-net"]
        for link, target in links():
            command += ["--symlink", target, link]
        for directory in visible_directories():
            command += ["--ro-bind", directory, directory]
        command += ["--proc", "/proc", "--dev", "/dev"]
        for name in FRESH:
            command += ["--dir", f"/{name}"]
        for path in self.hidden:
            command += ["--tmpfs", str(path)] if path.exists() else []
        for mount in container.mounts:
            command += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
        # Last, because some of them may lie below a place that was just covered, such as /tmp.
        for path in container.needed:
            command += ["--ro-bind", str(path), str(path)]
        return [*command, "--"]
