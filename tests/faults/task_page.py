"""The page of a task in Airflow's UI, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from demo.runs import RunRecord
from demo.stack import USER
from tests.running_stack import House

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
WAIT_MS = 180_000


@contextmanager
def task_page(house: House, run: RunRecord, task_id: str) -> Iterator[Any]:
    """The page, logged in, at the task's log; needs playwright and a browser."""
    from playwright.sync_api import sync_playwright

    stack = house.stack
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        try:
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            page.set_default_timeout(WAIT_MS)
            page.goto(stack.airflow_url)
            page.fill("input[name=username]", USER)
            page.fill("input[name=password]", stack.password)
            page.keyboard.press("Enter")
            page.wait_for_url(re.compile(rf"{re.escape(stack.airflow_url)}/(?!auth|.*login)"))
            page.goto(f"{stack.airflow_url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/{task_id}?try_number=1")
            yield page
        finally:
            browser.close()
