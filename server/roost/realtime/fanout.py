"""From the log to the sockets: topics with local subscribers, wake-ups, and fan-out.

Every channel has a cursor, the offset of the last event that was written to its socket. A channel
is live while its cursor is not behind its topic's head; then a batch that begins at the cursor is
written to it as it is. Any other channel is behind, and its socket reads the log until the channel
is at the head again (`socket`). Both decide on the cursor alone and move it in the step that
writes, so that nothing is lost, doubled or reordered, whatever happens between two steps.

A right to a topic ends in the topic itself, with an event that says whose it is. The database
allows a channel as of an offset; the first such event behind that offset is the last one that the
channel gets, on whichever path and whenever it is read. No word from elsewhere is needed in time.

Ephemeral events are in no log and pass by all this: who is live gets them. They wait only for reads
of their topic that were due before they came, so that none of them overtakes the end of a right.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from roost.database.pipeline import Multiplexer
from roost.database.queries import GET_LOG_EPOCH
from roost.errors import RoostError
from roost.realtime.compression import Deflated
from roost.realtime.counters import Counters
from roost.realtime.log import EVERYBODY, Ask, Event, LogReader, Page, ask_database
from roost.realtime.protocol import Version, ephemeral_message, raw_frame
from roost.realtime.refusals import must_refetch
from roost.tokens import Claims

if TYPE_CHECKING:
    from roost.realtime.broadcasts import Broadcaster
    from roost.realtime.inbox import Inbox
    from roost.realtime.presence import Message
    from roost.realtime.subscriptions import Rules

logger = logging.getLogger(__name__)

# One topic is looked up in some 10 to 30 microseconds. A wake-up waits for one read at most.
TOPICS_PER_READ: Final = 200

# A read is followed by a pause of so many times its duration, unless there was more than a page
# holds: the first news is read at once, and the busier everything is, the more share the next read.
PAUSE_FACTOR: Final = 3
LONGEST_PAUSE: Final = 0.01

# A write takes some microseconds; after this many the loop gets a turn.
SOCKETS_PER_TURN: Final = 500

RETRY_SECONDS: Final = 0.5

# Ephemeral events that wait for a read of their topic, and those that wait for their turn. The
# oldest go when there are more: they are what is worth least.
MOST_HELD: Final = 100
MOST_READY: Final = 10_000

# Ephemeral events of a topic that go out in one write.
MOST_TOGETHER: Final = 100

# Announcements that are remembered while questions are open. With more, all is looked at.
MOST_MISSED: Final = 100_000


class Topic:
    """A topic that somebody here has joined or is joining.

    head -- offset up to which events were handed to the live channels; None until the first join
        has been allowed
    revoked_at -- offset of the last event up to the head that ends somebody's right
    woken_early -- something new was announced before there was a head
    woken_at, taken_at -- when what is to be read, and what is being read, was first announced, by
        the monotonic clock (the loop's stands still within a turn); 0 where nothing was
    """

    __slots__ = (
        "channels",
        "head",
        "joined_name",
        "name",
        "revoked_at",
        "taken_at",
        "woken_at",
        "woken_early",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.joined_name = orjson.dumps(f"realtime:{name}")
        self.head: int | None = None
        self.revoked_at = 0
        self.woken_early = False
        self.woken_at = self.taken_at = 0.0
        self.channels: set[Channel] = set()


class Batch:
    """Events of one topic, without a hole, as frames that are built when first asked for.

    revoked_at -- offset of the last event that ends somebody's right; 0 without one
    grants -- whether one of them grants a right to another topic
    """

    __slots__ = (
        "_about",
        "_deflated",
        "_frames",
        "_topic",
        "end",
        "events",
        "grants",
        "revoked_at",
        "start",
    )

    def __init__(self, topic: Topic, events: list[Event]) -> None:
        self.events = events
        self.start = events[0].offset - 1
        self.end = events[-1].offset
        self.revoked_at = max((event.offset for event in events if event.revokes), default=0)
        self.grants = any(event.grants_topic for event in events)
        self._about = min(event.about for event in events)
        self._topic = topic
        self._frames: dict[tuple[Version, int, int, int, int], bytes] = {}
        self._deflated = Deflated()

    def last_for(self, channel: "Channel") -> Event | None:
        """The event with which the channel's right ends, if it does in what it lacks."""
        if self.revoked_at > channel.cursor:
            for event in self.events[channel.cursor - self.start :]:
                if channel.is_ended_by(event):
                    return event
        return None

    def behind(self, cursor: int, end: int) -> list[Event]:
        """The events after `cursor` up to `end`, both within the batch."""
        return self.events[cursor - self.start : end - self.start]

    def frames(
        self, version: Version, channel: "Channel", end: int, deflate_from: int = 0
    ) -> bytes:
        """The frames of the events that the channel lacks up to `end`, joined for one write.

        Channels of the topic that see the same share them: mostly all do. An inbox has a name of
        its own, so what is heard in it shares the messages within the frames.

        deflate_from -- messages of so many bytes are compressed; 0 compresses none
        """
        cursor, visible_after = channel.cursor, channel.visible_after
        if visible_after < self._about:
            # Nothing is hidden.
            visible_after = 0
        key = (version, cursor, end, visible_after, deflate_from)
        frames = self._frames.get(key) if channel.carrier is None else None
        if frames is None:
            inner = channel.carrier is not None
            frames = b"".join(
                [
                    self._deflated.frame(
                        version,
                        channel.joined_name,
                        event.message(visible_after=visible_after, inner=inner),
                        deflate_from,
                    )
                    for event in self.behind(cursor, end)
                ]
            )
            if not inner:
                self._frames[key] = frames
        return frames


class Ephemeral:
    """An event that is not stored, as a frame that is built when first asked for.

    event, payload -- JSON text, or whatever bytes where is_raw: those have frames alone
    skips -- who does not get it
    """

    __slots__ = (
        "_deflated",
        "_frames",
        "_messages",
        "event",
        "is_raw",
        "payload",
        "skips",
        "topic",
    )

    def __init__(
        self,
        topic: Topic,
        event: str,
        payload: bytes,
        *,
        is_raw: bool = False,
        skips: "Subscriber | None" = None,
    ) -> None:
        self.topic = topic
        self.event = event
        self.payload = payload
        self.is_raw = is_raw
        self.skips = skips
        self._messages: dict[tuple[bool, bool], bytes] = {}
        self._frames: dict[tuple[Version, int], bytes] = {}
        self._deflated = Deflated()

    def message(self, *, inner: bool, silent: bool = False) -> bytes:
        """As Event.message()."""
        key = (inner, silent)
        message = self._messages.get(key)
        if message is None:
            message = self._messages[key] = ephemeral_message(
                self.event,
                self.payload,
                topic=self.topic.name if inner else None,
                silent=silent,
            )
        return message

    def frame(
        self,
        version: Version,
        channel: "Channel",
        deflate_from: int = 0,
        *,
        silent: bool = False,
    ) -> bytes:
        """The WebSocket frame for a channel; empty where the version has none for it. deflate_from
        as for Batch.frames().
        """
        if channel.carrier is not None or silent:
            return self._frame(version, channel, deflate_from, silent=silent)
        frame = self._frames.get((version, deflate_from))
        if frame is None:
            frame = self._frames[version, deflate_from] = self._frame(
                version, channel, deflate_from, silent=False
            )
        return frame

    def _frame(
        self, version: Version, channel: "Channel", deflate_from: int, *, silent: bool
    ) -> bytes:
        inner = channel.carrier is not None
        if not self.is_raw:
            message = self.message(inner=inner, silent=silent)
            return self._deflated.frame(version, channel.joined_name, message, deflate_from)
        if version is Version.V1:
            return b""
        joined = self.topic if channel.carrier is None else channel.carrier.topic
        return raw_frame(
            f"realtime:{joined.name}",
            self.event,
            self.payload,
            topic=self.topic.name if inner else None,
            silent=silent,
        )


class Subscriber(Protocol):
    """What the fan-out asks of a socket. All return without waiting."""

    def deliver(self, channel: "Channel", batch: Batch) -> None:
        """Writes what the channel lacks of a batch, or marks the channel as behind."""

    def mention(self, channel: "Channel", ephemeral: Ephemeral) -> None:
        """Writes an ephemeral event, if there is room."""

    def tell_presence(self, channel: "Channel", message: "Message") -> bool:
        """Writes a message about who is present. Returns whether there was room."""

    def silence(self, channel: "Channel") -> None:
        """Nobody is told any more that the client of a channel is present: its right has ended,
        though it is still to be told so."""

    def fail(self, channel: "Channel", error: RoostError) -> None:
        """Ends a channel for a reason that its client is told, such that it joins again."""


class Channel:
    """A topic that a socket has joined, and how far it has got.

    broadcaster -- for what its client broadcasts; None for what is heard in an inbox
    carrier -- the inbox in which the topic is heard; None for a topic that was joined itself
    joined_name -- under which its events come, as a JSON string
    inbox -- for an inbox: what else is heard in it
    join_ref -- the client's reference of its join
    claims -- the access token under which it was joined
    cursor -- offset of the last event written to the socket
    granted_at -- newest offset when the database last allowed it
    visible_after -- what is about offsets up to this one is hidden; 0 where nothing is
    replay_end -- events up to this offset are marked as replayed
    rules -- what is not to be delivered as it is; None where all is
    rules_asked -- number of the question that the rules answer
    live -- takes batches of the fan-out; else its socket reads the log for it, or it has ended
    """

    __slots__ = (
        "broadcaster",
        "carrier",
        "claims",
        "cursor",
        "granted_at",
        "inbox",
        "join_ref",
        "joined_name",
        "live",
        "replay_end",
        "rules",
        "rules_asked",
        "socket",
        "topic",
        "visible_after",
    )

    def __init__(
        self,
        socket: Subscriber,
        topic: Topic,
        join_ref: str | None,
        claims: Claims,
        carrier: "Channel | None",
    ) -> None:
        self.socket = socket
        self.topic = topic
        self.carrier = carrier
        self.joined_name: bytes = topic.joined_name if carrier is None else carrier.joined_name
        self.broadcaster: Broadcaster | None = None
        self.inbox: Inbox | None = None
        self.join_ref = join_ref
        self.claims = claims
        self.cursor = 0
        self.granted_at = 0
        self.visible_after = 0
        self.replay_end = 0
        self.rules: Rules | None = None if carrier is None else carrier.rules
        self.rules_asked = 0
        self.live = False

    def is_ended_by(self, event: Event) -> bool:
        """Whether the right to the topic ends with an event. An older one the database knew of."""
        return (
            event.revokes is not None
            and event.offset > self.granted_at
            and event.revokes in (EVERYBODY, self.claims.user_id)
        )


class Fanout:
    """Knows the topics of this server's sockets, and passes on what is new in them.

    epoch -- of the log that the offsets of all channels are of; None before the first check
    """

    def __init__(
        self,
        multiplexer: Multiplexer,
        counters: Counters | None = None,
        ask: Ask | None = None,
    ) -> None:
        """
        ask -- of whom to read what is new; None is the database
        """
        self.epoch: str | None = None
        self._counters = counters or Counters()
        # One check after the other, so that an answer is never older than the one before.
        self._checking = asyncio.Lock()
        self._multiplexer = multiplexer
        self._reader = LogReader(ask or ask_database(multiplexer))
        self._topics: dict[str, Topic] = {}
        # Topics to read. What was announced goes before what is looked at for safety's sake. A
        # future is done when the read is, for whoever waits.
        self._woken: dict[Topic, asyncio.Future[None] | None] = {}
        self._unsure: dict[Topic, None] = {}
        # Events that came with the news of them, and topics of which there is other news.
        self._told: dict[Topic, list[Event]] = {}
        self._untold: set[Topic] = set()
        self._news = asyncio.Event()
        # Ephemeral events: those that wait for a read of their topic to begin, for the one under
        # way to end, and for their turn.
        self._held: dict[Topic, deque[Ephemeral]] = {}
        self._reading: dict[Topic, deque[Ephemeral]] = {}
        self._ready: deque[Ephemeral] = deque(maxlen=MOST_READY)
        self._mentions = asyncio.Event()
        # While the database is asked which topics there are: when topics that nobody had joined
        # were announced, by a clock that counts announcements, and when anything may have been.
        self._questions = 0
        self._clock = 0
        self._missed: dict[str, int] = {}
        self._missed_any = 0

    @property
    def topic_count(self) -> int:
        """How many topics somebody here has joined or is joining."""
        return len(self._topics)

    @contextmanager
    def question(self) -> Iterator[int]:
        """To be held while the database is asked for topics that are not known before its answer;
        what it gives is for subscribe(), which has to come within it.
        """
        self._questions += 1
        try:
            yield self._clock
        finally:
            self._questions -= 1
            if self._questions == 0:
                self._missed.clear()

    def subscribe(
        self,
        socket: Subscriber,
        name: str,
        join_ref: str | None,
        claims: Claims,
        *,
        carrier: Channel | None = None,
        asked: int | None = None,
    ) -> Channel:
        """Registers interest. To be called before the join is asked for, so that an event between
        the answer and the first read is not missed; place() or unsubscribe() follows.

        carrier -- the inbox in which the topic is heard
        asked -- it comes after the answer to this question(): what was announced since is read
        """
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name)
        if asked is not None and topic.head is None:
            # Somebody may be joining it since later, and what they are told is no help here.
            topic.woken_early |= max(self._missed.get(name, 0), self._missed_any) > asked
        channel = Channel(socket, topic, join_ref, claims, carrier)
        topic.channels.add(channel)
        return channel

    def place(self, channel: Channel, cursor: int, newest: int) -> bool:
        """Sets a channel's cursor; newest is the topic's newest offset that is known of.

        Returns whether the channel is live now; if not, its socket has to read the log for it.
        """
        topic = channel.topic
        if topic.head is None:
            topic.head = newest
            if topic.woken_early:
                self._wake(topic)
        channel.cursor = cursor
        channel.live = cursor >= max(topic.head, newest)
        if cursor > topic.head:
            # What the channel has already is still new to the others.
            self._wake(topic)
        return channel.live

    def unsubscribe(self, channel: Channel) -> None:
        """Ends a channel; a topic without channels is forgotten. Harmless the second time."""
        channel.live = False
        topic = channel.topic
        topic.channels.discard(channel)
        if not topic.channels and self._topics.get(topic.name) is topic:
            del self._topics[topic.name]
            _finish(self._woken.pop(topic, None))
            self._unsure.pop(topic, None)
            self._held.pop(topic, None)
            self._told.pop(topic, None)
            self._untold.discard(topic)

    def tell(self, events: Iterable[Event]) -> None:
        """As wake(), with what is new. It need not be read where it follows what is known."""
        for event in events:
            topic = self._topics.get(event.topic)
            if topic is None or topic.head is None:
                self.wake((event.topic,))
            else:
                self._told.setdefault(topic, []).append(event)
                self._look_at(topic)

    def wake(self, names: Iterable[str]) -> None:
        """Topics that have something new. Several calls within a turn of the loop are one read."""
        self._clock += 1
        for name in names:
            topic = self._topics.get(name)
            if topic is not None:
                self._wake(topic)
            elif self._questions:
                self._missed[name] = self._clock
        if len(self._missed) > MOST_MISSED:
            self._missed.clear()
            self._missed_any = self._clock

    def is_heard(self, name: str) -> bool:
        """Whether somebody here may be live in a topic."""
        topic = self._topics.get(name)
        return topic is not None and topic.head is not None

    def broadcast(
        self,
        name: str,
        event: str,
        payload: bytes,
        *,
        is_raw: bool = False,
        skips: Subscriber | None = None,
    ) -> None:
        """Passes an ephemeral event on; payload is JSON text, or whatever bytes where is_raw.

        skips -- a socket that does not get it
        """
        topic = self._topics.get(name)
        if topic is None or topic.head is None:
            # Nobody is live in it.
            return
        ephemeral = Ephemeral(topic, event, payload, is_raw=is_raw, skips=skips)
        if topic in self._woken or topic in self._unsure:
            self._held.setdefault(topic, deque(maxlen=MOST_HELD)).append(ephemeral)
        elif topic in self._reading:
            self._reading[topic].append(ephemeral)
        else:
            self._ready.append(ephemeral)
            self._mentions.set()

    def wake_all(self) -> None:
        """Looks at every topic, without holding up those that are known to have something new."""
        self._clock += 1
        self._missed_any = self._clock
        self._unsure.update(dict.fromkeys(self._topics.values()))
        self._news.set()

    def read(self, topics: Iterable[Topic]) -> set[asyncio.Future[None]]:
        """Reads topics now. A future is done when what was found is passed on, or the read failed;
        it is shared, and not to be cancelled. Topics that nobody has joined yet have none.
        """
        reads = set()
        for topic in topics:
            self._wake(topic)
            if topic in self._woken:
                future = self._woken[topic]
                if future is None:
                    future = self._woken[topic] = asyncio.get_running_loop().create_future()
                reads.add(future)
        return reads

    def is_reading(self, topic: Topic) -> bool:
        """Whether a read of the topic is due or under way, so that its end may bring news."""
        return topic in self._woken or topic in self._unsure or topic in self._reading

    def _wake(self, topic: Topic) -> None:
        if topic.head is None:
            topic.woken_early = True
        else:
            self._untold.add(topic)
            self._look_at(topic)

    def _look_at(self, topic: Topic) -> None:
        if topic not in self._woken:
            self._woken[topic] = None
            topic.woken_at = time.monotonic()
        self._news.set()

    async def check_epoch(self, seen: str | None = None) -> None:
        """Ends all channels when the log was replaced, as by restoring a backup: their offsets mean
        nothing in the new one.

        seen -- an epoch that the database has just told; without one it is asked in any case
        Raises DatabaseError, DatabaseUnavailable.
        """
        async with self._checking:
            if seen is not None and seen == self.epoch:
                return
            # What was seen may have been on its way since before the last check.
            ((answer,),) = await self._multiplexer.call(GET_LOG_EPOCH, (), None)
            epoch = (answer or b"").decode()
            if self.epoch is not None and epoch != self.epoch:
                for topic in list(self._topics.values()):
                    for channel in tuple(topic.channels):
                        # What is heard in an inbox ends with the inbox.
                        if channel.carrier is None:
                            channel.socket.fail(channel, must_refetch())
            self.epoch = epoch

    async def are_current(self, pages: Mapping[str, Page]) -> bool:
        """Whether pages are of the log that is known; if not, they are to be read again.

        Where it is they that are right, all channels end. Raises DatabaseError,
        DatabaseUnavailable.
        """
        for page in pages.values():
            if page.epoch != self.epoch:
                await self.check_epoch(page.epoch)
                return False
        return True

    async def mention(self) -> None:
        """Passes ephemeral events on, for ever."""
        number = 0
        while True:
            await self._mentions.wait()
            self._mentions.clear()
            while self._ready:
                topic = self._ready[0].topic
                # All of a topic together, so that they go out in one write.
                ephemerals: list[Ephemeral] = []
                while (
                    self._ready
                    and self._ready[0].topic is topic
                    and len(ephemerals) < MOST_TOGETHER
                ):
                    ephemerals.append(self._ready.popleft())
                self._counters.ephemerals += len(ephemerals)
                for channel in tuple(topic.channels):
                    for ephemeral in ephemerals:
                        # Whoever has not had the last end of a right yet may be who it is about.
                        if (
                            channel.live
                            and channel.cursor >= topic.revoked_at
                            and channel.socket is not ephemeral.skips
                        ):
                            channel.socket.mention(channel, ephemeral)
                    # Of many events for a few sockets as well.
                    number += len(ephemerals)
                    if number >= SOCKETS_PER_TURN:
                        number = 0
                        await asyncio.sleep(0)

    async def run(self) -> None:
        """Reads and passes on, for ever. One read at a time, so batches of a topic keep order."""
        while True:
            await self._news.wait()
            self._news.clear()
            while topics := self._take():
                started = time.monotonic()
                goes_on = None
                try:
                    goes_on = await self._relay(list(topics))
                except RoostError as error:
                    logger.warning("cannot read events, trying again: %s", error)
                except Exception:
                    logger.exception("unexpected error of the relay, trying again")
                finally:
                    # What was to follow a read that failed would come too late.
                    self._reading.clear()
                    for future in topics.values():
                        _finish(future)
                if goes_on is None:
                    self._read_again(topics)
                    await asyncio.sleep(RETRY_SECONDS)
                elif not goes_on:
                    took = time.monotonic() - started
                    await asyncio.sleep(min(PAUSE_FACTOR * took, LONGEST_PAUSE))

    async def _relay(self, topics: list[Topic]) -> bool:
        """Returns whether there is more to read at once."""
        pages = {}
        unread = {}
        for topic in topics:
            page = self._page_told(topic)
            if page is not None:
                pages[topic.name] = page
            elif topic.head is not None:
                unread[topic.name] = topic.head
        if unread:
            pages.update(await self._reader.read(unread))
        if not await self.are_current(pages):
            self._read_again(topics)
            return True
        for topic in topics:
            page = pages.get(topic.name)
            if page is not None:
                await self._pass_on(topic, page)
            ephemerals = self._reading.pop(topic)
            if ephemerals:
                self._ready.extend(ephemerals)
                self._mentions.set()
        return len(topics) >= self._most_topics or any(page.full for page in pages.values())

    def _page_told(self, topic: Topic) -> Page | None:
        """What is new in a topic as far as it was told; None when the log has to be asked."""
        told = self._told.pop(topic, ())
        is_untold = topic in self._untold
        self._untold.discard(topic)
        if is_untold or topic.head is None or not told:
            return None
        # The log may have been read since.
        events = [event for event in told if event.offset > topic.head]
        page = Page(told[0].epoch, events)
        # Calls may be answered in another order than they were committed in.
        for offset, event in enumerate(events, topic.head + 1):
            if event.offset != offset or event.epoch != page.epoch:
                return None
        return page

    @property
    def _most_topics(self) -> int:
        return min(self._reader.most_topics, TOPICS_PER_READ)

    def _take(self) -> dict[Topic, asyncio.Future[None] | None]:
        """The next topics to read."""
        most = self._most_topics
        topics = dict(islice(self._woken.items(), most))
        for topic in topics:
            del self._woken[topic]
            if topic in self._unsure:
                del self._unsure[topic]
                self._untold.add(topic)
            topic.taken_at = topic.woken_at
        for topic in list(islice(self._unsure, most - len(topics))):
            del self._unsure[topic]
            if topic.head is not None:
                topics[topic] = None
                topic.taken_at = 0.0
        for topic in topics:
            self._reading[topic] = self._held.pop(topic, deque(maxlen=MOST_HELD))
        return topics

    def _read_again(self, topics: Iterable[Topic]) -> None:
        """Looks at topics once more; who got something already is known by the cursor."""
        self._unsure.update((topic, None) for topic in topics if topic.channels)

    async def _pass_on(self, topic: Topic, page: Page) -> None:
        """Hands a page to the live channels.

        The head moves first. A channel that is placed during a turn of the loop in here thus counts
        from the end of the page, and one that has not had the page yet is known by its cursor.
        """
        if page.events:
            batch = Batch(topic, page.events)
            topic.head = batch.end
            topic.revoked_at = max(topic.revoked_at, batch.revoked_at)
            for number, channel in enumerate(tuple(topic.channels), 1):
                if channel.live:
                    channel.socket.deliver(channel, batch)
                elif batch.revoked_at and any(map(channel.is_ended_by, batch.events)):
                    # Whoever does not read comes to the end of the right when they like.
                    channel.socket.silence(channel)
                if number % SOCKETS_PER_TURN == 0:
                    await asyncio.sleep(0)
            self._counters.events += len(page.events)
            # Behind the write of what was collected in this turn (`outbox`).
            asyncio.get_running_loop().call_soon(self._observe, topic.taken_at, page.events)
        if page.resumes_at is not None:
            topic.head = page.resumes_at - 1
            for channel in tuple(topic.channels):
                if channel.live and channel.cursor < topic.head:
                    channel.socket.fail(channel, must_refetch())
        if (page.full or page.resumes_at is not None) and topic.channels:
            self._wake(topic)

    def _observe(self, woken_at: float, events: list[Event]) -> None:
        now = time.monotonic()
        if woken_at:
            self._counters.wake_to_write.observe(now - woken_at)
        for event in events:
            if event.written_at is not None:
                self._counters.event_to_write.observe(now - event.written_at)


def _finish(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
