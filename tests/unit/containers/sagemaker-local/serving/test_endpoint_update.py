"""What an update writes down for the next server: above all that it goes back, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest

from sagemaker_local.serving.container import Container
from sagemaker_local.serving.endpoint_fleets import EndpointFleets
from sagemaker_local.serving.endpoint_records import EndpointRecords
from sagemaker_local.serving.endpoint_update import EndpointUpdate, begun
from sagemaker_local.serving.fleet import Fleet
from sagemaker_local.serving.fleet_plan import FleetPlan, VariantPlan
from sagemaker_local.serving.traffic import Traffic
from sagemaker_local.settings import Settings
from sagemaker_local.store import Record, Store

ROLLING = {
    "RollingUpdatePolicy": {
        "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
        "WaitIntervalInSeconds": 0,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "bell"}]},
}


def plan(config: str) -> FleetPlan:
    return FleetPlan(config, config, [VariantPlan("a", 1.0, 2, Container("image"))])


class Killed(BaseException):
    """The server is gone in the middle of it."""


class Counted:
    """A fleet of nothing but counts."""

    def __init__(self, plan: FleetPlan) -> None:
        self.plan = plan
        self.counts: dict[str, int] = {"a": 0}
        self.dies_above: int | None = None

    async def scale(self, counts: Mapping[str, int]) -> None:
        if self.dies_above is not None and counts["a"] > self.dies_above:
            raise Killed
        self.counts = dict(counts)

    def turn_on(self, counts: Mapping[str, int]) -> None:
        """Nothing to do."""


class Fleets:
    """Makes fleets and notes which."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.once_made: Callable[[], None] = lambda: None

    def make(self, _endpoint: str, plan: FleetPlan) -> Fleet:
        self.made.append(plan.id)
        self.once_made()
        return cast(Fleet, Counted(plan))

    async def bring_up(self, endpoint: str, plan: FleetPlan) -> Fleet:
        fleet = self.make(endpoint, plan)
        await fleet.scale(plan.counts)
        return fleet

    async def end(self, fleet: Fleet) -> None:
        await fleet.scale({"a": 0})

    async def remove(self, _fleet_id: str) -> None:
        """Nothing to do."""


class Bell:
    """An alarm that somebody sets."""

    def __init__(self, state: str) -> None:
        self.now = state

    def state(self, _name: str) -> str:
        return self.now


@pytest.fixture
def records(settings: Settings) -> Iterator[EndpointRecords]:
    store = Store(settings.data_dir / "store.sqlite")
    private = {
        "fleet": plan("old").to_json(),
        "pending": plan("new").to_json(),
        "deployment": begun(ROLLING),
    }
    store.insert(Record("endpoint", "name", "arn", {"EndpointStatus": "Updating"}, private))
    yield EndpointRecords(store)
    store.close()


def update(
    records: EndpointRecords, fleets: Fleets, serving: dict[str, Traffic], bell: Bell
) -> EndpointUpdate:
    return EndpointUpdate(
        "name",
        records=records,
        fleets=cast(EndpointFleets, fleets),
        serving=serving,
        alarms=cast(Any, bell),
        wait_scale=0.0,
    )


def test_a_server_that_ends_as_it_rolls_back_is_followed_by_one_that_goes_on_with_it(
    records: EndpointRecords,
) -> None:
    """Even when the alarm is quiet again by then."""
    old = Counted(plan("old"))
    old.counts = {"a": 2}
    bell = Bell("OK")

    def ring() -> None:
        bell.now = "ALARM"
        old.dies_above = 0

    async def until_killed() -> None:
        fleets = Fleets()
        fleets.once_made = ring
        await update(records, fleets, {"name": Traffic(cast(Fleet, old))}, bell).run()

    with pytest.raises(Killed):
        asyncio.run(until_killed())
    bell.now = "OK"
    fleets, serving = Fleets(), dict[str, Traffic]()
    asyncio.run(update(records, fleets, serving, bell).resume())
    assert fleets.made == ["old"], "nothing of the new config is started any more"
    document = records.get("name").document
    assert (document["EndpointStatus"], document["EndpointConfigName"]) == ("InService", "old")
    assert "bell" in document["FailureReason"]
    assert serving["name"].fleets[0].counts == {"a": 2}


def test_one_that_ends_before_goes_on_with_the_update(records: EndpointRecords) -> None:
    fleets, serving = Fleets(), dict[str, Traffic]()
    asyncio.run(update(records, fleets, serving, Bell("OK")).resume())
    document = records.get("name").document
    assert (document["EndpointStatus"], document["EndpointConfigName"]) == ("InService", "new")
    assert "FailureReason" not in document
