"""Own images, models made elsewhere, many models behind one endpoint, compiled models by the SDK 2.x."""

from __future__ import annotations

import pytest

from tests.contract.sdk_v2.conftest import Client


def test_an_own_image_is_trained_and_its_model_deployed(client: Client) -> None:
    found = client("own_image")
    assert sum(one == other for one, other in zip(found["digits"], found["labels"], strict=True)) >= 9
    assert found["spot"] is True


def test_many_models_behind_one_endpoint(client: Client) -> None:
    found = client("multi_data_model")
    assert found["models"] == ["one.tar.gz", "sub/two.tar.gz"]
    for answers in found["answers"].values():
        assert sum(one == other for one, other in zip(answers, found["labels"], strict=True)) >= 4
    assert "none.tar.gz" in found["missing"]


def test_a_compiled_model_answers_as_the_original(client: Client) -> None:
    found = client("xgboost_neo")
    assert "xgboost-neo" in found["image"]
    flat = [cell for row in found["original"] for cell in row]
    assert [cell for row in found["compiled"] for cell in row] == pytest.approx(flat, abs=1e-5)
