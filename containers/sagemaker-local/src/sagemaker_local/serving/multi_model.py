"""A multi-model container: one process, many models, each loaded when it is first asked for.

The container's side is AWS's contract: ``POST /models`` loads, ``DELETE /models/{name}`` unloads,
``POST /models/{name}/invoke`` invokes; 507 says that there is no room. Source:
https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from sagemaker_local import limits
from sagemaker_local.executors.base import Executor, LineSink
from sagemaker_local.executors.container import OPT_ML
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import ArtefactError
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.http import Answer, Client, ConnectionLost
from sagemaker_local.serving.invocation_errors import ModelNotReady, ValidationError
from sagemaker_local.serving.model_server import ModelServer
from sagemaker_local.serving.multi_model_files import ModelFiles
from sagemaker_local.serving.multi_model_source import ModelSource, ModelVersion
from sagemaker_local.serving.process_memory import machine_bytes, resident_bytes

TARGET_MODEL = "x-amzn-sagemaker-target-model"
MEMORY_SHARE = 0.8
"""Above this share of the instance's memory, models that are not in use are unloaded, as on AWS."""
LOAD_WAIT_S = limits.INVOKE_TIMEOUT_S
"""A request waits so long for its model; the loading goes on without it."""
LOAD_TIMEOUT_S = 3600.0
UNLOAD_TIMEOUT_S = 30.0
FULL_PAUSE_S = 0.1
RECHECK_S = 1.0
"""A changed or deleted artefact is noticed so long after a request, by looking after having answered one."""


