"""Where a pipeline keeps what in its bucket: every prefix belongs to one partition or one run.

Locations are relative to the connection's bucket and may hold Jinja for the operators to render.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """The places of one pipeline."""

    pipeline: str

    @property
    def raw(self) -> str:
        """Prefix of all raw partitions."""
        return f"{self.pipeline}/raw/"

    def raw_partition(self, day: str) -> str:
        """Prefix of one raw partition, which holds `data.csv` with a header."""
        return f"{self.raw}dt={day}/"

    def build(self, part: str) -> str:
        """Prefix of one part of one build, for example training or prepared/train."""
        return f"{self.pipeline}/builds/{{{{ run_key(run_id) }}}}/{part}/"

    def batch(self, day: str, part: str) -> str:
        """Prefix of one working part of one scored partition: features, predictions, quality."""
        return f"{self.pipeline}/batch/dt={day}/{part}/"

    def published(self, day: str) -> str:
        """Prefix of one published partition: `predictions.csv` and `manifest.json`."""
        return f"{self.pipeline}/predictions/dt={day}/"
