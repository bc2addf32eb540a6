"""Broadcasts: ephemeral events, from clients, from the database and from other servers.

Who may broadcast in a topic and which names of events are the server's own, the database says
(`realtime.ask_broadcasts`). The answers are kept for a while, so that a client that moves a cursor
does not cost a call for each step.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from roost.database.pipeline import Identity, Multiplexer
from roost.database.queries import ASK_BROADCASTS, READ_LARGE_BROADCAST
from roost.errors import RoostError
from roost.realtime.announcer import Announces
from roost.realtime.fanout import Channel, Fanout, Subscriber
from roost.realtime.lines import Broadcast, Reference, read_line
from roost.realtime.log import text_array
from roost.realtime.protocol import LONGEST_FIELD, Push, raw_fits
from roost.tokens import Claims, Memory

logger = logging.getLogger(__name__)

# How long a channel's right counts. Whoever is removed from a topic has no channel any more;
# whoever may only read it from now on may be heard for this long.
RIGHT_SECONDS: Final = 5.0

# Whoever was refused and is allowed now waits for this long at most.
REFUSAL_SECONDS: Final = 1.0

# Names of events whose answer is remembered, of some 100 bytes each. It changes with the functions
# of the database.
NAMES_REMEMBERED: Final = 10_000
NAME_SECONDS: Final = 60.0

MOST_PAYLOAD_BYTES: Final = 262_144

# Behind payloads that are being read. The oldest go when there are more.
MOST_LATE: Final = 1_000


class Answer(NamedTuple):
    """What the database says of a broadcast.

    is_allowed -- the caller may broadcast in the topic
    is_reserved -- the event's name is the server's own
    """

    is_allowed: bool
    is_reserved: bool


class Broadcasts:
    """One a server process. `take` and `send` return without waiting."""

    def __init__(self, multiplexer: Multiplexer, fanout: Fanout, announcer: Announces) -> None:
        self._multiplexer = multiplexer
        self._fanout = fanout
        self._announcer = announcer
        # With the time at which each is asked about again, by the loop's clock.
        self._reserved: Memory[tuple[bool, float]] = Memory(NAMES_REMEMBERED)
        # In the order in which they came, so that none overtakes one of its topic whose payload is
        # still to be read.
        self._late: deque[Broadcast | Reference] = deque()
        self._late_topics: Counter[str] = Counter()
        self._news = asyncio.Event()

    # --- passing on -------------------------------------------------------------------------------

    def take(self, line: str) -> None:
        """Passes on what another server or the database says in a line."""
        try:
            broadcast = read_line(line)
            if not self._fanout.is_heard(broadcast.topic):
                return
            if isinstance(broadcast, Broadcast) and not broadcast.is_raw:
                orjson.loads(broadcast.payload)
        except ValueError as error:
            logger.warning("an ephemeral event is malformed: %s", error)
            return
        if isinstance(broadcast, Broadcast) and not self._late_topics[broadcast.topic]:
            self._pass_on(broadcast)
            return
        self._late.append(broadcast)
        self._late_topics[broadcast.topic] += 1
        if len(self._late) > MOST_LATE:
            self._forget(self._late.popleft())
        self._news.set()

    def send(self, broadcast: Broadcast, skips: Subscriber | None = None) -> None:
        """Passes on what a client has sent, here and to the other servers.

        skips -- a socket of this server that does not get it
        """
        self._pass_on(broadcast, skips)
        self._announcer.announce((broadcast.line(),))

    async def run(self) -> None:
        """Reads payloads that were too large to be told, for ever; one after the other."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._late:
                broadcast = self._late.popleft()
                try:
                    if isinstance(broadcast, Reference):
                        read = await self._read(broadcast)
                        if read is not None:
                            self._pass_on(read)
                    else:
                        self._pass_on(broadcast)
                except (RoostError, ValueError) as error:
                    logger.warning("cannot read an ephemeral event: %s", error)
                except Exception:
                    logger.exception("unexpected error while an ephemeral event was read")
                finally:
                    # Only now: what comes meanwhile is behind it.
                    self._forget(broadcast)

    async def _read(self, reference: Reference) -> Broadcast | None:
        rows = await self._multiplexer.call(READ_LARGE_BROADCAST, (reference.id.encode(),), None)
        for payload, raw in rows:
            if raw is not None:
                # As \x and hexadecimal digits.
                content = bytes.fromhex(raw[2:].decode())
                return Broadcast(reference.topic, reference.event, content, is_raw=True)
            # PostgreSQL takes some that is no JSON to others.
            orjson.loads(payload or b"")
            return Broadcast(reference.topic, reference.event, payload or b"")
        logger.warning("an ephemeral event was not read in time")
        return None

    def _pass_on(self, broadcast: Broadcast, skips: Subscriber | None = None) -> None:
        self._fanout.broadcast(
            broadcast.topic,
            broadcast.event,
            broadcast.payload,
            is_raw=broadcast.is_raw,
            skips=skips,
        )

    def _forget(self, broadcast: Broadcast | Reference) -> None:
        self._late_topics[broadcast.topic] -= 1
        if not self._late_topics[broadcast.topic]:
            del self._late_topics[broadcast.topic]

    # --- rights -----------------------------------------------------------------------------------

    def is_reserved(self, topic: str, event: str) -> bool | None:
        """Whether a name of an event is the server's own; None where that is not known yet."""
        known = self._reserved.get(_name_key(topic, event))
        if known is None or known[1] <= asyncio.get_running_loop().time():
            return None
        return known[0]

    async def ask(self, claims: Claims, broadcasts: Sequence[Broadcast]) -> list[Answer]:
        """What the database says of somebody's broadcasts, in one question; is_reserved() knows
        their names afterwards.

        Raises DatabaseError, DatabaseUnavailable.
        """
        known_until = asyncio.get_running_loop().time() + NAME_SECONDS
        rows = await self._multiplexer.call(
            ASK_BROADCASTS,
            (
                text_array(broadcast.topic for broadcast in broadcasts),
                text_array(broadcast.event for broadcast in broadcasts),
            ),
            Identity(b"user", None if claims.session_id is None else claims.session_id.encode()),
        )
        answers = [Answer(*(value == b"t" for value in row)) for row in rows]
        for broadcast, answer in zip(broadcasts, answers, strict=True):
            self._reserved.put(
                _name_key(broadcast.topic, broadcast.event), (answer.is_reserved, known_until)
            )
        return answers


