"""Broadcasts over HTTP, as Supabase's clients send them without a channel.

POST <base>/api/broadcast takes up to 100 as {"messages": [{topic, event, payload, private}]}, all
or none; POST <base>/api/broadcast/<topic>/events/<event> takes one, whose payload is the body, as
JSON or as bytes (application/octet-stream). Topics have no prefix here.
"""

from typing import Any, Final

import orjson
from aiohttp import web

from roost.errors import DatabaseError, RoostError
from roost.realtime.broadcasts import (
    Broadcasts,
    check_event,
    checked,
    make,
    malformed,
    not_allowed,
    refuse_storing,
    reserved,
)
from roost.realtime.counters import Counters
from roost.realtime.limits import Limits
from roost.realtime.lines import Broadcast
from roost.realtime.protocol import LONGEST_FIELD
from roost.responses import HINTS, translated
from roost.tokens import AccessTokens, Claims, bearer_token

# Where sockets are opened, and where clients look for this that open them at /socket.
BASES: Final = ("/realtime/v1", "")

MOST_MESSAGES: Final = 100

_STATUSES: Final = {"RO101": 401, "RO102": 401, "RO103": 403}


class BroadcastRequests:
    """The handlers."""

    def __init__(
        self, broadcasts: Broadcasts, tokens: AccessTokens, limits: Limits, counters: Counters
    ) -> None:
        self._broadcasts = broadcasts
        self._tokens = tokens
        self._limits = limits
        self._counters = counters

    def routes(self) -> list[web.RouteDef]:
        """The routes of this protocol."""
        one = "/api/broadcast/{topic}/events/{event}"
        return [
            web.post(base + path, handler)
            for base in BASES
            for path, handler in (("/api/broadcast", self.send_batch), (one, self.send_one))
        ]

    async def send_batch(self, request: web.Request) -> web.Response:
        """POST <base>/api/broadcast. Raises RoostError."""
        claims = self._caller(request)
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            raise _unacceptable("The body is not JSON.") from None
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list) or not 1 <= len(messages) <= MOST_MESSAGES:
            raise _unacceptable(f"messages is not a list of 1 to {MOST_MESSAGES}.")
        await self._send(claims, [_read(message) for message in messages])
        return web.Response(status=202)

    async def send_one(self, request: web.Request) -> web.Response:
        """POST <base>/api/broadcast/<topic>/events/<event>?private=true. Raises RoostError."""
        claims = self._caller(request)
        query = request.query
        if "persist" in query or "persist[ttl]" in query:
            raise refuse_storing()
        if query.get("private") != "true":
            raise _private_only()
        is_raw = request.content_type == "application/octet-stream"
        broadcast = Broadcast(
            _check_topic(request.match_info["topic"]),
            check_event(request.match_info["event"]),
            await request.read(),
            is_raw,
        )
        await self._send(claims, [checked(broadcast)])
        return web.Response(status=202)

    def _caller(self, request: web.Request) -> Claims:
        """Who sends. Without a token it is the API key that counts. Raises RoostError."""
        token = bearer_token(request.headers)
        if token is None:
            key = request.headers.get("apikey") or request.query.get("apikey", "")
            # A key that is no token says which application this is, not who uses it.
            token = key if key.count(".") == 2 else None
        if token is not None:
            claims = self._tokens.verify(token)
            if claims.role == "user":
                return claims
        raise RoostError(
            code="RO101",
            message="A broadcast needs a signed-in person.",
            details=None,
            hint="Sign in, and send the access token as Authorization: Bearer <token>.",
            status=401,
        )

    async def _send(self, claims: Claims, broadcasts: list[Broadcast]) -> None:
        """Sends all, or none. Raises RoostError."""
        size = sum(len(broadcast.payload) for broadcast in broadcasts)
        try:
            self._limits.send(claims.user_id or "", len(broadcasts), size)
        except RoostError as error:
            self._counters.refused[error.code] += 1
            raise
        try:
            answers = await self._broadcasts.ask(claims, broadcasts)
        except DatabaseError as error:
            raise translated(error, _STATUSES, HINTS, anonymous=False) from None
        for broadcast, answer in zip(broadcasts, answers, strict=True):
            if not answer.is_allowed:
                raise not_allowed(broadcast)
            if answer.is_reserved:
                raise reserved(broadcast)
        for broadcast in broadcasts:
            self._broadcasts.send(broadcast)


def _read(message: Any) -> Broadcast:
    if not isinstance(message, dict):
        raise _unacceptable("A message is not an object.")
    if message.get("persist"):
        raise refuse_storing()
    if message.get("private") is not True:
        raise _private_only()
    return make(
        _check_topic(message.get("topic")), message.get("event"), message.get("payload", {})
    )


def _check_topic(topic: Any) -> str:
    if not (isinstance(topic, str) and topic.isprintable() and 0 < len(topic) <= LONGEST_FIELD):
        raise malformed(f"topic is a printable string of 1 to {LONGEST_FIELD} characters.")
    return topic


def _unacceptable(details: str) -> RoostError:
    return RoostError(
        code="MalformedBroadcast",
        message="This is not a list of broadcasts.",
        details=details,
        hint='Send {"messages": [{"topic": "<topic>", "event": "<name>", "payload": ...,'
        ' "private": true}]}.',
        status=422,
    )


def _private_only() -> RoostError:
    return RoostError(
        code="PrivateOnly",
        message="This server has private channels only.",
        details=None,
        hint="Send private as true.",
        status=422,
    )
