"""What the executors that start processes of this machine share."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
from pathlib import Path

from sagemaker_local.executors.base import LineSink, Program, RunningProgram, Source
from sagemaker_local.executors.cgroups import Cgroups
from sagemaker_local.executors.confinement import Confinement
from sagemaker_local.executors.container import Container, lay_out
from sagemaker_local.executors.job_network import JobNetwork, JobNetworks
from sagemaker_local.executors.process import remove_tree, start_supervised
from sagemaker_local.images.image import ImageFolders


class LocalExecutor(abc.ABC):
    """Lays a container out and starts it in a sandbox (an :class:`~sagemaker_local.executors.base.Executor`).

    Args:
        images: Where images come from.
        scratch: Directory for what containers need while they run; what an earlier server left is removed.
        hidden: Host directories that no program may see, such as the server's data directory.
    """

    name: str
    own_networks = True
    network_interface = "lo"
    """All hosts of a job are on this machine, at addresses of its loopback interface."""

    def __init__(self, images: ImageFolders, scratch: Path, hidden: tuple[Path, ...] = ()) -> None:
        self.images = images
        self.scratch = scratch
        self.hidden = hidden
        remove_tree(scratch)
        self.confinement = Confinement(Cgroups.find(scratch))
        self.job_networks = JobNetworks()
        self._leaving: set[asyncio.Task[None]] = set()

    @abc.abstractmethod
    def sandbox(self, container: Container) -> list[str]:
        """Command line that makes the sandbox and then runs what follows it."""

    def fit(self, container: Container) -> Container:
        """The container as this sandbox can show it."""
        return container

    async def prepare(self, image: str | Source, log: LineSink) -> None:
        """Find the image and build its environment when that is missing."""
        self.images.tell(image, log)
        await self.images.image(image, log)

    async def close(self) -> None:
        """Return at once: nothing is held between programs."""
        return None

    async def start(self, program: Program, log: LineSink) -> RunningProgram:
        """Start a program of an image in its sandbox."""
        image = await self.images.image(program.image, log)
        container = await asyncio.to_thread(lay_out, program, image, self.scratch)
        confined = network = None
        try:
            fitted = await asyncio.to_thread(self.fit, container)
            if not fitted.network and len(fitted.hosts) > 1:
                network = await self.job_networks.join(fitted.hosts)
            # In the job's network already, a sandbox makes none of its own.
            sandbox = self.sandbox(dataclasses.replace(fitted, network=fitted.network or network is not None))
            if network is not None:
                sandbox = [*network.command(), *sandbox]
            confined = self.confinement.confine(container.limits, container.scratch)
            running = await start_supervised(
                fitted.command,
                environment=fitted.environment,
                log=log,
                wrapper=[*confined.command, *sandbox],
                workdir=fitted.workdir,
                scratch=fitted.scratch,
                confined=confined,
                own_network=not fitted.network,
            )
        except BaseException:
            if network is not None:
                self.job_networks.leave(network)
            await asyncio.to_thread(remove_tree, container.scratch)
            if confined is not None:
                await asyncio.to_thread(confined.remove)
            raise
        if network is not None:
            self._leaving.add(task := asyncio.create_task(self._leave_after(running, network)))
            task.add_done_callback(self._leaving.discard)
        return running

    async def _leave_after(self, running: RunningProgram, network: JobNetwork) -> None:
        try:
            await running.wait()
        finally:
            self.job_networks.leave(network)
