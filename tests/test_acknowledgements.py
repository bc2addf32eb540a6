"""What a device says that it has: where it comes back to, and what others see of it."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from roost.database import queries
from roost.realtime import acknowledgements
from roost.realtime.protocol import Version
from tests.locks import wait_for_lock
from tests.relaying import Database, Node, Person, Phone, eventually, join_payload, running_node
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


async def cursors(db: Database, person: Person) -> dict[str, int]:
    rows = await db.run(
        "SELECT topic, acknowledged FROM roost.device_cursors"
        " WHERE device_id = %s AND acknowledged IS NOT NULL",
        person.device_id,
    )
    return dict(rows)


async def acknowledge(phone: Phone, topic: str, **said: Any) -> dict[str, Any]:
    return await phone.reply(await phone.send(f"realtime:{topic}", "ack", said))


OK = {"status": "ok", "response": {}}
TEXT = '{"text": "x"}'


@pytest.mark.parametrize("version", Version)
async def test_a_device_comes_back_to_what_it_has_acknowledged(
    node: Node, db: Database, ada: Person, version: Version
) -> None:
    topic = f"conversation:{await db.conversation(ada)}"
    phone = await (await node.phone(ada, version)).joined(topic)
    for _ in range(3):
        await db.publish(topic)
    await phone.offsets(3)
    assert await acknowledge(phone, topic, offset=2) == OK
    assert await cursors(db, ada) == {topic: 2}
    # Backwards it does not go, and saying it twice is nothing new.
    for offset in (1, 2):
        assert await acknowledge(phone, topic, offset=offset) == OK
    assert await cursors(db, ada) == {topic: 2}
    await phone.ws.close()

    phone = await (await node.phone(ada, version)).joined(topic, replay={"acknowledged": True})
    (event,) = await phone.events(1)
    assert (event["meta"]["offset"], event["meta"]["replayed"]) == (3, True)
    await phone.is_answered()
    # Another device has its own, which is none yet.
    other = Person(ada.user_id, str(uuid.uuid4()), str(uuid.uuid4()))
    await db.run(
        "INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)", other.device_id, ada.user_id
    )
    await db.session(other)
    fresh = await (await node.phone(other)).joined(topic, replay={"acknowledged": True})
    await fresh.is_answered()


async def test_an_inbox_comes_back_to_what_was_acknowledged_of_each_topic(
    node: Node, db: Database, ada: Person
) -> None:
    first, second, third = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    phone = await (await node.phone(ada)).joined(ada.inbox)
    for topic in (first, first, second, ada.inbox, ada.inbox):
        await db.publish(topic)
        await phone.events(1)
    topics = {first: 1, second: 1, "conversation:none": 5}
    assert await acknowledge(phone, ada.inbox, offset=1, topics=topics) == OK
    assert await cursors(db, ada) == {ada.inbox: 1, first: 1, second: 1}
    await db.publish(third)
    await phone.events(1)
    await phone.ws.close()
    await db.publish(second)

    # Of the third it has said nothing: all that has come since it first joined.
    for _ in range(2):
        phone = await (await node.phone(ada)).joined(ada.inbox, replay={"acknowledged": True})
        assert await places(phone, 4) == {(None, 2), (first, 2), (second, 2), (third, 1)}
        await phone.is_answered()
        await phone.ws.close()


async def places(phone: Phone, number: int) -> set[tuple[str | None, int]]:
    return {
        (event["meta"].get("topic"), event["meta"]["offset"])
        for event in await phone.events(number)
    }


async def test_a_device_that_acknowledges_comes_back_to_what_was_silent(
    node: Node, db: Database, ada: Person
) -> None:
    """From the join on, not from the acknowledgement, and whichever topics that names."""
    silent, late, heard = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    await db.publish_many(silent, 5)
    phone = await (await node.phone(ada)).joined(ada.inbox)
    for topic in (late, heard):
        await db.publish(topic)
        await phone.events(1)
    assert await acknowledge(phone, ada.inbox, topics={heard: 1}) == OK
    assert await cursors(db, ada) == {heard: 1}
    assert await db.run("SELECT topic FROM roost.device_cursors WHERE heard_since IS NOT NULL") == [
        (ada.inbox,)
    ]
    await phone.ws.close()
    for topic in (silent, heard, ada.inbox):
        await db.publish(topic)
    for wanted in (
        {(silent, 6), (late, 1), (None, 1), (heard, 2)},
        # What it says now does not move where the others begin.
        {(silent, 6), (late, 1), (None, 1)},
    ):
        phone = await (await node.phone(ada)).joined(ada.inbox, replay={"acknowledged": True})
        assert await places(phone, len(wanted)) == wanted
        await phone.is_answered()
        assert await acknowledge(phone, ada.inbox, topics={heard: 2}) == OK
        await phone.ws.close()


async def test_an_acknowledgement_by_a_call_says_where_the_device_joined(
    client: Client,
) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    said, silent = [await ada.open_conversation(grace) for _ in range(2)]

    async def join(**replay: Any) -> tuple[Phone, dict[str, Any]]:
        ws = await ada.http.ws_connect(f"{ada.url}/realtime/v1/websocket?vsn=2.0.0")
        phone = Phone(ws, Version.V2, None)
        payload = join_payload(ada.token, **({"replay": replay} if replay else {}))
        reply = await phone.reply(
            await phone.send(f"realtime:user:{ada.user_id}", "phx_join", payload)
        )
        assert reply["status"] == "ok", reply
        return phone, reply["response"]

    phone, joined = await join()
    await phone.ws.close()
    for conversation_id in (said, silent):
        await grace.ask("send_message", conversation_id=conversation_id, content={"text": "x"})
    topics = {f"conversation:{said}": 1}
    assert await ada.ask("acknowledge_events", positions=topics, resume=joined["resume"])
    phone, _ = await join(acknowledged=True)
    # The acknowledgement has made a receipt.
    assert await places(phone, 2) == {(f"conversation:{silent}", 1), (f"conversation:{said}", 2)}
    await phone.is_answered()
    await phone.ws.close()


async def test_acknowledgements_that_make_no_sense(node: Node, db: Database, ada: Person) -> None:
    topic = f"conversation:{await db.conversation(ada)}"
    phone = await (await node.phone(ada)).joined(ada.inbox)
    await db.publish(topic)
    await phone.events(1)
    for said, code in (
        ({}, "MalformedAcknowledgement"),
        ({"offset": "1"}, "MalformedAcknowledgement"),
        ({"offset": -1}, "MalformedAcknowledgement"),
        ({"offset": True}, "MalformedAcknowledgement"),
        ({"topics": [1]}, "MalformedAcknowledgement"),
        ({"topics": {topic: None}}, "MalformedAcknowledgement"),
        ({"offset": 1}, "RO402"),
        ({"topics": {topic: 2}}, "RO402"),
    ):
        reply = await acknowledge(phone, ada.inbox, **said)
        assert (reply["status"], reply["response"]["code"]) == ("error", code), said
        assert reply["response"]["hint"]
    assert await cursors(db, ada) == {}
    await phone.is_answered()


async def test_many_acknowledgements_are_few_calls(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person
) -> None:
    monkeypatch.setattr(acknowledgements, "SPACING_SECONDS", 0.2)
    topic = f"conversation:{await db.conversation(ada)}"
    phone = await (await node.phone(ada)).joined(topic)
    calls = 0
    call = node.multiplexer.call

    async def counted(*arguments: Any) -> Any:
        nonlocal calls
        calls += arguments[0] is queries.ACKNOWLEDGE_EVENTS
        return await call(*arguments)

    monkeypatch.setattr(node.multiplexer, "call", counted)
    await db.publish_many(topic, 50)
    await phone.offsets(50)
    refs = [await phone.send(f"realtime:{topic}", "ack", {"offset": n}) for n in range(1, 51)]
    for ref in refs:
        assert await phone.reply(ref) == OK
    assert await cursors(db, ada) == {topic: 50}
    assert 1 <= calls <= 5
    waiting = node.relay._services.acknowledgements._waiting
    await eventually(lambda: not waiting)


async def test_what_is_acknowledged_last_is_kept_when_the_server_stops(
    database: str, db: Database, ada: Person
) -> None:
    topic = f"conversation:{await db.conversation(ada)}"
    async with running_node(database) as node:
        phone = await (await node.phone(ada)).joined(topic)
        await db.publish_many(topic, 3)
        await phone.offsets(3)
        assert await acknowledge(phone, topic, offset=1) == OK
        # Within the second in which the next ones are collected, and without a reference to answer.
        await phone.send_frame(None, None, f"realtime:{topic}", "ack", {"offset": 3})
        await phone.is_answered()
        assert await cursors(db, ada) == {topic: 1}
    assert await cursors(db, ada) == {topic: 3}


async def test_the_sender_sees_sent_delivered_and_read(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    topic = f"conversation:{conversation_id}"
    async with inbox_of(ada) as sender, inbox_of(grace) as receiver:
        sent = await ada.ask(
            "send_message", conversation_id=conversation_id, content={"text": "hello"}
        )
        for phone in (sender, receiver):
            (event,) = await phone.events(1)
            assert (event["event"], event["payload"]["id"]) == ("message.created", sent["id"])
        # As supabase-js sends it.
        said = {"type": "broadcast", "event": "ack", "payload": {"topics": {topic: sent["seq"]}}}
        ref = await receiver.send(f"realtime:user:{grace.user_id}", "broadcast", said)
        # The reply and the receipt come in either order.
        got = [await receiver.receive(), await receiver.receive()]
        assert {message.event for message in got} == {"phx_reply", "broadcast"}
        assert next(m.payload for m in got if m.ref == ref) == OK
        for seq, read in ((0, 0), (sent["seq"], sent["seq"])):
            (event,) = await sender.events(1)
            receipt = event["payload"]
            assert (event["event"], receipt["user_id"]) == ("receipt", grace.user_id)
            assert receipt["last_delivered_seq"] == sent["seq"]
            assert receipt["last_read_seq"] == read
            if seq == 0:
                await grace.ask("mark_read", conversation_id=conversation_id, up_to_seq=sent["seq"])
        # A receipt is an event that others acknowledge: it makes no further receipt.
        last = event["meta"]["offset"]
        ref = await sender.send(f"realtime:user:{ada.user_id}", "ack", {"topics": {topic: last}})
        assert await sender.reply(ref) == OK
        await sender.is_answered()


@contextlib.asynccontextmanager
async def inbox_of(person: Client) -> AsyncIterator[Phone]:
    async with person.http.ws_connect(f"{person.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        ref = await phone.send(
            f"realtime:user:{person.user_id}", "phx_join", join_payload(person.token)
        )
        assert (await phone.reply(ref))["status"] == "ok"
        yield phone


async def test_two_devices_acknowledge_many_conversations_at_once(
    database: str, db: Database, ada: Person
) -> None:
    """Both take the conversations in one order, so neither waits for the other for ever."""
    grace, sender = await db.person(), await db.person()
    ids = [await db.conversation(ada, grace, sender) for _ in range(8)]
    async with contextlib.AsyncExitStack() as stack:
        sessions = {}
        for person in (ada, grace, sender):
            connection = await stack.enter_async_context(await connect(database))
            sessions[person] = Database(connection)
            for name in ("user_id", "device_id", "session_id"):
                await sessions[person].run(
                    "SELECT set_config(%s, %s, false)", f"roost.{name}", getattr(person, name)
                )
        for conversation_id in ids:
            await sessions[sender].run("SELECT api.send_message(%s, %s)", conversation_id, TEXT)
        holder = await stack.enter_async_context(await connect(database))
        async with holder.transaction():
            await holder.execute("SELECT FROM roost.conversations FOR UPDATE")
            tasks = [
                asyncio.create_task(
                    sessions[person].run(
                        "SELECT api.acknowledge_events(%s::jsonb)",
                        json.dumps({f"conversation:{one}": 1 for one in order}),
                    )
                )
                for person, order in ((ada, ids), (grace, ids[::-1]))
            ]
            for person in (ada, grace):
                pid = sessions[person].connection.info.backend_pid
                await wait_for_lock(db.connection, pid)
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)
    assert await cursors(db, ada) == await cursors(db, grace)
    assert set((await cursors(db, ada)).values()) == {1}


async def test_an_acknowledgement_of_nothing_is_answered(
    node: Node, db: Database, ada: Person
) -> None:
    """It has crossed with the end of what it is about."""
    phone = await (await node.phone(ada)).joined(ada.inbox)
    for topics in ({}, {"conversation:none": 5}):
        assert await acknowledge(phone, ada.inbox, topics=topics) == OK
    await db.publish(ada.inbox)
    await phone.events(1)
    assert await acknowledge(phone, ada.inbox, offset=1) == OK
    # Also while others are collected.
    assert await acknowledge(phone, ada.inbox, topics={}) == OK
    assert await cursors(db, ada) == {ada.inbox: 1}


async def test_what_is_collected_may_be_more_than_a_call_takes(
    node: Node, db: Database, ada: Person
) -> None:
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(1_001)]
    phone = await (await node.phone(ada)).joined(ada.inbox)
    await db.run(
        "SELECT realtime.publish(topic, 'note', '{}') FROM unnest(%s::text[]) AS topic",
        topics,
    )
    await phone.events(len(topics))
    assert await acknowledge(phone, ada.inbox, topics={topics[0]: 1}) == OK
    refs = [
        await phone.send(f"realtime:{ada.inbox}", "ack", {"topics": dict.fromkeys(some, 1)})
        for some in (topics[:500], topics[500:])
    ]
    for ref in refs:
        assert await phone.reply(ref) == OK
    assert await cursors(db, ada) == dict.fromkeys(topics, 1)


async def test_whoever_acknowledges_and_does_not_read_is_not_read_either(
    monkeypatch: pytest.MonkeyPatch, database: str, ada: Person
) -> None:
    monkeypatch.setattr(acknowledgements, "SPACING_SECONDS", 0.01)
    unlimited = {
        f"realtime_{whose}_{what}_per_second": 0
        for whose in ("socket", "user")
        for what in ("messages", "bytes")
    }
    async with running_node(database, realtime_unsent_bytes=65_536, **unlimited) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        transport = node.transports[-1]

        async def push() -> None:
            while True:
                await phone.send_frame(
                    None, "x" * 255, f"realtime:{ada.own_device}", "ack", {"offset": 0}
                )

        pushing = asyncio.create_task(push())
        await eventually(lambda: not transport.is_reading())
        pushing.cancel()
        await asyncio.wait([pushing])
        transport.abort()


async def test_a_server_that_stops_does_not_wait_for_ever(
    database: str, db: Database, ada: Person
) -> None:
    async with running_node(database) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        await db.publish(ada.own_device)
        await phone.offsets(1)
        async with db.connection.transaction():
            await db.run("LOCK TABLE roost.device_cursors")
            await phone.send_frame(None, None, f"realtime:{ada.own_device}", "ack", {"offset": 1})
            await phone.is_answered()
            async with asyncio.timeout(5):
                await node.relay.close()
