"""GET /events/<topic>: what a client without a library gets."""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import pytest
from yarl import URL

from roost.errors import RoostError
from roost.realtime import event_stream, outlet, relay
from roost.realtime.event_stream import Positions
from roost.settings import Settings
from tests.relaying import Database, Node, Person, eventually, running_node, write_openly
from tests.serving import Client
from tests.support import connect


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


@pytest.fixture
async def node(database: str) -> AsyncIterator[Node]:
    async with running_node(database) as node:
        yield node


@pytest.fixture
async def ada(db: Database) -> Person:
    return await db.person()


@dataclass(slots=True)
class Message:
    event: str | None
    id: str | None
    data: Any


class Stream:
    """Reads as the standard says it: the last id stays, a block without data is no message."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""

    async def line(self) -> str:
        async with asyncio.timeout(20):
            return (await self.response.content.readline()).decode()

    async def next(self) -> Message:
        message = Message(None, None, None)
        while (line := await self.line()) != "\n":
            assert line, "the stream has ended"
            name, _, value = line.removesuffix("\n").partition(":")
            match name:
                case "event":
                    message.event = value.strip()
                case "id":
                    message.id = self.last_id = value.strip()
                case "data" if value:
                    message.data = json.loads(value)
        return message if message.data is not None else await self.next()

    async def events(self, number: int) -> list[dict[str, Any]]:
        events = []
        for _ in range(number):
            message = await self.next()
            assert message.event is None, message
            events.append(message.data)
        return events

    async def ended(self) -> None:
        assert await self.line() == ""


@contextlib.asynccontextmanager
async def streaming(
    node: Node, person: Person | None, topic: str, last_id: str | None = None, **query: str | int
) -> AsyncIterator[Stream]:
    headers = {} if person is None else {"Authorization": f"Bearer {person.token()}"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    async with node.http.get(
        f"{node.url}/events/{topic}", headers=headers, params=query
    ) as response:
        assert response.status == 200, await response.text()
        stream = Stream(response)
        # The place where it begins.
        assert (await stream.line()).startswith("retry: ")
        stream.last_id = (await stream.line()).removeprefix("id: ").strip()
        assert await stream.line() == "\n"
        if last_id is not None:
            assert stream.last_id == last_id
        yield stream


async def test_a_stream_has_what_a_socket_has(node: Node, db: Database, ada: Person) -> None:
    topic = f"conversation:{await db.conversation(ada)}"
    phone = await (await node.phone(ada)).joined(topic)
    async with streaming(node, ada, topic) as stream:
        headers = stream.response.headers
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert headers["Cache-Control"] == "no-store"
        assert stream.last_id.endswith(":0")
        await db.publish(topic, '{\r\n "a" :\n\n"\\n"}')
        await db.broadcast(topic, '{"typing": 1}')
        await db.publish(topic, '"\u00fc"')
        heard = await phone.events(3)
        stored: list[Message] = []
        ephemeral: list[Message] = []
        for _ in range(3):
            message = await stream.next()
            (stored if message.id else ephemeral).append(message)
        assert [message.data for message in stored] == [event for event in heard if "meta" in event]
        assert [message.data for message in ephemeral] == [
            event for event in heard if "meta" not in event
        ]
        epoch = heard[0]["meta"]["epoch"]
        assert [message.id for message in stored] == [f"{epoch}:1", f"{epoch}:2"]


async def test_a_stream_is_resumed_from_its_last_id(node: Node, db: Database, ada: Person) -> None:
    await db.publish_many(ada.own_device, 3)
    async with streaming(node, ada, ada.own_device, after=1) as stream:
        assert [event["meta"]["offset"] for event in await stream.events(2)] == [2, 3]
        last_id = stream.last_id
    await db.publish_many(ada.own_device, 2)
    for given in ({"last_id": last_id}, {"last_event_id": last_id}):
        async with streaming(node, ada, ada.own_device, **given) as stream:
            events = await stream.events(2)
            assert [event["meta"]["offset"] for event in events] == [4, 5]
            assert all(event["meta"]["replayed"] for event in events)
    # From the very beginning there is an id to come back with.
    async with streaming(node, ada, ada.own_device) as stream:
        assert stream.last_id.endswith(":5")
        await db.publish(ada.own_device)
        (event,) = await stream.events(1)
        assert (event["meta"]["offset"], "replayed" in event["meta"]) == (6, False)
    async with streaming(node, ada, ada.own_device, since=1, limit=2) as stream:
        assert [event["meta"]["offset"] for event in await stream.events(2)] == [5, 6]


async def test_an_inbox_is_resumed_exactly(node: Node, db: Database, ada: Person) -> None:
    first, second, third = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    async with streaming(node, ada, ada.inbox) as stream:
        for topic in (first, second, first):
            await db.publish(topic)
        await db.publish(ada.inbox)
        await stream.events(4)
        last_id = stream.last_id
    assert sorted(last_id.split(",")[1:]) == sorted([f"{first}=2", f"{second}=1"])
    for topic in (first, second, third, ada.inbox):
        await db.publish(topic)
    # Of the third one nothing had come: all that has come since is new.
    async with streaming(node, ada, ada.inbox, last_id) as stream:
        assert await places(stream, 4) == {(first, 3), (second, 2), (third, 1), (None, 2)}
        await db.publish(third)
        assert await places(stream, 1) == {(third, 2)}


async def places(stream: Stream, number: int) -> set[tuple[str | None, int]]:
    return {
        (event["meta"].get("topic"), event["meta"]["offset"])
        for event in await stream.events(number)
    }


async def test_a_stream_that_is_cut_before_its_first_event_has_missed_nothing(
    node: Node, db: Database, ada: Person
) -> None:
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    await db.publish_many(topics[0], 5)
    async with streaming(node, ada, ada.inbox) as stream:
        last_id = stream.last_id
    for topic in topics:
        await db.publish(topic)
    # Nor is one that is cut again before anything has come.
    for _ in range(2):
        async with streaming(node, ada, ada.inbox, last_id) as stream:
            last_id = stream.last_id
    async with streaming(node, ada, ada.inbox, last_id) as stream:
        assert await places(stream, 1) < {(topics[0], 6), (topics[1], 1), (topics[2], 1)}
        last_id = stream.last_id
    # The id of one of three says where the others are, too.
    async with streaming(node, ada, ada.inbox, last_id) as stream:
        assert len(await places(stream, 2)) == 2
        await db.publish(topics[0])
        assert await places(stream, 1) == {(topics[0], 7)}
        last_id = stream.last_id
    async with streaming(node, ada, ada.inbox, last_id) as stream:
        await db.publish(topics[1])
        assert await places(stream, 1) == {(topics[1], 2)}


async def test_an_id_that_gets_long_is_made_short_again(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person
) -> None:
    monkeypatch.setattr(event_stream, "RENEWED_POSITIONS", 2)
    monkeypatch.setattr(event_stream, "RENEW_SECONDS", 0.0)
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(5)]
    async with streaming(node, ada, ada.inbox) as stream:
        first_id = stream.last_id
        for topic in topics[:2]:
            await db.publish(topic)
            await stream.events(1)
        assert stream.last_id.count(",") == 2
        # An id of its own, without a message.
        while not (line := await stream.line()).startswith("id: "):
            pass
        last_id = line.removeprefix("id: ").strip()
        assert "," not in last_id
        assert last_id.split("@")[1] != first_id.split("@")[1]
    for topic in topics:
        await db.publish(topic)
    async with streaming(node, ada, ada.inbox, last_id) as stream:
        assert await places(stream, 5) == {
            *((topic, 2) for topic in topics[:2]),
            *((topic, 1) for topic in topics[2:]),
        }


async def test_a_stream_that_is_cut_while_it_catches_up_with_many_topics(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person
) -> None:
    """More than an id can name: those that it does not name are still where they were."""
    monkeypatch.setattr(event_stream, "MOST_POSITIONS", 2)
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(4)]
    async with streaming(node, ada, ada.inbox) as stream:
        last_id = stream.last_id
    for topic in topics:
        await db.publish(topic)
    heard = set()
    for number in (1, 1, 2):
        async with streaming(node, ada, ada.inbox, last_id) as stream:
            heard |= await places(stream, number)
            last_id = stream.last_id
            assert "*" not in last_id
    assert heard == {(topic, 1) for topic in topics}
    async with streaming(node, ada, ada.inbox, last_id) as stream:
        await db.publish(topics[0])
        assert await places(stream, 1) == {(topics[0], 2)}


async def test_nothing_is_lost_or_doubled_whenever_a_stream_is_cut(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person
) -> None:
    """With writers whose transactions stay open for a while, in savepoints too, and ids that are
    made short again and again.
    """
    monkeypatch.setattr(event_stream, "RENEWED_POSITIONS", 3)
    monkeypatch.setattr(event_stream, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(relay, "SWEEP_SECONDS", 0.02)
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(24)]
    last = "conversation.last"

    async def read(node: Node) -> None:
        at: dict[str, int] = {}
        finished: set[str] = set()
        last_id = None
        while len(finished) < len(topics):
            before = await db.newest()
            async with streaming(node, ada, ada.inbox, last_id) as stream:
                if last_id is None:
                    after = await db.newest()
                    begun = {topic: (before[topic], after[topic]) for topic in topics}
                for _ in range(random.randrange(0, 40)):
                    if len(finished) == len(topics):
                        break
                    (event,) = await stream.events(1)
                    assert event["event"] in ("note.made", last), event
                    topic, offset = event["meta"]["topic"], event["meta"]["offset"]
                    if topic in at:
                        assert offset == at[topic] + 1
                    else:
                        least, most = begun[topic]
                        assert least < offset <= most + 1
                    at[topic] = offset
                    if event["event"] == last:
                        finished.add(topic)
                last_id = stream.last_id
                assert "*" not in last_id

    async with running_node(database) as node, asyncio.TaskGroup() as group:
        for start in range(0, len(topics), 6):
            for _ in range(2):
                group.create_task(write_openly(database, topics[start : start + 6], last))
        for _ in range(3):
            group.create_task(read(node))


async def test_an_id_that_would_be_too_long_says_that_it_is_not_whole(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person
) -> None:
    monkeypatch.setattr(event_stream, "MOST_POSITIONS", 2)
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    async with streaming(node, ada, ada.inbox) as stream:
        for topic in topics:
            await db.publish(topic)
            await stream.events(1)
        last_id = stream.last_id
        # Soon there is a short one again.
        while not (line := await stream.line()).startswith("id: "):
            pass
        assert "," not in line
    assert last_id.endswith(f",{topics[1]}=1,{topics[2]}=1,*")
    async with streaming(node, ada, ada.inbox, last_id) as stream:
        (event,) = await stream.events(1)
        assert (event["event"], event["payload"]["topic"]) == ("must_refetch", ada.inbox)
        await db.publish(topics[1])
        await stream.events(1)
        assert not stream.last_id.endswith("*")


def test_ids_read_back_as_they_were_written() -> None:
    for positions in (
        Positions("c0ffee", 0, None, {}, True),
        Positions("c0ffee", 2**63 - 1, "7", {"conversation:1": 7, "user:a b": 0}, True),
        Positions("e", 1, "9.3.4", {"a:b:c": 2}, False),
    ):
        assert Positions.read(str(positions)) == positions
    for malformed in (
        *("", "1", "a:", "a:-1", "a:1,", "a:1,b", "a:1,b:c=x", f"a:{2**63}", "a:1,*,*"),
        *("a:1@", "a:1@x", "a:1@1.", "a:1@.1", f"a:1@{10**18}", "a:1@1" + 17 * ".1"),
    ):
        with pytest.raises(RoostError, match="Last-Event-ID"):
            Positions.read(malformed)


async def test_streams_that_are_refused(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    url = f"{client.url}/events"
    signed = {"Authorization": f"Bearer {ada.token}"}
    for path, headers, status, code in (
        (f"user:{ada.user_id}", {}, 401, "RO101"),
        (f"user:{ada.user_id}", {"Authorization": "Bearer x"}, 401, "PGRST301"),
        (f"user:{grace.user_id}", signed, 403, "RO401"),
        ("nonsense", signed, 403, "RO401"),
        (f"user:{ada.user_id}?after=7", signed, 416, "RO402"),
        (f"user:{ada.user_id}?after=x", signed, 400, "UnableToReplayMessages"),
        (f"user:{ada.user_id}?after=0&epoch=old", signed, 410, "RO403"),
        (f"user:{ada.user_id}", signed | {"Last-Event-ID": "x"}, 400, "UnableToReplayMessages"),
        (f"user:{ada.user_id}", signed | {"Last-Event-ID": "old:0"}, 410, "RO403"),
    ):
        async with client.http.get(f"{url}/{path}", headers=headers) as response:
            answer = await response.json()
            assert (response.status, answer["code"]) == (status, code), path
            assert answer["hint"]
    async with client.http.post(f"{url}/user:{ada.user_id}") as response:
        assert response.status == 405


async def test_browsers_send_the_token_in_the_address(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    ada = await client.sign_up()
    token = ada.token or ""
    caplog.set_level(logging.DEBUG)
    async with client.http.get(
        f"{client.url}/events/user:{ada.user_id}",
        params={"access_token": token},
        headers={"Origin": "https://example.com"},
    ) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        await ada.ask("create_conversation", title="Plans")
        stream = Stream(response)
        assert (await stream.next()).data["event"] == "conversation.added"
    assert token
    assert token not in caplog.text


async def test_other_origins_are_not_let_in(database: str, ada: Person) -> None:
    async with running_node(database, cors_origins=("https://example.com",)) as node:
        for origin, allowed in (
            ("https://example.com", "https://example.com"),
            ("https://example.org", None),
        ):
            async with node.http.get(
                f"{node.url}/events/{ada.inbox}",
                headers={"Authorization": f"Bearer {ada.token()}", "Origin": origin},
            ) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == allowed


async def test_a_stream_that_has_nothing_to_say_says_so(
    monkeypatch: pytest.MonkeyPatch, database: str, ada: Person
) -> None:
    monkeypatch.setattr(relay, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(event_stream, "SILENT_SECONDS", 0.02)
    async with running_node(database) as node, streaming(node, ada, ada.inbox) as stream:
        for _ in range(3):
            assert [await stream.line(), await stream.line()] == [":\n", "\n"]


async def test_a_stream_ends_with_the_right_and_the_token(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person
) -> None:
    grace = await db.person()
    topic = f"conversation:{await db.conversation(ada, grace)}"
    async with streaming(node, grace, topic) as stream:
        await db.remove(grace, topic)
        await stream.events(1)
        told = await stream.next()
        assert (told.event, told.data["code"]) == ("system", "RO401")
        await stream.ended()
    monkeypatch.setattr(outlet, "LEEWAY", -7200)
    async with streaming(node, ada, topic) as stream:
        await node.relay._sweep()
        told = await stream.next()
        assert (told.event, told.data["code"]) == ("system", "PGRST303")
        await stream.ended()
    await eventually(lambda: not node.relay._outlets and not node.relay._fanout._topics)


async def test_a_stream_ends_with_the_session(node: Node, db: Database, ada: Person) -> None:
    async with streaming(node, ada, ada.own_device) as stream:
        await db.publish(ada.own_device)
        node.relay.wake(f"!session:{ada.session_id}")
        await stream.events(1)
        told = await stream.next()
        assert (told.event, told.data["code"]) == ("system", "RO102")
        await stream.ended()


async def test_a_stream_ends_when_the_server_stops(database: str, ada: Person) -> None:
    async with running_node(database) as node, streaming(node, ada, ada.inbox) as stream:
        await node.relay.close()
        await stream.ended()
        async with node.http.get(f"{node.url}/events/{ada.inbox}") as response:
            assert response.status == 503


async def test_a_client_that_goes_away_leaves_nothing_behind(
    node: Node, db: Database, ada: Person
) -> None:
    await db.conversation(ada)
    async with streaming(node, ada, ada.inbox):
        assert len(node.relay._outlets) == 1
        assert len(node.relay._fanout._topics) == 2
    await eventually(lambda: not node.relay._outlets and not node.relay._fanout._topics)


async def test_a_client_that_does_not_read_costs_a_bounded_amount(
    node: Node, db: Database, ada: Person
) -> None:
    async with streaming(node, ada, ada.own_device) as stream:
        transport = node.transports[-1]
        for _ in range(60):
            await db.publish_many(ada.own_device, 100, 10_000)
        assert isinstance(transport, asyncio.WriteTransport)
        assert transport.get_write_buffer_size() <= Settings().realtime_unsent_bytes
        offsets = [event["meta"]["offset"] for event in await stream.events(6_000)]
        assert offsets == list(range(1, 6_001))


def port(node: Node) -> int:
    return URL(node.url).port or 0


async def test_clients_that_do_not_know_chunks_get_none(
    node: Node, db: Database, ada: Person
) -> None:
    """As nginx asks, unless it is told otherwise. The end of the connection is that of the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(node))
    writer.write(
        f"GET /events/{ada.own_device} HTTP/1.0\r\nConnection: keep-alive\r\n"
        f"Authorization: Bearer {ada.token()}\r\n\r\n".encode()
    )
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert (await reader.readline()).startswith(b"retry: ")
        assert (await reader.readline()).startswith(b"id: ")
        assert await reader.readline() == b"\n"
        await db.publish(ada.own_device)
        assert (await reader.readline()).startswith(b"id: ")
        assert (await reader.readline()).startswith(b"data: {")
        assert await reader.readline() == b"\n"
        node.relay.wake(f"!session:{ada.session_id}")
        assert await reader.readline() == b"event: system\n"
        assert (await reader.readline()).startswith(b"data: {")
        assert await reader.readline() == b"\n"
        assert await reader.read() == b""
    writer.close()


