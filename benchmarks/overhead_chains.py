"""The same chain of training jobs by each peer, in one real Airflow on one local SageMaker."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.local_server import ACCOUNT, DOCKERFILE, REGION, REGISTRY, ROLE
from demo import aws
from demo.ports import free_port
from demo.stack import BUCKET, Stack, StackSettings

TRAIN = "#!/bin/sh\nsleep {job_s}\necho done > /opt/ml/model/model.txt\n"
QUEUE = "sagemaker-states"
FLOOR = "empty_tasks"
COUNTED = (
    "ListTrainingJobs",
    "DescribeTrainingJob",
    "FilterLogEvents",
    "ReceiveMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch",
    "CreateTrainingJob",
    "*",
)
"""Patterns of operations; the first one that fits a call counts it."""


@dataclass(frozen=True)
class Chain:
    """One way of running the chain.

    :param peer: ``ours``, ``provider`` or ``empty``
    :param interval_s: seconds between two looks; None for the peer's own default
    :param events: wait by events from a queue
    :param on_worker: wait on the worker; ours only: the provider looks every 30 s there while it prints logs
    """

    peer: str
    interval_s: int | None = None
    events: bool = False
    on_worker: bool = False

    @property
    def dag_id(self) -> str:
        """The DAG's."""
        if self.peer == "empty":
            return FLOOR
        pace = "default" if self.interval_s is None else f"{self.interval_s}s"
        return f"{self.peer}_{pace}" + "_events" * self.events + "_on_worker" * self.on_worker


IMPORTS = {
    "empty": "from airflow.providers.standard.operators.python import PythonOperator",
    "ours": (
        "from airflow_sagemaker.operators.training import TrainingJobOperator\n"
        "from airflow_sagemaker.specs.training import TrainingJob"
    ),
    "provider": "from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator",
}
STEPS = {
    "empty": 'PythonOperator(task_id=f"step{step}", python_callable=nothing)',
    "ours": """TrainingJobOperator(
        task_id=f"step{step}",
        job=TrainingJob(image="REGISTRY/sleeper:1", output="s3://BUCKET/ours", max_runtime_s=600),
        poll_interval_s=interval_s,
        worker_wait_s=600 if on_worker else 0,
        aws_conn_id="aws_events" if events else "aws_plain",
    )""",
    "provider": """SageMakerTrainingOperator(
        task_id=f"step{step}",
        config={
            "TrainingJobName": f"{{{{ dag_run.conf['name'] }}}}-{step}",
            "AlgorithmSpecification": {"TrainingImage": "REGISTRY/sleeper:1", "TrainingInputMode": "File"},
            "RoleArn": "ROLE",
            "OutputDataConfig": {"S3OutputPath": "s3://BUCKET/provider"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
        aws_conn_id="aws_plain",
        deferrable=True,
        **({} if interval_s is None else {"check_interval": interval_s}),
    )""",
}
DAGS = '''
"""The same chain of one peer, at several paces."""
from airflow.sdk import DAG, chain
IMPORTS

def nothing():
    """Do nothing, in a task."""

for dag_id, interval_s, events, on_worker in CHAINS:
    with DAG(dag_id, schedule=None) as dag:
        chain(*[STEP for step in range(COUNT)])
    globals()[dag_id] = dag
'''


def dag_files(chains: Sequence[Chain], steps: int) -> dict[str, str]:
    """A DAG file for each peer: a task's process imports what its own file does, and no more."""
    files = {}
    for peer in dict.fromkeys(each.peer for each in chains):
        listed = [
            (each.dag_id, each.interval_s, each.events, each.on_worker)
            for each in chains
            if each.peer == peer
        ]
        text = DAGS.replace("IMPORTS", IMPORTS[peer]).replace("STEP", STEPS[peer])
        text = text.replace("CHAINS", repr(listed)).replace("COUNT", str(steps))
        text = text.replace("REGISTRY", REGISTRY).replace("BUCKET", BUCKET).replace("ROLE", ROLE)
        files[f"{peer}.py"] = text
    return files


@contextmanager
def running_stack(chains: Sequence[Chain], *, steps: int, job_s: int, warm: bool) -> Iterator[Stack]:
    """Airflow on PostgreSQL and the local SageMaker, with these chains."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        source = folder / "containers" / "sleeper" / "src"
        source.mkdir(parents=True)
        (source.parent / "Dockerfile").write_text(DOCKERFILE)
        (source / "train").write_text(TRAIN.format(job_s=job_s))
        (source / "train").chmod(0o755)
        dags = folder / "dags"
        dags.mkdir()
        for file, text in dag_files(chains, steps).items():
            (dags / file).write_text(text)
        port = free_port()
        stack = Stack(
            StackSettings(
                home=folder / "home",
                sagemaker_port=port,
                airflow_port=0,
                containers_dir=folder / "containers",
                dags_dir=dags,
                sagemaker_arguments=("--jobs", "16"),
                database="postgresql",
                environment=_connections(f"http://127.0.0.1:{port}"),
                warm=warm,
            )
        )
        try:
            stack.start()
            stack.wait_for_dags({each.dag_id for each in chains})
            aws.client("s3", stack.sagemaker_url).create_bucket(Bucket=BUCKET)
            _lead_events(stack.sagemaker_url)
            count_calls(stack.sagemaker_url)
            yield stack
        finally:
            stack.stop()


def _connections(url: str) -> dict[str, str]:
    """Two ways to the same server: plain, with the plugin's own default of looks, and with a queue."""
    settings = {"bucket": BUCKET, "role_arn": ROLE}
    queue = {"events_queue_url": f"{url}/{ACCOUNT}/{QUEUE}"}
    return {
        f"AIRFLOW_CONN_{name}": json.dumps(
            {
                "conn_type": "aws",
                "login": "nobody",
                "password": "not-a-secret",
                "extra": {"region_name": REGION, "endpoint_url": url, "sagemaker": extra},
            }
        )
        for name, extra in (("AWS_PLAIN", settings), ("AWS_EVENTS", settings | queue))
    }


def _lead_events(url: str) -> None:
    """SageMaker's changes of state into a queue, as docs/waiting.md has it."""
    queues, events = aws.client("sqs", url), aws.client("events", url)
    queue_url = queues.create_queue(QueueName=QUEUE)["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    events.put_rule(Name=QUEUE, EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    events.put_targets(Rule=QUEUE, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}])


def count_calls(url: str) -> None:
    """Let the server count calls by operation from now on."""
    rules = [{"operation": operation, "latency_s": 0.0001} for operation in COUNTED]
    httpx.put(f"{url}/_local/faults", json={"rules": rules}, trust_env=False).raise_for_status()


def calls(url: str) -> Counter[str]:
    """Pattern of :data:`COUNTED` → calls so far."""
    rules: list[dict[str, Any]] = httpx.get(f"{url}/_local/faults", trust_env=False).json()["rules"]
    return Counter({rule["operation"]: rule["hits"] for rule in rules})
