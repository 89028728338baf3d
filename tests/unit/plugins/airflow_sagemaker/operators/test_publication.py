from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from airflow_sagemaker.errors import BadTableError, MissingDataError
from airflow_sagemaker.hooks.object_storage import ObjectStorageHook
from airflow_sagemaker.operators.publication import PublishPredictionsOperator

CONTEXT: Any = {}
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/1"
PREDICTIONS = "digits/predictions/dt=2026-01-02/predictions.csv"
MANIFEST = "digits/predictions/dt=2026-01-02/manifest.json"


def publish(arn: str = ARN) -> dict[str, Any]:
    return PublishPredictionsOperator(
        task_id="publish",
        partition="2026-01-02",
        features="features.csv",
        predictions="features.csv.out",
        destination="digits/predictions/dt=2026-01-02/",
        columns=("label", "p0"),
        model_package_arn=arn,
    ).execute(CONTEXT)


def put(s3: Any, features: bytes, predictions: bytes) -> None:
    s3.put_object(Bucket="data", Key="features.csv", Body=features)
    s3.put_object(Bucket="data", Key="features.csv.out", Body=predictions)


def published(s3: Any) -> dict[str, tuple[bytes, object]]:
    listed = s3.list_objects_v2(Bucket="data", Prefix="digits/predictions/").get("Contents", [])
    return {
        entry["Key"]: (
            s3.get_object(Bucket="data", Key=entry["Key"])["Body"].read(),
            s3.head_object(Bucket="data", Key=entry["Key"])["LastModified"],
        )
        for entry in listed
    }


def test_predictions_and_manifest_become_visible(s3: Any) -> None:
    put(s3, b"1,2\n3,4\n", b"0,0.9\n1,0.8\n")
    assert publish() == {
        "partition": "2026-01-02",
        "rows_in": 2,
        "rows_out": 2,
        "manifest": f"s3://data/{MANIFEST}",
        "changed": True,
    }
    found = published(s3)
    assert found[PREDICTIONS][0] == b"0,0.9\n1,0.8\n"
    assert json.loads(found[MANIFEST][0]) == {
        "partition": "2026-01-02",
        "model_package_arn": ARN,
        "columns": ["label", "p0"],
        "rows": 2,
        "file": "predictions.csv",
        "size_bytes": 12,
        "sha256": hashlib.sha256(b"0,0.9\n1,0.8\n").hexdigest(),
        "features_sha256": hashlib.sha256(b"1,2\n3,4\n").hexdigest(),
    }


def test_again_changes_nothing(s3: Any) -> None:
    put(s3, b"1,2\n", b"0,0.9\n")
    publish()
    before = published(s3)
    assert publish()["changed"] is False
    assert published(s3) == before


@pytest.mark.parametrize("damaged", [PREDICTIONS, MANIFEST])
def test_a_damaged_publication_is_mended(s3: Any, damaged: str) -> None:
    put(s3, b"1,2\n", b"0,0.9\n")
    publish()
    before = {key: body for key, (body, _) in published(s3).items()}
    s3.put_object(Bucket="data", Key=damaged, Body=b"half")
    assert publish()["changed"] is True
    assert {key: body for key, (body, _) in published(s3).items()} == before


def test_another_model_replaces_the_publication(s3: Any) -> None:
    put(s3, b"1,2\n", b"0,0.9\n")
    publish()
    assert publish(ARN.replace("/1", "/2"))["changed"] is True
    assert json.loads(published(s3)[MANIFEST][0])["model_package_arn"].endswith("/2")


def test_a_publication_cut_short_has_no_manifest(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, b"1,2\n", b"0,0.9\n")
    publish()
    put(s3, b"1,2\n", b"0,0.7\n")

    def dies(*_: object, **__: object) -> None:
        raise ConnectionError("the worker's machine is gone")

    monkeypatch.setattr(ObjectStorageHook, "copy", dies)
    with pytest.raises(ConnectionError):
        publish()
    assert list(published(s3)) == [PREDICTIONS]  # the old rows, which nobody takes for published
    monkeypatch.undo()


@pytest.mark.parametrize("predictions", [b"0,0.9\n", b"0,0.9\n1,0.8\n2,0.7\n", b""])
def test_a_row_too_few_or_too_many_is_never_published(s3: Any, predictions: bytes) -> None:
    put(s3, b"1,2\n3,4\n", predictions)
    with pytest.raises(BadTableError, match=r"rows for 2 rows of s3://data/features\.csv"):
        publish()
    assert published(s3) == {}


def test_a_last_line_without_its_end_is_a_row(s3: Any) -> None:
    put(s3, b"1,2\n3,4", b"0,0.9\n1,0.8\n")
    assert publish()["rows_in"] == 2


def test_missing_predictions_are_named(s3: Any) -> None:
    s3.put_object(Bucket="data", Key="features.csv", Body=b"1,2\n")
    with pytest.raises(MissingDataError, match=r"s3://data/features\.csv\.out"):
        publish()
