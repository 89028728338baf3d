"""How well probabilities of a yes fit the answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> float:
    """Share of rows on the right side of one half."""
    return float(((probabilities > 0.5) == labels).mean())


def auc(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> float:
    """Area under the ROC curve: how often a yes scores above a no, ties counting half; NaN without both."""
    yes = labels == 1
    yes_count, no_count = int(yes.sum()), int((~yes).sum())
    if not yes_count or not no_count:
        return float("nan")
    _, place, count = np.unique(probabilities, return_inverse=True, return_counts=True)
    mean_rank = count.cumsum() - (count - 1) / 2
    above = mean_rank[place][yes].sum() - yes_count * (yes_count + 1) / 2
    return float(above / (yes_count * no_count))
