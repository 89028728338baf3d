# ruff: noqa: E501 - messages stand here whole, so that a search finds them
from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_sagemaker.specs.loading import SpecError, load_pipeline, load_pipelines

ROOT = Path(__file__).parents[5]


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """A copy of the repository's include folder to break."""
    return Path(shutil.copytree(ROOT / "include", tmp_path / "include"))


@pytest.fixture
def digits(include: Path) -> Path:
    return include / "pipelines" / "digits.yaml"


# text in digits.yaml, what it becomes → the whole message; {line} is the line of the changed text
WRONG = {
    "value not in the list": (
        "approval: auto",
        "approval: automatic",
        "registration.approval: 'automatic' is not allowed; allowed: 'auto' or 'manual'",
    ),
    "misspelt field": (
        "  target_device: ml_m5",
        "  target_devise: ml_m5",
        "compilation.target_devise: unknown field; did you mean 'target_device'? allowed: framework, "
        "framework_version, target_device, input_shapes, max_runtime_minutes, bars, if_not_faster, cache, compute",
    ),
    "unknown field": (
        "description: Digit classifier",
        "whatever: Digit classifier",
        "registration.whatever: unknown field; allowed: approval, group, description",
    ),
    "unknown target": (
        "target_device: ml_m5",
        "target_device: ml_m9",
        "compilation.target_device: 'ml_m9' is not allowed; allowed: 'ml_c4', 'ml_c5', 'ml_c6g', 'ml_m4', "
        "'ml_m5' or 'ml_m6g'",
    ),
    "not a number": (
        "accuracy: {at_least: 0.95,",
        "accuracy: {at_least: high,",
        "evaluation.bars.accuracy.at_least: 'high' is not allowed; allowed: a number",
    ),
    "misspelt bar": (
        "accuracy: {at_least: 0.95,",
        "accuracy: {atleast: 0.95,",
        "evaluation.bars.accuracy.atleast: unknown field; did you mean 'at_least'? allowed: at_least, at_most, "
        "better_than",
    ),
    "bar without a bound": (
        "speedup: {at_least: 5}",
        "speedup: {}",
        "compilation.bars.speedup: a bar needs a bound; give at_least, at_most or better_than",
    ),
    "no mapping": (
        "speedup: {at_least: 5}",
        "speedup: 5",
        "compilation.bars.speedup: 5 is not allowed; allowed: a mapping of fields",
    ),
    "not a day": (
        "first_partition: 2026-01-01",
        "first_partition: first of January",
        "data.first_partition: 'first of January' is not allowed; allowed: a date such as 2026-01-31",
    ),
    "no such day": (
        "first_partition: 2026-01-01",
        "first_partition: 2026-02-30",
        "data.first_partition: '2026-02-30' cannot be read: day is out of range for month",
    ),
    "no such suite": (
        "suite: digits_raw",
        "suite: digits_rew",
        "data.suite: no suite 'digits_rew' in include/expectations; allowed: bank_marketing_predictions, "
        "bank_marketing_prepared, bank_marketing_raw, digits_predictions, digits_prepared, digits_raw",
    ),
    "instance type": (
        "rollout:\n  instance_type: ml.m5.large",
        "rollout:\n  instance_type: m5.large",
        r"rollout.instance_type: 'm5.large' is not allowed; allowed: text that matches "
        r"^ml\.[a-z0-9-]+\.[a-z0-9]+$",
    ),
    "shape": (
        "input_shapes: {input: [1, 64]}",
        "input_shapes: {input: [1, wide]}",
        "compilation.input_shapes.input.1: 'wide' is not allowed; allowed: a whole number",
    ),
    "number for text": (
        '[--test-partitions, "3"]',
        "[--test-partitions, 3]",
        "prepare.arguments.1: 3 is not allowed; allowed: text (quote a number to make it text)",
    ),
    "hyperparameter without help": (
        "      help: Folds that the probabilities are calibrated on.\n",
        "",
        "training.hyperparameters.calibration_folds.help: is required: Shown beside the field in the trigger form.",
    ),
    "hyperparameter that is a list": (
        "      value: 5\n",
        "      value: [5]\n",
        "training.hyperparameters.calibration_folds.value: [5] is not allowed; allowed: a number, text, true or false",
    ),
    "regular expression": (
        "response_pattern: '0(",
        "response_pattern: '0((",
        "rollout.smoke_test: response_pattern is not a regular expression: missing ), unterminated subpattern at "
        "position 1",
    ),
    "schedule that is not daily": (
        'schedule: "@daily"',
        'schedule: "@hourly"',
        "batch.schedule: '@hourly' is not allowed; allowed: text that matches "
        r"^(@daily|[1-5]?[0-9] (1?[0-9]|2[0-3]) \* \* \*)$",
    ),
    "hyperparameter out of its range": (
        "      value: 5\n",
        "      value: 1\n",
        "training.hyperparameters.calibration_folds: value 1 is not between 2.0 and 20.0",
    ),
    "limits of text": (
        "      value: 5\n",
        "      value: five\n",
        "training.hyperparameters.calibration_folds: minimum and maximum are for numbers; use choices for text",
    ),
    "more under way than SageMaker takes": (
        "  prediction_suite: digits_predictions\n",
        "  max_concurrent: 17\n  prediction_suite: digits_predictions\n",
        "batch.max_concurrent: 17 requests of 6 MB are more than the 100 MB that may be under way; lower "
        "max_concurrent or max_payload_mb",
    ),
    "end before the start": (
        "end_date: 2026-01-14",
        "end_date: 2025-12-31",
        "batch.end_date: 2025-12-31 is before start_date, 2026-01-01; give them in order",
    ),
    "given twice": (
        "owner: data-science",
        "owner: data-science\nowner: somebody-else",
        "owner: given twice; keep one",
    ),
    "not YAML": (
        "tags: [demo, classification]",
        "tags: [demo, classification",
        "not YAML: did not find expected ',' or ']'",
    ),
}


