"""What the executors that start processes of this machine share."""

from __future__ import annotations

import abc
import asyncio
from pathlib import Path

from sagemaker_local.executors.base import LineSink, Program, RunningProgram, Source
from sagemaker_local.executors.cgroups import Cgroups
from sagemaker_local.executors.confinement import Confinement
from sagemaker_local.executors.container import Container, lay_out
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

    @abc.abstractmethod
    def sandbox(self, container: Container) -> list[str]:
        """Command line that makes the sandbox and then runs what follows it."""

    def fit(self, container: Container) -> Container:
        """The container as this sandbox can show it."""
        return container

    async def prepare(self, image: str | Source, log: LineSink) -> None:
        """Find the image and build its environment when that is missing."""
        await self.images.image(image, log)

    async def close(self) -> None:
        """Return at once: nothing is held between programs."""
        return None

    async def start(self, program: Program, log: LineSink) -> RunningProgram:
        """Start a program of an image in its sandbox."""
        image = await self.images.image(program.image, log)
        container = await asyncio.to_thread(lay_out, program, image, self.scratch)
        confined = None
        try:
            fitted = await asyncio.to_thread(self.fit, container)
            sandbox = self.sandbox(fitted)
            confined = self.confinement.confine(container.limits, container.scratch)
            return await start_supervised(
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
            await asyncio.to_thread(remove_tree, container.scratch)
            if confined is not None:
                await asyncio.to_thread(confined.remove)
            raise
