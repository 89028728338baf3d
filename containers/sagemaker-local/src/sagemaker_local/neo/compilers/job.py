"""A compilation job from its request to its artefact: what every compiler shares."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import artefact, calibration, proof
from . import request as requests
from .proof import NotFasterError, Subject
from .request import CompilationError, Request


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiler's result: what it adds to the manifest, the artefact's files by name, and what to prove."""

    manifest: dict[str, Any]
    files: dict[str, bytes]
    subject: Subject


Compiler = Callable[[Path, Request], Compiled]

ORIGINAL = "original"
"""``runtime`` of an artefact that holds the model as it came, for whatever served it before."""
OF_COMPILED = ("entry_point", "csv_entry_point", "cpu_features")
"""What a manifest says of the compiled model only."""


def run(compiler: Compiler, is_model: Callable[[Path], bool], kinds: str) -> int:
    """Run one job below /opt/ml, whose artefact holds one model file; returns the program's exit code."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    try:
        _run(base, compiler, is_model, kinds)
    except Exception as error:  # whatever it is becomes the job's FailureReason
        reason = str(error)
        if not isinstance(error, CompilationError):
            traceback.print_exc()
            reason = f"the compiler broke on this model, {type(error).__name__}: {error}"
        print(f"error: {reason}", file=sys.stderr)
        failure = base / "output/failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(reason)
        return 1
    return 0


def _run(base: Path, compiler: Compiler, is_model: Callable[[Path], bool], kinds: str) -> None:
    request = requests.read(base / "input/config/compilationjob.json")
    with tempfile.TemporaryDirectory() as directory:
        artefact.extract(base / "input/model/model.tar.gz", Path(directory))
        model = artefact.find_model(Path(directory), is_model, kinds)
        print(f"compiling {model.name} ({request.framework}) for {request.target.described}", flush=True)
        compiled = compiler(model, request)
        manifest, files = _proved(compiled, request, Path(directory), model)
        manifest["source"] = {"file": model.name, "sha256": artefact.sha256(model)}
    path = base / "output/compiled.tar.gz"
    artefact.write(path, manifest, files)
    print(f"compiled: {', '.join(files)} ({path.stat().st_size} bytes packed)", flush=True)


def _proved(
    compiled: Compiled, request: Request, directory: Path, model: Path
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and files of the artefact: the compiled model's, or the original's where that is as fast.

    Raises:
        CompilationError: the compiled model answers something else, or is not faster and has to be.
    """
    manifest: dict[str, Any] = {"framework": request.framework, **compiled.manifest}
    manifest["target"] = request.target.described
    manifest["check"] = proof.equality(compiled.subject, calibration.find(directory))
    files = compiled.files
    try:
        manifest["timings"] = proof.speed(compiled.subject, request.rows)
    except NotFasterError as error:
        manifest["timings"] = error.timings
        _tell(manifest)
        if request.if_not_faster == "fail":
            raise
        print(f"keeping the original model: {error}", flush=True)
        return _of_the_original(manifest, directory, model, str(error))
    _tell(manifest)
    return manifest, files


def _tell(manifest: dict[str, Any]) -> None:
    for line in proof.summary(manifest["check"], manifest["timings"]):
        print(line, flush=True)


def _of_the_original(
    manifest: dict[str, Any], directory: Path, model: Path, why: str
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """An artefact that is the model artefact as it came, with a manifest that says so."""
    kept = {name: value for name, value in manifest.items() if name not in OF_COMPILED}
    kept |= {"compiler": None, "runtime": ORIGINAL, "why": why}
    kept["model_file"] = str(model.relative_to(directory))
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    return kept, {str(path.relative_to(directory)): path.read_bytes() for path in found}
