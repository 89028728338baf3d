"""What the demo is doing, stage by stage: a live table on a terminal, one line for each change elsewhere."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from demo.runs import FINISHED, RunRecord

MARKS = {
    "success": ("✓", "green"),
    "failed": ("✗", "red"),
    "upstream_failed": ("✗", "red"),
    "skipped": ("-", "dim"),
    "running": ("▶", "cyan"),
    "deferred": ("⏳", "yellow"),
    "queued": ("…", "dim"),
    "scheduled": ("…", "dim"),
    "up_for_retry": ("↻", "yellow"),
}


@dataclass(slots=True)
class Stage:
    """One step that the user sees."""

    title: str
    detail: str = ""
    started: float = field(default_factory=time.monotonic)
    took_s: float | None = None
    failed: bool = False
    runs: list[RunRecord] = field(default_factory=list)


class Progress:
    """Shows stages; on a terminal in place, else as plain lines."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._stages: list[Stage] = []
        self._live: Live | None = None
        self._said: dict[tuple[str, str, int], str | None] = {}

    @classmethod
    def silent(cls) -> Progress:
        """Shows nothing."""
        return cls(Console(file=io.StringIO(), force_terminal=False))

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """Draw until the block ends."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(get_renderable=self._draw, console=self.console, refresh_per_second=4) as live:
            self._live = live
            try:
                yield self
            finally:
                self._live = None

    @contextmanager
    def stage(self, title: str) -> Iterator[Stage]:
        """One stage, from entering the block to leaving it."""
        stage = Stage(title)
        self._stages.append(stage)
        self._line(f"{title} …")
        try:
            yield stage
        except BaseException:
            stage.failed = True
            raise
        finally:
            stage.took_s = time.monotonic() - stage.started
            outcome = "failed" if stage.failed else "done"
            self._line(f"{title}: {outcome} in {stage.took_s:.1f} s{_in_brackets(stage.detail)}")

    def runs(self, stage: Stage, runs: list[RunRecord]) -> None:
        """Show the tasks of DAG runs below a stage."""
        stage.runs = runs
        if self.console.is_terminal:
            return
        for run in runs:
            for task in run.tasks.values():
                key = (run.run_id, task.task_id, task.map_index)
                if task.state in (None, "scheduled", "queued") or self._said.get(key) == task.state:
                    continue
                self._said[key] = task.state
                took = f" after {task.run_s:.1f} s" if task.state in FINISHED else ""
                self._line(f"  {run.dag_id}{_day(run)} {task.task_id}: {task.state}{took}")

    def note(self, text: str) -> None:
        """A line that stays above the stages."""
        self.console.print(Text(text, style="yellow"))

    def _line(self, text: str) -> None:
        if not self.console.is_terminal:
            self.console.print(Text(text), soft_wrap=True)

    def _draw(self) -> RenderableType:
        rows: list[RenderableType] = []
        for stage in self._stages:
            rows.append(_heading(stage))
            rows += [_tasks(run) for run in stage.runs]
        return Group(*rows)


def _heading(stage: Stage) -> RenderableType:
    if stage.took_s is None:
        seconds = time.monotonic() - stage.started
        return Spinner("dots", Text(f"{stage.title}  {seconds:.0f} s  {stage.detail}", style="bold"))
    mark, style = MARKS["failed" if stage.failed else "success"]
    return Text.assemble((mark, style), f" {stage.title}", (f"  {stage.took_s:.1f} s  {stage.detail}", "dim"))


def _tasks(run: RunRecord) -> RenderableType:
    """One line for a run: its tasks in the order in which they started."""
    table = Table.grid(padding=(0, 1))
    tasks = sorted(run.tasks.values(), key=lambda task: (task.started_at is None, str(task.started_at)))
    line = Text(overflow="fold")
    for task in tasks:
        mark, style = MARKS.get(task.state or "", ("·", "dim"))
        line.append(f"{mark} {task.task_id}", style=style)
        line.append(f" {task.run_s:.0f}s  " if task.state in FINISHED else "  ", style="dim")
    table.add_row(Text(f"   {_day(run).strip() or run.dag_id.partition('__')[2]}", style="dim"), line)
    return table


def _day(run: RunRecord) -> str:
    return f" {run.logical_date:%Y-%m-%d}" if run.logical_date else ""


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
