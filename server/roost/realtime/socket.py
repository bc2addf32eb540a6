"""A WebSocket: what its client asks over it, and how it is answered."""

import asyncio
import logging
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from roost.errors import RoostError
from roost.realtime.acknowledgements import is_acknowledgement, read_acknowledgement
from roost.realtime.broadcasts import Broadcaster
from roost.realtime.fanout import Batch, Channel, Ephemeral
from roost.realtime.inbox import Inbox
from roost.realtime.join import JoinRequest, Replay, ask_to_join, lacking, topic_name
from roost.realtime.limits import LONGEST_PAUSE, Allowance
from roost.realtime.log import Event
from roost.realtime.outlet import CLOSE_SECONDS, DRAINED_BYTES, Outlet, Services
from roost.realtime.presence import Message
from roost.realtime.protocol import (
    MalformedFrameError,
    Push,
    Version,
    broadcast_frame,
    decode,
    encode,
)
from roost.realtime.refusals import (
    must_refetch,
    no_longer_allowed,
    refused,
    response,
    session_over,
    sign_in_required,
    system,
)
from roost.tokens import Claims

logger = logging.getLogger(__name__)

MOST_MALFORMED_FRAMES: Final = 20

# Clients send a heartbeat every 25 or 30 seconds. The device is offline before its socket is closed
# (device_presence.PRESENT_SECONDS).
IDLE_SECONDS: Final = 60.0

_PHOENIX: Final = "phoenix"

# Requests that are never refused for being too many.
_ALWAYS: Final = frozenset({"heartbeat", "phx_leave"})


