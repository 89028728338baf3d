"""Versions of SageMaker images in the making: one is ready when the executor can start it."""

from __future__ import annotations

import asyncio
import logging

from sagemaker_local.executors.base import Executor, ImageError
from sagemaker_local.names import now
from sagemaker_local.store import NotFound, Record, Store

logger = logging.getLogger(__name__)

KIND = "image_version"


class ImageVersionEngine:
    """Prepares the base images of versions that are ``CREATING``.

    Args:
        store: Holds the versions' records.
        executor: Prepares their images.
    """

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take up the versions that an earlier server left."""
        for record in self._store.list(KIND):
            if record.document["ImageVersionStatus"] == "CREATING":
                self.submit(record.name)

    async def close(self) -> None:
        """Leave every version as it is, for the next start."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def submit(self, name: str) -> None:
        """Prepare a version whose record is in the store; returns at once."""
        task = asyncio.create_task(self._prepare(name), name=f"{KIND} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepare(self, name: str) -> None:
        fields = {"ImageVersionStatus": "CREATED"}
        try:
            base_image = self._store.get(KIND, name).document["BaseImage"]
            await self._executor.prepare(base_image, lambda line: logger.info("%s: %s", name, line))
        except NotFound:
            return  # deleted meanwhile
        except ImageError as error:
            fields = {"ImageVersionStatus": "CREATE_FAILED", "FailureReason": str(error)[:1024]}

        def change(record: Record) -> None:
            record.document.update(fields, LastModifiedTime=now())

        try:
            self._store.update(KIND, name, change)
        except NotFound:
            return
