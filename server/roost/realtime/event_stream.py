"""Server-Sent Events at GET /events/<topic>: the same rights, order and resuming without a library.

An event's id is `<epoch>:<offset>`. In an inbox every topic that is heard in it has offsets of its
own. There the id goes on with `@<token>`, which says what was there at one moment, and with
`,<topic>=<offset>` for each of which the client has less or more than that. Browsers send the last
id back as Last-Event-ID, and go on from there.

The list grows with each topic of which an event comes. Before it gets long a new token is taken,
and the list begins anew with what has come since.

Source: "Server-sent events" of the HTML standard.
"""

import asyncio
import logging
import math
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import orjson
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from roost.errors import RoostError
from roost.realtime.fanout import Channel, Ephemeral
from roost.realtime.inbox import Inbox
from roost.realtime.join import GREATEST_OFFSET, RESUME, Grant, Replay, ask_to_join, lacking
from roost.realtime.log import Event
from roost.realtime.outlet import CLOSE_SECONDS, Outlet, Services
from roost.realtime.protocol import chunk, server_sent_event
from roost.realtime.refusals import must_refetch, refused, restarting, session_over, system
from roost.tokens import Claims

logger = logging.getLogger(__name__)

# Proxies cut what is silent for a minute, many after half of one.
SILENT_SECONDS: Final = 15.0

# How long a browser waits before it comes back.
RETRY_MILLISECONDS: Final = 1_000

# An id has to fit into a header of the next request, of some 8 KiB.
MOST_POSITIONS: Final = 100

# With so many a new token is taken: they are sent with each event. It costs as much as a join, so
# it is tried no more often than this.
RENEWED_POSITIONS: Final = 20
RENEW_SECONDS: Final = 2.0

_POSITION: Final = r"[a-z][a-z0-9_-]*:[^,=]+=[0-9]{1,19}"
_ID: Final = re.compile(
    rf"([^:,@]{{1,64}}):([0-9]{{1,19}})(?:@({RESUME}))?((?:,{_POSITION})*)(,\*)?"
)


class Positions(NamedTuple):
    """How far the client of a stream has got, as the id of an event says it.

    epoch -- of the log
    offset -- of the last event of the topic itself
    resume -- of an inbox: the token of a moment up to which the client has all other topics
    others -- the same as offset, of topics that are heard in an inbox
    are_all -- no others had to be left out
    """

    epoch: str
    offset: int
    resume: str | None
    others: Mapping[str, int]
    are_all: bool

    @classmethod
    def read(cls, event_id: str) -> "Positions":
        """Raises RoostError."""
        match = _ID.fullmatch(event_id)
        # Header bytes that are no UTF-8 come as surrogates.
        if match is None or not event_id.isprintable():
            raise _malformed(event_id)
        epoch, offset, resume, listed, left_out = match.groups()
        others = {}
        for position in listed.split(",")[1:]:
            topic, _, after = position.rpartition("=")
            others[topic] = int(after)
        if max(int(offset), *others.values(), 0) > GREATEST_OFFSET:
            raise _malformed(event_id)
        return cls(epoch, int(offset), resume, others, left_out is None)

    @property
    def can_go_on(self) -> bool:
        """Whether the token holds for all topics that are not named. Of one that was left out the
        client may have more.
        """
        return self.resume is not None and self.are_all

    def replay(self) -> Replay:
        """What the client is to be sent."""
        resume = self.resume if self.can_go_on else None
        return Replay(after=self.offset, epoch=self.epoch, positions=self.others, resume=resume)

    def __str__(self) -> str:
        begin = f"{self.epoch}:{self.offset}"
        if self.resume is not None:
            begin = f"{begin}@{self.resume}"
        others = [f"{topic}={offset}" for topic, offset in self.others.items()]
        left_out = () if self.are_all else ("*",)
        return ",".join((begin, *others, *left_out))


def _malformed(event_id: str) -> RoostError:
    return refused(
        "UnableToReplayMessages",
        "The Last-Event-ID is none of this server.",
        "Send the id of the last event that you received as it came, or none.",
        f"Last-Event-ID: {event_id[:200]}",
    )


