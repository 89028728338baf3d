"""Loading what Neo compiled: what is refused, and how rows become answers."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from model_serving import csv_rows
from tests.unit.containers import programs

SOURCE = programs.CONTAINERS / "model-serving/src/model_serving/compiled.py"

# Doubles the first feature of every row; says nothing of what is beyond the last.
DOUBLING = """
#include <stdint.h>
void predict(const double *rows, int64_t count, double *out) {
    for (int64_t row = 0; row < count; row++) out[row] = 2 * rows[3 * row];
}
"""


def module() -> ModuleType:
    """The file alone, as images have it that do not have its package."""
    spec = util.spec_from_file_location("compiled_alone", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    loaded = util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


compiled = module()

MANIFEST: Mapping[str, Any] = {
    "model_file": "model.so",
    "entry_point": "predict",
    "runtime": "native",
    "cpu": "x86-64-v2",
    "cpu_features": [],
    "inputs": [{"name": "input", "shape": [None, 3], "dtype": "float64"}],
    "outputs": [{"name": "predictions", "shape": [None], "dtype": "float64", "method": "predict"}],
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same shared object for both architectures, by the name of the processor; it reads CSV too."""
    directory = tmp_path_factory.mktemp("libraries")
    programs.write(directory / "model.c", DOUBLING)
    build = (
        "import subprocess, sys\n"
        "for machine in ('x86_64', 'aarch64'):\n"
        "    target, to = machine + '-linux-gnu.2.17', sys.argv[1] + '/'\n"
        "    command = [sys.executable, '-m', 'ziglang', 'cc', '-target', target, '-O1', '-shared']\n"
        "    command += ['-nostdlib', to + 'model.c', sys.argv[2], '-o', to + machine]\n"
        "    subprocess.run(command, check=True)\n"
    )
    programs.in_environment("XGBOOST", build, str(directory), str(programs.NEO / "compilers/csv_rows.c"))
    return {name: (directory / name).read_bytes() for name in ("x86_64", "aarch64")}


def artefact(directory: Path, library: bytes, **changes: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.so").write_bytes(library)
    (directory / "manifest.json").write_text(json.dumps({**MANIFEST, **changes}))
    return directory


@pytest.fixture
def model(libraries: dict[str, bytes], tmp_path: Path) -> Path:
    return artefact(tmp_path, libraries[platform.machine()])


def test_rows_become_answers_whatever_their_type_and_order(model: Path) -> None:
    loaded = compiled.load(model)
    rows = np.arange(12, dtype=np.int64).reshape(4, 3)
    assert (loaded.features, loaded.input_dtype) == (3, np.float64)
    for given in (rows, rows.astype(np.float32), np.asfortranarray(rows, np.float64), rows.astype(">f8")):
        answers = loaded.predict(given)
        assert answers.dtype == np.float64
        assert answers.tolist() == [0, 6, 12, 18]
    assert loaded.predict(rows[:0]).shape == (0,)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 4), (1, 2, 3)])
