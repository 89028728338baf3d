from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from airflow_sagemaker.names import run_key
from airflow_sagemaker.plan.rendering import Run, unknown_in, with_stand_ins
from airflow_sagemaker.specs import endpoint_rollout, model_build

RUN = Run("digits__model_build", "manual__one", None, {"C": 1.0}, {"train": {"model_uri": "s3://m"}})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ params.C }} {{ dag.dag_id }} {{ run_id }}", "1.0 digits__model_build manual__one"),
        ("{{ run_key(run_id) }}", run_key("manual__one")),
        (model_build.MODEL_URI, "s3://m"),
        (model_build.COMPILED_URI, "<compile.compiled_uri>"),
        (model_build.output_of("prepare", "train") + "x.csv", "<prepare.outputs.train>x.csv"),
        (endpoint_rollout.PREVIOUS_CONFIG, "<roll_out.previous_endpoint_config_name>"),
    ],
)
def test_what_is_known_is_put_in_and_what_is_not_is_named(template: str, text: str) -> None:
    assert RUN.text(template) == text


def test_a_name_that_no_run_has_is_an_error_as_in_airflow() -> None:
    with pytest.raises(UndefinedError):
        RUN.text("{{ param.C }}")


def test_placeholders_are_found_and_stood_in_for_by_their_form() -> None:
    body = {"a": ["<x.model_uri>", {"b": "<y.model_package_arn>"}], "c": "<x.model_uri>", "d": 1}
    assert unknown_in(body) == ["<x.model_uri>", "<y.model_package_arn>"]
    stood = with_stand_ins({**body, "e": "<partition.partition>", "f": "<name of the Model by y.arn>"})
    assert stood["a"][0].startswith("s3://")
    assert stood["a"][1]["b"].startswith("arn:aws:sagemaker:")
    assert (stood["d"], stood["e"], stood["f"]) == (1, "known-in-the-run", "known-in-the-run")
