"""The event log as the relay reads it: pages of events, in order, with holes noticed."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from roost.database.pipeline import Multiplexer, Rows
from roost.database.queries import READ_EVENTS
from roost.realtime.protocol import broadcast_message

# A read aims at this many bytes of payload. Most events have some hundred, some 256 KiB, so what
# that is in rows is learnt from read to read, and the database ends a topic's page where that was
# wrong.
PAGE_BYTES: Final = 262_144
FIRST_PAGE_ROWS: Final = 64
MOST_PAGE_ROWS: Final = 2_000

# A topic's share of a read for many topics: enough for what one wake-up usually announces, since a
# page that is cut short costs another read.
LEAST_TOPIC_BYTES: Final = 16_384


# Of Event.revokes.
EVERYBODY: Final = "everybody"

# What stands in place of an event that a subscriber may not see, so that offsets have no gap.
HIDDEN_EVENT: Final = "hidden"
HIDDEN_PAYLOAD: Final = b"{}"


@dataclass(slots=True)
class Event:
    """A stored event.

    payload -- JSON text, as the database keeps it
    about -- offset of the event that made what this one is about; else its own
    revokes -- whose right to the topic ends with it: a user id or EVERYBODY
    grants_topic, grants_after -- in an inbox: a topic that may be read from now on, and the offset
        to begin behind
    written_at -- when, by the monotonic clock; None for what is older than version 0.2.0
    """

    topic: str
    offset: int
    id: str
    event: str
    payload: bytes
    epoch: str
    about: int
    revokes: str | None
    grants_topic: str | None
    grants_after: int
    written_at: float | None
    _messages: dict[tuple[bool, ...], bytes] = field(default_factory=dict, repr=False)

    def message(
        self,
        *,
        visible_after: int = 0,
        inner: bool = False,
        replayed: bool = False,
        silent: bool = False,
    ) -> bytes:
        """The message for a subscriber who may see what is about offsets behind visible_after.

        inner -- it is heard in another topic, so it says which its own is
        """
        hidden = 0 < visible_after >= self.about
        key = (hidden, inner, replayed, silent)
        message = self._messages.get(key)
        if message is None:
            message = self._messages[key] = broadcast_message(
                HIDDEN_EVENT if hidden else self.event,
                HIDDEN_PAYLOAD if hidden else self.payload,
                event_id=self.id,
                offset=self.offset,
                epoch=self.epoch,
                topic=self.topic if inner else None,
                replayed=replayed,
                silent=silent,
            )
        return message


def told_event(line: str) -> Event:
    """The event that a line of roost.touched tells (see realtime.append), committed just now."""
    topic, offset, event_id, event, epoch, about, revokes, grants_topic, grants_after, payload = (
        line.split("\t")
    )
    return Event(
        topic,
        int(offset),
        event_id,
        event,
        payload.encode(),
        epoch,
        int(about or offset),
        revokes or None,
        grants_topic or None,
        int(grants_after or 0),
        time.monotonic(),
    )


@dataclass(slots=True)
class Page:
    """
    What follows a place in a topic.

    epoch -- of the log when it was read
    events -- the next ones, each with the offset after the one before
    resumes_at -- offset of the first event behind a hole, if the log has lost what comes next
    rows, size -- what was read, behind a hole too, and the bytes of its payloads
    full -- there may be more
    """

    epoch: str
    events: list[Event] = field(default_factory=list)
    resumes_at: int | None = None
    rows: int = 0
    size: int = 0
    full: bool = False


# In the rows of READ_EVENTS.
_AGE: Final = 10

# Asks for what follows an offset in each topic: so many rows of each at most, and so many bytes of
# payload. The rows are as of READ_EVENTS, but instead of an age have the time of the event by the
# monotonic clock, which all processes of a host share. Raises RoostError.
Ask = Callable[[Mapping[str, int], int, int], Awaitable[Rows]]


def ask_database(multiplexer: Multiplexer) -> Ask:
    """Asks in one query."""

    async def ask(positions: Mapping[str, int], limit: int, most_bytes: int) -> Rows:
        rows = await multiplexer.call(
            READ_EVENTS,
            (
                text_array(positions),
                text_array(map(str, positions.values())),
                b"%d" % limit,
                b"%d" % most_bytes,
            ),
            None,
        )
        now = time.monotonic()
        for row in rows:
            # The database's clock may be another machine's.
            age = row[_AGE]
            if age is not None:
                row[_AGE] = b"%f" % (now - float(age))
        return rows

    return ask


class LogReader:
    """Reads pages, and learns how many rows to ask for. Each user has a reader of its own."""

    __slots__ = ("_ask", "_rows")

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._rows = FIRST_PAGE_ROWS

    @property
    def most_topics(self) -> int:
        """How many topics to read at a time, since a page has at least one event, however large."""
        return self._rows

    async def read(self, positions: Mapping[str, int]) -> dict[str, Page]:
        """What follows an offset in each topic; topics without news are left out.

        A page that ends before its topic does is `full`. Raises DatabaseError, DatabaseUnavailable.
        """
        limit = max(1, self._rows // len(positions))
        most_bytes = max(LEAST_TOPIC_BYTES, PAGE_BYTES // len(positions))
        rows = await self._ask(positions, limit, most_bytes)
        pages: dict[str, Page] = {}
        for row in rows:
            # Only what an event is about, revokes, grants and its time may be NULL; none is empty.
            (
                topic,
                event_offset,
                event_id,
                event,
                payload,
                epoch,
                about,
                revokes,
                grants_topic,
                grants_after,
                written_at,
            ) = (value or b"" for value in row)
            name, offset = topic.decode(), int(event_offset)
            page = pages.get(name)
            if page is None:
                page = pages[name] = Page(epoch.decode())
            page.rows += 1
            page.size += len(payload)
            if page.resumes_at is not None:
                continue
            if offset != positions[name] + len(page.events) + 1:
                page.resumes_at = offset
                continue
            page.events.append(
                Event(
                    name,
                    offset,
                    event_id.decode(),
                    event.decode(),
                    payload,
                    page.epoch,
                    int(about or offset),
                    revokes.decode() or None,
                    grants_topic.decode() or None,
                    int(grants_after or 0),
                    float(written_at) if written_at else None,
                )
            )
        for page in pages.values():
            page.full = page.rows == limit or page.size >= most_bytes
        size = sum(page.size for page in pages.values())
        if size > PAGE_BYTES:
            self._rows = max(1, len(rows) * PAGE_BYTES // size)
        elif len(positions) >= self._rows or any(page.rows == limit for page in pages.values()):
            self._rows = min(self._rows * 2, MOST_PAGE_ROWS)
        return pages


def text_array(values: Iterable[str]) -> bytes:
    """An array as PostgreSQL reads it from text, of any type whose elements are given as text."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{{{}}}".format(",".join(f'"{value}"' for value in quoted)).encode()
