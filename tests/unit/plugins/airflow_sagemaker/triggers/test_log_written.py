from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_sagemaker.triggers.log_written import TAIL_BYTES, lines_written

TI = SimpleNamespace(dag_id="dag", run_id="run", task_id="train", map_index=-1, try_number=2)


def line(second: int, text: str) -> str:
    return json.dumps({"timestamp": f"2026-11-20T10:00:{second:02d}.000000Z", "level": "info", "event": text})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    folder = tmp_path / "dag_id=dag" / "run_id=run" / "task_id=train"
    folder.mkdir(parents=True)
    return folder


def test_what_triggers_of_this_try_wrote_after_a_time(folder: Path) -> None:
    (folder / "attempt=2.log").write_text(line(9, "the worker's"))
    (folder / "attempt=1.log.trigger.3.log").write_text(line(9, "the first try's"))
    (folder / "attempt=2.log.trigger.3.log").write_text("\n".join([line(1, "old"), line(3, "new")]))
    lines = [line(4, "newer"), line(4, "newer"), line(5, "cut off")[:-3]]
    (folder / "attempt=2.log.trigger.4.log").write_text("\n".join(lines))
    assert lines_written(TI, "2026-11-20T10:00:02.000000Z") == {hash("new"): 1, hash("newer"): 2}
    assert lines_written(TI, "") == {hash("old"): 1, hash("new"): 1, hash("newer"): 2}


def test_only_the_tail_of_a_long_log_is_read(folder: Path) -> None:
    path = folder / "attempt=2.log.trigger.4.log"
    lines = TAIL_BYTES // 100_000 * 2
    path.write_text("\n".join(line(5, "x" * 100_000) for _ in range(lines)))
    assert lines // 3 < lines_written(TI, "")[hash("x" * 100_000)] < lines


def test_nothing_where_there_is_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path / "elsewhere"))
    assert lines_written(TI, "") == {}
    assert lines_written(None, "") == {}
