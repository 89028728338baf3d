"""LightGBM → a shared object with the trees as tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import lightgbm_trees, trees
from .job import Compiled
from .proof import Model
from .request import CompilationError, Request

try:
    import lightgbm
except OSError as error:  # libgomp, which no wheel brings
    raise CompilationError(
        f"LightGBM cannot be loaded to compare the compiled model with it ({error}): install libgomp1"
    ) from error

KINDS = (lightgbm.LGBMClassifier, lightgbm.LGBMRegressor, lightgbm.LGBMRanker)


def compile_text(path: Path, request: Request) -> Compiled:
    """Compile a booster that ``Booster.save_model`` wrote."""
    try:
        booster = lightgbm.Booster(model_file=str(path))
    except lightgbm.basic.LightGBMError as error:
        raise CompilationError(
            f"{path.name} is not a model that LightGBM {lightgbm.__version__} reads ({error}): save it with "
            "Booster.save_model"
        ) from error
    return _compiled(booster, path, request, None)


def compile_estimator(estimator: Any, path: Path, request: Request) -> Compiled | None:
    """Compile an unpickled booster or estimator of LightGBM's; None if it is something else."""
    if isinstance(estimator, lightgbm.Booster):
        return _compiled(estimator, path, request, None)
    if type(estimator) in KINDS:  # A subclass may answer anything.
        return _compiled(estimator.booster_, path, request, estimator)
    return None


def _compiled(booster: lightgbm.Booster, path: Path, request: Request, estimator: Any) -> Compiled:
    classifies = isinstance(estimator, lightgbm.LGBMClassifier)
    ensemble = lightgbm_trees.read(booster.model_to_string(), pair=classifies)
    request.check_features(ensemble.features, path.name)
    if estimator is None:
        answer = booster.predict
    else:
        answer = estimator.predict_proba if classifies else estimator.predict

    def with_threads(count: int) -> Model:
        return lambda rows: [answer(rows, num_threads=count)]

    counts = sorted({1, os.cpu_count() or 1})
    return trees.compiled(
        ensemble,
        request,
        original=answer,
        versions={"lightgbm": lightgbm.__version__},
        framework_version=lightgbm.__version__,
        originals={f"num_threads={count}": with_threads(count) for count in counts},
        classes=estimator.classes_.tolist() if classifies else None,
    )
