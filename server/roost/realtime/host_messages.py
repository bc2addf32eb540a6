"""What the processes of one host say to each other, over a socket pair.

A message is the length of what follows (4 bytes), its kind (1), the number of the question that it
asks or answers (4, else 0), and a body. Numbers are big-endian. The processes are of one version
and start each other, so nothing is checked that only a mistake in here could bring about.
"""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

import orjson

from roost.database.pipeline import Rows
from roost.errors import RoostError

_HEAD: Final = struct.Struct("!IBI")
_LENGTH: Final = struct.Struct("!i")
_NUMBERS: Final = struct.Struct("!II")
_NULL: Final = -1


class Kind(IntEnum):
    """
    To the hub:
    READY -- the worker takes requests
    READ -- a question: {"positions": {<topic>: <offset>}, "limit", "bytes"}, as of log.Ask
    FIGURES -- the answer to ASK_FIGURES, a text

    To a worker:
    RECONNECTED -- notifications may have been lost
    ANYTHING -- a server had too many lines to say them
    RELOAD -- the functions have changed
    ROWS -- the answer to READ
    FAILED -- the other answer to READ, an error

    To both:
    LINES -- news, see `lines`
    ASK_FIGURES -- a question: what the worker counts; to the hub, what all of them count, to which
        ALL_FIGURES is the answer: {<name>: <text>}
    """

    READY = 1
    READ = 2
    FIGURES = 3
    RECONNECTED = 4
    ANYTHING = 5
    RELOAD = 6
    ROWS = 7
    FAILED = 8
    LINES = 9
    ASK_FIGURES = 10
    ALL_FIGURES = 11


class Messages(asyncio.Protocol):
    """One end of the pair."""

    def __init__(
        self,
        receive: Callable[[Kind, int, bytes], None],
        on_lost: Callable[[], None],
    ) -> None:
        """
        receive -- is called with kind, number and body of each message
        on_lost -- is called when the other end is gone
        """
        self._receive = receive
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._begun = bytearray()

    @property
    def unsent_bytes(self) -> int:
        """What the other end has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, kind: Kind, body: bytes = b"", number: int = 0) -> None:
        """Writes a message, without waiting. What is written to nobody is lost."""
        if self._transport is not None:
            self._transport.write(_HEAD.pack(len(body), kind, number) + body)

    def close(self) -> None:
        """Ends the connection, after what is written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol -------------------------------------------------------------------------

    # uvloop's transport is not a subclass of asyncio's.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        begun = self._begun
        begun += data
        start = 0
        while len(begun) - start >= _HEAD.size:
            length, kind, number = _HEAD.unpack_from(begun, start)
            end = start + _HEAD.size + length
            if len(begun) < end:
                break
            body = bytes(begun[start + _HEAD.size : end])
            start = end
            self._receive(Kind(kind), number, body)
        del begun[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- either way it ended
        """See asyncio."""
        self._transport = None
        self._on_lost()


def pack_rows(rows: Rows) -> bytes:
    """Rows as bytes: their number, the columns' number, and each value behind its length."""
    parts = [_NUMBERS.pack(len(rows), len(rows[0]) if rows else 0)]
    for row in rows:
        for value in row:
            if value is None:
                parts.append(_LENGTH.pack(_NULL))
            else:
                parts.append(_LENGTH.pack(len(value)))
                parts.append(value)
    return b"".join(parts)


def unpack_rows(body: bytes) -> Rows:
    """The rows again."""
    number, columns = _NUMBERS.unpack_from(body)
    at = _NUMBERS.size
    rows: Rows = []
    for _ in range(number):
        row: list[bytes | None] = []
        for _ in range(columns):
            (length,) = _LENGTH.unpack_from(body, at)
            at += _LENGTH.size
            if length == _NULL:
                row.append(None)
            else:
                row.append(body[at : at + length])
                at += length
        rows.append(row)
    return rows


def pack_error(error: RoostError) -> bytes:
    """An error as bytes."""
    return orjson.dumps(
        {
            "code": error.code,
            "message": error.message,
            "details": error.details,
            "hint": error.hint,
            "status": error.status,
        }
    )


def unpack_error(body: bytes) -> RoostError:
    """The error again."""
    said: dict[str, Any] = orjson.loads(body)
    return RoostError(**said)
