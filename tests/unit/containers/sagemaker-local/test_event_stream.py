"""The event stream encoding, as botocore reads it."""

from __future__ import annotations

import pytest
from botocore.eventstream import EventStreamBuffer

from sagemaker_local.event_stream import event, exception


@pytest.mark.parametrize("payload", [b"", b"part", bytes(range(256)) * 1000])
def test_an_event_is_read_as_it_was_written(payload: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event("PayloadPart", payload))
    (message,) = buffer
    assert message.payload == payload
    assert message.headers[":event-type"] == "PayloadPart"
    assert message.headers[":message-type"] == "event"


def test_messages_follow_one_another_whatever_the_pieces() -> None:
    buffer = EventStreamBuffer()
    for byte in event("PayloadPart", b"one") + exception("ModelStreamError", b"{}"):
        buffer.add_data(bytes([byte]))
    first, second = buffer
    assert (first.payload, second.headers[":exception-type"]) == (b"one", "ModelStreamError")
