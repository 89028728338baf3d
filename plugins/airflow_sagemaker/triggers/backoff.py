"""How long to wait between two looks: steady while all is well, longer while AWS is not."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

MAX_BACKOFF_S = 120.0
MAX_BACKOFF_INTERVALS = 20
JITTER = 0.1


@dataclass
class Backoff:
    """Seconds until the next look.

    :param interval_s: between two looks that went well
    """

    interval_s: float
    troubles: int = 0
    _random: random.Random = field(default_factory=random.Random)

    def after_success(self) -> float:
        """The interval, a little uneven so that many triggers do not call in step."""
        self.troubles = 0
        return self.interval_s * self._random.uniform(1 - JITTER, 1 + JITTER)

    def after_trouble(self) -> float:
        """Doubles with every trouble in a row, with full jitter above the interval itself."""
        self.troubles += 1
        most = max(min(MAX_BACKOFF_S, self.interval_s * MAX_BACKOFF_INTERVALS), self.interval_s)
        ceiling = min(self.interval_s * 2.0 ** min(self.troubles, 16), most)
        return self._random.uniform(self.interval_s, ceiling)
