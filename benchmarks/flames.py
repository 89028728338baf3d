"""A flame graph of sampled stacks as one small SVG: a box is as wide as its frame's share of the samples."""

from __future__ import annotations

import collections
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Stacks = collections.Counter[tuple[str, ...]]
WIDTH, ROW, LEAST_SHARE = 1200, 16, 0.002
CHARACTER_WIDTH = 5.6
COLOURS = ("#e8a15b", "#e3b565", "#d98f5b", "#e5c07b", "#dfa878")


@dataclass
class _Frame:
    samples: int = 0
    below: dict[str, _Frame] = field(default_factory=dict)


def read(path: Path) -> Stacks:
    """py-spy's ``raw`` format: ``outermost;…;innermost samples``."""
    stacks: Stacks = collections.Counter()
    for line in path.read_text().splitlines():
        frames, _, samples = line.rpartition(" ")
        stacks[tuple(frames.split(";"))] += int(samples)
    return stacks


def draw(path: Path, title: str, processes: Mapping[str, Stacks]) -> Path:
    """Write the graph: processes side by side, innermost frames on top.

    Frames in less than :data:`LEAST_SHARE` of all samples are left out.
    """
    root = _Frame()
    for process, stacks in processes.items():
        for stack, samples in stacks.items():
            root.samples += samples
            at = root
            for name in (process, *stack):
                at = at.below.setdefault(name, _Frame())
                at.samples += samples
    boxes: list[str] = []
    deepest = _place(root, 0, 0.0, root.samples, boxes)
    height = (deepest + 3) * ROW
    shifted = "\n".join(boxes)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" '
        f'font-size="9">\n<text x="4" y="12" font-size="12">{html.escape(title)}</text>\n'
        f'<g transform="translate(0 {height - ROW})">\n{shifted}\n</g>\n</svg>\n'
    )
    return path


def _place(frame: _Frame, depth: int, left: float, total: int, boxes: list[str]) -> int:
    deepest = depth
    for place, (name, below) in enumerate(sorted(frame.below.items())):
        share = below.samples / total
        if share >= LEAST_SHARE:
            x, width, y = left * WIDTH, share * WIDTH, -ROW * (depth + 1)
            room = int((width - 4) / CHARACTER_WIDTH)
            shown = name if len(name) <= room else name[: max(room - 1, 0)] + "…" if room > 3 else ""
            text = f'<text x="{x + 2:.1f}" y="{y + 11}">{html.escape(shown)}</text>' if shown else ""
            colour = COLOURS[(depth + place) % len(COLOURS)]
            boxes.append(
                f"<g><title>{html.escape(name)}: {share:.1%}</title>"
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="{colour}"/>'
                f"{text}</g>"
            )
            deepest = max(deepest, _place(below, depth + 1, left, total, boxes))
        left += share
    return deepest
