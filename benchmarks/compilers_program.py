"""Compiles and times models in a compiler's environment: :mod:`benchmarks.compilers` reads the last line."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from compilers import cpus, native, shared_object
from compilers.ensemble import Ensemble

from model_serving import compiled

Answer = Callable[[Any], Any]
Trained = tuple[Ensemble, Mapping[str, Answer], Any]
"""Trees, the original by its thread settings, rows as the original takes them."""

THREADS = sorted({1, os.cpu_count() or 1})
FEATURES, ROWS, TRAINED_ON = 30, 100_000, 20_000
SECONDS_EACH = 4.0


def data() -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(ROWS, FEATURES))
    return rows, rows[:, 0] + rows[:, 1] * rows[:, 2] + generator.normal(size=ROWS)


def xgboost_model(quick: bool, kind: str) -> Trained:
    import xgboost
    from compilers import xgboost_trees

    rows, score = data()
    rows = rows.astype(np.float32)
    size = {"n_estimators": 60 if quick else 300, "max_depth": 6, "n_jobs": THREADS[-1]}
    more: dict[str, Any] = {}
    target = (score > 0).astype(int)
    if kind == "xgboost of 10 classes":
        target, size["n_estimators"] = np.digitize(score, np.linspace(-3, 3, 9)), 20 if quick else 100
    if kind == "xgboost with categories":
        rows[:, :10] = np.random.default_rng(1).integers(0, 40, size=(ROWS, 10))
        target = (rows[:, 0] % 3 + rows[:, 12] > 1).astype(int)
        more = {"feature_types": ["c"] * 10 + ["q"] * (FEATURES - 10), "enable_categorical": True}
    model = xgboost.XGBClassifier(**size, **more).fit(rows[:TRAINED_ON], target[:TRAINED_ON])
    booster = model.get_booster()

    def in_place(count: int) -> Answer:
        copy = booster.copy()
        copy.set_param({"nthread": count})
        return lambda given: copy.inplace_predict(given)

    def by_estimator(count: int) -> Answer:
        copy = xgboost.XGBClassifier(n_jobs=count)
        copy.load_model(bytearray(booster.save_raw("ubj")))
        return lambda given: copy.predict_proba(given)

    originals = {f"predict_proba {count}t": by_estimator(count) for count in THREADS}
    originals |= {f"in place {count}t": in_place(count) for count in THREADS}
    return xgboost_trees.read(bytes(booster.save_raw("json"))), originals, rows


def sklearn_model(quick: bool, kind: str) -> Trained:
    from compilers import lightgbm_trees, sklearn_trees
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from threadpoolctl import threadpool_limits

    rows, score = data()
    target = (score > 0).astype(int)
    trained_on = 4_000 if quick or kind == "gradient boosting" else TRAINED_ON
    model: Any = {
        "random forest": lambda: RandomForestClassifier(100, n_jobs=THREADS[-1], random_state=0),
        "gradient boosting": lambda: GradientBoostingClassifier(random_state=0),
        "histogram boosting": lambda: HistGradientBoostingClassifier(random_state=0),
        "lightgbm": lambda: LGBMClassifier(n_estimators=60 if quick else 300, verbose=-1),
    }[kind]().fit(rows[:trained_on], target[:trained_on])

    def threads(count: int) -> Answer:
        if kind == "lightgbm":
            return lambda given: model.booster_.predict(given, num_threads=count)

        def answer(given: Any) -> Any:
            model.n_jobs = count
            return model.predict_proba(given)

        def limited(given: Any) -> Any:
            with threadpool_limits(count, "openmp"):
                return model.predict_proba(given)

        return answer if kind == "random forest" else limited

    originals = {f"{count} threads": threads(count) for count in THREADS}
    if kind == "gradient boosting":  # knows no threads
        originals = {"1 thread": model.predict_proba}
    if kind == "lightgbm":
        return lightgbm_trees.read(model.booster_.model_to_string()), originals, rows
    return sklearn_trees.read(model), originals, rows


def serve(trees: Ensemble, directory: Path) -> tuple[Answer, Answer]:
    """The compiled model as a model server loads it, with one thread and with one a processor."""
    architecture = shared_object.here()
    cpu = cpus.cpu(architecture, None)
    (directory / shared_object.MODEL_FILE).write_bytes(native.build(trees, architecture, cpu.zig))
    (directory / "manifest.json").write_text(json.dumps(native.manifest(trees, cpu)))
    return compiled.load(directory, 1).predict, compiled.load(directory, THREADS[-1]).predict


def medians_us(models: Mapping[str, Answer], rows: Mapping[str, Any]) -> dict[str, float]:
    """Interleaved: one call of each in turn, after one that warms it up."""
    took: dict[str, list[float]] = {name: [] for name in models}
    until = time.perf_counter() + SECONDS_EACH * len(models) / 2
    while len(took["compiled"]) < 5 or (time.perf_counter() < until and len(took["compiled"]) < 300):
        for name, model in models.items():
            given = rows.get(name, rows["original"])
            if len(given) < ROWS:
                model(given)
            started = time.perf_counter_ns()
            model(given)
            took[name].append((time.perf_counter_ns() - started) / 1000)
    return {name: statistics.median(each) for name, each in took.items()}


def main() -> int:
    warnings.simplefilter("ignore")
    asked = json.loads(sys.argv[1])
    results = []
    for kind in asked["models"]:
        train = xgboost_model if kind.startswith("xgboost") else sklearn_model
        trees, originals, rows = train(asked["quick"], kind)
        own_rows = np.ascontiguousarray(rows, trees.row)
        with tempfile.TemporaryDirectory() as directory:
            one, parallel = serve(trees, Path(directory))
            for count in (1, 1_000) if asked["quick"] else (1, 1_000, ROWS):
                own = {"compiled": one, **({"parallel": parallel} if count == ROWS else {})}
                given = own_rows[:count]
                took = medians_us(
                    {**originals, **own},
                    {"original": rows[:count], "compiled": given, "parallel": given},
                )
                best = min(originals, key=lambda name: took[name])
                result = {
                    "model": kind,
                    "rows": count,
                    "original": best,
                    "original_us": took[best],
                    "compiled_us": took["compiled"],
                    "ratio": took[best] / took["compiled"],
                }
                if "parallel" in took:
                    result["parallel_us"] = took["parallel"]
                results.append(result)
                print(f"{kind}: {count} rows {took}", file=sys.stderr, flush=True)
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
