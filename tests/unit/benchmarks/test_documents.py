"""The measured part of the document says what the reports say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import documents
from benchmarks.__main__ import Benchmark
from benchmarks.reporting import Report


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    document = tmp_path / "docs" / "performance.md"
    document.parent.mkdir()
    marked = ["\nold\n".join(documents.marks(name)) for name in (documents.MEASURED, documents.PARTS)]
    document.write_text("\n\n".join(["before", *marked, "after\n"]))
    (tmp_path / "docs" / "performance").mkdir()
    (tmp_path / "docs" / "performance" / "first.md").write_text("# The first part\n\nText.\n")
    table = tuple(Benchmark(name, "", name) for name in ("second", "first"))
    monkeypatch.setattr(documents, "BENCHMARKS", table)
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    monkeypatch.setattr(documents, "FOLDER", tmp_path / "bench")
    monkeypatch.setattr(documents, "DOCUMENT", document)
    monkeypatch.setattr(documents, "CHARTS", tmp_path / "docs" / "performance")
    return tmp_path


def publish(folder: Path, name: str, figure: float) -> None:
    report = Report(name, f"Trial of {name}", "slow", ["numpy"], quick=True)
    report.add("rate", "slow", [10.0], unit="rows/s")
    report.add("rate", "quick", [figure], unit="rows/s")
    report.aim("far | away", "rate", "quick", at_least=5)
    report.aim_at("alone", "rate", "quick", at_most=60)
    report.skip("third", "no Java")
    report.publish(folder / "bench")


def test_aims_charts_and_machines_stand_between_the_marks(folders: Path) -> None:
    publish(folders, "first", 55)
    documents.main()
    text = (folders / "docs/performance.md").read_text()
    assert text.startswith("before\n\n<!--")
    assert text.endswith("-->\n\nafter\n")
    assert "old" not in text
    assert "\n- [The first part](performance/first.md)\n" in text
    assert r"| far \| away | at least 5.00× | 5.50× | `first` |" in text
    assert "| alone | at most 60.0 | 55.0 | `first` |" in text
    assert "![Trial of first](performance/first.svg)" in text
    assert "Not measured: third: no Java" in text
    assert "- `first` (quick): " in text
    assert (folders / "docs/performance/first.svg").exists()


def test_a_later_run_of_one_keeps_the_others(folders: Path) -> None:
    publish(folders, "first", 55)
    documents.main()
    (folders / "bench/first.json").unlink()
    publish(folders, "second", 45)
    documents.main()
    text = (folders / "docs/performance.md").read_text()
    assert "5.50× | `first`" in text
    assert "**4.50×, short** | `second`" in text
    assert text.index("`second`") < text.index("`first`")  # as the registry has them


def test_a_document_without_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no part between"):
        documents.fill("text", documents.PARTS, "")
