"""ReceiveMessage of SQS: who waits for messages holds up nobody else.

moto waits inside the one call that it answers at a time; so here it is asked again, without a wait, whenever
something may have come.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

from sagemaker_local.moto_bridge import Answer, Call, MotoBridge

WAIT_MOST_S = 20
LOOK_EVERY_S = 0.1
"""How soon a waiting client learns of what another sent."""
ASK_EVERY_S = 1.0
"""How soon it gets what comes by itself: delayed messages, and those that nobody deleted in time."""


async def receive_message(moto: MotoBridge, call: Call, gone: Callable[[], Awaitable[bool]]) -> Answer:
    """Answer with messages as soon as there are some, else at the end of WaitTimeSeconds.

    Args:
        moto: Keeps the queues.
        call: The request, of the JSON or the query protocol.
        gone: Tells whether the client has left, who is to take no message with him.
    """
    wait_s, short = await asyncio.to_thread(_without_wait, moto, call)
    deadline = time.monotonic() + wait_s
    calls, ask_at = -1, 0.0
    while True:
        if moto.calls != calls or time.monotonic() >= ask_at:
            calls = moto.calls
            answer = await asyncio.to_thread(moto, short)
            at = time.monotonic()
            if answer.status != 200 or b"ReceiptHandle" in answer.body or at >= deadline or await gone():
                return answer
            ask_at = min(deadline, at + ASK_EVERY_S)
        await asyncio.sleep(LOOK_EVERY_S)


def _without_wait(moto: MotoBridge, call: Call) -> tuple[int, Call]:
    """How long the request waits, by itself or by its queue, and the same without; a wrong one stays."""
    is_json = "x-amz-target" in call.headers
    try:
        asked = (
            json.loads(call.body) if is_json else dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        )
        wanted = asked.get("WaitTimeSeconds")
        queue_url = asked.get("QueueUrl") or call.path
        wait_s = (
            moto.queue_wait_s(queue_url.rstrip("/").rpartition("/")[2]) if wanted is None else int(wanted)
        )
    except (ValueError, AttributeError):
        return 0, call
    if not 0 <= wait_s <= WAIT_MOST_S:
        return 0, call
    short = {**asked, "WaitTimeSeconds": 0}
    body = json.dumps(short) if is_json else urlencode(short)
    return wait_s, dataclasses.replace(call, body=body.encode())
