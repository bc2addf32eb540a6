"""One WebSocket connection: its channels, what its client asks, and catching up from the log."""

import asyncio
import logging
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from roost.database.pipeline import Identity, Multiplexer
from roost.database.queries import JOIN_TOPIC
from roost.errors import RoostError
from roost.realtime.fanout import RETRY_SECONDS, Batch, Channel, Ephemeral, Fanout
from roost.realtime.join import JoinRequest, topic_name
from roost.realtime.log import LogReader, Page
from roost.realtime.protocol import MalformedFrameError, Push, Version, decode, encode
from roost.realtime.refusals import (
    must_refetch,
    no_longer_allowed,
    presentable,
    refused,
    response,
    session_over,
    sign_in_required,
    system,
)
from roost.realtime.sessions import Sessions
from roost.tokens import LEEWAY, AccessTokens, Claims

logger = logging.getLogger(__name__)

MOST_CHANNELS: Final = 100
MOST_MALFORMED_FRAMES: Final = 20

# Events that would make a socket hold more unsent bytes than this are not written; its channels go
# on from the log when there is room. Only an event that is larger by itself exceeds it.
MOST_UNSENT_BYTES: Final = 1_048_576

# Up to this many bytes are unsent while drain() does not wait, by the event loops' default.
DRAINED_BYTES: Final = 65_536

# How long a client has to answer a close frame, and to take what was written before it.
CLOSE_SECONDS: Final = 2.0

# 4000 to 4999 are free for applications; clients come back after any code but 1000.
SESSION_ENDED: Final = 4401

# How long what was published before the end of a session may take to be read.
LAST_READ_SECONDS: Final = 1.0

_PHOENIX: Final = "phoenix"

_NO_NEWS: Final = Page("")


@dataclass(frozen=True, slots=True)
class Services:
    """What all sockets of a relay share."""

    multiplexer: Multiplexer
    tokens: AccessTokens
    fanout: Fanout
    sessions: "Sessions[Socket]"
    # So that a thousand sockets that come back at once leave connections to everybody else.
    catch_up_reads: asyncio.Semaphore


class Grant(NamedTuple):
    """What the database answers when it allows a join.

    newest -- offset of the topic's newest event
    epoch -- of the log
    visible_after -- the caller may see nothing of offsets up to this one; 0 where they may see all
    """

    newest: int
    epoch: str
    visible_after: int


