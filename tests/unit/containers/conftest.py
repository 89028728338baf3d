"""Models that several tests look at, trained and compiled once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits

from tests.unit.containers import programs
from tests.unit.containers.programs import Image

# A machine that halts for the 200 ms that an example has by default says nothing of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@dataclass(frozen=True, slots=True)
class Trained:
    """A model of an image with its rows.

    Attributes:
        directory: What training wrote.
        archive: The same as model.tar.gz.
        compiled: The compiled artefact.
        compiled_directory: The same unpacked.
        train_csv, test_csv: Label first.
        features_csv: The test rows without their labels.
    """

    image: Image
    directory: Path
    archive: Path
    compiled: Path
    compiled_directory: Path
    train_csv: str
    test_csv: str

    @property
    def features_csv(self) -> str:
        return "".join(line.split(",", 1)[1] + "\n" for line in self.test_csv.splitlines())

    @property
    def labels(self) -> list[int]:
        return [int(line.split(",", 1)[0]) for line in self.test_csv.splitlines()]


def build(base: Path, image: Image, framework: str, train_csv: str, test_csv: str) -> Trained:
    trained = image.train(base / "training", train_csv)
    assert trained.code == 0, trained.output
    archive = programs.pack(base / "training/model", base / "model.tar.gz")
    features = train_csv.split("\n", 1)[0].count(",")
    compiled = programs.compile_model(base / "compilation", framework, archive, features)
    assert compiled.code == 0, compiled.output
    artefact = base / "compilation/output/compiled.tar.gz"
    return Trained(
        image=image,
        directory=base / "training/model",
        archive=archive,
        compiled=artefact,
        compiled_directory=programs.unpack(artefact, base / "unpacked"),
        train_csv=train_csv,
        test_csv=test_csv,
    )


@pytest.fixture(scope="session")
def digits_lines() -> list[str]:
    """The digits in their order, as lines of label and pixels."""
    pixels, labels = load_digits(return_X_y=True)
    table = np.column_stack([labels, pixels]).astype(int).tolist()
    return [",".join(map(str, row)) + "\n" for row in table]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory, digits_lines: list[str]) -> Trained:
    """The digits model on the demo's fourteen days, of which the last three are the test set."""
    days = [part.tolist() for part in np.array_split(np.arange(len(digits_lines)), 14)]
    train, test = (
        "".join(digits_lines[row] for day in some for row in day) for some in (days[:-3], days[-3:])
    )
    return build(tmp_path_factory.mktemp("digits"), Image("digits"), "SKLEARN", train, test)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The bank's model on made-up rows with a pattern to find."""
    generator = np.random.default_rng(7)
    features = generator.normal(size=(1500, 12)).round(3)
    chance = 1 / (1 + np.exp(-(2 * features[:, 0] - features[:, 1] * features[:, 2] - 1)))
    labels = (generator.uniform(size=len(features)) < chance).astype(int)
    lines = [
        f"{label}," + ",".join(map(str, row)) + "\n"
        for label, row in zip(labels.tolist(), features.tolist(), strict=True)
    ]
    base = tmp_path_factory.mktemp("bank")
    return build(base, Image("bank-marketing"), "XGBOOST", "".join(lines[:1000]), "".join(lines[1000:]))
