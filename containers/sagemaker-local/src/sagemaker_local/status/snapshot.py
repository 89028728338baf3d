"""What the status page shows, read from the parts of the server in one go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.cloudwatch.invocations import NAMESPACE
from sagemaker_local.jobs.kinds import KINDS, JobKind
from sagemaker_local.services import Services
from sagemaker_local.serving.fleet import Fleet
from sagemaker_local.store import Record

JOBS_MOST = 100
"""The newest jobs; older ones are for List operations."""
RATE_WINDOW_S = 60
RUNNING_KINDS: Mapping[str, tuple[str, str]] = {
    "auto_ml_job": ("AutoML job", "AutoMLJobStatus"),
    "hyper_parameter_tuning_job": ("tuning job", "HyperParameterTuningJobStatus"),
    "pipeline_execution": ("pipeline execution", "PipelineExecutionStatus"),
}
"""What runs jobs of its own: kind in the store → its words, and its field of the status."""


def snapshot(services: Services) -> dict[str, Any]:
    """Everything that the page shows; blocking, some milliseconds."""
    settings = services.settings
    jobs = _jobs(services)
    return {
        "server": {
            "url": settings.url,
            "region": settings.region,
            "account": settings.account,
            "executor": services.executor.name,
            "data": str(settings.data_dir),
            "side_by_side": settings.max_running_jobs,
            "time": time.time(),
        },
        "counts": _counts(job["status"] for job in jobs),
        "jobs": jobs[:JOBS_MOST],
        "endpoints": [_endpoint(services, record) for record in services.store.list("endpoint")],
        "alarms": [
            {
                "name": alarm.name,
                "state": alarm.state,
                "reason": alarm.document.get("StateReason", ""),
            }
            for alarm in services.alarms.all()
        ],
        "faults": services.faults.document(),
    }


def _jobs(services: Services) -> list[dict[str, Any]]:
    found = [_job(kind, record) for kind in KINDS.values() for record in services.store.list(kind.kind)]
    for kind, (words, status_field) in RUNNING_KINDS.items():
        found += [_parent(record, words, status_field) for record in services.store.list(kind)]
    return sorted(found, key=lambda job: job["created"], reverse=True)


def _job(kind: JobKind, record: Record) -> dict[str, Any]:
    document = record.document
    status = document[kind.status_field].title().replace("Inprogress", "InProgress")
    progress = record.private.get("progress", "") if status == "InProgress" else ""
    return {
        "kind": kind.words,
        "name": record.name,
        "status": status,
        "step": document.get("SecondaryStatus", "") or progress,
        "created": _seconds(document.get("CreationTime")),
        "started": _seconds(document.get(kind.start_field)) or None,
        "ended": _seconds(document.get(kind.end_field)) or None,
        "reason": document.get("FailureReason", ""),
        "log": {"group": kind.log_group, "prefix": f"{record.name}/"},
    }


def _parent(record: Record, words: str, status_field: str) -> dict[str, Any]:
    document = record.document
    return {
        "kind": words,
        "name": document.get("PipelineExecutionDisplayName") or record.name.rpartition("/")[2],
        "status": document.get(status_field, ""),
        "step": "",
        "created": _seconds(document.get("CreationTime")),
        "started": _seconds(document.get("CreationTime")),
        "ended": _seconds(document.get("HyperParameterTuningEndTime")) or None,
        "reason": document.get("FailureReason", ""),
        "log": None,
    }


def _endpoint(services: Services, record: Record) -> dict[str, Any]:
    document = record.document
    traffic = services.endpoints.traffic(record.name)
    return {
        "name": record.name,
        "status": document["EndpointStatus"],
        "config": document.get("EndpointConfigName", ""),
        "reason": document.get("FailureReason", ""),
        "url": f"{services.settings.url}/endpoints/{record.name}/invocations",
        "fleets": [_fleet(fleet, share) for fleet, share in (traffic.shares if traffic else [])],
        "rate": _rate(services, record),
        "log": {"group": f"/aws/sagemaker/Endpoints/{record.name}", "prefix": ""},
    }


def _fleet(fleet: Fleet, share: float) -> dict[str, Any]:
    production = [variant for variant in fleet.plan.variants if not variant.shadow]
    weights = sum(variant.weight for variant in production) or 1.0
    instances = fleet.instances()
    return {
        "config": fleet.plan.config_name,
        "share": share,
        "variants": [
            {
                "name": variant.name,
                "shadow": variant.shadow,
                "share": 0.0 if variant.shadow else share * variant.weight / weights,
                "wanted": variant.instances,
                "instances": [
                    {"id": instance.instance_id, "up": instance.pid is not None}
                    for instance in instances
                    if instance.variant == variant.name
                ],
            }
            for variant in fleet.plan.variants
        ],
    }


def _rate(services: Services, record: Record) -> dict[str, Any]:
    """Requests of each of the last seconds, and the errors among them."""
    end_s = int(time.time())
    start_s = end_s - RATE_WINDOW_S
    per_second = [0.0] * RATE_WINDOW_S
    latency_us, answered, errors = 0.0, 0.0, 0.0
    for variant in {each["VariantName"] for each in record.document.get("ProductionVariants") or ()}:
        dimensions = {"EndpointName": record.name, "VariantName": variant}
        points = _points(services, dimensions, start_s, end_s)
        for at, statistics in points("Invocations").items():
            per_second[at - start_s] += statistics.total
        for statistics in points("ModelLatency").values():
            latency_us, answered = latency_us + statistics.total, answered + statistics.count
        for name in ("Invocation4XXErrors", "Invocation5XXErrors"):
            errors += sum(statistics.total for statistics in points(name).values())
    latency_ms = round(latency_us / answered / 1000, 2) if answered else None
    return {"per_second": per_second, "errors": errors, "model_latency_ms": latency_ms}


def _points(
    services: Services, dimensions: Mapping[str, str], start_s: int, end_s: int
) -> Callable[[str], dict[int, Any]]:
    return lambda name: services.metrics.points(
        NAMESPACE, name, dimensions, start_s=start_s, end_s=end_s, period_s=1
    )


def _counts(statuses: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for status in statuses:
        counts[status] = counts.get(status, 0) + 1
    return counts


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
