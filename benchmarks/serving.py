"""Our model server beside four that people use, with the same model in the same run.

    .venv/bin/python -m benchmarks.serving              # five rounds of five seconds, a quarter of an hour
    .venv/bin/python -m benchmarks.serving --quick      # three rounds of a second or two

The model is a scaler and a logistic regression on the 64 pixels of a digit. Every peer runs two workers on
loopback, all at once; a round asks one after the other, so what else the machine does hits all alike. The
load is wrk's closed loop, one thread, bodies of 1 and 100 rows of CSV by 1, 16 and 64 connections. Nothing is
pinned from outside: the servers and wrk share the machine's cores, which costs a fast server more than a slow
one, so the ratios are on the low side. Before anything is measured every peer must give the model's own
answers.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks import serving_model
from benchmarks.environments import FOLDER, Unavailable, program
from benchmarks.reporting import Report
from benchmarks.serving_peers import COMPILED, FLASK, MMS, ORIGINAL, PEERS, Peer, Server, running
from benchmarks.wrk import Load, load

ROWS = (1, 100)
CONNECTIONS = (1, 16, 64)
CHECKED_ROWS = 300


@dataclass(frozen=True)
class Scenario:
    """One shape of load."""

    rows: int
    connections: int

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.rows} row{'s' if self.rows > 1 else ''}, c={self.connections}"


Loads = dict[tuple[Scenario, str], list[Load]]
SCENARIOS = tuple(Scenario(rows, connections) for rows in ROWS for connections in CONNECTIONS)


def start_all(
    names: list[str], report: Report, stack: contextlib.ExitStack, folder: Path
) -> tuple[serving_model.ServedModel, list[Server]]:
    """Every peer that can be had and answers as the model does; the others are skipped with their reason."""
    model = serving_model.trained()
    servers = []
    for peer in (peer for peer in PEERS if not names or peer.name in names):
        place = peer.name.replace(" ", "-").replace(",", "")
        log = FOLDER / f"serving-{place}.log"
        try:
            server = stack.enter_context(running(peer, model, folder / place, log))
            check(server, model)
        except Unavailable as error:
            report.skip(peer.name, str(error))
        else:
            servers.append(server)
    return model, servers


def check(server: Server, model: serving_model.ServedModel) -> None:
    """One row a request and a hundred must give the model's own digits.

    Raises:
        Unavailable: they do not.
    """
    for start in (*range(20), *range(0, CHECKED_ROWS, 100)):
        stop = start + (1 if start < 20 and start % 100 else 100)
        found = server.ask(model.rows[start:stop])
        if found != list(model.digits[start:stop]):
            raise Unavailable(f"answers rows {start} to {stop} with {found[:5]}…, not as the model does")


def write_body(peer: Peer, model: serving_model.ServedModel, rows: int, folder: Path) -> Path:
    """The body of every request."""
    path = folder / f"{peer.name}-{rows}"
    path.write_bytes(peer.body(model.rows[:rows]))
    return path


def measure(
    servers: list[Server], model: serving_model.ServedModel, folder: Path, *, rounds: int, seconds: float
) -> tuple[Loads, dict[str, float]]:
    """Loads of every scenario and server, and the memory of each server after them."""
    wrk = program("wrk")
    loads: Loads = defaultdict(list)
    for number in range(rounds + 1):
        for scenario in SCENARIOS:
            for server in servers:
                body = write_body(server.peer, model, scenario.rows, folder)
                found = load(
                    wrk,
                    server.url,
                    body,
                    server.peer.content_type,
                    connections=scenario.connections,
                    seconds=seconds if number else 1,
                )
                if number:  # the first round warms everybody up
                    loads[scenario, server.peer.name].append(found)
    return loads, {server.peer.name: server.memory_mb() for server in servers}


def fill(report: Report, loads: Loads, memory_mb: dict[str, float]) -> None:
    """Figures and aims."""
    for unit, better, kind in (
        ("requests/s", "higher", "requests_per_s"),
        ("ms", "lower", "p50_ms"),
        ("ms", "lower", "p99_ms"),
    ):
        for (scenario, peer), found in loads.items():
            name = scenario.name if unit == "requests/s" else f"{scenario.name}, {kind.partition('_')[0]}"
            samples = [float(getattr(each, kind)) for each in found]
            report.add(name, peer, samples, unit=unit, better=better)  # type: ignore[arg-type]
    for peer, megabytes in memory_mb.items():
        report.add("memory", peer, [megabytes], unit="MB", better="lower")
        errors = sum(each.errors for (_, name), found in loads.items() if name == peer for each in found)
        report.add("errors in all", peer, [errors], unit="requests", better="neither")
    report.note("errors: answers of 400 and above, connections that broke, answers after more than 10 s")
    busiest = max(each.own_cpu for found in loads.values() for each in found)
    report.note(
        f"wrk itself took up to {busiest:.2f} of the {report.machine.cores} cores; the benchmark pins nothing"
    )
    one, sixteen, hundred = Scenario(1, 64).name, Scenario(1, 16).name, Scenario(100, 16).name
    report.aim("compiled, 1 row, c=64, against the Flask container", one, COMPILED, at_least=80)
    report.aim("the same against multi-model-server", one, COMPILED, against=MMS, at_least=15)
    report.aim("uncompiled, 1 row, c=64, against the Flask container", one, ORIGINAL, at_least=5)
    report.aim("compiled, 100 rows, c=16, against the Flask container", hundred, COMPILED, at_least=25)
    report.aim(
        "compiled, p99 of 1 row, c=16, against the Flask container", f"{sixteen}, p99", COMPILED, at_least=30
    )


def main() -> None:
    """Start, check, measure, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three rounds of a second each")
    parser.add_argument("--rounds", type=int, help="default 5, quick 3")
    parser.add_argument("--seconds", type=int, help="of each load; default 5, quick 1")
    parser.add_argument(
        "--peers", nargs="+", default=[], choices=[p.name for p in PEERS], metavar="PEER",
        help=", ".join(repr(peer.name) for peer in PEERS),
    )  # fmt: skip
    options = parser.parse_args()
    # Servers are to be ended whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    rounds = options.rounds or (3 if options.quick else 5)
    seconds = options.seconds or (1 if options.quick else 5)
    packages = ["scikit-learn", "numpy"]
    report = Report("serving", "Model servers, two workers each", FLASK, packages, quick=options.quick)
    folder = Path(tempfile.mkdtemp(prefix="serving-"))
    folder.chmod(0o755)
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            model, servers = start_all(options.peers, report, stack, folder)
            if not servers:
                raise SystemExit("no server could be started: " + "; ".join(map(str, report.skipped.items())))
            fill(report, *measure(servers, model, folder, rounds=rounds, seconds=seconds))
    except Unavailable as error:  # wrk
        raise SystemExit(f"the serving benchmark needs wrk: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shown = [scenario.name for scenario in SCENARIOS]
    shown += [f"{Scenario(1, connections).name}, p99" for connections in (16, 64)]
    report.publish(chart=[*shown, "memory"], log_scale=True)


if __name__ == "__main__":
    main()
