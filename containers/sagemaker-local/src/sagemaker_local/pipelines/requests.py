"""A step's evaluated arguments as the request that they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from sagemaker_local.pipelines.expressions import text


def shaped(shape: Shape, value: Any) -> Any:
    """A value as a shape of the service model wants it.

    Parameters are typed by the pipeline: an Integer one may stand where the request has text, such as a
    hyperparameter. Members that are null are left out, as clients do.

    Args:
        shape: The operation's input, or a part of it.
        value: The arguments, or a part of them.
    """
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        return {
            name: shaped(shape.members[name], each) if name in shape.members else each
            for name, each in value.items()
            if each is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [shaped(shape.member, each) for each in value]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {name: shaped(shape.value, each) for name, each in value.items()}
    if shape.type_name == "string" and isinstance(value, bool | int | float):
        return text(value)
    return value
