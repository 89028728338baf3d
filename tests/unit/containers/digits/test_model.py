"""Loading models: the compiled path without the training framework."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.containers.conftest import Trained
from tests.unit.containers.programs import Image

DIGITS = Image("digits")

# None in sys.modules makes an import fail as if the package were not there.
WITHOUT_FRAMEWORK = """
import sys
for name in ("sklearn", "joblib", "scipy"):
    sys.modules[name] = None
import numpy
from model import model_fn, output_fn
from opt_ml import BASE_DIR
model = model_fn(str(BASE_DIR / "model"))
print(model.kind, output_fn(model.predict(numpy.full((1, 64), 5.0)), "text/csv").decode())
"""


def place(directory: Path, base: Path) -> Path:
    shutil.copytree(directory, base / "model")
    return base


def test_the_compiled_model_needs_no_framework(digits: Trained, tmp_path: Path) -> None:
    shown = DIGITS.code(place(digits.compiled_directory, tmp_path), WITHOUT_FRAMEWORK)
    kind, answer = shown.split()
    assert kind == "compiled"
    assert len(answer.split(",")) == 11


def test_the_original_needs_it(digits: Trained, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="joblib"):
        DIGITS.code(place(digits.directory, tmp_path), WITHOUT_FRAMEWORK)


def test_the_manifest_says_what_the_artefact_is(digits: Trained) -> None:
    manifest = json.loads((digits.compiled_directory / "manifest.json").read_text())
    assert manifest["framework"] == "SKLEARN"
    assert manifest["framework_version"] in (digits.image.source.parent / "requirements.txt").read_text()
    assert manifest["runtime"] == "native", manifest["why"]
    assert manifest["inputs"] == [{"name": "input", "shape": [None, 64], "dtype": "float64"}]
    assert [output["name"] for output in manifest["outputs"]] == ["probabilities"]
    assert manifest["target"] == {"os": "LINUX", "arch": "X86_64"}
    assert manifest["source"]["file"] == "model.joblib"


def test_a_foreign_artefact_is_refused(digits: Trained, bank: Trained, tmp_path: Path) -> None:
    path = place(digits.compiled_directory, tmp_path / "cut") / "model/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_file": "other.onnx"}))
    with pytest.raises(AssertionError, match=r"other\.onnx"):
        DIGITS.code(tmp_path / "cut", WITHOUT_FRAMEWORK)
    place(bank.compiled_directory, tmp_path / "bank")
    with pytest.raises(AssertionError, match=r"array of shape \(1,\), not with 10 probabilities"):
        DIGITS.code(tmp_path / "bank", WITHOUT_FRAMEWORK)


def test_images_keep_the_same_copies() -> None:
    """Images share no code, as each is a build context of its own; copies must not drift apart."""
    for one, other in (("digits", "bank-marketing"), ("digits-prepare", "bank-marketing-prepare")):
        ours, theirs = Image(one).source, Image(other).source
        kept = [path.name for path in ours.iterdir() if path.is_file() and (theirs / path.name).is_file()]
        own = {"model.py", "baseline.py", "training.py", "evaluation.py", "prepare.py"}
        for name in sorted(set(kept) - own):
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), (
                f"{name} of {one} and {other} differ"
            )


# What decides whether a model is read as it was written, and how it answers.
TRAINED_WITH = {"joblib", "numpy", "onnxruntime", "scikit-learn", "scipy", "xgboost-cpu"}


def test_compilers_have_the_versions_that_images_train_with() -> None:
    from sagemaker_local import neo

    for image, framework in (("digits", "SKLEARN"), ("bank-marketing", "XGBOOST")):
        ours = pins(Image(image).source.parent / "requirements.txt")
        theirs = pins(neo.compiler_program(framework).requirements)
        shared = TRAINED_WITH & ours.keys() & theirs.keys()
        assert len(shared) >= 3
        assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def pins(requirements: Path) -> dict[str, str]:
    pinned = [line.split(";")[0].strip() for line in requirements.read_text().splitlines() if "==" in line]
    return {name: version for name, _, version in (pin.partition("==") for pin in pinned)}
