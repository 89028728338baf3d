"""Pictures of what the demo showed: the digits with their answers, the confusions, and when what ran."""

from __future__ import annotations

import importlib
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.chain import Answers, ChainResult
from demo.jobs import JobInterval

SHEET = (6, 16)
"""Rows and columns of the sheet of digits."""

DIGIT = 8
"""Pixels of a digit's side."""

CELL = (12, 10)
"""Pixels of a digit's place on the sheet: with its answer above and a margin."""

COLOURS = {
    "Processing": "#5b8db8",
    "Training": "#d98f3f",
    "Compilation": "#8c6bb1",
    "Transform": "#4f9d69",
}


def load() -> None:
    """Import what draws; takes a second, in which others may wait for something else."""
    import matplotlib as mpl

    mpl.use("Agg")
    importlib.import_module("matplotlib.pyplot")


def draw(folder: Path, chain: ChainResult, intervals: dict[str, JobInterval]) -> list[Path]:
    """Draw every picture; returns their files."""
    load()
    return [
        _sheet(folder / "digits.png", chain.answers),
        _confusion(folder / "confusion.png", chain.answers),
        _timeline(folder / "timeline.png", chain, intervals),
    ]


def _sheet(path: Path, answers: Answers) -> Path:
    """Digits of the scored days, wrong ones first, with what the endpoint said."""
    import matplotlib.pyplot as plt

    rows, columns = SHEET
    wrong_first = sorted(range(answers.checked), key=lambda i: answers.labels[i] == answers.truth[i])
    wrong = sum(label != truth for label, truth in zip(answers.labels, answers.truth, strict=True))
    # One picture of all: an axis for each digit takes two seconds.
    sheet = [[0] * (columns * CELL[1]) for _ in range(rows * CELL[0])]
    figure, axis = plt.subplots(figsize=(columns * 0.62, rows * 0.82 + 0.3))
    for place, index in enumerate(wrong_first[: rows * columns]):
        top, left = place // columns * CELL[0] + CELL[0] - DIGIT, place % columns * CELL[1] + 1
        for row in range(DIGIT):
            sheet[top + row][left : left + DIGIT] = answers.images[index][row * DIGIT : (row + 1) * DIGIT]
        label, truth = answers.labels[index], answers.truth[index]
        text, colour = (f"{label}", "black") if label == truth else (f"{label} (is {truth})", "crimson")
        axis.text(left + DIGIT / 2 - 0.5, top - 2, text, fontsize=8, color=colour, ha="center", va="center")
    axis.imshow(sheet, cmap="gray_r", vmin=0, vmax=16)
    axis.axis("off")
    axis.set_title(
        f"{answers.checked} digits of three days that the model never saw, {wrong} read wrongly (red, first)",
        fontsize=9,
    )
    return _save(figure, path)


def _confusion(path: Path, answers: Answers) -> Path:
    import matplotlib.pyplot as plt

    counts = [[0] * 10 for _ in range(10)]
    for truth, label in zip(answers.truth, answers.labels, strict=True):
        counts[truth][label] += 1
    figure, axis = plt.subplots(figsize=(5, 4.6))
    axis.imshow([[count**0.5 for count in row] for row in counts], cmap="Blues")
    for truth, row in enumerate(counts):
        for label, count in enumerate(row):
            if count:
                colour = "white" if truth == label else "crimson"
                axis.text(label, truth, str(count), ha="center", va="center", fontsize=8, color=colour)
    axis.set(xticks=range(10), yticks=range(10), xlabel="the endpoint says", ylabel="is")
    return _save(figure, path)


def _timeline(path: Path, chain: ChainResult, intervals: dict[str, JobInterval]) -> Path:
    """Every task as a grey bar and its job within, over the chain's time."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    tasks = [
        (run, task)
        for run in chain.runs
        for task in sorted(run.tasks.values(), key=lambda task: str(task.started_at))
        if task.started_at and task.ended_at
    ]

    def second(moment: datetime) -> float:
        return (moment - chain.started_at).total_seconds()

    figure, axis = plt.subplots(figsize=(9, 0.5 + 0.2 * len(tasks)))
    for height, (run, task) in enumerate(tasks):
        assert task.started_at is not None
        axis.barh(height, max(task.run_s, 0.1), left=second(task.started_at), color="#cccccc", height=0.8)
        job = intervals.get(chain.jobs.get((run.dag_id, run.run_id, task.task_id), ""))
        if job:
            colour = COLOURS[job.kind]
            axis.barh(height, max(job.seconds, 0.1), left=second(job.started_at), color=colour, height=0.5)
    labels = [
        task.task_id + (f" {run.logical_date:%m-%d}" if run.logical_date else "") for run, task in tasks
    ]
    axis.set_yticks(range(len(tasks)), labels, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("seconds since the build was triggered", fontsize=8)
    axis.legend(
        handles=[Patch(color="#cccccc", label="Airflow task")]
        + [Patch(color=colour, label=f"{kind} job") for kind, colour in COLOURS.items()],
        fontsize=7,
    )
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    import matplotlib.pyplot as plt

    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
