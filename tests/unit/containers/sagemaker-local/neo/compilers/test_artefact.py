"""Artefacts: the model is found or its absence explained, and the same content gives the same bytes."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path

import pytest

from sagemaker_local.neo.compilers import artefact
from sagemaker_local.neo.compilers.request import CompilationError


def is_model(path: Path) -> bool:
    return path.suffix == ".joblib"


def fill(directory: Path, *names: str) -> Path:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return directory


@pytest.mark.parametrize("names", [("m.joblib",), ("baseline.json", "deep/er/m.joblib")])
def test_the_model_is_found(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert artefact.find_model(fill(tmp_path, *names), is_model, "*.joblib").name == "m.joblib"


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ((), r"holds no model; exactly one \*.joblib is needed, found nothing"),
        (("model.pth", "a.json"), r"exactly one \*.joblib is needed, found a.json, model.pth"),
        (("a.joblib", "b/c.joblib"), r"several models \(a.joblib, b/c.joblib\); keep exactly one \*.joblib"),
    ],
)
def test_what_is_found_instead_is_named(tmp_path: Path, names: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CompilationError, match=complaint):
        artefact.find_model(fill(tmp_path, *names), is_model, "*.joblib")


def test_no_member_leaves_the_directory(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("../escaped")
        tar.addfile(member, io.BytesIO())
    with pytest.raises(CompilationError, match="cannot be unpacked"):
        artefact.extract(archive, tmp_path / "inside")
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b\x08\x00"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(CompilationError, match=r"must be a complete \.tar\.gz file"):
        artefact.extract(tmp_path / "model.tar.gz", tmp_path / "inside")


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, now in (("one", 1e9), ("other", 2e9)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        artefact.write(tmp_path / name, {"framework": "SKLEARN"}, {"model.onnx": b"graph"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    artefact.extract(tmp_path / "one", tmp_path / "unpacked")
    assert json.loads((tmp_path / "unpacked/manifest.json").read_text()) == {
        "format": 1,
        "framework": "SKLEARN",
    }
    assert (tmp_path / "unpacked/model.onnx").read_bytes() == b"graph"
