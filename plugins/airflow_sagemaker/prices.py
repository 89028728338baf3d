"""What an instance costs an hour by `include/prices.yaml`: figures with the page they stand on, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from airflow_sagemaker.specs.base import Spec
from airflow_sagemaker.specs.pipeline import InstanceType

Billed = Literal["processing", "training", "transform", "hosting"]
UsdPerHour = Annotated[float, Field(gt=0)]


class PricesError(ValueError):
    """A table of prices that cannot be used."""


class PriceList(Spec):
    """What one source says about one region."""

    region: str
    as_of: date
    source: str
    usd_per_hour: Mapping[InstanceType, Mapping[Billed, UsdPerHour]]


class PriceTable(Spec):
    """All of `prices.yaml`."""

    lists: tuple[PriceList, ...]

    def price(self, instance_type: str, billed: Billed, region: str) -> Price | None:
        """The price of an instance hour, or None where the table has none."""
        for each in self.lists:
            usd = each.usd_per_hour.get(instance_type, {}).get(billed)
            if each.region == region and usd is not None:
                return Price(usd, each)
        return None


@dataclass(frozen=True)
class Price:
    """One figure, and the list it stands in."""

    usd_per_hour: float
    listed: PriceList


def load_prices(path: Path) -> PriceTable:
    """The table of a file; an empty one where there is no file."""
    if not path.exists():
        return PriceTable(lists=())
    try:
        return PriceTable.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise PricesError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise PricesError(f"{path}: {problems}") from None
