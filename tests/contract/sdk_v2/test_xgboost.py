"""XGBoost as a script and as AWS's built-in algorithm by the SDK 2.x."""

from __future__ import annotations

from tests.contract.sdk_v2.conftest import Client


def test_a_script_and_the_built_in_algorithm(client: Client) -> None:
    found = client("xgboost_estimator")
    for way in ("script", "builtin"):
        assert sum(one == other for one, other in zip(found[way], found["labels"], strict=True)) >= 4, way
    assert found["json"] == found["libsvm"] == found["builtin"]
    assert found["refusal"] == 415
    # As in CloudWatch, where the tuner of AWS looks for validation:merror.
    assert "#011train-merror:" in found["output"]
    assert "#011validation-mlogloss:" in found["output"]
