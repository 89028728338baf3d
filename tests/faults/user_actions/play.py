"""All cells at once: arrange, act, see who was told, sweep, and look at what became of each job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_sagemaker.kinds import JobKind
from tests.faults.user_actions.cells import CELLS, Action, Cell, Where, Who
from tests.faults.user_actions.house import SWEEPER, ActionsHouse

Described = tuple[JobKind, dict[str, Any]]
ON_WORKERS = (Where.RUNNING, Where.ON_WORKER)
LONGEST_S = 300
OVER = frozenset({"success", "failed", "skipped", None})


@dataclass
class Outcome:
    """What became of a cell.

    Attributes:
        arranged: Whether the task was where the cell says when it happened.
        alive_before_sweep: Names of the jobs that ran on although Airflow had told whoever it tells.
        state: Of the task in the end; None when it is gone.
        jobs: Every job of the run in the end, in the order they were made.
    """

    arranged: bool = False
    alive_before_sweep: tuple[str, ...] = ()
    state: str | None = None
    jobs: list[Described] = field(default_factory=list)


class Play:
    """One performance."""

    def __init__(self, house: ActionsHouse) -> None:
        self.house = house
        self.outcomes = {cell: Outcome() for cell in CELLS}
        self.seen: dict[Cell, set[str | None]] = {cell: set() for cell in CELLS}
        self.now: dict[Cell, str | None] = {}
        self.process_ids: dict[Cell, int] = {}

    def perform(self) -> Mapping[Cell, Outcome]:
        """Play every cell to its end."""
        self.wait_in_queue()
        self.lose_workers()
        self.defer()
        self.wait_on_workers()
        self.hold_in_create()
        self.act([cell for cell in CELLS if not cell.triggerer_down])
        self.settle()
        self.act_without_triggerer()
        self.note_what_runs_on()
        self.sweep()
        self.let_go()
        self.conclude()
        return self.outcomes

    def wait_in_queue(self) -> None:
        """Runs whose tasks find no worker."""
        cells = cells_where(Where.QUEUED)
        self.house.hold(cells)
        self.house.start(cells)

    def defer(self) -> None:
        """Runs whose tasks wait for a job that takes long."""
        cells = [
            *cells_where(Where.DEFERRED),
            *(cell for cell in CELLS if cell.dag == "airflows_deferral_timeout"),
        ]
        self.house.start(cells)
        self.arrange(cells, self.is_deferred)
        # Of a trigger that has not started Airflow forgets that anybody should be told.
        waiting = cells_where(Where.DEFERRED)
        self.house.eventually("their triggers run", lambda: all(map(self.house.trigger_has_started, waiting)))
        self.arrange(cells_where(Where.QUEUED), lambda cell, seen: "queued" in seen)
        self.arrange(self.lost_cells(), lambda cell, seen: self.now[cell] == "queued")

    def is_deferred(self, cell: Cell, seen: set[str | None]) -> bool:
        """Whether its task has been; one that Airflow will queue again finds no worker then."""
        if cell.where is Where.QUEUED_AGAIN and not seen.isdisjoint({"running", "deferred"}):
            # While it has its first worker: on a busy machine its ten seconds pass before the others defer.
            self.house.hold([cell])
        return "deferred" in seen

    def wait_on_workers(self) -> None:
        """Runs whose workers wait for a job that takes long."""
        cells = cells_where(Where.ON_WORKER)
        self.house.start(cells)
        self.arrange(cells, lambda cell, seen: "running" in seen and cell in self.process_ids)
        self.house.eventually("their jobs are there", lambda: self.have_jobs(cells))

    def lost_cells(self) -> list[Cell]:
        """The cells whose worker is lost."""
        return [cell for cell in cells_where(Where.QUEUED_AGAIN) if cell.dag != "airflows_deferral_timeout"]

    def lose_workers(self) -> None:
        """Runs whose worker dies before it learns that Create was accepted; the task is queued again."""
        cells = self.lost_cells()
        self.until_unanswered(cells)
        self.house.hold(cells)
        for cell in cells:
            self.house.lose_worker(self.process_ids[cell])
        # Not before: a worker may call Create again at any moment, and would be answered.
        self.house.no_faults()

    def hold_in_create(self) -> None:
        """Runs whose worker calls Create again and again: it was accepted, and the answer lost on its way."""
        self.until_unanswered(
            cell for cell in cells_where(Where.RUNNING) if cell.dag != "airflows_deferral_timeout"
        )

    def until_unanswered(self, cells: Iterable[Cell]) -> None:
        """Start the runs of these cells; their jobs are made, and their workers do not know it."""
        cells = list(cells)
        self.house.lose_answers("CreateTrainingJob")
        self.house.start(cells)
        self.arrange(cells, lambda cell, seen: "running" in seen and cell in self.process_ids)
        self.house.eventually("their jobs are there", lambda: self.have_jobs(cells))

    def act(self, cells: Iterable[Cell]) -> None:
        """Everything that happens, at once; timers run by themselves."""
        deeds: Mapping[Action, Callable[[Cell], None]] = {
            Action.MARK_FAILED: lambda cell: self.house.mark(cell, "failed"),
            Action.MARK_SUCCESS: lambda cell: self.house.mark(cell, "success"),
            Action.CLEAR: self.house.clear,
            Action.DELETE_RUN: self.house.delete_run,
        }
        cells = sorted(cells, key=lambda cell: cell.where not in ON_WORKERS)
        workers = [
            self.process_ids[cell]
            for cell in cells
            if cell.where in ON_WORKERS and cell in self.process_ids and cell.who is Who.WORKER
        ]
        if any(cell.action is Action.DAG_TIMEOUT for cell in cells):
            self.house.shorten_dag_timeout(1)
        for cell in cells:
            if deed := deeds.get(cell.action):
                deed(cell)
        # A worker whose call is answered before it is told defers, and nobody is told then.
        self.house.eventually("the workers have ended", lambda: not any(map(is_there, workers)))
        self.house.no_faults()

    def settle(self) -> None:
        """Wait until everybody whom Airflow tells has done what there is to do."""
        told = [cell for cell in CELLS if cell.who in (Who.WORKER, Who.TRIGGERER) and not self.is_held(cell)]
        told = [cell for cell in told if not cell.triggerer_down]

        def quiet() -> bool:
            tasks = self.house.tasks()
            alive = self.house.jobs()
            return all(
                state_of(tasks, cell) == cell.final_state and not names_alive(alive.get(cell.run_id, []))
                for cell in told
            )

        self.house.eventually("everybody told has acted", quiet, timeout_s=LONGEST_S)

    def act_without_triggerer(self) -> None:
        """The triggerer is lost, then it happens, then there is a triggerer again."""
        cells = [cell for cell in CELLS if cell.triggerer_down]
        self.house.forget_triggerers()
        self.house.stack.kill_service("triggerer")
        self.act(cells)
        self.house.stack.start_service("triggerer")
        self.house.eventually("the next triggerer has looked around", self.house.has_new_triggerer)

    def note_what_runs_on(self) -> None:
        """Which jobs are paid for and nobody waits for."""
        jobs = self.house.jobs()
        for cell, outcome in self.outcomes.items():
            outcome.alive_before_sweep = tuple(names_alive(jobs.get(cell.run_id, [])))

    def sweep(self) -> None:
        """Run housekeeping until no job of a task that is over is alive."""
        cells = [
            cell for cell in CELLS if cell.who in (Who.HOUSEKEEPING, Who.WORKER) and not self.is_held(cell)
        ]

        def clean() -> bool:
            jobs = self.house.jobs()
            return not any(names_alive(jobs.get(cell.run_id, [])) for cell in cells)

        for _ in range(4):
            run = self.house.run(SWEEPER)
            assert run.state == "success", run.tasks
            if self.house.eventually("the orphans have ended", clean, timeout_s=30):
                return

    def let_go(self) -> None:
        """Let the queued tasks have their workers, whatever has become of them meanwhile."""
        self.house.release(CELLS)

    def conclude(self) -> None:
        """Wait for every task's end, then for every job's."""

        def over() -> bool:
            tasks = self.house.tasks()
            return all(state_of(tasks, cell) == cell.final_state for cell in CELLS)

        def nothing_alive() -> bool:
            return not any(names_alive(jobs) for jobs in self.house.jobs().values())

        self.house.eventually("every task has ended", over, timeout_s=LONGEST_S)
        self.house.eventually("every job has ended", nothing_alive, timeout_s=LONGEST_S)
        tasks, jobs = self.house.tasks(), self.house.jobs()
        for cell, outcome in self.outcomes.items():
            outcome.state = state_of(tasks, cell)
            outcome.jobs = sorted(jobs.get(cell.run_id, []), key=lambda job: job[1]["CreationTime"])

    def arrange(self, cells: Iterable[Cell], there: Callable[[Cell, set[str | None]], Any]) -> None:
        """Wait until the tasks of these cells are where they should be."""
        missing = set(cells)

        def look() -> bool:
            self.look()
            for cell in list(missing):
                if there(cell, self.seen[cell]):
                    self.outcomes[cell].arranged = True
                    missing.discard(cell)
            return not missing

        self.house.eventually("arranged", look)
        for cell in missing:
            print(f"{cell.run_id}: not {cell.where.value}, but {self.seen[cell]}")

    def look(self) -> None:
        """Note every task's state and process."""
        tasks = self.house.tasks()
        for cell in CELLS:
            task = tasks.get((cell.dag_id, cell.run_id))
            self.now[cell] = task["state"] if task else None
            self.seen[cell].add(self.now[cell])
            if task and task["state"] == "running" and task["pid"]:
                self.process_ids[cell] = task["pid"]

    def have_jobs(self, cells: Iterable[Cell]) -> bool:
        """Whether each has a job."""
        jobs = self.house.jobs()
        return all(jobs.get(cell.run_id) for cell in cells)

    def is_held(self, cell: Cell) -> bool:
        """Whether the cell's task is kept in the queue."""
        return (self.house.held / cell.run_id).exists()


def cells_where(where: Where) -> list[Cell]:
    """The cells whose task is there, but for those that need the triggerer to be away."""
    return [cell for cell in CELLS if cell.where is where]


def state_of(tasks: Mapping[tuple[str, str], Mapping[str, Any]], cell: Cell) -> str | None:
    """The state of a cell's task; None where there is none."""
    task = tasks.get((cell.dag_id, cell.run_id))
    return str(task["state"]) if task else None


def is_there(process_id: int) -> bool:
    """Whether a process runs."""
    return Path(f"/proc/{process_id}").exists()


def names_alive(jobs: Iterable[Described]) -> list[str]:
    """The jobs that are not over."""
    return [described[kind.name_field] for kind, described in jobs if kind.end(described) is None]