class Broadcaster:
    """What the client of one channel broadcasts.

    acknowledges -- each is answered, not only what is refused
    """

    __slots__ = (
        "_broadcasts",
        "_channel",
        "_echoes",
        "_is_allowed",
        "_known_until",
        "acknowledges",
    )

    def __init__(
        self, broadcasts: Broadcasts, channel: Channel, *, acknowledges: bool, echoes: bool
    ) -> None:
        """
        echoes -- the socket of the channel gets them as well
        """
        self.acknowledges = acknowledges
        self._broadcasts = broadcasts
        self._channel = channel
        self._echoes = echoes
        self._is_allowed = False
        # By the loop's clock.
        self._known_until = 0.0

    async def send(self, push: Push) -> None:
        """Passes a broadcast on, unless the channel has ended by then.

        Raises RoostError where it is refused.
        """
        broadcast = _read_push(self._channel.topic.name, push)
        now = asyncio.get_running_loop().time()
        is_reserved = self._broadcasts.is_reserved(broadcast.topic, broadcast.event)
        if not is_reserved and (is_reserved is None or now >= self._known_until):
            (answer,) = await self._broadcasts.ask(self._channel.claims, (broadcast,))
            self._is_allowed, is_reserved = answer
            # From before the question, whose answer is of some moment behind it.
            self._known_until = now + (RIGHT_SECONDS if self._is_allowed else REFUSAL_SECONDS)
        if is_reserved:
            raise reserved(broadcast)
        if not self._is_allowed:
            raise not_allowed(broadcast)
        if self._channel in self._channel.topic.channels:
            self._broadcasts.send(broadcast, None if self._echoes else self._channel.socket)


