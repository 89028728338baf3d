"""A process that imports SageMaker's SDK once and runs scenarios with it, one after the other.

The SDK takes seconds to import, reads its settings from the environment when it does, and prints a lot: all
that stays here. A request is a line ``{"scenario": "module.function", "arguments": {…}}``; the answer has
``result`` or ``error``. Answers go to the standard output that the process was started with, everything else
to its standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any

LONGEST_SLEEP_S = 0.2

_sleep = time.sleep


def _sleep_less(seconds: Any) -> None:
    """The SDK polls every 5 s and more, which is meant for jobs of hours."""
    _sleep(min(seconds, LONGEST_SLEEP_S))


def _validate_nothing(*_: Any, **__: Any) -> None:
    """The SDK checks its own schema whenever it makes a session, which takes seconds each time."""


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    time.sleep = _sleep_less
    import jsonschema

    jsonschema.validate = _validate_nothing
    # Some packages install a `tests` of their own, which would be found instead of this repository's.
    own = types.ModuleType("tests")
    own.__path__ = [str(Path(__file__).parents[2])]
    sys.modules["tests"] = own
    for line in sys.stdin:
        request = json.loads(line)
        module, _, function = request["scenario"].partition(".")
        try:
            scenario = getattr(importlib.import_module(f"tests.contract.sdk_v3.{module}"), function)
            answer = {"result": scenario(**request["arguments"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        print(json.dumps(answer, default=str), file=answers)


if __name__ == "__main__":
    main()
