"""``python -m benchmarks``: what there is, and what is said of one that fails."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

import benchmarks.__main__ as registry
from benchmarks.__main__ import Benchmark

ROOT = Path(__file__).parents[3]


def test_every_benchmark_is_listed_and_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--list"])
    assert registry.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [benchmark.name for benchmark in registry.BENCHMARKS]


def test_a_name_that_is_none_says_which_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "serving", "speed"])
    with pytest.raises(SystemExit):
        registry.main()
    assert "no benchmark speed; there are serving, compilers" in capsys.readouterr().err


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of benchmarks of the test's own."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "good.py").write_text("import sys; print('arguments', sys.argv[1:])")
    (folder / "bad.py").write_text("raise SystemExit('no')")
    (folder / "slow.py").write_text("import time; time.sleep(600)")
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    monkeypatch.setattr(registry, "OUTCOMES", tmp_path / "build" / "outcomes.json")
    return folder


def test_one_that_fails_or_hangs_does_not_stop_the_others(
    own: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    slow = Benchmark("slow", "sleeps", "slow", within_s=1)
    table = (Benchmark("bad", "fails", "bad"), slow, Benchmark("good", "runs", "good", ("--quick", "--few")))
    monkeypatch.setattr(registry, "BENCHMARKS", table)
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    started = time.monotonic()
    assert registry.main() == 1
    assert time.monotonic() - started < 300
    printed = capfd.readouterr().out
    assert "arguments ['--quick', '--few']" in printed
    assert "bad              FAILED with exit code 1" in printed
    assert "slow             FAILED: not done after 1 s" in printed
    assert re.search(r"^good {13}\d+ s$", printed, re.MULTILINE)


def test_resuming_leaves_out_what_went_well_in_the_same_form(
    own: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        registry, "BENCHMARKS", (Benchmark("bad", "fails", "bad"), Benchmark("good", "runs", "good"))
    )
    outcomes = []
    for arguments in ([], [], ["--resume"], ["--resume", "--full"]):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
        assert registry.main() == 1
        outcomes.append("done before" in capfd.readouterr().out)
    assert outcomes == [False, False, True, False]
    assert list(registry.recorded()) == ["good"]


def test_the_long_form_has_no_arguments(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "FAILED" not in registry.run(Benchmark("good", "runs", "good"), full=True)
    assert "arguments []" in capfd.readouterr().out
