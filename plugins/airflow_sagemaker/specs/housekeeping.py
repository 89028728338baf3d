"""``include/housekeeping.yaml``: how long what nothing uses any more is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from airflow_sagemaker.specs.base import Spec

FILE = "housekeeping.yaml"


class HousekeepingFileError(ValueError):
    """``housekeeping.yaml`` cannot be used; the text has one line for each problem."""


class Retention(Spec):
    """Days that things are kept after they were made; None keeps them for ever."""

    endpoint_configs_days: int | None = Field(default=30, ge=1)
    models_days: int | None = Field(default=30, ge=1)
    job_logs_days: int | None = Field(default=90, ge=1)


def load_retention(include: Path) -> Retention:
    """The retention of an include folder; the defaults without the file.

    :raises HousekeepingFileError: with file, field and cause
    """
    path = include / FILE
    try:
        given: Any = yaml.safe_load(path.read_text()) or {}
        return Retention.model_validate(given)
    except FileNotFoundError:
        return Retention()
    except yaml.YAMLError as error:
        raise HousekeepingFileError(f"{path}: {error}") from None
    except ValidationError as error:
        problems = [
            f"{path}: {'.'.join(str(part) for part in each['loc'])}: {each['msg']}; write a number of days, "
            "or null to keep for ever"
            for each in error.errors(include_url=False)
        ]
        raise HousekeepingFileError("\n".join(problems)) from None
