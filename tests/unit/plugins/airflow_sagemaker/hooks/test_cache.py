from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from airflow_sagemaker.cache_key import UncacheableError
from airflow_sagemaker.hooks.cache import CacheHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture
def hook(s3: Any) -> CacheHook:
    return CacheHook(SageMakerHook())


def put(s3: Any, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket="data", Key=key, Body=key.encode())


def test_objects_stand_by_what_a_container_sees_of_them(hook: CacheHook, s3: Any) -> None:
    put(s3, "raw/a.csv", "raw/deep/b.csv", "rawer/c.csv", "other/d.csv")
    assert set(hook.objects("s3://data/raw/")) == {"a.csv", "deep/b.csv"}
    assert set(hook.objects("s3://data/raw")) == {"a.csv", "deep/b.csv", "../rawer/c.csv"}
    assert set(hook.objects("s3://data/other/d.csv")) == {"d.csv"}
    assert hook.objects("s3://data/none/") == {}


def test_content_and_size_count_and_the_place_does_not(hook: CacheHook, s3: Any) -> None:
    s3.put_object(Bucket="data", Key="one/a.csv", Body=b"same")
    s3.put_object(Bucket="data", Key="two/a.csv", Body=b"same")
    one = hook.objects("s3://data/one/")
    assert hook.objects("s3://data/two/") == one
    s3.put_object(Bucket="data", Key="two/a.csv", Body=b"some")
    assert hook.objects("s3://data/two/") != one
    assert one["a.csv"].endswith(" 4")


def test_every_page_of_a_prefix_counts(hook: CacheHook, s3: Any) -> None:
    put(s3, *(f"many/{number:04}" for number in range(1003)))
    assert len(hook.objects("s3://data/many/")) == 1003


def test_a_digest_in_the_uri_is_the_digest(hook: CacheHook) -> None:
    digest = f"sha256:{7:064}"
    assert hook.image_digest(f"anywhere/digits@{digest}") == digest


def test_a_tag_has_the_digest_that_ecr_tells(hook: CacheHook, moto_connection: str) -> None:
    ecr = boto3.client("ecr", endpoint_url=moto_connection, region_name="us-east-1")
    ecr.create_repository(repositoryName="team/digits")
    layers = [{"mediaType": "layer", "digest": f"sha256:{1:064}", "size": 1}]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": layers[0], "layers": layers}
    put_image: Any = ecr.put_image(
        repositoryName="team/digits", imageManifest=json.dumps(manifest), imageTag="v1"
    )
    digest = put_image["image"]["imageId"]["imageDigest"]
    assert hook.image_digest(f"{REGISTRY}/team/digits:v1") == digest
    with pytest.raises(UncacheableError, match=r"no digest for .*team/digits:v2"):
        hook.image_digest(f"{REGISTRY}/team/digits:v2")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("docker.io/library/python:3.11", "is not in ECR and has no digest in its name"),
        (f"{REGISTRY}/nobody:latest", "ECR does not tell the digest of .*RepositoryNotFoundException"),
    ],
)
def test_an_image_without_a_digest_says_why(hook: CacheHook, uri: str, reason: str) -> None:
    with pytest.raises(UncacheableError, match=reason):
        hook.image_digest(uri)


def test_documents_are_what_is_ours_and_can_be_read(hook: CacheHook, s3: Any) -> None:
    hook.write("cache/x/one.json", {"version": 1, "job_name": "one"})
    for name, text in {"two": "{", "three": "[]", "four": '{"version": 2}'}.items():
        s3.put_object(Bucket="data", Key=f"cache/x/{name}.json", Body=text.encode())
    (found,) = hook.documents("cache/x/", limit=10)
    assert found.document["job_name"] == "one"
    assert hook.read(found.location) == found.document
    hook.delete(found.location)
    hook.delete(found.location)
    assert hook.read(found.location) is None


def test_what_was_written_after_a_moment(hook: CacheHook, s3: Any) -> None:
    put(s3, "model.tar.gz")
    now = datetime.now(UTC)
    assert hook.changed_after("s3://data/model.tar.gz", now - timedelta(hours=1))
    assert not hook.changed_after("s3://data/model.tar.gz", now + timedelta(hours=1))
    assert hook.changed_after("s3://data/none", now + timedelta(hours=1)), "it is not there"
