"""Package indexes that an image asks for beyond the machine's own, left out where they are of no use.

An index that does not answer would fail the whole installation, and one for CPU builds would hide the builds
that a GPU needs.
"""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

from sagemaker_local.executors.base import LineSink

ANSWER_TIMEOUT_S = 5.0
CPU_BUILDS = "/whl/cpu"
"""How PyTorch's index of builds without CUDA ends: https://pytorch.org/get-started/locally/."""


def usable(options: Sequence[str], log: LineSink) -> list[str]:
    """Those that can be honoured here, as words of a command line; the log names the others."""
    words = []
    for option in options:
        name, _, value = option.partition(" ")
        reason = _why_not(value) if name != "--trusted-host" else None
        if reason:
            log(f"sagemaker-local: goes on without {option}: {reason}")
        else:
            words += [name, value]
    return words


def _why_not(address: str) -> str | None:
    parts = urlsplit(address)
    if parts.path.rstrip("/").endswith(CPU_BUILDS) and shutil.which("nvidia-smi"):
        return "this machine has a GPU"
    if parts.scheme in ("http", "https") and not answers(address):
        return "it does not answer"
    return None


def answers(address: str) -> bool:
    """Whether a server answers there, whatever it says; proxies are honoured."""
    try:
        urllib.request.urlopen(address, timeout=ANSWER_TIMEOUT_S).close()  # noqa: S310 - the scheme was checked
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True
