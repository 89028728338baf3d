"""`python -m airflow_sagemaker plan`: what a run would do, before it does it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.plan.planner import Planner
from airflow_sagemaker.plan.rendering import Run
from airflow_sagemaker.plan.requests import PlanPlaces
from airflow_sagemaker.plan.steps import FAMILIES
from airflow_sagemaker.plan.text import as_json, as_text
from airflow_sagemaker.prices import PricesError, load_prices
from airflow_sagemaker.specs.connection import DEFAULT_CONNECTION_ID, ConnectionSettings
from airflow_sagemaker.specs.loading import SpecError, load_pipeline
from airflow_sagemaker.specs.pipeline import Pipeline

if TYPE_CHECKING:
    from airflow_sagemaker.plan.lookout import ConnectionLookout

DEFAULT_REGION = "us-east-1"
STAND_IN = ConnectionSettings(
    bucket="bucket-of-the-connection", role_arn="arn:aws:iam::000000000000:role/role-of-the-connection"
)
BUILD, NIGHT, ROLLOUT = "model_build", "nightly_batch_transform", "endpoint_rollout"


class UsageError(ValueError):
    """What was asked for makes no plan; the text says what would."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("pipeline", help="name of a file in <include>/pipelines, without .yaml")
    parser.add_argument(
        "--family",
        choices=sorted(FAMILIES),
        help=f"which DAG; {BUILD} by default, {NIGHT} with --partition",
    )
    parser.add_argument(
        "--partition", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the day that is scored"
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field of the trigger form; may be repeated",
    )
    parser.add_argument(
        "--run-id",
        help="the run's id; names follow from it. By default that of a scheduled run, else a stand-in",
    )
    parser.add_argument(
        "--explain", action="store_true", help="say what keeps an earlier job from being reused"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--connection",
        nargs="?",
        const=DEFAULT_CONNECTION_ID,
        metavar="ID",
        help=f"look into the cache by this Airflow connection ({DEFAULT_CONNECTION_ID} if no id follows); "
        "this reads from AWS. Without it nothing but files is read",
    )
    parser.add_argument("--region", help=f"region of prices and names; {DEFAULT_REGION} without a connection")
    parser.add_argument("--include", type=Path, help="the folder with pipelines/ and prices.yaml")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; 0 if AWS would take it, 1 if it would not, 2 if there is none to make."""
    try:
        plan = _planner(arguments).plan()
    except (UsageError, SpecError, PricesError, SageMakerError) as error:
        print(error, file=sys.stderr)
        return 2
    print(as_json(plan) if arguments.json else as_text(plan, explain=arguments.explain), end="")
    return 1 if plan.problems else 0


def _planner(arguments: argparse.Namespace) -> Planner:
    include = arguments.include or _include()
    pipeline = _pipeline(include, arguments.pipeline)
    family = arguments.family or (NIGHT if arguments.partition else BUILD)
    if arguments.partition and family != NIGHT:
        raise UsageError(
            f"{family} has no partition. Leave out --partition"
            + (", or give --param first_partition=… and last_partition=…" if family == BUILD else "")
        )
    lookout = _lookout(arguments)
    if lookout is not None:
        places = PlanPlaces(lookout.settings, lookout.region)
        places_from = f"connection {arguments.connection}"
    else:
        places, places_from = PlanPlaces(STAND_IN, arguments.region or DEFAULT_REGION), "stand-ins"
    return Planner(
        pipeline=pipeline,
        family=family,
        run=_run(arguments, pipeline, family),
        places=places,
        places_from=places_from,
        prices=load_prices(include / "prices.yaml"),
        lookout=lookout,
    )


def _include() -> Path:
    """The folder below the working directory or, in a checkout, the one beside plugins/."""
    for folder in (Path.cwd(), Path(__file__).parents[2]):
        if (folder / "include" / "pipelines").is_dir():
            return folder / "include"
    raise UsageError("There is no folder include/pipelines here. Change directory, or give --include")


def _pipeline(include: Path, name: str) -> Pipeline:
    folder = include / "pipelines"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise UsageError(f"No pipeline {name!r} in {folder}. There are: {', '.join(known) or 'none'}")
    return load_pipeline(folder / f"{name}.yaml")


def _lookout(arguments: argparse.Namespace) -> ConnectionLookout | None:
    if arguments.connection is None:
        return None
    # Airflow and boto3 take seconds to import, and a plan without a connection needs neither.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
    from airflow_sagemaker.plan.lookout import ConnectionLookout

    return ConnectionLookout(arguments.connection, arguments.region)


def _run(arguments: argparse.Namespace, pipeline: Pipeline, family: str) -> Run:
    params = _params(pipeline, family, arguments.param)
    logical_date, xcoms = None, {}
    if family == NIGHT and arguments.partition:
        hour, minute = _scheduled_at(pipeline.batch.schedule)
        day = arguments.partition
        logical_date = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
    if family == NIGHT and (day := params["partition"] or arguments.partition):
        xcoms["partition"] = {"partition": str(day)}
    if family != BUILD and (arn := params["model_package_arn"]):
        xcoms["choose_model"] = {"model_package_arn": arn}
    return Run(
        dag_id=f"{pipeline.name}__{family}",
        run_id=arguments.run_id or _run_id(logical_date),
        logical_date=logical_date,
        params=params,
        xcoms=xcoms,
    )


def _run_id(logical_date: datetime | None) -> str:
    """As ``Timetable.generate_run_id`` (airflow/timetables/base.py): by when the run may start."""
    if logical_date is None:
        return "manual__plan"
    return f"scheduled__{(logical_date + timedelta(days=1)).isoformat()}"


def _scheduled_at(schedule: str) -> tuple[int, int]:
    if schedule == "@daily":
        return 0, 0
    minute, hour, *_ = schedule.split()
    return int(hour), int(minute)


def _params(pipeline: Pipeline, family: str, given: Sequence[str]) -> dict[str, Any]:
    """The trigger form's fields, checked as the form checks them (`params.py`)."""
    params = _form(pipeline, family)
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or name not in params:
            raise UsageError(f"--param {each}: give NAME=VALUE, NAME being one of {', '.join(params)}")
        params[name] = _value(pipeline, family, name, text)
    return params


