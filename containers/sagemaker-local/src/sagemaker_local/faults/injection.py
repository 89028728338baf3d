"""Stands before every service and does to a call what the fault plan says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sagemaker_local import limits, wire
from sagemaker_local.errors import AwsError
from sagemaker_local.faults.plan import CallFault, FaultPlan
from sagemaker_local.faults.rules import ERRORS

logger = logging.getLogger(__name__)

ABORT = "sagemaker_local.abort"
"""Key in the scope's extensions: ``call`` in it ends the connection at once; set by the server."""


class FaultInjection:
    """An application before the application.

    Args:
        app: What answers a call that no fault befalls.
        plan: The rules.
        s3_operation: The name of the S3 operation that a request asks for.
    """

    def __init__(self, app: ASGIApp, plan: FaultPlan, s3_operation: Callable[[Scope], str]) -> None:
        self.app = app
        self.plan = plan
        self.s3_operation = s3_operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing below ``/_local/`` is ever hit, so that a plan can be taken back."""
        if not self.plan.touches_calls or scope["path"].startswith("/_local/"):
            await self.app(scope, receive, send)
            return
        call = wire.identify(scope)
        operation = call.operation
        if not operation and call.protocol == "query":
            try:
                body = await wire.read_body(receive, limits.JSON_BODY_BYTES)
            except wire.Disconnected:
                return
            except wire.BodyTooLarge:
                body = b""
            receive = wire.replay(body, receive)
            operation = wire.action_of(body)
        elif call.protocol == "s3":
            operation = self.s3_operation(scope)
        fault = self.plan.call_fault(call.service, operation)
        if fault is None:
            await self.app(scope, receive, send)
            return
        logger.info("fault on request: %s %s: %s", call.service, operation, fault)
        await self._befall(fault, call, scope, receive, send)

    async def _befall(
        self, fault: CallFault, call: wire.Call, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if fault.latency_s:
            await asyncio.sleep(fault.latency_s)
        if fault.drop == "before":
            await _abort(scope)
        elif fault.drop == "after":
            await self.app(scope, receive, _nowhere)
            await _abort(scope)
        elif fault.error or fault.code:
            response = wire.error_response(call, _error(fault, call), scope["path"])
            response.headers["connection"] = "close"  # a body may be on its way
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _error(fault: CallFault, call: wire.Call) -> AwsError:
    if fault.error is None:
        message = "A fault that was asked for by /_local/faults"
        return AwsError(message, code=fault.code, status_code=fault.status_code)
    words = ERRORS[fault.error]
    code, status_code = {"query": words.query, "s3": words.s3}.get(call.protocol, words.json)
    return AwsError(words.message, code=code, status_code=status_code)


async def _nowhere(_message: Message) -> None:
    """The answer that is lost on its way."""


async def _abort(scope: Scope) -> None:
    abort = cast(Callable[[], None] | None, scope.get("extensions", {}).get(ABORT, {}).get("call"))
    if abort is None:
        raise RuntimeError("this server cannot drop connections: serve with connection.Connection")
    abort()
    for _ in range(3):  # the loop tells the server of the end in its next round
        await asyncio.sleep(0)
