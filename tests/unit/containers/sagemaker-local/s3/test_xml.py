from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.s3 import xml
from sagemaker_local.s3.errors import MalformedXML


def test_values_become_elements_in_order() -> None:
    written = xml.document(
        "Root",
        {
            "Text": "a & <b>",
            "Number": 1,
            "Truth": True,
            "Time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "Absent": None,
            "Many": ["x", "y"],
            "None": [],
            "Nested": {"Child": [{"Key": "k"}]},
        },
        namespace="",
    )
    assert written == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Root><Text>a &amp; &lt;b&gt;</Text><Number>1</Number>'
        b"<Truth>true</Truth><Time>2026-01-02T03:04:05.000Z</Time><Many>x</Many><Many>y</Many>"
        b"<Nested><Child><Key>k</Key></Child></Nested></Root>"
    )


@given(text=st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")))
def test_any_text_comes_back(text: str) -> None:
    root = ElementTree.fromstring(xml.document("Root", {"Key": text + "\r\n\t"}, namespace=""))  # noqa: S314
    assert root.findtext("Key") == text + "\r\n\t"


@given(key=st.text(st.characters(codec="utf-8")))
def test_url_encoded_keys_are_plain(key: str) -> None:
    assert xml.url_encoded(key).isascii()
    assert " " not in xml.url_encoded(key)


def test_namespaces_do_not_matter_on_the_way_in() -> None:
    body = f'<Delete xmlns="{xml.NAMESPACE}"><Object><Key>k</Key></Object></Delete>'.encode()
    assert xml.parse(body, "Delete").findtext("Object/Key") == "k"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete>",
        b"<Other/>",
        b'<!DOCTYPE d [<!ENTITY a "aaaa">]><Delete>&a;</Delete>',
    ],
)
def test_other_documents_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedXML):
        xml.parse(body, "Delete")
