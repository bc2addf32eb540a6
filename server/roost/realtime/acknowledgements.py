"""What clients say that they have received, on its way to the database.

The first acknowledgement of a session goes at once, those behind it are collected for a moment: a
client that acknowledges each of fifty events a second costs a call a second, and the others in the
conversation hear as many receipts. What is lost with the server is acknowledged again by the next.
"""

import asyncio
import logging
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import orjson

from roost.database.pipeline import Identity, Multiplexer
from roost.database.queries import ACKNOWLEDGE_EVENTS
from roost.errors import RoostError
from roost.realtime.fanout import Channel
from roost.realtime.protocol import Push
from roost.realtime.refusals import refused

logger = logging.getLogger(__name__)

SPACING_SECONDS: Final = 1.0

# In one call. The database takes 1,000, and holds each conversation until it has done all of them.
MOST_TOPICS: Final = 200

_NAME: Final = "ack"


def is_acknowledgement(push: Push) -> bool:
    """Whether a broadcast is one: some clients have no other way to send anything."""
    broadcast = push.user_broadcast
    return (push.payload.get("event") if broadcast is None else broadcast.event) == _NAME


def _said(push: Push) -> Any:
    if push.event == _NAME:
        return push.payload
    if push.user_broadcast is None:
        return push.payload.get("payload")
    try:
        return orjson.loads(push.user_broadcast.payload)
    except orjson.JSONDecodeError:
        return None


def read_acknowledgement(push: Push, channel: Channel) -> dict[str, int]:
    """Topics and offsets of {"offset": n, "topics": {topic: n}}, either of which may be missing.

    What is no longer heard in an inbox is left out: the acknowledgement and the end have crossed.
    Raises RoostError.
    """
    said = _said(push)
    if not isinstance(said, dict):
        raise _malformed()
    inner = {} if channel.inbox is None else channel.inbox.channels
    topics = said.get("topics", {})
    if not isinstance(topics, dict) or not said.keys() & {"offset", "topics"}:
        raise _malformed()
    positions = {}
    for sent, heard in (
        *((topics[name], inner.get(name)) for name in topics),
        *([(said["offset"], channel)] if "offset" in said else []),
    ):
        if type(sent) is not int or sent < 0:
            raise _malformed()
        if heard is None:
            continue
        if sent > heard.cursor:
            raise refused(
                "RO402",
                "The channel has not had this event.",
                "Send the offset of the last event that was received.",
                f"Topic: {heard.topic.name}; offset: {sent}",
            )
        positions[heard.topic.name] = sent
    return positions


def _malformed() -> RoostError:
    return refused(
        "MalformedAcknowledgement",
        "The acknowledgement has no offset.",
        "Send {offset: <offset of the last event that was received>}, in an inbox with"
        " topics: {<topic>: <offset>}.",
    )


class Acknowledgements:
    """Of all sockets of a server, by session."""

    def __init__(self, multiplexer: Multiplexer) -> None:
        self._multiplexer = multiplexer
        self._waiting: dict[str, _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(
        self, session_id: str, positions: Mapping[str, int], resume: str | None = None
    ) -> asyncio.Future[None]:
        """Notes that a session's device has some topics up to these offsets: one or more.

        resume -- the token from which on it is to have the others of its inbox

        Returns a future that is shared: it is done when the database knows, or has the RoostError
        that kept it from that.
        """
        waiting = self._waiting.get(session_id)
        if waiting is None:
            waiting = self._waiting[session_id] = _Waiting()
            task = asyncio.create_task(self._send(session_id, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for topic, offset in positions.items():
            waiting.positions[topic] = max(offset, waiting.positions.get(topic, 0))
        # The database keeps the first one, and is told it each time.
        waiting.resume = waiting.resume or resume
        return waiting.known

    async def close(self, seconds: float) -> None:
        """Sends what is waiting now, and waits until it is known or has failed, for so long at
        most.
        """
        for waiting in self._waiting.values():
            waiting.hurry.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            if late:
                logger.warning("not all acknowledgements could be written in time")

    async def _send(self, session_id: str, waiting: "_Waiting") -> None:
        """Sends what a session says until it has said nothing for a while."""
        while waiting.positions:
            positions, known = waiting.take()
            resume = None if waiting.resume is None else waiting.resume.encode()
            try:
                for start in range(0, len(positions), MOST_TOPICS):
                    some = dict(islice(positions.items(), start, start + MOST_TOPICS))
                    await self._multiplexer.call(
                        ACKNOWLEDGE_EVENTS,
                        (orjson.dumps(some), resume),
                        Identity(b"user", session_id.encode()),
                    )
            except RoostError as error:
                logger.warning("acknowledgements were not written down: %s", error)
                known.set_exception(error)
                # Somebody may have stopped waiting.
                known.exception()
            else:
                known.set_result(None)
            try:
                async with asyncio.timeout(SPACING_SECONDS):
                    await waiting.hurry.wait()
            except TimeoutError:
                pass
        del self._waiting[session_id]


class _Waiting:
    """What a session has said since the last call."""

    __slots__ = ("hurry", "known", "positions", "resume")

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}
        self.resume: str | None = None
        self.known: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.hurry = asyncio.Event()

    def take(self) -> tuple[dict[str, int], asyncio.Future[None]]:
        taken = self.positions, self.known
        self.positions = {}
        self.known = asyncio.get_running_loop().create_future()
        return taken
