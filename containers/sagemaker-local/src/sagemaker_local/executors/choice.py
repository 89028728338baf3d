"""Chooses the executor at start: the best that works here, or the one that was asked for."""

from __future__ import annotations

import logging

from sagemaker_local.executors.base import Executor, ImageError
from sagemaker_local.executors.base_directory import BaseDirectoryExecutor
from sagemaker_local.executors.bubblewrap import BubblewrapExecutor
from sagemaker_local.executors.local import LocalExecutor
from sagemaker_local.executors.probe import why_not
from sagemaker_local.executors.unshare import UnshareExecutor
from sagemaker_local.images.environments import EnvironmentCache, cache_directory
from sagemaker_local.images.image import ImageFolders
from sagemaker_local.settings import Settings

logger = logging.getLogger(__name__)

EXECUTORS: tuple[type[LocalExecutor], ...] = (BubblewrapExecutor, UnshareExecutor, BaseDirectoryExecutor)
"""Best first."""


class ExecutorUnavailable(Exception):
    """The executor that was asked for does not work on this machine."""


def choose_executor(settings: Settings) -> Executor:
    """The executor that the settings name, or the first that works.

    Raises:
        ExecutorUnavailable: the one that was asked for does not work; says why.
    """
    try:
        environments = EnvironmentCache(cache_directory() / "venvs")
        images = ImageFolders(settings.containers_dir, environments, settings.images_file)
    except ImageError as error:
        raise ExecutorUnavailable(str(error)) from error
    if settings.executor == "docker":
        return _docker(images, settings)
    for kind in EXECUTORS:
        if settings.executor not in ("auto", kind.name):
            continue
        executor = kind(images, settings.data_dir / "run", hidden=(settings.data_dir,))
        reason = why_not(executor)
        if reason is None:
            logger.info("jobs run by the executor '%s'", kind.name)
            return executor
        if settings.executor == kind.name:
            raise ExecutorUnavailable(
                f"The executor '{kind.name}' does not work here: {reason}. Choose another, or 'auto'"
            )
        logger.info("the executor '%s' does not work here: %s", kind.name, reason)
    raise ExecutorUnavailable(f"There is no executor '{settings.executor}'")


def _docker(images: ImageFolders, settings: Settings) -> Executor:
    # Only here: most servers never speak to an engine, and its client takes a while to import.
    from sagemaker_local.executors.docker import DockerExecutor, EngineUnavailable

    try:
        return DockerExecutor(images, settings)
    except EngineUnavailable as error:
        raise ExecutorUnavailable(f"The executor 'docker' does not work here: {error}") from error
