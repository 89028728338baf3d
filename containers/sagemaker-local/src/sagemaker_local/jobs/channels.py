"""A training job's channels: from S3 to ``/opt/ml/input/data/<channel>`` of each host.

Sources: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Channel.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/model-access-training-data.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sagemaker_local.executors.base import Mount
from sagemaker_local.executors.container import OPT_ML
from sagemaker_local.jobs.host import Host
from sagemaker_local.jobs.inputs import S3Input, place
from sagemaker_local.jobs.run import JobRun

DATA = "input/data"


async def bring_channels(run: JobRun, document: Mapping[str, Any]) -> None:
    """Every channel to every host that it goes to.

    Raises:
        JobFailed: one is not there, or cannot be placed.
    """
    for channel in document.get("InputDataConfig", []):
        source = s3_input(channel, document)
        hosts = hosts_of(channel, run.hosts)
        for host in hosts:
            (host.opt_ml / DATA / channel["ChannelName"]).mkdir(parents=True, exist_ok=True)
        await place(run, source, [directory(host, channel, fast=source.linked) for host in hosts])


def s3_input(channel: Mapping[str, Any], document: Mapping[str, Any]) -> S3Input:
    """What a channel asks for."""
    source = channel["DataSource"]["S3DataSource"]
    return S3Input(
        uri=source["S3Uri"],
        data_type=source["S3DataType"],
        sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
        shuffle_seed=channel.get("ShuffleConfig", {}).get("Seed"),
        gunzip=channel.get("CompressionType") == "Gzip",
        linked=input_mode(channel, document) == "FastFile",
    )


def input_mode(channel: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """The channel's own input mode, else that of the algorithm."""
    return str(channel.get("InputMode", document["AlgorithmSpecification"]["TrainingInputMode"]))


def hosts_of(channel: Mapping[str, Any], hosts: Sequence[Host]) -> list[Host]:
    """The hosts that get a channel: all, or those of the groups that it names."""
    groups = channel["DataSource"]["S3DataSource"].get("InstanceGroupNames")
    return [host for host in hosts if not groups or host.group.name in groups]


def directory(host: Host, channel: Mapping[str, Any], *, fast: bool) -> Path:
    """Where a channel's files lie on the machine: those of FastFile out of the program's reach."""
    name = str(channel["ChannelName"])
    return host.directory / "fast" / name if fast else host.opt_ml / DATA / name


def mounts(host: Host, hosts: Sequence[Host], document: Mapping[str, Any]) -> tuple[Mount, ...]:
    """A host's channels in FastFile mode; read-only, because the files are the object store's own."""
    return tuple(
        Mount(directory(host, channel, fast=True), f"{OPT_ML}/{DATA}/{channel['ChannelName']}")
        for channel in document.get("InputDataConfig", [])
        if input_mode(channel, document) == "FastFile" and host in hosts_of(channel, hosts)
    )
