"""Tells the other servers what this one has learnt, through PostgreSQL's NOTIFY.

Topics and control messages go before ephemeral events, of which there may be any number: a topic
waits for one notification at most. An ephemeral event never goes before a topic that was told
before it, so that it overtakes no end of a right.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from roost.database.pipeline import Multiplexer
from roost.database.queries import KEEP_LARGE_BROADCAST, NOTIFY_EVENTS
from roost.errors import RoostError
from roost.realtime.lines import EPHEMERAL, Reference, read_line
from roost.realtime.presence import CHANGED

logger = logging.getLogger(__name__)

# NOTIFY takes payloads below 8000 bytes.
LONGEST_NOTIFICATION: Final = 7_900

# The first notification goes at once, those behind it are collected for this long: 32 writers then
# cost 100 notifications a second instead of one for each commit.
NOTIFICATION_SPACING_SECONDS: Final = 0.01

# Ephemeral events go in more than one, up to this many for each that has the topics.
NOTIFICATIONS_PER_TURN: Final = 16

# Lines that are many: ephemeral events, and topics in which presence has changed when somebody with
# many channels goes. They are told as they fit, instead of as "anything".
_SINGLE: Final = (EPHEMERAL, CHANGED)

# What waits to be told of these. The oldest go when there are more.
MOST_WAITING_BYTES: Final = 8_388_608

# What the database is given to keep, a second and at once: it keeps each for a minute or two. What
# is more is dropped, so that nobody fills the disk.
KEPT_BYTES_PER_SECOND: Final = 4_194_304
MOST_KEPT_AT_ONCE: Final = 33_554_432


class Announces(Protocol):
    """What a relay needs of who tells the others."""

    @property
    def untold(self) -> int:
        """How many ephemeral events wait to be told."""

    def announce(self, lines: Iterable[str]) -> None:
        """Tells what is in these lines (see `lines`), soon."""

    async def run(self) -> None:
        """Tells them, for ever."""

    async def close(self, seconds: float) -> None:
        """Tells what is waiting still, for so long at most."""


class Announcer:
    """One a host. `announce` returns without waiting."""

    def __init__(self, multiplexer: Multiplexer, node_id: str) -> None:
        self._multiplexer = multiplexer
        self._head = node_id.encode()
        # Said twice, a topic is still read once.
        self._lines: dict[str, None] = {}
        # Two ephemeral events may well be alike.
        self._ephemeral: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        # What may be kept still, as of a time by the loop's clock.
        self._keepable = float(MOST_KEPT_AT_ONCE)
        self._keepable_at = 0.0
        self._news = asyncio.Event()
        self._lines_news = asyncio.Event()
        self._has_told_lines = False

    @property
    def untold(self) -> int:
        """How many ephemeral events wait to be told."""
        return len(self._ephemeral)

    def announce(self, lines: Iterable[str]) -> None:
        """Tells what is in these lines (see `lines`), soon."""
        for line in lines:
            if line.startswith(_SINGLE):
                self._ephemeral.append(line.encode())
                self._waiting_bytes += len(self._ephemeral[-1])
            else:
                # Events that come with it are read by the others.
                self._lines[line.partition("\t")[0]] = None
                self._lines_news.set()
        while self._waiting_bytes > MOST_WAITING_BYTES:
            self._take_first()
            self._dropped += 1
        self._news.set()

    async def run(self) -> None:
        """Tells the others, for ever; one notification at a time, each with all that has come up.

        What can't be sent is dropped: the others poll, and check their sessions.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            while self._lines or self._ephemeral:
                try:
                    await self._tell()
                except RoostError as error:
                    logger.warning("cannot notify the other servers: %s", error)
                except Exception:
                    logger.exception("unexpected error while notifying the other servers")
                if self._dropped:
                    logger.warning(
                        "%d ephemeral events were not sent on: there were too many", self._dropped
                    )
                    self._dropped = 0
                await self._pause()

    async def close(self, seconds: float) -> None:
        """Tells what is waiting still, for so long at most."""
        try:
            async with asyncio.timeout(seconds):
                while self._lines or self._ephemeral:
                    await self._tell()
        except TimeoutError:
            logger.warning("cannot notify the other servers: no time is left")
        except RoostError as error:
            logger.warning("cannot notify the other servers: %s", error)

    async def _pause(self) -> None:
        """A moment in which more comes up. Topics do not wait for one after ephemeral events."""
        if self._has_told_lines:
            self._has_told_lines = False
            await asyncio.sleep(NOTIFICATION_SPACING_SECONDS)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NOTIFICATION_SPACING_SECONDS):
                    await self._lines_news.wait()

    async def _tell(self) -> None:
        for _ in range(NOTIFICATIONS_PER_TURN):
            if not self._lines:
                await self._keep_first()
            payload = self.pack()
            if payload is None:
                return
            await self._multiplexer.call(NOTIFY_EVENTS, (payload,), None)

    def pack(self) -> bytes | None:
        """The next payload for NOTIFY, None when there is none. The first has all topics and
        control messages; when these are too many it has no line, for "anything". Ephemeral events
        follow as they fit, up to one that fits in none.
        """
        payload = self._head
        if self._lines:
            payload = b"\n".join((self._head, *(line.encode() for line in self._lines)))
            self._lines.clear()
            self._lines_news.clear()
            self._has_told_lines = True
            if len(payload) > LONGEST_NOTIFICATION:
                return self._head
        while self._ephemeral and len(payload) + self._size_of_first() <= LONGEST_NOTIFICATION:
            payload += b"\n" + self._take_first()
        return None if payload == self._head else payload

    async def _keep_first(self) -> None:
        """Gives an event that fits in no notification to the database; its id takes its place."""
        if not self._ephemeral or (len(self._head) + self._size_of_first() <= LONGEST_NOTIFICATION):
            return
        line = self._take_first().decode()
        try:
            broadcast = read_line(line)
        except ValueError as error:
            logger.warning("an ephemeral event is malformed: %s", error)
            return
        if isinstance(broadcast, Reference):
            # Its names alone are too long.
            logger.warning("an ephemeral event of %d bytes can't be sent on", len(line))
            return
        now = asyncio.get_running_loop().time()
        self._keepable += (now - self._keepable_at) * KEPT_BYTES_PER_SECOND
        self._keepable = min(self._keepable, MOST_KEPT_AT_ONCE) - len(line)
        self._keepable_at = now
        if self._keepable < 0:
            self._keepable += len(line)
            self._dropped += 1
            return
        ((kept_id,),) = await self._multiplexer.call(
            KEEP_LARGE_BROADCAST,
            (
                broadcast.topic.encode(),
                broadcast.event.encode(),
                None if broadcast.is_raw else broadcast.payload,
                b"\\x%b" % broadcast.payload.hex().encode() if broadcast.is_raw else None,
            ),
            None,
        )
        reference = Reference(broadcast.topic, broadcast.event, (kept_id or b"").decode())
        self._ephemeral.appendleft(reference.line().encode())
        self._waiting_bytes += len(self._ephemeral[0])

    def _size_of_first(self) -> int:
        return 1 + len(self._ephemeral[0])

    def _take_first(self) -> bytes:
        line = self._ephemeral.popleft()
        self._waiting_bytes -= len(line)
        return line
