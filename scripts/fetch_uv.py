"""Put a pinned uv into a folder, with whatever this Python has: venv, pip, or the standard library alone.

Run by ``scripts/bootstrap`` before any environment exists, so: standard library only, and old Pythons too.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

VERSION = "0.13.8"
FILES = "https://files.pythonhosted.org/packages/"
WHEELS = {
    "x86_64": (
        "c5/32/52ee34636aea1ab3f8baeeae1c3599461b8cddfb379862cc72ac61b8d91c/"
        "uv-0.13.8-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    ),
    "aarch64": (
        "80/ce/f5eba24d8ec7fa566f9d50d1a69dbf9510137c30366b9f16dbeaf9b9dae4/"
        "uv-0.13.8-py3-none-manylinux_2_28_aarch64.whl",
        "5337c30bb893b4f9ce0ceb921ba2da0d13f649da644f40ad3bef84083bef0203",
    ),
}
"""Path below FILES and sha256 of uv's wheel on PyPI, by machine."""


class FetchError(Exception):
    """One way of getting uv does not work here."""


def by_venv(folder: Path) -> Path:
    """Install uv with pip in a virtual environment of its own (needs Debian's python3-venv)."""
    run(sys.executable, "-m", "venv", str(folder))
    run(str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "uv==" + VERSION)
    return folder / "bin" / "uv"


def by_pip(folder: Path) -> Path:
    """Install uv with this Python's own pip, beside everything else."""
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "uv==" + VERSION)
    return folder / "bin" / "uv"


def by_download(folder: Path) -> Path:
    """Take the program out of the wheel on PyPI; works without venv and pip."""
    machine = platform.machine()
    if machine not in WHEELS:
        raise FetchError("no wheel of uv is pinned for " + machine)
    path, sha256 = WHEELS[machine]
    bundle = os.environ.get("SSL_CERT_FILE")
    try:
        context = ssl.create_default_context(cafile=bundle)
        with urllib.request.urlopen(FILES + path, timeout=120, context=context) as answer:  # noqa: S310 (https)
            wheel = answer.read()
    except OSError as error:
        raise FetchError(f"{FILES + path}: {error}") from error
    found = hashlib.sha256(wheel).hexdigest()
    if found != sha256:
        raise FetchError(f"{path} has sha256 {found}, expected {sha256}")
    program = folder / "bin" / "uv"
    program.parent.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        program.write_bytes(archive.read(f"uv-{VERSION}.data/scripts/uv"))
    program.chmod(0o755)
    return program


def run(*command: str) -> None:
    """Run quietly; its last line of complaint becomes the error."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise FetchError(f"{command[0]}: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise FetchError(" ".join(command[:4]) + ": " + lines[-1])


def main() -> int:
    """Fetch uv to the file named by the first argument, or explain every way that failed."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    refusals = []
    for way in (by_venv, by_pip, by_download):
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            try:
                program = way(Path(folder) / "uv")
                run(str(program), "--version")
            except FetchError as error:
                refusals.append(f"  {way.__name__}: {error}")
                continue
            part = target.with_name(target.name + ".part")
            shutil.copy2(program, part)
            part.replace(target)
            return 0
    print("uv cannot be had:", *refusals, sep="\n", file=sys.stderr)
    print("Install it yourself (https://docs.astral.sh/uv/) and run make again.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