def make(topic: str, event: Any, payload: Any) -> Broadcast:
    """A broadcast of a JSON value. Raises RoostError where it can't be one."""
    try:
        text = orjson.dumps(payload)
    except orjson.JSONEncodeError:
        raise malformed("The payload is nested too deep.") from None
    return _of_size(Broadcast(topic, check_event(event), text))


def check_event(event: Any) -> str:
    """The name of an event. Raises RoostError where it is none."""
    if not (
        isinstance(event, str) and event.isprintable() and 0 < len(event.encode()) <= LONGEST_FIELD
    ):
        raise malformed(f"event is a printable string of 1 to {LONGEST_FIELD} bytes.")
    return event


def checked(broadcast: Broadcast) -> Broadcast:
    """The broadcast, if it can be one: it is not known yet whether it may. Raises RoostError."""
    if not broadcast.is_raw:
        try:
            orjson.loads(broadcast.payload)
        except orjson.JSONDecodeError:
            raise malformed("The payload is not JSON.") from None
    elif not raw_fits(broadcast.topic):
        raise malformed("The topic's name is too long for a binary payload.")
    return _of_size(broadcast)


def _of_size(broadcast: Broadcast) -> Broadcast:
    if len(broadcast.payload) > MOST_PAYLOAD_BYTES:
        raise malformed(f"The payload is larger than {MOST_PAYLOAD_BYTES} bytes.")
    return broadcast


def refuse_storing() -> RoostError:
    """A client asks for what Supabase calls persist."""
    return RoostError(
        code="PersistNotServed",
        message="Broadcasts are not stored.",
        details=None,
        hint="Leave out persist; what is to be kept goes through a function such as send_message.",
        status=422,
    )


def malformed(details: str) -> RoostError:
    """What was sent is no broadcast."""
    return RoostError(
        code="MalformedBroadcast",
        message="This is not a broadcast.",
        details=details,
        hint='Send {"type": "broadcast", "event": "<name>", "payload": ...}.',
        status=422,
    )


def reserved(broadcast: Broadcast) -> RoostError:
    """The name of the event is the server's own."""
    return RoostError(
        code="ReservedEvent",
        message="Events of this name come from the server alone.",
        details=f"Event: {broadcast.event}; topic: {broadcast.topic}",
        hint="Give the event another name, or call the function that publishes it.",
        status=403,
    )


def not_allowed(broadcast: Broadcast) -> RoostError:
    """The database says no."""
    return RoostError(
        code="RO401",
        message="You may not broadcast in this topic.",
        details=f"Topic: {broadcast.topic}",
        hint="Broadcast in a conversation or workspace that you may write in, in user:<your id> or"
        " in device:<id> of a device of yours; an archived conversation takes none.",
        status=403,
    )


def _read_push(topic: str, push: Push) -> Broadcast:
    """The broadcast of a frame. Raises RoostError."""
    sent = push.user_broadcast
    if sent is None:
        if push.payload.get("persist"):
            raise refuse_storing()
        return make(topic, push.payload.get("event"), push.payload.get("payload", {}))
    if sent.metadata:
        try:
            metadata = orjson.loads(sent.metadata)
        except orjson.JSONDecodeError:
            metadata = None
        if not isinstance(metadata, dict):
            raise malformed("The metadata is not a JSON object.")
        if metadata.get("persist"):
            raise refuse_storing()
    return checked(Broadcast(topic, check_event(sent.event), sent.payload, sent.is_raw))


def _name_key(topic: str, event: str) -> str:
    # What is reserved depends on the kind of a topic, not on the one topic.
    return f"{topic.partition(':')[0]}\t{event}"
