"""The proof of a compilation: equal, on calibration rows too, and faster; else what was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sagemaker_local.neo.compilers import artefact, calibration, check, job, proof, timing
from sagemaker_local.neo.compilers.job import Compiled
from sagemaker_local.neo.compilers.proof import NotFasterError, Subject
from sagemaker_local.neo.compilers.request import IF_NOT_FASTER_TAG, CompilationError, Request
from tests.unit.containers import programs

FEATURES = 3
SLOW_S = 0.002


class Clock:
    """What the timing takes for the time: only models take some of it, whatever else the machine does."""

    ns = 0

    def perf_counter_ns(self) -> int:
        return self.ns

    def perf_counter(self) -> float:
        return self.ns / 1e9


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "time", CLOCK)


def model(takes_s: float = 0.0, off: float = 0.0, a_row_s: float = 0.0) -> proof.Model:
    def answer(rows: Any) -> list[Any]:
        CLOCK.ns += 1000 + round((takes_s + a_row_s * len(rows)) * 1e9)
        return [rows.sum(axis=1) + off]

    return answer


def subject(original: proof.Model, compiled: proof.Model, **more: Any) -> Subject:
    more.setdefault("row_counts", (1, 32))
    return Subject(
        original=original,
        compiled=compiled,
        sample=check.random_rows(FEATURES),
        rows=lambda count: check.rows(FEATURES, count),
        of_calibration=lambda arrays: calibration.rows(arrays, FEATURES),
        **more,
    )


def test_both_are_timed_at_each_number_of_rows() -> None:
    found = proof.speed(subject(model(SLOW_S), model()), None)
    assert set(found["rows"]) == {"1", "32"}
    for count, took in found["rows"].items():
        assert took["original_us"] >= SLOW_S * 1e6
        assert took["compiled_us"] < took["original_us"]
        assert found["speed_up"][count] == pytest.approx(took["original_us"] / took["compiled_us"], rel=0.01)
    assert found["judged_at_rows"] == 1


def test_the_originals_best_setting_counts() -> None:
    both = {"nthread=1": model(2 * SLOW_S), "nthread=2": model(SLOW_S)}
    found = proof.speed(subject(model(), model(), originals=both), None)
    assert found["rows"]["1"]["original_setting"] == "nthread=2"
    assert found["rows"]["1"]["original_us"] < 2 * SLOW_S * 1e6


def test_a_slower_model_is_measured_again_before_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    took = iter([(10.0, 12.0), (10.0, 11.0), (12.0, 10.0)])

    def medians_us(models: dict[str, Any], given: Any) -> dict[str, float]:
        return dict(zip(models, next(took), strict=True))

    monkeypatch.setattr(timing, "medians_us", medians_us)
    found = proof.speed(subject(model(), model(), row_counts=(1,)), None)
    assert found["speed_up"] == {"1": 1.2}


def test_a_model_that_is_not_faster_is_refused_with_its_figures() -> None:
    with pytest.raises(NotFasterError, match=r"is not faster .*: \d+.* µs for 1 row, ") as caught:
        proof.speed(subject(model(), model(SLOW_S)), 1)
    assert caught.value.timings["speed_up"]["1"] < 1


def test_the_declared_number_of_rows_decides() -> None:
    # Faster for one row, slower for many.
    both = subject(model(SLOW_S), model(a_row_s=SLOW_S / 8))
    slower_at_one = subject(model(a_row_s=SLOW_S / 32), model(SLOW_S / 2))
    proof.speed(both, 1)
    proof.speed(slower_at_one, 30)
    with pytest.raises(NotFasterError, match="for 32 rows"):
        proof.speed(both, 30)
    with pytest.raises(NotFasterError, match="for 1 row,"):
        proof.speed(slower_at_one, None)


@pytest.mark.parametrize(("declared", "judged"), [(None, "1"), (1, "1"), (5, "1"), (6, "32"), (500, "1024")])
def test_the_nearest_number_of_rows_is_judged(declared: int | None, judged: str) -> None:
    assert proof.judged_rows(subject(model(), model(), row_counts=(1, 32, 1024)), declared) == judged


def test_a_model_of_one_number_of_rows_is_judged_there() -> None:
    def rows(count: int) -> Any:
        if count != 32:
            raise ValueError("32 rows only")
        return check.rows(FEATURES, count)

    fixed = Subject(model(SLOW_S), model(), check.random_rows(FEATURES), rows)
    found = proof.speed(fixed, 1)
    assert (set(found["rows"]), found["judged_at_rows"]) == ({"32"}, 32)


def test_numbers_of_rows_that_would_take_too_long_are_left_out() -> None:
    found = proof.timings(subject(model(a_row_s=0.05), model(), row_counts=(1, 1024)))
    assert set(found["rows"]) == {"1"}


CALIBRATIONS: dict[str, tuple[Callable[[Path], object], int]] = {
    "csv": (lambda path: (path / "calibration.csv").write_text("1,2,3\n4,,6\n"), 2),
    "npy": (lambda path: np.save(path / "calibration.npy", np.ones((5, 3), np.float32)), 5),
    "npz": (lambda path: np.savez(path / "calibration.npz", input=np.ones((7, 3))), 7),
}


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_the_models_own_sample_is_compared_too(tmp_path: Path, kind: str) -> None:
    write, rows = CALIBRATIONS[kind]
    write(tmp_path)
    found = proof.equality(subject(model(), model(off=1e-6)), calibration.find(tmp_path))
    assert found["rows"] == 1025
    assert found["tolerance"] == 1e-4
    assert found["calibration"]["file"] == f"calibration.{kind}"
    assert found["calibration"]["rows"] == rows


def test_a_difference_on_calibration_rows_alone_fails(tmp_path: Path) -> None:
    (tmp_path / "calibration.csv").write_text("1000,2000,3000\n")

    def wrong_there(rows: Any) -> list[Any]:
        return [np.where(rows.sum(axis=1) > 5000, 0, rows.sum(axis=1))]

    with pytest.raises(CompilationError, match="differs from the original on 1 of 1 calibration rows"):
        proof.equality(subject(model(), wrong_there), calibration.find(tmp_path))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"calibration.csv": "1,2\n"}, "has 2 columns, the model takes 3 features; leave labels out"),
        ({"calibration.csv": "a,b,c\n"}, "calibration.csv cannot be read .* without a header"),
        ({"calibration.csv": "1,2,3\n4,5\n"}, "different numbers of fields"),
        ({"calibration.csv": ""}, "calibration.csv cannot be read"),
        ({"calibration.npy": "no array"}, "calibration.npy cannot be read"),
        ({"calibration.csv": "1,2,3\n", "calibration.npy": ""}, "several calibration samples"),
    ],
)
def test_a_wrong_sample_is_explained(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CompilationError, match=words):
        proof.equality(subject(model(), model()), calibration.find(tmp_path))


def run(tmp_path: Path, compiled: proof.Model, tags: dict[str, str]) -> int:
    """A whole job, with a compiler that does nothing."""
    programs.write(tmp_path / "model/deep/model.bin", "the model")
    programs.write(tmp_path / "model/code/inference.py", "pass")
    archive = programs.pack(tmp_path / "model", tmp_path / "model.tar.gz")
    base = programs.compilation(tmp_path / "job", "SKLEARN", archive, FEATURES)
    config = base / "input/config/compilationjob.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "Tags": tags}))

    def compiler(path: Path, request: Request) -> Compiled:
        manifest = {
            "compiler": "none",
            "model_file": "model.so",
            "entry_point": "predict",
            "runtime": "native",
        }
        return Compiled(manifest, {"model.so": b"compiled"}, subject(model(SLOW_S), compiled))

    return job.run(compiler, lambda path: path.name == "model.bin", "model.bin")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path / "job"))
    return tmp_path / "job"


def manifest_of(base: Path) -> Any:
    artefact.extract(base / "output/compiled.tar.gz", base / "unpacked")
    return json.loads((base / "unpacked/manifest.json").read_text())


def test_a_job_leaves_its_proof_in_manifest_and_log(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, model(), {}) == 0
    manifest = manifest_of(base)
    assert manifest["runtime"] == "native"
    assert manifest["check"]["max_abs_diff"] == 0
    speed_up = manifest["timings"]["speed_up"]
    assert set(speed_up) == {"1", "32"}
    log = capsys.readouterr().out
    assert "proof: equal on 1025 random rows, max_abs_diff=0 (tolerance 0.0001), rows_that_differ=0\n" in log
    assert f" speed_up={speed_up['1']}\n" in log


@pytest.mark.parametrize("tags", [{}, {IF_NOT_FASTER_TAG: "fail"}])
def test_a_job_fails_when_nothing_is_gained(tmp_path: Path, base: Path, tags: dict[str, str]) -> None:
    assert run(tmp_path, model(2 * SLOW_S), tags) == 1
    assert not (base / "output/compiled.tar.gz").exists()
    reason = (base / "output/failure").read_text()
    assert reason.startswith("the compiled model is not faster than the original: ")


def test_a_job_keeps_the_original_when_it_may(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, model(2 * SLOW_S), {IF_NOT_FASTER_TAG: "serve_original"}) == 0
    manifest = manifest_of(base)
    assert manifest["runtime"] == "original"
    assert manifest["model_file"] == "deep/model.bin"
    assert manifest["why"].startswith("the compiled model is not faster")
    assert manifest["timings"]["speed_up"]["1"] < 1
    assert "entry_point" not in manifest
    assert (base / "unpacked/deep/model.bin").read_text() == "the model"
    assert (base / "unpacked/code/inference.py").exists()
    assert not (base / "unpacked/model.so").exists()
    assert "keeping the original model: the compiled model is not faster" in capsys.readouterr().out


def test_a_job_with_other_answers_fails_whatever_is_asked_for(tmp_path: Path, base: Path) -> None:
    assert run(tmp_path, model(off=1), {IF_NOT_FASTER_TAG: "serve_original"}) == 1
    assert "differs from the original" in (base / "output/failure").read_text()


def test_another_wish_is_refused(tmp_path: Path, base: Path) -> None:
    assert run(tmp_path, model(), {IF_NOT_FASTER_TAG: "shrug"}) == 1
    assert "is 'shrug', must be fail or serve_original" in (base / "output/failure").read_text()
