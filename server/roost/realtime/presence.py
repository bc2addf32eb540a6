"""Presence in topics, as Phoenix has it: clients track what they say of themselves, the others are
sent the state when they join and differences from then on.

What the clients of this server track is held in memory, and written to a table for the other
servers, in batches. What they wrote is read from there, whole topics at a time, whenever one of
them says that a topic has changed; so it does not matter which words about that get lost, come
twice or overtake each other, and a server that comes later, or was cut off, reads the same. Only
topics that somebody here watches are read.

Watchers of a topic are all told the same: `told` is what the last difference has led to, `joins`
and `leaves` what has come up since. A channel begins with `told`, in the step that makes it a
watcher; every difference behind it is for it too, and none before.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson

from roost.database.pipeline import Multiplexer
from roost.database.queries import READ_PRESENCES, RECORD_PRESENCES
from roost.errors import RoostError
from roost.realtime.fanout import RETRY_SECONDS, SOCKETS_PER_TURN, Channel, Fanout
from roost.realtime.log import text_array
from roost.realtime.protocol import LONGEST_FIELD, Version, message_frame
from roost.realtime.refusals import refused

logger = logging.getLogger(__name__)

# Of what a client says of itself, as JSON text.
MOST_META_BYTES: Final = 16_384

# Of what the clients of a server track in one topic, and under one key of it: each watcher is sent
# all of that when it joins.
MOST_METAS: Final = 5_000
MOST_METAS_OF_KEY: Final = 100
MOST_TOPIC_BYTES: Final = 4_194_304

# Differences of a topic that come up within this time are one. Nobody sees the delay, and a room
# that everybody enters at once is told in some messages instead of one for each and everybody.
GATHER_SECONDS: Final = 0.01
# A difference waits for reads of its topic's log that are due, so that it does not overtake the end
# of a right; but not for ever in a topic that is always being read.
MOST_POSTPONED: Final = 10

# How soon a channel that could not be told is tried again.
STALE_SECONDS: Final = 0.25

# Batches for the other servers follow each other at this distance; one has at most so many metas.
WRITE_SECONDS: Final = 0.02
MOST_WRITTEN: Final = 500
# References to remove that are remembered while the database takes nothing. With more, it is told
# which ones stay.
MOST_GONE: Final = 10_000

TOPICS_PER_READ: Final = 100
# The safety net for a notification that never came, and for servers that died.
READ_SECONDS: Final = 30.0

# A control line: "!presence:<topic>" has changed, "!presence" may have, whichever topic.
CHANGED: Final = "!presence"


@dataclass(frozen=True, slots=True)
class PresenceRequest:
    """What a join says of presence.

    key -- under which the client is to be present; None has one made
    enabled -- whether it is to be told who else is
    """

    key: str | None = None
    enabled: bool = False


class Meta:
    """What one channel tracks.

    reference -- its phx_ref
    json -- as it is sent, with its references
    is_written -- whether the database may have it
    """

    __slots__ = ("is_written", "json", "key", "reference")

    def __init__(self, key: str, reference: str, json: bytes) -> None:
        self.key = key
        self.reference = reference
        self.json = json
        self.is_written = False


class _Own:
    """What the clients of this server track in a topic.

    metas -- by reference
    """

    __slots__ = ("_bytes", "_keys", "metas")

    def __init__(self) -> None:
        self.metas: dict[str, Meta] = {}
        self._keys: Counter[str] = Counter()
        self._bytes = 0

    def add(self, meta: Meta) -> None:
        self.metas[meta.reference] = meta
        self._keys[meta.key] += 1
        self._bytes += len(meta.json)

    def remove(self, meta: Meta) -> None:
        del self.metas[meta.reference]
        self._keys[meta.key] -= 1
        if not self._keys[meta.key]:
            del self._keys[meta.key]
        self._bytes -= len(meta.json)

    def excess(self, meta: Meta, old: Meta | None) -> str | None:
        """Why there is no room for one in place of an old one, None where there is."""
        if old is None and len(self.metas) >= MOST_METAS:
            return f"{MOST_METAS} are tracked in the topic."
        if old is None and self._keys[meta.key] >= MOST_METAS_OF_KEY:
            return f"{MOST_METAS_OF_KEY} are tracked under the key."
        size = self._bytes + len(meta.json) - (0 if old is None else len(old.json))
        if size > MOST_TOPIC_BYTES:
            return f"{self._bytes} bytes of {MOST_TOPIC_BYTES} are tracked in the topic."
        return None


class Message:
    """A state, which is for one join of a channel, or a difference, which is for all channels."""

    __slots__ = ("_frames", "_is_state", "_payload")

    def __init__(self, payload: bytes, *, is_state: bool) -> None:
        self._payload = payload
        self._is_state = is_state
        self._frames: dict[Version, bytes] = {}

    def frame(self, version: Version, channel: Channel) -> bytes:
        """The WebSocket frame for a channel."""
        name = channel.topic.joined_name
        if self._is_state:
            return message_frame(
                version, name, "presence_state", self._payload, join_ref=channel.join_ref
            )
        frame = self._frames.get(version)
        if frame is None:
            frame = message_frame(version, name, "presence_diff", self._payload)
            self._frames[version] = frame
        return frame


class _Member:
    """A channel, as presence knows it.

    key -- under which it is present; one is made with the first track where the join had none
    content -- what it tracks, to see that it has not changed
    """

    __slots__ = ("content", "enabled", "key", "meta")

    def __init__(self, request: PresenceRequest) -> None:
        self.key = request.key
        self.enabled = request.enabled
        self.meta: Meta | None = None
        self.content: bytes | None = None


class _Watch:
    """A topic that channels here are told of, from the first of them to the last.

    others -- what the other servers had when they were last read; None before the first time
    """

    __slots__ = ("_state", "channels", "joins", "leaves", "name", "others", "postponed", "told")

    def __init__(self, name: str) -> None:
        self.name = name
        self.channels: dict[Channel, None] = {}
        self.others: dict[str, Meta] | None = None
        self.told: dict[str, Meta] = {}
        self.joins: dict[str, Meta] = {}
        self.leaves: dict[str, Meta] = {}
        self.postponed = 0
        self._state: Message | None = None

    def begin(self, metas: dict[str, Meta]) -> None:
        """What is told from now on: whoever is present."""
        self.told = metas
        self._state = None

    def add(self, meta: Meta) -> None:
        """Somebody is present. Who was away for a moment only has not been."""
        if self.leaves.pop(meta.reference, None) is None:
            self.joins[meta.reference] = meta

    def remove(self, meta: Meta) -> None:
        """Somebody no longer is. Nobody hears of who was there for a moment only."""
        if self.joins.pop(meta.reference, None) is None:
            self.leaves[meta.reference] = meta

    def take_difference(self) -> Message:
        """What has come up since the last time. From now on it is told."""
        message = Message(
            orjson.dumps({"joins": _by_key(self.joins), "leaves": _by_key(self.leaves)}),
            is_state=False,
        )
        for reference in self.leaves:
            self.told.pop(reference, None)
        self.told.update(self.joins)
        self.joins = {}
        self.leaves = {}
        self._state = None
        return message

    def state(self) -> Message:
        """What was told so far."""
        if self._state is None:
            self._state = Message(orjson.dumps(_by_key(self.told)), is_state=True)
        return self._state


class Presence:
    """One a server process. All but the loops return without waiting.

    tell -- is called with control lines for the other servers
    """

    def __init__(
        self,
        multiplexer: Multiplexer,
        server_id: str,
        fanout: Fanout,
        tell: Callable[[Collection[str]], None],
    ) -> None:
        self._multiplexer = multiplexer
        self._server_id = server_id.encode()
        self._fanout = fanout
        self._tell = tell
        self._references = (
            f"{prefix}{number:x}"
            for prefix in [secrets.token_hex(6)]
            for number in itertools.count(1)
        )
        self._members: dict[Channel, _Member] = {}
        # By topic.
        self._own: dict[str, _Own] = {}
        self._watches: dict[str, _Watch] = {}
        self._changed: dict[_Watch, None] = {}
        # Channels that could not be told a difference, and get the state instead.
        self._stale: dict[Channel, None] = {}
        self._unread: dict[_Watch, None] = {}
        # What the database lacks, with the topic, and references that it may still have.
        self._unwritten: dict[str, tuple[str, Meta]] = {}
        self._gone: dict[str, None] = {}
        # They were too many: all goes that is not tracked any more.
        self._gone_is_lost = False
        self._news = asyncio.Event()
        self._to_read = asyncio.Event()
        self._to_write = asyncio.Event()

    # --- channels ---------------------------------------------------------------------------------

    def join(self, channel: Channel, request: PresenceRequest) -> None:
        """A channel has been joined, and its client been told so."""
        member = self._members[channel] = _Member(request)
        if not member.enabled:
            return
        name = channel.topic.name
        watch = self._watches.get(name)
        if watch is None:
            watch = self._watches[name] = _Watch(name)
            self._unread[watch] = None
            self._to_read.set()
        watch.channels[channel] = None
        if watch.others is not None:
            self._begin(watch, channel)

    def track(self, channel: Channel, payload: Any) -> None:
        """What a client says of itself, in place of what it said before. Raises RoostError."""
        member = self._members.get(channel)
        if member is None:
            # It has ended in the meantime.
            return
        if not isinstance(payload, dict):
            raise refused(
                "MalformedPresence",
                "Presence track payload must be a map",
                "Send an object as payload of track.",
            )
        try:
            content = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            # Deeper than what is read, as it seems.
            content = b""
        if not 0 < len(content) <= MOST_META_BYTES:
            raise refused(
                "PresenceTooLarge",
                "Track message size exceeded",
                f"Track an object of at most {MOST_META_BYTES} bytes, not deeply nested.",
                f"Bytes: {len(content)}" if content else None,
            )
        if content == member.content:
            return
        if member.key is None:
            member.key = str(uuid.uuid4())
        name, old = channel.topic.name, member.meta
        reference = next(self._references)
        references = {"phx_ref": reference}
        if old is not None:
            references["phx_ref_prev"] = old.reference
        meta = Meta(member.key, reference, orjson.dumps({**payload, **references}))
        own = self._own.get(name)
        excess = None if own is None else own.excess(meta, old)
        if excess is not None:
            raise refused(
                "TooManyPresences",
                "The topic has no room for one more presence.",
                "Try again when others have left, or track less.",
                excess,
            )
        # One turn of the loop: both are in one difference, and in one batch.
        if old is not None:
            self._remove(name, old)
        self._add(name, meta)
        member.meta, member.content = meta, content

    def untrack(self, channel: Channel) -> None:
        """A client is no longer present. Harmless where it was not."""
        member = self._members.get(channel)
        if member is not None and member.meta is not None:
            self._remove(channel.topic.name, member.meta)
            member.meta = member.content = None

    def has(self, channel: Channel) -> bool:
        """Whether a channel has joined, and not left."""
        return channel in self._members

    def leave(self, channel: Channel) -> None:
        """A channel has ended, for whatever reason. Harmless the second time."""
        self.untrack(channel)
        member = self._members.pop(channel, None)
        self._stale.pop(channel, None)
        if member is None or not member.enabled:
            return
        watch = self._watches[channel.topic.name]
        del watch.channels[channel]
        if not watch.channels:
            # A read that is under way is for this watch, not for one that follows: it may be of
            # before a change whose announcement nobody here listened to.
            del self._watches[watch.name]
            self._changed.pop(watch, None)
            self._unread.pop(watch, None)

    def _add(self, name: str, meta: Meta) -> None:
        own = self._own.get(name)
        if own is None:
            own = self._own[name] = _Own()
        own.add(meta)
        self._unwritten[meta.reference] = (name, meta)
        self._to_write.set()
        watch = self._watches.get(name)
        if watch is not None and watch.others is not None:
            watch.add(meta)
            self._announce(watch)

    def _remove(self, name: str, meta: Meta) -> None:
        own = self._own[name]
        own.remove(meta)
        if not own.metas:
            del self._own[name]
        self._unwritten.pop(meta.reference, None)
        if meta.is_written:
            self._forget((meta.reference,))
            self._to_write.set()
        watch = self._watches.get(name)
        if watch is not None and watch.others is not None:
            watch.remove(meta)
            self._announce(watch)

    def _forget(self, references: Iterable[str]) -> None:
        """The database is to remove these."""
        self._gone.update(dict.fromkeys(references))
        if len(self._gone) > MOST_GONE:
            self._gone.clear()
            self._gone_is_lost = True

    # --- telling ----------------------------------------------------------------------------------

    def _announce(self, watch: _Watch) -> None:
        self._changed[watch] = None
        self._news.set()

    async def tell_watchers(self) -> None:
        """Sends differences, for ever. One after the other: those of a topic keep their order."""
        loop = asyncio.get_running_loop()
        retry_at = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALE_SECONDS if self._stale else None):
                    await self._news.wait()
                    await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            changed, self._changed = self._changed, {}
            for watch in changed:
                try:
                    await self._send_difference(watch)
                except Exception:
                    logger.exception("unexpected error of presence")
            if loop.time() >= retry_at:
                retry_at = loop.time() + STALE_SECONDS
                for channel in [each for each in self._stale if self._may_hear(each)]:
                    del self._stale[channel]
                    self._send_state(self._watches[channel.topic.name], channel)

    async def _send_difference(self, watch: _Watch) -> None:
        if not (watch.joins or watch.leaves):
            return
        channels = tuple(watch.channels)
        if not channels:
            return
        if watch.postponed < MOST_POSTPONED and self._fanout.is_reading(channels[0].topic):
            watch.postponed += 1
            self._announce(watch)
            return
        watch.postponed = 0
        message = watch.take_difference()
        for number, channel in enumerate(channels, 1):
            # In a turn of the loop in here it may have ended.
            if (
                channel in watch.channels
                and channel not in self._stale
                and not (self._may_hear(channel) and channel.socket.tell_presence(channel, message))
            ):
                self._stale[channel] = None
            if number % SOCKETS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _begin(self, watch: _Watch, channel: Channel) -> None:
        """The first state of a channel, unless its right may have ended since it was joined."""
        if channel.topic.revoked_at > channel.granted_at:
            self._stale[channel] = None
            self._news.set()
        else:
            self._send_state(watch, channel)

    def _send_state(self, watch: _Watch, channel: Channel) -> None:
        if not channel.socket.tell_presence(channel, watch.state()):
            self._stale[channel] = None
            self._news.set()

    @staticmethod
    def _may_hear(channel: Channel) -> bool:
        """Whoever has not had the last end of a right yet may be who it is about."""
        return channel.live and channel.cursor >= channel.topic.revoked_at

    # --- other servers ----------------------------------------------------------------------------

    def take(self, lines: Iterable[str]) -> None:
        """Control lines of other servers, among others."""
        for line in lines:
            if line == CHANGED:
                self.read_all()
            elif line.startswith(CHANGED):
                watch = self._watches.get(line.removeprefix(CHANGED).removeprefix(":"))
                if watch is not None:
                    self._unread[watch] = None
                    self._to_read.set()

    def read_all(self) -> None:
        """Something may have changed that nobody told."""
        self._unread.update(dict.fromkeys(self._watches.values()))
        self._to_read.set()

    def write_all(self) -> None:
        """The database may have forgotten what was written: its table does not survive a crash."""
        self._unwritten = {
            reference: (name, meta)
            for name, own in self._own.items()
            for reference, meta in own.metas.items()
        }
        self._to_write.set()

    async def read(self) -> None:
        """Reads what other servers wrote, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time() + READ_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._to_read.wait()
            except TimeoutError:
                due = loop.time() + READ_SECONDS
                self.read_all()
            self._to_read.clear()
            while self._unread:
                # What is announced during the read is read again.
                watches = list(islice(self._unread, TOPICS_PER_READ))
                for watch in watches:
                    del self._unread[watch]
                try:
                    await self._read(watches)
                except RoostError as error:
                    logger.warning("cannot read presence, trying again: %s", error)
                except Exception:
                    logger.exception("unexpected error of presence, trying again")
                else:
                    continue
                self._unread.update(
                    (watch, None) for watch in watches if self._watches.get(watch.name) is watch
                )
                await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, watches: list[_Watch]) -> None:
        rows = await self._multiplexer.call(
            READ_PRESENCES, (self._server_id, text_array(watch.name for watch in watches)), None
        )
        found: dict[str, dict[str, Meta]] = {watch.name: {} for watch in watches}
        for topic, written, key, json in rows:
            meta = Meta((key or b"").decode(), (written or b"").decode(), json or b"")
            found[(topic or b"").decode()][meta.reference] = meta
        for watch in watches:
            if self._watches.get(watch.name) is not watch:
                continue
            others = found[watch.name]
            known = watch.others
            watch.others = others
            if known is None:
                own = self._own.get(watch.name)
                watch.begin({**others, **({} if own is None else own.metas)})
                for channel in watch.channels:
                    self._begin(watch, channel)
                continue
            for reference in others.keys() - known.keys():
                watch.add(others[reference])
            for reference in known.keys() - others.keys():
                watch.remove(known[reference])
            if watch.joins or watch.leaves:
                self._announce(watch)

    async def write(self) -> None:
        """Writes for the other servers, for ever."""
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            while self._unwritten or self._gone or self._gone_is_lost:
                pause = WRITE_SECONDS
                try:
                    if not await self._write():
                        pause = RETRY_SECONDS
                except RoostError as error:
                    logger.warning("cannot write presence, trying again: %s", error)
                    pause = RETRY_SECONDS
                except Exception:
                    logger.exception("unexpected error of presence, trying again")
                    pause = RETRY_SECONDS
                await asyncio.sleep(pause)

    async def _write(self) -> bool:
        """Writes a batch and tells the other servers. Returns whether the database took it."""
        come = dict(islice(self._unwritten.items(), MOST_WRITTEN))
        gone = list(islice(self._gone, MOST_WRITTEN))
        for reference, (_, meta) in come.items():
            meta.is_written = True
            del self._unwritten[reference]
        for reference in gone:
            del self._gone[reference]
        kept = None
        if self._gone_is_lost:
            self._gone_is_lost = False
            kept = text_array(itertools.chain(*(own.metas for own in self._own.values())))
        topics: bytes | None = None
        try:
            ((topics,),) = await self._multiplexer.call(
                RECORD_PRESENCES,
                (
                    self._server_id,
                    text_array(come),
                    text_array(name for name, _ in come.values()),
                    text_array(meta.key for _, meta in come.values()),
                    text_array(meta.json.decode() for _, meta in come.values()),
                    text_array(gone),
                    kept,
                ),
                None,
            )
        finally:
            if topics is None:
                # It may have been written all the same. What was untracked meanwhile is to go.
                self._forget(gone)
                self._gone_is_lost |= kept is not None
                for reference, tracked in come.items():
                    own = self._own.get(tracked[0])
                    if own is not None and reference in own.metas:
                        self._unwritten[reference] = tracked
        if topics is None:
            return False
        changed = orjson.loads(topics)
        if changed:
            self._tell([f"{CHANGED}:{name}" for name in changed])
        return True


def read_key(key: Any) -> str | None:
    """The key of a join, None where it has none. Raises RoostError."""
    if key is None or key == "":
        return None
    if not isinstance(key, str) or len(key) > LONGEST_FIELD or not key.isprintable():
        raise refused(
            "MalformedJoin",
            "The presence key is not a proper name.",
            f"Send config.presence.key as a string of at most {LONGEST_FIELD} characters, or leave"
            " it out to have one made.",
        )
    return key


def _by_key(metas: dict[str, Meta]) -> dict[str, dict[str, list[orjson.Fragment]]]:
    listed: dict[str, dict[str, list[orjson.Fragment]]] = {}
    for meta in metas.values():
        listed.setdefault(meta.key, {"metas": []})["metas"].append(orjson.Fragment(meta.json))
    return listed
