"""What nothing uses any more, found and removed against the local SageMaker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.deployment import DEPLOYMENT_TAG, VARIABLE
from airflow_sagemaker.hooks.housekeeping import HousekeepingHook
from airflow_sagemaker.hooks.models import ModelHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import TRAINING
from airflow_sagemaker.names import job_name
from airflow_sagemaker.retention import unused_configs, unused_models
from airflow_sagemaker.specs.endpoint import EndpointRollout

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
HERE = "our-airflow"
SERVE = """#!/usr/bin/env python
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Well(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
address = "127.0.0.1" if "SAGEMAKER_BIND_TO_PORT" in os.environ else "0.0.0.0"
HTTPServer((address, int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))), Well).serve_forever()
"""


@pytest.fixture
def local(start_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    source = tmp_path / "containers" / "well" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text(
        "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\n"
    )
    for name, text in {"serve": SERVE, "train": "#!/usr/bin/env python\nprint('trained')\n"}.items():
        (source / name).write_text(text)
        (source / name).chmod(0o755)
    running = start_server(containers=tmp_path / "containers")
    running.client("s3").create_bucket(Bucket="data")
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": running.url,
        "sagemaker": {"bucket": "data", "role_arn": ROLE},
    }
    connection = {"conn_type": "aws", "login": "test", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))
    monkeypatch.setenv(f"AIRFLOW_VAR_{VARIABLE.upper()}", HERE)
    return running


def version(sagemaker: Any, status: str) -> str:
    container = {"Image": "well"}
    arn: str = sagemaker.create_model_package(
        ModelPackageGroupName="wells",
        ModelApprovalStatus=status,
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
        },
    )["ModelPackageArn"]
    return arn


def test_an_endpoint_keeps_its_config_and_its_model_and_a_run_its_approved_version(local: Any) -> None:
    sagemaker, hook = local.client("sagemaker"), SageMakerHook()
    sagemaker.create_model_package_group(ModelPackageGroupName="wells")
    models, keeper = ModelHook(hook), HousekeepingHook(hook)
    names = {}
    for use in ("live", "earlier", "approved"):
        arn = version(sagemaker, "Approved")
        rollout = EndpointRollout(endpoint_name="wells", model_package_arn=arn)
        model = models.ensure_model(rollout.to_model())
        names[use] = (models.ensure_endpoint_config(rollout, model), model, arn)
    sagemaker.create_endpoint(EndpointName="wells", EndpointConfigName=names["live"][0])
    for use in ("live", "earlier"):
        sagemaker.update_model_package(ModelPackageArn=names[use][2], ModelApprovalStatus="Rejected")
    made = sagemaker.describe_model(ModelName=names["live"][1])["ModelArn"]
    assert keeper.is_made_by(HERE, made)
    assert not keeper.is_made_by("their-airflow", made)

    later = datetime.now(UTC) + timedelta(days=31)
    inventory = keeper.inventory()
    configs = unused_configs(inventory, 30, later)
    assert sorted(config.name for config in configs) == sorted([names["earlier"][0], names["approved"][0]])
    unused = [model.name for model in unused_models(inventory, configs, 30, later)]
    assert sorted(unused) == sorted([names["earlier"][1], names["approved"][1]])
    assert {name: keeper.is_approved(name) for name in unused} == {
        names["earlier"][1]: False,
        names["approved"][1]: True,
    }

    for _ in range(2):  # twice is once
        keeper.delete_config(names["earlier"][0])
        keeper.delete_model(names["earlier"][1])
    left = keeper.inventory()
    assert names["earlier"][1] not in {model.name for model in left.models}
    assert names["earlier"][0] not in {config.name for config in left.configs}


def test_logs_of_our_jobs_go_and_those_of_others_stay(local: Any) -> None:
    sagemaker, keeper = local.client("sagemaker"), HousekeepingHook(SageMakerHook())
    jobs = {"ours": HERE, "theirs": "their-airflow"}
    for run, deployment in jobs.items():
        sagemaker.create_training_job(
            TrainingJobName=job_name("d", run, "t"),
            AlgorithmSpecification={"TrainingImage": "well", "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": "s3://data/out"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            RoleArn=ROLE,
            StoppingCondition={"MaxRuntimeInSeconds": 600},
            Tags=[{"Key": DEPLOYMENT_TAG, "Value": deployment}],
        )
    for run in jobs:
        until_s = time.monotonic() + 120
        while not TRAINING.end(sagemaker.describe_training_job(TrainingJobName=job_name("d", run, "t"))):
            assert time.monotonic() < until_s
            time.sleep(0.2)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    found = list(keeper.old_log_streams(tomorrow, HERE))
    assert [stream.partition("/")[0] for _, stream in found] == [job_name("d", "ours", "t")]
    assert list(keeper.old_log_streams(datetime.now(UTC) - timedelta(days=1), HERE)) == []
    for _ in range(2):
        keeper.delete_log_stream(*found[0])
    assert list(keeper.old_log_streams(tomorrow, HERE)) == []
