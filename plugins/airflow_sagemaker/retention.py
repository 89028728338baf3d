"""What nothing uses any more, among the models and endpoint configs of an account: decisions, no calls.

Everything in use counts, whoever made it; what goes is only what this Airflow made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Made:
    """A model or an endpoint config."""

    name: str
    arn: str
    made_at: datetime


@dataclass(frozen=True)
class ConfigInUse:
    """An endpoint, the configs it has or is to have."""

    endpoint_name: str
    config_names: frozenset[str]


@dataclass(frozen=True)
class Inventory:
    """What there is.

    :param configs: endpoint configs, and the names of the models that each serves
    :param endpoints: with the configs that they use or are to use
    :param transforms: names of models that transform jobs in progress use
    """

    models: Iterable[Made]
    configs: Mapping[Made, frozenset[str]]
    endpoints: Iterable[ConfigInUse]
    transforms: frozenset[str] = frozenset()


def unused_configs(inventory: Inventory, days: int | None, now: datetime) -> list[Made]:
    """Old configs that no endpoint has."""
    used = {name for endpoint in inventory.endpoints for name in endpoint.config_names}
    return [config for config in _old(inventory.configs, days, now) if config.name not in used]


def unused_models(
    inventory: Inventory, removed: Iterable[Made], days: int | None, now: datetime
) -> list[Made]:
    """Old models that no config that stays serves, and no transform job uses.

    :param removed: the configs that go
    """
    going = set(removed)
    used = {name for config, names in inventory.configs.items() if config not in going for name in names}
    used |= inventory.transforms
    return [model for model in _old(inventory.models, days, now) if model.name not in used]


def without_pipeline(endpoints: Iterable[str], known: Iterable[str]) -> list[str]:
    """Endpoints that no pipeline of this Airflow has; SageMaker compares their names without case."""
    wanted = {name.casefold() for name in known}
    return sorted(name for name in endpoints if name.casefold() not in wanted)


def _old(things: Iterable[Made], days: int | None, now: datetime) -> Iterator[Made]:
    if days is None:
        return
    for thing in sorted(things, key=lambda each: each.made_at):
        if thing.made_at < now - timedelta(days=days):
            yield thing
