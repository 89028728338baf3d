"""The model of the serving benchmark: trained once, compiled once, kept below ``build/bench/model``."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import FOLDER, Unavailable, environment
from benchmarks.machine import ROOT
from sagemaker_local import neo

TRAIN = ROOT / "benchmarks" / "peers" / "train.py"
REQUIREMENTS = ROOT / "benchmarks" / "peers" / "model_serving" / "requirements.txt"


@dataclass(frozen=True)
class ServedModel:
    """A scikit-learn pipeline, rows, and what it says of them.

    Attributes:
        folder: Holds ``model.joblib``.
        rows: A line of CSV each.
        digits: One a row.
    """

    folder: Path
    rows: tuple[str, ...]
    digits: tuple[int, ...]


def trained() -> ServedModel:
    """The model, trained where it is not there yet."""
    key = hashlib.sha256(TRAIN.read_bytes() + REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = FOLDER / "model" / key
    if not (folder / "labels.txt").exists():
        folder.mkdir(parents=True, exist_ok=True)
        python = environment("model_serving", REQUIREMENTS) / "bin" / "python"
        subprocess.run([python, TRAIN, folder], check=True, timeout=300)
    return ServedModel(
        folder,
        tuple((folder / "rows.csv").read_text().splitlines()),
        tuple(map(int, (folder / "labels.txt").read_text().split())),
    )


def compiled(model: ServedModel) -> Path:
    """The folder of what the local SageMaker's compiler makes of it; made anew for another compiler."""
    compiler = neo.compiler_program("SKLEARN")
    sources = [*sorted((compiler.source / "compilers").iterdir()), compiler.requirements]
    code = b"".join(path.read_bytes() for path in sources if path.is_file())
    base = model.folder / f"compiled-{hashlib.sha256(code).hexdigest()[:12]}"
    served = base / "served"
    if served.exists():
        return served
    shutil.rmtree(base, ignore_errors=True)
    for name in ("input/config", "input/model", "output"):
        (base / name).mkdir(parents=True)
    with tarfile.open(base / "input/model/model.tar.gz", "w:gz") as archive:
        archive.add(model.folder / "model.joblib", "model.joblib")
    asked = {
        "InputConfig": {"Framework": "SKLEARN", "DataInputConfig": '{"input": [1, 64]}'},
        "OutputConfig": {"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"}},
    }
    (base / "input/config/compilationjob.json").write_text(json.dumps(asked))
    binaries = environment("neo-sklearn", compiler.requirements) / "bin"
    program, *arguments = compiler.command
    done = subprocess.run(
        [binaries / program, *arguments],
        cwd=compiler.source,
        env={"SAGEMAKER_BASE_DIR": str(base), "PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise Unavailable(f"the compiler failed: {(done.stderr or done.stdout).strip()[-300:]}")
    unpacked = base / "unpacked"
    with tarfile.open(base / "output/compiled.tar.gz") as archive:
        archive.extractall(unpacked, filter="data")
    unpacked.rename(served)
    return served
