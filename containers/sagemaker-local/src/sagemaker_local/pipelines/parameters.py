"""Parameters of a pipeline: declared types, defaults, and the values of one execution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagemaker_local.errors import ValidationException


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError as error:
        raise ValueError(text) from error


TYPES: Mapping[str, Callable[[str], Any]] = {
    "String": str,
    "Integer": int,
    "Float": float,
    "Boolean": _boolean,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as the definition declares it."""

    name: str
    type: str
    default: Any
    allowed: tuple[Any, ...]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Parameter:
        """From an entry of the definition's ``Parameters``.

        Raises:
            ValidationException: the type is unknown, or the default does not fit it.
        """
        if given.get("Type") not in TYPES:
            raise ValidationException(
                f"Unable to parse pipeline definition. Parameter '{given.get('Name')}' has the type "
                f"'{given.get('Type')}'; there are {', '.join(TYPES)}"
            )
        parameter = cls(
            given["Name"], given["Type"], given.get("DefaultValue"), tuple(given.get("EnumValues", ()))
        )
        if parameter.default is not None:
            parameter.value(parameter.default)
        return parameter

    def value(self, given: Any) -> Any:
        """A given value as the declared type.

        Raises:
            ValidationException: it does not fit.
        """
        try:
            value = TYPES[self.type](given if isinstance(given, str) else written(given))
        except ValueError as error:
            raise ValidationException(
                f"Parameter '{self.name}' must be of type {self.type}, not '{given}'"
            ) from error
        if self.allowed and value not in self.allowed:
            raise ValidationException(
                f"Parameter '{self.name}' must be one of {', '.join(map(str, self.allowed))}, not '{given}'"
            )
        return value


def values(declared: Mapping[str, Parameter], given: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The values of one execution: those given, else the defaults.

    Raises:
        ValidationException: a parameter is unknown, given twice, does not fit or has no value.
    """
    names = [each["Name"] for each in given]
    if unknown := [name for name in names if name not in declared]:
        raise ValidationException(
            f"Unknown parameters: {', '.join(unknown)}; the pipeline has {', '.join(declared) or 'none'}"
        )
    if len(set(names)) < len(names):
        raise ValidationException(f"Parameters must be given once: {', '.join(names)}")
    by_name = {each["Name"]: each["Value"] for each in given}
    found = {
        name: parameter.value(by_name.get(name, parameter.default))
        for name, parameter in declared.items()
        if by_name.get(name, parameter.default) is not None
    }
    if missing := [name for name in declared if name not in found]:
        raise ValidationException(f"Parameters {', '.join(missing)} have no default and must be given values")
    return found


def written(value: Any) -> str:
    """A value as ListPipelineParametersForExecution writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
