"""Environments and programs of peers, made on demand below ``build/bench`` and kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.machine import ROOT

FOLDER = ROOT / "build" / "bench"
UV = ROOT / "build" / "uv" / "uv"
PACKAGES = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common", "nginx")
INSTALL_WITHIN_S = 600.0


class Unavailable(Exception):
    """A peer or a program cannot be had on this machine; the text says why."""


def environment(name: str, requirements: Path) -> Path:
    """The folder of an environment with pinned packages; made once for each text of its requirements."""
    folder = FOLDER / "env" / name
    stamp = folder / ".requirements.sha256"
    wanted = hashlib.sha256(f"{sys.version}\n{requirements.read_text()}".encode()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return folder
        print(f"environment of {name}: {requirements.read_text().count('==')} packages", flush=True)
        _uv(name, "venv", "--clear", "--python", sys.executable, str(folder))
        _uv(name, "pip", "sync", "--compile-bytecode", str(requirements), environment_folder=folder)
        stamp.write_text(wanted)
    return folder


def _uv(name: str, *arguments: str, environment_folder: Path | None = None) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    if environment_folder is not None:
        environment["VIRTUAL_ENV"] = str(environment_folder)
    try:
        done = subprocess.run(
            [UV, *arguments, "--quiet"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"uv could not install it ({error})") from None
    if done.returncode:
        raise Unavailable(f"uv could not install {name}: {done.stderr.strip()[-300:]}")


def program(name: str) -> list[str]:
    """The command of a Debian program, installed or unpacked here: that needs no root and starts nothing."""
    installed = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if installed:
        return [installed]
    folder = FOLDER / "debian"
    if not (folder / ".done").exists():
        _unpack(PACKAGES, folder)
    found = next(
        (path for path in (folder / "usr/bin" / name, folder / "usr/sbin" / name) if path.exists()), None
    )
    if found is None:
        raise Unavailable(f"Debian's packages {', '.join(PACKAGES)} hold no {name}")
    libraries = ":".join(str(path) for path in (folder / "usr/lib").glob("*-linux-gnu*"))
    return ["/usr/bin/env", f"LD_LIBRARY_PATH={libraries}", str(found)]


def _unpack(packages: Iterable[str], folder: Path) -> None:
    if shutil.which("apt-get") is None:
        raise Unavailable(f"not on PATH, and there is no apt-get to fetch it: install {', '.join(packages)}")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "download", "--quiet", *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_WITHIN_S)
    if done.returncode and os.geteuid() == 0:  # a fresh machine has no lists yet
        subprocess.run(["apt-get", "update", "--quiet"], capture_output=True, timeout=INSTALL_WITHIN_S)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_WITHIN_S)
    if done.returncode:
        raise Unavailable(f"apt-get download failed: {done.stderr.strip()[-300:]}")
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", archive, folder], check=True, capture_output=True)
    (folder / ".done").touch()
