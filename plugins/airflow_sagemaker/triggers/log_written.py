"""What a task's log on this host already holds: a killed triggerer could not save how far it had read.

Airflow writes the log of each triggerer to ``<log of the try>.trigger.<id>.log``, a JSON object a line
(``airflow/jobs/triggerer_job_runner.py``, ``TriggerLoggingFactory``).
On another host there is nothing to find.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.utils.helpers import log_filename_template_renderer

log = logging.getLogger(__name__)

TAIL_BYTES = 8 * 1024 * 1024
"""More is hardly written between two saves of a cursor."""


def lines_written(task_instance: Any, since: str) -> Counter[int]:
    """Hashes of the lines that triggers of this try wrote after a time (ISO 8601, UTC), and how often."""
    found: Counter[int] = Counter()
    if task_instance is None:
        return found
    try:
        for path in _trigger_logs(task_instance):
            found += _lines_after(path, since)
    except Exception as error:  # whatever it is, the price is a line or two twice
        log.debug("The task's own log could not be read back: %r", error)
    return found


def _trigger_logs(task_instance: Any) -> list[Path]:
    relative = log_filename_template_renderer()(ti=task_instance)
    path = Path(conf.get("logging", "base_log_folder")) / f"{relative}.trigger."
    return sorted(each for each in path.parent.glob("*.log") if each.name.startswith(path.name))


def _lines_after(path: Path, since: str) -> Counter[int]:
    found: Counter[int] = Counter()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - TAIL_BYTES, 0))
        for line in file:
            try:
                entry = json.loads(line)
                if entry["timestamp"] > since:
                    found[hash(entry["event"])] += 1
            except (ValueError, KeyError, TypeError):  # cut off, by us or by the kill
                continue
    return found
