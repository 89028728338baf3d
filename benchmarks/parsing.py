"""How long DAG files take to parse as pipelines are added, beside DAGs of the Amazon provider's operators.

    .venv/bin/python -m benchmarks.parsing                     # 25, 50 and 100 pipelines
    .venv/bin/python -m benchmarks.parsing --pipelines 10 20

Every measurement is a process of its own that has imported Airflow beforehand, as the DAG processor has when
it forks to parse a file. What is timed is what a parse does: run the DAG files, make the DAGs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import yaml

from benchmarks.reporting import Report

ROOT = Path(__file__).resolve().parents[1]
OURS, PROVIDER = "airflow_sagemaker", "amazon provider"
AT_MOST_S, AT_MOST_MB = 2.0, 300.0
HEAVY = ("sagemaker", "boto3", "great_expectations", "pandas")

MEASURE = """
import json, resource, runpy, sys, time
import airflow.sdk
import airflow.serialization.serialized_objects
from airflow.dag_processing.dagbag import DagBag

started, cpu = time.perf_counter(), time.process_time()
bag = DagBag(sys.argv[1], bundle_path=None, load_op_links=False)
took, cpu = time.perf_counter() - started, time.process_time() - cpu
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "took_s": took,
    "cpu_s": cpu,
    "peak_mb": peak_kib / 1024,
    "dags": len(bag.dags),
    "tasks": sum(len(dag.tasks) for dag in bag.dags.values()),
    "errors": [str(error) for error in bag.import_errors.values()],
    "imported": [name for name in sys.argv[2:] if name in sys.modules],
}))
"""

PEER = '''
"""The same chain of jobs by the Amazon provider's operators."""
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerEndpointOperator,
    SageMakerProcessingOperator,
    SageMakerRegisterModelVersionOperator,
    SageMakerTrainingOperator,
    SageMakerTransformOperator,
)
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain

FAMILIES = {families}
OPERATORS = {{
    "processing": lambda task_id: SageMakerProcessingOperator(task_id=task_id, config={{}}, deferrable=True),
    "training": lambda task_id: SageMakerTrainingOperator(task_id=task_id, config={{}}, deferrable=True),
    "transform": lambda task_id: SageMakerTransformOperator(task_id=task_id, config={{}}, deferrable=True),
    "endpoint": lambda task_id: SageMakerEndpointOperator(task_id=task_id, config={{}}, deferrable=True),
    "register": lambda task_id: SageMakerRegisterModelVersionOperator(
        task_id=task_id, image_uri="", model_url="", package_group_name=""
    ),
    "other": lambda task_id: EmptyOperator(task_id=task_id),
}}
for number in range({pipelines}):
    for family, tasks in FAMILIES.items():
        with DAG(f"pipeline{{number}}__{{family}}", schedule=None) as dag:
            chain(*[OPERATORS[kind](f"task{{place}}") for place, kind in enumerate(tasks)])
        globals()[dag.dag_id] = dag
'''

FAMILIES = {
    "model_build": [
        *("other", "processing", "other", "training", "processing", "other"),
        *("training", "processing", "other", "register", "other"),
    ],
    "endpoint_rollout": ["other", "endpoint", "other", "other", "other"],
    "nightly_batch_transform": ["other", "other", "other", "processing", "transform", "other", "other"],
}
"""What the tasks of our three families are to the provider; it has no compilation, gates or publication."""


def furnish(folder: Path, pipelines: int) -> Path:
    """A copy of the repository's DAGs with so many pipelines, each the digits under another name."""
    shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "include", folder / "include")
    specs = folder / "include" / "pipelines"
    digits = yaml.safe_load((specs / "digits.yaml").read_text())
    for path in specs.glob("*.yaml"):
        path.unlink()
    for number in range(pipelines):
        name = f"pipeline{number}"
        (specs / f"{name}.yaml").write_text(yaml.safe_dump(digits | {"name": name}, sort_keys=False))
    return folder / "dags"


def furnish_peer(folder: Path, pipelines: int) -> Path:
    """As many DAGs with as many tasks in one file of the provider's operators."""
    dags = folder / "dags"
    dags.mkdir(parents=True)
    (dags / "peer.py").write_text(textwrap.dedent(PEER.format(families=FAMILIES, pipelines=pipelines)))
    return dags


def measure(dags: Path, home: Path) -> dict[str, Any]:
    """Parse the folder in a process of its own."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT / "plugins"),
    }
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(dags), *HEAVY],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise SystemExit(f"parsing {dags} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if found["errors"]:
        raise SystemExit(f"{dags} has import errors:\n" + "\n".join(found["errors"]))
    return found


def main() -> None:
    """Measure each number of pipelines, ours and the peer's, in turns, and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="25 and 100 pipelines, twice each")
    parser.add_argument("--pipelines", type=int, nargs="+", metavar="COUNT", help="default 25, 50 and 100")
    parser.add_argument("--repeats", type=int, help="rounds (default 3)")
    options = parser.parse_args()
    pipelines_of = options.pipelines or ([25, 100] if options.quick else [25, 50, 100])
    repeats = options.repeats or (2 if options.quick else 3)
    packages = ["apache-airflow", "apache-airflow-providers-amazon"]
    report = Report("parsing", "Parsing DAG files", PROVIDER, packages, quick=options.quick)
    imported: set[str] = set()
    for pipelines in pipelines_of:
        with tempfile.TemporaryDirectory(prefix="parsing-") as name:
            folder = Path(name)
            folders = {
                OURS: furnish(folder / "ours", pipelines),
                PROVIDER: furnish_peer(folder / "peer", pipelines),
            }
            runs = [
                {peer: measure(dags, folder / "home") for peer, dags in folders.items()}
                for _ in range(repeats)
            ]
        imported.update(*(run[OURS]["imported"] for run in runs))
        what = f"{pipelines} pipelines, {runs[0][OURS]['dags']} DAGs"
        for key, unit in (("took_s", "s"), ("cpu_s", "s of CPU"), ("peak_mb", "MB")):
            for peer in folders:
                label = f"{what}, {key.rpartition('_')[0]}"
                report.add(label, peer, [run[peer][key] for run in runs], unit=unit, better="lower")
    report.aim_at(f"{pipelines} pipelines", f"{what}, took", OURS, at_most=AT_MOST_S)
    report.aim_at(f"{pipelines} pipelines, peak", f"{what}, peak", OURS, at_most=AT_MOST_MB)
    report.note(f"imported on the way, of {', '.join(HEAVY)}: {', '.join(sorted(imported)) or 'none'}")
    report.publish()


if __name__ == "__main__":
    main()
