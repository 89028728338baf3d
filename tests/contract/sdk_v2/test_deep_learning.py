"""PyTorch, TensorFlow and Hugging Face in script mode by the SDK 2.x."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contract.sdk_v2.conftest import Client


def right(predicted: Sequence[float], labels: Sequence[float]) -> int:
    return sum(one == other for one, other in zip(predicted, labels, strict=True))


def test_pytorch_serves_the_functions_of_its_script(client: Client) -> None:
    found = client("pytorch_estimator")
    assert right(found["digits"], found["labels"]) >= 17
    assert found["refusal"] == 415
    assert "GPUs 0, torch 2." in found["output"]


def test_tensorflow_answers_as_tensorflow_serving(client: Client) -> None:
    found = client("tensorflow_estimator")
    assert right(found["digits"], found["labels"]) >= 17
    assert found["digits"] == found["bare"] == found["scripted"]
    assert "checkpoints s3://" in found["output"]


def test_hugging_face_serves_a_pipeline_without_a_script(client: Client) -> None:
    found = client("huggingface_estimator")
    assert [answer["label"] for answer in found["answers"]] == ["spam", "ham"]
