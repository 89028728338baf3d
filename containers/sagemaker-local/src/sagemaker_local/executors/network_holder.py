"""Holds a network that nothing leads out of, for the hosts of one isolated job.

Run by path with a bare interpreter (``python -I -S network_holder.py``), standard library only. Makes a user
and a network namespace with nothing but a loopback interface, prints ``ready``, and holds them until its
standard input ends: when the last host has left, or the server is gone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from sagemaker_local.executors import namespace


def main() -> int:
    """Make the namespaces and wait."""
    user, group = os.geteuid(), os.getegid()
    call = namespace.libc.unshare(namespace.CLONE_NEWUSER | namespace.CLONE_NEWNET)
    namespace.checked(call, "unshare")
    maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, text in maps.items():
        Path("/proc/self", name).write_text(text)
    namespace.raise_loopback()
    os.write(1, b"ready\n")
    while os.read(0, 1):
        pass
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"sagemaker-local: cannot make a network for the job: {error.strerror}")
