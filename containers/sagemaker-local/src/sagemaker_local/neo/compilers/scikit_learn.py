"""scikit-learn → native code where every step of the model has some, ONNX Runtime elsewhere, as measured.

Trees have native code of their own (:mod:`tree_estimators`), LightGBM's included.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.exceptions import InconsistentVersionWarning

from . import calibration, check, program, shared_object, sklearn_native, sklearn_onnx, tree_estimators
from .choice import Candidate, choose
from .job import Compiled, run
from .program import NotCoveredError
from .proof import Subject
from .request import INPUT_NAME, CompilationError, Request

SUFFIXES = (".joblib", ".pkl")
NATIVE_TOLERANCE = check.Tolerance(relative=1e-9)
"""Double precision, and scikit-learn's own order of operations but for sums."""
NAMES = {"predict_proba": "probabilities", "decision_function": "scores", "predict": "predictions"}


def compile_model(path: Path, request: Request) -> Compiled:
    """Convert by every way that there is, and keep the fastest that answers alike."""
    if tree_estimators.is_text_model(path):
        return tree_estimators.compile_text(path, request)
    estimator = load(path)
    features = tree_estimators.features(estimator)
    if features is None:
        raise CompilationError(
            f"{path.name}: {type(estimator).__name__} is not fitted; fit it before saving it"
        )
    request.check_features(features, path.name)
    of_trees = tree_estimators.compile_estimator(estimator, path, request)
    if of_trees is not None:
        return of_trees
    request.check_version(sklearn.__version__)
    request.refuse_options("for models that are not made of trees")
    method = answer_method(estimator)
    answer = getattr(estimator, method)
    subject = Subject(
        original=lambda rows: [answer(rows[0])],
        compiled=lambda rows: [],
        sample=both(check.random_rows(features)),
        rows=lambda count: both(check.rows(features, count)),
        of_calibration=lambda arrays: both(calibration.rows(arrays, features)),
    )
    candidates, left_out, reason = [], [], None
    for make in (native, sklearn_onnx.candidate):
        try:
            candidates.append(make(estimator, features, method, request))
        except NotCoveredError as error:
            left_out.append(f"native: {error}")
        except CompilationError as error:
            left_out.append(f"onnxruntime: {error}")
            reason = error
    if not candidates and reason is not None:
        raise reason
    choice = choose(candidates, subject, left_out)
    classes = getattr(estimator, "classes_", None)
    return Compiled(
        manifest={
            "framework_version": sklearn.__version__,
            **choice.candidate.manifest,
            "runtime": choice.candidate.runtime,
            "why": choice.why,
            **({"classes": classes.tolist()} if isinstance(classes, np.ndarray) else {}),
        },
        files=dict(choice.candidate.files),
        subject=choice.subject,
    )


def is_model(path: Path) -> bool:
    """Tell a model from other files."""
    return path.suffix in SUFFIXES or tree_estimators.is_text_model(path)


def both(rows: check.Rows) -> sklearn_onnx.Both:
    """Rows as scikit-learn and native code take them, and as ONNX Runtime does."""
    # A row of single precision is the same one in double precision.
    single = np.ascontiguousarray(rows, np.float32)
    return np.ascontiguousarray(rows, np.float64), single


def native(estimator: Any, features: int, method: str, request: Request) -> Candidate:
    """A program in native code.

    Raises:
        NotCoveredError: no step does a part of the model.
    """
    made = sklearn_native.program(estimator, features, method)
    library, runnable = program.built(made, request.target.architecture)
    predict = program.loaded(runnable, made.answers)
    wide = _is_wide(estimator, features, method)

    def answer(rows: sklearn_onnx.Both) -> list[NDArray[Any]]:
        return [predict(rows[0])]

    return Candidate(
        runtime="native",
        manifest={
            **program.described(),
            "inputs": [{"name": INPUT_NAME, "shape": [None, features], "dtype": "float64"}],
            "outputs": [
                {
                    "name": NAMES[method],
                    "shape": [None, made.answers] if wide else [None],
                    "dtype": "float64",
                    "method": method,
                }
            ],
        },
        files={shared_object.MODEL_FILE: library},
        answer=answer,
        tolerance=NATIVE_TOLERANCE,
    )


def _is_wide(estimator: Any, features: int, method: str) -> bool:
    """Whether the original answers a table."""
    return np.ndim(getattr(estimator, method)(np.zeros((2, features)))) > 1


def load(path: Path) -> Any:
    """Unpickle a model; one of another scikit-learn version is refused, as nothing is promised about it.

    Source: https://scikit-learn.org/stable/model_persistence.html
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            estimator = joblib.load(path)
        except InconsistentVersionWarning as warning:
            raise CompilationError(
                f"{path.name} was saved with scikit-learn {warning.original_sklearn_version}, this "
                "compiler has "
                f"{sklearn.__version__}: train with scikit-learn {sklearn.__version__}"
            ) from None
        except Exception as error:  # unpickling runs code of others
            raise CompilationError(
                f"{path.name} cannot be unpickled with scikit-learn {sklearn.__version__} and numpy "
                f"{np.__version__} "
                f"({type(error).__name__}: {error}): save a scikit-learn estimator, without classes of "
                "your own, "
                "with these versions"
            ) from error
    if not hasattr(estimator, "predict"):
        raise CompilationError(
            f"{path.name} holds a {type(estimator).__name__}, need an estimator with predict"
        )
    return estimator


def answer_method(estimator: Any) -> str:
    """The method whose numbers the compiled model answers."""
    for method in ("predict_proba", "decision_function"):
        if hasattr(estimator, "classes_") and hasattr(estimator, method):
            return method
    return "predict"


def main() -> int:
    """Run the job below /opt/ml."""
    kinds = " or ".join([*(f"*{suffix}" for suffix in SUFFIXES), "LightGBM's text"])
    return run(compile_model, is_model, kinds)


if __name__ == "__main__":
    sys.exit(main())
