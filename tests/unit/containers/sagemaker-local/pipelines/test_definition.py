"""Definitions that can be executed, those that cannot, and which steps come next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sagemaker_local.errors import ValidationException
from sagemaker_local.pipelines.definition import Branch, read_definition
from sagemaker_local.pipelines.graph import ready
from sagemaker_local.pipelines.parameters import values
from sagemaker_local.pipelines.selective import kept_steps
from sagemaker_local.pipelines.step_kinds import SERVED, UNSERVED, job_name


def step(name: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Training", "Arguments": arguments or {}, **more}


def condition(name: str, then: list[Any], otherwise: list[Any]) -> dict[str, Any]:
    compared = {"Type": "Equals", "LeftValue": {"Get": "Steps.A.x"}, "RightValue": 1}
    arguments = {"Conditions": [compared], "IfSteps": then, "ElseSteps": otherwise}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def definition(*steps: dict[str, Any], **more: Any) -> Any:
    return read_definition(json.dumps({"Version": "2020-12-01", "Steps": steps, **more}))


def test_a_step_waits_for_what_it_names_and_what_it_uses():
    read = definition(step("A"), step("B"), step("C", {"x": {"Get": "Steps.B.y"}}, DependsOn=["A"]))
    assert read.steps["C"].waits_for == {"A", "B"}
    assert ready(read.steps, {}, {}) == ["A", "B"]
    assert ready(read.steps, {"A": "Succeeded", "B": "Executing"}, {}) == []
    assert ready(read.steps, {"A": "Succeeded", "B": "Failed"}, {}) == []
    assert ready(read.steps, {"A": "Succeeded", "B": "Succeeded"}, {}) == ["C"]


def test_only_the_taken_branch_and_what_waits_for_it_gets_ready():
    check = condition("Check", [step("Yes")], [condition("Inner", [step("Deep")], [])])
    read = definition(step("A"), check, step("After", DependsOn=["Yes"]))
    assert read.steps["Deep"].branch == Branch("Inner", "True")
    assert read.steps["Check"].waits_for == {"A"}
    done = {"A": "Succeeded", "Check": "Succeeded"}
    assert ready(read.steps, done, {"Check": "True"}) == ["Yes"]
    assert ready(read.steps, done, {"Check": "False"}) == ["Inner"]
    assert ready(read.steps, {**done, "Yes": "Succeeded"}, {"Check": "True"}) == ["After"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("A", {"x": {"Get": "Steps.A.y"}})], "Cycle detected"),
        (
            [step("A", {"x": {"Get": "Steps.C.y"}}), condition("C", [step("B")], []), step("D")],
            "Cycle detected",
        ),
        ([step("A"), condition("C", [step("A")], [])], "unique"),
        ([step("A b")], "must match"),
        ([step("A", {"x": {"Get": "Execution.Nothing"}})], "Execution.Nothing"),
        ([step("A", {"x": {"Get": "Nonsense.X"}})], "refers to 'Nonsense'"),
        ([step("A", {"x": {"Get": "a..b"}})], "is not a path"),
        ([step("A"), step("B", {"x": {"Get": "Steps.A.PropertyFiles.f"}})], "no property file of 'A'"),
        ([step("A", CacheConfig={"Enabled": True, "ExpireAfter": "soon"})], "ISO 8601"),
        ([{"Name": "A", "Type": "Condition", "Arguments": {"Conditions": [{"Type": "Like"}]}}], "'Like'"),
        ([{"Name": "A"}], "malformed"),
    ],
)
def test_what_cannot_be_executed_is_refused(steps, message):
    with pytest.raises(ValidationException, match=message):
        definition(*steps)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"Version": "2020-12-01"}', '{"Version": "1", "Steps": []}']
)
def test_what_is_no_definition_is_refused(text):
    with pytest.raises(ValidationException, match="Unable to parse pipeline definition"):
        read_definition(text)


@pytest.mark.parametrize("kind", UNSERVED)
def test_kinds_that_are_not_served_are_refused_by_name(kind):
    assert kind not in SERVED
    with pytest.raises(ValidationException, match=f"does not support {kind} steps"):
        definition({"Name": "A", "Type": kind, "Arguments": {}})


def declared(kind: str, **more: Any) -> Any:
    return definition(step("A"), Parameters=[{"Name": "P", "Type": kind, **more}]).parameters


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [("Integer", "3", 3), ("Float", "0.5", 0.5), ("Boolean", "TRUE", True), ("String", "3", "3")],
)
def test_parameters_have_their_types(kind, given, wanted):
    assert values(declared(kind), [{"Name": "P", "Value": given}]) == {"P": wanted}


def test_a_default_stands_for_what_is_not_given():
    assert values(declared("Boolean", DefaultValue=False), []) == {"P": False}
    assert values(declared("Integer", DefaultValue=2), [{"Name": "P", "Value": "3"}]) == {"P": 3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "must be given values"),
        ([{"Name": "Q", "Value": "1"}], "Unknown parameters: Q"),
        ([{"Name": "P", "Value": "x"}], "must be of type Integer"),
        ([{"Name": "P", "Value": "1"}, {"Name": "P", "Value": "2"}], "given once"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(given, message):
    with pytest.raises(ValidationException, match=message):
        values(declared("Integer"), given)


def test_a_parameter_is_one_of_its_values():
    with pytest.raises(ValidationException, match="must be one of a, b"):
        values(declared("String", EnumValues=["a", "b"]), [{"Name": "P", "Value": "c"}])
    with pytest.raises(ValidationException, match="must be one of a, b"):
        declared("String", EnumValues=["a", "b"], DefaultValue="c")


def test_names_of_jobs_are_aws_s_and_fit():
    assert (
        job_name("Training", "abc123abc123", "My_Step", "S" * 10)
        == "pipelines-abc123abc123-My-Step-SSSSSSSSSS"
    )
    assert len(job_name("Training", "a" * 12, "x" * 64, "S" * 10)) <= 63
    assert len(job_name("Training", "a" * 12, "x", "S" * 10, "p" * 63)) == 63
    assert job_name("Tuning", "a" * 12, "x" * 64, "S" * 10) == f"{'a' * 12}-xxxxxxx-SSSSSSSSSS"


def test_selected_steps_need_what_they_use():
    read = definition(step("A"), step("B", DependsOn=["A"]))
    done = {"A": {"StepStatus": "Succeeded"}, "B": {"StepStatus": "Succeeded"}}
    kept = kept_steps(read, ["B"], "arn", done)
    assert kept == {
        "A": {"StepStatus": "Succeeded", "SelectiveExecutionResult": {"SourcePipelineExecutionArn": "arn"}}
    }
    with pytest.raises(ValidationException, match="dependencies on A"):
        kept_steps(read, ["B"], None, {})
    with pytest.raises(ValidationException, match="no steps of the pipeline"):
        kept_steps(read, ["C"], "arn", done)
