"""XGBoost's own model format → one flat table of nodes.

Source of the format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html and its JSON
schema.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .request import CompilationError

NODE = np.dtype(
    [
        ("threshold", np.float32),
        ("feature", np.uint32),
        ("left", np.int32),
        ("inner", np.uint16),
        ("missing_right", np.uint16),
    ]
)


def _logit(score: float) -> float:
    return -math.log(1 / score - 1)


def _same(score: float) -> float:
    return score


# Objective -> how margins become answers (see walker.c), and how base_score becomes a margin.
OBJECTIVES: dict[str, tuple[str, Callable[[float], float]]] = {
    "binary:logistic": ("SIGMOID", _logit),
    "binary:logitraw": ("IDENTITY", _same),
    "reg:logistic": ("SIGMOID", _logit),
    "reg:squarederror": ("IDENTITY", _same),
    "reg:absoluteerror": ("IDENTITY", _same),
    "count:poisson": ("EXPONENTIAL", math.log),
    "reg:gamma": ("EXPONENTIAL", math.log),
    "reg:tweedie": ("EXPONENTIAL", math.log),
    "multi:softprob": ("SOFTMAX", _same),
    "multi:softmax": ("ARGMAX", _same),
}


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A tree ensemble as tables.

    Attributes:
        nodes: All trees' nodes (dtype NODE), breadth first; a leaf's threshold is its value.
        roots, depths, groups: Per tree: number of its root, steps to its deepest leaf, margin that it adds
        to. base_margins: Per group.
    """

    nodes: NDArray[Any]
    roots: list[int]
    depths: list[int]
    groups: list[int]
    base_margins: list[float]
    features: int
    transform: str

    @property
    def answers(self) -> int:
        """Numbers in the answer to one row."""
        return 1 if self.transform == "ARGMAX" else len(self.base_margins)


def read(raw: bytes) -> Ensemble:
    """Read a model as ``Booster.save_raw("json")`` gives it."""
    learner = json.loads(raw)["learner"]
    objective = learner["objective"]["name"]
    if objective not in OBJECTIVES:
        raise CompilationError(
            f"objective {objective} is not supported; supported are {', '.join(sorted(OBJECTIVES))}"
        )
    transform, to_margin = OBJECTIVES[objective]
    parameters = learner["learner_model_param"]
    if int(parameters.get("num_target", "1")) > 1:
        raise CompilationError("models with several targets are not supported; train one model a target")
    booster = learner["gradient_booster"]
    weights: list[float] | None = None
    if booster["name"] == "dart":
        weights, booster = booster["weight_drop"], booster["gbtree"]
    elif booster["name"] != "gbtree":
        raise CompilationError(
            f"booster {booster['name']} is not supported; train with booster=gbtree or dart"
        )
    base_margins = _base_margins(parameters, to_margin)
    trees = booster["model"]["trees"]
    if not trees:
        raise CompilationError("the model has no trees; train it for at least one round")
    tables, roots, depths = [], [], []
    size = 0
    for number, tree in enumerate(trees):
        table, depth = _flatten(tree, size, 1.0 if weights is None else weights[number])
        tables.append(table)
        roots.append(size)
        depths.append(depth)
        size += len(table)
    return Ensemble(
        nodes=np.concatenate(tables),
        roots=roots,
        depths=depths,
        groups=list(booster["model"]["tree_info"]),
        base_margins=base_margins,
        features=int(parameters["num_feature"]),
        transform=transform,
    )


def _base_margins(parameters: Mapping[str, str], to_margin: Callable[[float], float]) -> list[float]:
    groups = max(1, int(parameters.get("num_class", "0")))
    # A list since XGBoost 3.1, a plain number before.
    scores = json.loads(parameters["base_score"])
    listed = [float(score) for score in (scores if isinstance(scores, list) else [scores])]
    margins = [to_margin(score) for score in listed]
    return margins * groups if len(margins) == 1 else margins


def _flatten(tree: Mapping[str, Any], start: int, weight: float) -> tuple[NDArray[Any], int]:
    """Nodes of one tree, numbered from ``start`` with siblings side by side, and its depth."""
    if int(tree["tree_param"].get("size_leaf_vector", "1") or "1") > 1:
        raise CompilationError(
            "leaves with several values are not supported; train with multi_strategy=one_output_per_tree"
        )
    if any(tree["split_type"]):
        raise CompilationError(
            "categorical splits are not supported; encode categories as numbers before training"
        )
    lefts, rights = tree["left_children"], tree["right_children"]
    conditions, features, default_left = tree["split_conditions"], tree["split_indices"], tree["default_left"]
    order, depths = [0], [0]
    left_of: list[int] = []
    for place, old in enumerate(order):  # `order` grows while it is walked: breadth first
        if lefts[old] == -1:
            left_of.append(place)
            continue
        left_of.append(len(order))
        order += [lefts[old], rights[old]]
        depths += [depths[place] + 1] * 2
    table = np.zeros(len(order), NODE)
    inner = np.array([lefts[old] != -1 for old in order])
    values = np.array([conditions[old] for old in order], np.float32)
    table["threshold"] = np.where(inner, values, values * np.float32(weight))
    table["feature"] = np.where(inner, [features[old] for old in order], 0)
    table["left"] = np.array(left_of) + start
    table["inner"] = inner
    table["missing_right"] = [not default_left[old] for old in order]
    return table, max(depths)
