"""The digits' model server, as SageMaker calls it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.unit.containers.conftest import Trained
from tests.unit.containers.programs import Image, Server, rows_of

DIGITS = Image("digits")


@pytest.fixture(scope="module")
def server(digits: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("served")
    shutil.copytree(digits.compiled_directory, base / "model")
    with DIGITS.server(base) as running:
        yield running


@pytest.fixture(scope="module")
def expected(digits: Trained, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:  # type: ignore[type-arg]
    """Probabilities by scikit-learn itself."""
    base = tmp_path_factory.mktemp("expected")
    (base / "rows.csv").write_text(digits.features_csv)
    shutil.copy(digits.directory / "model.joblib", base)
    code = """
import joblib, numpy, opt_ml
rows = numpy.loadtxt(opt_ml.BASE_DIR / "rows.csv", delimiter=",")
for row in joblib.load(opt_ml.BASE_DIR / "model.joblib").predict_proba(rows): print(*row.tolist(), sep=",")
"""
    return np.array(rows_of(DIGITS.code(base, code)))


def test_every_row_gets_its_answer(server: Server, digits: Trained, expected: np.ndarray) -> None:  # type: ignore[type-arg]
    status, text = server.invoke(digits.features_csv)
    assert status == 200
    answers = np.array(rows_of(text))
    assert answers.shape == (384, 11)
    assert np.abs(answers[:, 1:] - expected).max() <= 1e-5
    assert answers[:, 0].tolist() == expected.argmax(axis=1).tolist()


def test_rows_one_by_one_answer_as_in_a_batch(server: Server, digits: Trained) -> None:
    lines = digits.features_csv.splitlines()[:20]
    batch = server.invoke("\n".join(lines))[1].splitlines()
    single = [server.invoke(line)[1].strip() for line in lines]
    assert np.allclose(rows_of("\n".join(single)), rows_of("\n".join(batch)), rtol=0, atol=1e-6)


def test_the_original_serves_too(digits: Trained, expected: np.ndarray, tmp_path: Path) -> None:  # type: ignore[type-arg]
    shutil.copytree(digits.directory, tmp_path / "model")
    with DIGITS.server(tmp_path) as original:
        answers = np.array(rows_of(original.invoke(digits.features_csv)[1]))
    assert np.array_equal(answers[:, 1:], expected)


@pytest.mark.parametrize("content_type", ["text/csv; charset=utf-8", "TEXT/CSV"])
def test_content_types_that_are_csv(server: Server, content_type: str) -> None:
    assert server.invoke(",".join(["0"] * 64), content_type)[0] == 200


@pytest.mark.parametrize("content_type", ["text/plain", "text/csvx", ""])
def test_content_types_that_are_not(server: Server, content_type: str) -> None:
    status, text = server.invoke(",".join(["0"] * 64), content_type)
    assert status == 415
    assert "send text/csv" in text
    assert repr(content_type) in text


@pytest.mark.parametrize(("accept", "status"), [("*/*", 200), ("text/csv", 200), ("image/png", 406)])
def test_accept(server: Server, accept: str, status: int) -> None:
    assert server.invoke(",".join(["0"] * 64), Accept=accept)[0] == status


def test_json_has_the_same_columns(server: Server, digits: Trained) -> None:
    line = digits.features_csv.splitlines()[0]
    status, text = server.invoke(f'{{"instances": [[{line}]]}}', "application/json")
    assert status == 200
    (answer,) = json.loads(text)["predictions"]
    assert answer == pytest.approx(rows_of(server.invoke(line)[1])[0])


def test_a_bad_row_is_named_and_nothing_is_answered(server: Server, digits: Trained) -> None:
    lines = digits.features_csv.splitlines()[:100]
    lines[86] = lines[86].replace(",", ",oops", 1)
    status, text = server.invoke("\n".join(lines))
    assert status == 400
    assert text.startswith("row 87, value 2: 'oops")
    assert server.invoke("")[0] == 400


def test_other_routes(server: Server) -> None:
    assert server.request("GET", "/ping")[0] == 200
    assert server.request("GET", "/")[0] == 404
    assert server.request("GET", "/invocations")[0] == 405
    assert server.request("POST", "/ping")[0] == 405


def test_workers_share_the_port(digits: Trained, tmp_path: Path) -> None:
    shutil.copytree(digits.compiled_directory, tmp_path / "model")
    with DIGITS.server(tmp_path, {"MODEL_SERVER_WORKERS": "2"}) as several:
        assert several.invoke(digits.features_csv)[0] == 200
    log = (tmp_path / "server.log").read_text()
    processes = {
        line.rsplit(" ", 1)[1] for line in log.splitlines() if line.startswith("serving the compiled")
    }
    assert len(processes) == 2
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), signal.SIG_DFL)


@pytest.mark.parametrize("workers", ["0", "two", "-1"])
def test_a_wrong_number_of_workers_is_refused(tmp_path: Path, workers: str) -> None:
    with (
        pytest.raises(AssertionError, match=f"MODEL_SERVER_WORKERS='{workers}' must be"),
        DIGITS.server(tmp_path, {"MODEL_SERVER_WORKERS": workers}),
    ):
        pass


def test_without_a_model_it_ends_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with (
        pytest.raises(AssertionError, match=r"neither manifest\.json nor model\.joblib"),
        DIGITS.server(tmp_path),
    ):
        pass
