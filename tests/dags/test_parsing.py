"""Parsing is cheap: every task process parses its DAG file again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {
    "aiobotocore",
    "boto3",
    "botocore",
    "great_expectations",
    "numpy",
    "pandas",
    "sagemaker",
    "sagemaker_core",
}

PARSE = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert bag.import_errors == {}, bag.import_errors
print(",".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_no_dag_file_imports_what_only_its_tasks_need() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PARSE, str(ROOT / "dags")],
        env=os.environ | {"PYTHONPATH": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    imported = set(ended.stdout.splitlines()[-1].split(","))
    assert imported & HEAVY == set()
    assert "airflow_sagemaker" in imported
