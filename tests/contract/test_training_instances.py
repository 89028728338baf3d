"""Several instances, instance types as limits, warm pools."""

from __future__ import annotations

import ipaddress
import os
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from sagemaker_local.executors.cgroups import Cgroups
from sagemaker_local.instances import GIB, machine
from tests.contract.training_probe import (
    BUCKET,
    Training,
    ask_sandboxes,
    training,
    unique,
    until,
)

__all__ = ["training"]

OF_THE_SANDBOX = (
    "test_hosts_find_each_other_by_name_and_fill_one_model",
    "test_isolated_hosts_reach_each_other_and_nothing_else",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What a sandbox must do by itself is asked of both."""
    ask_sandboxes(metafunc, OF_THE_SANDBOX)


def cluster(count: int, instance_type: str = "ml.m5.large", **more: Any) -> dict[str, Any]:
    return {"InstanceType": instance_type, "InstanceCount": count, "VolumeSizeInGB": 5, **more}


TALK = """
    config = json.loads((base / "input/config/resourceconfig.json").read_text())
    hosts = config["hosts"]
    assert config["current_host"] == host == socket.gethostname()
    listener = socket.create_server((host, 7777))
    heard = []
    for peer in hosts:
        if peer != host:
            while True:
                try:
                    line = socket.create_connection((peer, 7777), 5)
                    break
                except OSError:
                    time.sleep(0.05)
            line.sendall(host.encode() + b"\\n")
            line.close()
    for _ in hosts[1:]:
        line, _ = listener.accept()
        heard.append(line.makefile().readline().strip())
    say(heard=sorted(heard), variables=json.loads(os.environ["SM_HOSTS"]))
    save(f"model/{host}", host)
    save("model/shared", host)
    save(f"output/data/{host}", host)
"""


def test_hosts_find_each_other_by_name_and_fill_one_model(training):
    names = [training.train(TALK, ResourceConfig=cluster(3)) for _ in range(2)]
    for name in names:
        assert training.ended(name)["TrainingJobStatus"] == "Completed", training.said(name)
        told = training.told(name)
        assert {host: each["heard"] for host, each in told.items()} == {
            "algo-1": ["algo-2", "algo-3"],
            "algo-2": ["algo-1", "algo-3"],
            "algo-3": ["algo-1", "algo-2"],
        }
        assert all(each["variables"] == ["algo-1", "algo-2", "algo-3"] for each in told.values())
        model = training.model(name)
        assert set(model) == {"algo-1", "algo-2", "algo-3", "shared"}
        assert model["shared"] == b"algo-1"


def test_isolated_hosts_reach_each_other_and_nothing_else(training):
    alone = """
        import urllib.parse
        endpoint = urllib.parse.urlparse(os.environ["AWS_ENDPOINT_URL"])
        try:
            socket.create_connection((endpoint.hostname, endpoint.port), 5)
            say(reached=True)
        except OSError as error:
            say(refused=error.strerror)
    """
    name = training.train(TALK, alone, ResourceConfig=cluster(2), EnableNetworkIsolation=True)
    assert training.ended(name)["TrainingJobStatus"] == "Completed", training.said(name)
    for told in training.told(name).values():
        assert len(told["heard"]) == 1
        assert told["refused"] == "Connection refused"
        assert "reached" not in told


def test_one_failing_host_ends_the_job_and_the_others(training):
    name = training.train(
        """
        if host == "algo-2":
            (base / "output/failure").write_text("the second host's disk is full")
            sys.exit(3)
        on_sigterm(lambda: say(terminated=True))
        while True:
            time.sleep(0.2)
        """,
        ResourceConfig=cluster(2),
    )
    job = training.ended(name)
    assert job["FailureReason"] == "AlgorithmError: the second host's disk is full, exit code: 3"


def test_groups_of_instances_have_their_own_types_and_channels(training):
    prefix = unique("groups")
    training.put(f"{prefix}/a", b"x")
    data = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}", "InstanceGroupNames": ["workers"]}
    name = training.train(
        """
        config = json.loads((base / "input/config/resourceconfig.json").read_text())
        channels = sorted(os.listdir(base / "input/data"))
        say(group=config["current_group_name"], type=config["current_instance_type"], channels=channels,
            groups={each["instance_group_name"]: each["hosts"] for each in config["instance_groups"]})
        """,
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": data}}],
        ResourceConfig={
            "VolumeSizeInGB": 5,
            "InstanceGroups": [
                {"InstanceGroupName": "leader", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
                {"InstanceGroupName": "workers", "InstanceType": "ml.m5.large", "InstanceCount": 2},
            ],
        },
    )
    assert training.ended(name)["TrainingJobStatus"] == "Completed", training.said(name)
    told = training.told(name)
    groups = {"leader": ["algo-1"], "workers": ["algo-2", "algo-3"]}
    assert told["algo-1"] == {"group": "leader", "type": "ml.c5.xlarge", "channels": [], "groups": groups}
    assert told["algo-3"] == {
        "group": "workers", "type": "ml.m5.large", "channels": ["train"], "groups": groups,
    }  # fmt: skip


def test_processing_runs_on_several_instances_and_concatenates_their_messages(training):
    prefix = unique("out")
    name = training.process(
        """
        host = json.loads((base / "config/resourceconfig.json").read_text())["current_host"]
        save(f"processing/output/{host}", socket.gethostbyname("algo-2"))
        save("output/message", f"{host} is done. ")
        """,
        count=2,
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "out",
                    "S3Output": {
                        "S3Uri": f"s3://{BUCKET}/{prefix}",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
    )
    job = training.processed(name)
    assert job["ProcessingJobStatus"] == "Completed", training.said(name, "ProcessingJobs")
    assert job["ExitMessage"] == "algo-1 is done. algo-2 is done. "
    addresses = {training.get(f"{prefix}/{host}") for host in ("algo-1", "algo-2")}
    assert len(addresses) == 1
    assert ipaddress.ip_address(addresses.pop().decode()).is_private


def test_too_many_instances_are_refused(training):
    with pytest.raises(ClientError, match="1 to 20 instances and was asked for 21"):
        training.train("pass", ResourceConfig=cluster(21))


@pytest.mark.skipif(
    "TEST_EXECUTOR" in os.environ, reason="Docker's engine keeps groups of its own: tests/docker"
)
def test_an_instance_type_is_a_limit_of_the_kernel(training):
    cgroups = Cgroups.find(training.server.data / "run")
    if cgroups is None or len(cgroups.controllers) < 2 or machine()[1] <= 8 * GIB:
        pytest.skip("no control groups here, or no more memory than ml.m5.large has")
    name = training.train("say(ready=True); signal.pause()")
    until(lambda: training.told(name))
    place = cgroups.places["memory"]
    files = [next(place.glob(f"*/{file}"), None) for file in ("memory.limit_in_bytes", "memory.max")]
    assert [int(file.read_text()) for file in files if file] == [8 * GIB]
    training.sagemaker.stop_training_job(TrainingJobName=name)
    assert training.ended(name)["TrainingJobStatus"] == "Stopped"
    assert not place.exists()


def test_a_host_that_needs_more_memory_than_its_type_has_says_so(training):
    cgroups = Cgroups.find(training.server.data / "run")
    if cgroups is None or "memory" not in cgroups.controllers:
        pytest.skip("no control groups for memory here")
    if psutil.virtual_memory().available < 8 * GIB:
        pytest.skip("less memory than twice what the smallest type has")
    smallest = cluster(1, "ml.t3.medium")
    hoard = """
        import mmap
        at_once = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        chunks = [mmap.mmap(-1, 2**28, flags=at_once) for _ in range(32)]
    """
    ended = training.ended(training.train(hoard, ResourceConfig=smallest))
    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith(
        "AlgorithmError: OutOfMemoryError: a process was killed because the memory of ml.t3.medium was used"
    )


def test_a_type_larger_than_the_machine_says_so_and_runs(training):
    name = training.train("say(cpus=os.environ['SM_NUM_CPUS'])", ResourceConfig=cluster(1, "ml.m5.24xlarge"))
    assert training.ended(name)["TrainingJobStatus"] == "Completed"
    said = training.said(name)["algo-1"]
    assert said[0].startswith("sagemaker-local: ml.m5.24xlarge has 96 vCPUs (here ")
    assert training.told(name)["algo-1"]["cpus"] == str(machine()[0])


CACHING = """
    cache = pathlib.Path(os.environ["SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"])
    say(found=sorted(os.listdir(cache)))
    (cache / os.environ["TRAINING_JOB_NAME"]).write_text("x")
"""


def pool(training: Training, name: str) -> dict[str, Any]:
    status: dict[str, Any] = training.job(name)["WarmPoolStatus"]
    return status


def test_a_warm_pool_is_reused_by_a_job_that_matches(training):
    keep = cluster(1, KeepAlivePeriodInSeconds=600)
    first = training.train(CACHING, ResourceConfig=keep)
    assert training.ended(first)["TrainingJobStatus"] == "Completed", training.said(first)
    assert pool(training, first)["Status"] == "Available"
    listed = training.sagemaker.list_training_jobs(WarmPoolStatusEquals="Available", NameContains=first)
    assert [job["TrainingJobName"] for job in listed["TrainingJobSummaries"]] == [first]

    other = training.train(CACHING, ResourceConfig={**keep, "InstanceType": "ml.c5.xlarge"})
    assert training.ended(other)["TrainingJobStatus"] == "Completed"
    assert training.told(other)["algo-1"]["found"] == []

    second = training.train(CACHING, ResourceConfig=keep)
    assert training.ended(second)["TrainingJobStatus"] == "Completed"
    assert training.told(second)["algo-1"]["found"] == [first]
    reused = pool(training, first)
    assert (reused["Status"], reused["ReusedByJob"]) == ("Reused", second)
    assert reused["ResourceRetainedBillableTimeInSeconds"] >= 0

    training.server.kill()
    training.server.start()
    training.connect()
    assert pool(training, second)["Status"] == "Available", "pools outlive the server"
    for name in (second, other):
        training.sagemaker.update_training_job(
            TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0}
        )
        assert pool(training, name)["Status"] == "Terminated"
    assert list((training.server.data / "warm-pools").iterdir()) == []


def test_a_warm_pool_ends_by_itself_and_after_a_failure(training):
    brief = training.train("pass", ResourceConfig=cluster(1, KeepAlivePeriodInSeconds=1))
    failed = training.train("sys.exit(1)", ResourceConfig=cluster(1, KeepAlivePeriodInSeconds=600))
    assert training.ended(failed)["WarmPoolStatus"]["Status"] == "Terminated"
    assert training.ended(brief)["TrainingJobStatus"] == "Completed"
    until(lambda: pool(training, brief)["Status"] == "Terminated")
    assert pool(training, brief)["ResourceRetainedBillableTimeInSeconds"] == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"EnableManagedSpotTraining": True,
             "StoppingCondition": {"MaxRuntimeInSeconds": 5, "MaxWaitTimeInSeconds": 6}},
            "not supported with managed spot training",
        ),
        ({"ResourceConfig": cluster(1, KeepAlivePeriodInSeconds=4000)}, "must be at most 3600"),
    ],
)  # fmt: skip
def test_what_warm_pools_do_not_go_with(training, change: dict[str, Any], text: str):
    request = {"ResourceConfig": cluster(1, KeepAlivePeriodInSeconds=60), **change}
    with pytest.raises(ClientError, match=text):
        training.train("pass", **request)
