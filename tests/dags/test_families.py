"""What the DAGs of every pipeline have in common, and what each kind promises."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, Param

Copy = tuple[Path, Callable[[], DagBag]]

PIPELINES = ("bank_marketing", "digits")
KINDS = ("endpoint_rollout", "model_build", "nightly_batch_transform")
HOUSEKEEPING = ("housekeeping__orphans", "housekeeping__unused")

BUILD = [
    "gate_raw",
    "prepare",
    "gate_prepared",
    "train",
    "evaluate",
    "check_metrics",
    "compile",
    "verify",
    "check_agreement",
    "register",
    "approve",
]
#: Task → its upstream tasks.
ROLLOUT = {
    "choose_model": set(),
    "roll_out": {"choose_model"},
    "smoke_test": {"roll_out"},
    "live": {"smoke_test"},
    "revert": {"smoke_test"},
}
NIGHT = {
    "partition": set(),
    "choose_model": {"partition"},
    "gate_raw": {"partition"},
    "features": {"gate_raw"},
    "transform": {"features", "choose_model"},
    "gate_predictions": {"transform"},
    "publish": {"gate_predictions"},
}


def upstream(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}


def test_nothing_is_wrong(dag_bag: DagBag) -> None:
    assert dag_bag.import_errors == {}


def test_every_spec_has_its_three_dags(dag_bag: DagBag) -> None:
    families = [f"{name}__{kind}" for name in PIPELINES for kind in KINDS]
    assert sorted(dag_bag.dag_ids) == sorted([*families, *HOUSEKEEPING])


@pytest.mark.parametrize("dag_id", [f"{name}__{kind}" for name in PIPELINES for kind in KINDS])
def test_every_dag_explains_itself(dag_bag: DagBag, dag_id: str) -> None:
    dag = dag_bag.dags[dag_id]
    name, kind = dag_id.split("__")
    assert dag.doc_md is not None
    assert dag.description
    assert dag.doc_md.startswith(dag.description)
    assert "\n\n" in dag.doc_md
    assert {"sagemaker", name, kind} <= dag.tags
    assert dag.catchup is False
    assert {task.owner for task in dag.tasks} == {"data-science"}
    assert {task.retries for task in dag.tasks} == {2}
    for param in params(dag).values():
        assert param.schema["title"]
        assert param.description
        assert param.schema["type"]


def test_params_are_the_dags_alone(dag_bag: DagBag) -> None:
    """Airflow copies those that are there first into every operator: a fifth of parsing."""
    for dag in dag_bag.dags.values():
        if dag.dag_id.startswith("digits__"):
            assert dag.params
            assert not [task.task_id for task in dag.tasks if task.params]


def params(dag: DAG) -> dict[str, Param]:
    return {name: dag.params.get_param(name) for name in dag.params}


def test_a_build_is_one_chain_that_ends_in_approval(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["digits__model_build"]
    assert upstream(dag) == {task: {BUILD[i - 1]} if i else set() for i, task in enumerate(BUILD)}
    assert dag.get_task("approve").outlets == [Asset("x-sagemaker://digits/approved-model")]


def test_a_build_has_typed_fields_for_days_and_hyperparameters(dag_bag: DagBag) -> None:
    fields = params(dag_bag.dags["digits__model_build"])
    assert {name: (param.value, param.schema["type"]) for name, param in fields.items()} == {
        "first_partition": ("2026-01-01", "string"),
        "last_partition": ("2026-01-14", "string"),
        "C": (10.0, "number"),
        "gamma": (0.001, "number"),
        "calibration_folds": (5, "integer"),
    }
    assert fields["first_partition"].schema["format"] == "date"
    assert (fields["calibration_folds"].schema["minimum"], fields["calibration_folds"].schema["maximum"]) == (
        2,
        20,
    )


@pytest.mark.parametrize("name", PIPELINES)
def test_only_the_night_can_be_backfilled(dag_bag: DagBag, name: str) -> None:
    """`airflow backfill` refuses DAGs without a periodic schedule: it can never register or roll out."""
    schedules: dict[str, Any] = {kind: dag_bag.dags[f"{name}__{kind}"].schedule for kind in KINDS}
    assert schedules["model_build"] is None
    assert schedules["endpoint_rollout"] == Asset(f"x-sagemaker://{name}/approved-model")
    assert isinstance(schedules["nightly_batch_transform"], CronDataIntervalTimetable)
    night = dag_bag.dags[f"{name}__nightly_batch_transform"]
    assert {type(task).__name__ for task in night.tasks}.isdisjoint(
        {"RegisterModelOperator", "ApproveModelOperator", "EndpointRolloutOperator"}
    )


def test_a_rollout_that_fails_its_smoke_test_goes_back_and_stays_red(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["digits__endpoint_rollout"]
    assert upstream(dag) == ROLLOUT
    assert dag.get_task("revert").trigger_rule == "all_failed"
    assert dag.get_task("live").trigger_rule == "all_success"  # a leaf that fails with the smoke test
    assert dag.max_active_runs == 1


def test_a_night_scores_one_day_between_gates(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["digits__nightly_batch_transform"]
    assert upstream(dag) == NIGHT
    assert (dag.start_date, dag.end_date) == (
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 14, tzinfo=UTC),
    )


def test_what_a_night_writes_depends_on_the_day_alone(dag_bag: DagBag) -> None:
    """A prefix with the run in it would make every rerun write somewhere else."""
    day = "dt={{ ti.xcom_pull(task_ids='partition')['partition'] }}"
    tasks: dict[str, Any] = dag_bag.dags["digits__nightly_batch_transform"].task_dict
    written = {
        "gate_raw": tasks["gate_raw"].results,
        "features": tasks["features"].job["outputs"][0]["destination"],
        "transform": tasks["transform"].job["destination"],
        "gate_predictions": tasks["gate_predictions"].results,
        "publish": tasks["publish"].destination,
    }
    assert written == {
        "gate_raw": f"digits/batch/{day}/quality/raw/",
        "features": f"digits/batch/{day}/features/",
        "transform": f"digits/batch/{day}/predictions/",
        "gate_predictions": f"digits/batch/{day}/quality/predictions/",
        "publish": f"digits/predictions/{day}/",
    }


def test_a_person_approves_where_the_spec_says_manual(copy: Copy) -> None:
    folder, parse = copy
    spec = folder / "include/pipelines/digits.yaml"
    spec.write_text(spec.read_text().replace("approval: auto", "approval: manual"))
    dag = parse().dags["digits__model_build"]
    assert upstream(dag)["review"] == {"register"}
    assert upstream(dag)["approve"] == {"review"}
    assert type(dag.get_task("review")).__name__ == "ApprovalOperator"


def test_a_new_pipeline_is_a_new_file(copy: Copy) -> None:
    folder, parse = copy
    spec = folder / "include/pipelines/digits.yaml"
    (spec.parent / "letters.yaml").write_text(spec.read_text().replace("name: digits", "name: letters"))
    bag = parse()
    assert bag.import_errors == {}
    assert {f"letters__{kind}" for kind in KINDS} <= set(bag.dag_ids)


def test_dag_files_hold_no_names_of_pipelines(dag_bag: DagBag) -> None:
    for dag in dag_bag.dags.values():
        source = Path(dag.fileloc).read_text()
        assert all(name not in source for name in PIPELINES)