@pytest.mark.parametrize(("text", "becomes", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_spec_names_file_line_field_and_allowed_values(
    digits: Path, text: str, becomes: str, message: str
) -> None:
    original = digits.read_text()
    assert original.count(text) == 1, f"{text!r} must stand once in digits.yaml"
    digits.write_text(original.replace(text, becomes))
    with pytest.raises(SpecError) as raised:
        load_pipeline(digits)
    (problem,) = raised.value.problems
    place, _, said = problem.partition(": ")
    assert said == message
    file, _, line = place.rpartition(":")
    assert file == "include/pipelines/digits.yaml"
    lines = digits.read_text().splitlines()
    named = message.split(": ")[0].rpartition(".")[2]
    if message.startswith("not YAML"):
        assert lines[int(line) - 1] == "data:"  # met instead of the missing bracket
    elif "is required" in message:
        assert lines[int(line) - 1].strip() == "calibration_folds:"
    elif named.isdigit():
        assert becomes.strip() in lines[int(line) - 1]
    else:
        assert named in lines[int(line) - 1]


def test_a_missing_section_is_named_with_its_purpose(digits: Path) -> None:
    digits.write_text(digits.read_text().replace("owner: data-science\n", ""))
    with pytest.raises(SpecError) as raised:
        load_pipeline(digits)
    assert str(raised.value) == (
        "include/pipelines/digits.yaml:2: owner: is required: Owner of the tasks, as Airflow shows it."
    )


def test_all_problems_of_a_file_are_told_at_once(digits: Path) -> None:
    text = digits.read_text().replace("approval: auto", "approval: never").replace("SKLEARN", "PYTORCH")
    digits.write_text(text)
    with pytest.raises(SpecError) as raised:
        load_pipeline(digits)
    assert len(raised.value.problems) == 2
    assert "allowed: 'SKLEARN' or 'XGBOOST'" in str(raised.value)


def test_an_empty_file_lacks_everything(digits: Path) -> None:
    digits.write_text("# nothing yet\n")
    with pytest.raises(SpecError, match=r"include/pipelines/digits\.yaml:1: name: is required"):
        load_pipeline(digits)


def test_the_file_has_the_pipelines_name(digits: Path) -> None:
    other = digits.rename(digits.with_name("numbers.yaml"))
    with pytest.raises(SpecError) as raised:
        load_pipeline(other)
    assert str(raised.value) == (
        "include/pipelines/numbers.yaml:2: name: 'digits' is not the file's name; rename the file to digits.yaml "
        "or the pipeline"
    )


def test_a_partition_range_has_its_order(digits: Path) -> None:
    digits.write_text(digits.read_text().replace("last_partition: 2026", "last_partition: 2025"))
    with pytest.raises(SpecError, match=r":8: data: last_partition is before first_partition"):
        load_pipeline(digits)


def test_a_hyperparameter_must_not_hide_a_run_parameter(digits: Path) -> None:
    digits.write_text(digits.read_text().replace("    gamma:\n", "    last_partition:\n"))
    with pytest.raises(
        SpecError, match=r"training: hyperparameter 'last_partition' cannot be a field of the form"
    ):
        load_pipeline(digits)


def test_an_alias_of_itself_is_a_problem(digits: Path) -> None:
    digits.write_text("name: &name [*name]\n")
    with pytest.raises(SpecError, match="an alias"):
        load_pipeline(digits)


def places(values: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the mappings and lists of a document hold something."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield (*place, key)
        if isinstance(value, dict | list):
            yield from places(value, (*place, key))


DIGITS = yaml.safe_load((ROOT / "include/pipelines/digits.yaml").read_text())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.sampled_from(list(places(DIGITS))), value=VALUES)
def test_whatever_stands_in_a_field_is_taken_or_explained(
    digits: Path, place: tuple[Any, ...], value: object
) -> None:
    """Any other exception would take the DAGs of all pipelines away."""
    document = copy.deepcopy(DIGITS)
    within = document
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = value
    digits.write_text(yaml.safe_dump(document), encoding="utf-8")
    problems: tuple[str, ...] = ()
    try:
        load_pipeline(digits)
    except SpecError as error:
        problems = error.problems
    assert all(problem.startswith("include/pipelines/digits.yaml:") for problem in problems)


def test_exponents_are_numbers(digits: Path) -> None:
    digits.write_text(digits.read_text().replace("value: 0.001", "value: 1e-3"))
    assert load_pipeline(digits).training.hyperparameters["gamma"].value == 0.001


def test_a_wrong_file_hides_no_other(include: Path, digits: Path) -> None:
    digits.write_text("name: digits")
    (include / "pipelines" / "broken.yaml").write_text(": [")
    loaded = load_pipelines(include)
    assert [pipeline.name for pipeline in loaded.pipelines] == ["bank_marketing"]
    with pytest.raises(SpecError) as raised:
        loaded.raise_errors()
    files = {problem.split(":")[0] for problem in raised.value.problems}
    assert files == {"include/pipelines/broken.yaml", "include/pipelines/digits.yaml"}


SHARED = {
    "rollout:\n": (
        "rollout:\n  endpoint_name: Bank-Marketing\n",
        "rollout.endpoint_name: the endpoint 'Bank-Marketing' is that of include/pipelines/bank_marketing.yaml too",
        "rollout.endpoint_name: the endpoint 'bank-marketing' is that of include/pipelines/digits.yaml too",
    ),
    "registration:\n": (
        "registration:\n  group: bank-marketing\n",
        "registration.group: the group 'bank-marketing' is that of include/pipelines/bank_marketing.yaml too",
        "registration.group: the group 'bank-marketing' is that of include/pipelines/digits.yaml too",
    ),
}


@pytest.mark.parametrize(("text", "given"), SHARED.items(), ids=["endpoint", "group"])
def test_two_pipelines_that_share_a_name_are_both_refused_and_no_other(
    include: Path, digits: Path, text: str, given: tuple[str, str, str]
) -> None:
    becomes, said_of_digits, said_of_bank = given
    third = digits.with_name("third.yaml")
    third.write_text(digits.read_text().replace("name: digits\n", "name: third\n"))
    digits.write_text(digits.read_text().replace(text, becomes))
    loaded = load_pipelines(include)
    assert [pipeline.name for pipeline in loaded.pipelines] == ["third"]
    bank, numbers = map(str, loaded.errors)
    assert said_of_digits in numbers
    assert said_of_bank in bank
    line = digits.read_text().splitlines().index(becomes.splitlines()[1]) + 1
    assert numbers.startswith(f"include/pipelines/digits.yaml:{line}: ")
    assert "\n" not in bank + numbers


def test_the_repositorys_specs_are_right() -> None:
    loaded = load_pipelines(ROOT / "include")
    loaded.raise_errors()
    assert [pipeline.name for pipeline in loaded.pipelines] == ["bank_marketing", "digits"]
