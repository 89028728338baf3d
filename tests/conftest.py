"""What every tier needs: an Airflow home of its own, made-up AWS credentials, the tiers in order of cost."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis
import pytest

from tests.shared_houses import house_of, stop

ROOT = Path(__file__).parent.parent
TIERS = ("unit", "docs", "dags", "contract", "e2e", "faults")


def _isolate() -> None:
    """Set the environment before the first import of Airflow or botocore reads it."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_", "SAGEMAKER_"))]:
        if not name.endswith("CA_BUNDLE"):
            del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    home = tempfile.mkdtemp(prefix="airflow-test-")
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": f"{ROOT / 'build' / 'uv'}{os.pathsep}{os.environ['PATH']}",
    }


_isolate()
# An example that a busy machine holds up is no finding.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

pytest_plugins = ["tests.running_stack", "tests.digits_build"]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the cheap tiers first: a broken unit is named before the chain that it breaks.

    Tests that share a running stack come in a row, and with ``--dist loadgroup`` on one worker.
    """

    def cost(item: pytest.Item) -> int:
        tier = item.path.relative_to(ROOT / "tests").parts[0]
        return TIERS.index(tier) if tier in TIERS else len(TIERS)

    items.sort(key=cost)
    houses = [house for item in items if (house := house_of(item.path)) is not None]
    order = {house: number for number, house in enumerate(dict.fromkeys(houses))}
    items.sort(key=lambda item: order.get(house_of(item.path) or "", -1))
    for item in items:
        if (house := house_of(item.path)) is not None:
            item.add_marker(pytest.mark.xdist_group(house))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop a shared stack with the last of its tests."""
    house = house_of(item.path)
    if nextitem is not None and house_of(nextitem.path) != house:
        stop(house)
