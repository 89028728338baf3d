"""The event stream encoding, as botocore reads it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from sagemaker_local.event_stream import event, exception


@pytest.mark.parametrize("payload", [b"", b"part", bytes(range(256)) * 1000])
def test_an_event_is_read_as_it_was_written(payload: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event("PayloadPart", payload))
    (message,) = buffer
    headers: Any = message.headers
    assert message.payload == payload
    assert headers[":event-type"] == "PayloadPart"
    assert headers[":message-type"] == "event"


def test_messages_follow_one_another_whatever_the_pieces() -> None:
    buffer = EventStreamBuffer()
    for byte in event("PayloadPart", b"one") + exception("ModelStreamError", b"{}"):
        buffer.add_data(bytes([byte]))
    first, second = buffer
    headers: Any = second.headers
    assert (first.payload, headers[":exception-type"]) == (b"one", "ModelStreamError")
