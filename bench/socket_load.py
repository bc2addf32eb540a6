"""Listens on many WebSockets, in a process of its own.

Reads lines of JSON on standard input:

    {"open": {"url", "sockets", "joins": [[topic, token], ...], "deflate"}}
        opens that many sockets, each with the next join, in turns; without joins they speak
        Socket.IO. Answers {"seconds"} when all have joined
    {"count": marker, "doze": seconds}    begins to count it; {"ready"}. Up to the next line the
        process sleeps for so long at a time, however much comes meanwhile; 0 wakes for all of it
    {"until": n}    when it has come n times, on all sockets together, {"first", "last"}: when the
        first and the last of them arrived
    {"steady": n}    {"ready"}; then, when every socket has been sent the numbers 0 to n - 1, as
        #00000000#, {"arrivals": [[when, ...], ...]}: when each number arrived, anywhere
    {"cut": true}    {"ready"}; from now on the server may close sockets, which is a failure before
    {"resume": n, "url"}    opens all of them at once, each from the offset that it has. When each
        has the next n offsets, in order, {"joined": [seconds, ...], "resumed": [seconds, ...]}:
        how long it took each

When is in seconds of time.perf_counter(), which is the same clock in every process. A failure ends
the process with a line on standard error.
"""

import asyncio
import functools
import json
import os
import sys
import time
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from bench.dialects import Dialect, Roost, SocketIo
from bench.socket_watches import Count, Resumption, Seam, Steady, Watch

# Servers take a client for gone after 45 to 60.
KEEPALIVE_SECONDS: Final = 20.0
KEEPALIVES_PER_TURN: Final = 50

# What has not come by then is lost.
PATIENCE: Final = 120.0

# So many that have not joined yet, unless all are to come at once.
WAVE: Final = 50

# The loopback has some 28,000 ports for each address of a client.
SOCKETS_PER_ADDRESS: Final = 4_000

RETRY_SECONDS: Final = 0.2

# A line has all tokens.
LONGEST_LINE: Final = 64 * 1024 * 1024


class Listener(asyncio.Protocol):
    """A client."""

    def __init__(self, dialect: Dialect, load: "Load") -> None:
        self.seam = Seam()
        self.transport: asyncio.Transport | None = None
        self.is_joined = False
        self._dialect = dialect
        self._load = load
        self._is_open = False

    # uvloop's transport is not a subclass of asyncio's.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._is_open = self.is_joined = False
        self.seam.tail = b""
        transport.write(self._dialect.upgrade())

    def data_received(self, data: bytes) -> None:
        if self.is_joined:
            if self._load.watch is not None:
                self._load.watch.see(self.seam, data)
        elif self._is_open:
            self._look_for_join(data)
        elif data.startswith(b"HTTP/1.1 101"):
            self._is_open = True
            assert self.transport is not None
            self.transport.write(self._dialect.join(self.seam.last_offset))
        else:
            raise RuntimeError(f"no WebSocket: {data!r}")

    def _look_for_join(self, data: bytes) -> None:
        offset = self._dialect.joined_at(data)
        if offset is None:
            return
        self.is_joined = True
        self._load.has_joined()
        if self._load.watch is None:
            self.seam.last_offset = offset
        else:
            # What it lacks may come with the answer.
            self._load.watch.see(self.seam, data)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._load.has_lost(error)

    def keep_alive(self) -> None:
        """Says that it is there."""
        if self.is_joined and self.transport is not None:
            self.transport.write(self._dialect.keepalive)


