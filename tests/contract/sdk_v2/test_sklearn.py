"""scikit-learn in script mode by the SDK 2.x."""

from __future__ import annotations

from tests.contract.sdk_v2.conftest import Client


def test_a_script_is_trained_deployed_and_applied_to_a_batch(client: Client) -> None:
    found = client("sklearn_estimator")
    assert found["status"] == "Completed"
    assert found["metrics"]["train:accuracy"] > 0.9
    assert found["csv"] == found["json"] == found["batch"] == found["again"]
    assert sum(one == other for one, other in zip(found["csv"], found["labels"], strict=True)) >= 4
    # The toolkit's own words: arguments, requirements.txt and dependencies arrived; logs="All" shows it.
    assert '1.0 million; two words; hosts ["algo-1"]' in found["output"]
    assert "Reporting training SUCCESS" in found["output"]


def test_processors_run_a_script_of_this_machine(client: Client) -> None:
    found = client("sklearn_processor")
    assert found["counts"] == {"sklearn": {"train": 90, "test": 30}, "script": {"train": 90, "test": 30}}
    assert "rows 120 scikit-learn" in found["output"]
