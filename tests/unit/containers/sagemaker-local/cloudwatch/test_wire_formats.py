"""What botocore's own serialisers write is what is read, in every protocol."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore import serialize
from hypothesis import given, settings
from hypothesis import strategies as st

from sagemaker_local.cloudwatch.wire_formats import (
    CborFormat,
    JsonFormat,
    QueryFormat,
    WireFormat,
    iso,
    wire_format,
)
from sagemaker_local.errors import SerializationException
from sagemaker_local.protocol import service_model

MODEL = service_model("cloudwatch")
OPERATION = MODEL.operation_model("PutMetricData")

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
datums = st.fixed_dictionaries(
    {"MetricName": texts, "Values": st.lists(numbers, min_size=1, max_size=15)},
    optional={
        "Timestamp": st.integers(0, 4_000_000_000),
        "Dimensions": st.lists(
            st.fixed_dictionaries({"Name": texts, "Value": texts}), min_size=1, max_size=12
        ),
        "StorageResolution": st.integers(1, 60),
    },
)
requests = st.fixed_dictionaries(
    {"Namespace": texts, "MetricData": st.lists(datums, min_size=1, max_size=12)},
    optional={"StrictEntityValidation": st.booleans()},
)


def body_of(serialized: dict[str, Any]) -> bytes:
    body = serialized["body"]
    if isinstance(body, dict):
        return urlencode(body).encode()
    return body if isinstance(body, bytes) else str(body).encode()


@pytest.mark.parametrize(
    ("protocol", "kind"), [("smithy-rpc-v2-cbor", CborFormat), ("json", JsonFormat), ("query", QueryFormat)]
)
@given(request=requests)
@settings(max_examples=60, deadline=None)
def test_a_request_arrives_as_it_was_sent(protocol: str, kind: type, request: dict[str, Any]) -> None:
    given_ = {
        **request,
        "MetricData": [
            datum
            | (
                {"Timestamp": datetime.datetime.fromtimestamp(datum["Timestamp"], datetime.UTC)}
                if "Timestamp" in datum
                else {}
            )
            for datum in request["MetricData"]
        ],
    }
    serialized = serialize.create_serializer(protocol).serialize_to_request(given_, OPERATION)
    headers = {name.lower(): value for name, value in serialized["headers"].items()}
    body = body_of(serialized)
    if protocol == "query":
        headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
    form = wire_format(serialized["url_path"], "", headers, body)
    assert isinstance(form, kind)
    assert form.operation == "PutMetricData"
    assert form.parse(OPERATION.input_shape, body) == request


def test_members_are_in_the_order_of_their_numbers() -> None:
    names = [f"Action=ListMetrics&Dimensions.member.{number}.Name=n{number}" for number in range(12, 0, -1)]
    form = QueryFormat(dict(part.split("=") for part in "&".join(names).split("&")))
    parsed = form.parse(MODEL.operation_model("ListMetrics").input_shape, b"")
    assert [each["Name"] for each in parsed["Dimensions"]] == [f"n{number}" for number in range(1, 13)]


@pytest.mark.parametrize("protocol", ["smithy-rpc-v2-cbor", "json", "query"])
@given(request=st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(protocol: str, request: bytes) -> None:
    read: dict[str, Callable[[], WireFormat]] = {
        "smithy-rpc-v2-cbor": lambda: CborFormat("PutMetricData"),
        "json": lambda: JsonFormat("PutMetricData"),
        "query": lambda: wire_format("/", "", {"content-type": "application/x-www-form-urlencoded"}, request),
    }
    try:
        read[protocol]().parse(OPERATION.input_shape, request)
    except SerializationException:
        return


def test_not_finite_numbers_keep_their_meaning_in_json() -> None:
    body = b'{"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": "NaN"}]}'
    parsed = JsonFormat("PutMetricData").parse(OPERATION.input_shape, body)
    assert math.isnan(parsed["MetricData"][0]["Value"])


def test_times_of_the_query_protocol_have_milliseconds() -> None:
    assert iso(1_800_000_000.25) == "2027-01-15T08:00:00.250Z"