def test_rows_of_another_shape_are_refused(model: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(compiled.CompiledError, match="the compiled model takes 3 features"):
        compiled.load(model).predict(np.zeros(shape))


@pytest.mark.parametrize("count", [0, 1, 2047, 2048, 5001])
def test_threads_share_out_the_rows(model: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(count, 3))
    monkeypatch.setenv("COMPILED_MODEL_THREADS", "2")
    for loaded in (compiled.load(model), compiled.load(model, threads=3)):
        assert (loaded.predict(rows) == 2 * rows[:, 0]).all()


def test_threads_survive_a_fork(model: Path) -> None:
    code = (
        "import os, sys, importlib.util as util, numpy as np; from pathlib import Path\n"
        "spec = util.spec_from_file_location('compiled', sys.argv[1])\n"
        "compiled = util.module_from_spec(spec); spec.loader.exec_module(compiled)\n"
        "model = compiled.load(Path(sys.argv[2]), 2); rows = np.ones((5000, 3)); model.predict(rows)\n"
        "child = os.fork()\n"
        "ok = (model.predict(rows) == 2).all()\n"
        "if not child: os._exit(0 if ok else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(SOURCE), str(model)]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


Reader = Callable[[bytes], Any]


@pytest.fixture(scope="module")
def read_csv(libraries: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """The model's own, of rows of three numbers."""
    directory = tmp_path_factory.mktemp("reader")
    made = artefact(directory, libraries[platform.machine()], csv_entry_point="read_csv")
    reader: Reader = compiled.load(made).read_csv
    return reader


@pytest.mark.parametrize(
    "body",
    [
        b"1,2,3",
        b"1,2,3\n4,5,6\n",
        b"1,2,3\r\n4,5,6\r\n",
        b" 1 ,\t2, 3\n4e0,5E+0,600e-2\n",
        b"-1,+2,.5\n-.25,5.,007\n",
        b"0,-0,0.000\n0e999,-0e-999,0.1e1\n",
        b"9007199254740992,123456789012345.6,0.1\n1e22,1e-22,9007199254740991e-22\n",
        b"1,2,3\n" * 3000,
    ],
)
def test_the_models_own_reader_reads_as_python_does(read_csv: Reader, body: bytes) -> None:
    found, expected = read_csv(body), csv_rows._slow(body, 3)
    assert found.tobytes() == expected.tobytes()
    assert found.shape == expected.shape
    assert (found.dtype, found.flags.c_contiguous, found.flags.writeable) == (np.float64, True, True)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\n", b"\n\n\n", b",,", b"1,2", b"1,2,", b"1,2,3,", b"1,2,3\n\n", b"1,2,3\n4,5\n"),
        *(b"1,2,3\n4,5,x", b"1,2,-", b"1,2,.", b"1,2,1e", b"1,2,1e+", b"1,2,e1", b"1,2,nan", b"1,2,inf"),
        *(b"1,2,0x1", b"1,2,1_0", b"1,2,3\0", b"1,2,3\0\n", b"1\0,2,3", b"1,2,3\r4,5,6", b"1 2,3,4"),
        *(b"--1,2,3", b"1,2,\xff", b"[1,2,3]"),
        # Not exact by one step:
        *(b"1,2,9007199254740993", b"1,2,1e23", b"1,2,1e-23", b"1,2,1e99999999999999999999"),
        *(b"1,2," + b"1" * 400, b"1,2,184467440737095516161"),
    ],
)  # fmt: skip
def test_what_is_not_exact_or_no_number_is_left_to_others(read_csv: Reader, body: bytes) -> None:
    assert read_csv(body) is None


@hypothesis.given(
    st.lists(st.lists(st.decimals(-(10**6), 10**6, places=6), min_size=3, max_size=3), min_size=1),
    st.booleans(),
)
def test_decimals_are_read_exactly(read_csv: Reader, table: list[list[Decimal]], ended: bool) -> None:
    body = "\n".join(",".join(map(str, row)) for row in table) + "\n" * ended
    found = read_csv(body.encode())
    assert found is not None
    assert found.tolist() == [list(map(float, row)) for row in table]


@hypothesis.given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_a_float_is_read_exactly_or_not_at_all(read_csv: Reader, row: list[float]) -> None:
    found = read_csv(",".join(map(repr, row)).encode())
    assert found is None or found.tolist() == [row]


def test_a_processor_that_lacks_something_is_named(libraries: dict[str, bytes], tmp_path: Path) -> None:
    here = libraries[platform.machine()]
    needed = ["avx512f", "of_the_future"]
    directory = artefact(tmp_path, here, cpu="skylake-avx512", cpu_features=needed)
    with pytest.raises(compiled.CompiledError) as refused:
        compiled.load(directory)
    for word in ("model.so", "skylake-avx512", "of_the_future", "without CompilerOptions", "instance type"):
        assert word in str(refused.value)
    known = sorted(compiled.cpu_features())[:3]
    assert known
    assert compiled.load(artefact(tmp_path, here, cpu_features=known)).predict(np.ones((1, 3))).tolist() == [
        2
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t: fpu\n", {"fpu", "avx2", "fma"}),
        ("processor\t: 0\nFeatures\t: fp asimd atomics\n", {"fp", "asimd", "atomics"}),
        ("processor\t: 0\n", set()),
    ],
)
def test_the_processor_is_read_as_linux_tells_it(tmp_path: Path, text: str, found: set[str]) -> None:
    assert compiled.cpu_features(programs.write(tmp_path / "cpuinfo", text)) == found
    assert compiled.cpu_features(tmp_path / "none") == frozenset()


