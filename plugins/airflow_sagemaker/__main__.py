"""The plugin's command line: `python -m airflow_sagemaker <command>`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple


class Command(NamedTuple):
    """A subcommand. Its module, imported when asked for, has `add_arguments(parser)` and `run(arguments)`."""

    module: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "plan": Command(
        "airflow_sagemaker.plan.command",
        "print what a run of a pipeline would do: names, requests, prefixes, reuse, cost",
    ),
    "pools": Command(
        "airflow_sagemaker.pools_command",
        "print or import the Airflow pools of include/quotas.yaml, in which jobs queue for instances",
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m airflow_sagemaker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.help, description=command.help)
        if name == asked:
            import_module(command.module).add_arguments(own)
    parsed = parser.parse_args(arguments)
    status: int = import_module(COMMANDS[parsed.command].module).run(parsed)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
