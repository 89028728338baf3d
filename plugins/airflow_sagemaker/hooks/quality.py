"""great-expectations: a suite in its own JSON format against a frame → a verdict that people can read.

Importing great-expectations takes seconds, so this module is imported inside `execute` only.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas
from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from airflow_sagemaker.errors import BadSuiteError

# Its lines of lesser levels are about itself and would bury what a gate has to say.
logging.getLogger("great_expectations").setLevel(logging.WARNING)

#: How many offending values a message shows.
EXAMPLES = 5

#: Names a row of the validated frame as its author knows it, for example by object and line.
RowName = Callable[[int], str]


@dataclass(frozen=True)
class Verdict:
    """What a suite says about a frame."""

    evaluated: int
    failures: tuple[str, ...]
    """Expectations of severity critical that do not hold, a sentence each."""
    warnings: tuple[str, ...]
    """Expectations of lesser severity that do not hold."""
    result: bytes
    """The validation result as JSON; the same data and suite give the same bytes."""
    data_docs: bytes
    """The page of great-expectations' data docs."""


def load_suite(path: Path) -> gx.ExpectationSuite:
    """Read a suite; an unknown expectation or argument is an error that names it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        suite = gx.ExpectationSuite(**(document | {"expectations": []}))
        for configuration in document["expectations"]:
            # Given all at once, the suite would log what it cannot use and go on without it (1.24.1).
            suite.add_expectation_configuration(ExpectationConfiguration(**configuration))
        return suite
    except FileNotFoundError:
        known = ", ".join(sorted(found.stem for found in path.parent.glob("*.json"))) or "none"
        raise BadSuiteError(
            f"Suite {path.stem!r}", f"there is no {path}", f"Write it, or use one of: {known}"
        ) from None
    except Exception as error:
        raise BadSuiteError(
            f"Suite {path.stem!r}", f"{path.name} is not a suite ({error})", "Correct the file"
        ) from error


def validate(suite: gx.ExpectationSuite, frame: pandas.DataFrame, at: datetime, row_name: RowName) -> Verdict:
    """Hold a frame against a suite; `at` stands in the result as its time, so that it can be reproduced."""
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    table = context.data_sources.add_pandas("s3").add_dataframe_asset("table")
    definition = gx.ValidationDefinition(
        name="gate", data=table.add_batch_definition_whole_dataframe("all"), suite=context.suites.add(suite)
    )
    outcome = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES},
        run_id=gx.RunIdentifier(run_name=suite.name, run_time=at),
    )
    document = _reproducible(outcome.to_json_dict())
    failures: list[str] = []
    warnings: list[str] = []
    for result in document["results"]:
        if not result["success"]:
            critical = result["expectation_config"].get("severity", "critical") == "critical"
            (failures if critical else warnings).append(_sentence(result, frame, row_name))
    return Verdict(
        evaluated=len(document["results"]),
        failures=tuple(failures),
        warnings=tuple(warnings),
        result=(json.dumps(document, indent=2, sort_keys=True) + "\n").encode(),
        data_docs=_page(document),
    )


def _reproducible(document: dict[str, Any]) -> dict[str, Any]:
    """Drop what differs between two validations of the same thing: load time, random ids, tracebacks."""
    document["meta"]["batch_markers"].pop("ge_load_time", None)
    document["meta"].pop("validation_id", None)
    for result in document["results"]:
        result["expectation_config"].pop("id", None)
        result["exception_info"] = {"exceptions": sorted(_exceptions(result["exception_info"]))}
    document["results"].sort(key=lambda result: json.dumps(result["expectation_config"], sort_keys=True))
    return document


def _exceptions(info: Mapping[str, Any]) -> Iterator[str]:
    """Messages, from either of the two shapes that great-expectations gives."""
    if info.get("exception_message"):
        yield str(info["exception_message"])
    for value in info.values():
        if isinstance(value, Mapping) and value.get("exception_message"):
            yield str(value["exception_message"])


def _sentence(result: Mapping[str, Any], frame: pandas.DataFrame, row_name: RowName) -> str:
    """Which column, what was expected, how many rows break it, and examples."""
    config, details = result["expectation_config"], result["result"]
    arguments = {key: value for key, value in config["kwargs"].items() if key not in ("column", "batch_id")}
    column = config["kwargs"].get("column")
    expected = f"{config['type']}({', '.join(f'{key}={_short(value)}' for key, value in arguments.items())})"
    subject = f"column {column!r}: {expected}" if column else expected
    if exceptions := result["exception_info"]["exceptions"]:
        return f"{subject}: {_unchecked(exceptions, column, frame, row_name)}"
    if "unexpected_count" in details:
        values = details.get("partial_unexpected_list", [])
        places = details.get("partial_unexpected_index_list", [])
        examples = [f"{_short(value)} ({row_name(at)})" for value, at in zip(values, places, strict=False)]
        percent = details["unexpected_percent"] or 0
        count = f"{details['unexpected_count']} of {details['element_count']} rows ({percent:.3g} %) break it"
        return f"{subject}: {count}" + (f", for example {', '.join(examples)}" if examples else "")
    if mismatched := details.get("details", {}).get("mismatched"):
        places = [
            f"{place['Found']!r} instead of {place['Expected']!r} at {place['Expected Column Position']}"
            for place in mismatched[:EXAMPLES]
        ]
        return f"{subject}: {len(mismatched)} columns differ, {', '.join(places)}"
    return f"{subject}: found {_short(details.get('observed_value'))}"


def _unchecked(exceptions: list[str], column: str | None, frame: pandas.DataFrame, row_name: RowName) -> str:
    """Why an expectation could not be evaluated; text among numbers is the usual cause."""
    if column is None or column not in frame:
        return f"cannot be checked, {exceptions[0]}"
    values = frame[column]
    text = values[pandas.to_numeric(values, errors="coerce").isna() & values.notna()]
    shown = text.head(EXAMPLES)
    examples = [
        f"{_short(value)} ({row_name(int(at))})" for at, value in zip(shown.index, shown, strict=True)
    ]
    if not examples:
        return f"cannot be checked, {exceptions[0]}"
    return f"{len(text)} of {len(values)} rows are not numbers, for example {', '.join(examples)}"


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _page(document: Mapping[str, Any]) -> bytes:
    """The data docs page. It is rendered from the JSON: the renderer trips over numpy's numbers (1.24.1)."""
    shown = json.loads(json.dumps(document))
    for result in shown["results"]:
        messages = result["exception_info"]["exceptions"]
        result["exception_info"] = {
            "raised_exception": bool(messages),
            "exception_message": "; ".join(messages) or None,
            "exception_traceback": "",
        }
    shown["meta"]["batch_markers"]["ge_load_time"] = shown["meta"]["run_id"]["run_time"]
    outcome = expectationSuiteValidationResultSchema.load(shown)
    html: str = DefaultJinjaPageView().render(
        ValidationResultsPageRenderer(run_info_at_end=True).render(outcome)
    )
    return _without_chance(html).encode()


def _without_chance(html: str) -> str:
    """Number the random ids of page elements and drop the clock from the logo's address."""
    numbers: dict[str, str] = {}
    uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    html = uuid.sub(lambda match: numbers.setdefault(match[0], f"{len(numbers)}"), html)
    return re.sub(r"\?d=\d{8}T\d{6}\.\d+Z", "", html)
