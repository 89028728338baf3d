from __future__ import annotations

import time

from airflow_sagemaker.triggers.pause import PauseTrigger


async def test_it_fires_at_its_moment_even_if_that_has_passed() -> None:
    for until_s in (time.time() + 0.05, 0.0):
        path, fields = PauseTrigger(until_s=until_s).serialize()
        assert path == "airflow_sagemaker.triggers.pause.PauseTrigger"
        (event,) = [event async for event in PauseTrigger(**fields).run()]
        assert event.payload == {"until_s": until_s}
        assert time.time() >= until_s