async def test_a_head_is_refused(node: Node, ada: Person) -> None:
    headers = {"Authorization": f"Bearer {ada.token()}"}
    async with (
        asyncio.timeout(20),
        node.http.head(f"{node.url}/events/{ada.inbox}", headers=headers) as response,
    ):
        assert response.status == 405
    assert not node.relay.outlets


@pytest.mark.parametrize("last_id", [b"\xff:5", b"a:5,b:\xff=1", b"a:5,b:c\x01=1"])
async def test_ids_that_are_no_text_are_refused(node: Node, ada: Person, last_id: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(node))
    writer.write(
        f"GET /events/{ada.inbox} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {ada.token()}\r\nLast-Event-ID: ".encode()
        + last_id
        + b"\r\n\r\n"
    )
    async with asyncio.timeout(20):
        assert b" 400 " in await reader.readline()
    writer.close()


async def test_streams_count_as_joins_and_sockets_of_a_person(
    database: str, db: Database, ada: Person
) -> None:
    grace = await db.person()
    async with running_node(database, realtime_user_sockets=2) as node:
        async with (
            streaming(node, ada, ada.inbox),
            streaming(node, ada, ada.inbox),
            node.http.get(
                f"{node.url}/events/{ada.inbox}", headers={"Authorization": f"Bearer {ada.token()}"}
            ) as response,
        ):
            assert response.status == 429
            assert (await response.json())["code"] == "ConnectionRateLimitReached"
            async with streaming(node, grace, grace.inbox):
                pass
        await eventually(lambda: not node.relay.outlets)
        async with streaming(node, ada, ada.inbox):
            pass
    async with running_node(database, realtime_user_joins_per_second=1) as node:
        for _ in range(10):
            async with streaming(node, ada, ada.inbox):
                pass
        async with node.http.get(
            f"{node.url}/events/{ada.inbox}", headers={"Authorization": f"Bearer {ada.token()}"}
        ) as response:
            assert response.status == 429
            assert (await response.json())["code"] == "ClientJoinRateLimitReached"


