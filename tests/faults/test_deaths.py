"""Section "Dying" of the design, by really doing it: every way of dying, for every kind of step.

All kinds run at once under one fault, so that a row of the matrix costs one pass; each cell is a test. After
each: the run ends well without a person, exactly one job was paid for, none is left running, nothing is
half-published; by the server's own lists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest

from demo.runs import RunRecord, follow
from tests.faults import breakage
from tests.faults.conftest import KINDS
from tests.faults.paid import JOBS, OVER, Books, kind_of
from tests.running_stack import House, states

TIMEOUT_S = 900.0
FOR_EVER_S = 3000
"""Of work that the test ends."""
DEFERRING = tuple(kind for kind in KINDS if kind != "registration")
"""Registration waits on its worker."""

CRASHES = {
    # place: the kinds that pass it, and the tries that are used up by the end
    "before_create": (KINDS, 2),
    "after_create": (KINDS, 2),
    "on_worker": (DEFERRING, 2),
    "before_defer": (DEFERRING, 2),
    "after_defer": (DEFERRING, 1),
    "after_resume": (DEFERRING, 2),
    "before_end": (KINDS, 2),
}

LOST_WHOLE = ("training", "endpoint")
"""Kinds whose worker is killed with its parent: Airflow finds that by the missed heartbeat only."""


class Row:
    """What became of the runs of one row."""

    def __init__(self, house: House, runs: dict[str, RunRecord]) -> None:
        self.house = house
        self.runs = runs
        self.books = Books(house)

    def judge(self, cell: str) -> RunRecord:
        """The run of a cell, which has to have ended well, with nothing lost, left or paid for twice."""
        run = self.runs[cell]
        complaints = self.books.complaints(run)
        if complaints:
            log = self.house.log(run, "step") if run.tasks else ""
            pytest.fail("\n".join([*complaints, str(states(run)), log[-6000:]]))
        return run


@pytest.fixture(scope="module")
def house(postgresql_house: House) -> House:
    return postgresql_house


def start(house: House, dag_ids: Iterable[str], **conf: object) -> dict[str, RunRecord]:
    """Runs by their DAG."""
    return {dag_id: RunRecord(dag_id, house.api.trigger(dag_id, conf=dict(conf))) for dag_id in dag_ids}


def finish(house: House, runs: Iterable[RunRecord]) -> None:
    """Follow runs to their end, then free what serves."""
    runs = list(runs)
    try:
        follow(house.api, runs, timeout_s=TIMEOUT_S, seen=lambda _: house.stack.check())
    except TimeoutError as error:
        print(error)  # each cell says what became of its own


def remove_endpoints(house: House) -> None:
    """A model server is a process: it ends with its endpoint."""
    for endpoint in house.sagemaker.list_endpoints(NameContains="fault-")["Endpoints"]:
        if endpoint["EndpointStatus"] in ("InService", "Failed"):
            house.sagemaker.delete_endpoint(EndpointName=endpoint["EndpointName"])


def wait_for_waiting(house: House, runs: Iterable[RunRecord], *, timeout_s: float = 300) -> None:
    """Until every run has a task that waits in the triggerer, or is further than that."""
    runs = list(runs)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for run in runs:
            run.refresh(house.api)
        found = [state for run in runs for state in states(run).values() or [None]]
        if all(state in ("deferred", "success", "failed") for state in found):
            return
        time.sleep(0.2)
    raise TimeoutError(f"not deferred in {timeout_s} s: {[states(run) for run in runs]}")


@pytest.fixture(scope="module")
def crashes(house: House) -> Row:
    """Every place of every kind, at once; some with the executor's worker, which is found late."""
    runs = {}
    for place, (kinds, _) in CRASHES.items():
        family = "resumed" if place in ("after_resume", "before_end") else "fault"
        for kind in kinds:
            conf = {"crash": place, "seconds": 1, "alone": not breakage.FULL and kind not in LOST_WHOLE}
            dag_id = f"{family}_{kind}"
            runs[f"{place}-{kind}"] = RunRecord(dag_id, house.api.trigger(dag_id, conf=conf))
    finish(house, runs.values())
    return Row(house, runs)


@pytest.mark.parametrize(
    ("place", "kind"), [(place, kind) for place, (kinds, _) in CRASHES.items() for kind in kinds]
)
def test_a_worker_is_killed(crashes: Row, place: str, kind: str) -> None:
    run = crashes.judge(f"{place}-{kind}")
    # It was: a try that nobody ended is used up. (A slow scheduler may use up more.)
    assert run.tasks[("step", -1)].try_number >= CRASHES[place][1]


