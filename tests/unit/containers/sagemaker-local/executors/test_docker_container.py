"""What Docker's engine is asked for, and what comes of a container's bytes; no engine needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.executors.base import ImageError, Limits, Mount, Program
from sagemaker_local.executors.docker_container import ONE_STREAM, EngineImage, Place, container_config
from sagemaker_local.executors.docker_lines import Lines
from sagemaker_local.executors.docker_network import Joined
from sagemaker_local.executors.process import LINE_CHARACTERS

IMAGE = EngineImage("image", environment=("PATH=/bin",), entrypoint=("enter",), command=("default",))
GIB = 1024**3


def config(
    image: EngineImage = IMAGE, joined: Joined | None = None, user: str | None = None, **more: Any
) -> Any:
    place = Place(
        labels={"whose": "mine"},
        joined=joined or Joined("bridge", "http://10.0.0.1:4566"),
        processors=2,
        user=user,
        own_urls=frozenset({"http://127.0.0.1:4566"}),
    )
    return container_config(Program("image", Path("/data/ml"), **more), image, place)


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ({}, ["enter", "default"]),
        ({"arguments": ("train",)}, ["enter", "train"]),
        ({"entrypoint": ("python", "x.py")}, ["python", "x.py"]),
        ({"entrypoint": ("python",), "arguments": ("y.py",)}, ["python", "y.py"]),
    ],
)
def test_entrypoint_and_arguments_replace_the_images_as_docker_run_does(asked, command):
    assert config(**asked)["Entrypoint"] == [*ONE_STREAM, *command]
    assert (
        config(EngineImage("bare", (), ("enter",), ("default",), shell=False), **asked)["Entrypoint"]
        == command
    )


def test_an_image_that_says_nothing_needs_a_request_that_does():
    with pytest.raises(ImageError, match="neither ENTRYPOINT nor CMD"):
        config(EngineImage("empty"))


def test_only_the_servers_own_address_is_replaced_by_the_one_in_the_network():
    asked = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ENDPOINT_URL_S3": "http://elsewhere:9000",
        "A": "b",
    }
    environment = config(environment=asked)["Env"]
    assert {
        "AWS_ENDPOINT_URL=http://10.0.0.1:4566",
        "AWS_ENDPOINT_URL_S3=http://elsewhere:9000",
        "A=b",
    } <= set(environment)
    isolated = config(joined=Joined("none"), environment=asked)["Env"]
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:4566" in isolated


def test_what_the_image_says_of_buffering_stays():
    assert "PYTHONUNBUFFERED=1" in config()["Env"]
    assert "PYTHONUNBUFFERED=1" not in config(EngineImage("i", ("PYTHONUNBUFFERED=",), ("e",)))["Env"]


def test_limits_are_capped_by_what_the_engine_can_give():
    host = config(limits=Limits(vcpus=0.5, memory_bytes=8 * GIB))["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 8 * GIB, 8 * GIB)
    assert config(limits=Limits(vcpus=96))["HostConfig"]["NanoCpus"] == 2_000_000_000
    assert not {"NanoCpus", "Memory"} & config()["HostConfig"].keys()


def test_mounts_hosts_user_and_whose_it_is():
    asked = config(
        joined=Joined("job", None, "10.0.0.2", {"algo-1": "10.0.0.2", "algo-2": "10.0.0.3"}),
        mounts=(Mount(Path("/data/in"), "/opt/ml/input", read_only=True),),
        user="1000:1000",
    )
    host = asked["HostConfig"]
    assert [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in host["Mounts"]] == [
        ("/data/ml", "/opt/ml", False),
        ("/data/in", "/opt/ml/input", True),
    ]
    assert host["ExtraHosts"] == ["algo-1:10.0.0.2", "algo-2:10.0.0.3"]
    assert asked["NetworkingConfig"]["EndpointsConfig"]["job"]["IPAMConfig"]["IPv4Address"] == "10.0.0.2"
    assert (asked["User"], asked["Labels"], asked["Hostname"]) == ("1000:1000", {"whose": "mine"}, "algo-1")
    assert "no-new-privileges" in host["SecurityOpt"]


def test_bytes_become_lines_wherever_they_are_cut():
    got: list[str] = []
    lines = Lines(got.append)
    text = "eins\r\nzwölf\n\nlast".encode()
    for at in range(len(text)):
        lines.feed(text[at : at + 1])
    lines.close()
    assert got == ["eins", "zwölf", "", "last"]


def test_a_line_without_end_is_cut_before_it_fills_the_memory():
    got: list[str] = []
    lines = Lines(got.append)
    lines.feed(b"x" * (2 * LINE_CHARACTERS + 1))
    assert [len(line) for line in got] == [LINE_CHARACTERS, LINE_CHARACTERS]
    lines.close()
    assert len(got[-1]) == 1
