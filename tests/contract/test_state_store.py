"""What Airflow itself keeps of a task when, and that the plugin reads it right (docs/exactly-once.md).

Airflow's own models, on a database of the test's own: when a release of Airflow changes any of this, it is
said here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.task_record import Start

PROBE = Path(__file__).with_name("state_store_probe.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By scenario: the start before, the start of the next try after, and what the state store holds."""
    home = tmp_path_factory.mktemp("airflow")
    done = subprocess.run(
        [sys.executable, str(PROBE)],
        capture_output=True,
        text=True,
        env={**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("scenario", "same_start", "kept"),
    [
        ("retry", True, True),
        ("other_task_cleared_and_worker_lost", True, True),
        ("fewer_retries_in_the_file", True, True),
        ("expired", True, False),
        ("cleared_while_running_and_worker_lost", True, True),  # the one that nothing tells
        ("cleared", False, True),
        ("cleared_while_waiting_for_its_retry", False, True),
        ("run_cleared", False, True),
        ("cleared_while_running", False, True),
        ("cleared_with_one_retry_less", False, True),
        ("marked_success_then_cleared", False, True),
        ("marked_success_then_cleared_with_clear_on_success", False, False),
    ],
)
def test_a_clear_is_told_from_a_lost_worker(
    seen: dict[str, Any], scenario: str, same_start: bool, kept: bool
) -> None:
    before, after = start(seen[scenario]["before"]), start(seen[scenario]["after"])
    assert after.is_same_as(before) is same_start, seen[scenario]
    assert after.try_number == before.try_number + 1
    assert seen[scenario]["after"]["kept"] == (scenario if kept else None)


@pytest.mark.parametrize(
    ("scenario", "same_start"),
    [("expired", True), ("marked_success_then_cleared_with_clear_on_success", False)],
)
def test_where_the_store_is_silent_the_tag_of_a_job_tells(
    seen: dict[str, Any], scenario: str, same_start: bool
) -> None:
    tag = start(seen[scenario]["before"]).new_tag()
    assert start(seen[scenario]["after"]).may_have(tag) is same_start


def test_a_run_that_is_made_again_under_its_id_is_another_one(seen: dict[str, Any]) -> None:
    scenario = seen["run_deleted_and_made_again"]
    after = start(scenario["after"])
    assert scenario["after"]["kept"] is None
    assert after.try_number == 1
    assert not after.may_have(start(scenario["before"]).new_tag())


def start(observed: dict[str, Any]) -> Start:
    return Start(**{field: value for field, value in observed.items() if field != "kept"})