class Socket(Outlet):
    """A client's connection."""

    __slots__ = (
        "_allowance",
        "_apikey",
        "_closing",
        "_deflate_from",
        "_malformed",
        "_version",
        "_ws",
    )

    def __init__(
        self,
        services: Services,
        ws: web.WebSocketResponse,
        writer: AbstractStreamWriter,
        transport: asyncio.WriteTransport,
        version: Version,
        apikey: str | None,
        deflate_from: int = 0,
    ) -> None:
        """deflate_from -- events of so many bytes are compressed; 0 where none may be"""
        super().__init__(services, writer, transport)
        self._deflate_from = deflate_from
        self._allowance = Allowance(services.limits)
        self._ws = ws
        self._version = version
        self._apikey = apikey
        self._malformed = 0
        self._closing: asyncio.Task[None] | None = None
        self.heard_at = asyncio.get_running_loop().time()

    # --- the connection ---------------------------------------------------------------------------

    async def serve(self) -> None:
        """Answers the client until the connection ends."""
        loop = asyncio.get_running_loop()
        try:
            while not self._ended:
                message = await self._ws.receive()
                self.heard_at = loop.time()
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

    def _end(self) -> None:
        super()._end()
        self._allowance.close()

    async def close(self, code: int, why: str) -> None:
        """See Outlet."""
        # What comes before the end.
        self.flush()
        if not self._ended:
            self._counters.closed[int(code)] += 1
        self._end()
        await self._ws.close(code=code, message=why.encode(), drain=False)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.drain()
        except (TimeoutError, ConnectionError):
            # It does not read, so what is unsent stays unsent.
            self._transport.abort()

    def look_after(self, now: float) -> None:
        """See Outlet. Closes a socket that went silent."""
        if now - self.heard_at > IDLE_SECONDS and self._closing is None:
            self._closing = asyncio.create_task(
                self.close(WSCloseCode.GOING_AWAY, f"No frame for {IDLE_SECONDS:.0f} seconds")
            )

    def tell_session_over(self, channel: Channel) -> None:
        """See Outlet."""
        self._send(channel, "system", system(session_over(), channel.topic.name))

    # --- writing ----------------------------------------------------------------------------------

    async def _answer(self, push: Push, payload: dict[str, Any]) -> None:
        """Replies to a request. Waits for a client that asks more than it reads."""
        self._write(self._reply_frame(push, payload))
        await self._have_room()

    def _reply_frame(self, push: Push, payload: dict[str, Any]) -> bytes:
        return encode(
            self._version,
            join_ref=push.join_ref,
            ref=push.ref,
            topic=push.topic,
            event="phx_reply",
            payload=payload,
        )

    async def _have_room(self) -> None:
        if self.unsent_bytes > self._most_unsent:
            self.flush()
            await self._writer.drain()

    async def _accept(self, push: Push, answer: dict[str, Any] | None = None) -> None:
        await self._answer(push, {"status": "ok", "response": answer or {}})

    async def _refuse(self, push: Push, error: RoostError) -> None:
        if error.status == 429:
            self._counters.refused[error.code] += 1
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
        if not await self._admit(push, channel, _size(data)):
            return
        if push.topic == _PHOENIX:
            await self._receive_control(push)
        elif push.event == "phx_join":
            if channel is not None:
                # A join that is one too many leaves what is joined as it is.
                excess = self._allowance.too_many_joins(channel.claims.user_id)
                if excess is not None:
                    await self._refuse(push, excess.error())
                    return
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

    async def _admit(self, push: Push, channel: Channel | None, size: int) -> bool:
        """Whether a request is within the limits; if not, it has been refused.

        Whoever goes on after many refusals waits instead. Nothing is read from the socket then, so
        that what the client sends stays with the client.
        """
        user_id = None if channel is None else channel.claims.user_id
        excess = self._allowance.message(size, user_id)
        if excess is None:
            return True
        if self._allowance.is_patient():
            if push.event in _ALWAYS:
                return True
            await self._refuse(push, excess.error())
            return False
        self._counters.pauses += 1
        await asyncio.sleep(min(excess.wait, LONGEST_PAUSE))
        self._allowance.late_message(size, user_id)
        return True

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
            case "ack":
                await self._acknowledge(channel, push)
            case "broadcast":
                if is_acknowledgement(push):
                    await self._acknowledge(channel, push)
                else:
                    await self._broadcast(channel, push)
            case "presence":
                await self._receive_presence(channel, push)
            case _:
                await self._refuse(
                    push,
                    refused(
                        "UnknownEvent",
                        "Channels do not take this event.",
                        "Send phx_join, phx_leave, access_token, ack, broadcast or presence.",
                    ),
                )

    async def _acknowledge(self, channel: Channel, push: Push) -> None:
        """Notes what the client says that it has. Answers when the database knows."""
        try:
            positions = read_acknowledgement(push, channel)
        except RoostError as error:
            await self._refuse(push, error)
            return
        if not positions:
            await self._accept(push)
            return
        known = self.services.acknowledgements.add(
            channel.claims.session_id or "",
            positions,
            None if channel.inbox is None else channel.inbox.resume,
        )
        if push.ref is not None:
            known.add_done_callback(lambda _known: self._answer_acknowledgement(push, known))
        # The answers come by themselves, so nothing else waits for a client that does not read.
        await self._have_room()

    def _answer_acknowledgement(self, push: Push, known: asyncio.Future[None]) -> None:
        if known.cancelled():
            return
        error = known.exception()
        if isinstance(error, RoostError):
            answer = {"status": "error", "response": response(error)}
        else:
            answer = {"status": "ok", "response": {}}
        self._write(self._reply_frame(push, answer))

    async def _broadcast(self, channel: Channel, push: Push) -> None:
        broadcaster = channel.broadcaster
        if broadcaster is None:
            # It is heard in an inbox, where nobody can send to it.
            return
        try:
            await broadcaster.send(push)
        except RoostError as error:
            # Clients do not wait for an answer without `ack`; who looks at their log sees it.
            await self._refuse(push, error)
        else:
            if broadcaster.acknowledges:
                await self._accept(push)

    async def _receive_presence(self, channel: Channel, push: Push) -> None:
        match str(push.payload.get("event")).lower():
            case "track":
                try:
                    self.services.presence.track(channel, push.payload.get("payload", {}))
                except RoostError as error:
                    # The reasons are Supabase's, to the letter.
                    await self._answer(
                        push, {"status": "error", "response": response(error, error.message)}
                    )
                    return
            case "untrack":
                self.services.presence.untrack(channel)
            case _:
                await self._refuse(
                    push,
                    refused(
                        "UnknownEvent",
                        "Presence does not have this event.",
                        "Send an object with event: track and a payload, or event: untrack.",
                    ),
                )
                return
        await self._accept(push)

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
        fanout = self.services.fanout
        try:
            name = topic_name(push.topic)
            request = JoinRequest.read(push.payload)
            too_many = self.services.limits.too_many_channels(len(self._channels))
            if too_many is not None:
                raise too_many
            claims = self._verify(request.access_token)
            self._allowance.join(claims.user_id or "")
        except RoostError as error:
            await self._refuse(push, error)
            return
        # Both before the question: events and the end of the session count from the moment that the
        # database decides at, which is before its answer is here.
        channel = fanout.subscribe(self, name, push.join_ref or push.ref, claims)
        channel.broadcaster = Broadcaster(
            self.services.broadcasts,
            channel,
            acknowledges=request.acknowledges,
            echoes=request.echoes,
        )
        self._channels[push.topic] = channel
        self._belong_to_sessions()
        rules_asked = self.ask_for_rules()
        with fanout.question() as asked:
            try:
                grant, *inner = await ask_to_join(
                    self.services.multiplexer, claims, name, request.replay
                )
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
            self.set_rules(channel, grant.rules, rules_asked)
            self._counters.joins += 1
            if grant.replay_after is not None:
                channel.replay_end = newest
                self._counters.replays += 1
            answer = {"postgres_changes": [], "offset": newest, "epoch": grant.epoch}
            if grant.resume is not None:
                answer |= {"resume": grant.resume, "topics": lacking([grant, *inner])}
            self._write(self._reply_frame(push, {"status": "ok", "response": answer}))
            self.services.presence.join(channel, request.presence)
            if request.confirm:
                ready = {
                    "extension": "system",
                    "status": "ok",
                    "message": "Replication connection established",
                    "channel": name,
                }
                self._send(channel, "system", ready)
            if name.startswith("user:"):
                channel.inbox = Inbox(self, channel, request.replay.resume or grant.resume)
                channel.inbox.open(inner, asked)
        self.place(channel, newest if grant.replay_after is None else grant.replay_after, newest)
        await self._have_room()

    def _verify(self, token: str | None) -> Claims:
        """Who holds a token; without one, the key counts that the socket was opened with.

        Raises RoostError.
        """
        if token is None or token.startswith("sb_"):
            token = self._apikey
        if token is None or (token == self._apikey and token.count(".") != 2):
            # A key that is no token says which application this is, not who uses it.
            raise sign_in_required()
        claims = self.services.tokens.verify(token)
        if claims.role != "user":
            raise sign_in_required()
        return claims

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
            rules_asked = self.ask_for_rules()
            grant, *_ = await ask_to_join(
                self.services.multiplexer, claims, channel.topic.name, Replay()
            )
            if grant.epoch != self.services.fanout.epoch:
                await self.services.fanout.check_epoch(grant.epoch)
        except RoostError as error:
            self.fail(channel, error)
        else:
            # A channel of another log than the answer has ended with the check.
            channel.granted_at = grant.newest
            channel.visible_after = grant.visible_after
            self.set_rules(channel, grant.rules, rules_asked)
            if not self.services.presence.has(channel):
                # silence() came before: the right has ended once, and is another one now.
                self.fail(channel, no_longer_allowed())

    # --- frames -----------------------------------------------------------------------------------

    def tell_presence(self, channel: Channel, message: Message) -> bool:
        """See fanout.Subscriber. Only a message that is larger by itself exceeds the limit."""
        frame = message.frame(self._version, channel)
        if self.unsent_bytes > DRAINED_BYTES and self.unsent_bytes + len(frame) > self._most_unsent:
            return False
        self._write(frame)
        return True

    def _tell_failure(self, channel: Channel, error: RoostError) -> None:
        self._send(channel, "system", system(error, channel.topic.name))
        self._send(channel, "phx_error", response(error), channel.join_ref)

    def _batch_frames(self, channel: Channel, batch: Batch, end: int) -> bytes:
        if channel.rules is None:
            return batch.frames(self._version, channel, end, self._deflate_from)
        return super()._batch_frames(channel, batch, end)

    def _stored_frame(self, channel: Channel, event: Event, message: bytes) -> bytes:  # noqa: ARG002
        return broadcast_frame(self._version, channel.joined_name, message)

    def _ephemeral_frame(self, channel: Channel, ephemeral: Ephemeral, *, silent: bool) -> bytes:
        return ephemeral.frame(self._version, channel, self._deflate_from, silent=silent)


def _size(data: str | bytes) -> int:
    """A frame's payload in bytes, which aiohttp has decoded."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
