"""A job's lines in its task's log, while triggerers are stopped and killed under it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from demo import aws
from demo.airflow_api import AirflowApiError
from demo.runs import RunRecord
from tests.faults import breakage
from tests.faults.task_page import BROWSER, task_page
from tests.running_stack import House

GROUP = "/aws/sagemaker/TrainingJobs"
TICK = re.compile(r"\[algo-1\] tick (\d+)")
NEWER = """
newest => [...document.body.innerText.matchAll(/\\[algo-1\\] tick (\\d+)/g)]
  .some(found => Number(found[1]) > newest)
"""
SECONDS = 3000
"""Longer than three triggerers and a browser take to start, on any machine: the test ends it."""


class Job:
    """The training job of a run, which prints what this writes into its stream."""

    def __init__(self, house: House, run: RunRecord) -> None:
        self.house, self.run = house, run
        self.logs = aws.client("logs", house.stack.sagemaker_url)
        self.stream = eventually(self._find, "the job's log stream")
        self.ticks = 0

    def _find(self) -> str | None:
        pages = self.logs.get_paginator("describe_log_streams").paginate(
            logGroupName=GROUP, logStreamNamePrefix="fault-training"
        )
        names = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        mine = [name for name in names if name not in OTHERS]
        return mine[-1] if mine else None

    @contextmanager
    def printing(self) -> Iterator[None]:
        """Print twenty lines a second meanwhile."""
        ended = threading.Event()
        thread = threading.Thread(target=self._print, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _print(self, ended: threading.Event) -> None:
        while not ended.wait(0.25):
            now_ms = int(time.time() * 1000)
            lines = range(self.ticks, self.ticks + 5)
            events = [{"timestamp": now_ms, "message": f"tick {number}"} for number in lines]
            self.logs.put_log_events(logGroupName=GROUP, logStreamName=self.stream, logEvents=events)
            self.ticks += 5

    def close(self) -> None:
        """Let the program end."""
        breakage.enough(self.house, self.stream.partition("/")[0])

    def logged(self) -> list[int]:
        """Numbers of the lines in the log files of every triggerer, in their order of time."""
        folder = self.house.stack.settings.home / "airflow" / "logs"
        entries: list[tuple[str, str]] = []
        for path in folder.glob(f"dag_id={self.run.dag_id}/run_id={self.run.run_id}/*/*.trigger.*.log"):
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:  # cut off by the kill
                    continue
                entries.append((entry["timestamp"], str(entry["event"])))
        found = [TICK.fullmatch(event) for _, event in sorted(entries, key=lambda entry: entry[0])]
        return [int(match[1]) for match in found if match]

    def wait_for_more(self) -> None:
        """Until lines that are printed from now on are in the log."""
        ticks = self.ticks
        eventually(lambda: max(self.logged(), default=-1) > ticks, f"line {ticks} in the log")


OTHERS: set[str] = set()


def xcom(house: House, run: RunRecord, key: str) -> Any:
    """What the waiting task shows; None while it does not."""
    try:
        return house.api.xcom(run.dag_id, run.run_id, "step", key)
    except AirflowApiError:
        return None


def eventually(found: Any, what: str, timeout_s: float = 300) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := found()):
        if time.monotonic() > deadline:
            pytest.fail(f"no {what} in {timeout_s} s")
        time.sleep(0.3)
    return value


def look(house: House, run: RunRecord) -> None:
    """What a person sees of it: it waits, its lines come while they look, and a link leads to its output."""
    with task_page(house, run, "step") as page:
        page.get_by_text("Deferred").first.wait_for()
        first = page.get_by_text(re.compile(r"\[algo-1\] tick \d+")).first
        first.wait_for()
        before = page.inner_text("body")
        newest = max(int(number) for number in TICK.findall(before))
        page.wait_for_function(NEWER, arg=newest)
        page.goto(page.url.partition("?")[0] + "/details")
        page.get_by_text("Job output").first.wait_for()


def test_lines_come_once_through_three_triggerers_and_progress_is_seen(postgresql_house: House) -> None:
    house = postgresql_house
    groups = aws.client("logs", house.stack.sagemaker_url)
    if groups.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
        pages = groups.get_paginator("describe_log_streams").paginate(logGroupName=GROUP)
        OTHERS.update(stream["logStreamName"] for page in pages for stream in page["logStreams"])
    else:
        groups.create_log_group(logGroupName=GROUP)
    run = RunRecord("fault_training", house.api.trigger("fault_training", conf={"seconds": SECONDS}))
    job = Job(house, run)
    with closing(job), job.printing():
        job.wait_for_more()
        house.stack.stop_service("triggerer")
        house.stack.start_service("triggerer")
        job.wait_for_more()
        house.stack.kill_service("triggerer")
        house.stack.start_service("triggerer")
        job.wait_for_more()
        progress = eventually(lambda: xcom(house, run, "progress"), "progress")
        cursor = eventually(lambda: xcom(house, run, "log_cursor"), "cursor")
        if BROWSER is not None:
            look(house, run)
    ended = house.follow(run)
    assert ended.state == "success"
    assert progress["status"] == "InProgress"
    assert set(cursor["streams"]) == {job.stream}
    # The triggerer may end the task before it has written its last lines.
    eventually(lambda: len(job.logged()) >= job.ticks, f"line {job.ticks - 1} in the log")
    assert job.logged() == list(range(job.ticks))
