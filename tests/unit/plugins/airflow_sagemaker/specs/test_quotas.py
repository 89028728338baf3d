from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.specs.quotas import Quotas, QuotasFileError, load_quotas, pool_of, quota_name
from airflow_sagemaker.specs.training import TrainingJob

POOLS = {"ml.m5.large-training": 4, "ml.m5.xlarge-training": None, "ml.m5.large-transform": 2}
ROOT = Path(__file__).parents[5]


def test_each_type_of_each_use_is_a_pool(tmp_path: Path) -> None:
    (tmp_path / "quotas.yaml").write_text(
        "training: {ml.m5.large: 4, ml.m5.xlarge: account}\ntransform: {ml.m5.large: 2}\n"
    )
    assert load_quotas(tmp_path).pools() == POOLS
    assert quota_name("ml.m5.large-training") == "ml.m5.large for training job usage"


def test_without_a_file_there_are_no_pools(tmp_path: Path) -> None:
    assert load_quotas(tmp_path) == Quotas()
    assert load_quotas(ROOT / "include").pools() == {}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text("training: {ml.m5.large: 4}\n")
    assert load_quotas(tmp_path).training["ml.m5.large"] == 4
    path.unlink()
    assert not load_quotas(tmp_path).training


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("training: {m5.large: 4}", "training.m5.large"),
        ("training: {ml.m5.large: 0}", "training.ml.m5.large"),
        ("trainings: {ml.m5.large: 1}", "trainings"),
        ("training: [", "quotas.yaml"),
    ],
)
def test_a_wrong_file_says_where_and_what_to_write(text: str, names: str, tmp_path: Path) -> None:
    (tmp_path / "quotas.yaml").write_text(text)
    with pytest.raises(QuotasFileError, match=names):
        load_quotas(tmp_path)


def job(instance_type: str = "ml.m5.large", count: Any = 1) -> dict[str, Any]:
    return {"resources": {"instance_type": instance_type, "instance_count": count}}


@pytest.mark.parametrize(
    ("kind", "given", "pool"),
    [
        ("training_job", job(count=3), ("ml.m5.large-training", 3)),
        ("training_job", TrainingJob(image="x", output="o").model_dump(), ("ml.m5.large-training", 1)),
        ("training_job", job("ml.m5.xlarge", 50), ("ml.m5.xlarge-training", 50)),
        ("training_job", job("ml.p3.2xlarge"), None),
        ("training_job", job(count=5), None),
        ("training_job", job("{{ params.type }}"), None),
        ("training_job", job(count="{{ params.count }}"), None),
        ("transform_job", job(), ("ml.m5.large-transform", 1)),
        ("processing_job", job(), None),
        ("compilation_job", {"framework": "SKLEARN"}, None),
        (
            "hyper_parameter_tuning_job",
            {"training": job(count=2), "max_parallel": 2},
            ("ml.m5.large-training", 4),
        ),
        ("hyper_parameter_tuning_job", {"training": job(count=2), "max_parallel": 3}, None),
    ],
)
def test_a_job_takes_as_many_slots_as_it_uses_instances(
    kind: str, given: dict[str, Any], pool: tuple[str, int] | None
) -> None:
    assert pool_of(kind, given, POOLS) == pool
