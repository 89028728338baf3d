"""Trees in a scikit-learn artefact → a shared object: scikit-learn's own ensembles, and LightGBM's.

AWS's Neo has no framework LightGBM, so its models come as ``SKLEARN``: an LGBMClassifier and the like
pickled as any estimator is, or a booster in LightGBM's own text format. LightGBM is imported for those only:
its wheel needs a libgomp of the machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from threadpoolctl import threadpool_limits

from . import lightgbm_trees, sklearn_trees, trees
from .job import Compiled
from .proof import Model
from .request import Request

TEXT_SUFFIXES = (".txt", ".model")


def is_text_model(path: Path) -> bool:
    """Tell a booster of LightGBM from other text."""
    if path.suffix not in TEXT_SUFFIXES:
        return False
    with path.open("rb") as file:
        return lightgbm_trees.is_text_model(file.read(64))


def features(estimator: Any) -> int | None:
    """Width of a row; None of what is not fitted."""
    if hasattr(estimator, "num_feature"):  # a pickled booster of LightGBM's
        return int(estimator.num_feature())
    found: int | None = getattr(estimator, "n_features_in_", None)
    return found


def compile_text(path: Path, request: Request) -> Compiled:
    """Compile a booster of LightGBM's."""
    from . import lightgbm_native

    return lightgbm_native.compile_text(path, request)


def compile_estimator(estimator: Any, path: Path, request: Request) -> Compiled | None:
    """Compile an unpickled model; None if it is not made of trees that are known here."""
    if type(estimator).__module__.partition(".")[0] == "lightgbm":
        from . import lightgbm_native

        return lightgbm_native.compile_estimator(estimator, path, request)
    ensemble = sklearn_trees.read(estimator)
    if ensemble is None:
        return None
    request.check_version(sklearn.__version__)
    answer = estimator.predict_proba if hasattr(estimator, "classes_") else estimator.predict
    return trees.compiled(
        ensemble,
        request,
        original=answer,
        versions={"scikit-learn": sklearn.__version__},
        framework_version=sklearn.__version__,
        originals=_by_threads(estimator, answer),
        missing=_takes_missing(estimator, ensemble.features),
        classes=labels(estimator),
    )


def labels(estimator: Any) -> list[Any] | None:
    """A classifier's classes."""
    classes = getattr(estimator, "classes_", None)
    return classes.tolist() if isinstance(classes, np.ndarray) else None


def _thread_counts() -> list[int]:
    return sorted({1, os.cpu_count() or 1})


def _by_threads(estimator: Any, answer: Any) -> dict[str, Model]:
    """The original with one thread, and with one a processor, where it knows threads."""
    kind = type(estimator)
    if kind in sklearn_trees.HISTOGRAM_BOOSTING:  # OpenMP

        def limited(count: int) -> Model:
            def predict(rows: NDArray[Any]) -> list[Any]:
                with threadpool_limits(count, "openmp"):
                    return [answer(rows)]

            return predict

        return {f"threads={count}": limited(count) for count in _thread_counts()}
    if kind in sklearn_trees.FORESTS:

        def jobs(count: int) -> Model:
            def predict(rows: NDArray[Any]) -> list[Any]:
                estimator.n_jobs = count
                return [answer(rows)]

            return predict

        return {f"n_jobs={count}": jobs(count) for count in _thread_counts()}
    return {}


def _takes_missing(estimator: Any, features: int) -> bool:
    if isinstance(estimator, GradientBoostingClassifier | GradientBoostingRegressor):
        return False
    try:
        estimator.predict(np.full((1, features), np.nan))
    except ValueError:
        return False
    return True
