"""One build of the digits model that tests of a session share."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray

from demo import land
from demo.chain import ROLLOUT, Chain
from demo.progress import Progress
from demo.runs import RunRecord, require_success
from demo.stack import BUCKET
from tests.running_stack import House, csv_rows, metrics


@dataclass(frozen=True)
class Built:
    """One build of digits, rolled out, and its original model in this process."""

    build: RunRecord
    rollout: RunRecord
    results: dict[str, Any]
    endpoint: dict[str, Any]
    evaluation: dict[str, float]
    verification: dict[str, float]
    model: Any

    def expected(self, day: str) -> tuple[list[int], NDArray[np.float64]]:
        """The digit and the probabilities of every row of a partition, by the model in this process."""
        rows = next(body for date, body in land.digits().items() if str(date) == day)
        pixels = np.array([row[1:] for row in csv_rows(rows)[1:]], dtype=np.float64)
        probabilities = self.model.predict_proba(pixels)
        return [int(label) for label in probabilities.argmax(axis=1)], probabilities


@pytest.fixture(scope="session")
def digits(house: House) -> Built:
    """Build and roll out once; every test of the chain looks at this."""
    chain = Chain(house.stack, Progress.silent())
    house.api.unpause(ROLLOUT)
    build = house.run("digits__model_build")
    require_success(house.api, [build])
    rollout = house.follow(chain.asset_run(build))
    require_success(house.api, [rollout])
    results = house.results(build)
    return Built(
        build=build,
        rollout=rollout,
        results=results,
        endpoint=house.results(rollout)["roll_out"],
        evaluation=metrics(house, results["evaluate"], "evaluation"),
        verification=metrics(house, results["verify"], "verification"),
        model=_model(house, results["train"]["model_uri"]),
    )


def _model(house: House, uri: str) -> Any:
    archive = house.read(uri.removeprefix(f"s3://{BUCKET}/"))
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        member = files.extractfile("model.joblib")
        assert member is not None
        return joblib.load(io.BytesIO(member.read()))
