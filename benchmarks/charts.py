"""Bar charts of a benchmark's results as one small SVG, the same bytes for the same figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = 3
BASELINE_COLOUR = "#b0b0b0"
COLOURS = ("#4f9d69", "#5b8db8", "#d98f3f", "#8c6bb1", "#c75b5b", "#6aa7a1", "#a38a4f", "#7a7a9c")


@dataclass(frozen=True)
class Bar:
    """One peer's figure; ``label`` is written beside it, ``least`` to ``most`` is drawn as a whisker."""

    peer: str
    value: float
    label: str
    least: float
    most: float
    is_baseline: bool = False


@dataclass(frozen=True)
class Panel:
    """One measure: a bar a peer."""

    title: str
    bars: tuple[Bar, ...]


def draw(path: Path, title: str, panels: Sequence[Panel], footer: str, *, log_scale: bool = False) -> Path:
    """Write the chart: panels side by side, a peer in the same colour in all of them.

    The format is the suffix's, ``.svg`` or ``.png``.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    # Text stays text and ids do not change from run to run: small files that a reader can search and compare.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 8})
    import matplotlib.pyplot as plt

    others = dict.fromkeys(bar.peer for panel in panels for bar in panel.bars if not bar.is_baseline)
    colours = {peer: COLOURS[place % len(COLOURS)] for place, peer in enumerate(others)}
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    height = 0.5 + 0.24 * max(len(panel.bars) for panel in panels)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.3 * columns, height * rows + 0.8), squeeze=False, layout="constrained"
    )
    for axis, panel in zip(axes.flat, panels, strict=False):
        bars = panel.bars[::-1]  # the first on top
        values = [bar.value for bar in bars]
        spans = [[bar.value - bar.least for bar in bars], [bar.most - bar.value for bar in bars]]
        axis.barh(
            [bar.peer for bar in bars],
            values,
            xerr=spans,
            error_kw={"elinewidth": 0.7, "ecolor": "#555555"},
            color=[BASELINE_COLOUR if bar.is_baseline else colours[bar.peer] for bar in bars],
        )
        if log_scale and min(values) > 0:
            axis.set_xscale("log")
            axis.set_xlim(min(values) / 2, max(bar.most for bar in bars) * 20)
        else:
            axis.set_xlim(0, (max(bar.most for bar in bars) or 1.0) * 1.45)
        for place, bar in enumerate(bars):
            axis.annotate(
                bar.label,
                (bar.most, place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
            )
        axis.set_title(panel.title, fontsize=8, loc="left")
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        axis.tick_params(labelsize=7, length=0)
        axis.xaxis.set_visible(False)  # the labels say the figures; ticks would be most of the file
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    figure.suptitle(title, fontsize=10)
    figure.supxlabel("\n".join(textwrap.wrap(footer, 60 * columns)), fontsize=6, color="#555555")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
    plt.close(figure)
    return path
