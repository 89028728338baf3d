"""A hyperparameter as a pipeline declares it: a value, and the limits of its field in the trigger form."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, model_validator

from airflow_sagemaker.specs.base import Spec


def _scalar(value: object) -> object:
    if not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not allowed; allowed: a number, text, true or false")
    return value


class Hyperparameter(Spec):
    """One hyperparameter: its value, and what the trigger form says about it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    value: Annotated[int | float | str | bool, BeforeValidator(_scalar)]
    """The value used unless a run overrides it."""
    help: str
    """Shown beside the field in the trigger form."""
    minimum: float | None = None
    """Smallest value the form accepts (numbers only)."""
    maximum: float | None = None
    """Largest value the form accepts (numbers only)."""
    choices: tuple[str, ...] = ()
    """The only values the form accepts (text only)."""

    @model_validator(mode="after")
    def _value_is_allowed(self) -> Self:
        """Airflow refuses the whole DAG file for a default that its own form would not accept."""
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if (self.minimum is not None or self.maximum is not None) and not number:
            raise ValueError("minimum and maximum are for numbers; use choices for text")
        if self.choices and not isinstance(self.value, str):
            raise ValueError("choices are for text; use minimum and maximum for numbers")
        if self.choices and self.value not in self.choices:
            raise ValueError(f"value {self.value!r} is none of the choices: {', '.join(self.choices)}")
        if isinstance(self.value, int | float) and not (
            (self.minimum is None or self.value >= self.minimum)
            and (self.maximum is None or self.value <= self.maximum)
        ):
            raise ValueError(f"value {self.value} is not between {self.minimum} and {self.maximum}")
        return self
