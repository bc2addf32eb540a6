"""A server with nothing but the relay, people, and clients that speak to it in raw frames."""

import asyncio
import contextlib
import itertools
import json
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psycopg
from aiohttp import WSMsgType, web

from roost.database.listener import Listener
from roost.database.pipeline import Identity, Multiplexer, Statement
from roost.errors import RoostError
from roost.realtime.protocol import Version
from roost.realtime.relay import Relay
from roost.responses import error_response
from roost.settings import Settings
from roost.tokens import AccessTokens
from tests.support import connect

SECRET = "0123456789abcdef0123456789abcdef"
VSN = {Version.V1: "1.0.0", Version.V2: "2.0.0"}

SEND_MESSAGE = Statement(
    b"SELECT result.seq, pg_catalog.current_setting('roost.touched', true)"
    b" FROM (SELECT * FROM api.send_message($1::uuid, $2::jsonb) OFFSET 0) AS result"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with one device and a living session on it."""

    user_id: str
    device_id: str
    session_id: str

    @property
    def inbox(self) -> str:
        """Where all that the person may read is heard too."""
        return f"user:{self.user_id}"

    @property
    def own_device(self) -> str:
        """A topic that has nothing but its own events."""
        return f"device:{self.device_id}"

    def token(self, lifetime: int = 3600) -> str:
        token, _ = AccessTokens(SECRET, lifetime).issue(
            user_id=self.user_id,
            session_id=self.session_id,
            device_id=self.device_id,
            email="ada@example.com",
        )
        return token

    @property
    def identity(self) -> Identity:
        return Identity(b"user", self.session_id.encode())


class Database:
    """What psql would do: no server is behind these statements."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self.connection = connection

    async def run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = await self.connection.execute(query.encode(), values)
        return await cursor.fetchall() if cursor.description else []

    async def person(self) -> Person:
        person = Person(*(str(uuid.uuid4()) for _ in range(3)))
        await self.run(
            "INSERT INTO roost.users (id, email, password_hash)"
            " VALUES (%s, %s, '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g')",
            person.user_id,
            f"{person.user_id}@example.com",
        )
        await self.run(
            "INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)",
            person.device_id,
            person.user_id,
        )
        await self.session(person)
        return person

    async def session(self, person: Person) -> None:
        await self.run(
            "INSERT INTO roost.sessions (id, user_id, device_id, refresh_token_hash, expires_at)"
            " VALUES (%s, %s, %s, sha256(%s), now() + interval '1 hour')",
            person.session_id,
            person.user_id,
            person.device_id,
            person.session_id.encode(),
        )

    async def conversation(self, *people: Person) -> str:
        """A new conversation, which is the first one's."""
        conversation_id = str(uuid.uuid4())
        # Whoever opens it and who owns it are looked at together, at commit.
        async with self.connection.transaction():
            await self.run(
                "INSERT INTO roost.conversations (id, user_id) VALUES (%s, %s)",
                conversation_id,
                people[0].user_id,
            )
            for person in people:
                await self.run(
                    "INSERT INTO roost.conversation_participants (conversation_id, user_id, role)"
                    " VALUES (%s, %s, %s)",
                    conversation_id,
                    person.user_id,
                    "owner" if person is people[0] else "member",
                )
        return conversation_id

    async def publish(
        self,
        topic: str,
        payload: str = "{}",
        event: str = "note.made",
        *,
        about: int | None = None,
        revokes: str | None = None,
    ) -> int:
        ((offset,),) = await self.run(
            "SELECT realtime.publish(%s, %s, %s, %s, %s)", topic, event, payload, about, revokes
        )
        return int(offset)

    async def remove(self, person: Person, topic: str) -> int:
        """Ends somebody's part in a conversation; the offset that says so."""
        async with self.connection.transaction():
            await self.run(
                "UPDATE roost.conversation_participants SET left_at = now()"
                " WHERE 'conversation:' || conversation_id = %s AND user_id = %s",
                topic,
                person.user_id,
            )
            return await self.publish(topic, event="participant.removed", revokes=person.user_id)

    async def add_back(self, person: Person, topic: str, history_after: int = 0) -> int:
        """Takes somebody into a conversation again, who sees what is behind an offset."""
        async with self.connection.transaction():
            await self.run(
                "UPDATE roost.conversation_participants"
                " SET left_at = NULL, history_after_seq = %s"
                " WHERE 'conversation:' || conversation_id = %s AND user_id = %s",
                history_after,
                topic,
                person.user_id,
            )
            return await self.publish(topic, event="participant.added")

    async def newest(self) -> dict[str, int]:
        """Offsets of all conversations."""
        return dict(
            await self.run("SELECT 'conversation:' || id, last_seq FROM roost.conversations")
        )

    async def broadcast(self, topic: str, payload: str = "{}", event: str = "typing") -> None:
        await self.run("SELECT realtime.broadcast(%s, %s, %s)", topic, event, payload)

    async def publish_many(self, topic: str, number: int, size: int = 0) -> None:
        await self.run(
            "SELECT realtime.publish(%s, 'note.made',"
            " json_build_object('n', n, 'filling', repeat('x', %s)))"
            " FROM generate_series(1, %s) AS n",
            topic,
            size,
            number,
        )

    async def without_notice(self) -> None:
        """From now on what is written is known to nobody: as a server that dies after a commit."""
        await self.run("SET roost.gateway = 'on'")


@dataclass(frozen=True, slots=True)
class Message:
    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: dict[str, Any]


class Phone:
    """A client that speaks in raw frames.

    hears_presence -- whether receive() answers the event presence, which comes whenever somebody's
        devices come and go, and thus between all others
    """

    def __init__(
        self, ws: aiohttp.ClientWebSocketResponse, version: Version, person: Person | None
    ) -> None:
        self.ws = ws
        self.version = version
        self.person = person
        # Leaves out what is heard in an inbox of other topics.
        self.hears_its_own_alone = False
        self.hears_presence = False
        self._refs = map(str, itertools.count(1))

    async def send(
        self, topic: str, event: str, payload: Any = None, *, join_ref: str | None = None
    ) -> str:
        """Sends a frame under a new reference, which is returned."""
        ref = next(self._refs)
        await self.send_frame(
            join_ref if event != "phx_join" else ref, ref, topic, event, payload or {}
        )
        return ref

    async def send_frame(self, *fields: Any) -> None:
        if self.version is Version.V1:
            names = ("join_ref", "ref", "topic", "event", "payload")
            await self.ws.send_str(json.dumps(dict(zip(names, fields, strict=True))))
        else:
            await self.ws.send_str(json.dumps(fields))

    async def receive(self) -> Message:
        while True:
            message = await self._receive()
            if message.event == "broadcast" and (
                (self.hears_its_own_alone and "topic" in message.payload.get("meta", {}))
                or (message.payload["event"] == "presence" and not self.hears_presence)
            ):
                continue
            return message

    async def _receive(self) -> Message:
        async with asyncio.timeout(20):
            frame = json.loads(await self.ws.receive_str())
        if self.version is Version.V1:
            assert list(frame) == ["topic", "event", "payload", "ref"]
            return Message(None, frame["ref"], frame["topic"], frame["event"], frame["payload"])
        assert len(frame) == 5
        return Message(*frame)

    async def reply(self, ref: str) -> dict[str, Any]:
        """The next message, which has to be the reply to a request."""
        message = await self.receive()
        assert (message.event, message.ref) == ("phx_reply", ref), message
        return message.payload

    async def join(self, topic: str, /, **broadcast: Any) -> dict[str, Any]:
        """The reply to a join as realtime-js asks for it."""
        return await self.reply(await self.ask_to_join(topic, **broadcast))

    async def ask_to_join(self, topic: str, /, **broadcast: Any) -> str:
        assert self.person is not None
        return await self.send(
            f"realtime:{topic}", "phx_join", join_payload(self.person.token(), **broadcast)
        )

    async def joined(self, topic: str, /, **broadcast: Any) -> "Phone":
        reply = await self.join(topic, **broadcast)
        assert reply["status"] == "ok", reply
        return self

    async def events(self, number: int) -> list[dict[str, Any]]:
        """The next events, which have to be the next messages."""
        events = []
        for _ in range(number):
            message = await self.receive()
            assert message.event == "broadcast", message
            events.append(message.payload)
        return events

    async def offsets(self, number: int) -> list[int]:
        return [event["meta"]["offset"] for event in await self.events(number)]

    async def is_ended(self, topic: str, code: str) -> None:
        """The next two messages have to say that a channel has ended."""
        system, error = await self.receive(), await self.receive()
        assert (system.event, error.event) == ("system", "phx_error"), (system, error)
        assert {system.topic, error.topic} == {f"realtime:{topic}"}
        assert system.payload["code"] == error.payload["code"] == code

    async def is_answered(self) -> None:
        """The socket is open, and nothing else is on its way on it."""
        ref = await self.send("phoenix", "heartbeat")
        assert await self.receive() == Message(
            None, ref, "phoenix", "phx_reply", {"status": "ok", "response": {}}
        )

    async def closed(self) -> int:
        """Waits for the end, past whatever comes before it; the code of the close frame."""
        async with asyncio.timeout(20):
            while (message := await self.ws.receive()).type is WSMsgType.TEXT:
                pass
        assert message.type is WSMsgType.CLOSE, message
        return int(message.data)


def join_payload(token: str | None, **broadcast: Any) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "config": {
            "broadcast": {"ack": False, "self": False, **broadcast},
            "presence": {"key": "", "enabled": False},
            "postgres_changes": [],
            "private": True,
        }
    }
    if token is not None:
        payload["access_token"] = token
    return payload


