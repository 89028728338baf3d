"""One HTTP connection: uvicorn's, with limits on what a peer may make the server keep, and a way to drop it.

uvicorn bounds neither the size of headers (its C parser keeps all) nor the time that they, or a body, may
take: one slow or endless sender holds memory and a connection for ever ("slow-loris").
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sagemaker_local.faults.injection import ABORT

HEADERS_MAXIMUM_BYTES = 64 * 1024
"""AWS's load balancers take 64 KiB of headers; 8 KiB is S3's own limit of a request's headers."""
HEADERS_TIMEOUT_S = 30.0
"""From the first byte of a request to the end of its headers."""
BODY_IDLE_TIMEOUT_S = 120.0
"""Longest pause of a sender within a body while the server waits for it."""
CHECK_INTERVAL_S = 5.0


class Connection(HttpToolsProtocol):
    """Counts and times what arrives; one timer for each connection."""

    _header_bytes = 0
    _in_headers = True
    _refused = False
    _waiting_since_s: float | None = None
    _check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start watching: a peer that connects and says nothing is told goodbye as well."""
        super().connection_made(transport)
        self._waiting_since_s = self.loop.time()
        self._check = self.loop.call_later(CHECK_INTERVAL_S, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._check is not None:
            self._check.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, unless these are headers without end."""
        if self._in_headers:
            if self._waiting_since_s is None:
                self._waiting_since_s = self.loop.time()
            self._header_bytes += len(data)
        else:
            self._waiting_since_s = self.loop.time()
        super().data_received(data)
        if self._in_headers and self._header_bytes > HEADERS_MAXIMUM_BYTES:
            self._refuse(431, b"The headers are larger than 64 KiB.")

    def on_message_begin(self) -> None:
        """Give the application its way to drop the connection."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"call": self.transport.abort}}

    def on_headers_complete(self) -> None:
        """The rest is the body, which the application bounds."""
        if (
            sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
            > HEADERS_MAXIMUM_BYTES
        ):
            self._refuse(431, b"The headers are larger than 64 KiB.")
            return
        self._in_headers, self._header_bytes = False, 0
        self._waiting_since_s = self.loop.time()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Nothing is awaited until the next request begins."""
        self._in_headers, self._header_bytes, self._waiting_since_s = True, 0, None
        if not self._refused:
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Hand on what arrives, unless the request was refused."""
        if not self._refused:
            super().on_body(body)

    def _refuse(self, status: int, message: bytes) -> None:
        self._refused = True
        if self.transport.is_closing():
            return
        self.transport.write(
            STATUS_LINE[status] + b"content-type: text/plain\r\ncontent-length: %d\r\n" % len(message)
            + b"connection: close\r\n\r\n" + message
        )  # fmt: skip
        self.transport.close()

    def _check_time(self) -> None:
        waited_s = 0.0 if self._waiting_since_s is None else self.loop.time() - self._waiting_since_s
        if self._in_headers and waited_s > HEADERS_TIMEOUT_S:
            if self._header_bytes:
                self._refuse(408, b"The headers did not arrive in time.")
            self.transport.close()
        elif not self._in_headers and self.flow.read_paused:
            self._waiting_since_s = self.loop.time()  # it is the server that makes the sender wait
        elif not self._in_headers and waited_s > BODY_IDLE_TIMEOUT_S:
            self.transport.close()
        self._check = self.loop.call_later(CHECK_INTERVAL_S, self._check_time)
