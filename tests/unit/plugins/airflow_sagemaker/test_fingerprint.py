from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.fingerprint import (
    FINGERPRINT_TAG,
    OWNER_TAG,
    fingerprint,
    ownership_tags,
    tag_list,
    tag_value,
)
from airflow_sagemaker.names import TaskIdentity

TAG_VALUE = re.compile(r"[\w\s.:/=+\-@]{0,256}")


def test_the_order_of_keys_does_not_matter_and_every_value_does() -> None:
    one = fingerprint("CreateTrainingJob", {"a": 1, "b": {"c": 2, "d": [1, 2]}})
    assert one == fingerprint("CreateTrainingJob", {"b": {"d": [1, 2], "c": 2}, "a": 1})
    assert one != fingerprint("CreateTrainingJob", {"b": {"d": [2, 1], "c": 2}, "a": 1})
    assert one != fingerprint("CreateProcessingJob", {"a": 1, "b": {"c": 2, "d": [1, 2]}})


@given(st.text(max_size=400))
def test_every_tag_value_is_one_that_aws_accepts(text: str) -> None:
    assert TAG_VALUE.fullmatch(tag_value(text))


def test_a_job_carries_its_owner_and_its_work() -> None:
    identity = TaskIdentity("d", "manual~1", "t", 3)
    tags = ownership_tags(identity, "f" * 64, "2")
    assert tags[OWNER_TAG] == identity.digest
    assert tags[FINGERPRINT_TAG] == "f" * 64
    assert tags["airflow:run_id"] == "manual_1"
    assert tags["airflow:map_index"] == "3"
    assert "airflow:map_index" not in ownership_tags(TaskIdentity("d", "r", "t"), "f", "0")
    assert {"Key": OWNER_TAG, "Value": identity.digest} in tag_list(tags)
