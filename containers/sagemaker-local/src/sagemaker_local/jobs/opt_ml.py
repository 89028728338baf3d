"""The /opt/ml tree: the configuration files and directories that AWS documents for each kind of job.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sagemaker_local.jobs.host import Host, resource_config

TRAINING_DIRECTORIES = ("input/config", "input/data", "model", "output/data", "checkpoints", "code")


def write_training_tree(host: Host, hosts: Sequence[Host], document: dict[str, Any]) -> None:
    """Make the directories and ``input/config`` of a training job's host."""
    root = host.opt_ml
    for name in TRAINING_DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    config = root / "input/config"
    mode = document["AlgorithmSpecification"]["TrainingInputMode"]
    _write(config / "hyperparameters.json", document.get("HyperParameters", {}))
    _write(
        config / "inputdataconfig.json",
        {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode", mode),
                "S3DistributionType": channel["DataSource"]["S3DataSource"]["S3DataDistributionType"],
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
            }
            for channel in document.get("InputDataConfig", [])
        },
    )
    _write(config / "resourceconfig.json", resource_config(host, hosts))
    if "DebugHookConfig" in document:
        _write(config / "debughookconfig.json", document["DebugHookConfig"])


def write_processing_tree(host: Host, hosts: Sequence[Host], document: dict[str, Any]) -> None:
    """Make the directories and ``config`` of a processing job's host; inputs and outputs bring their own."""
    root = host.opt_ml
    for name in ("config", "processing", "output"):
        (root / name).mkdir(parents=True, exist_ok=True)
    _write(root / "config/processingjobconfig.json", _processing_configuration(document))
    _write(
        root / "config/resourceconfig.json",
        {
            "current_host": host.name,
            "hosts": [each.name for each in hosts],
            "current_instance_type": host.group.instance_type,
            "network_interface_name": host.network_interface,
        },
    )


def write_compilation_tree(root: Path, document: dict[str, Any], tags: Mapping[str, str]) -> None:
    """Make what Neo's compilers read."""
    for name in ("input/config", "input/model", "output"):
        (root / name).mkdir(parents=True, exist_ok=True)
    request: dict[str, Any] = {"Tags": dict(tags)}
    request |= {name: document[name] for name in ("InputConfig", "OutputConfig") if name in document}
    _write(root / "input/config/compilationjob.json", request)


def host_path(root: Path, path: str) -> Path:
    """Where a path below /opt/ml that a request names lies on the host.

    Raises:
        ValueError: it is not below /opt/ml.
    """
    parts = Path(path).parts
    if parts[:3] != ("/", "opt", "ml") or ".." in parts:
        raise ValueError(f"'{path}' is not below /opt/ml")
    return root.joinpath(*parts[3:])


def _processing_configuration(document: dict[str, Any]) -> dict[str, Any]:
    """The job's description as the container sees it: the request, without its tags."""
    names = (
        "ProcessingJobArn", "ProcessingJobName", "AppSpecification", "Environment", "ProcessingInputs",
        "ProcessingOutputConfig", "ProcessingResources", "RoleArn", "StoppingCondition", "NetworkConfig",
    )  # fmt: skip
    return {name: document[name] for name in names if name in document}


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))
