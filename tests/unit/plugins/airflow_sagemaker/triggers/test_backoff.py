from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.triggers.backoff import JITTER, MAX_BACKOFF_S, Backoff

intervals = st.floats(0.05, 600)


@given(intervals)
def test_while_all_is_well_the_interval_is_steady_but_not_in_step(interval_s: float) -> None:
    pauses = [Backoff(interval_s).after_success() for _ in range(5)]
    assert all(interval_s * (1 - JITTER) <= pause <= interval_s * (1 + JITTER) for pause in pauses)
    assert len(set(pauses)) > 1


@given(intervals, st.integers(1, 200))
def test_trouble_never_speeds_up_and_never_waits_for_ever(interval_s: float, troubles: int) -> None:
    backoff = Backoff(interval_s)
    for _ in range(troubles):
        assert interval_s <= backoff.after_trouble() <= max(MAX_BACKOFF_S, interval_s)


def test_trouble_in_a_row_waits_longer_until_a_look_goes_well() -> None:
    def mean_s(troubles: int) -> float:
        pauses = []
        for _ in range(300):
            backoff = Backoff(1.0, troubles)
            pauses.append(backoff.after_trouble())
        return sum(pauses) / len(pauses)

    assert mean_s(0) < mean_s(2) < mean_s(5)
    backoff = Backoff(1.0, 5)
    backoff.after_success()
    assert backoff.troubles == 0
