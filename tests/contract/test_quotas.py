"""Service quotas: refused in AWS's words, told by AWS's service, given back when a job is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
TRAIN = "#!/usr/bin/env python\nimport time\ntime.sleep(300)\n"
REFUSAL = (
    "The account-level service limit 'ml.m5.large for training job usage' is 2 Instances, with current "
    "utilization of 2 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request "
    "an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an "
    "increase for this quota."
)


@pytest.fixture
def local(start_server: Callable[..., Any], tmp_path: Path) -> Any:
    source = tmp_path / "containers" / "sleeper" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text(
        "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\n"
    )
    (source / "train").write_text(TRAIN)
    (source / "train").chmod(0o755)
    quotas = ("--quota", "ml.m5.large=2", "--quota", "ml.c5.xlarge for processing job usage=0")
    running = start_server("--stop-grace-s", "1", *quotas, containers=tmp_path / "containers")
    running.client("s3").create_bucket(Bucket="data")
    return running


def training(name: str, instance_type: str = "ml.m5.large", count: int = 1) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": "sleeper", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
        "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": count, "VolumeSizeInGB": 1},
        "RoleArn": ROLE,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def test_what_exceeds_a_quota_is_refused_until_a_job_is_over(local: Any) -> None:
    sagemaker = local.client("sagemaker")
    for name in ("a", "b"):
        sagemaker.create_training_job(**training(name))
    with pytest.raises(ClientError) as refused:
        sagemaker.create_training_job(**training("c"))
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    assert refused.value.response["Error"]["Message"] == REFUSAL

    with pytest.raises(ClientError) as taken:  # whoever lost the answer to Create finds its job
        sagemaker.create_training_job(**training("b"))
    assert taken.value.response["Error"]["Code"] == "ResourceInUse"
    sagemaker.create_training_job(**training("other-type", "ml.c5.xlarge"))

    sagemaker.stop_training_job(TrainingJobName="a")
    until = time.monotonic() + 300
    while sagemaker.describe_training_job(TrainingJobName="a")["TrainingJobStatus"] != "Stopped":
        assert time.monotonic() < until
        time.sleep(0.1)
    sagemaker.create_training_job(**training("c"))
    for name in ("b", "c", "other-type"):
        sagemaker.stop_training_job(TrainingJobName=name)


def test_tuning_reserves_its_training_jobs_and_other_kinds_have_their_own(local: Any) -> None:
    sagemaker = local.client("sagemaker")
    job = training("x")
    definition = {key: job[key] for key in job if key != "TrainingJobName"}
    tuning = {
        "HyperParameterTuningJobName": "search",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 3},
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "acc"},
            "ParameterRanges": {"IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "9"}]},
        },
        "TrainingJobDefinition": {
            **definition,
            "AlgorithmSpecification": {
                **definition["AlgorithmSpecification"],
                "MetricDefinitions": [{"Name": "acc", "Regex": "acc=([0-9.]+)"}],
            },
        },
    }
    with pytest.raises(ClientError, match="request delta of 3 Instances"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning)
    with pytest.raises(ClientError, match=r"'ml.c5.xlarge for processing job usage' is 0 Instances"):
        sagemaker.create_processing_job(
            ProcessingJobName="p",
            AppSpecification={"ImageUri": "sleeper"},
            RoleArn=ROLE,
            ProcessingResources={
                "ClusterConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
        )


def test_service_quotas_tells_them(local: Any) -> None:
    service_quotas = local.client("service-quotas")
    pages = service_quotas.get_paginator("list_service_quotas").paginate(
        ServiceCode="sagemaker", PaginationConfig={"PageSize": 2}
    )
    told = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    assert told["ml.m5.large for training job usage"]["Value"] == 2
    assert told["ml.c5.xlarge for processing job usage"]["Value"] == 0
    assert len(told) == 6
    code = told["ml.m5.large for endpoint usage"]["QuotaCode"]
    one = service_quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]
    assert one["QuotaName"] == "ml.m5.large for endpoint usage"
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        service_quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-00000000")
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        service_quotas.list_service_quotas(ServiceCode="ec2")