async def test_a_stream_that_ends_while_the_database_answers_is_refused_for_that(
    database: str, node: Node, ada: Person
) -> None:
    async def end_session() -> None:
        node.relay.wake(f"!session:{ada.session_id}")

    for end, status, code in (
        (end_session, 401, "RO102"),
        (node.relay.drain, 503, "RealtimeRestarting"),
    ):
        async with await connect(database) as holder, holder.transaction():
            await holder.execute("LOCK TABLE realtime.log")
            asking = asyncio.create_task(
                node.http.get(
                    f"{node.url}/events/{ada.own_device}",
                    headers={"Authorization": f"Bearer {ada.token()}"},
                )
            )
            await eventually(lambda: len(node.relay.outlets) == 1)
            (outlet,) = node.relay.outlets
            await end()
            await eventually(partial(getattr, outlet, "_ended"))
        async with await asking as response:
            assert (response.status, (await response.json())["code"]) == (status, code)


async def test_a_stream_that_has_ended_does_not_wait_for_who_does_not_read(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person
) -> None:
    monkeypatch.setattr(event_stream, "CLOSE_SECONDS", 0.2, raising=False)
    async with streaming(node, ada, ada.own_device):
        transport = node.transports[-1]
        assert isinstance(transport, asyncio.WriteTransport)
        await db.publish_many(ada.own_device, 1_500, 10_000)
        # What lies between the two is full.
        sizes = [0, 1]
        while sizes[-1] <= outlet.DRAINED_BYTES or sizes[-1] != sizes[-2]:
            await asyncio.sleep(0.2)
            sizes.append(transport.get_write_buffer_size())
        node.relay.wake(f"!session:{ada.session_id}")
        await eventually(lambda: not node.relay.outlets)
        await eventually(transport.is_closing)
