"""Prints a pip.conf for an image: what of this machine's pip configuration holds elsewhere too.

Indexes and hosts with an address do; folders and files of this machine do not. Run by ``scripts/docker_base``
with whatever Python there is: standard library only.
"""

from __future__ import annotations

import ast
import subprocess
import sys

OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host", "timeout", "proxy")


def elsewhere(option: str, value: str) -> str:
    """The parts of a value that hold on another machine."""
    if option in ("index-url", "extra-index-url", "find-links"):
        return " ".join(each for each in value.split() if each.startswith(("http://", "https://")))
    return value


def main() -> int:
    """Read ``pip config list``, print a file."""
    try:
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0  # no pip, so nothing was configured
    found: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, quoted = line.partition("=")
        option = name.rpartition(".")[2]
        if option in OPTIONS and (value := elsewhere(option, str(ast.literal_eval(quoted)))):
            found[option] = value
    if found:
        print("[global]", *(f"{option} = {value}" for option, value in found.items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
