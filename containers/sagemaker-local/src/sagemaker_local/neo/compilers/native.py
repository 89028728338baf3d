"""A tree ensemble → a shared object: its tables, and a walker in C around them.

Tables with a walker answer both single rows and batches faster than trees spelt out as nested ifs, and
compile at once whatever the size of the model. The C compiler is Zig's clang, from a wheel: it needs nothing
of the machine.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import shared_object
from .cpus import Cpu
from .ensemble import PROBABILITIES, TRANSFORMS, Ensemble, Layout, lay_out
from .request import INPUT_NAME
from .shared_object import CSV_ENTRY_POINT, MODEL_FILE

ENTRY_POINT = "predict"
SOURCES = tuple(Path(__file__).with_name(name) for name in ("walker.c", "block.h"))
TREES_ABREAST = 8  # as in walker.c
MOST_LEAVES = 128  # of a small tree: its nodes have numbers below 256
MOST_CATEGORIES = 512  # of a small tree's sets
MOST_COLUMNS = 512  # of rows for small trees: they lie on the stack

C_TYPES = {"float32": "float", "float64": "double"}
ALL_INSTRUCTIONS = 3


def manifest(trees: Ensemble, cpu: Cpu) -> dict[str, Any]:
    """What the artefact's manifest says of the shared object."""
    probable = trees.votes or trees.transform in PROBABILITIES
    return {
        "compiler": "tree tables in C, zig cc",
        "model_file": MODEL_FILE,
        "entry_point": ENTRY_POINT,
        "csv_entry_point": CSV_ENTRY_POINT,
        "runtime": "native",
        "cpu": cpu.name,
        "cpu_features": list(cpu.features),
        "inputs": [{"name": INPUT_NAME, "shape": [None, trees.features], "dtype": trees.row}],
        "outputs": [
            {
                "name": "probabilities" if probable else "predictions",
                "shape": [None, *trees.shape],
                "dtype": trees.answer,
                "method": "predict_proba" if probable else "predict",
            }
        ],
    }


def versions() -> dict[str, str]:
    """Versions of what every shared object is made with."""
    return {"ziglang": importlib.metadata.version("ziglang"), "numpy": np.__version__}


def build(trees: Ensemble, architecture: str, cpu: str) -> bytes:
    """Compile the walker around the tables for an architecture and a processor of it, by Zig's name."""
    tables = _tables(trees)
    sources = {
        **{f"{table}.bin": content for table, content in tables.blobs.items()},
        "model.h": tables.header.encode(),
        **{source.name: source.read_bytes() for source in SOURCES},
    }
    # A product and a sum are rounded each, as the frameworks do.
    return shared_object.build(sources, SOURCES[0].name, architecture, cpu, "-ffp-contract=off")


