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

from . import artefact
from . import request as requests
from .request import CompilationError, Request


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiler's result: what it adds to the manifest, and the artefact's files by name."""

    manifest: dict[str, Any]
    files: dict[str, bytes]


Compiler = Callable[[Path, Request], Compiled]


def run(compiler: Compiler, is_model: Callable[[Path], bool], kinds: str) -> int:
    """Run one job below /opt/ml, whose artefact holds one model file; returns the program's exit code."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    try:
        _run(base, compiler, is_model, kinds)
    except Exception as error:
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
        manifest = {
            "framework": request.framework,
            **compiled.manifest,
            "target": request.target.described,
            "source": {"file": model.name, "sha256": artefact.sha256(model)},
        }
    path = base / "output/compiled.tar.gz"
    artefact.write(path, manifest, compiled.files)
    print(
        f"compiled: {', '.join(compiled.files)} ({path.stat().st_size} bytes packed), check: "
        f"{manifest['check']}"
    )
