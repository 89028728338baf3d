"""What a plan's jobs would cost at most, and usually, by the table of prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_sagemaker.kinds import PROCESSING, TRAINING, TRANSFORM
from airflow_sagemaker.plan.steps import Step
from airflow_sagemaker.prices import Billed, PriceTable
from airflow_sagemaker.specs.endpoint import EndpointRollout

SECONDS_PER_HOUR = 3600
BILLED: Mapping[str, Billed] = {
    PROCESSING.operation: "processing",
    TRAINING.operation: "training",
    TRANSFORM.operation: "transform",
}


@dataclass(frozen=True)
class Cost:
    """The instances of one task. Storage, requests, logs and data transfer are not in it.

    :param max_usd: when the job runs until its limit; None for an endpoint, which has none
    :param typical_usd: when it runs as long as usual, where that is known
    :param typical_from: who says how long is usual
    :param unknown: why there is no figure
    """

    instance_type: str | None = None
    instance_count: int = 1
    usd_per_hour: float | None = None
    price_source: str | None = None
    max_usd: float | None = None
    typical_usd: float | None = None
    typical_from: str | None = None
    unknown: str | None = None


@dataclass(frozen=True)
class Total:
    """The jobs of a plan together; the tasks without a price are named, not guessed."""

    max_usd: float
    typical_usd: float | None
    unknown: tuple[str, ...]


def cost_of(step: Step, prices: PriceTable, region: str, earlier_runtime_s: float | None) -> Cost | None:
    """The cost of a task; None where it pays for no instance."""
    if isinstance(step.spec, EndpointRollout):
        hosted = step.spec
        return _priced(prices, region, hosted.instance_type, hosted.instance_count, "hosting", None, None, "")
    if step.kind is None:
        return None
    if step.compute is None:
        return Cost(unknown=f"a {step.kind.noun} chooses its own machine, which has no price here")
    compute = step.compute
    typical_s, by = earlier_runtime_s, "the last completed job of this task"
    if typical_s is None and compute.typical_runtime_minutes is not None:
        typical_s, by = compute.typical_runtime_minutes * 60.0, "the spec's typical_runtime_minutes"
    return _priced(
        prices,
        region,
        compute.instance_type,
        compute.instance_count,
        BILLED[step.kind.operation],
        compute.max_runtime_s,
        typical_s,
        by,
    )


def _priced(
    prices: PriceTable,
    region: str,
    instance_type: str,
    instance_count: int,
    billed: Billed,
    max_s: float | None,
    typical_s: float | None,
    typical_from: str,
) -> Cost:
    price = prices.price(instance_type, billed, region)
    if price is None:
        why = f"no price of {instance_type} for {billed} in {region}; add it to include/prices.yaml"
        return Cost(instance_type, instance_count, unknown=why)
    listed = price.listed
    usd_per_second = price.usd_per_hour * instance_count / SECONDS_PER_HOUR
    return Cost(
        instance_type=instance_type,
        instance_count=instance_count,
        usd_per_hour=price.usd_per_hour,
        price_source=f"{listed.region}, {listed.as_of}, {listed.source}",
        max_usd=None if max_s is None else usd_per_second * max_s,
        typical_usd=None if typical_s is None else usd_per_second * typical_s,
        typical_from=None if typical_s is None else typical_from,
    )


def total(costs: Mapping[str, Cost]) -> Total:
    """The sum over the tasks of a plan; endpoints are no part of it, for they go on."""
    unknown = tuple(f"{task_id}: {cost.unknown}" for task_id, cost in costs.items() if cost.unknown)
    jobs = [cost for cost in costs.values() if cost.max_usd is not None]
    typical = [cost.typical_usd for cost in jobs if cost.typical_usd is not None]
    return Total(
        max_usd=sum(cost.max_usd or 0 for cost in jobs),
        typical_usd=sum(typical) if jobs and len(typical) == len(jobs) else None,
        unknown=unknown,
    )
