from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from airflow_sagemaker.prices import PricesError, load_prices

TABLE = Path(__file__).parents[4] / "include" / "prices.yaml"
WRITTEN = """
lists:
  - region: eu-west-1
    as_of: 2026-01-31
    source: https://example.com/prices
    usd_per_hour:
      ml.m5.large: {training: 0.5}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written = tmp_path / "prices.yaml"
    written.write_text(WRITTEN)
    return written


def test_a_figure_comes_with_region_day_and_page(path: Path) -> None:
    price = load_prices(path).price("ml.m5.large", "training", "eu-west-1")
    assert price is not None
    assert (price.usd_per_hour, price.listed.as_of) == (0.5, date(2026, 1, 31))
    assert price.listed.source == "https://example.com/prices"


@pytest.mark.parametrize(
    ("instance_type", "billed", "region"),
    [
        ("ml.m5.xlarge", "training", "eu-west-1"),
        ("ml.m5.large", "processing", "eu-west-1"),
        ("ml.m5.large", "training", "eu-west-2"),
    ],
)
def test_what_is_not_listed_has_no_price(path: Path, instance_type: str, billed: str, region: str) -> None:
    assert load_prices(path).price(instance_type, billed, region) is None  # type: ignore[arg-type]


def test_without_a_file_nothing_has_a_price(tmp_path: Path) -> None:
    assert load_prices(tmp_path / "none.yaml").lists == ()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("training: 0.5", "training: -1", "usd_per_hour.ml.m5.large.training"),
        ("training: 0.5", "tranning: 1", "tranning"),
        ("source: https://example.com/prices", "sauce: x", "lists.0.source"),
        ("lists:", "lists: [", "not YAML"),
    ],
)
def test_a_wrong_table_says_where(path: Path, old: str, new: str, problem: str) -> None:
    path.write_text(WRITTEN.replace(old, new))
    with pytest.raises(PricesError, match=problem):
        load_prices(path)


def test_the_tables_own_figures_each_have_a_page() -> None:
    table = load_prices(TABLE)
    assert table.lists
    for each in table.lists:
        assert each.source.startswith("https://")
        assert each.as_of <= datetime.now(UTC).date()
        assert each.usd_per_hour
