"""The truth table of docs/exactly-once.md, cell by cell, for every kind of job."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from airflow_sagemaker.errors import ForeignResourceError, JobFailedError, ThrottledError
from airflow_sagemaker.fingerprint import OWNER_TAG
from airflow_sagemaker.kinds import KINDS, JobKind
from airflow_sagemaker.names import UNMAPPED, TaskIdentity
from airflow_sagemaker.task_record import Start
from tests.unit.plugins.airflow_sagemaker.fake_aws import BODY, FakeAws, Store, submission

PAGE = Path(__file__).parents[4] / "docs" / "exactly-once.md"
RETRIES = 2


@dataclass(frozen=True)
class Situation:
    """What happened between the try that made the job and this one."""

    later: Start
    map_index: int = UNMAPPED
    store_survives: bool = True


BEFORE = Start(max_tries=RETRIES, retries=RETRIES, try_number=1)
SAME_START = Start(max_tries=RETRIES, retries=RETRIES, try_number=2)
CLEARED = Start(max_tries=1 + RETRIES, retries=RETRIES, try_number=2, clear_number=1)

SITUATIONS = {
    "First try": Situation(BEFORE, store_survives=False),
    "Worker lost": Situation(SAME_START),
    "Retry after failure": Situation(SAME_START),
    "Cleared task": Situation(CLEARED),
    "Cleared run": Situation(CLEARED),
    "Backfill reprocess": Situation(CLEARED),
    "Mapped task, worker lost": Situation(SAME_START, map_index=3),
}
STATUSES = {
    "alive, ours": "InProgress",
    "completed, ours": "Completed",
    "failed passingly, ours": "Failed",
    "failed for good, ours": "Failed",
    "stopped, ours": "Stopped",
    "describe throttled": "InProgress",
}
"""Of the job of an earlier try."""


def table() -> dict[tuple[str, str], str]:
    section = PAGE.read_text().split("## The truth table")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|") and not re.fullmatch(r"[|\-]+", line)
    ]
    head, *body = rows
    return {(row[0], column): cell for row in body for column, cell in zip(head[1:], row[1:], strict=True)}


TABLE = table()


def test_the_table_names_every_case_and_no_other() -> None:
    found = {"no job", "foreign", *STATUSES}
    assert set(TABLE) == {(row, column) for row in found for column in SITUATIONS}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kept", [True, False], ids=["state store kept", "state store lost"])
@pytest.mark.parametrize("case", TABLE, ids=" / ".join)
def test_the_code_does_what_the_table_says(case: tuple[str, str], kept: bool, kind: JobKind) -> None:
    found, column = case
    situation = SITUATIONS[column]
    task = TaskIdentity("d", "r", "t", situation.map_index)
    aws, store = FakeAws(), Store()
    sibling = submission(aws, Store(), BEFORE, kind, TaskIdentity("d", "r", "t", 7)).submit(BODY, {}).name

    earlier = None
    if found in STATUSES:
        earlier = submission(aws, store, BEFORE, kind, task).submit(BODY, {}).name
        aws.end(earlier, STATUSES[found])
    elif found == "no job" and situation.store_survives:  # the worker was lost just before Create
        aws.die = {"before create"}
        with pytest.raises(BaseException):  # noqa: B017
            submission(aws, store, BEFORE, kind, task).submit(BODY, {})
    if not (kept and situation.store_survives):
        store.clear()

    this = submission(aws, store, situation.later, kind, task)
    if found == "failed for good, ours":
        this = replace(this, failed_for_good=lambda described: JobFailedError(str(described), "a bug", ""))
    if found == "foreign":
        aws.put(kind, this.name(0), "InProgress", {OWNER_TAG: "somebody else"})
    aws.die = {"throttle describe"} if found == "describe throttled" else set()
    aws.calls.clear()
    jobs_before = set(aws.jobs)

    assert outcome(lambda: this.submit(BODY, {}).adopted, aws, earlier) == TABLE[case]

    made = set(aws.jobs) - jobs_before
    assert len(made) <= 1
    assert sibling in aws.alive
    assert sibling not in aws.stopped
    mine = [name for name in aws.alive if aws.jobs[name]["tags"][OWNER_TAG] == task.digest]
    assert len(mine) <= 1
    if found == "describe throttled":
        aws.die = set()
        assert made == set()
        again = submission(aws, store, situation.later, kind, task)
        expected = TABLE["alive, ours", column]
        assert outcome(lambda: again.submit(BODY, {}).adopted, aws, earlier) == expected


def outcome(submit: object, aws: FakeAws, earlier: str | None) -> str:
    """In the words of the table."""
    assert callable(submit)
    try:
        adopted = submit()
    except ForeignResourceError:
        return "refuse" if not aws.stopped else "stop, refuse"
    except ThrottledError:
        return "fail the try"
    except JobFailedError:
        return "fail the task"
    if adopted:
        return "adopt"
    following = "create next" if earlier else "create"
    return f"stop, {following}" if aws.stopped else following
