"""The status page in a real browser: jobs, endpoints, traffic and logs, as they happen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import httpx
import pytest

from tests.contract.serving_probe import IMAGES, REGISTRY, ROLE, Probe, probe, unique

pytest.importorskip("playwright", reason="the package playwright is not installed")
from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["probe"]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
WAIT_MS = 60_000

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, probe: Probe) -> Iterator[Page]:
    """The page, held to having met no error of its own."""
    opened = browser.new_page()
    opened.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.goto(f"{probe.server.url}/_local/")
    yield opened
    opened.close()
    assert not errors


def start_job(probe: Probe, image: str, *arguments: str) -> str:
    """A processing job of a program that is given with it."""
    name = unique("job")
    probe.sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=ROLE,
        AppSpecification={
            "ImageUri": f"{REGISTRY}/{image}:latest",
            "ContainerEntrypoint": ["python", "-u", "-c"],
            "ContainerArguments": list(arguments),
        },
        ProcessingResources={
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
    )
    return name


def test_a_job_is_followed_to_its_end_with_its_lines(page: Page, probe: Probe) -> None:
    program = "import time; [print(f'line <b>{n}</b>') or time.sleep(.05) for n in range(400)]"
    name = start_job(probe, "model-probe", program)
    row = page.locator(f"tr[data-name='{name}']")
    expect(row).to_contain_text("InProgress")
    row.get_by_role("button").click()
    lines = page.locator("#lines")
    expect(lines).to_contain_text("line <b>0</b>")  # as it was printed, not as markup
    shown = lines.locator("div").count()
    expect(lines.locator("div").nth(shown + 3)).to_be_visible()  # more arrive while it runs
    probe.sagemaker.stop_processing_job(ProcessingJobName=name)
    expect(row).to_contain_text("Stopped")
    page.keyboard.press("Escape")
    expect(page.locator("#log")).to_be_hidden()


def test_a_failure_is_shown_with_its_reason(page: Page, probe: Probe) -> None:
    name = start_job(probe, "no-such-image", "")
    row = page.locator(f"tr[data-name='{name}']")
    expect(row).to_contain_text("Failed")
    row.get_by_role("button").click()
    expect(page.locator("#log-reason")).to_contain_text("no-such-image")


def test_an_endpoint_shows_who_takes_its_traffic(page: Page, probe: Probe) -> None:
    config = unique("config")
    variants = [
        {**probe.variant(probe.model("v1")), "VariantName": "champion", "InitialVariantWeight": 3},
        {**probe.variant(probe.model("v2")), "VariantName": "challenger", "InitialVariantWeight": 1},
    ]
    probe.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants)
    endpoint = probe.endpoint(config)
    card = page.locator(f"article[data-name='{endpoint}']")
    expect(card).to_contain_text("InService")
    expect(card.locator(".share")).to_have_text(["75 %", "25 %"])
    assert [part.bounding_box()["width"] > 0 for part in card.locator(".split div").all()] == [True] * 2  # type: ignore[index]
    for _ in range(30):
        probe.ask(endpoint, body=b"1")
    expect(card.locator(".rate")).to_contain_text(re.compile(r"[1-9][\d.]* requests/s · model"))
    probe.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[
            {"VariantName": "champion", "DesiredWeight": 1},
            {"VariantName": "challenger", "DesiredWeight": 1, "DesiredInstanceCount": 2},
        ],
    )
    expect(card.locator(".share")).to_have_text(["50 %", "50 %"])
    expect(card.locator(".dot")).to_have_count(3)
    probe.delete(endpoint)
    expect(card).to_have_count(0)


def test_a_server_that_went_away_is_said(browser: Browser, start_server) -> None:
    server = start_server(containers=IMAGES)
    page = browser.new_page()
    page.goto(f"{server.url}/_local/")
    expect(page.locator("#server")).to_contain_text(server.url)
    server.kill()
    expect(page.locator("#lost")).to_be_visible()
    page.close()


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("nowhere", "GET", 404),
        ("../../etc/passwd", "GET", 404),
        ("", "POST", 405),
        ("logs.json?group=none", "GET", 404),
    ],
)
def test_there_is_nothing_else(probe: Probe, path: str, method: str, status: int) -> None:
    answer = httpx.request(method, f"{probe.server.url}/_local/{path}", timeout=30)
    assert answer.status_code == status
