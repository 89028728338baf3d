"""What may happen to a house, each as something that is done to it and over again when the call returns."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from demo import processes
from tests.running_stack import House

FULL = bool(os.environ.get("FAULTS_FULL"))
OUTAGE_S = 60.0 if FULL else 8.0
"""How long something is down; a minute where FAULTS_FULL is set."""


def triggerer_killed(house: House) -> None:
    """The only triggerer is lost, with what it waited for; another comes up."""
    house.stack.kill_service("triggerer")
    house.stack.start_service("triggerer")
    house.stack.wait_until_healthy()


def triggerer_restarted(house: House) -> None:
    """A deployment: it is asked to end, then started."""
    house.stack.stop_service("triggerer")
    house.stack.start_service("triggerer")
    house.stack.wait_until_healthy()


def one_of_two_triggerers_killed(house: House) -> None:
    """The one that waits is lost, another one is there."""
    house.stack.start_service("triggerer-2")
    _eventually(lambda: len(_alive(house, "TriggererJob")) > 1)
    house.stack.kill_service("triggerer")
    # What the dead one held is given to the other once its heartbeat is too old: it counts as alive before.
    _eventually(lambda: len(_alive(house, "TriggererJob")) == 1)
    _pass(house, 5)
    house.stack.start_service("triggerer")
    _eventually(lambda: len(_alive(house, "TriggererJob")) > 1)
    house.stack.stop_service("triggerer-2")


def one_of_two_triggerers_returns(house: House) -> None:
    """It stands still for so long that the other one gets what it waits for, then goes on."""
    house.stack.start_service("triggerer-2")
    _eventually(lambda: len(_alive(house, "TriggererJob")) > 1)
    house.stack.pause_service("triggerer")
    _eventually(lambda: len(_alive(house, "TriggererJob")) == 1)
    _pass(house, 5)
    house.stack.resume_service("triggerer")
    _eventually(lambda: len(_alive(house, "TriggererJob")) > 1)
    _pass(house, 5)
    house.stack.stop_service("triggerer-2")


def triggerer_held_up(house: House) -> None:
    """It stands still for a while, as on a machine that swaps, then goes on as if nothing had been."""
    _held_up(house, "triggerer")


def scheduler_killed(house: House) -> None:
    """The process alone: the workers that it has forked go on with what they do."""
    house.stack.kill_service("scheduler", whole=False)
    house.stack.start_service("scheduler")
    house.stack.wait_until_healthy()


def scheduler_and_workers_killed(house: House) -> None:
    """The machine that they run on is lost."""
    house.stack.kill_service("scheduler")
    house.stack.start_service("scheduler")
    house.stack.wait_until_healthy()


def api_server_down(house: House) -> None:
    """Nobody who works for Airflow can tell it anything."""
    _down(house, "api-server")


def api_server_held_up(house: House) -> None:
    """It takes connections and does not answer."""
    _held_up(house, "api-server")


def database_down(house: House) -> None:
    """The metadata database is lost and comes back as it was."""
    _down(house, "postgresql")


def database_held_up(house: House) -> None:
    """It holds its connections and does not answer."""
    _held_up(house, "postgresql")


def sagemaker_killed(house: House) -> None:
    """The service itself goes and comes back: what ran there is lost to it, which it says of each job."""
    house.stack.kill_service("sagemaker-local")
    time.sleep(OUTAGE_S / 4)
    house.stack.start_service("sagemaker-local")


DEATHS = (
    triggerer_killed,
    triggerer_restarted,
    one_of_two_triggerers_killed,
    scheduler_killed,
    scheduler_and_workers_killed,
    api_server_down,
    database_down,
    sagemaker_killed,
)
STILLNESS = (triggerer_held_up, api_server_held_up, database_held_up)

PROCESSES: Mapping[str, Callable[[House], None]] = {
    each.__name__: each for each in (*DEATHS, *(STILLNESS if FULL else ()))
}
"""Things that happen to processes."""

CALL_TIMEOUT_S = 60
CREATE = "Create*"
CALLS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "throttled": ({"service": "sagemaker", "error": "throttling", "probability": 0.5},),
    "half_of_answers_lost": (
        {"service": "sagemaker", "drop": "before", "probability": 0.25},
        {"service": "sagemaker", "drop": "after", "probability": 0.25},
        {"service": "logs", "drop": "after", "probability": 0.5},
    ),
    # Its first Create is accepted, and the connection closed without an answer.
    "create_answer_lost": (
        {"service": "sagemaker", "operation": CREATE, "drop": "after", "probability": 0.7},
    ),
    # The client has given up when the first Create is done: two are under way.
    "create_timed_out": (
        {"service": "sagemaker", "operation": CREATE, "latency_s": 8.0, "probability": 0.5},
    ),
    "broken_5xx": (
        {"service": "sagemaker", "error": "internal", "probability": 0.2},
        {"service": "sagemaker", "error": "unavailable", "probability": 0.2},
    ),
}
"""Things that happen to calls, as rules of ``/_local/faults``."""


@contextmanager
def calls(house: House, rules: tuple[dict[str, Any], ...], *, seed: int = 7) -> Iterator[Callable[[], int]]:
    """Rules in force for a while; gives what says how often they have hit."""
    url = f"{house.stack.sagemaker_url}/_local/faults"
    answer = httpx.put(
        url, json={"seed": seed, "rules": list(rules)}, trust_env=False, timeout=CALL_TIMEOUT_S
    )
    assert answer.status_code == httpx.codes.OK, answer.text

    def hits() -> int:
        answer = httpx.get(url, trust_env=False, timeout=CALL_TIMEOUT_S)
        return sum(rule["hits"] for rule in answer.json()["rules"])

    try:
        yield hits
    finally:
        httpx.delete(url, trust_env=False, timeout=CALL_TIMEOUT_S)


def wake(house: House) -> None:
    """SIGCONT to every process of the house that stands still."""
    for process_id in processes.leftovers(house.stack.settings.home.resolve()):
        with suppress(OSError):
            if Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                os.kill(process_id, signal.SIGCONT)


def enough(house: House, job_name: str = "*") -> None:
    """Let the programs of jobs end, however long they were to take: they look for this file in /opt/ml."""
    for opt_ml in (house.stack.settings.home / "sagemaker" / "jobs").glob(f"*/{job_name}/*/ml"):
        (opt_ml / "enough").touch()


def _down(house: House, name: str) -> None:
    house.stack.kill_service(name)
    _pass(house, OUTAGE_S)
    house.stack.start_service(name)
    house.stack.wait_until_healthy()


def _held_up(house: House, name: str) -> None:
    house.stack.pause_service(name)
    _pass(house, OUTAGE_S)
    house.stack.resume_service(name)
    house.stack.wait_until_healthy()


def _pass(house: House, seconds: float) -> None:
    """Let time pass; what ends by itself meanwhile is started again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        house.stack.check()
        time.sleep(0.2)


def _alive(house: House, job_type: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.api.get("/jobs", job_type=job_type, is_alive=True)["jobs"]
    return found


def _eventually(holds: Callable[[], bool], *, timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.3)
