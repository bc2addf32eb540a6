"""What the sockets of a load look for in what they are sent. They do not look at frames at all, so
that counting costs as little as can be, and the same for every protocol.
"""

import asyncio
import re
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

_NUMBER: Final = re.compile(rb"#(\d{8})#")
# As a stored event has it: the answer to a join has another one in front.
_OFFSET: Final = re.compile(rb'"id":"[^"]{36}","offset":(\d+),')
# The longest match, less one.
_TAIL: Final = 80


class Seam:
    """The end of what a socket was sent last, since the stream may cut in two what is looked for.

    last_offset -- of a topic of Roost's: up to where the socket has it
    """

    def __init__(self) -> None:
        self.tail = b""
        self.last_offset = 0

    def matches(self, pattern: re.Pattern[bytes], data: bytes) -> Iterator[int]:
        """The numbers that a pattern finds in what has come, each once."""
        data = self.tail + data
        end = 0
        for match in pattern.finditer(data):
            end = match.end()
            yield int(match[1])
        self.tail = data[max(end, len(data) - _TAIL) :]


class Watch(Protocol):
    """done -- is set when all has come that was expected"""

    done: asyncio.Event

    def see(self, seam: Seam, data: bytes) -> None:
        """A socket was sent something."""

    def answer(self) -> dict[str, Any]:
        """What has come."""


class Count:
    """Counts a marker, on all sockets together."""

    def __init__(self, marker: bytes) -> None:
        self.done = asyncio.Event()
        self._marker = marker
        self._keep = len(marker) - 1
        self._expected = sys.maxsize
        self._count = 0
        self._first = self._last = 0.0

    def expect(self, number: int) -> None:
        """It is done with so many, which may have come already."""
        self._expected = number
        self._look()

    def _look(self) -> None:
        if self._count >= self._expected:
            self.done.set()

    def see(self, seam: Seam, data: bytes) -> None:
        count = data.count(self._marker)
        count += (seam.tail + data[: self._keep]).count(self._marker)
        seam.tail = data[-self._keep :]
        if count:
            self._last = time.perf_counter()
            if not self._count:
                self._first = self._last
            self._count += count
            self._look()

    def answer(self) -> dict[str, Any]:
        return {"first": self._first, "last": self._last}


class Steady:
    """Takes down when numbers arrive."""

    def __init__(self, numbers: int, sockets: int) -> None:
        self.done = asyncio.Event()
        self._missing = numbers * sockets
        self._arrivals: list[list[float]] = [[] for _ in range(numbers)]

    def see(self, seam: Seam, data: bytes) -> None:
        now = time.perf_counter()
        for number in seam.matches(_NUMBER, data):
            self._arrivals[number].append(now)
            self._missing -= 1
        if self._missing <= 0:
            self.done.set()

    def answer(self) -> dict[str, Any]:
        return {"arrivals": self._arrivals}


class Resumption:
    """Looks that every socket gets the offsets that it lacks, each once and in order.

    ends -- the last of them, for each socket
    """

    def __init__(self, ends: Mapping[Seam, int]) -> None:
        self.done = asyncio.Event()
        self._ends = ends
        self._times: list[float] = []

    def see(self, seam: Seam, data: bytes) -> None:
        for offset in seam.matches(_OFFSET, data):
            if offset != seam.last_offset + 1:
                raise RuntimeError(f"offset {offset} came behind {seam.last_offset}")
            seam.last_offset = offset
            if offset == self._ends[seam]:
                self._times.append(time.perf_counter())
        if len(self._times) == len(self._ends):
            self.done.set()

    def answer(self) -> dict[str, Any]:
        return {"resumed": self._times}
