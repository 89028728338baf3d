"""Runs operators and sensors of the Amazon provider as worker and triggerer would, without a scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

LONGEST_S = 900


def run(operator: BaseOperator) -> Any:
    """Execute an operator; when it defers, run its trigger and resume it with the trigger's event."""
    context: Any = MagicMock()  # what links write to; no operator here reads anything from it
    method: Any = operator.execute
    arguments: dict[str, Any] = {}
    while True:
        try:
            return method(context, **arguments)
        except TaskDeferred as deferral:
            event = asyncio.run(asyncio.wait_for(_first_event(deferral.trigger), LONGEST_S))
            method = getattr(operator, deferral.method_name)
            arguments = {**(deferral.kwargs or {}), "event": event.payload}


async def _first_event(trigger: Any) -> Any:
    async for event in trigger.run():
        return event
    raise AssertionError(f"{trigger} ended without an event")


def operators_of(module: Any, *, ending: str) -> Iterator[str]:
    """The public operators or sensors that a module of the provider defines, but for their bases."""
    for name, found in vars(module).items():
        if (
            name.endswith(ending)
            and not name.startswith("SageMakerBase")
            and found.__module__ == module.__name__
        ):
            yield name