def loaded(
    library: bytes, trees: Ensemble, most: int = ALL_INSTRUCTIONS
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Load a shared object into this process and call it; ``most`` limits it to older instructions."""
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(library)
        file.flush()
        function = ctypes.CDLL(file.name)["predict_at_level"]
    function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int)
    function.restype = None

    def predict(rows: NDArray[Any]) -> NDArray[Any]:
        given = np.ascontiguousarray(rows, trees.row)
        answers = np.empty((len(rows), *trees.shape), trees.answer)
        function(given.ctypes.data, len(given), answers.ctypes.data, most)
        return answers

    return predict


@dataclass(frozen=True, slots=True)
class _Tables:
    header: str
    blobs: dict[str, bytes]


def _is_small(trees: Ensemble, number: int, layout: Layout) -> bool:
    """Whether to decide all splits for 64 rows at once rather than to walk.

    Deciding costs as many steps as the tree has splits, walking as many as it is deep, for each row. The
    limits follow from counting instructions; trees within them answered 4 to 6 times as many rows as walked.
    """
    splits = int(layout.inner.sum())
    most = layout.depth * (48 if trees.row == "float32" else 24)
    largest = max((max(each, default=0) for each in trees.trees[number].sets.values()), default=0)
    return splits < MOST_LEAVES and splits <= most and largest < MOST_CATEGORIES


def _tables(trees: Ensemble) -> _Tables:
    """model.h and the tables; the number of trees is filled up with empty ones for the walker."""
    node_type = np.dtype(
        {
            "names": ["threshold", "number", "left", "code"],
            "formats": [trees.row, np.uint32, np.int32, np.uint32],
            "offsets": [0, 0, 4, 8] if trees.row == "float32" else [0, 0, 8, 12],
            "itemsize": 16,
        }
    )
    layouts = [lay_out(tree) for tree in trees.trees]
    used = sorted(
        {
            int(each)
            for tree, at in zip(trees.trees, layouts, strict=True)
            for each in tree.feature[at.order[at.inner]]
        }
    )
    can_be_small = len(used) <= MOST_COLUMNS
    is_small = [can_be_small and _is_small(trees, number, at) for number, at in enumerate(layouts)]
    if 2 * sum(is_small) < len(is_small):  # Walks gain more by larger blocks of rows.
        is_small = [False] * len(is_small)
    column_of = np.zeros(max(trees.features, 1), np.int64)
    column_of[used] = np.arange(len(used))
    nodes, leaves, splits, places = [], [], [], []
    sets = _bits(())
    by_set: set[int] = set()
    roots, smalls = [], []
    size = leaf_count = split_count = place_count = 0
    for number, (tree, at) in enumerate(zip(trees.trees, layouts, strict=True)):
        inner, order = at.inner, at.order
        table = np.zeros(len(order), node_type)
        table["threshold"] = np.where(inner, tree.threshold[order], 0)
        table["number"][~inner] = leaf_count + np.arange((~inner).sum())
        table["left"] = at.left + size
        set_of = {}
        code = tree.feature[order].astype(np.int64) << 3 | ~tree.missing_left[order] << 1 | 1
        for at_place, old in enumerate(order.tolist()) if tree.sets else ():
            if old in tree.sets:
                set_of[at_place] = len(sets)
                code[at_place] |= 4
                table["threshold"][at_place] = 0
                table["number"][at_place] = len(sets)
                sets += _bits(tree.sets[old])
                by_set.add(int(tree.feature[old]))
        table["code"] = np.where(inner, code, 0)
        if is_small[number]:
            split = np.zeros(int(inner.sum()), _split_type(trees.row))
            split["threshold"] = tree.threshold[order[inner]]
            missing_left = tree.missing_left[order[inner]].astype(np.int64)
            split["column"] = column_of[tree.feature[order[inner]]] | missing_left << 15
            split["self"], split["left"] = np.flatnonzero(inner), at.left[inner]
            for at_split, at_place in enumerate(np.flatnonzero(inner).tolist()):
                if at_place in set_of:
                    split["threshold"][at_split] = 0
                    split["number"][at_split] = set_of[at_place]
                    split["column"][at_split] |= 1 << 14
            place = np.flatnonzero(~inner).astype(np.uint8)
            smalls.append((split_count, place_count, leaf_count, len(place)))
            splits.append(split.tobytes())
            places.append(place.tobytes())
            split_count, place_count = split_count + len(split), place_count + len(place)
        else:
            smalls.append((0, 0, 0, 0))
        nodes.append(table.tobytes())  # concatenate would move fields that lie upon each other
        leaves.append(tree.values[order[~inner]])
        roots.append(size)
        size, leaf_count = size + len(order), leaf_count + int((~inner).sum())
    empty = np.zeros(1, node_type)
    empty["left"] = size
    values = np.concatenate(leaves).astype(trees.total)
    filled = -len(roots) % TREES_ABREAST
    blobs = {
        "nodes": b"".join([*nodes, empty.tobytes()]),
        "leaves": values.tobytes(),
        "sets": np.array(sets, np.uint32).tobytes(),
        "splits": b"".join(splits) or bytes(16),
        "places": b"".join(places) or bytes(1),
    }
    has_small = [count > 0 for *_, count in smalls]
    lines = [
        *(f"#define {kind} {number}" for number, kind in enumerate(TRANSFORMS)),
        *(f"#define {name} {value}" for name, value in _constants(trees).items()),
        f"#define TREES {len(roots) + filled}",
        f"#define REAL_TREES {len(roots)}",
        f"#define WIDTH {values.shape[1]}",
        f"#define SETS {int(bool(by_set))}",
        f"#define SMALL_TREES {int(any(has_small))}",
        f"#define ALL_SMALL {int(all(has_small))}",
        f"#define COLUMNS {max(1, len(used))}",
        "typedef struct { int32_t split, place, leaf, leaves; } Small;",
        _array("int32_t", "roots", roots + [size] * filled),
        _array("int32_t", "depths", [at.depth for at in layouts] + [0] * filled),
        _array("int32_t", "groups", [tree.group for tree in trees.trees] + [0] * filled),
        _array("SUM", "base_margins", [_exactly(each, trees.total) for each in trees.base]),
        *([_array("Small", "smalls", [_record(each) for each in smalls])] if any(has_small) else []),
        *([_array("int32_t", "used_columns", used or [0])] if any(has_small) else []),
        *(
            [_array("uint8_t", "column_is_categories", [int(each in by_set) for each in used])]
            if by_set
            else []
        ),
        *_preparation(trees),
        "",
    ]
    return _Tables("\n".join(lines), blobs)


def _split_type(row: str) -> np.dtype[Any]:
    after = np.dtype(row).itemsize
    return np.dtype(
        {
            "names": ["threshold", "number", "column", "self", "left"],
            "formats": [row, np.uint32, np.uint16, np.uint8, np.uint8],
            "offsets": [0, 0, after, after + 2, after + 3],
            "itemsize": 2 * after,
        }
    )


def _constants(trees: Ensemble) -> dict[str, Any]:
    return {
        "ROW": C_TYPES[trees.row],
        "SUM": C_TYPES[trees.total],
        "OUT": C_TYPES[trees.answer],
        "STRICT": int(trees.strict),
        "IN_SET_IS_RIGHT": int(trees.in_set_right),
        "FIRST_CATEGORY": trees.first_category,
        "TRANSFORM": trees.transform,
        "SLOPE": float(trees.slope).hex(),
        "DIVISOR": trees.divisor,
        "FEATURES": trees.features,
        "GROUPS": len(trees.base),
        "ANSWERS": trees.answers,
        "PREPARED": int(bool(trees.zeros_missing or trees.categories)),
    }


def _preparation(trees: Ensemble) -> list[str]:
    """Tables of what is done to a row first."""
    if not trees.zeros_missing and not trees.categories:
        return []
    values: list[str] = []
    encoded = []
    for column, known in sorted(trees.categories.items()):
        encoded.append(_record((column, len(values), len(known))))
        values += [_exactly(each, trees.row) for each in known]
    return [
        f"#define ZEROS {len(trees.zeros_missing)}",
        f"#define ENCODED {len(encoded)}",
        "typedef struct { int32_t column, first, count; } Encoded;",
        _array("int32_t", "zeros", list(trees.zeros_missing) or [0]),
        _array("Encoded", "encoded", encoded or [_record((0, 0, 0))]),
        _array("ROW", "categories", values or [0]),
    ]


def _bits(categories: Any) -> list[int]:
    """A set: how many words, then the words."""
    words = [0] * (max(categories, default=-1) // 32 + 1)
    for category in categories:
        words[category // 32] |= 1 << category % 32
    return [len(words), *words]


def _array(kind: str, name: str, values: list[Any]) -> str:
    return f"static const {kind} {name}[] = {{{', '.join(map(str, values))}}};"


def _record(values: tuple[int, ...]) -> str:
    return f"{{{', '.join(map(str, values))}}}"


def _exactly(value: float, kind: str) -> str:
    """A number in C that is the very same."""
    rounded = float(np.float32(value)) if kind == "float32" else float(value)
    return rounded.hex() if np.isfinite(rounded) else f"{'-' if rounded < 0 else ''}__builtin_inf()"
