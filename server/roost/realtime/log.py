"""The event log as the relay reads it: pages of events, in order, with holes noticed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from roost.database.pipeline import Multiplexer
from roost.database.queries import READ_EVENTS
from roost.realtime.protocol import Version, broadcast_frame, broadcast_message

# A page aims at this many bytes. Events are between 100 bytes and 256 KiB, so what that is in rows
# is learnt from page to page.
PAGE_BYTES: Final = 262_144
FIRST_PAGE_ROWS: Final = 64
MOST_PAGE_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event. payload is JSON text, as the database keeps it."""

    offset: int
    id: str
    event: str
    payload: bytes
    epoch: str

    def frame(self, version: Version, topic: bytes, *, replayed: bool = False) -> bytes:
        """The WebSocket frame for a subscriber; topic is the joined name as a JSON string."""
        message = broadcast_message(
            self.event,
            self.payload,
            event_id=self.id,
            offset=self.offset,
            epoch=self.epoch,
            replayed=replayed,
        )
        return broadcast_frame(version, topic, message)


@dataclass(slots=True)
class Page:
    """
    What follows a place in a topic.

    events -- the next ones, each with the offset after the one before
    resumes_at -- offset of the first event behind a hole, if the log has lost what comes next
    full -- there may be more
    """

    events: list[Event] = field(default_factory=list)
    resumes_at: int | None = None
    full: bool = False


class LogReader:
    """Reads pages, and learns how many rows make one. Each user has a reader of its own."""

    __slots__ = ("_multiplexer", "_rows")

    def __init__(self, multiplexer: Multiplexer) -> None:
        self._multiplexer = multiplexer
        self._rows = FIRST_PAGE_ROWS

    async def read(self, positions: Mapping[str, int]) -> dict[str, Page]:
        """What follows an offset in each topic, in one query; topics without news are left out.

        Raises DatabaseError, DatabaseUnavailable.
        """
        limit = max(1, self._rows // len(positions))
        rows = await self._multiplexer.call(
            READ_EVENTS,
            (
                text_array(positions),
                text_array(map(str, positions.values())),
                b"%d" % limit,
            ),
            None,
        )
        pages: dict[str, Page] = {}
        found = dict.fromkeys(positions, 0)
        size = 0
        for row in rows:
            # No column of the log is ever NULL.
            topic, event_offset, event_id, event, payload, epoch = (value or b"" for value in row)
            name, offset = topic.decode(), int(event_offset)
            page = pages.setdefault(name, Page())
            found[name] += 1
            size += len(payload)
            if page.resumes_at is not None:
                continue
            if offset != positions[name] + len(page.events) + 1:
                page.resumes_at = offset
                continue
            page.events.append(
                Event(offset, event_id.decode(), event.decode(), payload, epoch.decode())
            )
        for name, page in pages.items():
            page.full = found[name] == limit
        if size > PAGE_BYTES:
            self._rows = max(1, self._rows * PAGE_BYTES // size)
        elif any(page.full for page in pages.values()):
            self._rows = min(self._rows * 2, MOST_PAGE_ROWS)
        return pages


def text_array(values: Iterable[str]) -> bytes:
    """An array as PostgreSQL reads it from text, of any type whose elements are given as text."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{{{}}}".format(",".join(f'"{value}"' for value in quoted)).encode()
