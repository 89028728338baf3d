"""The fleets of all endpoints: made, ended, and their files below one directory."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from pathlib import Path

from sagemaker_local.executors.base import Executor
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.fleet import Fleet
from sagemaker_local.serving.fleet_plan import FleetPlan
from sagemaker_local.settings import Settings

SHUTDOWN_GRACE_S = 5.0
"""Between SIGTERM and SIGKILL of model servers when this server stops."""


class EndpointFleets:
    """Makes fleets and knows all that run.

    Args:
        settings: The server's configuration.
        objects: Holds the models' artefacts.
        logs: Takes the containers' output.
        executor: Runs the containers.
    """

    def __init__(
        self, *, settings: Settings, objects: ObjectStore, logs: LogStore, executor: Executor
    ) -> None:
        self._settings = settings
        self._objects = objects
        self._logs = logs
        self._executor = executor
        self._directory = settings.data_dir / "endpoints"
        self._fleets: set[Fleet] = set()

    def make(self, endpoint_name: str, plan: FleetPlan) -> Fleet:
        """A fleet of which nothing runs yet; it is stopped with the server whatever becomes of it."""
        fleet = Fleet(
            plan,
            endpoint_name=endpoint_name,
            directory=self._of(plan.id),
            settings=self._settings,
            objects=self._objects,
            logs=self._logs,
            executor=self._executor,
        )
        self._fleets.add(fleet)
        return fleet

    async def bring_up(self, endpoint_name: str, plan: FleetPlan) -> Fleet:
        """A fleet with all its instances taking requests.

        Raises:
            FleetError: one does not come up; nothing is left of the fleet.
        """
        fleet = self.make(endpoint_name, plan)
        try:
            await fleet.start()
        except Exception:  # whatever it is, nothing is left running
            await self.end(fleet)
            raise
        return fleet

    async def end(self, fleet: Fleet) -> None:
        """Let a fleet finish its requests, stop it, and remove its files."""
        await fleet.drain()
        await fleet.stop()
        self._fleets.discard(fleet)
        await self.remove(fleet.plan.id)

    async def remove(self, fleet_id: str) -> None:
        """Remove the files of a fleet that does not run."""
        await asyncio.to_thread(shutil.rmtree, self._of(fleet_id), ignore_errors=True)

    async def keep_only(self, fleet_ids: Iterable[str]) -> None:
        """Remove the files of all other fleets, which an earlier server left."""
        kept = {self._of(fleet_id) for fleet_id in fleet_ids}
        leftovers = set(self._directory.iterdir()) - kept if self._directory.exists() else set()
        for directory in leftovers:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def close(self) -> None:
        """Stop every process; the files stay for the next start."""
        await asyncio.gather(*(fleet.stop(SHUTDOWN_GRACE_S) for fleet in self._fleets))
        self._fleets.clear()

    def _of(self, fleet_id: str) -> Path:
        return self._directory / fleet_id
