"""Load what Neo compiled: ``manifest.json`` says what lies beside it and what goes in and out.

Needs numpy alone, and ONNX Runtime or OpenVINO where the manifest says that the model runs on it. This file
imports nothing of its package: other images carry a copy of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MANIFEST_FILE = "manifest.json"
THREADS_VARIABLE = "COMPILED_MODEL_THREADS"
ROWS_A_THREAD = 1024
"""Sharing out fewer rows costs more than it saves: a thread takes some 50 µs to start upon them."""

MANY_ROWS = 1024

# e_machine of an ELF file, by the names that Python and AWS have for a processor.
ELF_MACHINES = {62: ("x86_64", "X86_64"), 183: ("aarch64", "ARM64")}
ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}

Predict = Callable[[NDArray[Any]], NDArray[Any]]
ReadCsv = Callable[[bytes], "NDArray[np.float64] | None"]


class CompiledError(Exception):
    """The directory holds no compiled model that can run here, or rows do not fit it; the text says why."""


class Compiled:
    """A compiled model.

    Attributes:
        features: Values of a row.
        input_dtype: Of the rows that cost no conversion.
        predict: From rows to the first output, or to the probabilities; safe on many threads.
        read_csv: From lines of CSV to rows, by the model's own code; it gives None for a body with anything
            in it but short numbers. None where the model has no such code.
        one_thread: Whether it predicts on the caller's thread alone.
        manifest: As the compiler wrote it.
    """

    __slots__ = ("features", "input_dtype", "manifest", "one_thread", "predict", "read_csv")

    def __init__(
        self,
        manifest: Mapping[str, Any],
        predict: Predict,
        read_csv: ReadCsv | None = None,
        one_thread: bool = False,
    ) -> None:
        given = manifest["inputs"][0]
        self.manifest = manifest
        self.features = _size(given["shape"][1:])
        self.input_dtype = np.dtype(given.get("dtype", "float32"))
        self.predict = predict
        self.read_csv = read_csv
        self.one_thread = one_thread


def load(directory: Path, threads: int | None = None) -> Compiled:
    """The model of a directory.

    Args:
        directory: With the manifest and what it names.
        threads: At most so many share out a large batch; by default what the environment variable
            COMPILED_MODEL_THREADS says, else 1, as a server has a process for each processor.

    Raises:
        CompiledError: there is none, or it is not for this machine.
    """
    path = directory / MANIFEST_FILE
    if not path.exists():
        raise CompiledError(f"{directory} has no {MANIFEST_FILE}: deploy what a compilation job wrote")
    manifest = json.loads(path.read_text())
    file = directory / manifest["model_file"]
    wanted = threads or int(os.environ.get(THREADS_VARIABLE) or 1)
    runtime = manifest.get("runtime") or {".so": "native", ".onnx": "onnxruntime"}.get(file.suffix, "")
    if runtime not in RUNTIMES:
        if runtime == "original":
            reason = "the compilation kept the original model, as compiling gained nothing: serve it as such"
        else:
            reason = f"runtime {runtime!r} is not known here; known are {', '.join(sorted(RUNTIMES))}"
        raise CompiledError(f"{path}: {reason}")
    if not file.is_file():
        raise CompiledError(f"{path} names {file.name}, which is not beside it: deploy the whole artefact")
    _check_processor(file, manifest)
    read_csv = _csv_reader(file, manifest) if "csv_entry_point" in manifest else None
    predict = RUNTIMES[runtime](file, manifest, wanted)
    return Compiled(manifest, predict, read_csv, one_thread=runtime == "native" and wanted == 1)


def _check_processor(file: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse what this processor would die of.

    Raises:
        CompiledError: naming what is missing.
    """
    here = ALIASES.get(platform.machine().lower(), platform.machine())
    if file.suffix == ".so":
        with file.open("rb") as start:
            head = start.read(20)
        built, name = ELF_MACHINES.get(int.from_bytes(head[18:20], "little"), ("", "another processor"))
        if head[:4] != b"\x7fELF" or len(head) < 20:
            raise CompiledError(f"{file} is no shared object: deploy what a compilation job wrote")
        if built != here:
            raise CompiledError(
                f"{file} was compiled for {name}, this machine is {here}: compile the model for a target "
                "of this machine's architecture, or deploy on an instance type of that architecture"
            )
    needed = manifest.get("cpu_features") or []
    missing = sorted(set(needed) - cpu_features()) if needed else []
    if missing:
        cpu = manifest.get("cpu") or "a processor"
        raise CompiledError(
            f"{file} was compiled for {cpu}, which has {', '.join(missing)}, and the processor here has not: "
            "compile it without CompilerOptions, which gives code for every processor, or deploy it on an "
            "instance type that has them"
        )


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What this processor can do, as Linux names it; empty where Linux does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _native(file: Path, manifest: Mapping[str, Any], threads: int) -> Predict:
    try:
        function = ctypes.CDLL(str(file))[manifest["entry_point"]]
    except (OSError, AttributeError) as error:
        raise CompiledError(f"{file} cannot be loaded: {error}") from error
    function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    function.restype = None
    given, output = manifest["inputs"][0], manifest["outputs"][0]
    features = _size(given["shape"][1:])
    dtype, answer_dtype = np.dtype(given["dtype"]), np.dtype(output["dtype"])
    shape = tuple(int(size) for size in output["shape"][1:])
    empty = np.empty

    def predict(rows: NDArray[Any]) -> NDArray[Any]:
        if rows.ndim != 2 or rows.shape[1] != features:  # Anything else would be read beyond its end.
            raise CompiledError(f"rows of shape {rows.shape}: the compiled model takes {features} features")
        if rows.dtype != dtype or not rows.flags.c_contiguous:
            rows = np.ascontiguousarray(rows, dtype)
        count = len(rows)
        answers = empty((count, *shape), answer_dtype)
        function(_address(rows), count, _address(answers))
        return answers

    if threads == 1:
        return predict
    return _shared_out(predict, threads)


