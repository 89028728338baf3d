"""HTTP/1.1 to a container on loopback: kept-alive connections, a C parser, well below a millisecond.

A general client (httpx) takes longer per request than a fast model; a container is one port on loopback, so a
pool of plain streams is enough.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import httptools

from sagemaker_local.executors.base import Dial

READ_BYTES = 256 * 1024
IDLE_CONNECTIONS_MAXIMUM = 64
IDLE_MOST_S = 1.0
"""Less than servers wait before they close an idle connection (gunicorn 2 s, uvicorn 5 s): a request must not
meet that moment, because one that may have been taken is not sent twice."""


class ConnectionLost(Exception):
    """The container closed the connection, or never took it; says at which step."""


class NotListening(ConnectionLost):
    """The container took no connection: nothing was sent, so it may be sent elsewhere."""


@dataclass(slots=True)
class Answer:
    """A container's answer; the body is empty when it went to a sink.

    Attributes:
        status: HTTP status.
        headers: By lower-case name; of repeated ones the last.
        body: All bytes of the body.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Reading:
    """httptools' callbacks: collects one answer."""

    def __init__(self, sink: Callable[[bytes], None] | None, headed: Callable[[Answer], None] | None) -> None:
        self.headed = headed
        self.answer = Answer()
        self.finished = False
        self.started = False
        self.keep_alive = False
        self.sink = sink
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.started = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.answer.status = self.parser.get_status_code()
        if self.headed is not None and self.answer.status >= 200:
            self.headed(self.answer)

    def on_body(self, body: bytes) -> None:
        # Only a success is data; an error's text belongs in the message.
        if self.sink is not None and self.answer.status < 300:
            self.sink(body)
        else:
            self.answer.body += body

    def on_message_complete(self) -> None:
        # 100 Continue and other interim answers come before the real one.
        self.finished = self.answer.status >= 200
        self.keep_alive = self.parser.should_keep_alive()  # the parser forgets it with the message


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: bool = False
    idle_since: float = 0.0


class Client:
    """Requests to one port.

    Args:
        port: Where the container listens.
        host: Its address.
        dial: Makes connections where the address does not lead to it.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", dial: Dial | None = None) -> None:
        self._host = host
        self._dial = dial
        self._port = port
        self._idle: list[_Connection] = []

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] = b"",
        *,
        timeout_s: float,
        sink: Callable[[bytes], None] | None = None,
        headed: Callable[[Answer], None] | None = None,
        keep: bool = True,
    ) -> Answer:
        """Send one request and read its answer; cancelling closes the connection.

        Args:
            method: HTTP method.
            path: Path of the request.
            headers: Sent as they are, beside Host and the body's length.
            body: Bytes, or parts that are sent with chunked transfer encoding.
            timeout_s: For everything together.
            sink: Takes the body of a success as it arrives, instead of the answer.
            headed: Is told once the answer has its status and headers, before the first of its body.
            keep: Whether the connection may have been used before and may be used again.

        Raises:
            ConnectionLost: no connection, or it broke before the answer was whole.
            TimeoutError: no whole answer in time.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                connection = await self._connect(keep)
                reading = _Reading(sink, headed)
                given = {**(headers or {}), **({} if keep else {"connection": "close"})}
                try:
                    await self._exchange(connection, reading, method, path, given, body)
                except (OSError, EOFError, httptools.HttpParserError) as error:
                    connection.writer.close()
                    # Perhaps the container closed a kept connection meanwhile; only a GET may be sent twice.
                    if connection.used and not reading.started and method == "GET":
                        continue
                    raise ConnectionLost(
                        f"the container closed the connection before it answered {method} {path} "
                        f"({type(error).__name__}: {error})"
                    ) from error
                except BaseException:
                    connection.writer.close()
                    raise
                if keep:
                    self._keep(connection, reading)
                else:
                    connection.writer.close()
                return reading.answer

    def close(self) -> None:
        """Close idle connections; those in use end with their requests."""
        while self._idle:
            self._idle.pop().writer.close()

    async def _connect(self, keep: bool) -> _Connection:
        while keep and self._idle:
            connection = self._idle.pop()
            fresh = time.monotonic() - connection.idle_since < IDLE_MOST_S
            if fresh and not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        try:
            if self._dial is not None:
                made = await self._dial()
                reader, writer = await asyncio.open_connection(sock=made, limit=READ_BYTES)
            else:
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=READ_BYTES)
        except OSError as error:
            raise NotListening(f"the container does not listen on port {self._port}: {error}") from error
        return _Connection(reader, writer)

    async def _exchange(
        self,
        connection: _Connection,
        reading: _Reading,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
    ) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if not isinstance(body, bytes):
            lines.append("transfer-encoding: chunked")
        elif body or method == "POST":
            lines.append(f"content-length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        sending = None
        if isinstance(body, bytes) and len(body) < READ_BYTES:
            connection.writer.write(head + body)
        else:
            connection.writer.write(head)
            send = _send_pieces if isinstance(body, bytes) else _send_chunks
            sending = asyncio.create_task(send(connection.writer, body))  # type: ignore[arg-type]
        try:
            await _read(connection.reader, reading)
        finally:
            # An early answer (413, say) ends the sending; the connection is then not used again.
            if sending is not None:
                if not sending.done():
                    sending.cancel()
                    reading.answer.headers["connection"] = "close"
                await asyncio.gather(sending, return_exceptions=True)

    def _keep(self, connection: _Connection, reading: _Reading) -> None:
        closing = reading.answer.headers.get("connection", "").lower() == "close"
        if closing or not reading.keep_alive or len(self._idle) >= IDLE_CONNECTIONS_MAXIMUM:
            connection.writer.close()
            return
        connection.used = True
        connection.idle_since = time.monotonic()
        self._idle.append(connection)


async def _send_pieces(writer: asyncio.StreamWriter, body: bytes) -> None:
    """A long body without a second copy of it in the transport's buffer."""
    view = memoryview(body)
    for start in range(0, len(body), READ_BYTES):
        writer.write(view[start : start + READ_BYTES])
        await writer.drain()


async def _send_chunks(writer: asyncio.StreamWriter, parts: Iterable[bytes]) -> None:
    iterator = iter(parts)
    # The parts come from a file: reading them must not stop the event loop.
    while (part := await asyncio.to_thread(next, iterator, None)) is not None:
        if part:
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _read(reader: asyncio.StreamReader, reading: _Reading) -> None:
    while not reading.finished:
        data = await reader.read(READ_BYTES)
        if data:
            reading.parser.feed_data(data)
            continue
        # Without a length the body ends with the connection.
        bounded = "content-length" in reading.answer.headers or "transfer-encoding" in reading.answer.headers
        if reading.answer.status >= 200 and not bounded:
            reading.answer.headers["connection"] = "close"
            return
        raise EOFError("end of stream")
