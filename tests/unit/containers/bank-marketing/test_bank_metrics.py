"""The metrics against scikit-learn's."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, roc_auc_score

from tests.unit.containers.programs import Image


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "bank_metrics", Image("bank-marketing").source / "metrics.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


metrics = load()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=60))
def test_like_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([int(label) for label, _ in rows])
    probabilities = np.array([tenths / 10 for _, tenths in rows])
    assert metrics.accuracy(labels, probabilities) == accuracy_score(labels, probabilities > 0.5)
    if labels.min() == labels.max():
        assert np.isnan(metrics.auc(labels, probabilities))
    else:
        assert metrics.auc(labels, probabilities) == pytest.approx(roc_auc_score(labels, probabilities))
