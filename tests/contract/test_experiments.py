"""Experiments, trials and trial components with plain boto3."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ClientError


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def sagemaker(client):
    return client("sagemaker")


def test_a_trial_of_an_experiment_with_its_component(sagemaker):
    experiment, trial, component = unique("experiment"), unique("trial"), unique("component")
    made = sagemaker.create_experiment(ExperimentName=experiment, Tags=[{"Key": "team", "Value": "a"}])
    assert sagemaker.list_tags(ResourceArn=made["ExperimentArn"])["Tags"] == [{"Key": "team", "Value": "a"}]
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_experiment(ExperimentName=experiment)
    sagemaker.create_trial(TrialName=trial, ExperimentName=experiment)
    sagemaker.create_trial_component(
        TrialComponentName=component,
        Parameters={"rate": {"NumberValue": 0.1}, "kind": {"StringValue": "a"}},
        InputArtifacts={"data": {"Value": "s3://bucket/data"}},
    )
    for _ in range(2):
        sagemaker.associate_trial_component(TrialComponentName=component, TrialName=trial)
    sagemaker.update_trial_component(
        TrialComponentName=component,
        Status={"PrimaryStatus": "Completed"},
        Parameters={"rate": {"NumberValue": 0.2}},
        ParametersToRemove=["kind"],
        InputArtifactsToRemove=["data"],
    )
    found = sagemaker.describe_trial_component(TrialComponentName=component)
    assert found["Parameters"] == {"rate": {"NumberValue": 0.2}}
    assert "InputArtifacts" not in found
    assert found["Status"] == {"PrimaryStatus": "Completed"}
    for asked in ({"TrialName": trial}, {"ExperimentName": experiment}):
        listed = sagemaker.list_trial_components(**asked)["TrialComponentSummaries"]
        assert [each["TrialComponentName"] for each in listed] == [component]
    for asked in ({"ExperimentName": experiment}, {"TrialComponentName": component}):
        assert [each["TrialName"] for each in sagemaker.list_trials(**asked)["TrialSummaries"]] == [trial]

    with pytest.raises(ClientError, match="belong to it"):
        sagemaker.delete_experiment(ExperimentName=experiment)
    with pytest.raises(ClientError, match="belong to it"):
        sagemaker.delete_trial(TrialName=trial)
    with pytest.raises(ClientError, match="belong to it"):
        sagemaker.delete_trial_component(TrialComponentName=component)
    sagemaker.disassociate_trial_component(TrialComponentName=component, TrialName=trial)
    assert sagemaker.list_trial_components(TrialName=trial)["TrialComponentSummaries"] == []
    sagemaker.delete_trial_component(TrialComponentName=component)
    sagemaker.delete_trial(TrialName=trial)
    sagemaker.delete_experiment(ExperimentName=experiment)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        sagemaker.describe_experiment(ExperimentName=experiment)


def test_names_and_descriptions_change(sagemaker):
    experiment, trial = unique("experiment"), unique("trial")
    sagemaker.create_experiment(ExperimentName=experiment)
    sagemaker.create_trial(TrialName=trial, ExperimentName=experiment)
    sagemaker.update_experiment(ExperimentName=experiment, DisplayName="shown", Description="why")
    sagemaker.update_trial(TrialName=trial, DisplayName="tried")
    found = sagemaker.describe_experiment(ExperimentName=experiment)
    assert (found["DisplayName"], found["Description"]) == ("shown", "why")
    assert sagemaker.describe_trial(TrialName=trial)["DisplayName"] == "tried"
    listed = sagemaker.get_paginator("list_experiments").paginate(PaginationConfig={"PageSize": 1})
    assert experiment in [each["ExperimentName"] for page in listed for each in page["ExperimentSummaries"]]


def test_a_trial_needs_its_experiment(sagemaker):
    with pytest.raises(ClientError, match="ResourceNotFound"):
        sagemaker.create_trial(TrialName=unique("trial"), ExperimentName=unique("nothing"))


def test_search_finds_by_properties_and_tags_page_by_page(sagemaker):
    team, names = unique("team"), sorted(unique("found") for _ in range(3))
    for name in names:
        sagemaker.create_experiment(ExperimentName=name, Tags=[{"Key": "team", "Value": team}])
    expression = {"Filters": [{"Name": "Tags.team", "Operator": "Equals", "Value": team}]}
    pages = sagemaker.get_paginator("search").paginate(
        Resource="Experiment", SearchExpression=expression, SortBy="ExperimentName", SortOrder="Ascending",
        PaginationConfig={"PageSize": 2},
    )  # fmt: skip
    found = [each["Experiment"] for page in pages for each in page["Results"]]
    assert [each["ExperimentName"] for each in found] == names
    assert found[0]["Tags"] == [{"Key": "team", "Value": team}]
    with pytest.raises(ClientError, match="Search for FeatureGroup"):
        sagemaker.search(Resource="FeatureGroup")
