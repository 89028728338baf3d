"""XGBoost → a shared object: the trees as a flat table, and a walker in C around it.

A table with a walker answers both single rows and batches faster than trees spelt out as nested ifs, and
compiles at once whatever the size of the model. The C compiler is Zig's clang, from a wheel: it needs nothing
of the machine.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from . import check, ensemble
from .ensemble import Ensemble
from .job import Compiled, run
from .request import INPUT_NAME, CompilationError, Request

MODEL_FILE = "model.so"
ENTRY_POINT = "predict"
WALKER = Path(__file__).with_name("walker.c")
TREES_ABREAST = 8  # as in walker.c

# AWS's own XGBoost container names its model without a suffix.
MODEL_NAMES = ("xgboost-model",)
SUFFIXES = (".json", ".ubj", ".model")

# Per architecture: Zig's target, with a glibc old enough for every supported system, and the instruction sets
# that every server has. The walk waits for memory: AVX2 and AVX-512 gave less than 10 % on batches, nothing
# on one row.
ZIG_TARGETS = {
    "X86_64": ("x86_64-linux-gnu.2.17", "x86_64_v2"),
    "ARM64": ("aarch64-linux-gnu.2.17", "baseline"),
}
MACHINES = {"x86_64": "X86_64", "aarch64": "ARM64"}

TRANSFORMS = ("IDENTITY", "SIGMOID", "EXPONENTIAL", "SOFTMAX", "ARGMAX")
# Transforms whose answers are probabilities.
METHODS = {"SOFTMAX": "predict_proba", "SIGMOID": "predict_proba"}


def is_model(path: Path) -> bool:
    """Tell a model from other files; a .json file is one when it holds a learner."""
    if path.suffix != ".json":
        return path.suffix in SUFFIXES or path.name in MODEL_NAMES
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and "learner" in content


def compile_model(path: Path, request: Request) -> Compiled:
    """Flatten, compile, check on random rows that both answer alike, describe."""
    request.check_version(xgboost.__version__)
    booster = load(path)
    trees = ensemble.read(bytes(booster.save_raw("json")))
    request.check_features(trees.features, path.name)
    library = build(trees, request.target.architecture)
    here = MACHINES.get(platform.machine(), "X86_64")
    # What this machine cannot run is checked by a twin built from the same source.
    runnable = library if here == request.target.architecture else build(trees, here)
    checked = check.compare(
        trees.features,
        original=booster.inplace_predict,
        compiled=loaded(runnable, trees),
        rows=with_missing(check.random_rows(trees.features)),
    )
    return Compiled(
        manifest={
            "framework_version": xgboost.__version__,
            "compiler": "tree table in C, zig cc",
            "versions": {
                "xgboost": xgboost.__version__,
                "ziglang": importlib.metadata.version("ziglang"),
                "numpy": np.__version__,
            },
            "model_file": MODEL_FILE,
            "entry_point": ENTRY_POINT,
            "inputs": [{"name": INPUT_NAME, "shape": [None, trees.features], "dtype": "float32"}],
            "outputs": [
                {
                    "name": "probabilities" if trees.transform in METHODS else "predictions",
                    "shape": [None] if trees.answers == 1 else [None, trees.answers],
                    "dtype": "float32",
                    "method": METHODS.get(trees.transform, "predict"),
                }
            ],
            "check": checked,
        },
        files={MODEL_FILE: library},
    )


def load(path: Path) -> xgboost.Booster:
    """Read the model by XGBoost itself, which upgrades older formats."""
    booster = xgboost.Booster({"nthread": 1})
    content = path.read_bytes()
    if not content:  # XGBoost would end the process.
        raise CompilationError(f"{path.name} is empty; save the model with Booster.save_model")
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CompilationError(
            f"{path.name} is not a model that XGBoost {xgboost.__version__} reads ({reason}): "
            "save it with Booster.save_model as .json or .ubj, not pickled"
        ) from error
    return booster


def build(trees: Ensemble, architecture: str) -> bytes:
    """Compile the walker around the table for an architecture."""
    target, cpu = ZIG_TARGETS[architecture]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        nodes = directory / "nodes.bin"
        nodes.write_bytes(np.append(trees.nodes, empty_leaf(len(trees.nodes))).tobytes())
        (directory / "model.h").write_text(header(trees, nodes.name))
        (directory / WALKER.name).write_bytes(WALKER.read_bytes())
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target, f"-mcpu={cpu}"]
        command += ["-std=gnu11", "-O3", "-g0", "-s", "-shared", "-fPIC", "-nostdlib", "-fvisibility=hidden"]
        command += ["-I.", "-Wa,-I.", WALKER.name, "-o", MODEL_FILE]
        cache = {
            "ZIG_GLOBAL_CACHE_DIR": str(directory / "cache"),
            "ZIG_LOCAL_CACHE_DIR": str(directory / "cache"),
        }
        done = subprocess.run(
            command, cwd=directory, env={**os.environ, **cache}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        return (directory / MODEL_FILE).read_bytes()


def header(trees: Ensemble, nodes_file: str) -> str:
    """model.h: sizes and small tables; the number of trees is filled up with empty ones for the walker."""
    empty = -len(trees.roots) % TREES_ABREAST
    # An empty tree is one leaf of value 0, which build() appends to the table.
    nothing = len(trees.nodes)

    def table(kind: str, name: str, values: list[Any]) -> str:
        return f"static const {kind} {name}[] = {{{', '.join(map(str, values))}}};"

    return "\n".join(
        [
            *(f"#define {kind} {number}" for number, kind in enumerate(TRANSFORMS)),
            f"#define TRANSFORM {trees.transform}",
            f'#define NODES_FILE "{nodes_file}"',
            f"#define FEATURES {trees.features}",
            f"#define GROUPS {len(trees.base_margins)}",
            f"#define ANSWERS {trees.answers}",
            f"#define TREES {len(trees.roots) + empty}",
            table("int32_t", "roots", trees.roots + [nothing] * empty),
            table("int32_t", "depths", trees.depths + [0] * empty),
            table("int32_t", "groups", trees.groups + [0] * empty),
            table(
                "float", "base_margins", [float(np.float32(margin)).hex() for margin in trees.base_margins]
            ),
            "",
        ]
    )


def empty_leaf(number: int) -> NDArray[Any]:
    """A tree of nothing but a leaf of value 0, which is node ``number``."""
    leaf = np.zeros(1, ensemble.NODE)
    leaf["left"] = number
    return leaf


def loaded(library: bytes, trees: Ensemble) -> Callable[[check.Rows], NDArray[Any]]:
    """Load a shared object into this process and call it."""
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(library)
        file.flush()
        function = ctypes.CDLL(file.name)[ENTRY_POINT]
    function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    function.restype = None

    def predict(rows: check.Rows) -> NDArray[Any]:
        answers = np.empty((len(rows), trees.answers), np.float32)
        function(rows.ctypes.data, len(rows), answers.ctypes.data)
        return answers

    return predict


def with_missing(rows: check.Rows) -> check.Rows:
    """The rows twice, the second time with a tenth of the values missing."""
    holes = np.random.default_rng(1).uniform(size=rows.shape) < 0.1
    return np.ascontiguousarray(np.concatenate([rows, np.where(holes, np.float32(np.nan), rows)]), np.float32)


def main() -> int:
    """Run the job below /opt/ml."""
    return run(compile_model, is_model, " or ".join([*MODEL_NAMES, *(f"*{suffix}" for suffix in SUFFIXES)]))


if __name__ == "__main__":
    sys.exit(main())
