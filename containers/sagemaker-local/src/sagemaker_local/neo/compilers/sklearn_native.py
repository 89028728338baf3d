"""scikit-learn's estimators as programs in native code: what their answers are, step by step.

In double precision and, up to the order of sums, in scikit-learn's own order of operations, so that answers
agree to about 1e-12. Classes of other packages and estimators that are not listed here are left to ONNX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import discriminant_analysis, linear_model, naive_bayes, neural_network, svm
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline

from .program import NotCoveredError, Program, Value
from .sklearn_steps import transformed

Answer = Callable[[Program, Any, Value, str], Value]
CLASSES_AT_MOST = 256
"""Of support vector machines, which decide between all pairs."""


def program(estimator: Any, features: int, method: str) -> Program:
    """What an estimator's ``method`` answers, as a program.

    Raises:
        NotCoveredError: naming the part that no step does.
    """
    made = Program(features)
    made.answer(answered(made, estimator, made.rows, method))
    return made


def answered(made: Program, estimator: Any, value: Value, method: str) -> Value:
    """Add the steps of an estimator's answer."""
    if type(estimator) is Pipeline:
        *steps, last = (step for _, step in estimator.steps)
        for step in steps:
            value = transformed(made, step, value)
        return answered(made, last, value, method)
    if type(estimator) in (GridSearchCV, RandomizedSearchCV):
        return answered(made, estimator.best_estimator_, value, method)
    add = ESTIMATORS.get(type(estimator))
    if add is None:
        raise NotCoveredError(f"{type(estimator).__name__} is not one of the native estimators")
    if method == "predict" and is_classifier(estimator):
        raise NotCoveredError(f"{type(estimator).__name__} answers labels only")
    return add(made, estimator, value, method)


def _scores(made: Program, model: Any, value: Value) -> Value:
    return made.linear(value, model.coef_, model.intercept_)


def _linear(made: Program, model: Any, value: Value, method: str) -> Value:
    """Regressors, and classifiers that have a decision function alone."""
    return _scores(made, model, value)


def _exponential(made: Program, model: Any, value: Value, method: str) -> Value:
    return made.in_place("exp", _scores(made, model, value))


def _probabilities(made: Program, scores: Value) -> Value:
    """Of two classes by the logistic function, of more by softmax."""
    if scores.width > 1:
        return made.within_row("softmax", scores)
    return _two_classes(made, made.in_place("expit", scores))


def _two_classes(made: Program, probability: Value) -> Value:
    both = made.gather(probability, [0, 0])
    return made.in_place("two_classes", both)


def _logistic(made: Program, model: Any, value: Value, method: str) -> Value:
    scores = _scores(made, model, value)
    return _probabilities(made, scores) if method == "predict_proba" else scores


def _one_against_rest(made: Program, model: Any, value: Value, method: str) -> Value:
    scores = _scores(made, model, value)
    if method != "predict_proba":
        return scores
    if model.loss != "log_loss":
        raise NotCoveredError(f"SGDClassifier's probabilities with loss={model.loss!r} are no native step")
    if scores.width == 1:
        return _probabilities(made, scores)
    return made.within_row("shares", made.in_place("expit", scores))


def _network(made: Program, network: Any, value: Value, method: str) -> Value:
    layers = list(zip(network.coefs_, network.intercepts_, strict=True))
    for number, (weights, offsets) in enumerate(layers):
        value = made.linear(value, np.asarray(weights).T, offsets)
        last = number == len(layers) - 1
        value = _activated(made, network.out_activation_ if last else network.activation, value)
    if is_classifier(network) and value.width == 1:
        return _two_classes(made, value)
    return value


def _activated(made: Program, kind: str, value: Value) -> Value:
    if kind == "softmax":
        return made.within_row("softmax", value)
    steps = {"relu": "relu", "tanh": "tanh", "logistic": "expit", "exp": "exp"}
    return value if kind == "identity" else made.in_place(steps[kind], value)


def _gaussian(made: Program, bayes: Any, value: Value, method: str) -> Value:
    constants = np.log(bayes.class_prior_) - 0.5 * np.log(2.0 * np.pi * bayes.var_).sum(axis=1)
    distances = made.made(
        "weighted_distances",
        value,
        len(bayes.classes_),
        str(value.width),
        made.lanes(bayes.theta_),
        made.lanes(1.0 / bayes.var_),
    )
    made.in_place("scale", distances, "-0.5")
    return made.within_row("softmax", made.columnwise("add", distances, constants))


def _multinomial(made: Program, bayes: Any, value: Value, method: str) -> Value:
    return made.within_row("softmax", made.linear(value, bayes.feature_log_prob_, bayes.class_log_prior_))


def _bernoulli(made: Program, bayes: Any, value: Value, method: str) -> Value:
    absent = np.log(1 - np.exp(bayes.feature_log_prob_))
    if bayes.binarize is not None:
        value = made.in_place("above", value, float(bayes.binarize).hex())
    offsets = bayes.class_log_prior_ + absent.sum(axis=1)
    return made.within_row("softmax", made.linear(value, bayes.feature_log_prob_ - absent, offsets))


