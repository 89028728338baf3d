"""Threads for S3's file work, apart from the loop's own: a job that moves gigabytes must not hold up S3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

POOL = ThreadPoolExecutor(16, thread_name_prefix="s3")
"""More threads than cores, because most of them wait for the disk."""


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in one of S3's threads."""
    return await asyncio.get_running_loop().run_in_executor(POOL, partial(function, *args, **kwargs))
