"""scikit-learn → ONNX: any estimator or pipeline that skl2onnx converts, checked against the original."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.exceptions import InconsistentVersionWarning

from . import calibrated_svm, check
from .job import Compiled, run
from .request import INPUT_NAME, CompilationError, Request

SUFFIXES = (".joblib", ".pkl")
MODEL_FILE = "model.onnx"


def compile_model(path: Path, request: Request) -> Compiled:
    """Convert, check on random rows that both answer alike, describe."""
    request.check_version(sklearn.__version__)
    estimator = load(path)
    features = getattr(estimator, "n_features_in_", None)
    if features is None:
        raise CompilationError(
            f"{path.name}: {type(estimator).__name__} is not fitted; fit it before saving it"
        )
    request.check_features(features, path.name)
    calibrated_svm.register()
    graph = convert(estimator, features)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    method = answer_method(estimator)
    outputs = describe_outputs(session, method)
    checked = check.compare(
        features,
        original=lambda rows: getattr(estimator, method)(rows.astype(np.float64)),
        compiled=lambda rows: session.run([outputs[-1]["name"]], {INPUT_NAME: rows})[0],
    )
    return Compiled(
        manifest={
            "framework_version": sklearn.__version__,
            "compiler": "skl2onnx",
            "versions": {
                "skl2onnx": skl2onnx.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
                "numpy": np.__version__,
            },
            "model_file": MODEL_FILE,
            "inputs": [{"name": INPUT_NAME, "shape": [None, features], "dtype": "float32"}],
            "outputs": outputs,
            "check": checked,
        },
        files={MODEL_FILE: graph},
    )


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
        except Exception as error:
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


def convert(estimator: Any, features: int) -> bytes:
    """The ONNX graph of an estimator, for any number of rows."""
    types = [(INPUT_NAME, FloatTensorType([None, features]))]
    # Without this option probabilities are a list of dictionaries; a few classifiers do not know it.
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    try:
        try:
            model = skl2onnx.to_onnx(estimator, initial_types=types, options=options)
        except NameError:
            model = skl2onnx.to_onnx(estimator, initial_types=types)
    except (MissingConverter, MissingShapeCalculator, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CompilationError(
            f"{type(estimator).__name__} has a part that skl2onnx {skl2onnx.__version__} cannot convert: "
            f"{reason}"
        ) from error
    # skl2onnx collects the imports in a set: their order, and so the bytes, would change from run to run.
    imports = sorted(model.opset_import, key=lambda used: used.domain)
    del model.opset_import[:]
    model.opset_import.extend(imports)
    graph: bytes = model.SerializeToString(deterministic=True)
    return graph


def answer_method(estimator: Any) -> str:
    """The method whose numbers the graph's last output holds."""
    for method in ("predict_proba", "decision_function"):
        if hasattr(estimator, "classes_") and hasattr(estimator, method):
            return method
    return "predict"


def describe_outputs(session: onnxruntime.InferenceSession, method: str) -> list[dict[str, Any]]:
    """Names, shapes and types of the graph's outputs; the last one carries ``method``."""
    outputs = session.get_outputs()
    kept = outputs[:2] if method != "predict" else outputs[:1]
    described = [
        {
            "name": output.name,
            "shape": [size if isinstance(size, int) else None for size in output.shape],
            "dtype": output.type.removeprefix("tensor(").removesuffix(")").replace("float", "float32"),
            "method": "predict",
        }
        for output in kept
    ]
    described[-1]["method"] = method
    return described


def main() -> int:
    """Run the job below /opt/ml."""
    kinds = " or ".join(f"*{suffix}" for suffix in SUFFIXES)
    return run(compile_model, lambda path: path.suffix in SUFFIXES, kinds)


if __name__ == "__main__":
    sys.exit(main())
