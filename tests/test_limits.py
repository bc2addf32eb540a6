"""What is said to clients that ask too much, and that nothing of theirs is closed for it."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from roost.realtime import limits, relay, socket
from roost.realtime.limits import Bucket
from tests.relaying import Database, Person, Phone, eventually, join_payload, running_node
from tests.support import connect

MESSAGES = "MessagePerSecondRateLimitReached"
JOINS = "ClientJoinRateLimitReached"


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


@pytest.fixture
async def ada(db: Database) -> Person:
    return await db.person()


async def ask(phone: Phone, topic: str, filling: str = "") -> dict[str, Any]:
    """The response to a request that no channel takes: its code says whether it was looked at."""
    ref = await phone.send(f"realtime:{topic}", "no.such.event", {"filling": filling})
    reply = await phone.reply(ref)
    assert reply["status"] == "error"
    response: dict[str, Any] = reply["response"]
    return response


def wait(response: dict[str, Any]) -> float:
    """The seconds that a refusal says to wait."""
    found = re.fullmatch(r"Try again in (\d+\.\d\d) seconds\.", response["hint"])
    assert found is not None, response
    return float(found[1])


async def is_live(db: Database, phone: Phone, topic: str) -> None:
    """Events reach a channel, and its socket is answered."""
    offset = await db.publish(topic)
    assert await phone.offsets(1) == [offset]
    await phone.is_answered()


@pytest.mark.parametrize("scope", ["socket", "user"])
async def test_too_many_messages(database: str, db: Database, ada: Person, scope: str) -> None:
    setting = f"realtime_{scope}_messages_per_second"
    async with running_node(database, **{setting: 2}) as node:
        phones = [await (await node.phone(ada)).joined(ada.own_device) for _ in range(2)]
        # The join of a socket counts for the socket alone: whose it is was not known yet.
        first = phones[:1] * 19 if scope == "socket" else phones * 10
        for phone in first:
            assert (await ask(phone, ada.own_device))["code"] == "UnknownEvent"
        response = await ask(phones[0], ada.own_device)
        assert response["code"] == MESSAGES
        assert response["reason"].startswith(f"{MESSAGES}: ")
        assert response["details"] == f"ROOST_{setting.upper()} is 2."
        assert 0 < wait(response) <= 0.5
        other = (await ask(phones[1], ada.own_device))["code"]
        assert other == ("UnknownEvent" if scope == "socket" else MESSAGES)
        for phone in phones:
            await phone.is_answered()
        offset = await db.publish(ada.own_device)
        for phone in phones:
            assert await phone.offsets(1) == [offset]
        assert node.relay.counters.refused[MESSAGES] == (1 if scope == "socket" else 2)
        await asyncio.sleep(1)
        assert (await ask(phones[0], ada.own_device))["code"] == "UnknownEvent"


@pytest.mark.parametrize("scope", ["socket", "user"])
async def test_too_many_bytes(database: str, db: Database, ada: Person, scope: str) -> None:
    setting = f"realtime_{scope}_bytes_per_second"
    async with running_node(database, **{setting: 5_000}) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        for _ in range(4):
            assert (await ask(phone, ada.own_device, "x" * 12_000))["code"] == "UnknownEvent"
        response = await ask(phone, ada.own_device, "x" * 12_000)
        assert response["code"] == MESSAGES
        assert response["details"] == f"ROOST_{setting.upper()} is 5000."
        assert 0 < wait(response) < 3
        assert (await ask(phone, ada.own_device))["code"] == "UnknownEvent"
        await is_live(db, phone, ada.own_device)
    # What is larger than what may ever be saved up is let through by itself.
    async with running_node(database, **{setting: 1_000}) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        await asyncio.sleep(1.5)
        assert (await ask(phone, ada.own_device, "x" * 20_000))["code"] == "UnknownEvent"
        assert (await ask(phone, ada.own_device))["code"] == MESSAGES


@pytest.mark.parametrize("scope", ["socket", "user"])
async def test_too_many_joins(database: str, db: Database, ada: Person, scope: str) -> None:
    setting = f"realtime_{scope}_joins_per_second"
    async with running_node(database, **{setting: 1}) as node:
        phones = [await node.phone(ada) for _ in range(2)]
        topics = [f"conversation:{await db.conversation(ada)}" for _ in range(11)]
        for n, topic in enumerate(topics[:10]):
            await phones[0 if scope == "socket" else n % 2].joined(topic)
        reply = await phones[0].join(topics[10])
        assert reply["status"] == "error"
        assert reply["response"]["code"] == JOINS
        assert reply["response"]["details"] == f"ROOST_{setting.upper()} is 1."
        other = await phones[1].join(topics[10])
        assert other["status"] == ("ok" if scope == "socket" else "error")
        # The channels that it has are not touched.
        await is_live(db, phones[0], topics[0])
        await asyncio.sleep(wait(reply["response"]) + 0.1)
        assert (await phones[0].join(topics[10]))["status"] == "ok"
        await is_live(db, phones[0], topics[0])


async def test_too_many_sockets_of_a_person(database: str, db: Database, ada: Person) -> None:
    grace = await db.person()
    async with running_node(database, realtime_user_sockets=2) as node:
        phones = [await (await node.phone(ada)).joined(ada.own_device) for _ in range(2)]
        # A second channel is no second socket.
        await phones[0].joined(ada.inbox)
        late = await node.phone(ada)
        reply = await late.join(ada.own_device)
        assert reply["response"]["code"] == "ConnectionRateLimitReached"
        assert reply["response"]["details"] == "ROOST_REALTIME_USER_SOCKETS is 2."
        await late.is_answered()
        await (await node.phone(grace)).joined(grace.own_device)
        await phones[0].ws.close()
        await eventually(lambda: len(node.relay.outlets) == 3)
        await late.joined(ada.own_device)
        for phone in (late, phones[1]):
            await phone.is_answered()


async def test_too_many_channels(database: str, db: Database, ada: Person) -> None:
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    async with running_node(database, realtime_socket_channels=2) as node:
        phone = await node.phone(ada)
        for topic in topics[:2]:
            await phone.joined(topic)
        reply = await phone.join(topics[2])
        assert reply["response"]["code"] == "ChannelRateLimitReached"
        assert reply["response"]["details"] == "ROOST_REALTIME_SOCKET_CHANNELS is 2."
        await is_live(db, phone, topics[0])


async def test_no_limit(database: str, db: Database, ada: Person) -> None:
    names = [
        *("socket_channels", "socket_joins_per_second", "socket_messages_per_second"),
        *("socket_bytes_per_second", "user_sockets", "user_joins_per_second"),
        *("user_messages_per_second", "user_bytes_per_second"),
    ]
    async with running_node(database, **{f"realtime_{name}": 0 for name in names}) as node:
        phone = await node.phone(ada)
        for _ in range(120):
            await phone.joined(f"conversation:{await db.conversation(ada)}")
        await phone.joined(ada.own_device)
        for _ in range(30):
            assert (await ask(phone, ada.own_device, "x" * 200_000))["code"] == "UnknownEvent"
        assert not node.relay.counters.refused


async def test_heartbeats_and_leaves_are_never_refused(database: str, ada: Person) -> None:
    async with running_node(database, realtime_socket_messages_per_second=1) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        while (await ask(phone, ada.own_device))["code"] != MESSAGES:
            pass
        for _ in range(30):
            await phone.is_answered()
        ref = await phone.send(f"realtime:{ada.own_device}", "phx_leave", join_ref="1")
        assert (await phone.reply(ref))["status"] == "ok"
        assert (await phone.receive()).event == "phx_close"


async def test_who_goes_on_regardless_is_read_more_slowly(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person
) -> None:
    """And is sent events all the while, as everybody else is."""
    monkeypatch.setattr(limits, "MOST_REFUSALS", 5)
    async with running_node(database, realtime_socket_messages_per_second=20) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        other = await (await node.phone(ada)).joined(ada.own_device)
        topic = f"realtime:{ada.own_device}"
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(260):
            await phone.send(topic, "no.such.event")
        offset = await db.publish(ada.own_device)
        codes: list[str] = []
        events: list[tuple[int, int]] = []
        while len(codes) < 260 or not events:
            message = await phone.receive()
            if message.event == "broadcast":
                events.append((message.payload["meta"]["offset"], len(codes)))
            else:
                codes.append(message.payload["response"]["code"])
        # 200 at once, 5 refusals, and the rest at 20 a second.
        assert 5 <= codes.count(MESSAGES) <= 7
        assert codes[-30:].count("UnknownEvent") >= 28
        assert loop.time() - started > 1.5
        assert node.relay.counters.pauses >= 30
        assert await other.offsets(1) == [offset]
        assert events[0][0] == offset
        # It did not wait for what was before it on the way in.
        assert events[0][1] < 250
        await phone.is_answered()


async def test_what_a_slowed_client_sends_stays_with_it(
    monkeypatch: pytest.MonkeyPatch, database: str, ada: Person
) -> None:
    monkeypatch.setattr(limits, "MOST_REFUSALS", 0)
    async with running_node(database, realtime_socket_messages_per_second=1) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        transport = node.transports[-1]
        assert transport.is_reading()
        filling = {"filling": "x" * 20_000}

        async def push() -> None:
            while True:
                await phone.send(f"realtime:{ada.own_device}", "no.such.event", filling)

        pushing = asyncio.create_task(push())
        await eventually(lambda: not transport.is_reading())
        pushing.cancel()
        await asyncio.wait([pushing])
        quick = await (await node.phone(ada)).joined(ada.own_device)
        await quick.is_answered()
        # A connection that goes takes what waits with it.
        transport.abort()
        await eventually(lambda: len(node.relay.outlets) == 1)


async def test_nobody_is_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch, database: str, ada: Person
) -> None:
    """But no sooner than what was used up has come back: to connect again gains nothing."""
    monkeypatch.setattr(relay, "SWEEP_SECONDS", 0.02)
    async with running_node(database, realtime_user_joins_per_second=2) as node:
        people = node.relay._limits._people
        phone = await (await node.phone(ada)).joined(ada.own_device)
        assert list(people) == [ada.user_id]
        await asyncio.sleep(0.6)
        assert list(people) == [ada.user_id]
        await phone.ws.close()
        await eventually(lambda: not people)


async def test_joins_count_when_they_are_followed_by_a_leave(
    database: str, db: Database, ada: Person
) -> None:
    async with running_node(database, realtime_socket_joins_per_second=1) as node:
        phone = await node.phone(ada)
        topic = f"realtime:{ada.own_device}"
        other = f"conversation:{await db.conversation(ada)}"
        await phone.joined(other)
        for _ in range(9):
            await phone.joined(ada.inbox)
            ref = await phone.send(f"realtime:{ada.inbox}", "phx_leave")
            assert (await phone.reply(ref))["status"] == "ok"
            assert (await phone.receive()).event == "phx_close"
        payload = join_payload(ada.token())
        reply = await phone.reply(await phone.send(topic, "phx_join", payload))
        assert reply["response"]["code"] == JOINS
        await is_live(db, phone, other)


@pytest.mark.parametrize("scope", ["socket", "user"])
async def test_a_second_join_that_is_refused_leaves_the_first(
    database: str, db: Database, ada: Person, scope: str
) -> None:
    async with running_node(database, **{f"realtime_{scope}_joins_per_second": 1}) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        # Each closes the one before.
        for _ in range(9):
            ref = await phone.ask_to_join(ada.own_device)
            assert (await phone.receive()).event == "phx_close"
            assert (await phone.reply(ref))["status"] == "ok"
        reply = await phone.join(ada.own_device)
        assert reply["response"]["code"] == JOINS
        await is_live(db, phone, ada.own_device)


@pytest.mark.parametrize(
    ("data", "size"), [("abc", 3), ("…", 3), ("a…", 4), ("\U0001f600", 4), (b"abc", 3), ("", 0)]
)
def test_sizes_are_counted_in_bytes(data: str | bytes, size: int) -> None:
    assert socket._size(data) == size


def test_a_bucket() -> None:
    bucket = Bucket(2, 10, now=0)
    assert bucket.missing(10, 0) == 0
    bucket.take(10)
    assert not bucket.is_full(0)
    assert bucket.missing(1, 0) == 0.5
    assert bucket.missing(1, 0.5) == 0
    # More than it holds is to be had when it is full.
    assert bucket.missing(100, 1) == 4
    assert bucket.missing(100, 5) == 0
    assert bucket.is_full(5)
    bucket.take(100)
    assert bucket.missing(1, 5) == 45.5
    assert bucket.missing(1, 60) == 0
    # It holds no more than that, however long nothing is taken.
    bucket.missing(1, 1_000)
    bucket.take(10)
    assert bucket.missing(1, 1_000) == 0.5


def test_a_bucket_without_a_limit() -> None:
    bucket = Bucket(0, 0, now=0)
    bucket.take(1_000_000)
    assert bucket.missing(1_000_000, 0) == 0
    assert bucket.is_full(0)