def _form(pipeline: Pipeline, family: str) -> dict[str, Any]:
    forms: Mapping[str, dict[str, Any]] = {
        BUILD: {
            "first_partition": pipeline.data.first_partition.isoformat(),
            "last_partition": pipeline.data.last_partition.isoformat(),
            **{name: given.value for name, given in pipeline.training.hyperparameters.items()},
        },
        NIGHT: {"partition": None, "model_package_arn": None},
        ROLLOUT: {"model_package_arn": None},
    }
    return forms[family]


def _value(pipeline: Pipeline, family: str, name: str, text: str) -> Any:
    declared = pipeline.training.hyperparameters.get(name) if family == BUILD else None
    if declared is None:
        if name.endswith("partition"):
            try:
                return date.fromisoformat(text).isoformat()
            except ValueError:
                raise UsageError(f"--param {name}={text}: give a date such as 2026-01-31") from None
        return text
    value: Any = text
    if not isinstance(declared.value, str):
        try:
            value = json.loads(text)
        except ValueError:
            value = text
    wanted = (int, float) if type(declared.value) is float else type(declared.value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(declared.value, bool)):
        raise UsageError(f"--param {name}={text}: give a {type(declared.value).__name__}, as the spec does")
    try:
        type(declared).model_validate({**declared.model_dump(), "value": value})
    except ValidationError as error:
        causes = "; ".join(problem["msg"] for problem in error.errors())
        raise UsageError(f"--param {name}={text}: {causes}") from None
    return value
