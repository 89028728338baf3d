"""Calls as cheap as a client can make them: prepared bytes on kept connections, answers checked and counted.

boto3 makes a few hundred calls a second and process and would be what is measured. This makes 15,000 and more
in a process of its own. Run by path it prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Rate:
    """What a run of calls came to.

    Attributes:
        calls: Answered with 200.
        errors: Answered with anything else.
        seconds: It took.
        p50_ms: Half of the calls took no longer.
        p99_ms: 99 of 100 took no longer.
    """

    calls: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        """Calls in a second."""
        return self.calls / self.seconds


class Caller(asyncio.Protocol):
    """One connection: sends the next request when the last is answered.

    Args:
        requests: Sent in turn.
        until: Time of the event loop at which it sends no more.
    """

    def __init__(self, requests: Sequence[bytes], until: float) -> None:
        self._requests = requests
        self._until = until
        self._next = 0
        self._sent_at = 0.0
        self._buffer = b""
        self.latencies_s: list[float] = []
        self.errors = 0
        self.done = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        if self._sent_at >= self._until:
            self._transport.close()
            return
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        """Take the answer; count it once it is whole."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        stop = head.find(b"\r", at)
        length = int(head[at:] if stop < 0 else head[at:stop])
        if len(self._buffer) < end + 4 + length:
            return
        if head.startswith(b"http/1.1 200"):
            self.latencies_s.append(time.perf_counter() - self._sent_at)
        else:
            self.errors += 1
        self._buffer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or we, closed."""
        self.done.set()


async def call(host: str, port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Rate:
    """Call for some seconds over some connections."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    callers = []
    for number in range(connections):
        first = number * len(requests) // connections
        turned = [*requests[first:], *requests[:first]]
        caller = Caller(turned, started + seconds)
        await loop.create_connection(functools.partial(_same, caller), host, port)
        callers.append(caller)
    await asyncio.gather(*(caller.done.wait() for caller in callers))
    took_s = time.perf_counter() - started
    latencies = sorted(latency for caller in callers for latency in caller.latencies_s) or [0.0]
    return Rate(
        calls=sum(len(caller.latencies_s) for caller in callers),
        errors=sum(caller.errors for caller in callers),
        seconds=took_s,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1000,
    )


def _same(caller: Caller) -> Caller:
    return caller


def request(url: str, target: str, body: Mapping[str, object]) -> bytes:
    """The bytes of a call of a JSON service, with the headers that AWS's clients send."""
    address = urlsplit(url)
    text = json.dumps(body).encode()
    credential = "Credential=nobody/20260101/us-east-1/sagemaker/aws4_request"
    signed = f"SignedHeaders=content-type;host, Signature={'0' * 64}"
    headers = {
        "Host": address.netloc,
        "Accept-Encoding": "identity",
        "X-Amz-Target": target,
        "Content-Type": "application/x-amz-json-1.1",
        "User-Agent": "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11",
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": f"AWS4-HMAC-SHA256 {credential}, {signed}",
        "Content-Length": str(len(text)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\n{head}\r\n".encode() + text


def measure(
    url: str, target: str, bodies: Sequence[Mapping[str, object]], *, connections: int, seconds: float
) -> Rate:
    """Call by a process of its own, so that whoever measures does not slow the caller down."""
    plan = {
        "url": url,
        "target": target,
        "bodies": list(bodies),
        "connections": connections,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(plan), capture_output=True, text=True, check=True
    )
    return Rate(**json.loads(done.stdout))


def main() -> None:
    """Carry out the plan on standard input."""
    plan = json.load(sys.stdin)
    address = urlsplit(plan["url"])
    assert address.hostname is not None
    assert address.port is not None
    requests = [request(plan["url"], plan["target"], body) for body in plan["bodies"]]
    rate = asyncio.run(
        call(
            address.hostname, address.port, requests,
            connections=plan["connections"], seconds=plan["seconds"],
        )
    )  # fmt: skip
    print(json.dumps(asdict(rate)))


if __name__ == "__main__":
    main()
