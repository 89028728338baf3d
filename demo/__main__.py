"""``python -m demo [--exit]``: set up, run the chain, show the summary, stay up until Ctrl-C."""

from __future__ import annotations

import argparse
import fcntl
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import TextIO

from rich.console import Console
from rich.text import Text

from demo import aws, jobs, pictures, summary
from demo.airflow_api import AirflowApiError
from demo.airflow_settings import SHORT_JOBS
from demo.chain import Chain, DemoError
from demo.progress import Progress
from demo.runs import RunFailedError
from demo.stack import ROOT, Stack, StackError, StackSettings

HOME = ROOT / "build" / "demo"


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="stop when the chain has ended")
    parser.add_argument("--home", type=Path, default=HOME, help="where everything is written")
    parser.add_argument("--started", type=float, default=time.time(), help="Unix time of the command")
    parser.add_argument("--sagemaker-port", type=int, default=4566)
    parser.add_argument("--airflow-port", type=int, default=8080)
    options = parser.parse_args(arguments)
    console = Console()
    home = options.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _as_interrupt)
    stack = Stack(
        StackSettings(
            home=home,
            sagemaker_port=options.sagemaker_port,
            airflow_port=options.airflow_port,
            connection_settings=SHORT_JOBS,
            forked=True,
        )
    )
    lock = _lock(home)
    attached = lock is None
    if attached and not stack.attach():
        console.print(f"Another demo is starting in {home}; wait for it or stop it.")
        return 1
    try:
        _run(stack, Progress(console), home, started=options.started, attached=attached)
        if not options.exit and not attached:
            console.print("\nEverything stays up. Ctrl-C stops it.")
            _wait(stack)
    except KeyboardInterrupt:
        console.print("\nStopping …")
    except (StackError, RunFailedError, DemoError, AirflowApiError, TimeoutError) as error:
        console.print(Text(f"\nThe demo failed: {error}", style="red"), soft_wrap=True)
        console.print(f"Logs of the processes lie in {home / 'logs'}.")
        return 1
    finally:
        if not attached:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            stack.stop()
    return 0


def _run(stack: Stack, progress: Progress, home: Path, *, started: float, attached: bool) -> None:
    with progress.shown():
        if not attached:
            with progress.stage("Start the local SageMaker") as stage:
                stack.begin(lambda part: setattr(stage, "detail", part))
                stage.detail = stack.sagemaker_url
        chain = Chain(stack, progress)
        chain.land()
        if not attached:
            with progress.stage("Start Airflow") as stage:
                stack.wait_until_healthy()
                stage.detail = stack.airflow_url
        for note in stack.notes:
            progress.note(note)
        told = len(stack.notes)
        setup_s = time.time() - started
        with ThreadPoolExecutor(1) as beside:
            beside.submit(pictures.load)
            result = chain.run()
        for note in stack.notes[told:]:
            progress.note(note)
        with progress.stage("Write the summary and pictures"):
            intervals = jobs.intervals(aws.client("sagemaker", stack.sagemaker_url), result.started_at)
            pictures.draw(home, result, intervals)
            timing = summary.Timing(setup_s=setup_s, wall_s=time.time() - started)
            content = summary.document(result, intervals, timing, stack.sagemaker_url)
            summary.write(home, content)
    summary.show(progress.console, content, stack, home)
    if wrong := content["endpoint"]["predictions_wrong"]:
        raise DemoError(f"{wrong} answers of the endpoint differ from the nightly batch")


def _wait(stack: Stack) -> None:
    """Until Ctrl-C, or until a process of the stack dies."""
    while True:
        stack.check()
        time.sleep(1)


def _lock(home: Path) -> TextIO | None:
    """Own the home as long as this process lives; None where another demo does."""
    handle = (home / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
