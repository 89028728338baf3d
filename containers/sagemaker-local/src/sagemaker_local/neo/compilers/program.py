"""A program of steps on rows, as a shared object: tables, and the kernels of ``kernels.h`` called in turn.

A step takes a value (some columns of every row) and makes another, or changes it where it lies. The C
compiler is Zig's clang, from a wheel: it needs nothing of the machine.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import shared_object
from .shared_object import CSV_ENTRY_POINT, MODEL_FILE, here

ENTRY_POINT = "predict"
SOURCES = tuple(Path(__file__).with_name(name) for name in ("program.c", "kernels.h"))
LANES = 8
BLOCKS = (32, 16, 8, 4, 2, 1)
STACK_BYTES = 256 * 1024
"""What a block of rows may take; a single row may take four times as much."""
FEW_OUTPUTS = 2

# What every server has.
CPUS = {"X86_64": "x86_64_v2", "ARM64": "baseline"}


class NotCoveredError(Exception):
    """A model has a part that no step does; the text says which."""


@dataclass(frozen=True, slots=True)
class Value:
    """Columns that a step has made, by the name of their buffer."""

    name: str
    width: int

    @property
    def stride(self) -> int:
        """Width of a row in memory."""
        return -(-self.width // LANES) * LANES


class Program:
    """Grows by steps, then is built.

    Attributes:
        features: Width of the rows that it takes.
        rows: These, as the first value.
        answers: Width of its answer.
        kind: Type of its rows and answers in C; in between all is double.
    """

    def __init__(self, features: int, kind: str = "double") -> None:
        self.features = features
        self.kind = kind
        self.answers = 0
        self._tables: list[NDArray[np.float64]] = []
        self._size = 0
        self._lists: list[str] = []
        self._steps: list[str] = []
        self._buffers: list[Value] = []
        self._classes = 1
        self.rows = self.buffer(features)
        self.step(f"OWN(load)(rows, n, {features}, {self.rows.name}, {self.rows.stride})")

    def buffer(self, width: int) -> Value:
        """A new value, not yet filled."""
        value = Value(f"b{len(self._buffers)}", width)
        self._buffers.append(value)
        return value

    def step(self, call: str) -> None:
        """Add a step in C."""
        self._steps.append(f"    {call};")

    def table(self, values: ArrayLike, fill: float = 0.0) -> str:
        """Numbers as C finds them; the last axis is filled up to whole vectors."""
        array = np.atleast_1d(np.asarray(values, np.float64))
        missing = -array.shape[-1] % LANES
        padded = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)], constant_values=fill)
        place = self._size
        self._tables.append(padded.ravel())
        self._size += padded.size
        return f"table + {place}"

    def whole_numbers(self, values: Sequence[int]) -> str:
        """Whole numbers as C finds them."""
        name = f"list{len(self._lists)}"
        listed = ", ".join(str(int(value)) for value in values)
        self._lists.append(f"static const int32_t {name}[] = {{{listed or '0'}}};")
        return name

    def in_place(self, kind: str, value: Value, *arguments: str) -> Value:
        """Change a value where it lies."""
        self.step(f"OWN({kind})({', '.join([value.name, 'n', str(value.stride), *arguments])})")
        return value

    def columnwise(self, kind: str, value: Value, by: ArrayLike, fill: float = 0.0) -> Value:
        """The same operation in every row, with a number a column."""
        numbers = np.broadcast_to(np.asarray(by, np.float64), (value.width,))
        return self.in_place(kind, value, self.table(numbers, fill))

    def within_row(self, kind: str, value: Value, *arguments: str) -> Value:
        """Change a value where it lies, each row by itself."""
        arguments = (value.name, "n", str(value.width), str(value.stride), *arguments)
        self.step(f"OWN({kind})({', '.join(arguments)})")
        return value

    def made(self, kind: str, value: Value, width: int, *arguments: str) -> Value:
        """A new value of another."""
        new = self.buffer(width)
        given = (value.name, str(value.stride), "n", *arguments, new.name, str(new.stride))
        self.step(f"OWN({kind})({', '.join(given)})")
        return new

    def gather(self, value: Value, columns: Sequence[int]) -> Value:
        """Some columns, copied."""
        return self.made("gather", value, len(columns), self.whole_numbers(columns), str(len(columns)))

    def joined(self, parts: Sequence[Value]) -> Value:
        """Values side by side."""
        if len(parts) == 1:
            return parts[0]
        new = self.in_place("clear", self.buffer(sum(part.width for part in parts)))
        first = 0
        for part in parts:
            given = (part.name, str(part.stride), "n", str(part.width), new.name, str(new.stride), str(first))
            self.step(f"OWN(place)({', '.join(given)})")
            first += part.width
        return new

    def linear(self, value: Value, weights: ArrayLike, offsets: ArrayLike) -> Value:
        """``value @ weights.T + offsets``, with a row of weights an output."""
        matrix = np.atleast_2d(np.asarray(weights, np.float64))
        outputs = len(matrix)
        if outputs <= FEW_OUTPUTS:
            new = self.made("dots", value, outputs, self.table(matrix), str(outputs))
        else:
            new = self.made("dense", value, outputs, str(value.width), self.lanes(matrix))
        return self.columnwise("add", new, np.ravel(offsets))

    def lanes(self, matrix: NDArray[np.float64]) -> str:
        """A row of numbers an output, as the dense kernels have them."""
        outputs, inputs = matrix.shape
        padded = np.pad(matrix, ((0, -outputs % LANES), (0, 0)))
        return self.table(padded.reshape(-1, LANES, inputs).transpose(0, 2, 1))

    def votes(self, pairs: Value, classes: int) -> Value:
        """Pairs' decisions into a score a class."""
        self._classes = max(self._classes, classes)
        return self.made("votes", pairs, classes, str(classes))

    def answer(self, value: Value) -> None:
        """The last step."""
        self.answers = value.width
        self.step(f"OWN(store)({value.name}, n, {value.width}, {value.stride}, out)")

    def sources(self) -> dict[str, bytes]:
        """The files that a compiler needs, by name.

        Raises:
            NotCoveredError: a row takes too much memory on its way.
        """
        row_bytes = sum(value.stride for value in self._buffers) * 8
        if row_bytes > 4 * STACK_BYTES:
            raise NotCoveredError(f"a row on its way through the model takes {row_bytes} bytes")
        block = next(rows for rows in BLOCKS if rows * row_bytes <= STACK_BYTES or rows == 1)
        model = [
            f"#define ROW {self.kind}",
            f"#define FEATURES {self.features}",
            f"#define ANSWERS {self.answers}",
            f"#define ROWS_A_BLOCK {block}",
            f"#define CLASSES_AT_MOST {self._classes}",
            *self._lists,
        ]
        steps = [
            '#include "kernels.h"',
            "static void OWN(block)(const ROW *rows, int n, ROW *out) {",
            *(
                f"    double {value.name}[ROWS_A_BLOCK * {value.stride}] __attribute__((aligned(64)));"
                for value in self._buffers
            ),
            *self._steps,
            "}",
        ]
        numbers = np.concatenate([*self._tables, np.zeros(LANES)])
        return {
            "model.h": "\n".join([*model, ""]).encode(),
            "steps.h": "\n".join([*steps, ""]).encode(),
            "table.bin": numbers.tobytes(),
            **{source.name: source.read_bytes() for source in SOURCES},
        }


