"""``/_local/faults``: read, replace and clear the fault plan. Not an AWS API; documented in docs/."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import limits, wire
from sagemaker_local.errors import AwsError, ValidationException
from sagemaker_local.faults.plan import FaultPlan

PATH = "/_local/faults"


def create_app(plan: FaultPlan) -> ASGIApp:
    """The application in front of a plan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await _answer(plan, Request(scope, receive))
        except wire.Disconnected:
            return
        except AwsError as error:
            response = JSONResponse({"message": error.message}, error.status_code)
        await response(scope, receive, send)

    return app


async def _answer(plan: FaultPlan, request: Request) -> Response:
    match request.method:
        case "GET":
            pass
        case "PUT":
            plan.replace(await _json(request))
        case "DELETE":
            plan.clear()
        case _:
            return Response(status_code=405, headers={"allow": "GET, PUT, DELETE"})
    return JSONResponse(plan.document())


async def _json(request: Request) -> object:
    try:
        return json.loads(await wire.read_body(request.receive, limits.JSON_BODY_BYTES))
    except wire.BodyTooLarge as error:
        raise ValidationException(f"the fault plan is too large: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ValidationException(f"the fault plan is not JSON: {error}") from error
