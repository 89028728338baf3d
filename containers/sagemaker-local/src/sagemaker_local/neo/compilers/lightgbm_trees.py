"""LightGBM's own text format → trees.

Source of the format: ``Tree::ToString`` and ``Tree::NumericalDecision`` of LightGBM's ``src/io/tree.cpp`` and
``include/LightGBM/tree.h``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from .ensemble import Ensemble, Tree
from .request import CompilationError

FIRST_LINE = "tree"
CATEGORICAL, DEFAULT_LEFT = 1, 2
NO_MISSING, ZERO_MISSING = 0, 1  # decision_type >> 2 & 3; 2 is NaN

SMALLEST = float(np.float32(1e-35))

# Objective -> how sums become answers (see walker.c); those that are not here are answered as they are.
TRANSFORMS = {
    "binary": "SIGMOID",
    "cross_entropy": "SIGMOID",
    "gamma": "EXPONENTIAL",
    "multiclass": "SOFTMAX",
    "multiclassova": "SIGMOID",
    "poisson": "EXPONENTIAL",
    "tweedie": "EXPONENTIAL",
}
AS_THEY_ARE = (
    "custom",
    "fair",
    "huber",
    "lambdarank",
    "mape",
    "none",
    "quantile",
    "rank_xendcg",
    "regression",
    "regression_l1",
)


def is_text_model(start: bytes) -> bool:
    """Tell a model from other text by its beginning."""
    return start.split(b"\n", 2)[:1] == [FIRST_LINE.encode()] and b"version=" in start


def read(text: str, pair: bool = False) -> Ensemble:
    """Read what ``Booster.model_to_string`` gives; ``pair``: answer both classes, as LGBMClassifier does."""
    sections = _sections(text)
    head = next(sections)
    trees = [each for each in sections if "num_leaves" in each]
    objective, *parameters = head.get("objective", "none").split()
    if objective not in TRANSFORMS and objective not in AS_THEY_ARE:
        known = ", ".join(sorted([*TRANSFORMS, *AS_THEY_ARE]))
        raise CompilationError(f"objective {objective} is not supported; supported are {known}")
    transform = TRANSFORMS.get(objective, "IDENTITY")
    if "sqrt" in parameters:
        transform = "SIGNED_SQUARE"
    if pair and objective == "binary":
        transform = "SIGMOID_PAIR"
    slopes = [float(each.partition(":")[2]) for each in parameters if each.startswith("sigmoid:")]
    groups = int(head["num_tree_per_iteration"])
    features = int(head["max_feature_idx"]) + 1
    return Ensemble(
        trees=[_tree(tree, number % groups) for number, tree in enumerate(trees)],
        features=features,
        base=[0.0] * groups,
        row="float64",
        total="float64",
        answer="float64",
        transform=transform,
        slope=slopes[0] if slopes else 1.0,
        divisor=max(1, len(trees) // groups) if "average_output" in head else 1,
        zeros_missing=_zeros_missing(trees),
    )


def _sections(text: str) -> Iterator[Mapping[str, str]]:
    """The head and the trees, each as ``key=value`` lines."""
    before_importances = text.partition("\nend of trees")[0]
    for section in before_importances.split("\n\n"):
        lines = [line.partition("=") for line in section.splitlines() if line]
        if lines:
            yield {key: value for key, _, value in lines}


def _numbers(text: str, kind: type[np.generic]) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    return np.array([float(each) for each in text.split()] if kind is np.float64 else text.split(), kind)


def _tree(tree: Mapping[str, str], group: int) -> Tree:
    """LightGBM numbers splits and leaves apart: here leaves follow the splits."""
    if tree.get("is_linear", "0") == "1":
        raise CompilationError("linear trees are not supported; train with linear_tree=false")
    leaves = int(tree["num_leaves"])
    splits = leaves - 1
    values = np.zeros((splits + leaves, 1))
    values[splits:, 0] = _numbers(tree["leaf_value"], np.float64)
    left, right = np.full((2, splits + leaves), -1, np.int64)
    feature = np.zeros(splits + leaves, np.int64)
    threshold = np.zeros(splits + leaves)
    missing_left = np.zeros(splits + leaves, bool)
    sets: dict[int, list[int]] = {}
    if splits:
        for side, name in ((left, "left_child"), (right, "right_child")):
            child = _numbers(tree[name], np.int64).astype(np.int64)
            side[:splits] = np.where(child >= 0, child, splits + ~child)
        feature[:splits] = _numbers(tree["split_feature"], np.int64)
        threshold[:splits] = _numbers(tree["threshold"], np.float64)
        # The predictor makes values as small as this 0 first, so that -1e-35 is above the threshold -1e-35.
        threshold[threshold == -SMALLEST] = np.nextafter(-SMALLEST, -np.inf)
        kinds = _numbers(tree["decision_type"], np.int64).astype(np.int64)
        # Where a feature never missed a value, a missing one counts as 0.
        never = kinds >> 2 & 3 == NO_MISSING
        missing_left[:splits] = np.where(never, threshold[:splits] >= 0, kinds & DEFAULT_LEFT != 0)
        by_category = np.flatnonzero(kinds & CATEGORICAL)
        missing_left[by_category] = False
        if len(by_category):
            bounds = [int(each) for each in tree["cat_boundaries"].split()]
            words = [int(each) for each in tree["cat_threshold"].split()]
            for node in by_category.tolist():
                which = int(threshold[node])
                sets[node] = _categories(words[bounds[which] : bounds[which + 1]])
    return Tree(left, right, feature, threshold, missing_left, values, group, sets)


def _categories(words: list[int]) -> list[int]:
    return [32 * place + bit for place, word in enumerate(words) for bit in range(32) if word >> bit & 1]


def _zeros_missing(trees: list[Mapping[str, str]]) -> list[int]:
    """Columns whose zeros are missing: all their splits say so, as it is one parameter of the training."""
    zero: set[int] = set()
    other: set[int] = set()
    for tree in trees:
        features = tree.get("split_feature", "").split()
        kinds = [int(each) for each in tree.get("decision_type", "").split()]
        for feature, kind in zip(features, kinds, strict=True):
            if not kind & CATEGORICAL:
                (zero if kind >> 2 & 3 == ZERO_MISSING else other).add(int(feature))
            else:
                other.add(int(feature))
    if mixed := sorted(zero & other):
        raise CompilationError(
            f"zeros of column {mixed[0]} are missing values for some trees and not for others, which is not "
            "supported; train with one setting of zero_as_missing"
        )
    return sorted(zero)