@dataclass(slots=True)
class Node:
    """A server with nothing but a relay. deaf -- notifications do not reach it."""

    url: str
    http: aiohttp.ClientSession
    relay: Relay
    multiplexer: Multiplexer
    transports: list[asyncio.Transport]
    deaf: bool = False
    closing: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def phone(
        self, person: Person | None = None, version: Version = Version.V2, **query: str
    ) -> Phone:
        """A new connection, closed with the node."""
        query = {"vsn": VSN[version], **query}
        ws = await self.http.ws_connect(f"{self.url}/realtime/v1/websocket", params=query)
        self.closing.push_async_callback(ws.close)
        return Phone(ws, version, person)

    async def send_message(self, sender: Person, conversation_id: str, content: str) -> None:
        """As POST /rpc/send_message does it: the relay hears of it from the call itself."""
        ((_, touched),) = await self.multiplexer.call(
            SEND_MESSAGE, (conversation_id.encode(), content.encode()), sender.identity
        )
        self.relay.wake((touched or b"").decode())


@contextlib.asynccontextmanager
async def running_node(conninfo: str, **settings: Any) -> AsyncIterator[Node]:
    async with contextlib.AsyncExitStack() as stack:
        multiplexer = Multiplexer(
            conninfo,
            connections=2,
            slow_connections=0,
            depth=8,
            connect_timeout=2,
            statement_timeout_ms=10_000,
        )
        await multiplexer.open()
        stack.push_async_callback(multiplexer.close, 2.0)
        relay = Relay(multiplexer, AccessTokens(SECRET, 3600), Settings(**settings))
        await relay.start()
        stack.push_async_callback(relay.close)

        transports: list[asyncio.Transport] = []

        @web.middleware
        async def middleware(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            assert request.transport is not None
            transports.append(request.transport)
            try:
                return await handler(request)
            except RoostError as error:
                return error_response(error)

        app = web.Application(middlewares=[middleware])
        app.add_routes(relay.routes())
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        http = await stack.enter_async_context(aiohttp.ClientSession())
        node = Node(
            f"http://127.0.0.1:{runner.addresses[0][1]}", http, relay, multiplexer, transports
        )

        def on_notify(_channel: str, payload: str) -> None:
            if not node.deaf:
                relay.on_notify(payload)

        listening = asyncio.Event()

        def on_connect() -> None:
            listening.set()
            relay.on_reconnect()

        listener = Listener(conninfo, ("roost_events",), on_notify, on_connect)
        listener.start()
        stack.push_async_callback(listener.close)
        await listening.wait()
        await stack.enter_async_context(node.closing)
        yield node


async def write_openly(database: str, topics: list[str], last: str) -> None:
    """Publishes in transactions that stay open for a while, in savepoints some of which are rolled
    back, and ends each topic with the event `last`.
    """
    async with await connect(database) as connection:
        writer = Database(connection)
        for _ in range(60):
            async with connection.transaction():
                # Its id may be older than of what is committed before it publishes.
                await writer.run("SELECT pg_current_xact_id()")
                await asyncio.sleep(random.random() / 50)
                # In one order, as everybody locks several of them.
                for topic in sorted(random.sample(topics, 2)):
                    with contextlib.suppress(psycopg.Rollback):
                        async with connection.transaction() as savepoint:
                            await writer.publish(topic)
                            if random.random() < 1 / 4:
                                raise psycopg.Rollback(savepoint)
                await asyncio.sleep(random.random() / 50)
        for topic in topics:
            await writer.publish(topic, event=last)


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits for something that nothing announces."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)
