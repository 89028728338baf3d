"""``python -m airflow_sagemaker pools``: the Airflow pools of ``include/quotas.yaml``.

A task whose pool is missing never starts, so this runs wherever Airflow's database is made or migrated, and
after every change of the file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.specs.connection import DEFAULT_CONNECTION_ID
from airflow_sagemaker.specs.quotas import QuotasFileError, load_quotas, quota_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--include", type=Path, default=Path("include"), help="folder of quotas.yaml (default: %(default)s)"
    )
    parser.add_argument(
        "--apply", action="store_true", help="import them into Airflow (airflow pools import) instead"
    )
    parser.add_argument(
        "--aws-conn-id",
        default=DEFAULT_CONNECTION_ID,
        help="connection whose Service Quotas are asked for types with 'account' (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the pools as ``airflow pools import`` takes them, or import them."""
    try:
        pools = load_quotas(arguments.include).pools()
        document = as_import(pools, lambda: _account_quotas(arguments.aws_conn_id))
    except (QuotasFileError, SageMakerError) as error:
        print(f"pools: {error}", file=sys.stderr)
        return 1
    if not arguments.apply:
        print(json.dumps(document, indent=2, sort_keys=True))
        return 0
    if not document:
        print(f"pools: {arguments.include / 'quotas.yaml'} names no instance type; nothing to import")
        return 0
    return _import(document)


def as_import(
    pools: Mapping[str, int | None], account_quotas: Callable[[], Mapping[str, int]]
) -> dict[str, Any]:
    """The document that ``airflow pools import`` reads.

    A deferred task holds its slots: its job holds the instances.
    """
    known = account_quotas() if None in pools.values() else {}
    document = {}
    for name, slots in pools.items():
        quota = quota_name(name)
        if slots is None and quota not in known:
            raise QuotasFileError(
                f"Service Quotas does not know {quota!r}: write a number in quotas.yaml instead of 'account'"
            )
        document[name] = {
            "slots": known[quota] if slots is None else slots,
            "description": f"{quota} (quotas.yaml)",
            "include_deferred": True,
        }
    return document


def _account_quotas(aws_conn_id: str) -> Mapping[str, int]:
    from airflow_sagemaker.hooks.quotas import QuotaHook
    from airflow_sagemaker.hooks.sagemaker import SageMakerHook

    return QuotaHook(SageMakerHook(aws_conn_id)).all()


def _import(document: Mapping[str, Any]) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        command = [sys.executable, "-m", "airflow", "pools", "import", file.name]
        return subprocess.run(command, check=False).returncode