def build(sources: dict[str, bytes], architecture: str) -> bytes:
    """Compile a program's sources for an architecture."""
    cpu = CPUS[architecture]
    return shared_object.build(sources, SOURCES[0].name, architecture, cpu, "-Wno-psabi")


def built(made: Program, architecture: str) -> tuple[bytes, bytes]:
    """The shared object for an architecture, and a twin that runs on this machine, from the same source.

    Raises:
        NotCoveredError: a row takes too much memory on its way.
    """
    sources = made.sources()
    library = build(sources, architecture)
    return library, library if here() == architecture else build(sources, here())


def described() -> dict[str, Any]:
    """What the manifest says of every program."""
    return {
        "compiler": "steps in C, zig cc",
        "versions": {"ziglang": importlib.metadata.version("ziglang"), "numpy": np.__version__},
        "model_file": MODEL_FILE,
        "entry_point": ENTRY_POINT,
        "csv_entry_point": CSV_ENTRY_POINT,
        "cpu_features": [],
    }


def loaded(library: bytes, answers: int, dtype: str = "float64") -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Load a shared object into this process and call it."""
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(library)
        file.flush()
        loaded_library = ctypes.CDLL(file.name)
    function = loaded_library[ENTRY_POINT]
    function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    function.restype = None

    def predict(rows: NDArray[Any]) -> NDArray[Any]:
        given = np.ascontiguousarray(rows, dtype)
        found = np.empty((len(given), answers), dtype)
        function(given.ctypes.data, len(given), found.ctypes.data)
        return found

    return predict
