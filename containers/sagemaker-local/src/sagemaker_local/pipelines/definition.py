"""A pipeline's JSON definition, read and checked into steps that know what they wait for.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps.html and
https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sagemaker_local.errors import ValidationException
from sagemaker_local.pipelines import conditions
from sagemaker_local.pipelines.caching import read_duration_s
from sagemaker_local.pipelines.expressions import ExpressionError, references
from sagemaker_local.pipelines.graph import cycle
from sagemaker_local.pipelines.parameters import Parameter
from sagemaker_local.pipelines.step_kinds import CONDITION, KINDS, SERVED, UNSERVED

VERSION = "2020-12-01"
STEP_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
VARIABLES = (
    "StartDateTime", "CurrentDateTime", "PipelineName", "PipelineArn", "PipelineExecutionId",
    "PipelineExecutionArn", "TrainingJobName", "ProcessingJobName",
)  # fmt: skip
BRANCHES = {"IfSteps": "True", "ElseSteps": "False"}
"""Lists of a Condition step's arguments → the outcome that makes their steps ready."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A step inside a Condition step is ready only when the condition came out so."""

    condition: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline.

    Attributes:
        name: Unique in the pipeline.
        type: For example ``Training``.
        arguments: The request, with expressions; of a Condition step its conditions only.
        waits_for: Names of the steps that must have succeeded before.
        branch: Where it stands, when it stands inside a Condition step.
        given: The whole of the step as written.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    waits_for: frozenset[str]
    branch: Branch | None
    given: Mapping[str, Any] = field(repr=False)

    @property
    def cache_s(self) -> float | None:
        """How old a result may be to be used again; None when caching is off, infinite without an age."""
        config = self.given.get("CacheConfig", {})
        if not config.get("Enabled"):
            return None
        age = config.get("ExpireAfter")
        return float("inf") if age is None else read_duration_s(age)

    @property
    def retry_policies(self) -> Sequence[Mapping[str, Any]]:
        """What to do when the step fails."""
        policies: Sequence[Mapping[str, Any]] = self.given.get("RetryPolicies", ())
        return policies

    def property_file(self, name: str) -> Mapping[str, str] | None:
        """The step's property file of a name."""
        files = self.given.get("PropertyFiles", ())
        return next((each for each in files if each["PropertyFileName"] == name), None)


@dataclass(frozen=True, slots=True)
class Definition:
    """A pipeline that can be executed."""

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Step]
    experiment: Mapping[str, Any]


def read_definition(text: str) -> Definition:
    """Read and check a definition.

    Raises:
        ValidationException: it is malformed, refers to what is not there, goes round in a circle, or has a
            step that is not served.
    """
    try:
        given = json.loads(text)
        return _read(given)
    except ExpressionError as error:
        raise _unreadable(str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(f"It is malformed: {error!r}") from error


def _read(given: Mapping[str, Any]) -> Definition:
    if given.get("Version") != VERSION:
        raise _unreadable(f"Version must be {VERSION}, not '{given.get('Version')}'")
    declared = [Parameter.read(each) for each in given.get("Parameters") or ()]
    parameters = {each.name: each for each in declared}
    if len(parameters) < len(declared):
        raise _unreadable("Parameter names must be unique")
    found = list(_steps(given["Steps"], None))
    steps = {step.name: step for step in found}
    if len(steps) < len(found):
        raise _unreadable("Step names must be unique within a pipeline")
    if not steps:
        raise _unreadable("It has no steps")
    for step in found:
        _check(step, steps, parameters)
    if circle := cycle({step.name: _before(step) for step in found}):
        raise _unreadable(f"Cycle detected between steps: {' → '.join(circle)}")
    return Definition(parameters, steps, given.get("PipelineExperimentConfig") or {})


def _before(step: Step) -> frozenset[str]:
    return step.waits_for if step.branch is None else step.waits_for | {step.branch.condition}


def _steps(given: Sequence[Mapping[str, Any]], branch: Branch | None) -> Iterator[Step]:
    for each in given:
        name, kind = each["Name"], each["Type"]
        if not STEP_NAME.fullmatch(name):
            raise _unreadable(f"Step name '{name}' must match {STEP_NAME.pattern}")
        if kind in UNSERVED:
            raise ValidationException(
                f"The local SageMaker does not support {kind} steps (step '{name}'); "
                f"it has {', '.join(SERVED)}"
            )
        if kind not in SERVED:
            raise _unreadable(f"Step '{name}' has the unknown type '{kind}'")
        inside = {side: each["Arguments"].get(side, []) for side in BRANCHES} if kind == CONDITION else {}
        arguments = {key: value for key, value in each["Arguments"].items() if key not in inside}
        used = {
            str(path[1])
            for part in (arguments, each.get("Conditions", []))
            for path in references(part)
            if path[0] == "Steps"
        }
        waits_for = frozenset(used | set(each.get("DependsOn") or ()))
        yield Step(name, kind, arguments, waits_for, branch, each)
        for side, nested in inside.items():
            yield from _steps(nested, Branch(name, BRANCHES[side]))


def _check(step: Step, steps: Mapping[str, Step], parameters: Mapping[str, Parameter]) -> None:
    where = f"step '{step.name}'"
    if missing := sorted(step.waits_for - steps.keys()):
        raise _unreadable(f"The {where} refers to {', '.join(missing)}, which is no step of the pipeline")
    for path in references(step.arguments):
        match path:
            case ("Parameters", name) if name not in parameters:
                raise _unreadable(f"The {where} refers to '{name}', which is no parameter of the pipeline")
            case ("Execution", name) if name not in VARIABLES:
                raise _unreadable(f"The {where} refers to Execution.{name}; there are {', '.join(VARIABLES)}")
            case ("Steps", other, "PropertyFiles", name) if not steps[str(other)].property_file(str(name)):
                raise _unreadable(f"The {where} refers to '{name}', which is no property file of '{other}'")
            case (root, *_) if root not in ("Parameters", "Execution", "Steps"):
                raise _unreadable(f"The {where} refers to '{root}'; write Parameters, Execution or Steps")
    if step.type == CONDITION:
        _check_conditions(step.arguments["Conditions"], where)
    if step.type in KINDS:
        _ = step.cache_s  # reads ExpireAfter


def _check_conditions(given: Sequence[Mapping[str, Any]], where: str) -> None:
    for each in given:
        if each.get("Type") not in conditions.TYPES:
            raise _unreadable(
                f"The {where} has a condition of type '{each.get('Type')}'; "
                f"there are {', '.join(sorted(conditions.TYPES))}"
            )
        nested = each.get("Conditions", []) + [
            each[key] for key in ("Condition", "Expression") if key in each
        ]
        _check_conditions(nested, where)


def _unreadable(why: str) -> ValidationException:
    return ValidationException(f"Unable to parse pipeline definition. {why}")