def test_another_architecture_is_refused_before_it_is_loaded(
    libraries: dict[str, bytes], tmp_path: Path
) -> None:
    other = next(name for name in libraries if name != platform.machine())
    with pytest.raises(
        compiled.CompiledError, match=rf"compiled for .*, this machine is {platform.machine()}: "
    ):
        compiled.load(artefact(tmp_path, libraries[other]))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"runtime": "tensorrt"},
            "runtime 'tensorrt' is not known here; known are native, onnxruntime, open",
        ),
        ({"runtime": "original"}, "kept the original model"),
        ({"model_file": "other.so"}, "names other.so, which is not beside it"),
        ({"entry_point": "forecast"}, "cannot be loaded"),
        ({"csv_entry_point": "forecast"}, "cannot be loaded"),
    ],
)
def test_what_cannot_be_served_is_explained(model: Path, changes: dict[str, Any], complaint: str) -> None:
    artefact(model, (model / "model.so").read_bytes(), **changes)
    with pytest.raises(compiled.CompiledError, match=complaint):
        compiled.load(model)


def test_a_directory_without_a_compiled_model_is_explained(tmp_path: Path) -> None:
    with pytest.raises(compiled.CompiledError, match=r"has no manifest\.json: deploy what a compilation job"):
        compiled.load(tmp_path)
    with pytest.raises(compiled.CompiledError, match="is no shared object"):
        compiled.load(artefact(tmp_path, b"text"))


def test_the_neo_image_has_the_same_file() -> None:
    frameworks = programs.CONTAINERS / "sagemaker-local/src/sagemaker_local/images/frameworks"
    assert (frameworks / "neo/src/compiled.py").read_bytes() == SOURCE.read_bytes()


def test_onnx_answers_probabilities_in_the_shape_and_type_of_the_graph(tmp_path: Path) -> None:
    """In an environment that has onnxruntime, which this one does not need."""
    code = (
        "import sys, json, importlib.util as util, numpy as np, onnx; from pathlib import Path\n"
        "from onnx import helper as h, TensorProto as t\n"
        "spec = util.spec_from_file_location('compiled', sys.argv[1])\n"
        "compiled = util.module_from_spec(spec); spec.loader.exec_module(compiled)\n"
        "of = lambda name: h.make_tensor_value_info(name, t.FLOAT, [None, 3])\n"
        "nodes = [h.make_node('Neg', ['input'], ['label']), h.make_node('Abs', ['input'], ['p'])]\n"
        "graph = h.make_graph(nodes, 'g', [of('input')], [of('label'), of('p')])\n"
        "model = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8)\n"
        "d = Path(sys.argv[2]); onnx.save(model, str(d / 'model.onnx'))\n"
        "out = [{'name': 'label', 'shape': [None, 3], 'method': 'predict'},\n"
        "       {'name': 'p', 'shape': [None, 3], 'method': 'predict_proba'}]\n"
        "given = [{'name': 'input', 'shape': [None, 3], 'dtype': 'float32'}]\n"
        "manifest = {'model_file': 'model.onnx', 'inputs': given, 'outputs': out}\n"
        "(d / 'manifest.json').write_text(json.dumps(manifest))\n"
        "loaded = compiled.load(d)\n"
        "print(loaded.predict(np.array([[-1, 2, -3]])).tolist(), loaded.features)\n"
        "try: loaded.predict(np.zeros((1, 2)))\n"
        "except compiled.CompiledError as error: print(error)\n"
    )
    printed = programs.in_environment("SKLEARN", code, str(SOURCE), str(tmp_path)).splitlines()
    assert printed == [
        "[[1.0, 2.0, 3.0]] 3",
        "rows of shape (1, 2): the compiled model takes [None, 3]",
    ]
