"""A worker's end of its connection to the hub of its host: what it tells, asks and hears there."""

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import orjson

from roost.database.pipeline import Rows
from roost.errors import DatabaseUnavailable, RoostError
from roost.realtime.host_messages import Kind, Messages, unpack_error, unpack_rows
from roost.realtime.lines import split_lines

# More than the hub gives the workers.
FIGURES_SECONDS: Final = 2.0


class Hearer(Protocol):
    """Who is told what the hub says. All return without waiting."""

    def hear(self, lines: list[str]) -> None:
        """News."""

    def look_at_everything(self) -> None:
        """There was more news than could be said."""

    def on_reconnect(self) -> None:
        """News may have been lost."""


class HostLink:
    """One a worker.

    lost -- is done when the hub is gone
    """

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._messages = Messages(self._receive, self._lose)
        self._hearer: Hearer | None = None
        self._reload: Callable[[], None] | None = None
        self._figures: Callable[[], str] | None = None
        # What was announced in this turn of the loop.
        self._lines: list[str] = []
        self._numbers = itertools.count(1)
        self._reads: dict[int, asyncio.Future[Rows]] = {}
        self._asked: dict[int, asyncio.Future[dict[str, str]]] = {}

    async def open(self, end: socket.socket) -> None:
        """Connects."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self._messages, sock=end)

    def begin(self, hearer: Hearer, reload: Callable[[], None], figures: Callable[[], str]) -> None:
        """Says who is told what comes; what came before is lost.

        reload -- the functions have changed
        figures -- gives what this worker counts
        """
        self._hearer = hearer
        self._reload = reload
        self._figures = figures

    def ready(self) -> None:
        """Tells that requests are taken."""
        self._messages.send(Kind.READY)

    # --- as log.Ask -------------------------------------------------------------------------------

    async def ask(self, positions: Mapping[str, int], limit: int, most_bytes: int) -> Rows:
        """See log.Ask."""
        # What is asked for may be what was just announced.
        self._flush()
        number = next(self._numbers)
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._reads[number] = answer
        self._messages.send(
            Kind.READ,
            orjson.dumps({"positions": positions, "limit": limit, "bytes": most_bytes}),
            number,
        )
        try:
            return await answer
        finally:
            self._reads.pop(number, None)

    # --- as Announcer -----------------------------------------------------------------------------

    @property
    def untold(self) -> int:
        """See Announces."""
        return len(self._lines)

    def announce(self, lines: Iterable[str]) -> None:
        """Tells the hub, and through it the other workers and servers, at the end of this turn."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush)
        self._lines.extend(lines)

    async def run(self) -> None:
        """Nothing waits here."""

    async def close(self, seconds: float) -> None:  # noqa: ARG002 -- it takes no time
        """Tells what is waiting still."""
        self._flush()

    def _flush(self) -> None:
        if self._lines:
            self._messages.send(Kind.LINES, "\n".join(self._lines).encode())
            self._lines.clear()

    # --- figures ----------------------------------------------------------------------------------

    async def all_figures(self) -> dict[str, str]:
        """What the workers count, and the hub, by name. Raises TimeoutError."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._messages.send(Kind.ASK_FIGURES, number=number)
        try:
            async with asyncio.timeout(FIGURES_SECONDS):
                return await answer
        finally:
            self._asked.pop(number, None)

    # --- what comes -------------------------------------------------------------------------------

    def _receive(self, kind: Kind, number: int, body: bytes) -> None:
        match kind:
            case Kind.ROWS:
                _answer(self._reads.get(number), unpack_rows(body))
            case Kind.FAILED:
                _refuse(self._reads.get(number), unpack_error(body))
            case Kind.ALL_FIGURES:
                _answer(self._asked.get(number), orjson.loads(body))
            case _ if self._hearer is None or self._reload is None or self._figures is None:
                # It is starting, and reads all from the database.
                pass
            case Kind.LINES:
                self._hearer.hear(split_lines(body.decode()))
            case Kind.ANYTHING:
                self._hearer.look_at_everything()
            case Kind.RECONNECTED:
                self._hearer.on_reconnect()
                self._reload()
            case Kind.RELOAD:
                self._reload()
            case Kind.ASK_FIGURES:
                self._messages.send(Kind.FIGURES, self._figures().encode(), number)

    def _lose(self) -> None:
        lost = DatabaseUnavailable(code="08006", message="The hub of this host is gone.")
        for read in self._reads.values():
            _refuse(read, lost)
        for asked in self._asked.values():
            _refuse(asked, lost)
        if not self.lost.done():
            self.lost.set_result(None)


def _answer(future: "asyncio.Future[Any] | None", value: Any) -> None:
    if future is not None and not future.done():
        future.set_result(value)


def _refuse(future: "asyncio.Future[Any] | None", error: RoostError) -> None:
    if future is not None and not future.done():
        future.set_exception(error)