class LoadFailed(Exception):
    """The container did not load a model; carries its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the container answered {answer.status}")
        self.answer = answer


@dataclasses.dataclass(slots=True, eq=False)
class LoadedModel:
    """One model in the container's memory.

    Attributes:
        target: What callers call it.
        version: What the container calls it, and the artefact it was made of.
        client: The container that has it; one that was started again has nothing.
        outstanding: Requests under way.
        stale: Its artefact is no more what it was.
        checked: When the artefact was last looked at.
    """

    target: str
    version: ModelVersion
    client: Client
    outstanding: int = 0
    stale: bool = False
    checked: float = dataclasses.field(default_factory=time.monotonic)


class MultiModelServer(ModelServer):
    """One instance of a multi-model variant; takes the same as :class:`ModelServer`.

    Args:
        memory_bytes: The instance's memory.
    """

    def __init__(
        self,
        container: Container,
        directory: Path,
        *,
        environment: Mapping[str, str],
        executor: Executor,
        objects: ObjectStore,
        log: LineSink,
        start_timeout_s: float,
        memory_bytes: int,
    ) -> None:
        given = {**container.environment, "SAGEMAKER_MULTI_MODEL": "true"}
        super().__init__(
            dataclasses.replace(container, model=None, environment=given),
            directory,
            environment=environment,
            executor=executor,
            objects=objects,
            log=log,
            start_timeout_s=start_timeout_s,
        )
        self._cached = container.cache_models
        self._source = ModelSource(container.model, objects)
        self._files = ModelFiles(directory / "models", objects)
        self._memory_bytes = int(MEMORY_SHARE * min(memory_bytes, machine_bytes()))
        # Programs without a sandbox see the host's own paths.
        self._seen_as = str(directory) if executor.name == "base-directory" else OPT_ML
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._loading: dict[str, asyncio.Task[LoadedModel]] = {}
        self._unloading: dict[str, asyncio.Task[None]] = {}
        self._wanted: set[str] = set()
        self._awaited: Counter[str] = Counter()
        self._posting: set[str] = set()
        self._background: set[asyncio.Task[Any]] = set()

    def holds(self, target: str) -> bool:
        """Whether a model is loaded."""
        model = self._models.get(target)
        return model is not None and model.client is self._client

    @contextlib.asynccontextmanager
    async def set_up(self, headers: Mapping[str, str]) -> AsyncIterator[float | None]:
        """Have the request's model in memory and keep it there; gives the seconds it took to load it.

        Raises:
            ModelNotReady: it is not loaded in time.
            ValidationError: there is no such model.
        """
        target = headers[TARGET_MODEL]
        started = time.perf_counter()
        was_there = self.holds(target)
        model = await self._held(target)
        try:
            yield None if was_there else time.perf_counter() - started
        finally:
            model.outstanding -= 1
            self._released(model)

    async def invoke(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        sink: Callable[[bytes], None] | None = None,
        headed: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Have one model answer; it was set up before."""
        path = f"/models/{self._models[headers[TARGET_MODEL]].version.name}/invoke"
        with self.use() as client:
            return await client.request(
                "POST", path, headers, body, timeout_s=timeout_s, sink=sink, headed=headed
            )

    async def stop(self, grace_s: float = limits.SERVE_STOP_GRACE_S) -> None:
        """As for any container; what is being loaded is given up."""
        for task in (*self._loading.values(), *self._unloading.values(), *self._background):
            task.cancel()
        await super().stop(grace_s)

    def _place(self) -> None:
        super()._place()
        self._files.clear()

    async def _held(self, target: str) -> LoadedModel:
        self._awaited[target] += 1
        try:
            async with asyncio.timeout(LOAD_WAIT_S):
                while True:
                    model = self._models.get(target)
                    if model is not None and not model.stale and model.client is self._client:
                        self._models.move_to_end(target)
                        model.outstanding += 1
                        return model
                    await asyncio.shield(self._load_once(target))
        except TimeoutError:
            raise ModelNotReady(
                f"Model {target} is not ready: it is still being downloaded or loaded. Wait and try again."
            ) from None
        finally:
            self._awaited[target] -= 1
            if not self._awaited[target]:
                del self._awaited[target]

    def _load_once(self, target: str) -> asyncio.Task[LoadedModel]:
        """The one loading of a model that is under way, however many ask for it."""
        task = self._loading.get(target)
        if task is None:
            task = self._loading[target] = asyncio.create_task(self._load(target))
            task.add_done_callback(lambda done: self._loaded(target, done))
        return task

    def _loaded(self, target: str, task: asyncio.Task[LoadedModel]) -> None:
        del self._loading[target]
        if not task.cancelled():
            task.exception()  # those who asked for it have it; perhaps nobody waits any more

    async def _load(self, target: str) -> LoadedModel:
        version = await asyncio.to_thread(self._source.version, target)
        if version is None:
            self._retire(target)
            raise ValidationError(self._source.not_found(target))
        self._wanted.add(version.name)
        try:
            if unloading := self._unloading.get(version.name):
                await asyncio.shield(unloading)
            await asyncio.to_thread(self._files.place, version.name, version.artefact, self._in_use)
            with self.use() as client:
                await self._make_room(target)
                await self._post(client, target, version)
        except ArtefactError as error:
            raise ValidationError(str(error)) from error
        finally:
            self._wanted.discard(version.name)
        self._retire(target)
        model = self._models[target] = LoadedModel(target, version, client)
        await self._make_room(target)
        return model

    async def _post(self, client: Client, target: str, version: ModelVersion) -> None:
        """Load, unloading others as long as the container says that there is no room.

        Raises:
            LoadFailed: it does not load.
        """
        url = f"{self._seen_as}/models/{version.name}/model"
        body = json.dumps({"model_name": version.name, "url": url}).encode()
        headers = {"content-type": "application/json", "accept": "application/json", TARGET_MODEL: target}
        while True:
            self._posting.add(target)
            try:
                answer = await client.request("POST", "/models", headers, body, timeout_s=LOAD_TIMEOUT_S)
            finally:
                self._posting.discard(target)
            if answer.status < 300 or answer.status == 409:  # 409: it has the model
                return
            if answer.status != 507 or not self._others_take_room(target):
                raise LoadFailed(answer)
            if not await self._evict(target):
                await asyncio.sleep(FULL_PAUSE_S)  # all are in use, come or go: there will be room

    def _others_take_room(self, target: str) -> bool:
        """Whether the container holds another model, or is just loading or unloading one."""
        return bool(self._posting or self._unloading) or any(other != target for other in self._models)

    async def _make_room(self, target: str) -> None:
        """Unload the longest unused models while the container takes more memory than it should."""
        while self.pid is not None:
            used_bytes = await asyncio.to_thread(resident_bytes, self.pid)
            if used_bytes <= self._memory_bytes or not await self._evict(target):
                return

    async def _evict(self, target: str) -> bool:
        """Unload the model that was not used for longest; False when all are in use.

        One that was loaded for requests which have not taken it yet is: they would load it again.
        """
        idle = (
            model
            for model in self._models.values()
            if not model.outstanding and model.target not in self._awaited and model.target != target
        )
        victim = next(idle, None)
        if victim is None:
            return False
        del self._models[victim.target]
        await asyncio.shield(self._unload(victim))
        return True

    def _retire(self, target: str) -> None:
        """A model whose artefact is another now, or none: it goes once its requests are answered."""
        model = self._models.pop(target, None)
        if model is not None:
            model.stale = True
            self._released(model)

    def _released(self, model: LoadedModel) -> None:
        if model.outstanding:
            return
        if model.stale or not self._cached:
            if self._models.get(model.target) is model:
                del self._models[model.target]
            self._unload(model, keep_files=False)
        elif time.monotonic() - model.checked > RECHECK_S:
            model.checked = time.monotonic()
            self._spawn(self._recheck(model))

    async def _recheck(self, model: LoadedModel) -> None:
        version = await asyncio.to_thread(self._source.version, model.target)
        if version != model.version:
            model.stale = True

    def _unload(self, model: LoadedModel, *, keep_files: bool = True) -> asyncio.Task[None]:
        name = model.version.name
        task = self._unloading[name] = self._spawn(self._delete(model, keep_files=keep_files))
        task.add_done_callback(lambda done: self._unloaded(name, done))
        return task

    def _unloaded(self, name: str, task: asyncio.Task[None]) -> None:
        if self._unloading.get(name) is task:
            del self._unloading[name]

    async def _delete(self, model: LoadedModel, *, keep_files: bool) -> None:
        name = model.version.name
        if model.client is self._client:
            with contextlib.suppress(ConnectionLost, TimeoutError):
                await model.client.request("DELETE", f"/models/{name}", timeout_s=UNLOAD_TIMEOUT_S)
        if not keep_files and not self._in_use(name):
            await asyncio.to_thread(self._files.remove, name)

    def _in_use(self, name: str) -> bool:
        loaded = list(self._models.values())  # a thread asks
        return name in self._wanted or any(model.version.name == name for model in loaded)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task
