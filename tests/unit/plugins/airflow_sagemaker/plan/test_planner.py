"""Plans of the pipelines in `include/`, without AWS."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import names
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.plan.planner import OFFLINE, Plan, Planner, Reuse
from airflow_sagemaker.plan.rendering import Run
from airflow_sagemaker.plan.requests import PlanPlaces
from airflow_sagemaker.plan.text import as_json, as_text
from airflow_sagemaker.prices import PriceTable
from airflow_sagemaker.specs.connection import ConnectionSettings
from airflow_sagemaker.specs.loading import load_pipeline
from airflow_sagemaker.specs.pipeline import Pipeline

INCLUDE = Path(__file__).parents[5] / "include"
DIGITS = load_pipeline(INCLUDE / "pipelines" / "digits.yaml")
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
PLACES = PlanPlaces(ConnectionSettings(bucket="data", role_arn=ROLE), "us-east-1")
PRICES = PriceTable.model_validate(
    {
        "lists": [
            {
                "region": "us-east-1",
                "as_of": "2026-01-31",
                "source": "https://example.com",
                "usd_per_hour": {
                    "ml.m5.large": {"processing": 1.0, "training": 2.0, "transform": 3.0, "hosting": 4.0}
                },
            }
        ]
    }
)
BUILD_PARAMS: dict[str, Any] = {
    "first_partition": "2026-01-01",
    "last_partition": "2026-01-14",
    **{name: given.value for name, given in DIGITS.training.hyperparameters.items()},
}


def changed(**sections: dict[str, Any]) -> Pipeline:
    """Digits with other fields in some of its sections."""
    values = DIGITS.model_dump()
    for section, fields in sections.items():
        values[section] |= fields
    return Pipeline.model_validate(values)


def planned(
    family: str = "model_build", pipeline: Pipeline = DIGITS, lookout: Any = None, **run: Any
) -> Plan:
    given: dict[str, Any] = {
        "dag_id": f"digits__{family}",
        "run_id": "manual__one",
        "logical_date": None,
        "params": BUILD_PARAMS if family == "model_build" else {"partition": None, "model_package_arn": None},
    }
    return Planner(pipeline, family, Run(**given | run), PLACES, "here", PRICES, lookout).plan()


def task(plan: Plan, task_id: str) -> Any:
    return next(each for each in plan.tasks if each.task_id == task_id)


@pytest.mark.parametrize("family", ["model_build", "nightly_batch_transform", "endpoint_rollout"])
@pytest.mark.parametrize("name", ["digits", "bank_marketing"])
def test_aws_would_take_every_request_of_every_pipeline(name: str, family: str) -> None:
    pipeline = load_pipeline(INCLUDE / "pipelines" / f"{name}.yaml")
    params = {**BUILD_PARAMS, **{key: each.value for key, each in pipeline.training.hyperparameters.items()}}
    if family != "model_build":
        params = {"partition": None, "model_package_arn": None}
    assert planned(family, pipeline, params=params).problems == []


def test_a_job_has_the_name_that_its_task_will_give_it() -> None:
    train = task(planned(run_id="manual__2026"), "train")
    expected = names.job_name("digits__model_build", "manual__2026", "train")
    assert train.job_name == expected
    assert train.requests[-1].body["TrainingJobName"] == expected


def test_requests_are_the_runs_own() -> None:
    train = task(planned(params={**BUILD_PARAMS, "C": 3.0}), "train")
    body = train.requests[-1].body
    assert body["HyperParameters"]["C"] == "3.0"
    assert train.writes == [f"s3://data/digits/builds/{names.run_key('manual__one')}/training/"]
    assert train.reads == ["<prepare.outputs.train>"]


def test_what_is_known_beforehand_is_no_placeholder() -> None:
    xcoms = {"partition": {"partition": "2026-01-03"}}
    day = datetime(2026, 1, 3, tzinfo=UTC)
    features = task(planned("nightly_batch_transform", logical_date=day, xcoms=xcoms), "features")
    assert features.reads == ["s3://data/digits/raw/dt=2026-01-03/"]
    assert features.writes == ["s3://data/digits/batch/dt=2026-01-03/features/"]
    tags = {tag["Key"]: tag["Value"] for tag in features.requests[-1].body["Tags"]}
    assert len(tags["airflow:fingerprint"]) == 64


def test_a_rollout_makes_model_config_and_endpoint() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/7"
    plan = planned("endpoint_rollout", xcoms={"choose_model": {"model_package_arn": arn}})
    requests = task(plan, "roll_out").requests
    assert [each.operation for each in requests] == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    model, config, endpoint = (each.body for each in requests)
    assert config["ProductionVariants"][0]["ModelName"] == model["ModelName"]
    assert endpoint["EndpointConfigName"] == config["EndpointConfigName"]
    assert model["ModelName"].startswith("digits-7-")
    assert "<" not in str([model, config, endpoint])


def test_what_aws_would_refuse_is_named_by_field() -> None:
    plan = planned(pipeline=changed(training={"compute": {"instance_type": "ml.m5.gigantic"}}))
    (problem,) = plan.problems
    assert problem.startswith("train: ResourceConfig.InstanceType: 'ml.m5.gigantic' is none of")


def test_the_limit_bounds_the_cost() -> None:
    compute = {"instance_count": 2, "max_runtime_minutes": 30}
    plan = planned(pipeline=changed(training={"compute": compute}))
    cost = task(plan, "train").cost
    assert cost.max_usd == pytest.approx(2 * 2.0 / 2)
    assert cost.typical_usd is None
    assert plan.total.max_usd == pytest.approx(2.0 + 3 * 1.0)
    assert plan.total.typical_usd is None


def test_a_typical_time_gives_a_typical_cost() -> None:
    compute = {"typical_runtime_minutes": 6}
    sections = ("prepare", "training", "evaluation", "compilation")
    plan = planned(pipeline=changed(**{name: {"compute": compute} for name in sections}))
    assert task(plan, "train").cost.typical_usd == pytest.approx(0.2)
    assert plan.total.typical_usd == pytest.approx(0.5)


def test_an_unknown_price_is_said_and_not_guessed() -> None:
    plan = planned(pipeline=changed(training={"compute": {"instance_type": "ml.p4d.24xlarge"}}))
    cost = task(plan, "train").cost
    assert (cost.max_usd, cost.usd_per_hour) == (None, None)
    assert "no price of ml.p4d.24xlarge for training in us-east-1" in cost.unknown
    assert plan.total.max_usd == pytest.approx(3.0)
    assert any(line.startswith("train: no price") for line in plan.total.unknown)
    assert "not in it: train: no price of ml.p4d.24xlarge" in as_text(plan, explain=False)


def test_an_endpoint_costs_by_the_hour_and_is_in_no_total() -> None:
    plan = planned("endpoint_rollout")
    assert task(plan, "roll_out").cost.usd_per_hour == 4.0
    assert plan.total.max_usd == 0
    assert "4.000 USD an hour while it serves" in as_text(plan, explain=False)


class Cached:
    """A cache that has the job of `prepare`."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def reuse(self, kind: JobKind, identity: TaskIdentity, body: dict[str, Any]) -> Reuse:
        self.asked[identity.task_id] = body
        if identity.task_id != "prepare":
            return Reuse("runs; changed: since job-0; C is other", changed=["since job-0", "C is other"])
        outputs = {name: f"s3://data/earlier/{name}/" for name in ("train", "test", "columns")}
        return Reuse("reuses job-1", "job-1", results={"outputs": outputs})

    def runtime_s(self, kind: JobKind, identity: TaskIdentity) -> float | None:
        return 360.0 if identity.task_id == "train" else None


