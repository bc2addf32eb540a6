"""A connection to which events are written: its channels, what is live and what is behind.

How a frame looks, and what else there is to say on the connection, is of the two kinds of outlets:
`socket` and `event_stream`.
"""

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import islice
from typing import Final

import orjson
from aiohttp import WSCloseCode
from aiohttp.abc import AbstractStreamWriter

from roost.database.pipeline import Identity, Multiplexer
from roost.database.queries import GET_SUBSCRIPTIONS
from roost.errors import DatabaseError, RoostError
from roost.realtime.acknowledgements import Acknowledgements
from roost.realtime.broadcasts import Broadcasts
from roost.realtime.counters import Counters
from roost.realtime.fanout import RETRY_SECONDS, Batch, Channel, Ephemeral, Fanout
from roost.realtime.join import Grant
from roost.realtime.limits import Limits
from roost.realtime.log import Event, LogReader, Page, ask_database
from roost.realtime.outbox import Outbox
from roost.realtime.owners import Owners
from roost.realtime.presence import Message, Presence
from roost.realtime.refusals import must_refetch, no_longer_allowed, presentable, response
from roost.realtime.subscriptions import Delivery, Rules
from roost.tokens import LEEWAY, AccessTokens

logger = logging.getLogger(__name__)

# Up to this many bytes are unsent while drain() does not wait, by the event loops' default.
DRAINED_BYTES: Final = 65_536

# What is as large gains nothing by waiting for more to be written with it.
LARGE_WRITE_BYTES: Final = 16_384

# How long a client has to take what was written before the end.
CLOSE_SECONDS: Final = 2.0

# 4000 to 4999 are free for applications; clients come back after any code but 1000.
SESSION_ENDED: Final = 4401

# How long what was published before the end of a session may take to be read.
LAST_READ_SECONDS: Final = 1.0

# Of an inbox: what the client lacks of a topic that is heard in it is gone.
MUST_REFETCH: Final = "must_refetch"

# What the database says where a session, or whoever it is of, is no more.
_OVER: Final = frozenset({"RO101", "RO102", "RO103"})

_NO_NEWS: Final = Page("")


@dataclass(frozen=True, slots=True)
class Services:
    """What all outlets of a relay share."""

    multiplexer: Multiplexer
    tokens: AccessTokens
    fanout: Fanout
    broadcasts: Broadcasts
    presence: Presence
    sessions: "Owners[Outlet]"
    people: "Owners[Outlet]"
    acknowledgements: Acknowledgements
    # So that a thousand sockets that come back at once leave connections to everybody else.
    catch_up_reads: asyncio.Semaphore
    limits: Limits
    counters: Counters
    outbox: Outbox