class Load:
    """All clients.

    watch -- what is looked for now
    """

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self._listeners: list[Listener] = []
        self._joined: list[float] = []
        self._changed = asyncio.Event()
        self._may_be_lost = False
        self._dozing: asyncio.Task[None] | None = None

    def has_joined(self) -> None:
        """One of the clients has."""
        self._joined.append(time.perf_counter())
        self._changed.set()

    def has_lost(self, error: Exception | None) -> None:
        """One of the clients has lost its connection."""
        if not self._may_be_lost:
            raise RuntimeError(f"the server has closed a socket: {error}")

    async def serve(self) -> None:
        """Does what it is told."""
        asyncio.get_running_loop().set_exception_handler(_fail)
        keeper = asyncio.create_task(self._keep_alive())
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        async for line in reader:
            if self._dozing is not None:
                self._dozing.cancel()
            _say(await self._do(json.loads(line)))
        keeper.cancel()
        self._may_be_lost = True

    async def _do(self, job: dict[str, Any]) -> dict[str, Any]:
        if "open" in job:
            return await self._open(**job["open"])
        if "count" in job:
            self.watch = Count(job["count"].encode())
            if job["doze"]:
                self._dozing = asyncio.create_task(self._doze(job["doze"]))
            return {"ready": True}
        if "until" in job:
            assert isinstance(self.watch, Count)
            self.watch.expect(job["until"])
            return await self._finish(self.watch)
        if "steady" in job:
            self.watch = Steady(job["steady"], len(self._listeners))
            _say({"ready": True})
            return await self._finish(self.watch)
        if "cut" in job:
            self._may_be_lost = True
            return {"ready": True}
        return await self._resume(job["resume"], job["url"])

    async def _finish(self, watch: Watch) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            await watch.done.wait()
        self.watch = None
        return watch.answer()

    async def _open(
        self, url: str, sockets: int, joins: list[list[str]], *, deflate: bool
    ) -> dict[str, Any]:
        started = time.perf_counter()
        for number in range(sockets):
            dialect: Dialect = (
                Roost(*joins[number % len(joins)], deflate=deflate) if joins else SocketIo()
            )
            listener = Listener(dialect, self)
            self._listeners.append(listener)
            await self._connect(number, listener, url)
            await self._until_joined(number - WAVE)
        await self._until_joined(sockets)
        return {"seconds": time.perf_counter() - started}

    async def _resume(self, missed: int, url: str) -> dict[str, Any]:
        self._joined.clear()
        watch = Resumption({each.seam: each.seam.last_offset + missed for each in self._listeners})
        self.watch = watch
        started = time.perf_counter()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(
                *(
                    self._connect(number, listener, url)
                    for number, listener in enumerate(self._listeners)
                )
            )
            await self._until_joined(len(self._listeners))
            await watch.done.wait()
        self.watch = None
        return {
            "joined": [when - started for when in self._joined],
            "resumed": [when - started for when in watch.answer()["resumed"]],
        }

    async def _connect(self, number: int, listener: Listener, url: str) -> None:
        address = urlsplit(url)
        while True:
            try:
                await asyncio.get_running_loop().create_connection(
                    functools.partial(_same, listener),
                    address.hostname or "",
                    address.port or 80,
                    local_addr=(f"127.0.0.{number // SOCKETS_PER_ADDRESS + 1}", 0),
                )
            except ConnectionError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _until_joined(self, number: int) -> None:
        while len(self._joined) < number:
            self._changed.clear()
            await self._changed.wait()

    async def _doze(self, seconds: float) -> None:
        while True:
            # All of the process, so that nothing that comes wakes it.
            time.sleep(seconds)  # noqa: ASYNC251
            await asyncio.sleep(0)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEPALIVE_SECONDS / 2)
            listeners = self._listeners.copy()
            for place in range(0, len(listeners), KEEPALIVES_PER_TURN):
                turn = listeners[place : place + KEEPALIVES_PER_TURN]
                for listener in turn:
                    listener.keep_alive()
                await asyncio.sleep(KEEPALIVE_SECONDS / 2 * len(turn) / len(listeners))


def _same(listener: Listener) -> Listener:
    return listener


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _fail(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    print(f"socket_load: {context['message']}: {context.get('exception')}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    uvloop.run(Load().serve())
