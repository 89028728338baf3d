"""A triggerer in small: follows one job's log into a trigger's log file until it has ended, or is killed.

Usage: log_probe.py URL GROUP STREAM_PREFIX LAST_LINE FOLDER NUMBER
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiobotocore.session import get_session  # type: ignore[import-untyped]

from airflow_sagemaker.triggers.log_place import LogPlace
from airflow_sagemaker.triggers.log_stream import JobLog, XComCursor

TI = SimpleNamespace(dag_id="dag", run_id="run", task_id="train", map_index=-1, try_number=1)


def logs_client(url: str) -> AbstractAsyncContextManager[Any]:
    """An aiobotocore client of the server."""
    context: AbstractAsyncContextManager[Any] = get_session().create_client(
        "logs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    return context


class FileCursor(XComCursor):
    """The cursor in a file where Airflow has an XCom; the task's log is read back as Airflow writes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(TI)
        self.path = path

    async def load(self) -> Any:
        """What was saved."""
        return json.loads(self.path.read_text()) if self.path.exists() else None

    async def save(self, value: Any, limit_s: float = 0) -> bool:
        """Save it at once or not at all."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(value))
        new.replace(self.path)
        return True


async def follow(url: str, group: str, prefix: str, last: str, folder: Path, number: str) -> None:
    """Write a line of JSON for every line, as the triggerer's supervisor does."""
    os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = str(folder)
    log_folder = folder / "dag_id=dag" / "run_id=run" / "task_id=train"
    log_folder.mkdir(parents=True, exist_ok=True)
    ended = asyncio.Event()
    with (log_folder / f"attempt=1.log.trigger.{number}.log").open("ab", buffering=0) as file:

        def write(line: str) -> None:
            at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            file.write(json.dumps({"timestamp": at, "level": "info", "event": line}).encode() + b"\n")
            if line.endswith(f" {last}"):
                ended.set()

        async with JobLog(
            LogPlace(group, prefix),
            aws_conn_id="aws",
            region_name=None,
            poll_interval_s=0.2,
            write=write,
            cursor=FileCursor(folder / "cursor.json"),
            open_client=lambda: logs_client(url),
        ) as log:
            await ended.wait()
            await log.finish()


if __name__ == "__main__":
    server, log_group, prefix, last_line, home, own_number = sys.argv[1:]
    asyncio.run(follow(server, log_group, prefix, last_line, Path(home), own_number))