def _kernel(made: Program, machine: Any, value: Value) -> Value:
    """The kernel between each row and each support vector."""
    vectors = machine.support_vectors_
    if not isinstance(vectors, np.ndarray):
        raise NotCoveredError("a support vector machine that was trained on sparse rows is no native step")
    arguments = (str(value.width), made.lanes(np.asarray(vectors, np.float64)))
    kind, gamma = machine.kernel, float(machine._gamma)
    if kind == "rbf":
        kernel = made.made("distances", value, len(vectors), *arguments)
        made.in_place("scale", kernel, (-gamma).hex())
        return made.in_place("exp", kernel)
    if kind not in ("linear", "poly", "sigmoid"):
        raise NotCoveredError(f"a support vector machine with kernel={kind!r} is no native step")
    kernel = made.made("dense", value, len(vectors), *arguments)
    if kind == "linear":
        return kernel
    made.in_place("scale", kernel, gamma.hex())
    offset = float(machine.coef0).hex()
    if kind == "poly":
        return made.in_place("power", kernel, str(int(machine.degree)), offset)
    made.columnwise("add", kernel, machine.coef0)
    return made.in_place("tanh", kernel)


def _machine(made: Program, machine: Any, value: Value, method: str) -> Value:
    """Decisions of a support vector classifier."""
    if method == "predict_proba":
        raise NotCoveredError("SVC's own probabilities are no native step; CalibratedClassifierCV's are")
    classes = len(machine.classes_)
    kernel = _kernel(made, machine, value)
    if classes == 2:
        return made.linear(kernel, machine.dual_coef_, machine.intercept_)
    if classes > CLASSES_AT_MOST:
        raise NotCoveredError(f"a support vector machine of {classes} classes is no native step")
    pairs = made.in_place("clear", made.buffer(classes * (classes - 1) // 2))
    first = 0
    for own, count in enumerate(machine.n_support_):
        # Row k of a class's coefficients is for the pair with its k-th other class.
        coefficients = machine.dual_coef_[:, first : first + count]
        products = made.buffer(classes - 1)
        made.step(
            f"OWN(dense)({kernel.name} + {first}, {kernel.stride}, n, {count}, {made.lanes(coefficients)}, "
            f"{products.name}, {products.stride})"
        )
        made.step(
            f"OWN(pair_up)({products.name}, {products.stride}, n, {classes}, {own}, {pairs.name}, "
            f"{pairs.stride})"
        )
        first += int(count)
    made.columnwise("add", pairs, machine.intercept_)
    return pairs if machine.decision_function_shape == "ovo" else made.votes(pairs, classes)


def _machine_regression(made: Program, machine: Any, value: Value, method: str) -> Value:
    return made.linear(_kernel(made, machine, value), machine.dual_coef_, machine.intercept_)


def _calibrated(made: Program, classifier: Any, value: Value, method: str) -> Value:
    """The mean of one or more calibrated classifiers."""
    members = classifier.calibrated_classifiers_
    total: Value | None = None
    for member in members:
        own = value if len(members) == 1 else made.gather(value, range(value.width))
        probabilities = _calibrated_one(made, member, own)
        if total is None:
            total = probabilities
        else:
            made.in_place("sum", total, probabilities.name)
    if total is None:
        raise NotCoveredError("CalibratedClassifierCV without classifiers is no native step")
    if len(members) > 1:
        made.columnwise("divide", total, len(members), 1.0)
    return total


def _calibrated_one(made: Program, member: Any, value: Value) -> Value:
    inner = member.estimator
    if member.method != "sigmoid":
        raise NotCoveredError(f"calibration by {member.method} is not one of the native steps")
    method = "decision_function" if hasattr(inner, "decision_function") else "predict_proba"
    if not np.array_equal(inner.classes_, member.classes):
        raise NotCoveredError("a calibrated classifier that has not seen every class is no native step")
    scores = answered(made, inner, value, method)
    slopes = np.array([calibrator.a_ for calibrator in member.calibrators])
    offsets = np.array([calibrator.b_ for calibrator in member.calibrators])
    if len(slopes) != scores.width:
        raise NotCoveredError(f"calibration of {type(inner).__name__}'s probabilities is no native step")
    made.columnwise("multiply", scores, -slopes)
    made.columnwise("subtract", scores, offsets)
    made.in_place("expit", scores)
    return _two_classes(made, scores) if scores.width == 1 else made.within_row("shares", scores)


ESTIMATORS: dict[type, Answer] = {
    **dict.fromkeys(
        (
            linear_model.LinearRegression,
            linear_model.Ridge,
            linear_model.RidgeCV,
            linear_model.RidgeClassifier,
            linear_model.RidgeClassifierCV,
            linear_model.Lasso,
            linear_model.LassoCV,
            linear_model.ElasticNet,
            linear_model.ElasticNetCV,
            linear_model.BayesianRidge,
            linear_model.ARDRegression,
            linear_model.HuberRegressor,
            linear_model.Lars,
            linear_model.LassoLars,
            linear_model.OrthogonalMatchingPursuit,
            linear_model.QuantileRegressor,
            linear_model.TheilSenRegressor,
            linear_model.SGDRegressor,
            linear_model.Perceptron,
            svm.LinearSVC,
            svm.LinearSVR,
        ),
        _linear,
    ),
    linear_model.PoissonRegressor: _exponential,
    linear_model.GammaRegressor: _exponential,
    linear_model.LogisticRegression: _logistic,
    linear_model.LogisticRegressionCV: _logistic,
    linear_model.SGDClassifier: _one_against_rest,
    discriminant_analysis.LinearDiscriminantAnalysis: _logistic,
    naive_bayes.GaussianNB: _gaussian,
    naive_bayes.MultinomialNB: _multinomial,
    naive_bayes.BernoulliNB: _bernoulli,
    neural_network.MLPClassifier: _network,
    neural_network.MLPRegressor: _network,
    svm.SVC: _machine,
    svm.SVR: _machine_regression,
    CalibratedClassifierCV: _calibrated,
}
