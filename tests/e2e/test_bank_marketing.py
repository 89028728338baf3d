"""A second pipeline that is nothing but a spec and two images: XGBoost on 41,188 calls of a bank."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo import land
from demo.chain import Chain
from demo.progress import Progress
from demo.runs import RunRecord, require_success
from demo.stack import BUCKET
from tests.running_stack import House, csv_rows, metrics, states

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "bank_marketing.csv"
UV = ROOT / "build" / "uv" / "uv"
REQUIREMENTS = ROOT / "containers" / "bank-marketing" / "requirements.txt"
BUILD, ROLLOUT, NIGHTLY = (
    f"bank_marketing__{family}" for family in ("model_build", "endpoint_rollout", "nightly_batch_transform")
)
NIGHT = date(2009, 8, 31)
"""The last day of the data."""

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="bank_marketing.csv is not beside the repository")


@pytest.fixture(scope="module")
def partitions(house: House) -> dict[date, bytes]:
    landed = land.bank_marketing(DATA)
    land.land(house.s3, BUCKET, "bank_marketing", landed)
    return landed


@pytest.fixture(scope="module")
def build(house: House, partitions: dict[date, bytes]) -> RunRecord:
    house.api.unpause(ROLLOUT)
    run = house.run(BUILD, timeout_s=1200)
    require_success(house.api, [run])
    return run


def test_model_is_better_than_its_bars(house: House, build: RunRecord) -> None:
    results = house.results(build)
    evaluation = metrics(house, results["evaluate"], "evaluation")
    assert evaluation["auc"] >= 0.72
    verification = metrics(house, results["verify"], "verification")
    assert verification["max_abs_diff"] <= 1e-5
    assert verification["original_p50_us"] / verification["p50_us"] >= 5
    assert verification["rows"] == evaluation["rows"]


def test_approval_rolls_out_and_the_night_is_scored_as_the_model_says(
    house: House, build: RunRecord, partitions: dict[date, bytes], tmp_path: Path
) -> None:
    rollout = house.follow(Chain(house.stack, Progress.silent()).asset_run(build, dag_id=ROLLOUT))
    require_success(house.api, [rollout])
    night = house.run(NIGHTLY, conf={"partition": str(NIGHT)})
    assert set(states(night).values()) == {"success"}

    features = house.read(f"bank_marketing/batch/dt={NIGHT}/features/features.csv")
    rows = csv_rows(features)
    predictions = house.read(f"bank_marketing/predictions/dt={NIGHT}/predictions.csv")
    assert len(rows) == len(csv_rows(partitions[NIGHT])) - 1
    expected = _original_model(house, house.results(build)["train"]["model_uri"], rows, tmp_path)
    scored = np.array([float(row[0]) for row in csv_rows(predictions)])
    np.testing.assert_allclose(scored, expected, rtol=0, atol=1e-5)

    answer = house.runtime.invoke_endpoint(
        EndpointName="bank-marketing", ContentType="text/csv", Body=features
    )
    live = np.array([float(row[0]) for row in csv_rows(answer["Body"].read())])
    np.testing.assert_allclose(live, expected, rtol=0, atol=1e-5)


def _original_model(house: House, uri: str, rows: list[list[str]], folder: Path) -> Any:
    """Probabilities by the trained model and XGBoost itself, without any program of the image."""
    archive = house.read(uri.removeprefix(f"s3://{BUCKET}/"))
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        member = files.extractfile("model.ubj")
        assert member is not None
        (folder / "model.ubj").write_bytes(member.read())
    np.save(folder / "rows.npy", np.array(rows, dtype=np.float32))
    venv = folder / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    python = venv / "bin" / "python"
    install = [str(UV), "pip", "install", "--quiet", "--python", str(python), "-r"]
    subprocess.run([*install, str(REQUIREMENTS)], check=True)
    code = (
        "import numpy, xgboost; "
        "model = xgboost.Booster(model_file='model.ubj'); "
        "rows = xgboost.DMatrix(numpy.load('rows.npy')); "
        "numpy.save('expected.npy', model.predict(rows))"
    )
    subprocess.run([python, "-c", code], check=True, cwd=folder)
    return np.load(folder / "expected.npy")
