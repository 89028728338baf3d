"""``serve``: what SageMaker starts in a model's container."""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from types import FrameType

# Before numpy comes: a pool of threads costs memory, and small rows gain nothing from it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from model_serving import handlers, processes, settings, worker
from model_serving.errors import StartError
from model_serving.handlers import Functions, Handler
from model_serving.metrics import Metrics
from model_serving.request_log import say


def main() -> int:
    """Serve until SIGTERM; the exit code."""
    signal.signal(signal.SIGTERM, _stop_early)
    try:
        return _serve(settings.read())
    except StartError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1


def _serve(told: settings.Settings) -> int:
    listeners = processes.listen(told)
    functions = handlers.find(told.module, told.model_dir, Path.cwd())
    metrics = Metrics(told.workers)
    preloaded = _load(told, functions) if told.preload or told.workers == 1 else None
    if preloaded is not None and told.workers > 1 and (threads := len(os.listdir("/proc/self/task"))) > 1:
        # Threads do not survive a fork, and who waits for them waits for ever.
        say(f"the model started {threads - 1} threads: every process loads it by itself")
        os.environ["MODEL_SERVER_PRELOAD"] = "false"
        processes.hand_on(listeners)
        os.execv(sys.executable, [sys.executable, "-m", "model_serving"])  # noqa: S606

    def work(listener: socket.socket, number: int, lifeline: int | None) -> None:
        handler = preloaded or _load(told, functions)
        worker.run(told, functions, handler, metrics, listener, number, lifeline)

    if told.workers == 1:
        work(listeners[0], 0, None)
        return 0
    return processes.Parent(listeners, work, told.drain_s).run()


def _load(told: settings.Settings, functions: Functions) -> Handler | None:
    """The model, or None where models come by the multi-model API.

    Raises:
        StartError: it cannot be loaded.
    """
    if told.multi_model:
        return None
    try:
        return handlers.load(functions, told.model_dir, told.columns)
    except StartError:
        raise
    except Exception as error:  # what the user's model_fn raises
        known = type(error).__module__.startswith("model_serving")
        if not known:
            traceback.print_exc()
        raise StartError(f"{told.model_dir}: {'' if known else f'{type(error).__name__}: '}{error}") from None


def _stop_early(number: int, frame: FrameType | None) -> None:
    """Process 1 of a container ignores signals that it does not take; nothing is under way yet."""
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
