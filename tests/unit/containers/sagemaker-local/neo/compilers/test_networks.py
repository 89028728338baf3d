"""Networks as ONNX graphs, compiled for real: dense ones become native code, others do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.containers import programs
from tests.unit.containers.programs import Job

# Writes graphs; in the same manner as PyTorch and TensorFlow export dense layers.
MAKE = """
import sys, numpy as np, onnx
from pathlib import Path
from onnx import TensorProto, helper, numpy_helper

generator = np.random.default_rng(0)
FLOAT = TensorProto.FLOAT

def weights(name, *shape):
    return numpy_helper.from_array(generator.normal(size=shape).astype(np.float32) / 4, name)

def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)

DENSE = [
    node("Gemm", "input w0 b0", "h0", transB=1), node("Relu", "h0", "r0"),
    node("Gemm", "r0 w1 b1", "h1", transB=1), node("Softmax", "h1", "output", axis=1),
]
NORMALISED = [
    node("MatMul", "input m0", "h0"), node("Add", "h0 b0", "a0"),
    node("BatchNormalization", "a0 scale b0 mean variance", "n0", epsilon=1e-3), node("Tanh", "n0", "t0"),
    node("Flatten", "t0", "f0"), node("MatMul", "f0 m1", "h1"), node("Div", "h1 two", "d1"),
    node("Sigmoid", "d1", "output"),
]
BRANCHED = [
    node("MatMul", "input m0", "h0"), node("Relu", "h0", "r0"), node("Add", "h0 r0", "s0"),
    node("MatMul", "s0 m1", "output"),
]
SEEN = [
    node("Conv", "input c0", "h0"), node("Relu", "h0", "r0"), node("Flatten", "r0", "f0"),
    node("MatMul", "f0 m2", "output"),
]
INITIAL = [
    weights("w0", 8, 6), weights("b0", 8), weights("w1", 5, 8), weights("b1", 5), weights("m0", 6, 8),
    weights("m1", 8, 5), weights("m2", 2 * 4 * 4, 5), weights("c0", 2, 1, 3, 3), weights("scale", 8),
    weights("mean", 8), numpy_helper.from_array(np.full(8, 0.5, np.float32), "variance"),
    numpy_helper.from_array(np.float32(2), "two"),
]
KINDS = {
    "dense": (DENSE, [6]), "normalised": (NORMALISED, [6]), "branched": (BRANCHED, [6]),
    "seen": (SEEN, [1, 6, 6]),
}
for kind, (nodes, shape) in KINDS.items():
    used = {name for each in nodes for name in each.input}
    graph = helper.make_graph(
        nodes, kind, [helper.make_tensor_value_info("input", FLOAT, ["rows", *shape])],
        [helper.make_tensor_value_info("output", FLOAT, ["rows", 5])],
        [each for each in INITIAL if each.name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    directory = Path(sys.argv[1]) / kind / "model"
    directory.mkdir(parents=True)
    onnx.save(model, directory / "model.onnx")
    np.save(directory / "calibration.npy", generator.normal(size=(9, *shape)))
"""

# How far native code is off the original graph, for rows that the compiler never saw.
OFF = """
import ctypes, json, sys, numpy as np, onnxruntime
from pathlib import Path
for directory in map(Path, sys.argv[1:]):
    manifest = json.loads((directory / "compiled/manifest.json").read_text())
    rows = np.random.default_rng(7).normal(size=(37, 6)).astype(np.float32)
    answers = np.empty((37, *manifest["outputs"][0]["shape"][1:]), np.float32)
    predict = ctypes.CDLL(directory / "compiled" / manifest["model_file"]).predict
    predict.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    predict(rows.ctypes.data, 37, answers.ctypes.data)
    (wanted,) = onnxruntime.InferenceSession(directory / "model/model.onnx").run(None, {"input": rows})
    print(float(abs(wanted - answers).max()))
"""
SHAPES = {"dense": [1, 6], "normalised": [1, 6], "branched": [1, 6], "seen": [1, 1, 6, 6]}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    base = tmp_path_factory.mktemp("networks")
    programs.in_environment("ONNX", MAKE, str(base))
    bases = {}
    for kind, shape in SHAPES.items():
        archive = programs.pack(base / kind / "model", base / kind / "model.tar.gz")
        source = {"DataInputConfig": json.dumps({"input": shape})}
        bases[kind] = programs.compilation(base / kind / "job", "ONNX", archive, 0, source)
    jobs = programs.compile_together("ONNX", bases.values())
    for kind, job_base in bases.items():
        assert jobs[job_base].code == 0, jobs[job_base].output
        programs.unpack(job_base / "output/compiled.tar.gz", base / kind / "compiled")
    return {kind: jobs[job_base] for kind, job_base in bases.items()}


def manifest_of(compiled: dict[str, Job], kind: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder(compiled, kind) / "compiled/manifest.json").read_text())
    return found


def folder(compiled: dict[str, Job], kind: str) -> Path:
    return compiled[kind].base.parent


def test_dense_networks_answer_by_native_code(compiled: dict[str, Job]) -> None:
    kinds = ("dense", "normalised")
    for kind in kinds:
        manifest = manifest_of(compiled, kind)
        assert (manifest["runtime"], manifest["model_file"]) == ("native", "model.so"), manifest["why"]
        assert manifest["inputs"] == [{"name": "input", "shape": [None, 6], "dtype": "float32"}]
        assert manifest["outputs"] == [{"name": "output", "shape": [None, 5], "dtype": "float32"}]
    off = programs.in_environment("ONNX", OFF, *(str(folder(compiled, kind)) for kind in kinds))
    assert [float(line) < 1e-6 for line in off.split()] == [True, True], off


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("branched", "not native: a value that several parts of a network read is no native step"),
        ("seen", "not native: an input of shape [0, 1, 6, 6] is not a table"),
    ],
)
def test_other_networks_stay_with_their_runtime(compiled: dict[str, Job], kind: str, why: str) -> None:
    manifest = manifest_of(compiled, kind)
    assert (manifest["runtime"], manifest["model_file"]) == ("onnxruntime", "model.onnx")
    assert manifest["why"] == why


def test_every_network_is_proved(compiled: dict[str, Job]) -> None:
    for kind in SHAPES:
        manifest = manifest_of(compiled, kind)
        check, timings = manifest["check"], manifest["timings"]
        assert isinstance(check, dict)
        assert isinstance(timings, dict)
        assert (check["rows"], check["calibration"]["rows"]) == (64, 9)
        assert set(timings["rows"]) == {"1", "32", "1024"}
