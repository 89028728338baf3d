"""``include/quotas.yaml``: how many instances of a type Airflow lets jobs of a kind use at once.

Each line makes one Airflow pool, which the tasks of such jobs take slots of, as many as their job uses
instances. They then queue in Airflow, in its order of priority, where AWS would refuse them. A type that is
not named has no pool, and nothing changes for its tasks.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import Field, ValidationError

from airflow_sagemaker.specs.base import JsonObject, Spec

FILE = "quotas.yaml"

ACCOUNT: Literal["account"] = "account"
"""As many as Service Quotas says that the account may use."""

Instances: TypeAlias = Annotated[int, Field(ge=1)] | Literal["account"]
ByType: TypeAlias = Mapping[Annotated[str, Field(pattern=r"^ml\.[a-z0-9.-]+$")], Instances]

USAGES: Mapping[str, str] = {
    "training_job": "training",
    "hyper_parameter_tuning_job": "training",
    "processing_job": "processing",
    "transform_job": "transform",
}
"""Field of :class:`Quotas` by kind of job; a compilation uses no instances of the account's."""


class QuotasFileError(ValueError):
    """``quotas.yaml`` cannot be used; the text has one line for each problem."""


class Quotas(Spec):
    """Instances by type, for each use that AWS counts by itself."""

    training: ByType = Field(default_factory=dict)
    """Also of tuning jobs, whose training jobs count."""
    processing: ByType = Field(default_factory=dict)
    transform: ByType = Field(default_factory=dict)

    def pools(self) -> dict[str, int | None]:
        """Slots by name of the pool; None where Service Quotas has to be asked."""
        return {
            pool_name(usage, instance_type): None if instances == ACCOUNT else int(instances)
            for usage in type(self).model_fields
            for instance_type, instances in getattr(self, usage).items()
        }


def pool_name(usage: str, instance_type: str) -> str:
    """Of letters, digits, dots and hyphens, as names of metrics are: ``ml.m5.large-training``."""
    return f"{instance_type}-{usage}"


def quota_name(pool: str) -> str:
    """As Service Quotas calls what a pool stands for: ``ml.m5.large for training job usage``."""
    instance_type, _, usage = pool.rpartition("-")
    return f"{instance_type} for {usage} job usage"


def pool_of(kind: str, job: JsonObject, pools: Mapping[str, int | None]) -> tuple[str, int] | None:
    """The pool of a job and the slots that it takes; None where it has none, or would never fit in.

    What never fits in would never start; without a pool AWS says so itself.

    :param kind: key of :data:`airflow_sagemaker.kinds.KINDS`
    :param job: its spec as a dict, perhaps not rendered yet
    """
    if kind not in USAGES:
        return None
    resources = job.get("training", job).get("resources", {})
    instance_type = resources.get("instance_type", "")
    name = pool_name(USAGES[kind], str(instance_type))
    try:
        slots = int(resources.get("instance_count", 1)) * int(job.get("max_parallel", 1))
    except ValueError:  # a template
        return None
    if name not in pools:
        return None
    size = pools[name]
    return None if size is not None and slots > size else (name, slots)


def load_quotas(include: Path) -> Quotas:
    """The quotas of an include folder; none without the file.

    :raises QuotasFileError: with file, field and what is allowed
    """
    path = include / FILE
    try:
        modified_ns = path.stat().st_mtime_ns
    except FileNotFoundError:
        return Quotas()
    return _load(path, modified_ns)


@functools.lru_cache(maxsize=4)
def _load(path: Path, modified_ns: int) -> Quotas:
    try:
        given: Any = yaml.safe_load(path.read_text()) or {}
        return Quotas.model_validate(given)
    except yaml.YAMLError as error:
        raise QuotasFileError(f"{path}: {error}") from None
    except ValidationError as error:
        problems = [
            f"{path}: {'.'.join(str(part) for part in each['loc'])}: {each['msg']}; write, for example, "
            "'training: {ml.m5.large: 4}' or 'training: {ml.m5.large: account}'"
            for each in error.errors(include_url=False)
        ]
        raise QuotasFileError("\n".join(problems)) from None
