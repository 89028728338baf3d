"""Step caching: when a step's earlier result stands for running it again.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

DURATION = re.compile(
    r"P?(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T?(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.IGNORECASE,
)
"""ISO 8601; the leading P may be missing, as in AWS's own example ``T12H``."""

UNIT_S = {
    "years": 365 * 86400, "months": 30 * 86400, "weeks": 7 * 86400, "days": 86400, "hours": 3600,
    "minutes": 60, "seconds": 1,
}  # fmt: skip

NOT_COMPARED = frozenset({"Tags", "ExperimentConfig"})
"""Members of a request that do not change what comes out."""


def read_duration_s(text: str) -> float:
    """Seconds of an ISO 8601 duration such as ``P30D``, ``p4dt12h`` or ``T12H``.

    Raises:
        ValueError: it is none.
    """
    match = DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"ExpireAfter '{text}' is not an ISO 8601 duration: write P30D or PT12H")
    return float(sum(UNIT_S[unit] * int(count) for unit, count in match.groupdict().items() if count))


def cache_key(step: str, kind: str, arguments: Mapping[str, Any]) -> str:
    """What two runs of a step must share for one to stand for the other.

    Args:
        step: The step's name.
        kind: Its type.
        arguments: The request with all expressions evaluated, without the name of what is created.
    """
    compared = {key: value for key, value in arguments.items() if key not in NOT_COMPARED}
    canonical = json.dumps([step, kind, compared], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
