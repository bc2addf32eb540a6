"""What clients broadcast, over sockets and over HTTP: who gets it, who may, and in which order."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType

from roost.realtime import announcer, broadcasts, relay
from roost.realtime.protocol import Version
from tests.relaying import Database, Node, Person, Phone, eventually, join_payload, running_node
from tests.serving import Client
from tests.support import connect

# Larger than any notification.
LARGE = {"text": "ü" * 20_000}


# Some of the clients here send more at once than people may.
NO_LIMITS = {
    f"realtime_{owner}_{what}_per_second": 0
    for owner in ("socket", "user")
    for what in ("messages", "bytes")
}


@pytest.fixture(autouse=True)
def without_safety_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the slow polls would repair in the end is to be right without them."""
    monkeypatch.setattr(relay, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(relay, "SESSION_CHECK_SECONDS", 3600.0)


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


@pytest.fixture
async def node(database: str) -> AsyncIterator[Node]:
    async with running_node(database, **NO_LIMITS) as node:
        yield node


@pytest.fixture
async def ada(db: Database) -> Person:
    return await db.person()


@pytest.fixture
async def grace(db: Database) -> Person:
    return await db.person()


@pytest.fixture
async def topic(db: Database, ada: Person, grace: Person) -> str:
    """A conversation of the two, which is ada's."""
    return f"conversation:{await db.conversation(ada, grace)}"


# --- clients -------------------------------------------------------------------------------------


async def push(phone: Phone, topic: str, event: Any, payload: Any, **more: Any) -> str:
    """Broadcasts in a text frame; its reference."""
    sent = {"type": "broadcast", "event": event, "payload": payload, **more}
    return await phone.send(f"realtime:{topic}", "broadcast", sent)


def binary_push(
    topic: str, event: str, payload: bytes, *, encoding: int, ref: str = "", metadata: str = ""
) -> bytes:
    """A frame of kind 3."""
    fields = [field.encode() for field in ("", ref, f"realtime:{topic}", event, metadata)]
    lengths = bytes(len(field) for field in fields)
    return b"\x03" + lengths + bytes([encoding]) + b"".join(fields) + payload


async def push_json(phone: Phone, topic: str, event: str, payload: bytes, **more: Any) -> None:
    """Broadcasts in a binary frame, as supabase-js does."""
    await phone.ws.send_bytes(binary_push(topic, event, payload, encoding=1, **more))


async def push_bytes(phone: Phone, topic: str, event: str, payload: bytes, **more: Any) -> None:
    await phone.ws.send_bytes(binary_push(topic, event, payload, encoding=0, **more))


async def received_bytes(phone: Phone) -> bytes:
    async with asyncio.timeout(20):
        message = await phone.ws.receive()
    assert message.type is WSMsgType.BINARY, message
    assert isinstance(message.data, bytes)
    return message.data


async def heard(phone: Phone, number: int) -> list[tuple[str, Any]]:
    """Event and payload of the next messages, which have to be ephemeral events."""
    found = []
    for event in await phone.events(number):
        assert set(event) <= {"type", "event", "payload", "meta"}
        assert "offset" not in event.get("meta", {})
        found.append((event["event"], event["payload"]))
    return found


async def refusal(phone: Phone, ref: str) -> dict[str, Any]:
    """The response of the next message, which has to be a refusal of this request."""
    reply = await phone.reply(ref)
    assert reply["status"] == "error", reply
    response: dict[str, Any] = reply["response"]
    assert set(response) == {"reason", "code", "message", "details", "hint"}
    assert response["hint"]
    return response


# --- who gets it ---------------------------------------------------------------------------------


async def test_a_broadcast_reaches_whoever_is_live_on_both_servers_and_is_not_stored(
    node: Node, database: str, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    async with running_node(database, **NO_LIMITS) as other:
        sender = await (await node.phone(ada)).joined(topic)
        phones = [
            await (await server.phone(person, version)).joined(topic)
            for server in (node, other)
            for person in (ada, grace)
            for version in Version
        ]
        inboxes = [
            await (await server.phone(grace, version)).joined(grace.inbox)
            for server in (node, other)
            for version in Version
        ]
        bystander = await (await node.phone(ada)).joined(ada.own_device)

        async def all_hear(event: str, payload: str) -> None:
            for phone in [*phones, *inboxes]:
                message = f'{{"type":"broadcast","event":"{event}","payload":{payload}'
                name = topic
                if phone in inboxes:
                    message += f',"meta":{{"topic":"{topic}"}}'
                    name = grace.inbox
                message += "}"
                assert await phone.ws.receive_str() == (
                    f'{{"topic":"realtime:{name}","event":"broadcast","payload":{message},"ref":null}}'
                    if phone.version is Version.V1
                    else f'[null,null,"realtime:{name}","broadcast",{message}]'
                )

        # In a text frame, and in one of kind 3, whose JSON is passed on as it is.
        await push(sender, topic, "cursor moved", {"b": 1, "a": "ü"})
        await all_hear("cursor moved", '{"b":1,"a":"ü"}')
        await push_json(sender, topic, "Größe", b'{"n": 12345678901234567890.10}')
        await all_hear("Größe", '{"n": 12345678901234567890.10}')
        # Version 1.0.0 has text frames alone.
        first = phones[0]
        assert first.version is Version.V1
        await push(first, topic, "x", None)
        assert await heard(sender, 1) == [("x", None)]
        for phone in [*phones[1:], *inboxes]:
            assert await heard(phone, 1) == [("x", None)]
        for phone in [*phones, *inboxes, sender, bystander]:
            await phone.is_answered()
    assert await db.run("SELECT count(*) FROM realtime.events") == [(0,)]
    late = await (await node.phone(ada)).joined(topic, replay={"after": 0})
    await late.is_answered()


async def test_bytes_reach_sockets_of_version_2(
    node: Node, database: str, ada: Person, grace: Person, topic: str
) -> None:
    content = bytes(range(256))
    name, event = f"realtime:{topic}".encode(), "kép".encode()
    async with running_node(database, **NO_LIMITS) as other:
        sender = await (await node.phone(ada)).joined(topic)
        joined = [await (await server.phone(grace)).joined(topic) for server in (node, other)]
        inboxes = [
            await (await server.phone(grace)).joined(grace.inbox) for server in (node, other)
        ]
        old = [
            await (await server.phone(grace, Version.V1)).joined(topic) for server in (node, other)
        ]
        inbox = f"realtime:{grace.inbox}".encode()
        meta = f'{{"topic":"{topic}"}}'.encode()
        for size in (0, 1, 24):
            await push_bytes(sender, topic, "kép", content * size)
            for phone in joined:
                assert await received_bytes(phone) == (
                    bytes((4, len(name), len(event), 0, 0)) + name + event + content * size
                )
            for phone in inboxes:
                lengths = bytes((4, len(inbox), len(event), len(meta), 0))
                assert await received_bytes(phone) == (
                    lengths + inbox + event + meta + content * size
                )
        # Version 1.0.0 has no form for it; what comes next does come.
        await push(sender, topic, "next", 1)
        for phone in [*joined, *inboxes, *old]:
            assert await heard(phone, 1) == [("next", 1)]
        await sender.is_answered()


async def test_the_sending_connection_gets_its_own_with_self_alone(
    node: Node, ada: Person, topic: str
) -> None:
    quiet = await (await node.phone(ada)).joined(topic)
    # What is heard in the inbox on the same connection does not come back either.
    await quiet.joined(ada.inbox)
    echoing = await (await node.phone(ada)).joined(topic, self=True)
    other = await (await node.phone(ada)).joined(topic)

    await push(quiet, topic, "x", 1)
    for phone in (echoing, other):
        assert await heard(phone, 1) == [("x", 1)]
    await quiet.is_answered()

    await push(echoing, topic, "x", 2)
    await push_bytes(echoing, topic, "x", b"\x00")
    for phone in (echoing, other):
        assert await heard(phone, 1) == [("x", 2)]
        assert (await received_bytes(phone))[-1:] == b"\x00"
    # In the topic and in the inbox, each in order.
    for _ in range(2):
        message = await quiet.receive()
        assert message.payload["payload"] == 2
        raw = await received_bytes(quiet)
        assert raw[-1:] == b"\x00"
        assert message.topic.encode() in raw
    await quiet.is_answered()


async def test_with_ack_each_is_answered_and_without_only_what_is_refused(
    node: Node, ada: Person, grace: Person, topic: str
) -> None:
    # As text, as some clients send it.
    asks = await (await node.phone(ada)).joined(topic, ack="true")
    silent = await (await node.phone(ada)).joined(ada.own_device)
    old = await (await node.phone(grace, Version.V1)).joined(grace.own_device, ack=True)
    ok = {"status": "ok", "response": {}}
    for phone, where in ((asks, topic), (old, grace.own_device)):
        assert await phone.reply(await push(phone, where, "x", 1)) == ok
    await push_json(asks, topic, "x", b"1", ref="a")
    assert await asks.reply("a") == ok
    await push_bytes(asks, topic, "x", b"1", ref="b")
    assert await asks.reply("b") == ok
    await push(silent, ada.own_device, "x", 1)
    await push_json(silent, ada.own_device, "x", b"1", ref="c")
    await silent.is_answered()

    for phone, where in ((asks, topic), (silent, ada.own_device), (old, grace.own_device)):
        response = await refusal(phone, await push(phone, where, "receipt", {}))
        assert response["code"] == "ReservedEvent"
        assert (
            response["reason"] == "ReservedEvent: Events of this name come from the server alone."
        )
        # Also where there is no reference to answer to.
        await phone.send_frame(None, None, f"realtime:{where}", "broadcast", {})
        message = await phone.receive()
        assert (message.event, message.ref) == ("phx_reply", None)
        assert message.payload["response"]["code"] == "MalformedBroadcast"


# --- order ---------------------------------------------------------------------------------------


async def test_a_senders_broadcasts_keep_their_order_on_both_servers(
    node: Node, database: str, ada: Person, grace: Person, topic: str
) -> None:
    """Of every size, in text, JSON and bytes: what is large takes another way to other servers."""
    number = 120
    async with running_node(database, **NO_LIMITS) as other:
        sender = await (await node.phone(ada)).joined(topic)
        phones = [await (await server.phone(grace)).joined(topic) for server in (node, other)]
        for n in range(number):
            size = 30_000 if n % 7 == 0 else 10
            if n % 3 == 0:
                await push(sender, topic, "step", {"n": n, "x": "ü" * size})
            elif n % 3 == 1:
                text = json.dumps({"n": n, "x": ["y"] * size}, indent=1)
                await push_json(sender, topic, "step", text.encode())
            else:
                await push_bytes(sender, topic, "step", n.to_bytes(4, "big") * size)
        for phone in phones:
            got: list[int] = []
            while len(got) < number:
                message = await phone.ws.receive(20)
                if message.type is WSMsgType.BINARY:
                    got.append(int.from_bytes(message.data[-4:], "big"))
                else:
                    (*_, body) = json.loads(message.data)
                    got.append(body["payload"]["n"])
            assert got == list(range(number))
            await phone.is_answered()


async def test_alike_broadcasts_are_all_told(
    node: Node, database: str, ada: Person, grace: Person, topic: str
) -> None:
    async with running_node(database, **NO_LIMITS) as other:
        sender = await (await node.phone(ada)).joined(topic)
        hears = await (await other.phone(grace)).joined(topic)
        for _ in range(50):
            await push(sender, topic, "beat", {})
        assert await heard(hears, 50) == [("beat", {})] * 50
        await hears.is_answered()


async def test_a_flood_of_broadcasts_does_not_hold_up_topics(
    node: Node, database: str, db: Database, ada: Person, topic: str
) -> None:
    async with running_node(database, **NO_LIMITS) as other:
        floods = await (await other.phone(ada)).joined(topic)
        waits = await (await other.phone(ada)).joined(ada.own_device)

        async def read_to(last: int) -> None:
            n = 0
            while n < last:
                # Some are dropped where the reader is slow, none is out of order.
                ((_, (after, _)),) = await heard(floods, 1)
                assert after > n
                n = after

        reading = asyncio.create_task(read_to(4_000))
        await db.without_notice()
        filling = "x" * 1_000
        node.relay.wake("\n".join(f'~{topic}\tstep\t[{n}, "{filling}"]' for n in range(1, 4_001)))
        # More is waiting than can be told in this time.
        for offset in range(1, 4):
            await db.publish(ada.own_device)
            node.relay.wake(ada.own_device)
            assert await waits.offsets(1) == [offset]
            assert not reading.done()
            assert node.relay._announcer.untold > 0
        await reading


async def test_of_too_many_that_wait_to_be_told_the_oldest_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
    node: Node,
    database: str,
    ada: Person,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(announcer, "MOST_WAITING_BYTES", 2_000)
    async with running_node(database, **NO_LIMITS) as other:
        hears = await (await other.phone(ada)).joined(ada.own_device)
        lines = [f"~{ada.own_device}\tstep\t{n}" for n in range(1_000, 1_100)]
        node.relay.wake("\n".join(lines))
        kept = 2_000 // len(lines[0])
        assert await heard(hears, kept) == [("step", n) for n in range(1_100 - kept, 1_100)]
        await eventually(lambda: "were not sent on" in caplog.text)
        assert f"{100 - kept} ephemeral events" in caplog.text
        await hears.is_answered()


async def test_so_much_is_kept_in_a_time(
    monkeypatch: pytest.MonkeyPatch,
    node: Node,
    database: str,
    db: Database,
    ada: Person,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(announcer, "KEPT_BYTES_PER_SECOND", 0)
    monkeypatch.setattr(announcer, "MOST_KEPT_AT_ONCE", 100_000)
    async with running_node(database, **NO_LIMITS) as other:
        sender = await (await node.phone(ada)).joined(ada.own_device, self=True)
        hears = await (await other.phone(ada)).joined(ada.own_device)
        for n in range(4):
            await push_bytes(sender, ada.own_device, "x", bytes([n]) * 30_000)
        await push(sender, ada.own_device, "y", 1)
        # In base64 two of them fit; what is small is told all the same.
        for n in range(2):
            assert (await received_bytes(hears))[-1] == n
        assert await heard(hears, 1) == [("y", 1)]
        for n in range(4):
            assert (await received_bytes(sender))[-1] == n
    assert await db.run("SELECT count(*) FROM realtime.large_broadcasts") == [(2,)]
    dropped = re.findall(r"(\d+) ephemeral events were not sent on", caplog.text)
    assert sum(map(int, dropped)) == 2


async def test_what_is_too_large_for_a_notification_is_kept_for_a_minute(
    node: Node, database: str, db: Database, ada: Person, caplog: pytest.LogCaptureFixture
) -> None:
    where = ada.own_device
    async with running_node(database, **NO_LIMITS) as other:
        sender = await (await node.phone(ada)).joined(where)
        hears = await (await other.phone(ada)).joined(where)
        await push(sender, where, "x", LARGE)
        assert await heard(hears, 1) == [("x", LARGE)]
        # A function of the database may do the same.
        keep = "SELECT realtime.keep_large_broadcast(%s, 'y', %s)::text"
        ((kept_id,),) = await db.run(keep, where, json.dumps(LARGE))
        await db.run("SELECT pg_notify('roost_events', %s)", f"\n~{where}\ty\t@{kept_id}")
        for phone in (sender, hears):
            assert await heard(phone, 1) == [("y", LARGE)]

        expire = "SELECT realtime.expire_large_broadcasts(1)"
        assert await db.run(expire) == [(0,)]
        await db.run("UPDATE realtime.large_broadcasts SET created_at = now() - interval '61 s'")
        assert await db.run(expire) == [(1,)]
        assert await db.run(expire) == [(0,)]
        # PostgreSQL takes it for JSON, clients don't: it is left out.
        ((strange_id,),) = await db.run(keep, where, '"\\ud800"')
        node.relay.wake(f"~{where}\ty\t@{strange_id}")
        # Too late: it is left out, and what is behind it comes.
        node.relay.wake(f"~{where}\ty\t@{kept_id}\n~{where}\ty\t1")
        for phone in (sender, hears):
            assert await heard(phone, 1) == [("y", 1)]
            await phone.is_answered()
        assert "was not read in time" in caplog.text
        assert caplog.text.count("cannot read an ephemeral event") == 2


async def test_what_is_large_is_read_by_servers_where_somebody_is_live(
    node: Node,
    database: str,
    db: Database,
    ada: Person,
    grace: Person,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Whoever reads one says that it can't.
    await db.run("ALTER FUNCTION realtime.read_large_broadcast RENAME TO elsewhere")
    async with running_node(database, **NO_LIMITS) as other:
        sender = await (await node.phone(ada)).joined(ada.own_device)
        hears = await (await other.phone(grace)).joined(grace.own_device)
        await push(sender, ada.own_device, "x", LARGE)
        await sender.is_answered()
        # Behind it in the same queue.
        node.relay.wake(f"~{grace.own_device}\ty\t1")
        assert await heard(hears, 1) == [("y", 1)]
        assert "cannot read" not in caplog.text
        await (await other.phone(ada)).joined(ada.own_device)
        await push(sender, ada.own_device, "x", LARGE)
        await eventually(lambda: "cannot read" in caplog.text)


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        "message.created",
        "message.anything",
        "participant.removed",
        "conversation.updated",
        "device.revoked",
        "device_message.created",
        "presence_state",
        "presence",
        "typing",
        "reaction",
        "receipt",
        "hidden",
        "must_refetch",
    ],
)
async def test_names_of_the_server_are_refused(
    node: Node, ada: Person, topic: str, event: str
) -> None:
    sender = await (await node.phone(ada)).joined(topic)
    hears = await (await node.phone(ada)).joined(ada.inbox)
    response = await refusal(sender, await push(sender, topic, event, {}))
    assert response["code"] == "ReservedEvent"
    # It is remembered, for all topics of the kind.
    calls = node.multiplexer.calls
    await push_json(sender, topic, event, b"{}", ref="a")
    assert (await refusal(sender, "a"))["code"] == "ReservedEvent"
    assert node.multiplexer.calls == calls
    await push(sender, topic, f"my-{event}", {})
    assert await heard(hears, 1) == [(f"my-{event}", {})]


async def test_who_may_read_only_may_not_broadcast(
    node: Node, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    await db.run(
        "UPDATE roost.conversation_participants SET role = 'viewer' WHERE user_id = %s",
        grace.user_id,
    )
    viewer = await (await node.phone(grace)).joined(topic)
    hears = await (await node.phone(ada)).joined(topic)
    response = await refusal(viewer, await push(viewer, topic, "x", {}))
    assert response["code"] == "RO401"
    assert response["reason"] == "Unauthorized: You may not broadcast in this topic."
    assert response["details"] == f"Topic: {topic}"
    await hears.is_answered()

    await db.run("UPDATE roost.conversations SET archived_at = now()")
    owner = await (await node.phone(ada)).joined(topic)
    assert (await refusal(owner, await push(owner, topic, "x", {})))["code"] == "RO401"


async def test_a_right_is_asked_for_now_and_then(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person, topic: str
) -> None:
    sender = await (await node.phone(ada)).joined(topic)
    hears = await (await node.phone(ada)).joined(topic)
    calls = node.multiplexer.calls

    async def asked() -> int:
        """How many questions there were, beside what other servers are told."""
        await eventually(lambda: node.relay._announcer.untold == 0)
        return asks

    asks = 0
    original = broadcasts.Broadcasts.ask

    async def ask(self: Any, *args: Any) -> list[broadcasts.Answer]:
        nonlocal asks
        asks += 1
        return await original(self, *args)

    monkeypatch.setattr(broadcasts.Broadcasts, "ask", ask)
    for n in range(20):
        await push(sender, topic, "step", n)
    assert await heard(hears, 20) == [("step", n) for n in range(20)]
    assert await asked() == 1
    # A name that is new is asked about as well, once.
    for _ in range(3):
        await push(sender, topic, "other", {})
    await heard(hears, 3)
    assert await asked() == 2
    assert node.multiplexer.calls > calls

    archive = "UPDATE roost.conversations SET archived_at = %s"
    await db.without_notice()
    await db.run(archive, "2026-01-01")
    await push(sender, topic, "step", "from memory")
    assert await heard(hears, 1) == [("step", "from memory")]
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + broadcasts.RIGHT_SECONDS)
    assert (await refusal(sender, await push(sender, topic, "step", 1)))["code"] == "RO401"
    # Refusals are remembered for less long.
    await db.run(archive, None)
    assert (await refusal(sender, await push(sender, topic, "step", 1)))["code"] == "RO401"
    assert await asked() == 3
    later = broadcasts.RIGHT_SECONDS + broadcasts.REFUSAL_SECONDS
    monkeypatch.setattr(loop, "time", lambda: now() + later)
    await push(sender, topic, "step", 2)
    assert await heard(hears, 1) == [("step", 2)]


async def test_whoever_was_removed_broadcasts_nothing(
    node: Node, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    goes = await (await node.phone(grace)).joined(topic)
    stays = await (await node.phone(ada)).joined(topic)
    await push(goes, topic, "x", 1)
    assert await heard(stays, 1) == [("x", 1)]
    await db.remove(grace, topic)
    assert await goes.offsets(1) == [1]
    await goes.is_ended(topic, "RO401")
    reply = await goes.reply(await push(goes, topic, "x", 2))
    assert reply["response"]["reason"] == "unmatched topic"
    assert await stays.offsets(1) == [1]
    await stays.is_answered()


async def test_a_channel_that_ends_while_its_right_is_asked_for(
    node: Node, database: str, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    """The question is of a moment when the right was there, the answer comes after its end."""
    goes = await (await node.phone(grace)).joined(topic)
    stays = await (await node.phone(ada)).joined(topic)
    waiting = (
        "SELECT 1 FROM pg_locks WHERE NOT granted"
        " AND relation = 'roost.conversation_permissions'::regclass"
    )
    async with await connect(database) as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE roost.conversation_permissions")
        await push(goes, topic, "x", 1)
        while not await db.run(waiting):
            pass
        await db.remove(grace, topic)
        assert await goes.offsets(1) == [1]
        await goes.is_ended(topic, "RO401")
    await goes.is_answered()
    assert await stays.offsets(1) == [1]
    await stays.is_answered()


async def test_broadcasts_that_are_none(node: Node, ada: Person) -> None:
    where = ada.own_device
    phone = await (await node.phone(ada)).joined(where, self=True)
    deep: Any = 0
    for _ in range(300):
        deep = [deep]
    for event, payload, more in (
        (None, {}, {}),
        ("", {}, {}),
        (7, {}, {}),
        ("a\nb", {}, {}),
        ("a\tb", {}, {}),
        ("\x7f", {}, {}),
        ("x" * 256, {}, {}),
        ("ü" * 128, {}, {}),
        ("x", deep, {}),
        ("x", {}, {"persist": True}),
        ("x", {}, {"persist": {"ttl": 60}}),
    ):
        response = await refusal(phone, await push(phone, where, event, payload, **more))
        code = "PersistNotServed" if more else "MalformedBroadcast"
        assert response["code"] == code, (event, more)
    for frame, code in (
        (binary_push(where, "x", b"{", encoding=1, ref="a"), "MalformedBroadcast"),
        (binary_push(where, "x", b"", encoding=1, ref="a"), "MalformedBroadcast"),
        (binary_push(where, "x", b"\xff", encoding=1, ref="a"), "MalformedBroadcast"),
        (binary_push(where, "a\nb", b"1", encoding=1, ref="a"), "MalformedBroadcast"),
        (binary_push(where, "x", b"1", encoding=1, ref="a", metadata="{"), "MalformedBroadcast"),
        (binary_push(where, "x", b"1", encoding=1, ref="a", metadata="1"), "MalformedBroadcast"),
        (
            binary_push(where, "x", b"1", encoding=0, ref="a", metadata='{"persist":true}'),
            "PersistNotServed",
        ),
        (binary_push(where, "x", b"1", encoding=2, ref="a"), "MalformedFrame"),
    ):
        await phone.ws.send_bytes(frame)
        assert (await refusal(phone, "a"))["code"] == code
    # The longest name, an unknown kind of metadata, and no payload at all.
    await push_json(phone, where, "ü" * 127, b"1", metadata='{"other":1}')
    await phone.send(f"realtime:{where}", "broadcast", {"event": "x"})
    assert await heard(phone, 2) == [("ü" * 127, 1), ("x", {})]
    # A push of Phoenix's own kind has no event of its user.
    await phone.ws.send_bytes(
        b"\x00\x00\x01" + bytes([len(f"realtime:{where}")]) + b"\x09"
        b"a" + f"realtime:{where}".encode() + b"broadcast" + b"\x01"
    )
    assert (await refusal(phone, "a"))["code"] == "MalformedBroadcast"
    await phone.is_answered()


async def test_a_database_that_does_not_answer_refuses(
    node: Node, db: Database, ada: Person
) -> None:
    phone = await (await node.phone(ada)).joined(ada.own_device)
    await db.run("ALTER FUNCTION realtime.ask_broadcasts RENAME TO elsewhere")
    response = await refusal(phone, await push(phone, ada.own_device, "x", 1))
    assert response["code"] == "42883"
    await db.run("ALTER FUNCTION realtime.elsewhere RENAME TO ask_broadcasts")
    await push(phone, ada.own_device, "x", 1)
    await phone.is_answered()


# --- over HTTP -----------------------------------------------------------------------------------

BASES = ("/realtime/v1", "")


def message(topic: str, event: str = "x", payload: Any = 1, **more: Any) -> dict[str, Any]:
    return {"topic": topic, "event": event, "payload": payload, "private": True, **more}


async def send_batch(
    node: Node, token: str | None, messages: Any, base: str = "/realtime/v1", **options: Any
) -> tuple[int, Any]:
    """Status and body of POST …/api/broadcast."""
    return await post(node, f"{base}/api/broadcast", token, json={"messages": messages}, **options)


async def post(node: Node, path: str, token: str | None, **options: Any) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with node.http.post(node.url + path, headers=headers, **options) as answer:
        body = await answer.read()
        return answer.status, json.loads(body) if body else None


async def test_a_batch_over_http_reaches_both_servers(
    node: Node, database: str, ada: Person, grace: Person, topic: str
) -> None:
    async with running_node(database, **NO_LIMITS) as other:
        phones = [
            await (await server.phone(person)).joined(topic)
            for server in (node, other)
            for person in (ada, grace)
        ]
        inbox = await (await other.phone(ada)).joined(ada.own_device)
        for base in BASES:
            messages = [message(topic, f"x{n}", {"n": n}) for n in range(98)]
            messages += [message(ada.own_device, "mine", LARGE), {**message(topic, "last")}]
            del messages[-1]["payload"]
            assert await send_batch(node, ada.token(), messages, base) == (202, None)
            for phone in phones:
                expected = [(f"x{n}", {"n": n}) for n in range(98)]
                assert await heard(phone, 99) == [*expected, ("last", {})]
            assert await heard(inbox, 1) == [("mine", LARGE)]


async def test_one_over_http_as_json_and_as_bytes(
    node: Node, database: str, ada: Person, topic: str
) -> None:
    async with running_node(database, **NO_LIMITS) as other:
        phones = [await (await server.phone(ada)).joined(topic) for server in (node, other)]
        for base in BASES:
            path = f"{base}/api/broadcast/{topic.replace(':', '%3A')}/events/a%20b%2Fc?private=true"
            sent = await post(node, path, ada.token(), data=b'{"n":\n 1.50}')
            assert sent == (202, None)
            for phone in phones:
                assert '"event":"a b/c"' in (text := await phone.ws.receive_str())
                assert "1.50" in text
            headers = {"Content-Type": "application/octet-stream"}
            sent = await post(node, path, ada.token(), data=b"\x00\xff", headers=headers)
            assert sent == (202, None)
            for phone in phones:
                assert (await received_bytes(phone)).endswith(b"a b/c\x00\xff")


async def test_who_sends_over_http(node: Node, db: Database, ada: Person, topic: str) -> None:
    hears = await (await node.phone(ada)).joined(topic)
    token = ada.token()
    for path, headers in (
        ("/api/broadcast", {"Authorization": f"Bearer {token}", "apikey": "anon"}),
        ("/api/broadcast", {"apikey": token}),
        (f"/api/broadcast?apikey={token}&vsn=2.0.0", {}),
        (f"/api/broadcast?apikey={token}", {"Authorization": "Bearer anon", "apikey": "anon"}),
    ):
        if path.endswith(token) and headers:
            # The key that a client sends while nobody is signed in is no token.
            assert (await post(node, path, None, headers=headers, json={}))[0] == 401
            continue
        sent = await post(node, path, None, headers=headers, json={"messages": [message(topic)]})
        assert sent == (202, None)
        assert await heard(hears, 1) == [("x", 1)]

    for bearer, headers, code in (
        (None, {}, "RO101"),
        (None, {"apikey": "anon"}, "RO101"),
        ("anon", {"apikey": "anon"}, "RO101"),
        ("something", {"apikey": "anon"}, "PGRST301"),
        ("a.b.c", {}, "PGRST301"),
        (ada.token(lifetime=-60), {}, "PGRST303"),
    ):
        status, body = await send_batch(node, bearer, [message(topic)], headers=headers)
        assert (status, body["code"]) == (401, code)
        assert body["message"]
        assert body["hint"]
    await db.without_notice()
    await db.run("UPDATE roost.sessions SET revoked_at = now()")
    status, body = await send_batch(node, ada.token(), [message(topic)])
    assert (status, body["code"]) == (401, "RO102")
    await hears.is_answered()


async def test_what_http_refuses_is_refused_altogether(
    node: Node, ada: Person, grace: Person, topic: str
) -> None:
    hears = await (await node.phone(ada)).joined(topic)
    good = message(topic)
    for messages, status, code in (
        (None, 422, "MalformedBroadcast"),
        ({}, 422, "MalformedBroadcast"),
        ([], 422, "MalformedBroadcast"),
        ([good] * 101, 422, "MalformedBroadcast"),
        ([good, 1], 422, "MalformedBroadcast"),
        ([good, {**good, "topic": None}], 422, "MalformedBroadcast"),
        ([good, {**good, "topic": ""}], 422, "MalformedBroadcast"),
        ([good, {**good, "topic": "a\tb"}], 422, "MalformedBroadcast"),
        ([good, {**good, "topic": "user:" + "x" * 255}], 422, "MalformedBroadcast"),
        ([good, {**good, "event": None}], 422, "MalformedBroadcast"),
        ([good, {**good, "event": "a\nb"}], 422, "MalformedBroadcast"),
        ([good, message(topic, payload="x" * 262_143)], 422, "MalformedBroadcast"),
        ([good, {**good, "private": False}], 422, "PrivateOnly"),
        ([good, {"topic": topic, "event": "x", "payload": 1}], 422, "PrivateOnly"),
        ([good, {**good, "persist": True}], 422, "PersistNotServed"),
        ([good, message(topic, "typing")], 403, "ReservedEvent"),
        ([good, message(grace.inbox)], 403, "RO401"),
        ([good, message(f"conversation:{uuid.uuid4()}")], 403, "RO401"),
        ([good, message(f"realtime:{topic}")], 403, "RO401"),
        ([good, message('\\"{},ü')], 403, "RO401"),
    ):
        answered, body = await send_batch(node, ada.token(), messages)
        assert (answered, body["code"]) == (status, code), messages
        assert set(body) == {"code", "message", "details", "hint", "request_id"}
        assert body["message"]
        assert body["hint"]
    one = f"/api/broadcast/{topic}/events/"
    for path, body, status, code in (
        ("x?private=true", b"{", 422, "MalformedBroadcast"),
        ("x?private=true", b"", 422, "MalformedBroadcast"),
        ("x?private=false", b"1", 422, "PrivateOnly"),
        ("x", b"1", 422, "PrivateOnly"),
        ("x?private=true&persist=true", b"1", 422, "PersistNotServed"),
        ("x?private=true&persist%5Bttl%5D=60", b"1", 422, "PersistNotServed"),
        ("x%0A?private=true", b"1", 422, "MalformedBroadcast"),
        ("receipt?private=true", b"1", 403, "ReservedEvent"),
    ):
        answered, refused = await post(node, one + path, ada.token(), data=body)
        assert (answered, refused["code"]) == (status, code), path
    answered, refused = await post(node, "/api/broadcast", ada.token(), data=b"{")
    assert (answered, refused["code"]) == (422, "MalformedBroadcast")
    long = f"/api/broadcast/user:{'x' * 245}/events/x?private=true"
    raw = {"Content-Type": "application/octet-stream"}
    answered, refused = await post(node, long, ada.token(), data=b"1", headers=raw)
    assert (answered, refused["code"]) == (422, "MalformedBroadcast")
    # Of all the good ones beside them not one was sent.
    await hears.is_answered()


async def test_a_batch_asks_the_database_once(node: Node, ada: Person, topic: str) -> None:
    calls = node.multiplexer.calls
    messages = [message(where, f"x{n}") for n in range(50) for where in (topic, ada.own_device)]
    assert (await send_batch(node, ada.token(), messages))[0] == 202
    await eventually(lambda: node.relay._announcer.untold == 0)
    # And tells the other servers.
    assert calls < node.multiplexer.calls <= calls + 4


async def test_the_whole_server_takes_broadcasts_over_http(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    topic = f"conversation:{await ada.open_conversation(grace)}"
    async with client.http.ws_connect(f"{client.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        ref = await phone.send(f"realtime:{topic}", "phx_join", join_payload(grace.token))
        assert (await phone.reply(ref))["status"] == "ok"
        body = {"messages": [message(topic)]}
        answer = await ada.request("POST", "/realtime/v1/api/broadcast", json=body)
        assert (answer.status, answer.body) == (202, None)
        assert await heard(phone, 1) == [("x", 1)]
        refused = await client.request("POST", "/api/broadcast", json=body)
        assert (refused.status, refused.body["code"]) == (401, "RO101")
        wrong = await ada.request("GET", "/realtime/v1/api/broadcast")
        assert wrong.status == 405
        # From a page of another origin, as browsers ask before they send it.
        asked = await client.request(
            "OPTIONS",
            f"/api/broadcast/{topic}/events/x",
            headers={"Origin": "https://example.com", "Access-Control-Request-Method": "POST"},
        )
        assert asked.status == 200
        assert "POST" in asked.headers["Access-Control-Allow-Methods"]


async def test_broadcasts_over_http_count_as_messages_of_the_person(
    database: str, db: Database
) -> None:
    ada, grace = await db.person(), await db.person()
    async with running_node(
        database, realtime_user_messages_per_second=5, realtime_user_bytes_per_second=1_000
    ) as node:

        async def send(person: Person, number: int, payload: str = "") -> tuple[int, Any]:
            message = {"topic": person.inbox, "event": "x", "payload": payload, "private": True}
            return await send_batch(node, person.token(), [message] * number)

        # Ten seconds' worth may come at once.
        assert (await send(ada, 40))[0] == 202
        status, body = await send(ada, 40)
        assert (status, body["code"]) == (429, "MessagePerSecondRateLimitReached")
        assert body["details"] == "ROOST_REALTIME_USER_MESSAGES_PER_SECOND is 5."
        # All or none: those count that were sent.
        assert (await send(ada, 10))[0] == 202
        assert (await send(grace, 1, "x" * 9_000))[0] == 202
        status, body = await send(grace, 1, "x" * 9_000)
        assert (status, body["details"]) == (429, "ROOST_REALTIME_USER_BYTES_PER_SECOND is 1000.")
        assert node.relay.counters.refused["MessagePerSecondRateLimitReached"] == 2
