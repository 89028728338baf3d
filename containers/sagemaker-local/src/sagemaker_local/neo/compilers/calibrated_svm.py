"""A compact ONNX graph for calibrated support vector machines.

skl2onnx turns votes and sigmoids of ``CalibratedClassifierCV(SVC(...))`` into dozens of nodes a class, which
cost several times the kernel itself at one row. The same arithmetic is three small matrix products here.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from skl2onnx.operator_converters.calibrated_classifier_cv import convert_sklearn_calibrated_classifier_cv
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC

ALIAS = "SklearnCalibratedClassifierCV"
OPTIONS = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}


def register() -> None:
    """Make skl2onnx use the compact graph where it applies, and its own converter elsewhere."""
    update_registered_converter(
        CalibratedClassifierCV, ALIAS, calculate_linear_classifier_output_shapes, convert, options=OPTIONS
    )


def applies(classifier: CalibratedClassifierCV) -> bool:
    """One SVC with one-against-rest scores of whole-number classes, calibrated by sigmoids."""
    if len(classifier.calibrated_classifiers_) != 1:
        return False
    calibrated = classifier.calibrated_classifiers_[0]
    machine = calibrated.estimator
    return (
        isinstance(machine, SVC)
        and calibrated.method == "sigmoid"
        and len(calibrated.calibrators) == len(classifier.classes_) > 2
        and machine.decision_function_shape == "ovr"
        and machine.kernel in ("linear", "poly", "rbf", "sigmoid")
        and isinstance(machine.support_vectors_, np.ndarray)
        and classifier.classes_.dtype.kind in "iu"
        and np.array_equal(machine.classes_, classifier.classes_)
    )


def convert(scope: Any, operator: Any, container: Any) -> None:
    """A skl2onnx converter: adds the nodes of one classifier to the graph."""
    classifier = operator.raw_operator
    if not applies(classifier):
        convert_sklearn_calibrated_classifier_cv(scope, operator, container)
        return
    Graph(scope, container).add(
        classifier, operator.inputs[0].full_name, [out.full_name for out in operator.outputs]
    )


class Graph:
    """Adds nodes to a skl2onnx container."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def add(self, classifier: CalibratedClassifierCV, rows: str, outputs: list[str]) -> None:
        """Label and probabilities of a classifier for an input of rows."""
        label, probabilities = outputs
        calibrated = classifier.calibrated_classifiers_[0]
        scores = self._one_against_rest(self._pairwise(calibrated.estimator, rows), len(classifier.classes_))
        # sklearn.calibration._SigmoidCalibration: expit(-(a * score + b)), then each row is scaled to sum 1.
        slopes = np.array([-calibrator.a_ for calibrator in calibrated.calibrators], np.float32)
        offsets = np.array([-calibrator.b_ for calibrator in calibrated.calibrators], np.float32)
        raised = self._node("Add", self._node("Mul", scores, self._constant(slopes)), self._constant(offsets))
        each = self._node("Sigmoid", raised)
        total = self._node("ReduceSum", each, self._constant(np.array([1], np.int64)), keepdims=1)
        self._node("Div", each, total, output=probabilities)
        best = self._node("ArgMax", probabilities, axis=1, keepdims=0)
        self._node("Gather", self._constant(classifier.classes_.astype(np.int64)), best, output=label)

    def _pairwise(self, machine: SVC, rows: str) -> str:
        """Decision values of the classes' pairs, positive for the first class of a pair."""
        ignored = self._scope.get_unique_variable_name("pair_label")
        scores: str = self._scope.get_unique_variable_name("pair_scores")
        # libsvm's coefficients: scikit-learn flips their sign for two classes only, which is not the case
        # here.
        self._container.add_node(
            "SVMClassifier",
            [rows],
            [ignored, scores],
            op_domain="ai.onnx.ml",
            op_version=1,
            name=self._scope.get_unique_operator_name("SVM"),
            kernel_type=machine.kernel.upper(),
            kernel_params=[float(machine._gamma), float(machine.coef0), float(machine.degree)],
            support_vectors=machine.support_vectors_.astype(np.float32).ravel().tolist(),
            coefficients=machine.dual_coef_.astype(np.float32).ravel().tolist(),
            rho=machine.intercept_.astype(np.float32).tolist(),
            vectors_per_class=[int(count) for count in machine.n_support_],
            post_transform="NONE",
            classlabels_ints=list(range(len(machine.classes_))),
        )
        return scores

    def _one_against_rest(self, pairs: str, classes: int) -> str:
        """Votes, with the summed confidences as tie break.

        Source: ``_ovr_decision_function`` in
        https://github.com/scikit-learn/scikit-learn/blob/main/sklearn/utils/multiclass.py
        """
        firsts, seconds = (np.array(side) for side in zip(*combinations(range(classes), 2), strict=True))
        pair = np.arange(len(firsts))
        for_first = np.zeros((len(pair), classes), np.float32)
        for_second = np.zeros_like(for_first)
        for_first[pair, firsts] = 1
        for_second[pair, seconds] = 1
        confidence = self._node("MatMul", pairs, self._constant(for_first - for_second))
        # A pair votes for its second class below zero: all second votes, moved to the first where it wins.
        wins = self._node(
            "Cast", self._node("GreaterOrEqual", pairs, self._constant(np.float32(0))), to=TensorProto.FLOAT
        )
        moved = self._node("MatMul", wins, self._constant(for_first - for_second))
        votes = self._node("Add", moved, self._constant(for_second.sum(axis=0)))
        bound = self._node("Add", self._node("Abs", confidence), self._constant(np.float32(1)))
        third = self._node("Mul", self._node("Div", confidence, bound), self._constant(np.float32(1 / 3)))
        return self._node("Add", votes, third)

    def _constant(self, value: NDArray[Any] | np.float32) -> str:
        name: str = self._scope.get_unique_variable_name("constant")
        array = np.asarray(value)
        kind = TensorProto.INT64 if array.dtype == np.int64 else TensorProto.FLOAT
        self._container.add_initializer(name, kind, list(array.shape), array.ravel().tolist())
        return name

    def _node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name: str = self._scope.get_unique_variable_name(kind.lower()) if output is None else output
        self._container.add_node(
            kind, list(inputs), [name], name=self._scope.get_unique_operator_name(kind), **attributes
        )
        return name
