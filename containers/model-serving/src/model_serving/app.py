"""SageMaker's routes as one plain ASGI application.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html,
…/your-algorithms-batch-code.html and …/mms-container-apis.html
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from model_serving.errors import Refusal, TooLarge
from model_serving.handlers import Handler
from model_serving.heads import Heads
from model_serving.metrics import Metrics
from model_serving.multi_model import Models
from model_serving.request_log import Entry, RequestLog, write_exception
from model_serving.running import Running
from model_serving.settings import Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Route = Callable[[Scope, Receive, Send], Awaitable[None]]

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"
PAYLOAD_MB = 6
"""What AWS takes as MaxPayloadInMB by default."""
UNDER_WAY_MB = 100
"""The most that AWS takes for MaxConcurrentTransforms times MaxPayloadInMB."""
LINGER_S = 10.0
"""So long a client may go on sending a body that was refused."""


Headers = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """The answer to a prediction."""

    body: bytes
    content_type: bytes
    status: int = 200
    more: tuple[tuple[bytes, bytes], ...] = ()

    def headers(self) -> Headers:
        """All that go out."""
        length = b"%d" % len(self.body)
        return [(b"content-type", self.content_type), (b"content-length", length), *self.more]


class Gone(Exception):
    """The client went away before its request was complete."""


class App:
    """The application of one process: a model, or the models of the multi-model API."""

    def __init__(
        self, settings: Settings, metrics: Metrics, handler: Handler | None, models: Models | None
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._handler = handler
        self._models = models
        self._running = Running(settings)
        self.log = RequestLog(settings.access_log)
        self.heads = Heads()
        self.quick = handler is not None
        """Whether :meth:`answer_now` is worth a try."""
        # Longer bodies would keep /ping waiting, or are not accepted at all.
        self.quick_bytes = min(settings.inline_bytes, settings.max_body_bytes)
        self._routes: dict[str, dict[str, Route]] = {
            "/ping": {"GET": self._ping},
            "/invocations": {"POST": self._invocations},
            "/execution-parameters": {"GET": self._execution_parameters},
            "/metrics": {"GET": self._show_metrics},
        }
        if models is not None:
            del self._routes["/invocations"]
            self._routes["/models"] = {"GET": self._list_models, "POST": self._load_model}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the route."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        # The one that counts comes before any search.
        if path == "/invocations" and method == "POST" and self._handler is not None:
            await self._invoke(self._handler, scope, receive, send)
            return
        methods = self._routes.get(path) or self._of_model(path)
        if methods is None:
            known = [*self._routes, *(["/models/{name}", "/models/{name}/invoke"] if self._models else [])]
            await _answer(send, 404, f"there are {', '.join(known[:-1])} and {known[-1]}\n".encode())
        elif method not in methods:
            await _answer(send, 405, f"{path} takes {' and '.join(methods)}\n".encode())
        else:
            await methods[method](scope, receive, send)

    def _of_model(self, path: str) -> dict[str, Route] | None:
        if self._models is None or not path.startswith("/models/"):
            return None
        name = path.removeprefix("/models/")
        if name.endswith("/invoke"):
            return {"POST": self._invoke_model}
        return {"GET": self._describe_model, "DELETE": self._unload_model}

    async def _ping(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, b"\n")

    async def _invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._handler is not None
        await self._invoke(self._handler, scope, receive, send)

    async def _execution_parameters(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self._settings
        payload_mb = min(PAYLOAD_MB, settings.max_body_bytes // (1024 * 1024))
        # The kernel spreads connections by chance: with two for each worker, one of two workers has none in
        # one case of eight; with four, in one of 128.
        concurrent = 4 * settings.workers * settings.threads
        parameters = {
            "MaxConcurrentTransforms": min(concurrent, UNDER_WAY_MB // max(payload_mb, 1)),
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": payload_mb,
        }
        await _answer(send, 200, orjson.dumps(parameters), JSON)

    async def _show_metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, self._metrics.text(), b"text/plain; version=0.0.4; charset=utf-8")

    def answer_now(self, headers: Headers, body: bytes) -> bytes | None:
        """The whole response to a prediction, or None where it has to wait for a thread."""
        handler = self._handler
        if handler is None or len(body) > self.quick_bytes or not self._running.inline(handler, body):
            return None
        began = time.perf_counter()
        content_type = accept = b""
        for name, value in headers:
            if name == b"content-type":
                content_type = value
            elif name == b"accept":
                accept = value
        reply = None
        try:
            answer, answer_type = handler.answer(body, handler.negotiate(content_type, accept))
        except Exception as error:  # what the user's functions raise is the answer
            reply = self._reply_to(error, handler, headers)
        took_s = time.perf_counter() - began
        self._running.took(handler, body, took_s)
        self._metrics.count(200 if reply is None else reply.status, took_s)
        if self.log.lowest_status <= 200 or reply is not None:
            self._log(reply or Reply(answer, answer_type), took_s, "/invocations", headers, len(body))
        if reply is None:
            return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (
                answer_type,
                len(answer),
                answer,
            )
        lines = b"".join(b"%b: %b\r\n" % line for line in reply.headers())
        phrase = HTTPStatus(reply.status).phrase.encode()
        return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (reply.status, phrase, lines, reply.body)

    async def _invoke(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a prediction."""
        began = time.perf_counter()
        self._metrics.begin()
        headers = scope["headers"]
        known = dict(headers)
        body = b""
        unread = False
        try:
            length = int(known.get(b"content-length", b"0"))
            if length > self._settings.max_body_bytes:
                raise self._too_large(length)
            body = await self._read(receive)
            negotiated = handler.negotiate(known.get(b"content-type", b""), known.get(b"accept", b""))
            if self._running.inline(handler, body):
                reply = Reply(*self._running.now(handler, body, negotiated))
            else:
                reply = Reply(*await self._running.later(handler, body, negotiated))
        except Gone:
            self._metrics.left()
            return
        except TooLarge as error:
            reply, unread = self._reply_to(error, handler, headers), True
        except Exception as error:  # what the user's functions raise is the answer
            reply = self._reply_to(error, handler, headers)
        took_s = time.perf_counter() - began
        # Before it goes out: who has an answer finds it counted, whichever process tells the sums.
        self._metrics.end(reply.status, took_s)
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers()})
        await send({"type": "http.response.body", "body": reply.body, "more_body": unread})
        if unread:
            await _linger(receive)
            await send({"type": "http.response.body", "body": b""})
        self._log(reply, took_s, scope["path"], headers, len(body))

    def _reply_to(self, error: Exception, handler: Handler, headers: Headers) -> Reply:
        if isinstance(error, Refusal):
            more: tuple[tuple[bytes, bytes], ...] = ()
            if error.retry_after_s is not None:
                more = ((b"retry-after", b"%d" % error.retry_after_s),)
            if error.status == 413:
                more = ((b"connection", b"close"),)
            return Reply(f"{error}\n".encode(), TEXT, error.status, more)
        write_exception(self.log.request_id(headers), error)
        text = f"{handler.functions.module}: {type(error).__name__}: {error}\n"
        return Reply(text.encode(), TEXT, 500)

    def _log(self, reply: Reply, took_s: float, path: str, headers: Headers, bytes_in: int) -> None:
        if reply.status >= self.log.lowest_status:
            self.log.add(
                Entry(
                    time=time.time(),
                    request_id=self.log.request_id(headers),
                    method="POST",
                    path=path,
                    status=reply.status,
                    ms=round(took_s * 1000, 3),
                    bytes_in=bytes_in,
                    bytes_out=len(reply.body),
                    reason="" if reply.status < 400 else reply.body.decode(errors="replace").rstrip("\n"),
                )
            )

    async def _read(self, receive: Receive) -> bytes:
        """The whole body."""
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return body
        chunks, length = [body], len(body)
        while message.get("more_body", False):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunks.append(message.get("body", b""))
            length += len(chunks[-1])
            if length > self._settings.max_body_bytes:
                raise self._too_large(length)
        return b"".join(chunks)

    def _too_large(self, length: int) -> TooLarge:
        limit = self._settings.max_body_bytes
        return TooLarge(
            f"the body has {length} bytes or more, {limit} are accepted (MODEL_SERVER_MAX_BODY_MB)"
        )

    async def _list_models(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._models is not None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        token = (query.get("next_page_token") or query.get("nextPageToken") or [""])[0]
        await _answer(send, 200, orjson.dumps(self._models.page(token)), JSON)

    async def _load_model(self, scope: Scope, receive: Receive, send: Send) -> None:
        models = self._models
        assert models is not None
        try:
            name, url = models.reserve(await self._read(receive))
            await self._running.in_thread(lambda: models.load(name, url))
            answer = 200, orjson.dumps(models.describe(name)), JSON
        except Gone:
            return
        except Refusal as refusal:
            answer = _refused(refusal)
        await _answer(send, *answer)

    async def _describe_model(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._models is not None
        try:
            answer = 200, orjson.dumps(self._models.describe(_name(scope))), JSON
        except Refusal as refusal:
            answer = _refused(refusal)
        await _answer(send, *answer)

    async def _unload_model(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._models is not None
        try:
            self._running.forget(self._models.unload(_name(scope)))
            answer = 200, b"", JSON
        except Refusal as refusal:
            answer = _refused(refusal)
        await _answer(send, *answer)

    async def _invoke_model(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._models is not None
        try:
            handler = self._models.handler(_name(scope).removesuffix("/invoke"))
        except Refusal as refusal:
            await _answer(send, *_refused(refusal))
            return
        await self._invoke(handler, scope, receive, send)


async def _linger(receive: Receive) -> None:
    """Take what the client still sends, and forget it.

    Closing on it resets the connection, and a reset takes away from the client what it was answered.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body", False):
                pass


def _name(scope: Scope) -> str:
    return str(scope["path"]).removeprefix("/models/")


def _refused(refusal: Refusal) -> tuple[int, bytes, bytes]:
    return refusal.status, f"{refusal}\n".encode(), TEXT


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = TEXT,
    more: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
