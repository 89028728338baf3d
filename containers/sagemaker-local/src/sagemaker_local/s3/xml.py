"""S3's XML: documents from nested Python values, and the few that come in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from sagemaker_local.s3.errors import MalformedXML

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

MAXIMUM_TAGS = 250_000
"""Of a document that comes in; completing an upload of 10,000 parts takes a tenth of them."""

Value = str | int | bool | datetime | Mapping[str, "Value"] | Iterable["Value"] | None
"""None leaves the element out; an iterable repeats it."""

Encoder = Callable[[str], str]
"""How keys are written: as they are, or for ``encoding-type=url``."""


def document(root: str, content: Mapping[str, Value], *, namespace: str = NAMESPACE) -> bytes:
    """A document; the order of ``content`` is the order of the elements."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        f'<{root} xmlns="{namespace}">' if namespace else f"<{root}>",
    ]
    for name, value in content.items():
        _write(parts, name, value)
    parts.append(f"</{root}>")
    return "".join(parts).encode("utf-8")


def _write(parts: list[str], name: str, value: Value) -> None:
    if value is None:
        return
    if isinstance(value, Mapping):
        parts.append(f"<{name}>")
        for child, child_value in value.items():
            _write(parts, child, child_value)
        parts.append(f"</{name}>")
    elif isinstance(value, str | int | datetime):
        parts.append(f"<{name}>{_text(value)}</{name}>")
    else:
        for item in value:
            _write(parts, name, item)


def _text(value: str | int | datetime) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if isinstance(value, int):
        return str(value)
    escaped = escape(value, {"\r": "&#13;", '"': "&quot;"})
    # XML 1.0 cannot hold other control characters; AWS writes the references all the same, and clients that
    # mind ask for encoding-type=url.
    return "".join(c if c >= " " or c in "\t\n" else f"&#x{ord(c):x};" for c in escaped)


def url_encoded(text: str) -> str:
    """A key as it stands in a listing with ``encoding-type=url``."""
    return quote(text, safe="/")


def parse(body: bytes, root: str) -> ElementTree.Element:
    """A document that came in, with namespaces taken off.

    Raises:
        MalformedXML: not XML, or another root element.
    """
    try:
        text = body.decode("utf-8-sig")  # in UTF-16 it could hide what follows
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise MalformedXML("document types are not allowed")
        if text.count("<") > MAXIMUM_TAGS:
            raise MalformedXML(f"more than {MAXIMUM_TAGS} tags")
        element = ElementTree.fromstring(text)  # noqa: S314 - entities are refused above
    except (ElementTree.ParseError, ValueError) as error:
        raise MalformedXML(str(error)) from error
    for node in element.iter():
        node.tag = node.tag.rpartition("}")[2]
    if element.tag != root:
        raise MalformedXML(f"<{root}> was expected, <{element.tag}> came")
    return element


def text_of(element: ElementTree.Element, name: str) -> str:
    """The text of a child that must be there.

    Raises:
        MalformedXML: it is not.
    """
    child = element.find(name)
    if child is None:
        raise MalformedXML(f"<{element.tag}> lacks <{name}>")
    return child.text or ""
