"""Runs a job's programs on all its hosts; they live and die together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sagemaker_local.executors.base import ImageError, Program, RunningProgram
from sagemaker_local.jobs.host import Host
from sagemaker_local.jobs.outcome import JobFailed, JobStopped, algorithm_error, client_error, out_of_memory

if TYPE_CHECKING:
    from sagemaker_local.jobs.run import JobRun

FOLLOW_GRACE_S = 5.0
"""What the other hosts' programs have to end when one host's failed."""

SIGNALLED = 128
"""Exit codes above it are those of programs that a signal ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the programs ended.

    Attributes:
        code: 0 when all ended with it, else the exit code of the first that did not.
        host: Whose code it is.
        out_of_memory: Whether that host's memory limit killed something.
        killed_at: When the first of them was ended by a signal, at the earliest; None when none was.
    """

    code: int
    host: Host
    out_of_memory: bool = False
    killed_at: float | None = None

    def failure(self) -> JobFailed:
        """Why the job failed, in AWS's words."""
        reason = self.host.failure_text("output/failure")
        if self.out_of_memory:
            reason = f"{out_of_memory(self.host.group.instance_type)}: {reason}"
        return algorithm_error(reason, self.code)


async def run(run: JobRun, programs: Sequence[tuple[Host, Program]]) -> Ended:
    """Start the programs, each on its host, and wait for their end.

    A host that fails takes the others with it. When the job is stopped each program has its SIGTERM and the
    grace; nothing of them is left in any case.

    Raises:
        JobFailed: one could not be started.
        JobStopped: the job was stopped.
    """
    if run.stopped is not None:
        raise JobStopped(run.stopped)
    run.record.set_private(started=True)
    running: list[tuple[Host, RunningProgram]] = []
    try:
        for host, program in programs:
            started = await run.executor.start(_on(run, host, program), run.log_of(host))
            running.append((host, started))
            host.pid, host.program = started.pid, started
        run.arm_fault()
        ended = await run.unless_stopped(_first_failure(running))
        run.killed_at = ended.killed_at
        return ended
    except ImageError as error:
        await _stop(running, 0)
        raise client_error(str(error)) from error
    except JobStopped:
        asked_at = time.time()  # before: how soon an end is noticed depends on how busy the machine is
        codes = await _stop(running, run.stop_grace_s)
        signalled = [program for (_, program), code in zip(running, codes, strict=True) if code > SIGNALLED]
        run.killed_at = min((asked_at, *map(_ended_at, signalled))) if signalled else None
        raise
    except BaseException:
        await _stop(running, 0)
        raise


def _on(run: JobRun, host: Host, program: Program) -> Program:
    """The program as this host runs it."""
    several = len(run.hosts) > 1
    return replace(
        program,
        opt_ml=host.opt_ml,
        host_name=host.name,
        hosts={each.name: each.address for each in run.hosts} if several else {},
        limits=host.allotment.limits,
    )


async def _first_failure(running: Sequence[tuple[Host, RunningProgram]]) -> Ended:
    """Wait for all, or until one fails: then for the others to be stopped."""
    waiting = {asyncio.create_task(program.wait()): (host, program) for host, program in running}
    try:
        pending = set(waiting)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in done if task.result() != 0]
            if failed:
                host, program = waiting[min(failed, key=lambda task: waiting[task][0].name)]
                code = await program.wait()
                failed_at = min(_ended_at(waiting[task][1]) for task in failed)
                codes = [task.result() for task in failed]
                codes += await _stop([waiting[task] for task in pending], FOLLOW_GRACE_S)
                killed_at = failed_at if any(each > SIGNALLED for each in codes) else None
                return Ended(code, host, program.out_of_memory, killed_at)
        return Ended(0, running[0][0])
    finally:
        for task in waiting:
            task.cancel()


def _ended_at(program: RunningProgram) -> float:
    return time.time() if program.ended_at is None else program.ended_at


async def _stop(running: Sequence[tuple[Host, RunningProgram]], grace_s: float) -> list[int]:
    return await asyncio.gather(*(program.stop(grace_s) for _, program in running))
