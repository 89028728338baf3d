"""The model server: SageMaker's two routes as one plain ASGI application.

``GET /ping`` answers 200 once the model is loaded; ``POST /invocations`` takes and gives text/csv, one line a
row, all rows of a request in one prediction (see :func:`model.to_csv` for the columns).
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import model
import numpy as np
import opt_ml
import rows
import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

CSV = b"text/csv"
# Above this a prediction is handed to a thread, so that /ping still answers meanwhile.
ROWS_ON_THE_LOOP = 64


def predict_csv(loaded: model.Model, body: bytes) -> bytes:
    """Answer a request's rows in one prediction."""
    return model.to_csv(loaded.predict(rows.parse(body, loaded.features)))


def _media_type(value: bytes) -> bytes:
    return value.split(b";", 1)[0].strip().lower()


def _refusal(headers: dict[bytes, bytes]) -> tuple[int, str] | None:
    content_type = headers.get(b"content-type", b"")
    if _media_type(content_type) != CSV:
        return 415, f"content type {content_type.decode('latin-1')!r} is not supported; send text/csv"
    accepted = {_media_type(part) for part in headers.get(b"accept", b"*/*").split(b",")}
    if not accepted & {CSV, b"text/*", b"*/*", b""}:
        return (
            406,
            f"accept {headers[b'accept'].decode('latin-1')!r} is not supported; the answer is text/csv",
        )
    return None


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when the client went away."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _answer(
    send: Send, status: int, body: bytes, content_type: bytes = b"text/plain; charset=utf-8"
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _load() -> model.Model:
    try:
        return model.load(opt_ml.BASE_DIR / "model")
    except model.ModelError as error:
        raise opt_ml.JobError(str(error)) from None


def create_app(loaded: model.Model | None = None) -> App:
    """The application around a loaded model; by default the one in /opt/ml/model."""
    served = _load() if loaded is None else loaded
    # The first prediction sets up buffers and kernels; no caller should wait for that.
    served.predict(np.zeros((1, served.features)))
    print(f"serving the {served.kind} model in process {os.getpid()}", flush=True)

    async def invoke(scope: Message, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        refusal = _refusal(dict(scope["headers"]))
        if refusal is not None:
            await _answer(send, refusal[0], refusal[1].encode() + b"\n")
            return
        try:
            if body.count(b"\n") > ROWS_ON_THE_LOOP:
                answer = await asyncio.to_thread(predict_csv, served, body)
            else:
                answer = predict_csv(served, body)
        except rows.RowError as error:
            await _answer(send, 400, f"{error}\n".encode())
            return
        await _answer(send, 200, answer, CSV)

    routes = {"/ping": "GET", "/invocations": "POST"}

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method = routes.get(scope["path"])
        if method is None:
            await _answer(send, 404, b"there are /ping and /invocations\n")
        elif scope["method"] != method:
            await _answer(send, 405, f"{scope['path']} takes {method}\n".encode())
        elif method == "GET":
            await _answer(send, 200, b"\n")
        else:
            await invoke(scope, receive, send)

    return app


def serve() -> None:
    """Listen until SIGTERM; ``MODEL_SERVER_WORKERS`` processes share the port."""
    workers_text = os.environ.get("MODEL_SERVER_WORKERS", "1")
    if not workers_text.isdecimal() or int(workers_text) < 1:
        raise opt_ml.JobError(f"MODEL_SERVER_WORKERS={workers_text!r} must be a whole number of at least 1")
    told = os.environ.get("SAGEMAKER_BIND_TO_PORT")
    # Told a port, the network is shared with the host: stay on loopback. Otherwise it is the container's own.
    uvicorn.run(
        "server:create_app",
        factory=True,
        host="127.0.0.1" if told else "0.0.0.0",
        port=int(told or "8080"),
        workers=int(workers_text),
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
    )
