"""What tells a task that goes on from one that was started anew."""

from __future__ import annotations

import pytest

from airflow_sagemaker.task_record import Asked, Start, TaskRecord
from tests.unit.plugins.airflow_sagemaker.fake_aws import Store

EARLIER = Start(max_tries=3, retries=3, try_number=1)


@pytest.mark.parametrize(
    ("later", "same"),
    [
        (Start(max_tries=3, retries=3, try_number=2), True),
        (Start(max_tries=3, retries=3, try_number=2, clear_number=1), True),
        (Start(max_tries=3, retries=1, try_number=2), True),
        (Start(max_tries=3, retries=9, try_number=2, clear_number=1), True),
        (Start(max_tries=4, retries=3, try_number=2, clear_number=1), False),
        (Start(max_tries=10, retries=9, try_number=2, clear_number=1), False),
        (Start(max_tries=3, retries=2, try_number=2, clear_number=1), False),
        (Start(max_tries=5, retries=2, try_number=4, clear_number=3), False),
    ],
    ids=[
        "a retry, or a lost worker",
        "a lost worker, and another task of the run was cleared",
        "fewer retries in the file",
        "more retries in the file, and another task of the run was cleared",
        "cleared",
        "cleared, with more retries",
        "cleared, with one retry less, which gives the same sum",
        "cleared more than once",
    ],
)
def test_a_start_is_known_again(later: Start, same: bool) -> None:
    assert later.is_same_as(EARLIER) is same


def test_what_was_written_is_read_again() -> None:
    record = TaskRecord(Store(), "key")
    start = Start(max_tries=4, retries=2, try_number=3, clear_number=1)
    asked = Asked("name", "work", 1, start, start.new_tag())
    record.write(asked, more="details")
    assert record.read() == asked
    assert record.details()["more"] == "details"


@pytest.mark.parametrize("found", [None, "text", {"name": "of another release"}, {"name": 1, "start": 2}])
def test_what_nobody_here_wrote_says_nothing(found: object) -> None:
    store = Store()
    if found is not None:
        store["key"] = found
    assert TaskRecord(store, "key").read() is None


def test_a_run_made_again_under_its_id_has_another_tag() -> None:
    first = Start(max_tries=2, try_number=1)
    tags = {first.new_tag(), first.new_tag()}
    assert len(tags) == 2
    assert not any(first.may_have(tag) for tag in tags)
    assert all(Start(max_tries=2, try_number=2).may_have(tag) for tag in tags)
    assert not any(Start(max_tries=3, try_number=2).may_have(tag) for tag in tags)
