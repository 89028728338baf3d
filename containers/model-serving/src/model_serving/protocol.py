"""uvicorn's HTTP protocol with a short way for predictions that are answered on the loop.

Everything else takes uvicorn's own way: a scope, a task, an event and four messages for each request, which
cost three times what a compiled model's prediction does. The short way answers from the parser's callback in
one write, and gives up for uvicorn's way whenever something is out of the ordinary.

A client sends the same head again and again, and parsing it costs as much as the prediction of one row. Heads
of the short way are therefore kept (:mod:`heads`): a request that arrives in one piece, with a head that is
known byte by byte, is answered without the parser.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from model_serving.app import App
from model_serving.heads import HEAD_END, Heads


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        assert isinstance(self.app, App)
        self.served: App = self.app
        self.heads: Heads = self.served.heads
        self.between = True
        self.answered = False
        self.short = False
        self.parts: list[bytes] = []
        self.size = 0
        self.last_s = 0.0
        self.idle_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Answer a whole request with a known head at once, else parse."""
        if not self.between:  # the parser is within a message
            super().data_received(data)
            return
        end = data.find(HEAD_END) + len(HEAD_END)
        headers = self.heads.headers(data[:end], len(data) - end)
        if headers is not None and self._free():
            answer = self.served.answer_now(headers, data[end:])
            if answer is not None:
                self._reply(answer)
                return
        self.answered = False
        super().data_received(data)
        if self.answered and headers is None:
            self.heads.keep(data, end, self.headers, self.size)

    def on_message_begin(self) -> None:
        """The parser is within a message."""
        self.between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Choose the way."""
        parser = self.parser
        if (
            self.url == b"/invocations"
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and not self.expect_100_continue
            and self._free()
        ):
            self.short = True
            self.parts.clear()
            self.size = 0
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Collect the body; a long one goes uvicorn's way."""
        if not self.short:
            super().on_body(body)
            return
        self.parts.append(body)
        self.size += len(body)
        if self.size > self.served.quick_bytes:
            self._take_the_long_way()

    def on_message_complete(self) -> None:
        """Answer."""
        if self.short:
            body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
            answer = self.served.answer_now(self.headers, body)
            if answer is not None:
                self.short = False
                self.between = self.answered = True
                self._reply(answer)
                return
            self._take_the_long_way()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Of uvicorn's way."""
        self.last_s = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        if self.idle_timer is not None:
            self.idle_timer.cancel()
        self.short = False
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Answer what has begun to arrive before closing."""
        if self.short:
            self._take_the_long_way()
        super().shutdown()

    def _free(self) -> bool:
        """Whether a request can be answered at once: none waits before it, and the client reads answers."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and self.served.quick
        )

    def _reply(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.server_state.total_requests += 1
        self._rest()

    def _take_the_long_way(self) -> None:
        self.short = False
        super().on_headers_complete()
        for part in self.parts:
            super().on_body(part)
        self.parts.clear()

    def _rest(self) -> None:
        """Close the connection when it has been idle; one timer serves many requests."""
        self.last_s = self.loop.time()
        if self.idle_timer is None:
            self.idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        if self.transport.is_closing():
            return
        busy = self.short or (self.cycle is not None and not self.cycle.response_complete)
        left_s = self.timeout_keep_alive - (self.loop.time() - self.last_s)
        if busy or left_s > 0:
            self.idle_timer = self.loop.call_later(max(left_s, 1.0), self._look_whether_idle)
        else:
            self.transport.close()
