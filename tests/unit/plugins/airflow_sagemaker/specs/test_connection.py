from __future__ import annotations

import pytest
from pydantic import ValidationError

from airflow_sagemaker.specs.connection import DEFAULT_POLL_INTERVAL_S, ConnectionSettings

ROLE = "arn:aws:iam::123456789012:role/service-role/sagemaker"


@pytest.mark.parametrize(
    ("role", "registry", "expected"),
    [
        (ROLE, None, "123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
        (ROLE.replace("aws:", "aws-cn:", 1), None, "123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn"),
        (ROLE, "localhost:5000/", "localhost:5000"),
    ],
)
def test_the_registry_is_the_roles_account_unless_given(
    role: str, registry: str | None, expected: str
) -> None:
    settings = ConnectionSettings(bucket="b", role_arn=role, image_registry=registry)
    assert settings.registry("eu-west-1") == expected


def test_looking_every_ten_seconds_is_the_default() -> None:
    assert ConnectionSettings(bucket="b", role_arn=ROLE).poll_interval_s == DEFAULT_POLL_INTERVAL_S == 10


@pytest.mark.parametrize("wrong", [{"role_arn": "sagemaker"}, {"poll_interval_s": 0}, {"buckett": "b"}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ConnectionSettings.model_validate({"bucket": "b", "role_arn": ROLE, **wrong})
