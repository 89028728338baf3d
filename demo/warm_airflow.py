"""Airflow's processes with everything in memory that they and their tasks import.

Each of Airflow's four processes imports for three to five seconds of processor time, mostly the same. Each
task runs in a process of its own, and importing great-expectations costs it three seconds, the Amazon
provider's hooks one. Forked from a process that has imported all of it, both start in a moment. Only the demo
and the tests do this; nothing depends on it, a cold start just takes longer.

    python -P warm_airflow.py scheduler          # import, then be `airflow scheduler`
    python -P warm_airflow.py --fork PLAN.json   # import, and fork several of them

A plan says where to write process ids and exit codes (``folder``), what to run (``services``: name →
arguments, log, environment), and what of ``airflow_sagemaker`` to run once before the scheduler starts
(``first``). Nothing is forked before ``folder/go`` is there: until then the database need not be.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

PROCESSES_IMPORT = (
    "airflow.api_fastapi.app",
    "airflow.api_fastapi.execution_api.app",
    "airflow.cli.commands.api_server_command",
    "airflow.dag_processing.manager",
    "airflow.jobs.triggerer_job_runner",
    "aiobotocore.session",
)
"""What the API server, the DAG processor and the triggerer import."""

TASKS_IMPORT = (
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.sdk",
    "airflow.sdk.execution_time.task_runner",
    "airflow_sagemaker.hooks.jobs",
    "airflow_sagemaker.operators.approved_model",
    "airflow_sagemaker.operators.compilation",
    "airflow_sagemaker.operators.endpoint",
    "airflow_sagemaker.operators.metrics",
    "airflow_sagemaker.operators.model",
    "airflow_sagemaker.operators.processing",
    "airflow_sagemaker.operators.publication",
    "airflow_sagemaker.operators.quality",
    "airflow_sagemaker.operators.training",
    "airflow_sagemaker.operators.transform",
    "airflow_sagemaker.specs.loading",
    "airflow_sagemaker.triggers.endpoint",
    "airflow_sagemaker.triggers.job",
)
"""What DAG files import, and what tasks do in ``execute``."""

GATES_IMPORT = (
    "airflow.executors.local_executor",
    "airflow.jobs.scheduler_job_runner",
    "airflow_sagemaker.hooks.quality",
    "airflow_sagemaker.hooks.tables",
    "great_expectations",
)
"""What the scheduler imports, and of tasks only gates do: last, so that the others need not wait for it."""

TRIGGERER_LOOP_S = 0.2
"""Airflow 3.3.2 hands triggers over once a second, three times for each task that defers, with no setting."""

GO_POLL_S = 0.02
PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> int:
    """Import, then be one process of Airflow or fork several."""
    sys.path.append(str(Path(__file__).resolve().parent.parent / "plugins"))
    if arguments[0] == "--fork":
        return fork_all(json.loads(Path(arguments[1]).read_text()))
    load((*TASKS_IMPORT, *GATES_IMPORT))
    importlib.import_module("airflow_sagemaker.preload").preload()
    return airflow(arguments)


def load(names: Iterable[str]) -> None:
    """Import modules."""
    for name in names:
        importlib.import_module(name)


def airflow(arguments: Sequence[str]) -> int:
    """Be ``airflow <arguments>``; returns its exit code."""
    if arguments[0] == "triggerer":
        hasten(importlib.import_module("airflow.jobs.triggerer_job_runner"))
    sys.argv = ["airflow", *arguments]
    importlib.import_module("airflow.__main__").main()
    return 0


def hasten(triggerer: Any) -> None:
    """Have the triggerer look more often, and make the API ready that its first trigger asks."""
    supervisor, loop = triggerer.TriggerRunnerSupervisor, triggerer.anyio
    run, serve = supervisor.run, supervisor._service_subprocess

    def run_ready(self: Any) -> None:
        # Now that its subprocess is forked: making it takes two seconds and starts threads.
        threading.Thread(target=lambda: self.client, daemon=True).start()
        run(self)

    def serve_often(self: Any, max_wait_time: float, *arguments: Any, **named: Any) -> Any:
        return serve(self, min(max_wait_time, TRIGGERER_LOOP_S), *arguments, **named)

    class Often:
        """anyio, but for how long the loop of the triggers rests."""

        def move_on_after(self, delay: float, **named: Any) -> Any:
            return loop.move_on_after(min(delay, TRIGGERER_LOOP_S), **named)

        def __getattr__(self, name: str) -> Any:
            return getattr(loop, name)

    supervisor.run, supervisor._service_subprocess = run_ready, serve_often
    triggerer.anyio = Often()


def first(arguments: Sequence[str]) -> int:
    """Be ``python -m airflow_sagemaker <arguments>``."""
    sys.argv = ["airflow_sagemaker", *arguments]
    runpy.run_module("airflow_sagemaker", run_name="__main__", alter_sys=True)
    return 0


def fork_all(plan: dict[str, Any]) -> int:
    """Fork the services of a plan, note how each ends, and end with the last of them."""
    folder = Path(plan["folder"])
    services = plan["services"]
    load((*PROCESSES_IMPORT, *TASKS_IMPORT))
    while not (folder / "go").exists():
        time.sleep(GO_POLL_S)
    gc.freeze()  # the collector would write to pages that all of them share
    names = {}
    for name in [each for each in services if each != "scheduler"]:
        names[fork(folder, name, services[name], airflow)] = name
    if plan["first"]:
        names[fork(folder, "first", plan["first"], first)] = "first"
    load(GATES_IMPORT)
    importlib.import_module("airflow_sagemaker.preload").preload()
    while "first" in names.values():
        note_end(folder, names)
    gc.freeze()
    if "scheduler" in services:
        names[fork(folder, "scheduler", services["scheduler"], airflow)] = "scheduler"
    while names:
        note_end(folder, names)
    return 0


def note_end(folder: Path, names: dict[int, str]) -> None:
    """Wait for the end of one child; its code is written before it is buried, for who watches it."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    assert ended is not None  # WNOHANG was not asked for
    if (name := names.pop(ended.si_pid, None)) is not None:
        code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        write(folder / f"{name}.code", str(code))
    os.waitpid(ended.si_pid, 0)


def write(path: Path, text: str) -> None:
    """A file that is never seen half written."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def fork(folder: Path, name: str, service: dict[str, Any], be: Callable[[Sequence[str]], int]) -> int:
    """Start a service as a child in a session of its own; its process id."""
    this = os.getpid()
    if process_id := os.fork():
        write(folder / f"{name}.pid", str(process_id))
        return process_id
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != this:
            os._exit(1)
        with open(service["log"], "ab") as log:
            for descriptor in (1, 2):
                os.dup2(log.fileno(), descriptor)
        if environment := service.get("environment"):
            os.environ.update(environment)
            settings = importlib.import_module("airflow.settings")
            settings.configure_vars()
            settings.reconfigure_orm()  # which read the address of the database when it was imported
        code = be(service["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
