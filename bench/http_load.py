"""Sends one HTTP request again and again over several connections, as fast as answers come.

A process of its own, so that it does not share a core's turn with what it measures. It reads lines
of JSON on standard input, {"url", "seconds", "requests": [raw request, ...]} (one connection for
each raw request), and answers each with {"count", "errors"}.
"""

import asyncio
import functools
import json
import sys
from urllib.parse import urlsplit

import uvloop


class Sender(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self, request: bytes) -> None:
        self.count = 0
        self.errors = 0
        self.running = True
        self.ended = asyncio.Event()
        self._request = request
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    # uvloop's transport is not a subclass of asyncio's.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end >= 0:
            at = buffer.lower().index(b"content-length:") + 15
            length = int(buffer[at : buffer.index(b"\r\n", at)])
            if len(buffer) >= end + 4 + length:
                self._buffer = b""
                if buffer.startswith(b"HTTP/1.1 200"):
                    self.count += 1
                else:
                    self.errors += 1
                assert self._transport is not None
                if self.running:
                    self._transport.write(self._request)
                else:
                    self.ended.set()
                    self._transport.close()
                return
        self._buffer = buffer


def _same(sender: Sender) -> Sender:
    return sender


async def _load(url: str, seconds: float, requests: list[str]) -> dict[str, int]:
    loop = asyncio.get_running_loop()
    address = urlsplit(url)
    senders = [Sender(request.encode()) for request in requests]
    for sender in senders:
        await loop.create_connection(
            functools.partial(_same, sender), address.hostname or "", address.port or 80
        )
    await asyncio.sleep(seconds / 5)
    before = sum(sender.count for sender in senders)
    started = loop.time()
    await asyncio.sleep(seconds)
    counted = sum(sender.count for sender in senders) - before
    elapsed = loop.time() - started
    for sender in senders:
        sender.running = False
    # What comes after this is not disturbed by it, and finds all of it done.
    for sender in senders:
        await sender.ended.wait()
    return {
        "count": round(counted / elapsed),
        "errors": sum(sender.errors for sender in senders),
    }


async def _serve() -> None:
    for line in sys.stdin:
        print(json.dumps(await _load(**json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
