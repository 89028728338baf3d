"""An Airflow on PostgreSQL whose every process may be killed, with a short DAG for each kind of step."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from demo import postgresql
from demo.stack import ACCOUNT, AIRFLOW_SERVICES, BUCKET, REGION, ROOT, Stack, StackSettings
from tests.running_stack import House
from tests.shared_houses import POSTGRESQL, keep

FAULTS = Path(__file__).parent
KINDS = ("processing", "training", "compilation", "transform", "tuning", "endpoint", "registration")
IMAGE_URI = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/short:latest"
READ_TIMEOUT_S = 6

ENVIRONMENT = {
    # What is dead is found sooner than after the default five minutes; what is slow has to count as alive.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "45",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
    # More at once make the scheduler so slow that Airflow itself declares it dead.
    "AIRFLOW__CORE__PARALLELISM": "6",
}


@pytest.fixture(scope="session")
def postgresql_house() -> Iterator[House]:
    """Scheduler, triggerer, DAG processor, API server and local SageMaker; any of them may be killed."""
    if postgresql.programs() is None:
        pytest.skip("no PostgreSQL server is installed; as root on Debian: make packages")
    yield from running_house()


def running_house() -> Iterator[House]:
    """The house, started and stopped; its folder stays where FAULTS_KEEP is set, for its logs."""
    folder = Path(tempfile.mkdtemp(prefix="house-"))
    shutil.copytree(FAULTS / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "include", folder / "include")
    stack = Stack(
        StackSettings(
            home=folder / "home",
            sagemaker_port=0,
            airflow_port=0,
            containers_dir=FAULTS / "images",
            dags_dir=folder / "dags",
            sagemaker_arguments=("--jobs", "16", "--stop-grace-s", "5"),
            environment=ENVIRONMENT,
            # A call that hangs is given up in a time that a test can wait for.
            connection_extra={"config_kwargs": {"read_timeout": READ_TIMEOUT_S}},
            database="postgresql",
            restarted=AIRFLOW_SERVICES,
            restarts=50,
        )
    )
    keep(POSTGRESQL, stack)
    try:
        stack.start()
        house = House(stack)
        furnish(house)
        stack.wait_for_dags({f"{family}_{kind}" for family in ("fault", "resumed") for kind in KINDS})
        for dag_id in sorted(house.api.dag_ids()):
            house.api.unpause(dag_id)
        yield house
    finally:
        stack.stop()
    if "FAULTS_KEEP" not in os.environ:
        shutil.rmtree(folder, ignore_errors=True)


def furnish(house: House) -> None:
    """Land what the steps read: rows, models, one approved version."""
    house.s3.create_bucket(Bucket=BUCKET)
    house.s3.put_object(Bucket=BUCKET, Key="faults/rows/rows.csv", Body=b"1,2\n3,4\n")
    regression = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 2.0]]), [1.0, 2.0, 3.0])
    dumped = io.BytesIO()
    joblib.dump(regression, dumped)
    models = {"compile": ("model.joblib", dumped.getvalue()), "serve": ("model.txt", b"echo")}
    for name, (member, body) in models.items():
        key = f"faults/{name}/model.tar.gz"
        house.s3.put_object(Bucket=BUCKET, Key=key, Body=archive(member, body))
    house.sagemaker.create_model_package_group(ModelPackageGroupName="faults")
    house.sagemaker.create_model_package(
        ModelPackageGroupName="faults",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [
                {"Image": IMAGE_URI, "ModelDataUrl": f"s3://{BUCKET}/faults/serve/model.tar.gz"},
            ],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
            "SupportedTransformInstanceTypes": ["ml.m5.large"],
        },
    )


def archive(member: str, body: bytes) -> bytes:
    """A model.tar.gz of one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as files:
        info = tarfile.TarInfo(member)
        info.size = len(body)
        files.addfile(info, io.BytesIO(body))
    return packed.getvalue()