@pytest.fixture(scope="module")
def returned(house: House) -> Row:
    """Workers that are cut off before they can say what waits, taken for dead, and come back after all."""
    conf = {"crash": "before_defer", "hold": True, "seconds": 60}
    runs = {
        kind: RunRecord(f"fault_{kind}", house.api.trigger(f"fault_{kind}", conf=conf))
        for kind in ("training", "transform")
    }

    def look(_: list[RunRecord]) -> None:
        house.stack.check()
        tasks = [run.tasks.get(("step", -1)) for run in runs.values()]
        if all(task and task.try_number > 1 and task.state in ("deferred", "success") for task in tasks):
            breakage.wake(house)

    try:
        follow(house.api, runs.values(), timeout_s=TIMEOUT_S, seen=look)
    except TimeoutError as error:
        print(error)
    finally:
        breakage.wake(house)
    return Row(house, runs)


@pytest.mark.parametrize("kind", ["training", "transform"])
def test_a_worker_comes_back_from_the_dead(returned: Row, kind: str) -> None:
    run = returned.judge(kind)
    assert run.tasks[("step", -1)].try_number > 1


def test_a_triggerer_comes_back_from_the_dead(house: House) -> None:
    """It is told that its triggers are gone, in the words for a user's action: no job may end by that."""
    remove_endpoints(house)
    kinds = ("processing", "training")
    runs = start(house, (f"fault_{kind}" for kind in kinds), seconds=FOR_EVER_S)
    wait_for_waiting(house, runs.values())
    breakage.one_of_two_triggerers_returns(house)
    breakage.enough(house)
    finish(house, runs.values())
    for kind in kinds:
        Row(house, runs).judge(f"fault_{kind}")


@pytest.fixture(scope="module", params=breakage.PROCESSES)
def processes(house: House, request: pytest.FixtureRequest) -> Row:
    """Some of the runs wait when it happens, the others are just being submitted."""
    happen: Callable[[House], None] = breakage.PROCESSES[request.param]
    remove_endpoints(house)
    first = KINDS if breakage.FULL else KINDS[list(breakage.PROCESSES).index(request.param) % 2 :: 2]
    then = KINDS if breakage.FULL else [kind for kind in KINDS if kind not in first]
    waiting = start(house, (f"resumed_{kind}" for kind in first), seconds=6)
    wait_for_waiting(house, waiting.values())
    submitted = start(house, (f"fault_{kind}" for kind in then), seconds=2)
    time.sleep(1)
    happen(house)
    runs = waiting | submitted
    finish(house, runs.values())
    return Row(house, runs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_dies_or_is_down(processes: Row, kind: str) -> None:
    cells = [cell for cell in processes.runs if cell.endswith(f"_{kind}")]
    assert cells
    for cell in cells:
        processes.judge(cell)


@pytest.fixture(scope="module", params=breakage.CALLS)
def calls(house: House, request: pytest.FixtureRequest) -> Row:
    remove_endpoints(house)
    with breakage.calls(house, breakage.CALLS[request.param]) as hits:
        runs = start(house, (f"fault_{kind}" for kind in KINDS), seconds=2)
        finish(house, runs.values())
        assert hits() > 0
    return Row(house, runs)


@pytest.mark.parametrize("kind", KINDS)
def test_calls_fail_on_their_way(calls: Row, kind: str) -> None:
    calls.judge(f"fault_{kind}")


MACHINES = {
    # The first attempt finds no machine, or loses it while the program runs.
    "capacity": {"fault": "capacity", "count": 1},
    "die": {"fault": "die", "after_s": 0.5, "count": 1},
}
ON_MACHINES = ("processing", "training", "compilation", "transform")


@pytest.fixture(scope="module", params=MACHINES)
def machines(house: House, request: pytest.FixtureRequest) -> Row:
    rules = [MACHINES[request.param] | {"name": f"fault-{kind}-*"} for kind in (*ON_MACHINES, "tuning")]
    spot = {"fault": "spot", "after_s": 0.5, "count": 1, "name": "fault-spot-*"}
    remove_endpoints(house)
    with breakage.calls(house, (*rules, spot)) as hits:
        runs = start(house, (f"fault_{kind}" for kind in (*ON_MACHINES, "tuning", "spot")), seconds=2)
        finish(house, runs.values())
        assert hits() == len(runs)
    return Row(house, runs)


@pytest.mark.parametrize("kind", [*ON_MACHINES, "tuning", "spot"])
def test_machines_are_missing_or_lost(machines: Row, kind: str) -> None:
    run = machines.judge(f"fault_{kind}")
    jobs = machines.books.jobs(run)
    if kind in ON_MACHINES:
        assert sorted(job.status for job in jobs) == ["COMPLETED", "FAILED"]
    else:  # SageMaker itself goes on with another training job, or another machine
        assert [job.status for job in jobs] == ["COMPLETED"]
    assert kind_of(run) == kind


def test_nothing_is_left_running(house: House) -> None:
    """Whatever went before: no job is in progress, whoever made it."""
    house.stack.wait_until_healthy()
    remove_endpoints(house)
    for kind in JOBS.values():
        pages = house.sagemaker.get_paginator(kind.listed).paginate()
        assert [
            item
            for page in pages
            for item in page[kind.summaries]
            if item[f"{kind.title}Status"].upper() not in OVER
        ] == []
