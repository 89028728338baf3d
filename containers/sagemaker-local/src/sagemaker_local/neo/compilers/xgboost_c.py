"""XGBoost → a shared object with the trees as tables."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import xgboost

from . import trees, xgboost_trees
from .job import Compiled, run
from .proof import Model
from .request import CompilationError, Request

# AWS's own XGBoost container names its model without a suffix.
MODEL_NAMES = ("xgboost-model",)
SUFFIXES = (".json", ".ubj", ".model")


def is_model(path: Path) -> bool:
    """Tell a model from other files; a .json file is one when it holds a learner."""
    if path.suffix != ".json":
        return path.suffix in SUFFIXES or path.name in MODEL_NAMES
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and "learner" in content


def compile_model(path: Path, request: Request) -> Compiled:
    """Read the trees, compile, describe."""
    request.check_version(xgboost.__version__)
    booster = load(path)
    ensemble = xgboost_trees.read(bytes(booster.save_raw("json")))
    request.check_features(ensemble.features, path.name)
    return trees.compiled(
        ensemble,
        request,
        original=booster.inplace_predict,
        versions={"xgboost": xgboost.__version__},
        framework_version=xgboost.__version__,
        originals=by_threads(booster),
    )


def load(path: Path) -> xgboost.Booster:
    """Read the model by XGBoost itself, which upgrades older formats."""
    booster = xgboost.Booster({"nthread": 1})
    content = path.read_bytes()
    if not content:  # XGBoost would end the process.
        raise CompilationError(f"{path.name} is empty; save the model with Booster.save_model")
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CompilationError(
            f"{path.name} is not a model that XGBoost {xgboost.__version__} reads ({reason}): "
            "save it with Booster.save_model as .json or .ubj, not pickled"
        ) from error
    return booster


def by_threads(booster: xgboost.Booster) -> dict[str, Model]:
    """The original with one thread, and with one a processor."""

    def with_threads(count: int) -> Model:
        copy = booster.copy()
        copy.set_param({"nthread": count})
        return lambda rows: [copy.inplace_predict(rows)]

    counts = sorted({1, os.cpu_count() or 1})
    return {f"nthread={count}": with_threads(count) for count in counts}


def main() -> int:
    """Run the job below /opt/ml."""
    return run(compile_model, is_model, " or ".join([*MODEL_NAMES, *(f"*{suffix}" for suffix in SUFFIXES)]))


if __name__ == "__main__":
    sys.exit(main())
