import dataclasses
from pathlib import Path
from typing import Any, cast

from sagemaker_local.jobs import environment
from sagemaker_local.jobs.host import Group, Host

DOCUMENT = {
    "TrainingJobName": "t1",
    "TrainingJobArn": "arn:t1",
    "HyperParameters": {"max-depth": "3"},
    "InputDataConfig": [{"ChannelName": "train"}, {"ChannelName": "my-test"}],
    "ResourceConfig": {"InstanceType": "ml.m5.large"},
    "Environment": {"SM_NUM_GPUS": "7", "OWN": "1"},
}

GROUP = Group("homogeneousCluster", "ml.t3.medium", 2)
HOSTS = [
    Host(name, "127.64.0.1", GROUP, Path("/job", name), cast(Any, None)) for name in ("algo-1", "algo-2")
]


def test_training_variables(settings):
    found = environment.for_training(settings, DOCUMENT, HOSTS[1], HOSTS)
    assert found["TRAINING_JOB_NAME"] == "t1"
    assert found["SM_CHANNELS"] == '["my-test", "train"]'
    assert found["SM_CHANNEL_MY_TEST"] == "/opt/ml/input/data/my-test"
    assert found["SM_HP_MAX_DEPTH"] == "3"
    assert found["OWN"] == "1"
    assert found["SM_CURRENT_HOST"] == "algo-2"
    assert found["SM_HOSTS"] == '["algo-1", "algo-2"]'
    assert found["SM_CURRENT_INSTANCE_TYPE"] == "ml.t3.medium"
    assert found["SM_NUM_CPUS"] in ("1", "2"), "no more than the type has, no more than the machine has"
    assert found["SM_NUM_GPUS"] == "7", "the request's own variables win"


def test_clients_in_a_job_reach_this_server(settings):
    found = environment.common(dataclasses.replace(settings, host="0.0.0.0", port=1234))
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1234"
    assert found["AWS_DEFAULT_REGION"] == found["AWS_REGION"] == "us-east-1"
    assert found["AWS_ACCESS_KEY_ID"]
