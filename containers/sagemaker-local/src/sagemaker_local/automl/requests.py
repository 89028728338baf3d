"""The requests that an AutoML job makes: candidates as training jobs, the best one's endpoint."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parent / "program" / "candidate.py"
ALGORITHMS = ("linear", "boosting", "forest", "slow-boosting", "extra-trees", "network", "neighbours")
"""Best first, by what mostly wins on tables, but for the quickest; MaxCandidates takes the first ones."""
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
INSTANCE_TYPE = "ml.m5.xlarge"
VOLUME_GB = 30
RUNTIME_DEFAULT_S = 3600


def source_archive() -> bytes:
    """The candidates' program as script mode takes it; the same bytes every time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=9) as archive:
        content = PROGRAM.read_bytes()
        member = tarfile.TarInfo(PROGRAM.name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def source_uri(job: Mapping[str, Any]) -> str:
    """Where the program lies."""
    return f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job['AutoMLJobName']}/sourcedir.tar.gz"


def candidate_name(job: Mapping[str, Any], algorithm: str) -> str:
    """The name of a candidate and of its training job, the same after a restart."""
    return f"{job['AutoMLJobName']}-{algorithm}"


def training_job(job: Mapping[str, Any], algorithm: str, problem: str, metric: str) -> dict[str, Any]:
    """CreateTrainingJob of one candidate."""
    criteria = job.get("AutoMLJobConfig", {}).get("CompletionCriteria", {})
    fraction = job.get("AutoMLJobConfig", {}).get("DataSplitConfig", {}).get("ValidationFraction", 0.2)
    output = job["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    hyperparameters = {
        "sagemaker_program": PROGRAM.name,
        "sagemaker_submit_directory": source_uri(job),
        "algorithm": algorithm,
        "target": job["InputDataConfig"][0]["TargetAttributeName"],
        "problem": problem,
        "metric": metric,
        "validation-fraction": fraction,
    }
    channels = [
        {
            "ChannelName": "validation" if channel.get("ChannelType") == "validation" else "train",
            "DataSource": channel["DataSource"],
            "CompressionType": channel.get("CompressionType", "None"),
        }
        for channel in job["InputDataConfig"]
    ]
    return {
        "TrainingJobName": candidate_name(job, algorithm),
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [
                {"Name": f"validation:{metric}", "Regex": f"validation:{metric}=([-0-9.e+]+);"}
            ],
        },
        "RoleArn": job["RoleArn"],
        "HyperParameters": {name: json.dumps(value) for name, value in hyperparameters.items()},
        "InputDataConfig": channels,
        "OutputDataConfig": {"S3OutputPath": f"{output}/{job['AutoMLJobName']}/tuning"},
        "ResourceConfig": {"InstanceType": INSTANCE_TYPE, "InstanceCount": 1, "VolumeSizeInGB": VOLUME_GB},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": criteria.get("MaxRuntimePerTrainingJobInSeconds", RUNTIME_DEFAULT_S)
        },
    }


def inference_container(model_uri: str) -> dict[str, Any]:
    """What serves a candidate: for CreateModel, by the job or by the user."""
    environment = {
        "SAGEMAKER_PROGRAM": PROGRAM.name,
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    }
    return {"Image": IMAGE, "ModelDataUrl": model_uri, "Environment": environment}


def hosting(job: Mapping[str, Any], endpoint: str, container: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations that deploy the best candidate, in their order."""
    name = f"{job['AutoMLJobName']}-best"
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": INSTANCE_TYPE,
        "InitialInstanceCount": 1,
    }
    return {
        "CreateModel": {
            "ModelName": name, "PrimaryContainer": dict(container), "ExecutionRoleArn": job["RoleArn"]
        },
        "CreateEndpointConfig": {"EndpointConfigName": name, "ProductionVariants": [variant]},
        "CreateEndpoint": {"EndpointName": endpoint, "EndpointConfigName": name},
    }  # fmt: skip
