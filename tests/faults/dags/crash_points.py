"""Kills the worker that runs a task at the very place that the run's conf names. Only for tests.

``{"crash": "after_create"}`` kills the first try at that place, with SIGKILL: the task's own process and its
parent, the executor's worker, which would otherwise tell the scheduler. ``{"crash": …, "alone": true}``
kills the task's process only, as the kernel does when memory is short. ``{"crash": …, "hold": true}`` kills
nothing: both stand still until somebody sends SIGCONT, as on a machine that was cut off and comes back.

| place | is |
|---|---|
| ``before_create`` | the request that will cost money is signed, and not sent |
| ``after_create`` | AWS has accepted it, and nobody has read the answer |
| ``on_worker`` | it waits there for its job, and begins to look |
| ``before_defer`` | the task has not told Airflow what waits for it |
| ``after_defer`` | it has just told |
| ``after_resume`` | a worker has it again, after the wait |
| ``before_end`` | the work is done, and Airflow has not been told |
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

PAID = {
    "CreateProcessingJob",
    "CreateTrainingJob",
    "CreateCompilationJob",
    "CreateTransformJob",
    "CreateHyperParameterTuningJob",
    "CreateEndpoint",
    "UpdateEndpoint",
    "CreateModelPackage",
}

WORKER_WAIT_S = 60.0


def arm(context: Any) -> None:
    """For ``pre_execute``: die where the run's conf says so, now or later."""
    ti = context["ti"]
    wanted = (context["dag_run"].conf or {}).get("crash")
    if wanted is None or ti.try_number != 1:
        return
    blow = partial(_strike, context["dag_run"].conf)
    if wanted == "after_resume" and ti._ti_context_from_server.next_method:
        blow()
    if wanted == "on_worker":
        context["task"].worker_wait_s = WORKER_WAIT_S
        _watch_looks(blow)
    _watch_requests(wanted, blow)
    _watch_supervisor(wanted, blow)


def _watch_looks(blow: Callable[[], None]) -> None:
    from airflow_sagemaker.triggers.shared_poll_watch import Watch

    Watch.begin_look = lambda _: blow()  # type: ignore[method-assign, assignment, return-value]


def _watch_requests(wanted: str, blow: Callable[[], None]) -> None:
    from botocore.httpsession import URLLib3Session

    send = URLLib3Session.send

    def watched(self: Any, request: Any) -> Any:
        paid = _operation(request) in PAID
        if paid and wanted == "before_create":
            blow()
        answer = send(self, request)
        if paid and wanted == "after_create":
            blow()
        return answer

    URLLib3Session.send = watched  # type: ignore[method-assign]


def _watch_supervisor(wanted: str, blow: Callable[[], None]) -> None:
    from airflow.sdk.execution_time.comms import CommsDecoder

    send = CommsDecoder.send
    places = {"DeferTask": "defer", "SucceedTask": "end"}

    def watched(self: Any, msg: Any) -> Any:
        place = places.get(type(msg).__name__)
        if wanted == f"before_{place}":
            blow()
        answer = send(self, msg)
        if wanted == f"after_{place}":
            blow()
        return answer

    CommsDecoder.send = watched  # type: ignore[method-assign]


def _operation(request: Any) -> str:
    target = request.headers.get("X-Amz-Target", "")
    text = target.decode() if isinstance(target, bytes) else str(target)
    return text.rpartition(".")[2]


def _strike(conf: dict[str, Any]) -> None:
    number = signal.SIGSTOP if conf.get("hold") else signal.SIGKILL
    if not conf.get("alone"):
        os.kill(os.getppid(), number)
    os.kill(os.getpid(), number)
