"""How fast compiled trees answer, beside the framework that trained them.

    .venv/bin/python -m benchmarks.compilers                 # 1, 1,000 and 100,000 rows: 5 minutes
    .venv/bin/python -m benchmarks.compilers --quick         # 1 and 1,000 rows, smaller models: a minute

In an environment with the frameworks and the compilers, built at the first run. Every model is compiled as
a job does, and called as a model server does, by ``model_serving.compiled``. Calls take turns, so that
whatever else the machine does slows all of them; the figure is the median. The original counts with its best
number of threads, the compiled model with one, and with one a processor at 100,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import own_tests  # noqa: F401  (makes `tests` this repository's)
from benchmarks.reporting import Report
from tests.unit.containers import programs

PROGRAM = Path(__file__).with_name("compilers_program.py")
MODELS = (
    "xgboost",
    "xgboost of 10 classes",
    "xgboost with categories",
    "lightgbm",
    "random forest",
    "gradient boosting",
    "histogram boosting",
)
# Model, rows: the original's time over the compiled one's, at least.
TO_REACH = {("xgboost", 1): 20.0, ("random forest", 1): 150.0}
NOT_SLOWER_FROM = 1_000
ORIGINAL, COMPILED, ON_ALL_CORES = "the original", "compiled", "compiled, all cores"


def environment() -> Path:
    """Python with both compilers' requirements: XGBoost's estimators are scikit-learn's."""
    pins = {
        line
        for name in ("sklearn", "xgboost")
        for line in (programs.NEO / f"requirements-{name}.txt").read_text().splitlines()
        if "==" in line
    }
    path = programs.ENVIRONMENTS / "benchmark-compilers.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sorted(pins)))
    return programs.environment(path)


def measured(models: list[str], quick: bool) -> list[dict[str, Any]]:
    """Run the models in that environment."""
    serving = programs.CONTAINERS / "model-serving/src"
    path = os.pathsep.join([str(programs.NEO), str(serving)])
    # -P: this folder has a module `compilers`, too.
    command = [str(environment()), "-P", str(PROGRAM), json.dumps({"models": models, "quick": quick})]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def least(model: str, rows: int) -> float | None:
    """The ratio to reach, if there is one."""
    return TO_REACH.get((model, rows), 1.0 if rows >= NOT_SLOWER_FROM else None)


def report(results: list[dict[str, Any]], *, quick: bool) -> Report:
    """The original by its best thread setting beside one thread, and every core, of the compiled model."""
    title = "Compiled trees beside their frameworks, one call"
    found = Report("compilers", title, ORIGINAL, quick=quick)
    for each in results:
        rows = each["rows"]
        measure = f"{each['model']}, {rows:,} row{'s' if rows > 1 else ''}"
        found.add(measure, ORIGINAL, [each["original_us"]], unit="µs", better="lower")
        found.add(measure, COMPILED, [each["compiled_us"]], unit="µs", better="lower")
        if "parallel_us" in each:
            found.add(measure, ON_ALL_CORES, [each["parallel_us"]], unit="µs", better="lower")
        found.note(f"{measure}: the original did best by {each['original']}")
        if (goal := least(each["model"], rows)) is not None:
            found.aim(f"compiled {measure}", measure, COMPILED, at_least=goal)
    return found


def main() -> None:
    """Measure, and say how the ratios compare with what is to be reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller models, 1 and 1,000 rows")
    parser.add_argument("--models", nargs="*", choices=MODELS, help="only these")
    arguments = parser.parse_args()
    results = measured(arguments.models or list(MODELS), arguments.quick)
    report(results, quick=arguments.quick).publish(log_scale=True)


if __name__ == "__main__":
    main()