def _csv_reader(file: Path, manifest: Mapping[str, Any]) -> ReadCsv:
    try:
        function = ctypes.CDLL(str(file))[manifest["csv_entry_point"]]
    except (OSError, AttributeError) as error:
        raise CompiledError(f"{file} cannot be loaded: {error}") from error
    function.argtypes = (ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
    function.restype = ctypes.c_int64
    features = _size(manifest["inputs"][0]["shape"][1:])
    empty = np.empty

    def read_csv(body: bytes) -> NDArray[np.float64] | None:
        # A number and what follows it are two bytes at least. Counting lines takes longer than it saves
        # where there are few; where there are many it saves memory.
        most = len(body) // (2 * features) + 1
        if most > MANY_ROWS:
            most = min(most, body.count(b"\n") + 1)
        rows = empty((most, features))
        count = function(body, len(body), features, _address(rows), most)
        if count == most:
            return rows
        return rows[:count] if count > 0 else None

    return read_csv


def _address(array: Any) -> Any:
    """Where an array of numpy lies, for C; .ctypes.data takes several times as long."""
    try:
        return ctypes.byref(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError):  # it must not be written to, or is empty
        return array.__array_interface__["data"][0]


def _shared_out(predict: Predict, threads: int) -> Predict:
    """Parts of large batches on threads, which run side by side as native code holds no lock of Python's."""
    pool: list[ThreadPoolExecutor] = []  # made when it is needed: threads do not survive a fork
    lock = threading.Lock()

    def parallel(rows: NDArray[Any]) -> NDArray[Any]:
        parts = min(threads, len(rows) // ROWS_A_THREAD)
        if parts < 2:
            return predict(rows)
        with lock:
            if not pool:
                pool.append(ThreadPoolExecutor(threads - 1, "compiled-model"))
        first, *others = np.array_split(rows, parts)
        running = [pool[0].submit(predict, each) for each in others]
        return np.concatenate([predict(first), *(each.result() for each in running)])

    os.register_at_fork(after_in_child=pool.clear)
    return parallel


def _onnxruntime(file: Path, manifest: Mapping[str, Any], threads: int) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    wanted = [_wanted(manifest)["name"]]
    given = manifest["inputs"][0]
    check = _checked(given)

    def predict(rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(session.run(wanted, {given["name"]: check(rows)})[0])

    return predict


def _openvino(file: Path, manifest: Mapping[str, Any], threads: int) -> Predict:
    import openvino

    hints = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Core().compile_model(str(file), "CPU", hints)
    number = manifest["outputs"].index(_wanted(manifest))
    check = _checked(manifest["inputs"][0])
    own = threading.local()  # a request of OpenVINO's is for one thread at a time

    def predict(rows: NDArray[Any]) -> NDArray[Any]:
        request = getattr(own, "request", None)
        if request is None:
            request = own.request = model.create_infer_request()
        return np.array(request.infer([check(rows)])[number])

    return predict


RUNTIMES: dict[str, Callable[[Path, Mapping[str, Any], int], Predict]] = {
    "native": _native,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
"""By the manifest's ``runtime``: the model's ``predict``."""


def _wanted(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """The output that is answered: not a classifier's labels, but what they were chosen by."""
    outputs: list[Mapping[str, Any]] = manifest["outputs"]
    scores = [output for output in outputs if output.get("method", "predict") != "predict"]
    named = [output for output in outputs if "prob" in output["name"].lower()]
    return scores[-1] if scores else [*named, outputs[0]][0]


def _checked(given: Mapping[str, Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Rows in the shape and type of an input; a flat row of a network's is shaped as it takes it."""
    dtype, shape = np.dtype(given.get("dtype", "float32")), given["shape"]
    inner = [None if size is None or isinstance(size, str) else int(size) for size in shape[1:]]

    def check(rows: NDArray[Any]) -> NDArray[Any]:
        if None not in inner and rows.ndim == 2 and len(inner) != 1 and rows.shape[1] == _size(inner):
            rows = rows.reshape(len(rows), *[int(size or 0) for size in inner])
        fits = rows.ndim == len(shape) and all(
            size is None or size == got for size, got in zip(inner, rows.shape[1:], strict=True)
        )
        if not fits:
            raise CompiledError(f"rows of shape {rows.shape}: the compiled model takes {[None, *inner]}")
        return np.ascontiguousarray(rows, dtype)

    return check


def _size(shape: list[Any]) -> int:
    """Values in a shape; one that is not fixed counts as 1."""
    size = 1
    for each in shape:
        size *= int(each) if isinstance(each, int) else 1
    return size
