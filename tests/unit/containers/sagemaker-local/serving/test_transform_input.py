"""Which objects a transform job reads, and what their outputs are called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.transform_input import InputError, input_objects, relative_key


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("bucket")
    for key in ("in/a.csv", "in/deep/b.csv", "in/folder/", "in-other/c.csv"):
        store.put("bucket", key, b"1\n")
    yield store
    store.close()


def relatives(objects: ObjectStore, uri: str, data_type: str = "S3Prefix") -> list[str]:
    source = {"S3DataType": data_type, "S3Uri": uri}
    return [found.relative for found in input_objects(objects, source)]


@pytest.mark.parametrize(
    ("key", "prefix", "relative"),
    [
        ("in/a.csv", "in/", "a.csv"),
        ("in/deep/b.csv", "in/", "deep/b.csv"),
        ("in/deep/b.csv", "in", "deep/b.csv"),
        ("in/a.csv", "in/a.csv", "a.csv"),
        ("in/part-1.csv", "in/part", "part-1.csv"),
        ("a.csv", "", "a.csv"),
        ("deep/a.csv", "", "deep/a.csv"),
    ],
)
def test_an_output_is_named_by_what_is_below_the_prefix(key: str, prefix: str, relative: str) -> None:
    assert relative_key(key, prefix) == relative


def test_a_prefix_means_all_objects_below_it(objects: ObjectStore) -> None:
    assert relatives(objects, "s3://bucket/in/") == ["a.csv", "deep/b.csv"]


def test_a_manifest_means_the_objects_it_names_in_its_order(objects: ObjectStore) -> None:
    objects.put("bucket", "m", json.dumps([{"prefix": "s3://bucket/in/"}, "deep/b.csv", "a.csv"]).encode())
    assert relatives(objects, "s3://bucket/m", "ManifestFile") == ["deep/b.csv", "a.csv"]


@pytest.mark.parametrize(
    "manifest",
    [[], {}, "text", [{"prefix": 1}, "a"], ["a"], [{"prefix": "s3://bucket/"}, {"key": "a"}]],
)
def test_what_is_no_manifest_is_refused_with_an_example(objects: ObjectStore, manifest: Any) -> None:
    objects.put("bucket", "m", json.dumps(manifest).encode())
    with pytest.raises(InputError, match="must look like"):
        relatives(objects, "s3://bucket/m", "ManifestFile")


def test_two_objects_of_one_output_are_refused(objects: ObjectStore) -> None:
    objects.put("bucket", "m", json.dumps([{"prefix": "s3://bucket/in/"}, "a.csv", "a.csv"]).encode())
    with pytest.raises(InputError, match=r"would be written to 'a\.csv\.out'"):
        relatives(objects, "s3://bucket/m", "ManifestFile")


@pytest.mark.parametrize("uri", ["s3://bucket/none/", "s3://missing/in/", "s3://", "in/a.csv"])
def test_no_input_is_an_error_that_names_the_place(objects: ObjectStore, uri: str) -> None:
    with pytest.raises(InputError) as failed:
        relatives(objects, uri)
    assert uri in str(failed.value)
