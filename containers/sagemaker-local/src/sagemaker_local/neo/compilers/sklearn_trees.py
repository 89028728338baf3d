"""scikit-learn's tree ensembles → trees, with the types that scikit-learn computes in.

Forests and gradient boosting make rows single precision and compare them with double-precision thresholds;
histogram gradient boosting keeps rows in double precision. Sums are double precision everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from .ensemble import Ensemble, Tree, rounded_down
from .request import CompilationError

TREES = (DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor)
FORESTS = (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor)
BOOSTING = (GradientBoostingClassifier, GradientBoostingRegressor)
HISTOGRAM_BOOSTING = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


def read(estimator: Any) -> Ensemble | None:
    """The trees of an estimator; None if it is something else, or classifies several outputs at once."""
    kind = type(estimator)  # A subclass may answer anything.
    if kind in TREES:
        return _forest(estimator, [estimator])
    if kind in FORESTS:
        return _forest(estimator, estimator.estimators_)
    if kind in BOOSTING:
        return _boosting(estimator)
    if kind in HISTOGRAM_BOOSTING:
        return _histogram_boosting(estimator)
    return None


def _forest(estimator: Any, members: list[Any]) -> Ensemble | None:
    classifies = hasattr(estimator, "classes_")
    if classifies and estimator.n_outputs_ > 1:
        return None
    # Shape of tree_.value: nodes, outputs, classes.
    values = [
        member.tree_.value[:, 0, :] if classifies else member.tree_.value[:, :, 0] for member in members
    ]
    return Ensemble(
        trees=[_tree(member.tree_, value) for member, value in zip(members, values, strict=True)],
        features=estimator.n_features_in_,
        base=[0.0] * values[0].shape[1],
        row="float32",
        total="float64",
        answer="float64",
        divisor=len(members),
        votes=classifies,
        squeezed=not classifies,
    )


def _tree(tree: Any, values: Any, group: int = 0) -> Tree:
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        feature=tree.feature,
        threshold=rounded_down(tree.threshold),
        missing_left=np.asarray(tree.missing_go_to_left, bool),
        values=values,
        group=group,
    )


def _boosting(estimator: Any) -> Ensemble:
    if estimator.init_ != "zero" and not isinstance(estimator.init_, DummyClassifier | DummyRegressor):
        raise CompilationError(
            f"gradient boosting that starts with a {type(estimator.init_).__name__} is not supported; leave "
            'init out or make it "zero"'
        )
    trees = [
        _tree(member.tree_, estimator.learning_rate * member.tree_.value[:, :, 0], group)
        for stage in estimator.estimators_
        for group, member in enumerate(stage)
    ]
    base = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))[0]
    pair = {"log_loss": 1.0, "exponential": 2.0}
    return Ensemble(
        trees=trees,
        features=estimator.n_features_in_,
        base=base.tolist(),
        row="float32",
        total="float64",
        answer="float64",
        transform=_classes_by(base) if hasattr(estimator, "classes_") else "IDENTITY",
        slope=pair.get(estimator.loss, 1.0),
    )


def _histogram_boosting(estimator: Any) -> Ensemble:
    base = np.ravel(estimator._baseline_prediction)
    columns, categories = np.arange(estimator.n_features_in_), {}
    if estimator._preprocessor is not None:
        # It numbers the categories, and puts their columns first.
        is_categorical = np.asarray(estimator.is_categorical_, bool)
        columns = np.concatenate([np.flatnonzero(is_categorical), np.flatnonzero(~is_categorical)])
        encoder = estimator._preprocessor.named_transformers_["encoder"]
        for column, known in zip(columns, encoder.categories_, strict=False):
            categories[int(column)] = _as_numbers(known, int(column))
    trees = [
        _histogram_tree(predictor, columns, group)
        for stage in estimator._predictors
        for group, predictor in enumerate(stage)
    ]
    classifies = hasattr(estimator, "classes_")
    by_loss = "EXPONENTIAL" if estimator.loss in ("gamma", "poisson") else "IDENTITY"
    return Ensemble(
        trees=trees,
        features=estimator.n_features_in_,
        base=base.tolist(),
        row="float64",
        total="float64",
        answer="float64",
        transform=_classes_by(base) if classifies else by_loss,
        categories=categories,
    )


def _as_numbers(known: Any, column: int) -> Any:
    if known.dtype.kind not in "fiub":
        raise CompilationError(
            f"the categories of column {column} are no numbers ({known[:1].tolist()}), and a compiled model "
            "takes numbers; number them before training"
        )
    values = known.astype(np.float64)
    return values[~np.isnan(values)]


def _histogram_tree(predictor: Any, columns: Any, group: int) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    by_category = np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf)
    sets = {}
    for node in by_category.tolist():
        words = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        sets[node] = [number for number in range(32 * len(words)) if words[number // 32] >> number % 32 & 1]
    return Tree(
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        feature=np.where(leaf, 0, columns[np.where(leaf, 0, nodes["feature_idx"])]),
        threshold=nodes["num_threshold"],
        missing_left=nodes["missing_go_to_left"].astype(bool),
        values=nodes["value"].reshape(-1, 1),
        group=group,
        sets=sets,
    )


def _classes_by(base: Any) -> str:
    return "SOFTMAX" if len(base) > 1 else "SIGMOID_PAIR"
