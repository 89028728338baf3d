"""Instance types by rule, against the names of botocore and the figures of moto's copy of EC2's table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import botocore.session
import moto.ec2
import pytest

from sagemaker_local.instances import GIB, INSTANCE_TYPES, instance_type

ACCELERATORS = "ml.eia"
"""Elastic Inference: attached to an instance, none by itself."""


def names() -> list[str]:
    model = botocore.session.get_session().get_service_model("sagemaker")
    found = {
        value
        for name in model.shape_names
        for value in getattr(model.shape_for(name), "enum", None) or ()
        if value.startswith("ml.") and not value.startswith(ACCELERATORS)
    }
    return sorted(found)


def test_every_type_that_a_request_may_name_is_known():
    wanted = names()
    assert len(wanted) > 400
    assert [name for name in wanted if name not in INSTANCE_TYPES] == []


def test_the_rules_give_what_ec2_says():
    path = Path(moto.ec2.__file__).parent / "resources/instance_types.json.gz"
    ec2 = json.loads(gzip.decompress(path.read_bytes()))
    compared = 0
    for name in names():
        if (known := ec2.get(name.removeprefix("ml."))) is None:
            continue  # retired, or SageMaker's own
        compared += 1
        gpus = sum(gpu["Count"] for gpu in known.get("GpuInfo", {}).get("Gpus", []))
        there = instance_type(name)
        assert (there.vcpus, there.memory_gib, there.gpus) == (
            known["VCpuInfo"]["DefaultVCpus"],
            known["MemoryInfo"]["SizeInMiB"] / 1024,
            gpus,
        ), name
    assert compared > 400


def test_memory_in_bytes():
    assert instance_type("ml.m5.large").memory_bytes == 8 * GIB


def test_an_unknown_type_is_a_key_error():
    with pytest.raises(KeyError):
        instance_type("ml.made-up.large")
