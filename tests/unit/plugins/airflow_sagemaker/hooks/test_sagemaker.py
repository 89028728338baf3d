from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sagemaker.errors import ConnectionSettingsError
from airflow_sagemaker.hooks.sagemaker import SageMakerHook

SETTINGS = {"bucket": "data", "role_arn": "arn:aws:iam::123456789012:role/sagemaker"}


def connected(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> SageMakerHook:
    connection = {"conn_type": "aws", "login": "key-id", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))
    return SageMakerHook()


@pytest.mark.parametrize(
    ("location", "uri"),
    [("a/b", "s3://data/a/b"), ("/a/b", "s3://data/a/b"), ("s3://other/a", "s3://other/a")],
)
def test_a_location_is_relative_to_the_bucket(
    monkeypatch: pytest.MonkeyPatch, location: str, uri: str
) -> None:
    assert connected(monkeypatch, sagemaker=SETTINGS).s3_uri(location) == uri


@pytest.mark.parametrize(
    ("image", "uri"),
    [
        ("digits", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/digits:latest"),
        ("digits:v2", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/digits:v2"),
        ("registry/team/digits", "registry/team/digits"),
    ],
)
def test_a_bare_image_comes_from_the_registry(monkeypatch: pytest.MonkeyPatch, image: str, uri: str) -> None:
    hook = connected(monkeypatch, region_name="eu-west-1", sagemaker=SETTINGS)
    assert hook.image_uri(image) == uri


@pytest.mark.parametrize(
    ("extra", "cause"),
    [
        ({}, "bucket: Field required"),
        ({"sagemaker": {"bucket": "b", "role_arn": "nobody"}}, "role_arn"),
        ({"sagemaker": {**SETTINGS, "bukcet": "x"}}, "bukcet"),
    ],
)
def test_unusable_settings_name_connection_and_field(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], cause: str
) -> None:
    with pytest.raises(ConnectionSettingsError, match=cause) as raised:
        _ = connected(monkeypatch, **extra).settings
    assert "'aws_sagemaker'" in str(raised.value)


def test_every_client_goes_where_the_connection_says(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = connected(
        monkeypatch,
        region_name="eu-west-1",
        endpoint_url="http://127.0.0.1:9",
        service_config={"s3": {"endpoint_url": "http://127.0.0.1:8"}},
        sagemaker=SETTINGS,
    )
    for service in ("sagemaker", "sagemaker-runtime", "logs", "sts"):
        assert hook.client(service).meta.endpoint_url == "http://127.0.0.1:9"
    assert hook.client("s3").meta.endpoint_url == "http://127.0.0.1:8"
    assert hook.session.client("sagemaker", "eu-west-1").meta.endpoint_url == "http://127.0.0.1:9"


def test_without_an_endpoint_it_is_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = connected(monkeypatch, region_name="eu-west-1", sagemaker=SETTINGS)
    assert hook.client("sagemaker").meta.endpoint_url == "https://api.sagemaker.eu-west-1.amazonaws.com"


def test_the_connections_own_client_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = connected(
        monkeypatch, region_name="eu-west-1", config_kwargs={"read_timeout": 7}, sagemaker=SETTINGS
    )
    config = hook.client("sagemaker").meta.config
    assert config.read_timeout == 7
    assert config.retries["mode"] == "standard"


def test_two_sessions_of_one_connection_do_not_get_in_each_others_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = connected(monkeypatch, region_name="eu-west-1", sagemaker=SETTINGS)
    hook.client("s3")
    SageMakerHook().client("s3")
