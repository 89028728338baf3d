"""One process that serves: uvicorn on an open socket until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from types import FrameType

import numpy as np
import uvicorn
import uvloop

from model_serving.app import App
from model_serving.handlers import Functions, Handler
from model_serving.metrics import Metrics
from model_serving.multi_model import Models
from model_serving.protocol import Protocol
from model_serving.request_log import say
from model_serving.settings import Settings

LAST_TURNS = 5


class Server(uvicorn.Server):
    """Uvicorn's, which takes what has arrived before it closes.

    A loop that was busy predicting finds requests and connections in its sockets; closing at once would cut
    them off.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the loop look at its sockets a few times more."""
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)


def run(
    settings: Settings,
    functions: Functions,
    handler: Handler | None,
    metrics: Metrics,
    listener: socket.socket,
    number: int = 0,
    lifeline: int | None = None,
) -> None:
    """Serve until SIGTERM, then finish what is under way.

    Args:
        settings: The server's.
        functions: The user's.
        handler: The loaded model; None with the multi-model API.
        metrics: Shared by all processes.
        listener: Bound and listening.
        number: Of this process, from 0.
        lifeline: A pipe that ends when the parent does.
    """
    metrics.take_line(number)
    models = Models(settings, functions) if settings.multi_model else None
    if handler is not None:
        _warm_up(handler)
        _stay(handler, number, settings.workers)
    app = App(settings, metrics, handler, models)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_s,
    )
    server = Server(config)

    def stop(number: int, frame: FrameType | None) -> None:
        # Before uvicorn takes over, because who sent it sends no other. Afterwards uvicorn raises it again,
        # when it has drained; the process has ended well by then.
        server.should_exit = True

    for number_of_signal in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number_of_signal, stop)

    def orphaned(pipe: int) -> None:
        server.should_exit = True
        asyncio.get_running_loop().remove_reader(pipe)

    async def serve() -> None:
        if lifeline is not None:
            asyncio.get_running_loop().add_reader(lifeline, orphaned, lifeline)
        await server.serve(sockets=[listener])
        app.log.flush()

    what = "models by the multi-model API" if handler is None else f"the {_kind(handler)} model"
    say(f"serving {what} in process {os.getpid()}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def _stay(handler: Handler, number: int, workers: int) -> None:
    """Keep each of several workers on a CPU of its own, where there is one for each and one is enough for it.

    Two workers on one CPU, with another process alone on the next, take turns of milliseconds: the callers of
    one wait while the other predicts. The kernel evens that out late. Libraries with threads of their own
    want all CPUs; code from our compiler is known to have none.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if 1 < workers == len(cpus) and getattr(handler.model, "one_thread", False):
        os.sched_setaffinity(0, {cpus[number]})


def _kind(handler: Handler) -> str:
    return str(getattr(handler.model, "kind", type(handler.model).__name__))


def _warm_up(handler: Handler) -> None:
    """The first prediction sets up buffers and kernels; no caller should wait for that."""
    if not handler.batchable or handler.shape.features is None or handler.functions.input_fn is not None:
        return
    try:
        handler.predict(np.zeros((1, handler.shape.features)))
    except Exception as error:  # of the user's code, on a row that nobody sent
        say(f"warming up with a row of zeros: {type(error).__name__}: {error}")
