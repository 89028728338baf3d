"""One round of load by wrk: a closed loop of connections that post the same body."""

from __future__ import annotations

import json
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_suffix(".lua")
# A request that takes longer is counted as an error.
TIMEOUT_S = 10


@dataclass(frozen=True)
class Load:
    """What one round found.

    Attributes:
        requests_per_s: Answers below 400 only.
        errors: Answers of 400 and above, and connections that failed, broke or timed out.
        own_cpu: Cores that wrk itself kept busy.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    own_cpu: float


def load(
    wrk: list[str], url: str, body: Path, content_type: str, *, connections: int, seconds: float
) -> Load:
    """Keep so many connections busy for so long."""
    options = ["-t1", f"-c{connections}", f"-d{_duration(seconds)}"]
    options += [f"--timeout={TIMEOUT_S}s", f"--script={SCRIPT}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*wrk, *options, url, "--", str(body), content_type],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"wrk failed on {url}: {done.stdout[-500:]}{done.stderr[-500:]}")
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return read(done.stdout, used_s)


def read(printed: str, used_s: float) -> Load:
    """The figures of the line that the script prints last."""
    found: dict[str, int] = json.loads(printed.strip().splitlines()[-1])
    took_s = found["took_us"] / 1e6
    return Load(
        requests_per_s=(found["requests"] - found["status"]) / took_s,
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        errors=sum(found[kind] for kind in ("status", "connect", "read", "write", "timeout")),
        own_cpu=used_s / took_s,
    )


def _duration(seconds: float) -> str:
    """wrk takes whole seconds only."""
    return f"{max(1, round(seconds))}s"
