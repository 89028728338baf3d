"""Programs on several hosts, and what a job says when one runs out of memory."""

import pytest

from sagemaker_local import instances
from sagemaker_local.executors.cgroups import Cgroups
from sagemaker_local.jobs.engine import JobEngine
from sagemaker_local.jobs.host import Group, address, groups_of, host_names

PROGRAM = "#!/usr/bin/env python\nimport os, pathlib, sys\nbase = pathlib.Path('/opt/ml')\n"


async def test_memory_beyond_the_instance_types_is_told_as_out_of_memory(jobs, make_image, monkeypatch):
    cgroups = Cgroups.find(jobs.settings.data_dir / "run")
    if cgroups is None or "memory" not in cgroups.controllers:
        pytest.skip("no control groups for memory here")
    monkeypatch.setitem(instances.INSTANCE_TYPES, "ml.t3.medium", instances.InstanceType(2, 0.09))
    uri = make_image("hungry", {"train": PROGRAM + "hoard = [bytearray(b'x' * 2**20) for _ in range(300)]"})
    cluster = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
    await jobs.train("t1", uri, ResourceConfig=cluster)
    reason = (await jobs.ended("training_job", "t1"))["FailureReason"]
    assert reason.startswith(
        "AlgorithmError: OutOfMemoryError: a process was killed because the memory of ml.t3.medium was used"
    )
    assert reason.endswith(", exit code: 137")


async def test_what_the_machine_lacks_is_told_in_the_log(jobs, make_image):
    uri = make_image("small", {"train": PROGRAM})
    cluster = {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    await jobs.train("t1", uri, ResourceConfig=cluster)
    await jobs.ended("training_job", "t1")
    (line,) = jobs.lines("training_job", "t1")
    assert line.startswith("sagemaker-local: ml.p5.48xlarge has 192 vCPUs (here ")
    assert line.endswith(", 8 GPUs (none is handed on here): running with what there is")


def test_hosts_are_numbered_through_all_groups():
    groups = groups_of(
        {
            "InstanceGroups": [
                {"InstanceGroupName": "a", "InstanceType": "ml.m5.large", "InstanceCount": 1},
                {"InstanceGroupName": "b", "InstanceType": "ml.c5.xlarge", "InstanceCount": 2},
            ]
        }
    )
    first, second = Group("a", "ml.m5.large", 1), Group("b", "ml.c5.xlarge", 2)
    assert host_names(groups) == [("algo-1", first), ("algo-2", second), ("algo-3", second)]


def test_addresses_are_loopback_and_differ_between_jobs_and_hosts():
    addresses = {address(job, host) for job in range(1000) for host in range(1, 21)}
    assert len(addresses) == 20_000
    for each in addresses:
        first, *others = map(int, each.split("."))
        assert first == 127
        assert all(0 < number < 255 for number in others)


def test_servers_on_one_machine_give_their_jobs_hosts_different_addresses(jobs):
    parts = {name: getattr(jobs, name) for name in ("settings", "store", "objects", "logs", "executor")}
    assert len({address(next(JobEngine(**parts)._numbers), 1) for _ in range(20)}) > 1
