"""A tree ensemble of any framework, with what its trees mean exactly: one representation for one walker.

Frameworks differ in the type of a row, in whether a value equal to the threshold goes left, in where missing
values and categories go, in the precision of the sum, and in what becomes of it. All of that is data here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .request import CompilationError

Type = Literal["float32", "float64"]
TRANSFORMS = (
    "IDENTITY",
    "SIGMOID",
    "SIGMOID_PAIR",
    "EXPONENTIAL",
    "SOFTMAX",
    "ARGMAX",
    "HINGE",
    "SIGNED_SQUARE",
)
"""What becomes of a row's sums (see walker.c)."""
PROBABILITIES = ("SIGMOID", "SIGMOID_PAIR", "SOFTMAX")


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree; node 0 is the root.

    Attributes:
        left, right: Children; -1 at a leaf.
        feature: Column that an inner node looks at.
        threshold: As the framework keeps it.
        missing_left: Whether a missing value goes left.
        values: Of a leaf, one number or one a group: shape (nodes, 1 or groups).
        group: The sum that the tree adds to, if a leaf has one number.
        sets: Of nodes that split by categories: the categories of the set.
    """

    left: NDArray[np.integer[Any]]
    right: NDArray[np.integer[Any]]
    feature: NDArray[np.integer[Any]]
    threshold: NDArray[np.floating[Any]]
    missing_left: NDArray[np.bool_]
    values: NDArray[np.floating[Any]]
    group: int = 0
    sets: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Trees and what they mean.

    Attributes:
        base: What each group's sum starts with.
        row, total, answer: Types of a row and its thresholds, of the sums, and of the answers.
        strict: Whether ``value < threshold`` goes left, else ``value <= threshold``.
        in_set_right: Whether a category of the node's set goes right, else left. One that is in no set, as it
            was never seen, goes the other way.
        first_category: The condition for a value to be a category at all, in C.
        transform: One of TRANSFORMS.
        slope: Of the sigmoid.
        divisor: The sums are divided by it first (averages).
        zeros_missing: Columns whose zeros are missing values.
        categories: By column, the values in the order of the numbers that trees know them by; others are
            missing values.
        votes: Whether the sums are probabilities as they are, as of a forest that classifies.
        squeezed: Whether an answer of one number a row is that number, else a list with it.
    """

    trees: Sequence[Tree]
    features: int
    base: Sequence[float]
    row: Type
    total: Type
    answer: Type
    strict: bool = False
    in_set_right: bool = False
    first_category: str = "> -1"
    transform: str = "IDENTITY"
    slope: float = 1.0
    divisor: int = 1
    zeros_missing: Sequence[int] = ()
    categories: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    votes: bool = False
    squeezed: bool = True

    def __post_init__(self) -> None:
        """Refuse what would not fit the walker."""
        if not self.trees:
            raise CompilationError("the model has no trees; train it for at least one round")
        if len(self.base) > 1000:
            raise CompilationError(f"{len(self.base)} outputs a row are not supported; at most 1,000 are")
        if (self.zeros_missing or self.categories) and self.features > 2000:
            raise CompilationError(
                f"{self.features} features, some of them categories or with zeros as missing values, are not "
                "supported; at most 2,000 are"
            )

    @property
    def answers(self) -> int:
        """Numbers in the answer to one row."""
        return {"ARGMAX": 1, "SIGMOID_PAIR": 2}.get(self.transform, len(self.base))

    @property
    def shape(self) -> list[int]:
        """Of the answer to one row."""
        return [] if self.answers == 1 and self.squeezed else [self.answers]


@dataclass(frozen=True, slots=True)
class Layout:
    """One tree as the walker has it: breadth first, siblings side by side.

    Attributes:
        order: The tree's own node number by place.
        left: Place of the left child; a leaf's own place.
        inner: Whether it is no leaf.
        depth: Steps to the deepest leaf.
    """

    order: NDArray[np.int64]
    left: NDArray[np.int64]
    inner: NDArray[np.bool_]
    depth: int


def lay_out(tree: Tree) -> Layout:
    """Number the nodes of a tree level by level."""
    lefts, rights = np.asarray(tree.left, np.int64), np.asarray(tree.right, np.int64)
    level = np.zeros(1, np.int64)
    orders, places, inners = [], [], []
    start, depth = 0, 0
    while True:
        inner = lefts[level] >= 0
        end = start + len(level)
        children = np.column_stack([lefts[level[inner]], rights[level[inner]]]).ravel()
        place = np.arange(start, end)
        place[inner] = end + 2 * np.arange(inner.sum())
        orders.append(level)
        places.append(place)
        inners.append(inner)
        if not len(children):
            break
        level, start, depth = children, end, depth + 1
    return Layout(np.concatenate(orders), np.concatenate(places), np.concatenate(inners), depth)


def rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest single-precision numbers that are not above: they divide such numbers in the same way."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
