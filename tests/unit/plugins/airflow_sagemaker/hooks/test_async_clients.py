from __future__ import annotations

import asyncio

import pytest

from airflow_sagemaker.errors import ConnectionSettingsError
from airflow_sagemaker.hooks import async_clients
from airflow_sagemaker.hooks.async_clients import connection_settings, forget_client, shared_client


async def test_triggers_share_one_client_and_the_last_one_closes_it(moto_connection: str) -> None:
    async with shared_client("aws_sagemaker", None, "sagemaker") as one:
        async with shared_client("aws_sagemaker", None, "sagemaker") as other:
            assert one is other
            assert one.meta.endpoint_url == moto_connection
        assert (await one.list_training_jobs())["TrainingJobSummaries"] == []
    assert async_clients._shared == {}


async def test_many_triggers_starting_at_once_make_one_client(moto_connection: str) -> None:
    async def use() -> int:
        async with shared_client("aws_sagemaker", None, "logs") as client:
            await asyncio.sleep(0.01)
            return id(client)

    assert len(set(await asyncio.gather(*[use() for _ in range(20)]))) == 1
    assert async_clients._shared == {}


async def test_other_regions_and_services_have_their_own(moto_connection: str) -> None:
    async with (
        shared_client("aws_sagemaker", None, "sagemaker") as one,
        shared_client("aws_sagemaker", "eu-west-1", "sagemaker") as other,
        shared_client("aws_sagemaker", None, "logs") as logs,
    ):
        assert len({id(one), id(other), id(logs)}) == 3
        assert other.meta.region_name == "eu-west-1"


async def test_a_connection_that_leads_elsewhere_by_now_is_refused(moto_connection: str) -> None:
    with pytest.raises(ConnectionSettingsError, match=r"us-east-1 now, and .* made in eu-west-1"):
        async with shared_client("aws_sagemaker", None, "sagemaker", "eu-west-1"):
            pass
    async with shared_client("aws_sagemaker", None, "sagemaker", "us-east-1") as client:
        assert client.meta.region_name == "us-east-1"
    assert async_clients._shared == {}


async def test_a_forgotten_client_is_made_anew_for_who_comes_next(moto_connection: str) -> None:
    place = ("aws_sagemaker", None, "sagemaker")
    async with shared_client(*place) as one:
        forget_client(*place)
        async with shared_client(*place) as other:
            assert one is not other
        assert (await one.list_training_jobs())["TrainingJobSummaries"] == []
    assert async_clients._shared == {}


async def test_the_settings_of_the_connection_are_read(moto_connection: str) -> None:
    settings = await connection_settings("aws_sagemaker", None)
    assert settings.bucket == "data"
    assert settings.events_queue_url is None


async def test_an_error_in_one_trigger_leaves_the_client_to_the_others(moto_connection: str) -> None:
    async with shared_client("aws_sagemaker", None, "sagemaker") as client:
        with pytest.raises(RuntimeError, match="trigger"):
            async with shared_client("aws_sagemaker", None, "sagemaker"):
                raise RuntimeError("trigger")
        assert (await client.list_training_jobs())["TrainingJobSummaries"] == []


async def test_a_client_that_cannot_be_made_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", '{"conn_type": "aws"}')
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(Exception, match="region"):
        async with shared_client("aws_sagemaker", None, "sagemaker"):
            pass
    assert async_clients._shared == {}