class EventStream(Outlet):
    """One answer to GET /events/<topic>."""

    __slots__ = (
        "_channel",
        "_done",
        "_epoch",
        "_is_chunked",
        "_is_open",
        "_named",
        "_named_are_all",
        "_refusal",
        "_renewed_at",
        "_renewing",
        "_resume",
        "_written_at",
    )

    def __init__(
        self,
        services: Services,
        writer: AbstractStreamWriter,
        transport: asyncio.WriteTransport,
        name: str,
        claims: Claims,
    ) -> None:
        super().__init__(services, writer, transport)
        self._done = asyncio.Event()
        self._written_at = asyncio.get_running_loop().time()
        self._is_open = False
        self._is_chunked = True
        # Why the topic has ended before there was anything to tell it with.
        self._refusal: RoostError | None = None
        self._epoch = ""
        # The token, and the topics of the inbox of which the client may have something else than
        # that, the last ones last; some may have been left out.
        self._resume: str | None = None
        self._named: dict[str, None] = {}
        self._named_are_all = True
        self._renewing: asyncio.Task[None] | None = None
        self._renewed_at = -math.inf
        # Before the question, as for a WebSocket.
        self._channel = services.fanout.subscribe(self, name, None, claims)
        self._channels[f"realtime:{name}"] = self._channel
        self._belong_to_sessions()

    async def serve(
        self,
        request: web.Request,
        response: web.StreamResponse,
        last: Positions | None,
        replay: Replay,
    ) -> None:
        """Asks for the topic, and writes its events until the stream ends.

        last -- where the client has got by its Last-Event-ID
        Raises RoostError as long as nothing of the answer is written.
        """
        try:
            await self._open(request, response, last, replay)
            await self._done.wait()
        finally:
            # What comes before the end.
            self.flush()
            self._end()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.drain()
        except (TimeoutError, ConnectionError):
            # It does not read, so what is unsent stays unsent.
            self._transport.abort()

    async def _open(
        self,
        request: web.Request,
        response: web.StreamResponse,
        last: Positions | None,
        replay: Replay,
    ) -> None:
        channel, fanout = self._channel, self.services.fanout
        rules_asked = self.ask_for_rules()
        with fanout.question() as asked:
            grant, *inner = await ask_to_join(
                self.services.multiplexer, channel.claims, channel.topic.name, replay
            )
            if grant.epoch != fanout.epoch:
                await fanout.check_epoch(grant.epoch)
            self._refuse_what_has_ended()
            if grant.epoch != fanout.epoch:
                raise must_refetch()
            channel.granted_at, channel.visible_after = grant.newest, grant.visible_after
            self.set_rules(channel, grant.rules, rules_asked)
            channel.cursor = grant.newest
            if grant.replay_after is not None:
                channel.cursor, channel.replay_end = grant.replay_after, grant.newest
            self._epoch = grant.epoch
            lacks = lacking(inner)
            if last is not None and last.can_go_on and len(lacks) > MOST_POSITIONS:
                # The old token is exact for all that it does not know yet.
                self._resume = last.resume
                self._named.update(dict.fromkeys(last.others))
            else:
                self._resume = grant.resume
                self._name(lacks)
            if request.version < HttpVersion11:
                # Without chunks the body lasts as long as the connection, whatever is asked for.
                self._is_chunked = False
                response.force_close()
            await response.prepare(request)
            # aiohttp holds the head back until something is written. The id is for who is cut off
            # before the first event; without data it makes no message.
            begin = last or Positions(
                grant.epoch,
                channel.cursor,
                self._resume,
                {name: lacks[name] for name in self._named},
                self._named_are_all,
            )
            await response.write(
                b"retry: %d\nid: %b\n\n" % (RETRY_MILLISECONDS, str(begin).encode())
            )
            if not self._has(channel):
                # In a turn of the loop in between.
                self._done.set()
                return
            self._is_open = True
            if channel.topic.name.startswith("user:"):
                channel.inbox = Inbox(self, channel, self._resume)
                channel.inbox.open(inner, asked)
                if last is not None and not last.are_all:
                    self.tell_gone(channel, grant)
        self.place(channel, channel.cursor, grant.newest)

    def _refuse_what_has_ended(self) -> None:
        """Raises RoostError."""
        if self._refusal is not None:
            raise self._refusal
        if not self._has(self._channel):
            raise restarting()

    def _end(self) -> None:
        super()._end()
        if self._renewing is not None:
            self._renewing.cancel()

    async def close(self, code: int, why: str) -> None:  # noqa: ARG002 -- of WebSockets
        """See Outlet. Clients ask again for an answer that ends."""
        self.flush()
        self._end()
        self._done.set()

    def look_after(self, now: float) -> None:
        """See Outlet. Says something now and then, so that nobody takes the stream for dead."""
        self._look_at_named()
        if now - self._written_at > SILENT_SECONDS:
            self._written_at = now
            self._write(b":\n\n")

    def tell_gone(self, channel: Channel, grant: Grant) -> None:
        """See Outlet. The client goes on from where it is told, and so does its next id."""
        super().tell_gone(channel, grant)
        if channel.carrier is not None:
            self._name((grant.topic,))

    def tell_session_over(self, channel: Channel) -> None:
        """See Outlet."""
        self._tell(channel, session_over())

    def _write(self, data: bytes) -> None:
        if data and self._is_open:
            super()._write(chunk(data) if self._is_chunked else data)

    def _tell_failure(self, channel: Channel, error: RoostError) -> None:
        self._tell(channel, error)
        self._done.set()

    def _tell(self, channel: Channel, error: RoostError) -> None:
        self._refusal = error
        told = orjson.dumps(system(error, channel.topic.name))
        self._write(server_sent_event(told, event="system"))

    # --- frames -----------------------------------------------------------------------------------

    def _stored_frame(self, channel: Channel, event: Event, message: bytes) -> bytes:
        return server_sent_event(message, event_id=self._id(channel, event.offset))

    def _ephemeral_frame(self, channel: Channel, ephemeral: Ephemeral, *, silent: bool) -> bytes:
        if ephemeral.is_raw:
            # There is no form for bytes.
            return b""
        message = ephemeral.message(inner=channel.carrier is not None, silent=silent)
        return server_sent_event(message)

    def _id(self, channel: Channel, offset: int) -> str:
        """Where the client is when it has the event of a channel with this offset."""
        own, inbox = self._channel, self._channel.inbox
        if inbox is None:
            return f"{self._epoch}:{offset}"
        if channel is not own:
            self._name((channel.topic.name,))
            self._look_at_named()
        return self._id_of(inbox, channel, offset)

    def _id_of(self, inbox: Inbox, channel: Channel, offset: int) -> str:
        """What the others have got is read from their cursors, which move when something is
        written.
        """
        own = self._channel
        others = {
            name: offset if heard is channel else heard.cursor
            for name in self._named
            if (heard := inbox.channels.get(name)) is not None
        }
        after = offset if channel is own else own.cursor
        return str(Positions(self._epoch, after, self._resume, others, self._named_are_all))

    # --- tokens -----------------------------------------------------------------------------------

    def _name(self, names: Iterable[str]) -> None:
        """From now on an id has the offsets of these topics, too."""
        for name in names:
            self._named.pop(name, None)
            self._named[name] = None
        while len(self._named) > MOST_POSITIONS:
            del self._named[next(iter(self._named))]
            self._named_are_all = False

    def _look_at_named(self) -> None:
        """Takes a new token when an id has got long, and nothing is being caught up with."""
        now = asyncio.get_running_loop().time()
        if (
            self._renewing is None
            and not self._behind
            and (len(self._named) >= RENEWED_POSITIONS or not self._named_are_all)
            and now - self._renewed_at >= RENEW_SECONDS
        ):
            self._renewed_at = now
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Takes a new token. From then on an id names the topics of which the client has not just
        what was there at its moment, and is whole again.
        """
        channel = self._channel
        try:
            async with self.services.catch_up_reads:
                grant, *inner = await ask_to_join(
                    self.services.multiplexer, channel.claims, channel.topic.name, Replay()
                )
        except RoostError as error:
            # What ends the stream comes to it in other ways.
            logger.debug("no new token for an event stream: %s", error)
            return
        finally:
            self._renewing = None
        inbox = channel.inbox
        if not self._has(channel) or inbox is None or grant.epoch != self._epoch:
            return
        newest = {heard.topic: heard.newest for heard in inner}
        named = [name for name, heard in inbox.channels.items() if heard.cursor != newest.get(name)]
        # What is being taken in has a cursor that is no place in the log yet.
        if inbox.is_whole and len(named) <= MOST_POSITIONS:
            self._resume = grant.resume
            self._named = dict.fromkeys(named)
            self._named_are_all = True
            # Without data it makes no message.
            self._write(b"id: %b\n\n" % self._id_of(inbox, channel, channel.cursor).encode())
