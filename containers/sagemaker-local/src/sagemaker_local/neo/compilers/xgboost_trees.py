"""XGBoost's own model format → trees.

Source of the format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html and its JSON
schema.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .ensemble import Ensemble, Tree
from .request import CompilationError


def _logit(score: float) -> float:
    return -math.log(1 / score - 1)


def _same(score: float) -> float:
    return score


# Objective -> how margins become answers (see walker.c), and how base_score becomes a margin.
OBJECTIVES: dict[str, tuple[str, Callable[[float], float]]] = {
    "binary:hinge": ("HINGE", _same),
    "binary:logistic": ("SIGMOID", _logit),
    "binary:logitraw": ("IDENTITY", _same),
    "count:poisson": ("EXPONENTIAL", math.log),
    "multi:softmax": ("ARGMAX", _same),
    "multi:softprob": ("SOFTMAX", _same),
    "rank:map": ("IDENTITY", _same),
    "rank:ndcg": ("IDENTITY", _same),
    "rank:pairwise": ("IDENTITY", _same),
    "reg:absoluteerror": ("IDENTITY", _same),
    "reg:gamma": ("EXPONENTIAL", math.log),
    "reg:logistic": ("SIGMOID", _logit),
    "reg:pseudohubererror": ("IDENTITY", _same),
    "reg:quantileerror": ("IDENTITY", _same),
    "reg:squarederror": ("IDENTITY", _same),
    "reg:squaredlogerror": ("IDENTITY", _same),
    "reg:tweedie": ("EXPONENTIAL", math.log),
    "survival:aft": ("EXPONENTIAL", math.log),
    "survival:cox": ("EXPONENTIAL", math.log),
}


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
    booster = learner["gradient_booster"]
    weights: list[float] | None = None
    if booster["name"] == "dart":
        weights, booster = booster["weight_drop"], booster["gbtree"]
    elif booster["name"] != "gbtree":
        raise CompilationError(
            f"booster {booster['name']} is not supported; train with booster=gbtree or dart"
        )
    groups = booster["model"]["tree_info"]
    trees = [
        _tree(tree, groups[number], 1.0 if weights is None else weights[number])
        for number, tree in enumerate(booster["model"]["trees"])
    ]
    return Ensemble(
        trees=trees,
        features=int(parameters["num_feature"]),
        base=_base_margins(parameters, to_margin),
        row="float32",
        total="float32",
        answer="float32",
        strict=True,
        in_set_right=True,
        first_category=">= 0",
        transform=transform,
    )


def _base_margins(parameters: Mapping[str, str], to_margin: Callable[[float], float]) -> list[float]:
    groups = max(1, int(parameters.get("num_class", "0")), int(parameters.get("num_target", "1")))
    # A list since XGBoost 3.1, a plain number before.
    scores = json.loads(parameters["base_score"])
    listed = [float(score) for score in (scores if isinstance(scores, list) else [scores])]
    margins = [to_margin(score) for score in listed]
    return margins * groups if len(margins) == 1 else margins


def _tree(tree: Mapping[str, Any], group: int, weight: float) -> Tree:
    if int(tree["tree_param"].get("size_leaf_vector", "1") or "1") > 1:
        raise CompilationError(
            "leaves with several values are not supported; train with multi_strategy=one_output_per_tree"
        )
    left = np.array(tree["left_children"], np.int64)
    conditions = np.array(tree["split_conditions"], np.float32)
    categories = tree["categories"]
    sets = {
        node: categories[start : start + size]
        for node, start, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }
    return Tree(
        left=left,
        right=np.array(tree["right_children"], np.int64),
        feature=np.array(tree["split_indices"], np.int64),
        threshold=conditions,
        missing_left=np.array(tree["default_left"], bool),
        values=(conditions * np.float32(weight)).reshape(-1, 1),
        group=group,
        sets=sets,
    )
