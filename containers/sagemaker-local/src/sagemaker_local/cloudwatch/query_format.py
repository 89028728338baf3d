"""The query protocol's forms and XML documents, by the shapes of botocore's model.

``MetricData.member.1.Value=2`` becomes ``{"MetricData": [{"Value": 2.0}]}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from sagemaker_local.errors import SerializationException

NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"
NAME_PARTS = 32
"""A parameter's name nests no deeper."""

Tree = dict[str, Any]


def parse(shape: StructureShape, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The request of a form; parameters that the model does not know are passed over, as AWS does."""
    tree: Tree = {}
    for name, value in parameters.items():
        parts = name.split(".")
        if len(parts) > NAME_PARTS:
            raise SerializationException(f"The parameter '{name[:100]}…' nests too deep")
        node = tree
        for part in parts[:-1]:
            child = node.setdefault(part, {})
            if not isinstance(child, dict):
                raise SerializationException(f"'{name}' is both a value and a structure")
            node = child
        node[parts[-1]] = value
    parsed: dict[str, Any] = _parsed(shape, tree, "the request")
    return parsed


def _parsed(shape: Shape, node: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        tree = _tree(node, path)
        return {
            name: _parsed(member, tree[name], name) for name, member in shape.members.items() if name in tree
        }
    if isinstance(shape, ListShape):
        if node == "":
            return []  # how an empty list is written
        items = _tree(_tree(node, path).get("member", {}), path)
        return [_parsed(shape.member, items[number], path) for number in _numbers(items, path)]
    if isinstance(shape, MapShape):
        entries = _tree(_tree(node, path).get("entry", {}), path)
        chosen = [_tree(entries[number], path) for number in _numbers(entries, path)]
        return {str(entry.get("key")): _parsed(shape.value, entry.get("value"), path) for entry in chosen}
    if not isinstance(node, str):
        raise SerializationException(f"'{path}' must be one value")
    return _scalar(shape, node, path)


def _tree(node: Any, path: str) -> Tree:
    if not isinstance(node, dict):
        raise SerializationException(f"'{path}' must be a structure, not '{node}'")
    return node


def _numbers(items: Tree, path: str) -> list[str]:
    if not all(number.isdecimal() and len(number) < 10 for number in items):
        raise SerializationException(f"The members of '{path}' must be numbered")
    return sorted(items, key=int)


def _scalar(shape: Shape, text: str, path: str) -> Any:
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        raise SerializationException(f"'{path}' must be of type {shape.type_name}, not '{text}'") from None
    return text


def document(operation: OperationModel, result: Any, request_id: str) -> bytes:
    """A result in its envelope; timestamps are text already."""
    name = operation.name
    body = ""
    if operation.output_shape is not None:
        body = f"<{name}Result>{''.join(_written(operation.output_shape, result))}</{name}Result>"
    return (
        f'<{name}Response xmlns="{NAMESPACE}">{body}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
    ).encode()


def error_document(code: str, message: str, status: int, request_id: str) -> bytes:
    """A refusal in its envelope."""
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{"Receiver" if status >= 500 else "Sender"}</Type>'
        f"<Code>{_text(code)}</Code><Message>{_text(message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _written(shape: Shape, value: Any) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield f"<{name}>"
                yield from _written(member, value[name])
                yield f"</{name}>"
    elif isinstance(shape, ListShape):
        for item in value:
            yield "<member>"
            yield from _written(shape.member, item)
            yield "</member>"
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield f"<entry><key>{_text(key)}</key><value>"
            yield from _written(shape.value, item)
            yield "</value></entry>"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    else:
        yield _text(str(value))


def _text(value: str) -> str:
    """Text as XML 1.0 can hold it; other control characters become replacement characters."""
    return escape("".join(c if c >= " " or c in "\t\n\r" else "\ufffd" for c in value), {"\r": "&#13;"})
