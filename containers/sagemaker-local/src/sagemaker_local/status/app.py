"""The routes of the status page, all below ``/_local/``. Not an AWS API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local.logs.records import NoSuchGroup, NoSuchStream
from sagemaker_local.services import Services
from sagemaker_local.status.snapshot import snapshot

PREFIX = "/_local/"
PAGE = Path(__file__).parent / "page"
FILES = {"": "index.html", "status.js": "status.js", "status.css": "status.css"}
HEADERS = {
    "cache-control": "no-store",
    # Names of jobs and lines of logs come from programs: nothing on the page may run but its own script.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
LINES_MOST = 500
STREAMS_MOST = 20


def create_app(services: Services) -> ASGIApp:
    """The application that answers everything below ``/_local/`` that has no route of its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await _answer(services, Request(scope, receive))
        except (NoSuchGroup, NoSuchStream) as error:
            response = JSONResponse({"message": f"There is no log {error}"}, 404)
        response.headers.update(HEADERS)
        await response(scope, receive, send)

    return app


async def _answer(services: Services, request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        return Response(status_code=405, headers={"allow": "GET, HEAD"})
    name = request.url.path.removeprefix(PREFIX)
    if name in FILES:
        return FileResponse(PAGE / FILES[name])
    if name == "status.json":
        return JSONResponse(await asyncio.to_thread(snapshot, services))
    if name == "logs.json":
        return JSONResponse(await asyncio.to_thread(_lines, services, request.query_params))
    return JSONResponse({"message": f"There is no {request.url.path}; the status page is at {PREFIX}"}, 404)


def _lines(services: Services, asked: Mapping[str, str]) -> dict[str, Any]:
    """The last lines of a group's streams, or those since a time, with the time to ask for next."""
    group, prefix = asked.get("group", ""), asked.get("prefix", "")
    since_ms = int(asked["since"]) if asked.get("since", "").isdigit() else None
    found = services.logs.describe_streams(group, prefix, by_last_event=True, descending=True)
    lines: list[dict[str, Any]] = []
    for stream in found[:STREAMS_MOST]:
        where: dict[str, Any] = {"start_ms": since_ms} if since_ms else {"before": (2**62, 2**62)}
        events = services.logs.get_events(group, stream.name, limit=LINES_MOST, **where)
        lines += [
            {
                "id": event.event_id,
                "time_ms": event.timestamp_ms,
                "stream": stream.name,
                "text": event.message,
            }
            for event in events
        ]
    lines.sort(key=lambda line: (line["time_ms"], line["id"]))
    return {"lines": lines[-LINES_MOST:]}
