"""Listens on many WebSockets and counts what arrives, in a process of its own.

Reads lines of JSON on standard input. {"url", "topic", "token", "sockets", "marker"} opens that
many sockets, joins, and answers {"joined": n}; {"expect": n} then waits until every socket has seen
its marker n times since the last such line, and answers {"first", "last"}: when the first and the
last of them arrived, by the system's monotonic clock in seconds.
"""

import asyncio
import base64
import json
import os
import struct
import sys
import time
from urllib.parse import urlsplit

import uvloop


class Listener(asyncio.Protocol):
    """A WebSocket client that only counts a marker in what it is sent.

    It does not look at frames at all, so that counting costs as little as can be.
    """

    def __init__(self, handshake: bytes, join: bytes, marker: bytes, arrivals: "Arrivals") -> None:
        self._handshake = handshake
        self._join = join
        self._marker = marker
        self._arrivals = arrivals
        self._open = False
        self._tail = b""
        self._keep = len(marker) - 1

    # uvloop's transport is not a subclass of asyncio's.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        if not self._open:
            self._open = True
            self._transport.write(self._join)
            return
        # A marker may be cut in two by the stream.
        count = data.count(self._marker)
        seam = self._tail + data[: self._keep]
        count += seam.count(self._marker)
        self._tail = data[-self._keep :]
        if count:
            self._arrivals.add(count)
        elif b'"phx_reply"' in data:
            self._arrivals.joined(b'"ok"' in data)


class Arrivals:
    """Counts over all sockets."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.count = 0
        self.members = 0
        self.expected = 0
        self.changed = asyncio.Event()

    def add(self, count: int) -> None:
        self.last = time.perf_counter()
        if not self.count:
            self.first = self.last
        self.count += count
        if self.count >= self.expected:
            self.changed.set()

    def joined(self, ok: bool) -> None:
        if not ok:
            raise RuntimeError("a join was refused")
        self.members += 1
        self.changed.set()


def _frame(text: str) -> bytes:
    """A masked text frame, as clients have to send them (RFC 6455); the mask is zero."""
    payload = text.encode()
    assert 125 < len(payload) < 65536
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(payload)) + bytes(4) + payload


async def _open(
    arrivals: Arrivals, url: str, topic: str, token: str, sockets: int, marker: str
) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    address = urlsplit(url)
    key = base64.b64encode(os.urandom(16)).decode()
    handshake = (
        f"GET /realtime/v1/websocket?vsn=2.0.0&apikey=bench HTTP/1.1\r\nHost: bench\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()
    payload = {"config": {"private": True}, "access_token": token}
    join = _frame(json.dumps(["1", "1", f"realtime:{topic}", "phx_join", payload]))
    for number in range(sockets):
        await loop.create_connection(
            lambda: Listener(handshake, join, marker.encode(), arrivals),
            address.hostname or "",
            address.port or 80,
        )
        # Joined in waves, so that the listen queue does not overflow.
        while arrivals.members < number - 50:
            arrivals.changed.clear()
            await arrivals.changed.wait()
    while arrivals.members < sockets:
        arrivals.changed.clear()
        await arrivals.changed.wait()
    return {"joined": arrivals.members}


async def _expect(arrivals: Arrivals, count: int) -> dict[str, float]:
    arrivals.expected = count * arrivals.members
    while arrivals.count < arrivals.expected:
        arrivals.changed.clear()
        if arrivals.count < arrivals.expected:
            await arrivals.changed.wait()
    answer = {"first": arrivals.first, "last": arrivals.last}
    arrivals.count = arrivals.expected = 0
    return answer


async def _serve() -> None:
    arrivals = Arrivals()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        job = json.loads(line)
        if "expect" in job:
            answer = await _expect(arrivals, job["expect"])
        else:
            answer = await _open(arrivals, **job)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