class Socket:
    """A client's connection.

    last_seen -- when its last frame came, by the loop's clock
    """

    __slots__ = (
        "_apikey",
        "_behind",
        "_catching_up",
        "_channels",
        "_ended",
        "_malformed",
        "_services",
        "_session_ids",
        "_transport",
        "_version",
        "_writer",
        "_ws",
        "last_seen",
    )

    def __init__(
        self,
        services: Services,
        ws: web.WebSocketResponse,
        writer: AbstractStreamWriter,
        transport: asyncio.WriteTransport,
        version: Version,
        apikey: str | None,
    ) -> None:
        self._services = services
        self._ws = ws
        # The same connection twice: the transport writes at once, the writer waits for room.
        self._writer = writer
        self._transport = transport
        self._version = version
        self._apikey = apikey
        self._channels: dict[str, Channel] = {}
        self._behind: dict[Channel, None] = {}
        self._catching_up: asyncio.Task[None] | None = None
        self._session_ids: set[str] = set()
        self._malformed = 0
        self._ended = False
        self.last_seen = asyncio.get_running_loop().time()

    # --- the connection ---------------------------------------------------------------------------

    async def serve(self) -> None:
        """Answers the client until the connection ends."""
        loop = asyncio.get_running_loop()
        try:
            while not self._ended:
                message = await self._ws.receive()
                self.last_seen = loop.time()
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._receive(message.data)
                elif message.type is WSMsgType.PING:
                    await self._ws.pong(message.data)
                elif message.type is not WSMsgType.PONG:
                    break
        except ConnectionError:
            # The client went away while it was being answered.
            pass
        except Exception:
            logger.exception("unexpected error on a socket")
            await self.close(WSCloseCode.INTERNAL_ERROR, "The server failed")
        finally:
            self._end()

    async def close(self, code: int, why: str) -> None:
        """Ends all channels without a word and closes the connection.

        code -- never 1000, after which clients do not come back
        why -- for people, at most 123 bytes
        """
        self._end()
        await self._ws.close(code=code, message=why.encode(), drain=False)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.drain()
        except (TimeoutError, ConnectionError):
            # It does not read, so what is unsent stays unsent.
            self._transport.abort()

    def abort(self) -> None:
        """Ends the connection at once, whatever is unsent."""
        self._transport.abort()

    async def end_session(self, session_id: str) -> None:
        """Tells the channels of a session that it is over, and closes the connection.

        What was published before comes first: a device is told that it was revoked.
        """
        reads = self._services.fanout.read(channel.topic for channel in self._channels.values())
        if reads:
            await asyncio.wait(reads, timeout=LAST_READ_SECONDS)
        for channel in self._channels.values():
            if channel.claims.session_id == session_id:
                self._send(channel, "system", system(session_over(), channel.topic.name))
        await self.close(SESSION_ENDED, "The session is over")

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

    # --- writing ----------------------------------------------------------------------------------

    def _write(self, frames: bytes) -> None:
        if not (self._ended or self._transport.is_closing()):
            self._transport.write(frames)

    async def _answer(self, push: Push, payload: dict[str, Any]) -> None:
        """Replies to a request. Waits for a client that asks more than it reads."""
        self._write(
            encode(
                self._version,
                join_ref=push.join_ref,
                ref=push.ref,
                topic=push.topic,
                event="phx_reply",
                payload=payload,
            )
        )
        if self._transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            await self._writer.drain()

    async def _accept(self, push: Push, answer: dict[str, Any] | None = None) -> None:
        await self._answer(push, {"status": "ok", "response": answer or {}})

    async def _refuse(self, push: Push, error: RoostError) -> None:
        await self._answer(push, {"status": "error", "response": response(error)})

    def _send(
        self, channel: Channel, event: str, payload: dict[str, Any], ref: str | None = None
    ) -> None:
        self._write(
            encode(
                self._version,
                join_ref=channel.join_ref,
                ref=ref,
                topic=f"realtime:{channel.topic.name}",
                event=event,
                payload=payload,
            )
        )

    # --- requests ---------------------------------------------------------------------------------

    async def _receive(self, data: str | bytes) -> None:
        try:
            push = decode(self._version, data)
        except MalformedFrameError as error:
            await self._receive_malformed(error)
            return
        channel = self._channels.get(push.topic)
        if push.topic == _PHOENIX:
            await self._receive_control(push)
        elif push.event == "phx_join":
            if channel is not None:
                self._forget(channel)
                self._send(channel, "phx_close", {}, channel.join_ref)
            await self._join(push)
        elif channel is None:
            if push.event == "phx_leave":
                await self._accept(push)
            else:
                unmatched = refused(
                    "UnmatchedTopic",
                    "The socket has not joined this topic.",
                    "Join it first.",
                    f"Topic: {push.topic}",
                )
                # The reason is Phoenix's, to the letter.
                await self._answer(
                    push, {"status": "error", "response": response(unmatched, "unmatched topic")}
                )
        elif push.join_ref in (None, channel.join_ref):
            await self._receive_for(channel, push)
        # Else it was sent to an earlier join of the topic; Phoenix ignores that, and clients do not
        # wait for an answer.

    async def _receive_control(self, push: Push) -> None:
        if push.event == "heartbeat":
            await self._accept(push)
        else:
            await self._refuse(
                push,
                refused(
                    "UnknownEvent",
                    'The topic "phoenix" has heartbeats only.',
                    "Send the event to the channel that it is for.",
                ),
            )

    async def _receive_for(self, channel: Channel, push: Push) -> None:
        match push.event:
            case "phx_leave":
                # Clients stay away after phx_close, and join again after phx_error.
                self._forget(channel)
                await self._accept(push)
                self._send(channel, "phx_close", {}, channel.join_ref)
            case "access_token":
                await self._refresh(channel, push)
            case "broadcast":
                await self._refuse(
                    push,
                    refused(
                        "BroadcastNotServed",
                        "This server does not take broadcasts from clients.",
                        "Call a function, such as send_message; it publishes what it does.",
                    ),
                )
            case "presence":
                await self._refuse(
                    push,
                    refused(
                        "PresenceNotServed",
                        "This server does not serve presence.",
                        "Leave out track and untrack.",
                    ),
                )
            case _:
                await self._refuse(
                    push,
                    refused(
                        "UnknownEvent",
                        "Channels do not take this event.",
                        "Send phx_join, phx_leave or access_token.",
                    ),
                )

    async def _receive_malformed(self, error: MalformedFrameError) -> None:
        self._malformed += 1
        what = refused(
            "MalformedFrame", error.message, 'Send the frames of the "vsn" in the address.'
        )
        topic = error.topic or _PHOENIX
        if error.ref is not None:
            await self._refuse(Push(error.join_ref, error.ref, topic, "", {}), what)
        else:
            payload = system(what, "")
            self._write(encode(self._version, topic=topic, event="system", payload=payload))
        if self._malformed >= MOST_MALFORMED_FRAMES:
            await self.close(
                WSCloseCode.POLICY_VIOLATION, f"{MOST_MALFORMED_FRAMES} malformed frames"
            )

    # --- joining ----------------------------------------------------------------------------------

    async def _join(self, push: Push) -> None:
        fanout = self._services.fanout
        try:
            name = topic_name(push.topic)
            request = JoinRequest.read(push.payload)
            if len(self._channels) >= MOST_CHANNELS:
                raise refused(
                    "ChannelRateLimitReached",
                    f"A socket has at most {MOST_CHANNELS} channels.",
                    "Leave a channel first, or open another socket.",
                )
            claims = self._verify(request.access_token)
        except RoostError as error:
            await self._refuse(push, error)
            return
        # Both before the question: events and the end of the session count from the moment that the
        # database decides at, which is before its answer is here.
        channel = fanout.subscribe(self, name, push.join_ref or push.ref, claims)
        self._channels[push.topic] = channel
        self._belong_to_sessions()
        try:
            grant = await self._ask(claims, name, request.after, request.epoch)
            if grant.epoch != fanout.epoch:
                await fanout.check_epoch(grant.epoch)
        except RoostError as error:
            self._forget(channel)
            await self._refuse(push, error)
            return
        if not self._has(channel):
            # It has ended in the meantime, and the client has been told why.
            return
        if grant.epoch != fanout.epoch:
            # The log was replaced while the answer was on its way.
            self.fail(channel, must_refetch())
            return
        newest = channel.granted_at = grant.newest
        channel.visible_after = grant.visible_after
        if request.after is not None:
            channel.replay_end = newest
        await self._accept(push, {"postgres_changes": [], "offset": newest, "epoch": grant.epoch})
        if request.confirm:
            ready = {
                "extension": "system",
                "status": "ok",
                "message": "Replication connection established",
                "channel": name,
            }
            self._send(channel, "system", ready)
        cursor = newest if request.after is None else request.after
        if self._has(channel) and not fanout.place(channel, cursor, newest):
            self._fall_behind(channel)

    async def _ask(self, claims: Claims, name: str, after: int | None, epoch: str | None) -> Grant:
        """Asks the database for a join. Raises DatabaseError, DatabaseUnavailable."""
        session_id = None if claims.session_id is None else claims.session_id.encode()
        rows = await self._services.multiplexer.call(
            JOIN_TOPIC,
            (
                name.encode(),
                None if after is None else b"%d" % after,
                None if epoch is None else epoch.encode(),
            ),
            Identity(b"user", session_id),
        )
        # No column is ever NULL.
        newest, log_epoch, visible_after = (value or b"" for value in rows[0])
        return Grant(int(newest), log_epoch.decode(), int(visible_after))

    def _verify(self, token: str | None) -> Claims:
        """Who holds a token; without one, the key counts that the socket was opened with.

        Raises RoostError.
        """
        if token is None or token.startswith("sb_"):
            token = self._apikey
        if token is None or (token == self._apikey and token.count(".") != 2):
            # A key that is no token says which application this is, not who uses it.
            raise sign_in_required()
        claims = self._services.tokens.verify(token)
        if claims.role != "user":
            raise sign_in_required()
        return claims

    def _belong_to_sessions(self) -> None:
        """Registers the socket with the sessions of its channels, and with no others."""
        claims = (channel.claims for channel in self._channels.values())
        session_ids = {c.session_id for c in claims if c.session_id is not None}
        for session_id in self._session_ids - session_ids:
            self._services.sessions.discard(session_id, self)
        for session_id in session_ids - self._session_ids:
            self._services.sessions.add(session_id, self)
        self._session_ids = session_ids

    async def _refresh(self, channel: Channel, push: Push) -> None:
        """Takes a new access token for a channel, or ends it. Says nothing on success."""
        token = push.payload.get("access_token")
        if token is None or token == self._apikey or str(token).startswith("sb_"):
            return
        try:
            if not isinstance(token, str):
                raise refused("MalformedJWT", "The token is not a string.", "Send a JWT.")
            claims = self._verify(token)
            if claims == channel.claims:
                return
            if claims.user_id != channel.claims.user_id:
                raise refused(
                    "Unauthorized",
                    "The token is another person's.",
                    "Leave the channel, and join again as that person.",
                )
            # Before the question, as for a join.
            channel.claims = claims
            self._belong_to_sessions()
            grant = await self._ask(claims, channel.topic.name, None, None)
            if grant.epoch != self._services.fanout.epoch:
                await self._services.fanout.check_epoch(grant.epoch)
        except RoostError as error:
            self.fail(channel, error)
        else:
            # A channel of another log than the answer has ended with the check.
            channel.granted_at = grant.newest
            channel.visible_after = grant.visible_after

    # --- ending channels --------------------------------------------------------------------------

    def _has(self, channel: Channel) -> bool:
        return self._channels.get(f"realtime:{channel.topic.name}") is channel

    def _forget(self, channel: Channel) -> None:
        """Ends a channel without a word. Does nothing for one that has ended already."""
        if self._has(channel):
            del self._channels[f"realtime:{channel.topic.name}"]
            self._behind.pop(channel, None)
            self._services.fanout.unsubscribe(channel)
            self._belong_to_sessions()

    def fail(self, channel: Channel, error: RoostError) -> None:
        """Ends a channel for a reason that its client is told, such that it joins again."""
        if self._has(channel):
            error = presentable(error)
            self._forget(channel)
            self._send(channel, "system", system(error, channel.topic.name))
            self._send(channel, "phx_error", response(error), channel.join_ref)

    # --- events -----------------------------------------------------------------------------------

    def deliver(self, channel: Channel, batch: Batch) -> None:
        """See fanout.Subscriber."""
        if channel.cursor >= batch.end:
            return
        if channel.cursor < batch.start:
            self._fall_behind(channel)
            return
        last = batch.last_for(channel) if batch.revoked_at else None
        end = batch.end if last is None else last.offset
        frames = batch.frames(self._version, channel.cursor, end, channel.visible_after)
        if self._transport.get_write_buffer_size() + len(frames) > MOST_UNSENT_BYTES:
            self._fall_behind(channel)
        elif not self._transport.is_closing():
            self._transport.write(frames)
            channel.cursor = end
            if last is not None:
                self.fail(channel, no_longer_allowed())

    def mention(self, ephemeral: Ephemeral) -> None:
        """See fanout.Subscriber."""
        frame = ephemeral.frame(self._version)
        if self._transport.get_write_buffer_size() + len(frame) <= MOST_UNSENT_BYTES:
            self._write(frame)

    def _fall_behind(self, channel: Channel) -> None:
        channel.live = False
        self._behind[channel] = None
        if self._catching_up is None:
            self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Reads the log for the channels that are behind until none is."""
        reader = LogReader(self._services.multiplexer)
        try:
            while self._behind:
                # While this waits no page is held: a client that does not read costs no more than
                # its unsent bytes.
                await self._writer.drain()
                try:
                    await self._read_on(reader)
                except RoostError as error:
                    logger.warning("cannot read events, trying again: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
        except ConnectionError:
            # The client is gone; serve() ends too.
            pass
        except Exception:
            logger.exception("unexpected error on a socket")
            await self.close(WSCloseCode.INTERNAL_ERROR, "The server failed")
        finally:
            self._catching_up = None

    async def _read_on(self, reader: LogReader) -> None:
        """Reads and writes a page for each of the channels that are behind, or for the first."""
        channels = list(islice(self._behind, reader.most_topics))
        if not channels:
            return
        async with self._services.catch_up_reads:
            pages = await reader.read({channel.topic.name: channel.cursor for channel in channels})
        if not await self._services.fanout.are_current(pages):
            return
        for channel in channels:
            if channel in self._behind:
                self._advance(channel, pages.get(channel.topic.name, _NO_NEWS))

    def _advance(self, channel: Channel, page: Page) -> None:
        """Writes what there is room for of a page and, when that closes the gap, goes live: one
        step, nothing in between. What there is no room for is read again, which is rare.
        """
        frames: list[bytes] = []
        unsent = self._transport.get_write_buffer_size()
        is_ended = False
        for event in page.events:
            frame = event.frame(
                self._version,
                channel.topic.joined_name,
                replayed=event.offset <= channel.replay_end,
                visible_after=channel.visible_after,
            )
            if unsent > DRAINED_BYTES and unsent + len(frame) > MOST_UNSENT_BYTES:
                break
            frames.append(frame)
            unsent += len(frame)
            if channel.is_ended_by(event):
                is_ended = True
                break
        self._write(b"".join(frames))
        if is_ended:
            self.fail(channel, no_longer_allowed())
            return
        cursor = page.events[len(frames) - 1].offset if frames else channel.cursor
        if page.resumes_at is not None and len(frames) == len(page.events):
            self.fail(channel, must_refetch())
            return
        del self._behind[channel]
        if self._services.fanout.place(channel, cursor, channel.replay_end):
            return
        # To the end, so that each has its turn.
        self._behind[channel] = None
        if not page.events:
            # The log is said to go further, and does not.
            self.fail(channel, must_refetch())