CACHED = changed(prepare={"cache": True}, training={"cache": True}, evaluation={"cache": True})


def test_without_a_connection_nobody_knows_what_is_reused() -> None:
    plan = planned(pipeline=CACHED)
    assert task(plan, "prepare").reuse.verdict == OFFLINE
    assert task(plan, "verify").reuse.verdict == "off"


def test_with_one_a_reused_job_costs_nothing_and_tells_what_comes_after_it_where_to_read() -> None:
    cache = Cached()
    plan = planned(pipeline=CACHED, lookout=cache)
    assert task(plan, "train").reads == ["s3://data/earlier/train/"]
    assert "Tags" not in cache.asked["train"]
    assert "TrainingJobName" not in cache.asked["train"]
    assert task(plan, "evaluate").reuse.verdict == "unknown before the run has <train.model_uri>"
    assert plan.total.max_usd == pytest.approx(2.0 + 2 * 1.0), "train, evaluate and verify"
    cost = task(plan, "train").cost
    assert (cost.typical_usd, cost.typical_from) == (
        pytest.approx(0.2),
        "the last completed job of this task",
    )
    assert "cache   reuses job-1" in as_text(plan, explain=False)
    assert "           C is other" in as_text(plan, explain=True).splitlines()


def test_the_document_holds_all_of_it() -> None:
    document = json.loads(as_json(planned(pipeline=CACHED)))
    assert document["dag_id"] == "digits__model_build"
    assert [each["task_id"] for each in document["tasks"]][:2] == ["gate_raw", "prepare"]
    assert document["tasks"][1]["requests"][-1]["operation"] == "CreateProcessingJob"
    assert document["total"]["max_usd"] > 0
    assert document["problems"] == []