class Outlet(ABC):
    """See fanout.Subscriber.

    services -- what it shares with others
    heard_at -- when something last came from the client, by the loop's clock; -inf where nothing
        ever does
    """

    __slots__ = (
        "_behind",
        "_catching_up",
        "_channels",
        "_counters",
        "_ended",
        "_most_unsent",
        "_outbox",
        "_pending",
        "_pending_bytes",
        "_rules_asked",
        "_session_ids",
        "_transport",
        "_user_ids",
        "_writer",
        "heard_at",
        "services",
    )

    def __init__(
        self, services: Services, writer: AbstractStreamWriter, transport: asyncio.WriteTransport
    ) -> None:
        self.services = services
        self.heard_at = -math.inf
        # Looked at for each write.
        self._counters = services.counters
        self._most_unsent = services.limits.unsent_bytes
        self._outbox = services.outbox
        # What was written in this turn of the loop.
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        # The same connection twice: the transport writes at once, the writer waits for room.
        self._writer = writer
        self._transport = transport
        # Of the topics that were joined, by the name in the join.
        self._channels: dict[str, Channel] = {}
        self._behind: dict[Channel, None] = {}
        self._catching_up: asyncio.Task[None] | None = None
        self._rules_asked = 0
        self._session_ids: set[str] = set()
        self._user_ids: set[str] = set()
        self._ended = False

    # --- the connection ---------------------------------------------------------------------------

    @abstractmethod
    async def close(self, code: int, why: str) -> None:
        """Ends all channels without a word and closes the connection, such that the client comes
        back.

        code -- of a WebSocket; never 1000, after which clients stay away
        why -- for people, at most 123 bytes
        """

    @abstractmethod
    def look_after(self, now: float) -> None:
        """Is called every few seconds; now is the loop's clock."""

    @abstractmethod
    def tell_session_over(self, channel: Channel) -> None:
        """Says that the session of a channel is over."""

    @property
    def channel_count(self) -> int:
        """How many topics were joined."""
        return len(self._channels)

    @property
    def unsent_bytes(self) -> int:
        """What was written and can't be handed to the system, since the client does not read, or
        waits for the end of this turn of the loop.
        """
        return self._transport.get_write_buffer_size() + self._pending_bytes

    def flush(self) -> None:
        """Writes what was collected, now. After the end there is nobody to write it to."""
        pending = self._pending
        if pending:
            if not (self._ended or self._transport.is_closing()):
                if len(pending) == 1:
                    self._transport.write(pending[0])
                else:
                    self._transport.writelines(pending)
            # Not the same list: the transport may go on using it.
            self._pending = []
            self._pending_bytes = 0

    def abort(self) -> None:
        """Ends the connection at once, whatever is unsent."""
        self._transport.abort()

    async def end_session(self, session_id: str) -> None:
        """Tells the channels of a session that it is over, and closes the connection.

        What was published before comes first: a device is told that it was revoked.
        """
        reads = self.services.fanout.read(channel.topic for channel in self._channels.values())
        if reads:
            await asyncio.wait(reads, timeout=LAST_READ_SECONDS)
        for channel in self._channels.values():
            if channel.claims.session_id == session_id:
                self.tell_session_over(channel)
        await self.close(SESSION_ENDED, "The session is over")

    def change_device(self, session_id: str, device_id: str) -> set[str]:
        """A session is on this device now: ends its channel of the one before. Returns whose event
        subscriptions are other ones with it.
        """
        channels = [
            channel
            for channel in self._channels.values()
            if channel.claims.session_id == session_id
        ]
        for channel in channels:
            name = channel.topic.name
            if name.startswith("device:") and name != f"device:{device_id}":
                self.fail(channel, no_longer_allowed())
        return {channel.claims.user_id for channel in channels if channel.claims.user_id}

    def expire(self, now: float) -> None:
        """Ends the channels whose access token ran out and was not refreshed; now in Unix time."""
        for channel in list(self._channels.values()):
            late = now - channel.claims.expires_at
            if late > LEEWAY:
                self.fail(
                    channel,
                    RoostError(
                        code="PGRST303",
                        message=f"Token has expired {late:.0f} seconds ago",
                        details=None,
                        hint="Send a new one with the event access_token before it expires.",
                        status=401,
                    ),
                )

    def _end(self) -> None:
        self._ended = True
        # A task that is catching up finds nothing left to do at its next step.
        for channel in list(self._channels.values()):
            self._forget(channel)

    def _write(self, data: bytes) -> None:
        """Writes with what else comes up in this turn of the loop, in order."""
        if data and not (self._ended or self._transport.is_closing()):
            if not self._pending:
                if len(data) >= LARGE_WRITE_BYTES:
                    self._transport.write(data)
                    return
                self._outbox.add(self)
            self._pending.append(data)
            self._pending_bytes += len(data)

    # --- channels ---------------------------------------------------------------------------------

    def place(self, channel: Channel, cursor: int, newest: int) -> None:
        """Begins to deliver to a channel, behind `cursor`; newest is its topic's newest offset."""
        if not self.services.fanout.place(channel, cursor, newest):
            self._fall_behind(channel)

    def drop(self, channel: Channel) -> None:
        """Delivers nothing more to a channel."""
        self._behind.pop(channel, None)
        self.services.fanout.unsubscribe(channel)

    def silence(self, channel: Channel) -> None:
        """See fanout.Subscriber."""
        self.services.presence.leave(channel)

    def fail(self, channel: Channel, error: RoostError) -> None:
        """See fanout.Subscriber. The end of what is heard in an inbox is the inbox's affair."""
        if channel.carrier is not None:
            inbox = channel.carrier.inbox
            if inbox is not None and inbox.channels.get(channel.topic.name) is channel:
                inbox.end(channel, error)
        elif self._has(channel):
            error = presentable(error)
            self._forget(channel)
            self._tell_failure(channel, error)

    @abstractmethod
    def _tell_failure(self, channel: Channel, error: RoostError) -> None:
        """Says why a channel has ended, such that the client joins again."""

    def tell_gone(self, channel: Channel, grant: Grant) -> None:
        """Says of a topic that is heard in an inbox: what the client lacks of it is gone."""
        error = response(must_refetch())
        payload = {
            "topic": grant.topic,
            "offset": grant.newest,
            "epoch": grant.epoch,
            **{name: error[name] for name in ("code", "message", "hint")},
        }
        event = Ephemeral(channel.topic, MUST_REFETCH, orjson.dumps(payload))
        self._write(self._ephemeral_frame(channel, event, silent=False))

    def ask_for_rules(self) -> int:
        """The number of a question that answers with rules, for set_rules(); before it is asked."""
        self._rules_asked += 1
        return self._rules_asked

    def set_rules(self, channel: Channel, rules: Rules | None, asked: int) -> None:
        """From now on the person wants something else of a channel.

        What was asked last counts, in whichever order the answers come: a change is announced
        before that, so that it is known of.
        """
        if asked < channel.rules_asked:
            return
        channel.rules, channel.rules_asked = rules, asked
        if channel.inbox is not None:
            for inner in channel.inbox.channels.values():
                inner.rules = rules

    async def read_rules(self, user_id: str) -> None:
        """Reads anew what a person wants to get on the devices that are behind the channels.

        Raises DatabaseError, DatabaseUnavailable.
        """
        sessions = {
            channel.claims.session_id
            for channel in self._channels.values()
            if channel.claims.user_id == user_id
        }
        for session_id in sessions:
            identity = Identity(b"user", None if session_id is None else session_id.encode())
            asked = self.ask_for_rules()
            try:
                ((answer,),) = await self.services.multiplexer.call(GET_SUBSCRIPTIONS, (), identity)
            except DatabaseError as error:
                if error.sqlstate not in _OVER:
                    raise
                # It has just ended, and its connections end too; the others are read still.
                continue
            for channel in self._channels.values():
                if channel.claims.session_id == session_id:
                    self.set_rules(channel, Rules.read(answer), asked)

    def _has(self, channel: Channel) -> bool:
        return self._channels.get(f"realtime:{channel.topic.name}") is channel

    def _forget(self, channel: Channel) -> None:
        """Ends a channel without a word. Does nothing for one that has ended already."""
        if self._has(channel):
            del self._channels[f"realtime:{channel.topic.name}"]
            if channel.inbox is not None:
                channel.inbox.close()
            self.services.presence.leave(channel)
            self.drop(channel)
            self._belong_to_sessions()

    def _belong_to_sessions(self) -> None:
        """Registers the outlet with sessions and people of its channels, and with no others."""
        claims = {channel.claims for channel in self._channels.values()}
        self._session_ids = self.services.sessions.replace(
            self, self._session_ids, {c.session_id for c in claims if c.session_id is not None}
        )
        self._user_ids = self.services.people.replace(
            self, self._user_ids, {c.user_id for c in claims if c.user_id is not None}
        )

    # --- events -----------------------------------------------------------------------------------

    @abstractmethod
    def _stored_frame(self, channel: Channel, event: Event, message: bytes) -> bytes:
        """An event's message as it is written."""

    @abstractmethod
    def _ephemeral_frame(self, channel: Channel, ephemeral: Ephemeral, *, silent: bool) -> bytes:
        """An ephemeral event as it is written; empty where this connection has no form for it."""

    def _event_frame(self, channel: Channel, event: Event, *, replayed: bool) -> bytes:
        """An event as it is written, nothing if the person does not want it."""
        delivery = Delivery.ALL
        if channel.rules is not None:
            delivery = channel.rules.decide_stored(event)
            if delivery is Delivery.NONE:
                return b""
        message = event.message(
            visible_after=channel.visible_after,
            inner=channel.carrier is not None,
            replayed=replayed,
            silent=delivery is Delivery.SILENT,
        )
        return self._stored_frame(channel, event, message)

    def _batch_frames(self, channel: Channel, batch: Batch, end: int) -> bytes:
        """What a channel lacks of a batch up to `end`, as it is written."""
        return b"".join(
            [
                self._event_frame(channel, event, replayed=False)
                for event in batch.behind(channel.cursor, end)
            ]
        )

    def deliver(self, channel: Channel, batch: Batch) -> None:
        """See fanout.Subscriber."""
        cursor = channel.cursor
        if cursor >= batch.end:
            return
        if cursor < batch.start:
            self._fall_behind(channel)
            return
        last = batch.last_for(channel) if batch.revoked_at else None
        end = batch.end if last is None else last.offset
        frames = self._batch_frames(channel, batch, end)
        size = len(frames)
        if self.unsent_bytes + size > self._most_unsent:
            self._counters.evictions += 1
            self._fall_behind(channel)
        elif not self._transport.is_closing():
            self._write(frames)
            channel.cursor = end
            counters = self._counters
            counters.deliveries += end - cursor
            counters.bytes += size
            if batch.grants and channel.inbox is not None:
                channel.inbox.admit(batch.behind(cursor, end))
            if last is not None:
                self.fail(channel, no_longer_allowed())

    def mention(self, channel: Channel, ephemeral: Ephemeral) -> None:
        """See fanout.Subscriber."""
        delivery = Delivery.ALL
        if channel.rules is not None:
            delivery = channel.rules.decide(channel.topic.name, ephemeral.event)
            if delivery is Delivery.NONE:
                return
        frame = self._ephemeral_frame(channel, ephemeral, silent=delivery is Delivery.SILENT)
        if not frame:
            return
        counters = self._counters
        if self.unsent_bytes + len(frame) <= self._most_unsent:
            self._write(frame)
            counters.mentions += 1
            counters.bytes += len(frame)
        else:
            counters.dropped += 1

    def tell_presence(self, channel: Channel, message: Message) -> bool:
        """See fanout.Subscriber. Presence is for clients that can track it."""
        del channel, message
        return True

    def _fall_behind(self, channel: Channel) -> None:
        channel.live = False
        self._behind[channel] = None
        if self._catching_up is None:
            self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Reads the log for the channels that are behind until none is."""
        reader = LogReader(ask_database(self.services.multiplexer))
        try:
            while self._behind:
                # While this waits no page is held: a client that does not read costs no more than
                # its unsent bytes.
                self.flush()
                await self._writer.drain()
                try:
                    await self._read_on(reader)
                except RoostError as error:
                    logger.warning("cannot read events, trying again: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
        except ConnectionError:
            # The client is gone; whoever serves it ends too.
            pass
        except Exception:
            logger.exception("unexpected error on a socket")
            await self.close(WSCloseCode.INTERNAL_ERROR, "The server failed")
        finally:
            self._catching_up = None

    async def _read_on(self, reader: LogReader) -> None:
        """Reads and writes a page for each of the channels that are behind, or for the first."""
        channels = list(islice(self._behind, reader.most_topics))
        # An inbox may hear what is joined by itself as well: such a topic is read twice.
        channels = list({channel.topic.name: channel for channel in channels}.values())
        if not channels:
            return
        async with self.services.catch_up_reads:
            pages = await reader.read({channel.topic.name: channel.cursor for channel in channels})
        if not await self.services.fanout.are_current(pages):
            return
        for channel in channels:
            if channel in self._behind:
                self._advance(channel, pages.get(channel.topic.name, _NO_NEWS))

    def _advance(self, channel: Channel, page: Page) -> None:
        """Writes what there is room for of a page and, when that closes the gap, goes live: one
        step, nothing in between. What there is no room for is read again, which is rare.
        """
        frames: list[bytes] = []
        unsent = self.unsent_bytes
        is_ended = False
        for event in page.events:
            frame = self._event_frame(channel, event, replayed=event.offset <= channel.replay_end)
            if unsent > DRAINED_BYTES and unsent + len(frame) > self._most_unsent:
                break
            frames.append(frame)
            unsent += len(frame)
            if channel.is_ended_by(event):
                is_ended = True
                break
        self._write(b"".join(frames))
        self._counters.caught_up += len(frames)
        self._counters.bytes += sum(map(len, frames))
        if frames:
            channel.cursor = page.events[len(frames) - 1].offset
        if is_ended:
            self.fail(channel, no_longer_allowed())
            return
        if channel.inbox is not None:
            channel.inbox.admit(page.events[: len(frames)])
        if page.resumes_at is not None and len(frames) == len(page.events):
            self.fail(channel, must_refetch())
            return
        del self._behind[channel]
        if self.services.fanout.place(channel, channel.cursor, channel.replay_end):
            return
        # To the end, so that each has its turn.
        self._behind[channel] = None
        if not page.events:
            # The log is said to go further, and does not.
            self.fail(channel, must_refetch())
