"""Settings: one table of environment variables (docs/serving.md shows the same)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_serving.errors import StartError

FALSE_AND_TRUE = {"false": False, "0": False, "no": False, "true": True, "1": True, "yes": True}
ACCESS_LOGS = ("off", "errors", "all")


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable.

    Attributes:
        default: As it would stand in the environment; empty where it is found out.
        lowest: Of a whole number.
    """

    name: str
    default: str
    meaning: str
    lowest: int = 0


TABLE = (
    Setting("MODEL_SERVER_WORKERS", "", "Processes that share the port; by default one for each CPU", 1),
    Setting(
        "MODEL_SERVER_THREADS", "", "Predictions at a time in a process beside its loop; by default 1", 1
    ),
    Setting("MODEL_SERVER_PRELOAD", "true", "Load the model once, before the processes part"),
    Setting("MODEL_SERVER_INLINE_KB", "64", "Bodies up to this are answered without a thread"),
    Setting("MODEL_SERVER_INLINE_MS", "2", "As long as such answers take no more than this on average"),
    Setting("MODEL_SERVER_QUEUE", "100", "Requests that may wait in a process; more get 503 and Retry-After"),
    Setting("MODEL_SERVER_MAX_BODY_MB", "100", "Longer bodies get 413", 1),
    Setting("MODEL_SERVER_BATCH_MAX_ROWS", "0", "Rows that waiting requests are put together to; 0: never"),
    Setting("MODEL_SERVER_BATCH_WAIT_MS", "2", "How long a request waits for others to join it"),
    Setting("MODEL_SERVER_ACCESS_LOG", "errors", "Requests to log: off, errors or all"),
    Setting("MODEL_SERVER_DRAIN_S", "25", "After SIGTERM, for requests under way; AWS kills after 30", 1),
    Setting("MODEL_SERVER_KEEP_ALIVE_S", "75", "How long an idle connection stays open", 1),
    Setting("MODEL_SERVER_MODULE", "model", "Module with the functions"),
    Setting("MODEL_SERVER_COLUMNS", "", "Names, separated by commas: the model gets a DataFrame"),
    Setting("MODEL_SERVER_MAX_MODELS", "0", "Of the multi-model API; more get 507; 0: as memory allows"),
    Setting("SAGEMAKER_MULTI_MODEL", "false", "Serve the multi-model API"),
    Setting("SAGEMAKER_BIND_TO_PORT", "", "Listen on 127.0.0.1 and this port; by default on all and 8080", 1),
    Setting("SAGEMAKER_BASE_DIR", "/opt/ml", "Where `model/` and `models/` lie"),
)
BY_NAME = {setting.name: setting for setting in TABLE}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the table says, read."""

    workers: int
    threads: int
    preload: bool
    inline_bytes: int
    inline_s: float
    queue: int
    max_body_bytes: int
    batch_max_rows: int
    batch_wait_s: float
    access_log: str
    drain_s: int
    keep_alive_s: int
    module: str
    columns: tuple[str, ...]
    max_models: int
    multi_model: bool
    host: str
    port: int
    base_dir: Path

    @property
    def model_dir(self) -> Path:
        """Where the model lies."""
        return self.base_dir / "model"


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of an environment.

    Raises:
        StartError: naming the variable, its value and what it must be.
    """
    multi_model = _truth(environ, "SAGEMAKER_MULTI_MODEL")
    port = _text(environ, "SAGEMAKER_BIND_TO_PORT")
    workers = _whole(environ, "MODEL_SERVER_WORKERS", 1 if multi_model else cpus())
    if multi_model and workers != 1:
        raise StartError(
            f"MODEL_SERVER_WORKERS={workers} cannot be with SAGEMAKER_MULTI_MODEL: every process would hold "
            "models of its own; use MODEL_SERVER_THREADS"
        )
    access_log = _text(environ, "MODEL_SERVER_ACCESS_LOG")
    if access_log not in ACCESS_LOGS:
        raise StartError(f"MODEL_SERVER_ACCESS_LOG={access_log!r} must be one of {', '.join(ACCESS_LOGS)}")
    columns = _text(environ, "MODEL_SERVER_COLUMNS")
    return Settings(
        workers=workers,
        threads=_whole(environ, "MODEL_SERVER_THREADS", cpus() if multi_model else 1),
        preload=_truth(environ, "MODEL_SERVER_PRELOAD"),
        inline_bytes=_whole(environ, "MODEL_SERVER_INLINE_KB") * 1024,
        inline_s=_whole(environ, "MODEL_SERVER_INLINE_MS") / 1000,
        queue=_whole(environ, "MODEL_SERVER_QUEUE"),
        max_body_bytes=_whole(environ, "MODEL_SERVER_MAX_BODY_MB") * 1024 * 1024,
        batch_max_rows=_whole(environ, "MODEL_SERVER_BATCH_MAX_ROWS"),
        batch_wait_s=_whole(environ, "MODEL_SERVER_BATCH_WAIT_MS") / 1000,
        access_log=access_log,
        drain_s=_whole(environ, "MODEL_SERVER_DRAIN_S"),
        keep_alive_s=_whole(environ, "MODEL_SERVER_KEEP_ALIVE_S"),
        module=_text(environ, "MODEL_SERVER_MODULE"),
        columns=tuple(name.strip() for name in columns.split(",")) if columns else (),
        max_models=_whole(environ, "MODEL_SERVER_MAX_MODELS"),
        multi_model=multi_model,
        # Told a port, the network is shared with the host: stay on loopback. Else it is the container's own.
        host="127.0.0.1" if port else "0.0.0.0",
        port=_whole(environ, "SAGEMAKER_BIND_TO_PORT", 8080),
        base_dir=Path(_text(environ, "SAGEMAKER_BASE_DIR")),
    )


def cpus() -> int:
    """CPUs that this process may use: by affinity, and by the quota of its control group."""
    count = len(os.sched_getaffinity(0))
    for quota_file, period_file in (
        ("/sys/fs/cgroup/cpu.max", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        try:
            words = Path(quota_file).read_text().split()
            words += Path(period_file).read_text().split() if period_file else []
            quota, period = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0:
            return max(1, min(count, -(-quota // period)))
    return count


def _text(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip() or BY_NAME[name].default


def _whole(environ: Mapping[str, str], name: str, found_out: int = 0) -> int:
    text = _text(environ, name)
    if not text:
        return found_out
    lowest = BY_NAME[name].lowest
    if not text.isdecimal() or int(text) < lowest:
        raise StartError(f"{name}={text!r} must be a whole number of at least {lowest}")
    return int(text)


def _truth(environ: Mapping[str, str], name: str) -> bool:
    text = _text(environ, name).lower()
    if text not in FALSE_AND_TRUE:
        raise StartError(f"{name}={text!r} must be true or false")
    return FALSE_AND_TRUE[text]
