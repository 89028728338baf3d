from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_sagemaker.retention import (
    ConfigInUse,
    Inventory,
    Made,
    unused_configs,
    unused_models,
    without_pipeline,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD, NEW = NOW - timedelta(days=31), NOW - timedelta(days=29)


def made(name: str, at: datetime = OLD) -> Made:
    return Made(name, f"arn:{name}", at)


def inventory(
    configs: dict[Made, frozenset[str]] | None = None,
    models: list[Made] | None = None,
    endpoints: list[ConfigInUse] | None = None,
    transforms: frozenset[str] = frozenset(),
) -> Inventory:
    return Inventory(models or [], configs or {}, endpoints or [], transforms)


def test_what_an_endpoint_has_or_is_to_have_stays() -> None:
    configs = {made(name): frozenset({"m"}) for name in ("serving", "coming", "earlier")}
    there = inventory(configs, endpoints=[ConfigInUse("e", frozenset({"serving", "coming"}))])
    assert [config.name for config in unused_configs(there, 30, NOW)] == ["earlier"]


def test_what_is_new_stays_and_what_is_oldest_goes_first() -> None:
    older = made("older", OLD - timedelta(days=1))
    configs = {made("old"): frozenset[str](), older: frozenset[str](), made("new", NEW): frozenset[str]()}
    assert [config.name for config in unused_configs(inventory(configs), 30, NOW)] == ["older", "old"]
    assert unused_configs(inventory(configs), None, NOW) == []


def test_a_model_goes_only_with_the_last_config_that_serves_it() -> None:
    going, staying = made("going"), made("staying")
    configs = {going: frozenset({"a", "b"}), staying: frozenset({"b"})}
    there = inventory(
        configs, models=[made("a"), made("b"), made("c"), made("d")], transforms=frozenset({"d"})
    )
    assert [model.name for model in unused_models(there, [going], 30, NOW)] == ["a", "c"]
    assert [model.name for model in unused_models(there, [], 30, NOW)] == ["c"]
    assert unused_models(there, [going], None, NOW) == []


def test_endpoints_without_a_pipeline_are_told_by_name_without_case() -> None:
    assert without_pipeline(["Digits", "stray", "bank"], ["digits", "bank"]) == ["stray"]
