"""XGBoost as AWS's built-in algorithm: Parquet, and the weights of rows.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost.html#InputOutput-XGBoost
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from tests.contract.conftest import LocalServer
from tests.contract.training_probe import ROLE, unique, until

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
BUILD_S = 900.0
"""The image's environment is made once on a machine."""
EXACT = {
    "objective": "reg:squarederror",
    "eta": "1",
    "lambda": "0",
    "min_child_weight": "0",
    "eval_metric": "rmse",
}


def trained(server: LocalServer, bucket: str, body: bytes, content_type: str, **more: str) -> list[str]:
    """What a job prints that learns one object by heart."""
    sagemaker, s3, logs = (server.client(service) for service in ("sagemaker", "s3", "logs"))
    s3.put_object(Bucket=bucket, Key="train/data", Body=body)
    name = unique("xgboost")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/train"}
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={**EXACT, "num_round": "3", **more},
        RoleArn=ROLE,
        InputDataConfig=[
            {"ChannelName": "train", "DataSource": {"S3DataSource": source}, "ContentType": content_type}
        ],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )

    def job() -> dict[str, Any]:
        found: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return found

    until(lambda: job()["TrainingJobStatus"] in ("Completed", "Failed"), BUILD_S)
    assert job()["TrainingJobStatus"] == "Completed", job()["FailureReason"]
    events = logs.get_paginator("filter_log_events").paginate(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )
    return [event["message"] for page in events for event in page["events"]]


def parquet(rows: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    rows.to_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content_type", "write"),
    [
        ("application/x-parquet", parquet),
        ("text/csv", lambda rows: rows.to_csv(header=False, index=False).encode()),
    ],
)
def test_the_label_comes_first(
    server: LocalServer, bucket: str, content_type: str, write: Callable[[pd.DataFrame], bytes]
) -> None:
    rows = pd.DataFrame({"label": [0.0, 1.0, 2.0, 3.0] * 5, "a": [1, 2, 3, 4] * 5, "b": [7] * 20})
    printed = trained(server, bucket, write(rows), content_type)
    assert "Train matrix has 20 rows and 2 columns" in printed
    assert "[2]#011train-rmse:0.00000" in printed


def test_rows_count_by_their_weights(server: LocalServer, bucket: str) -> None:
    """Ninety of a hundred parts say 1: the best guess is 0.9, which is wrong by 0.3 on average."""
    body = b"1,9,5\n0,1,5\n" * 10
    printed = trained(server, bucket, body, "text/csv", csv_weights="1")
    assert "Train matrix has 20 rows and 1 columns" in printed
    assert "[2]#011train-rmse:0.30000" in printed
