"""Templates of a pipeline's tasks without a run: what a run will only know stands as `<task.field>`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from airflow_sagemaker.names import TEMPLATE_MACROS
from airflow_sagemaker.specs.base import Spec

PLACEHOLDER = re.compile(r"<[^<>]+>")
STAND_INS: Mapping[str, str] = {
    "arn": "arn:aws:sagemaker:us-east-1:000000000000:model-package/known-in-the-run/1",
    "uri": "s3://known-in-the-run/objects/",
    "other": "known-in-the-run",
}
"""What a placeholder is taken for where a request is validated."""

SpecType = TypeVar("SpecType", bound=Spec)


class Later:
    """A value that an earlier task leaves as XCom; what is taken out of it is as unknown as it is itself."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getitem__(self, key: object) -> Later:
        return Later(f"{self._path}.{key}")

    def get(self, key: object, default: object = None) -> Later:
        """As a mapping would."""
        return self[key]

    def __str__(self) -> str:
        return f"<{self._path}>"


@dataclass
class Run:
    """What the templates of a run are rendered with; `airflow/sdk/definitions/context.py` has the real one.

    :param xcoms: what is known already of what tasks will leave, by task
    """

    dag_id: str
    run_id: str
    logical_date: datetime | None
    params: Mapping[str, Any]
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_pull(self, task_ids: str) -> Any:
        """As a task instance's method of that name."""
        return self.xcoms.get(task_ids, Later(task_ids))

    def text(self, template: str) -> str:
        """One template, rendered."""
        environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        environment.globals.update(TEMPLATE_MACROS)
        return environment.from_string(template).render(
            ti=self,
            task_instance=self,
            dag={"dag_id": self.dag_id},
            run_id=self.run_id,
            logical_date=self.logical_date,
            params=self.params,
        )

    def spec(self, given: SpecType) -> SpecType:
        """A spec with every text in it rendered, as the operator does it."""
        return type(given).model_validate(self._rendered(given.model_dump(mode="json")))

    def _rendered(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._rendered(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._rendered(item) for item in value]
        return self.text(value) if isinstance(value, str) else value


def unknown_in(value: object) -> list[str]:
    """The placeholders in a value, each once."""
    if isinstance(value, Mapping):
        found = [name for item in value.values() for name in unknown_in(item)]
    elif isinstance(value, list | tuple):
        found = [name for item in value for name in unknown_in(item)]
    else:
        found = PLACEHOLDER.findall(value) if isinstance(value, str) else []
    return list(dict.fromkeys(found))


def with_stand_ins(value: Any) -> Any:
    """The value with something of the right form for every placeholder."""
    if isinstance(value, Mapping):
        return {key: with_stand_ins(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_stand_ins(item) for item in value]
    return PLACEHOLDER.sub(_stand_in, value) if isinstance(value, str) else value


def _stand_in(found: re.Match[str]) -> str:
    words = set(re.split(r"[._<>]", found[0]))
    if " " in found[0]:  # not a field of a task, but what is made of one
        return STAND_INS["other"]
    if "arn" in words:
        return STAND_INS["arn"]
    return STAND_INS["uri" if words & {"uri", "output", "outputs", "location"} else "other"]
