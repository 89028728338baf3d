from __future__ import annotations

import pytest

from sagemaker_local.command_line import parse as command_line
from sagemaker_local.quotas import OF_A_JOB, USAGES, parse


def test_a_type_alone_stands_for_each_use() -> None:
    assert parse(["ml.m5.large=2"]) == {f"ml.m5.large for {usage}": 2 for usage in USAGES}


def test_a_use_that_is_named_goes_before() -> None:
    quotas = parse(["ml.m5.large=2", "ml.m5.large for training job usage=0"])
    assert quotas["ml.m5.large for training job usage"] == 0
    assert quotas["ml.m5.large for endpoint usage"] == 2


@pytest.mark.parametrize("option", ["m5.large=2", "ml.m5.large", "ml.m5.large=-1", "ml.m5.large for fun=1"])
def test_what_is_no_quota_ends_the_start(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line(["--quota", option])
    assert f"--quota: '{option}' is no quota: write ml.m5.large=2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "document", "used"),
    [
        (
            "training_job",
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 3}},
            {"ml.m5.large for training job usage": 3},
        ),
        (
            "training_job",
            {
                "EnableManagedSpotTraining": True,
                "ResourceConfig": {
                    "InstanceGroups": [
                        {"InstanceType": "ml.m5.large", "InstanceCount": 1},
                        {"InstanceType": "ml.c5.large", "InstanceCount": 2},
                    ]
                },
            },
            {"ml.m5.large for spot training job usage": 1, "ml.c5.large for spot training job usage": 2},
        ),
        (
            "processing_job",
            {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}}},
            {"ml.m5.large for processing job usage": 2},
        ),
        (
            "transform_job",
            {"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2}},
            {"ml.m5.large for transform job usage": 2},
        ),
        (
            "hyper_parameter_tuning_job",
            {
                "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxParallelTrainingJobs": 4}},
                "TrainingJobDefinition": {
                    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}
                },
            },
            {"ml.m5.large for training job usage": 8},
        ),
    ],
)
def test_what_a_job_uses(kind: str, document: dict[str, object], used: dict[str, int]) -> None:
    assert OF_A_JOB[kind](document) == used
