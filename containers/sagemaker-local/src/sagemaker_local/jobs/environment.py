"""The environment variables that SageMaker gives a job's program."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from sagemaker_local.executors.container import OPT_ML
from sagemaker_local.jobs.host import Host
from sagemaker_local.jobs.warm_pool import CACHE, CACHE_VARIABLE, keep_alive_s
from sagemaker_local.settings import Settings

WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def common(settings: Settings) -> dict[str, str]:
    """Region, and credentials with which the program's own AWS clients reach this server."""
    host = WILDCARD_HOSTS.get(settings.host, settings.host)
    return {
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ENDPOINT_URL": f"http://{host}:{settings.port}",
        "AWS_ACCESS_KEY_ID": settings.program_key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.program_key.secret,
    }


def for_training(
    settings: Settings, document: dict[str, Any], host: Host, hosts: Sequence[Host]
) -> dict[str, str]:
    """A training job's variables, and those that AWS's training toolkit derives from the configuration.

    Source:
    https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html and
    https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
    """
    hyperparameters: dict[str, str] = document.get("HyperParameters", {})
    channels = sorted(channel["ChannelName"] for channel in document.get("InputDataConfig", []))
    name = document["TrainingJobName"]
    return {
        **common(settings),
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": document["TrainingJobArn"],
        "SM_MODEL_DIR": f"{OPT_ML}/model",
        "SM_INPUT_DIR": f"{OPT_ML}/input",
        "SM_INPUT_CONFIG_DIR": f"{OPT_ML}/input/config",
        "SM_OUTPUT_DIR": f"{OPT_ML}/output",
        "SM_OUTPUT_DATA_DIR": f"{OPT_ML}/output/data",
        "SM_CHANNELS": json.dumps(channels),
        **{f"SM_CHANNEL_{_word(channel)}": f"{OPT_ML}/input/data/{channel}" for channel in channels},
        "SM_HPS": json.dumps(hyperparameters),
        **{f"SM_HP_{_word(key)}": value for key, value in hyperparameters.items()},
        "SM_CURRENT_HOST": host.name,
        "SM_HOSTS": json.dumps([each.name for each in hosts]),
        "SM_CURRENT_INSTANCE_TYPE": host.group.instance_type,
        "SM_CURRENT_INSTANCE_GROUP": host.group.name,
        "SM_NETWORK_INTERFACE_NAME": host.network_interface,
        "SM_NUM_CPUS": str(host.allotment.vcpus),
        "SM_NUM_GPUS": "0",
        **({CACHE_VARIABLE: CACHE} if keep_alive_s(document) else {}),
        **document.get("Environment", {}),
    }


def for_processing(settings: Settings, document: dict[str, Any]) -> dict[str, str]:
    """A processing job's variables.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
    """
    return {
        **common(settings),
        "PROCESSING_JOB_NAME": document["ProcessingJobName"],
        "PROCESSING_JOB_ARN": document["ProcessingJobArn"],
        **document.get("Environment", {}),
    }


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()
