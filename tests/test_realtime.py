"""The relay over real sockets: raw frames of both versions, and what a client gets when."""

import asyncio
import contextlib
import itertools
import json
import logging
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from roost.database.pipeline import Statement
from roost.errors import DatabaseError
from roost.realtime import fanout as fan_out
from roost.realtime import log, outlet, protocol, refusals, relay, socket
from roost.realtime.protocol import MalformedFrameError, Version, decode
from roost.settings import Settings
from roost.tokens import AccessTokens
from tests.relaying import (
    SECRET,
    Database,
    Message,
    Node,
    Person,
    Phone,
    eventually,
    join_payload,
    running_node,
)
from tests.serving import Client
from tests.support import connect

REVOKE_DEVICE = Statement(
    b"SELECT result.id, pg_catalog.current_setting('roost.touched', true)"
    b" FROM (SELECT * FROM api.revoke_device($1::uuid) OFFSET 0) AS result"
)

WAITING_FOR_THE_LOG = (
    "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'realtime.log'::regclass"
)

LIMITS = Settings()

# What every refusal says, and what it says as the event "system".
REFUSAL = {"reason", "code", "message", "details", "hint"}
SYSTEM = {"extension", "status", "channel", "code", "message", "details", "hint"}


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
    async with running_node(database) as node:
        yield node


@pytest.fixture
async def ada(db: Database) -> Person:
    return await db.person()


@pytest.fixture
async def grace(db: Database) -> Person:
    return await db.person()


# --- the protocol --------------------------------------------------------------------------------


async def test_a_conversation_in_version_1(node: Node, db: Database, ada: Person) -> None:
    ws = (await node.phone(ada, Version.V1)).ws
    topic = f"realtime:{ada.own_device}"
    (epoch,) = (await db.run("SELECT epoch FROM realtime.log"))[0]
    join = {
        "topic": topic,
        "event": "phx_join",
        "payload": join_payload(ada.token()),
        "ref": "1",
        "join_ref": "1",
    }
    await ws.send_str(json.dumps(join))
    assert await ws.receive_str() == (
        f'{{"topic":"{topic}","event":"phx_reply","payload":{{"status":"ok","response":'
        f'{{"postgres_changes":[],"offset":0,"epoch":"{epoch}"}}}},"ref":"1"}}'
    )

    # Older clients send heartbeats without a reference.
    await ws.send_str('{"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": null}')
    assert await ws.receive_str() == (
        '{"topic":"phoenix","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":null}'
    )

    await db.publish(ada.own_device, '{"b": 1,  "a": [null]}')
    (event_id,) = (await db.run("SELECT id::text FROM realtime.events"))[0]
    assert await ws.receive_str() == (
        f'{{"topic":"{topic}","event":"broadcast","payload":{{"type":"broadcast",'
        '"event":"note.made","payload":{"b": 1,  "a": [null]},'
        f'"meta":{{"id":"{event_id}","offset":1,"epoch":"{epoch}"}}}},"ref":null}}'
    )

    await ws.send_str(json.dumps({"topic": topic, "event": "phx_leave", "payload": {}, "ref": "2"}))
    assert await ws.receive_str() == (
        f'{{"topic":"{topic}","event":"phx_reply","payload":{{"status":"ok","response":{{}}}},'
        '"ref":"2"}'
    )
    assert await ws.receive_str() == (
        f'{{"topic":"{topic}","event":"phx_close","payload":{{}},"ref":"1"}}'
    )


async def test_a_conversation_in_version_2(node: Node, db: Database, ada: Person) -> None:
    ws = (await node.phone(ada)).ws
    topic = f"realtime:{ada.own_device}"
    (epoch,) = (await db.run("SELECT epoch FROM realtime.log"))[0]
    # More elements than five are ignored.
    await ws.send_str(json.dumps(["4", "4", topic, "phx_join", join_payload(ada.token()), "x"]))
    assert await ws.receive_str() == (
        f'["4","4","{topic}","phx_reply",{{"status":"ok","response":'
        f'{{"postgres_changes":[],"offset":0,"epoch":"{epoch}"}}}}]'
    )

    await ws.send_str('[null,"26","phoenix","heartbeat",{}]')
    assert await ws.receive_str() == (
        '[null,"26","phoenix","phx_reply",{"status":"ok","response":{}}]'
    )

    await db.publish(ada.own_device, '"\\u00fc\\" ü"', "note.made")
    (event_id,) = (await db.run("SELECT id::text FROM realtime.events"))[0]
    assert await ws.receive_str() == (
        f'[null,null,"{topic}","broadcast",{{"type":"broadcast","event":"note.made",'
        '"payload":"\\u00fc\\" ü",'
        f'"meta":{{"id":"{event_id}","offset":1,"epoch":"{epoch}"}}}}]'
    )

    await ws.send_str(json.dumps(["4", "5", topic, "phx_leave", {}]))
    assert await ws.receive_str() == (
        f'["4","5","{topic}","phx_reply",{{"status":"ok","response":{{}}}}]'
    )
    assert await ws.receive_str() == f'["4","4","{topic}","phx_close",{{}}]'


async def test_both_addresses_take_sockets(node: Node) -> None:
    for path in ("/realtime/v1/websocket", "/socket/websocket"):
        for query in ("", "?apikey=anything&vsn=1.0.0&log_level=info"):
            async with node.http.ws_connect(node.url + path + query) as ws:
                await Phone(ws, Version.V1, None).is_answered()


async def test_connections_refused(node: Node) -> None:
    for query, headers, status, code in (
        ("?vsn=3.0.0", {}, 400, "UnsupportedVersion"),
        ("?vsn=", {}, 400, "UnsupportedVersion"),
        ("", {}, 426, "UpgradeRequired"),
        ("?vsn=2.0.0", {"Upgrade": "websocket"}, 426, "UpgradeRequired"),
    ):
        address = f"{node.url}/realtime/v1/websocket{query}"
        async with node.http.get(address, headers=headers) as answer:
            body = await answer.json()
            assert (answer.status, body["code"]) == (status, code)
            assert body["hint"]


async def test_pages_of_other_origins_may_not_connect(database: str) -> None:
    async with running_node(database, cors_origins=("https://example.com",)) as node:
        address = f"{node.url}/realtime/v1/websocket"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await node.http.ws_connect(address, origin="https://example.org")
        assert refusal.value.status == 403
        for origin in ("https://example.com", None):
            async with node.http.ws_connect(address, origin=origin) as ws:
                await Phone(ws, Version.V1, None).is_answered()


async def test_the_key_of_the_connection_speaks_for_joins_without_a_token(
    node: Node, ada: Person
) -> None:
    phone = await node.phone(ada, apikey=ada.token())
    topic = f"realtime:{ada.inbox}"
    for payload in (join_payload(None), join_payload("sb_publishable_x")):
        reply = await phone.reply(await phone.send(topic, "phx_join", payload))
        assert reply["status"] == "ok", reply
        await phone.reply(await phone.send(topic, "phx_leave"))
        assert (await phone.receive()).event == "phx_close"


async def test_pings_are_answered(node: Node) -> None:
    phone = await node.phone()
    await phone.ws.ping(b"are you there")
    await phone.is_answered()


async def test_a_second_join_closes_the_first(node: Node, db: Database, ada: Person) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    topic = f"realtime:{ada.inbox}"
    second = await phone.ask_to_join(ada.inbox)
    assert await phone.receive() == Message("1", "1", topic, "phx_close", {})
    assert (await phone.reply(second))["status"] == "ok"

    # What is sent to the first is ignored, even a leave; without a join reference it is taken.
    await phone.send(topic, "phx_leave", join_ref="1")
    await phone.send(topic, "broadcast", join_ref="1")
    await phone.is_answered()
    await db.publish(ada.inbox)
    assert await phone.offsets(1) == [1]
    left = await phone.send(topic, "phx_leave")
    assert (await phone.reply(left))["status"] == "ok"
    assert await phone.receive() == Message(second, second, topic, "phx_close", {})


async def test_topics_that_are_not_joined(node: Node, db: Database, ada: Person) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    for event in ("broadcast", "access_token", "presence", "anything"):
        reply = await phone.reply(await phone.send("realtime:user:1", event))
        assert reply["status"] == "error"
        response = reply["response"]
        assert set(response) == REFUSAL
        assert (response["reason"], response["code"]) == ("unmatched topic", "UnmatchedTopic")
        assert response["details"] == "Topic: realtime:user:1"
    reply = await phone.reply(await phone.send("realtime:user:1", "phx_leave"))
    assert reply == {"status": "ok", "response": {}}

    await phone.reply(await phone.send(f"realtime:{ada.inbox}", "phx_leave"))
    assert (await phone.receive()).event == "phx_close"
    await db.publish(ada.inbox)
    await phone.is_answered()


async def test_what_is_not_served_is_said(node: Node, db: Database, ada: Person) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    for event in ("postgres_changes", "heartbeat"):
        reply = await phone.reply(
            await phone.send(f"realtime:{ada.inbox}", event, {}, join_ref="1")
        )
        assert reply["status"] == "error"
        assert reply["response"]["reason"].startswith("UnknownEvent: ")
        assert reply["response"]["hint"]
    await db.publish(ada.inbox)
    assert await phone.offsets(1) == [1]


async def test_a_push_in_a_binary_frame_is_answered(node: Node, ada: Person) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    topic = f"realtime:{ada.inbox}"
    await phone.ws.send_bytes(binary_push(3, ("1", "7", topic, "typing"), b'{"a":1}'))
    message = await phone.receive()
    assert (message.join_ref, message.ref, message.topic) == ("1", "7", topic)
    assert message.payload["response"]["code"] == "ReservedEvent"
    await phone.ws.send_bytes(binary_push(0, ("1", "8", topic, "custom"), b"\x00\xff"))
    assert (await phone.reply("8"))["response"]["code"] == "UnknownEvent"


async def test_only_heartbeats_go_to_phoenix(node: Node) -> None:
    phone = await node.phone()
    reply = await phone.reply(await phone.send("phoenix", "phx_join"))
    assert reply["response"]["code"] == "UnknownEvent"
    await phone.is_answered()


# --- malformed frames ----------------------------------------------------------------------------


def binary_push(kind: int, fields: tuple[str, str, str, str], data: bytes) -> bytes:
    """A binary frame as supabase-js (3) and Phoenix (0) encode it."""
    encoded = [text.encode() for text in fields]
    lengths = bytes(len(text) for text in encoded)
    if kind == 3:
        # No metadata, then: the data is JSON.
        lengths += b"\x00\x01"
    return bytes([kind]) + lengths + b"".join(encoded) + data


# Frames, and whether a reference can be read from them.
MALFORMED = [
    ("", False),
    ("{", False),
    ("null", False),
    ('"text"', False),
    ("NaN", False),
    ("{}", False),
    ("[]", False),
    ('["1"]', False),
    ('["1", 2, "t", "e", {}]', False),
    ('["1", {}, "t", "e", {}]', False),
    (json.dumps(["1", "r" * 256, "t", "e", {}]), False),
    ("[" * 100_000, False),
    ('["1", "2", "t", "e", {"a": "\\ud800"}]', False),
    ('["1", "2"]', True),
    ('["1", "2", "t", "e"]', True),
    ('[1, "2", "t", "e", {}]', True),
    ('["1", "2", null, "e", {}]', True),
    ('["1", "2", "", "e", {}]', True),
    ('["1", "2", "t", 3, {}]', True),
    ('["1", "2", "t", "", {}]', True),
    ('["1", "2", "t", "e", []]', True),
    ('["1", "2", "t", "e", "text"]', True),
    (json.dumps(["1", "2", "t" * 256, "e", {}]), True),
]


async def test_malformed_frames_are_answered(node: Node) -> None:
    for frame, has_reference in MALFORMED:
        phone = await node.phone()
        await phone.ws.send_str(frame)
        message = await phone.receive()
        if has_reference:
            assert (message.event, message.ref) == ("phx_reply", "2"), frame
            assert message.payload["status"] == "error"
            assert message.payload["response"]["reason"].startswith("MalformedFrame: ")
            assert set(message.payload["response"]) == REFUSAL
        else:
            assert (message.event, message.ref, message.join_ref) == ("system", None, None), frame
            assert message.payload["status"] == "error"
            assert message.payload["message"].startswith("MalformedFrame: ")
            assert set(message.payload) == SYSTEM
            assert message.payload["code"] == "MalformedFrame"
            assert message.payload["hint"]
        await phone.is_answered()


async def test_malformed_frames_of_version_1(node: Node) -> None:
    phone = await node.phone(version=Version.V1)
    for frame in (
        "[]",
        '["1", "2", "t", "e", {}]',
        '{"topic": "t"}',
        '{"topic": "t", "event": "e", "payload": {}, "ref": 7}',
        '{"topic": 1, "event": "e", "payload": {}, "ref": "7"}',
        b"\x03\x00\x00\x01\x01\x00\x01te",
    ):
        await (phone.ws.send_str(frame) if isinstance(frame, str) else phone.ws.send_bytes(frame))
        message = await phone.receive()
        assert message.event == ("phx_reply" if message.ref == "7" else "system")
        assert "MalformedFrame" in json.dumps(message.payload)
    await phone.is_answered()


async def test_too_many_malformed_frames_end_the_connection(node: Node) -> None:
    phone = await node.phone()
    for _ in range(socket.MOST_MALFORMED_FRAMES - 1):
        await phone.ws.send_bytes(b"\xff")
        assert (await phone.receive()).event == "system"
    await phone.is_answered()
    await phone.ws.send_bytes(b"")
    assert await phone.closed() == 1008


async def test_frames_that_are_too_large_end_the_connection(node: Node) -> None:
    phone = await node.phone()
    frame = json.dumps([None, "1", "phoenix", "heartbeat", {"a": ""}])
    longest = frame.replace('""', f'"{"x" * (LIMITS.realtime_frame_bytes - 1 - len(frame))}"')
    await phone.ws.send_str(longest)
    assert (await phone.reply("1"))["status"] == "ok"
    await phone.ws.send_str("x" * (LIMITS.realtime_frame_bytes + 1))
    assert await phone.closed() == 1009


def random_frames(seed: int) -> Iterator[str | bytes]:
    """Noise, and well-formed frames with a few bytes changed."""
    randomness = random.Random(seed)
    good = [
        b'["1","2","realtime:user:1","phx_join",{"config":{"private":true}}]',
        b'{"topic":"t","event":"e","payload":{},"ref":"1","join_ref":null}',
        binary_push(3, ("1", "2", "realtime:user:1", "typing"), b'{"a":1}'),
        binary_push(0, ("", "", "t", "e"), b""),
    ]
    for _ in range(500):
        frame = bytearray(
            randomness.choice([*good, randomness.randbytes(randomness.randrange(40))])
        )
        for _ in range(randomness.randrange(4)):
            if frame:
                frame[randomness.randrange(len(frame))] = randomness.randrange(256)
        if randomness.random() < 0.2:
            del frame[randomness.randrange(len(frame) + 1) :]
        yield bytes(frame)
        with contextlib.suppress(UnicodeDecodeError):
            yield frame.decode()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_is_a_push_or_malformed(seed: int) -> None:
    fields: list[Any]
    for frame in random_frames(seed):
        for version in Version:
            try:
                push = decode(version, frame)
            except MalformedFrameError as error:
                fields = [error.join_ref, error.ref, error.topic]
            else:
                fields = [push.join_ref, push.ref, push.topic, push.event]
                assert push.topic
                assert push.event
                assert isinstance(push.payload, dict)
            assert all(
                value is None or (isinstance(value, str) and len(value) <= protocol.LONGEST_FIELD)
                for value in fields
            )


async def test_random_frames_do_not_end_the_server(node: Node) -> None:
    for seed in range(3):
        phone = await node.phone()
        for frame in itertools.islice(random_frames(seed), 200):
            if phone.ws.closed:
                phone = await node.phone()
            with contextlib.suppress(ConnectionError):
                await (
                    phone.ws.send_str(frame)
                    if isinstance(frame, str)
                    else phone.ws.send_bytes(frame)
                )
    await (await node.phone()).is_answered()


# --- joins that are refused ----------------------------------------------------------------------


async def refused_join(phone: Phone, topic: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The response of a join that has to be refused; the socket stays open."""
    reply = await phone.reply(await phone.send(topic, "phx_join", payload))
    assert reply["status"] == "error", reply
    response: dict[str, Any] = reply["response"]
    assert set(response) == REFUSAL
    assert response["hint"]
    await phone.is_answered()
    return response


async def test_joins_that_ask_for_what_is_not_served(node: Node, ada: Person) -> None:
    phone = await node.phone(ada)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"private": False}, "PrivateOnly: "),
        ({"private": None}, "PrivateOnly: "),
        ({"private": "yes"}, "PrivateOnly: "),
        (
            {"postgres_changes": [None, {"event": "*", "schema": "public"}]},
            "PostgresChangesNotServed: ",
        ),
        ({"postgres_changes": "*"}, "MalformedJoin: "),
        ({"presence": []}, "MalformedJoin: "),
        ({"presence": {"key": 1}}, "MalformedJoin: "),
        ({"presence": {"key": "a\nb"}}, "MalformedJoin: "),
        ({"presence": {"key": "k" * 256}}, "MalformedJoin: "),
        ({"broadcast": 1}, "MalformedJoin: "),
        ({"broadcast": {"replay": {"since": -1, "limit": 5}}}, "UnableToReplayMessages: "),
        ({"broadcast": {"replay": {"after": "1"}}}, "UnableToReplayMessages: "),
        ({"broadcast": {"replay": {"after": True}}}, "UnableToReplayMessages: "),
        ({"broadcast": {"replay": {"after": -1}}}, "UnableToReplayMessages: "),
        ({"broadcast": {"replay": {"after": 1.5}}}, "UnableToReplayMessages: "),
        ({"broadcast": {"replay": {"after": 2**63}}}, "UnableToReplayMessages: "),
        ({"broadcast": {"replay": {"after": 1, "epoch": 2}}}, "MalformedJoin: "),
    ]
    for change, reason in changes:
        payload = join_payload(ada.token())
        payload["config"].update(change)
        response = await refused_join(phone, f"realtime:{ada.inbox}", payload)
        assert response["reason"].startswith(reason), change
        if reason.startswith("UnableToReplay"):
            assert "after" in response["hint"]
    await phone.joined(ada.inbox)


async def test_joins_of_old_and_sloppy_clients(node: Node, ada: Person) -> None:
    phone = await node.phone(ada)
    topic = f"realtime:{ada.inbox}"
    legacy = await refused_join(phone, topic, {"user_token": ada.token()})
    assert legacy["code"] == "PrivateOnly"
    payload = {
        "config": {"private": "True", "broadcast": None, "postgres_changes": [None]},
        "user_token": ada.token(),
    }
    assert (await phone.reply(await phone.send(topic, "phx_join", payload)))["status"] == "ok"


async def test_joins_of_what_is_no_topic(node: Node, ada: Person) -> None:
    phone = await node.phone(ada)
    for topic in ("realtime:", "user:1", "realtime:user:\x00", "realtime:a\nb"):
        response = await refused_join(phone, topic, join_payload(ada.token()))
        assert response["code"] == "TopicNameRequired"


async def test_joins_without_a_right(node: Node, db: Database, ada: Person, grace: Person) -> None:
    phone = await node.phone(ada)
    conversation_id = await db.conversation(grace)
    for topic in (
        grace.inbox,
        f"device:{grace.device_id}",
        f"conversation:{conversation_id}",
        f"conversation:{uuid.uuid4()}",
        f"workspace:{ada.user_id}",
        "conversation:one",
        'user:"{},\\',
    ):
        response = await refused_join(phone, f"realtime:{topic}", join_payload(ada.token()))
        assert response["code"] == "RO401"
        assert response["reason"] == "Unauthorized: You may not join this topic."
        assert response["details"] == f"Topic: {topic}"
    for topic in (ada.inbox, f"device:{ada.device_id}"):
        await phone.joined(topic)


async def test_joins_with_a_bad_token(node: Node, db: Database, ada: Person) -> None:
    phone = await node.phone(ada, apikey="anon-key")
    topic = f"realtime:{ada.inbox}"
    foreign, _ = AccessTokens(SECRET[::-1], 60).issue(
        user_id=ada.user_id, session_id=ada.session_id, device_id=ada.device_id, email=""
    )
    for token, code, reason in (
        (None, "RO101", "Unauthorized"),
        ("anon-key", "RO101", "Unauthorized"),
        ("sb_publishable_key", "RO101", "Unauthorized"),
        ("not-a-token", "PGRST301", "MalformedJWT"),
        (foreign, "PGRST301", "MalformedJWT"),
        (ada.token(lifetime=-60), "PGRST303", "InvalidJWTToken"),
    ):
        response = await refused_join(phone, topic, join_payload(token))
        assert response["code"] == code
        assert response["reason"].startswith(f"{reason}: ")
    await db.without_notice()
    await db.run("UPDATE roost.sessions SET revoked_at = now()")
    response = await refused_join(phone, topic, join_payload(ada.token()))
    assert response["code"] == "RO102"


async def test_joins_from_an_offset_that_is_not_there(
    node: Node, db: Database, ada: Person
) -> None:
    phone = await node.phone(ada)
    topic = f"realtime:{ada.inbox}"
    for _ in range(5):
        await db.publish(ada.inbox)
    await db.run("DELETE FROM realtime.events WHERE event_offset <= 2")
    for replay, code in (
        ({"after": 6}, "RO402"),
        ({"after": 2**63 - 1}, "RO402"),
        ({"after": 1}, "RO403"),
        ({"after": 0}, "RO403"),
        ({"after": 5, "epoch": "another"}, "RO403"),
    ):
        response = await refused_join(phone, topic, join_payload(ada.token(), replay=replay))
        assert response["code"] == code
        assert response["reason"].startswith("UnableToReplayMessages: ")
    await phone.joined(ada.inbox, replay={"after": 2})
    assert await phone.offsets(3) == [3, 4, 5]


async def test_what_postgresql_refuses_is_told_as_for_a_call(
    node: Node, ada: Person, caplog: pytest.LogCaptureFixture
) -> None:
    phone = await node.phone(ada)
    payload = join_payload(ada.token(), replay={"after": 0, "epoch": "\0"})
    response = await refused_join(phone, f"realtime:{ada.inbox}", payload)
    assert response["code"] == "22021"
    assert "zero bytes" in response["hint"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    for sqlstate, shown in (("RO402", True), ("22023", True), ("57014", False), ("XX000", False)):
        response = refusals.response(DatabaseError(sqlstate=sqlstate, message="secret"))
        assert (response["code"], response["message"] == "secret") == (sqlstate, shown)
        assert shown or response["hint"]


async def test_a_socket_has_so_many_channels(node: Node, db: Database, ada: Person) -> None:
    phone = await node.phone(ada)
    conversations = [await db.conversation(ada) for _ in range(LIMITS.realtime_socket_channels)]
    for conversation_id in conversations:
        await phone.joined(f"conversation:{conversation_id}")
    response = await refused_join(phone, f"realtime:{ada.inbox}", join_payload(ada.token()))
    assert response["code"] == "ChannelRateLimitReached"
    await phone.reply(await phone.send(f"realtime:conversation:{conversations[0]}", "phx_leave"))
    assert (await phone.receive()).event == "phx_close"
    await phone.joined(ada.inbox)


# --- events --------------------------------------------------------------------------------------


async def test_a_message_reaches_everybody_in_order(
    node: Node, db: Database, ada: Person, grace: Person
) -> None:
    conversation_id = await db.conversation(ada, grace)
    phones = [
        await (await node.phone(person, version)).joined(f"conversation:{conversation_id}")
        for person, version in itertools.product((ada, grace), Version)
        for _ in range(5)
    ]
    bystander = await (await node.phone(ada)).joined(ada.own_device)

    for n in range(50):
        await node.send_message(ada, conversation_id, json.dumps({"text": f"number {n}"}))

    for phone in phones:
        events = await phone.events(50)
        assert [event["meta"]["offset"] for event in events] == list(range(1, 51))
        assert {event["event"] for event in events} == {"message.created"}
        assert [event["payload"]["content"]["text"] for event in events] == [
            f"number {n}" for n in range(50)
        ]
        assert not any("replayed" in event["meta"] for event in events)
        await phone.is_answered()
    await bystander.is_answered()


async def test_a_writer_without_the_server_is_relayed(
    node: Node, db: Database, ada: Person
) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    async with db.connection.transaction():
        for _ in range(3):
            await db.publish(ada.inbox)
        await phone.is_answered()
    async with db.connection.transaction(force_rollback=True):
        await db.publish(ada.inbox)
    await db.publish(ada.inbox)
    assert await phone.offsets(4) == [1, 2, 3, 4]
    await phone.is_answered()


async def test_the_server_notifies_outside_the_transaction(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    conversation_id = await db.conversation(ada)
    async with await connect(database) as other:
        await other.execute("LISTEN roost_events")
        await node.send_message(ada, conversation_id, '{"text": "a"}')
        await db.publish(ada.inbox)
        notifications = {n.payload async for n in other.notifies(timeout=20, stop_after=2)}
    by_psql = f"\n{ada.inbox}"
    assert by_psql in notifications
    (by_server,) = notifications - {by_psql}
    node_id, line = by_server.split("\n")
    assert node_id
    assert line == f"conversation:{conversation_id}"

    # Its own notification comes back to the server, which has nothing to learn from it.
    phone = await (await node.phone(ada)).joined(f"conversation:{conversation_id}")
    calls = node.multiplexer.calls
    node.relay.on_notify(by_server)
    await phone.is_answered()
    assert node.multiplexer.calls == calls
    node.relay.on_notify(by_server.replace(node_id, "another"))
    await eventually(lambda: node.multiplexer.calls == calls + 1)


async def test_replay_then_live_while_somebody_keeps_writing(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    """Every phone gets every event once, in order, wherever it begins and whenever it comes."""
    total, writers = 4_000, 4
    readers = 0

    async def write() -> None:
        async with await connect(database) as connection:
            for _ in range(total // writers // 10):
                await Database(connection).publish_many(ada.inbox, 10)

    async def read(after: int, version: Version) -> None:
        phone = await node.phone(ada, version)
        newest = (await phone.join(ada.inbox, replay={"after": after}))["response"]["offset"]
        events = await phone.events(total - after)
        assert [event["meta"]["offset"] for event in events] == list(range(after + 1, total + 1))
        assert [event["meta"].get("replayed", False) for event in events] == [
            event["meta"]["offset"] <= newest for event in events
        ]
        await phone.is_answered()

    async with asyncio.TaskGroup() as tasks:
        writing = [tasks.create_task(write()) for _ in range(writers)]
        while not all(task.done() for task in writing):
            ((newest,),) = await db.run("SELECT realtime.last_offset(%s)", ada.inbox)
            if readers < 40:
                tasks.create_task(read(newest // 2, Version.V1))
                tasks.create_task(read(newest, Version.V2))
                readers += 2
    assert readers >= 10


async def test_order_holds_through_every_change_between_live_and_behind(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person
) -> None:
    """With small pages, a turn of the loop after each socket, and every third batch refused."""
    monkeypatch.setattr(log, "FIRST_PAGE_ROWS", 20)
    monkeypatch.setattr(log, "MOST_PAGE_ROWS", 40)
    monkeypatch.setattr(fan_out, "SOCKETS_PER_TURN", 1)
    fell_behind = 0

    class ForgetfulSocket(socket.Socket):
        def deliver(self, channel: fan_out.Channel, batch: fan_out.Batch) -> None:
            nonlocal fell_behind
            # Nobody who lacks nothing is ever behind.
            if channel.cursor < batch.end and random.random() < 1 / 3:
                fell_behind += 1
                self._fall_behind(channel)
            else:
                super().deliver(channel, batch)

    monkeypatch.setattr(relay, "Socket", ForgetfulSocket)
    topics = [ada.own_device, *[f"conversation:{await db.conversation(ada)}" for _ in range(3)]]
    total = 400

    async def write(topic: str) -> None:
        async with await connect(database) as connection:
            for n in range(total // 4):
                await Database(connection).publish_many(topic, 4, 1_000 * (n % 5))

    async def read(phone: Phone) -> None:
        got: dict[str, list[int]] = {topic: [] for topic in topics}
        for _ in range(total * len(topics)):
            message = await phone.receive()
            assert message.event == "broadcast", message
            got[message.topic.removeprefix("realtime:")].append(message.payload["meta"]["offset"])
        assert got == {topic: list(range(1, total + 1)) for topic in topics}
        await phone.is_answered()

    async with running_node(database) as node:
        phones = [await node.phone(ada, version) for version in Version for _ in range(4)]
        for phone, topic in itertools.product(phones, topics):
            await phone.joined(topic)
        async with asyncio.TaskGroup() as tasks:
            for topic in topics:
                tasks.create_task(write(topic))
            for phone in phones:
                tasks.create_task(read(phone))
    assert fell_behind > 50


async def test_a_replay_of_a_known_epoch(node: Node, db: Database, ada: Person) -> None:
    phone = await node.phone(ada)
    await db.publish_many(ada.inbox, 3)
    epoch = (await phone.join(ada.inbox))["response"]["epoch"]
    reply_to = await phone.ask_to_join(ada.inbox, replay={"after": 1, "epoch": epoch})
    assert (await phone.receive()).event == "phx_close"
    assert (await phone.reply(reply_to))["response"]["offset"] == 3
    assert [event["meta"] for event in await phone.events(2)] == [
        {"id": event_id, "offset": offset, "epoch": epoch, "replayed": True}
        for event_id, offset in await db.run(
            "SELECT id::text, event_offset FROM realtime.events WHERE event_offset > 1 ORDER BY 2"
        )
    ]


async def test_a_replay_is_marked_to_its_end(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person
) -> None:
    """Even where the join knows of events that the fan-out has not read yet."""
    monkeypatch.setattr(log, "FIRST_PAGE_ROWS", 2)
    monkeypatch.setattr(log, "MOST_PAGE_ROWS", 2)
    await (await node.phone(ada)).joined(ada.inbox)
    await db.without_notice()
    await db.publish_many(ada.inbox, 5)
    phone = await (await node.phone(ada)).joined(ada.inbox, replay={"after": 0})
    assert [
        (event["meta"]["offset"], event["meta"]["replayed"]) for event in await phone.events(5)
    ] == [(n, True) for n in range(1, 6)]


async def test_what_a_join_knows_of_reaches_those_who_were_not_told(
    node: Node, db: Database, ada: Person
) -> None:
    first = await (await node.phone(ada)).joined(ada.inbox)
    await db.without_notice()
    await db.publish(ada.inbox)
    second = await (await node.phone(ada)).joined(ada.inbox)
    assert await first.offsets(1) == [1]
    await second.is_answered()


async def test_an_event_during_the_first_join_is_not_missed(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    phone = await node.phone(ada)
    await db.without_notice()
    async with await connect(database) as blocker:
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE realtime.log")
            join = await phone.ask_to_join(ada.inbox)
            while not await db.run(WAITING_FOR_THE_LOG):
                pass
            # The database has decided on the join, and the answer is still to come.
            await db.publish(ada.inbox)
            node.relay.wake(ada.inbox)
        assert (await phone.reply(join))["response"]["offset"] == 0
    assert await phone.offsets(1) == [1]
    await phone.is_answered()


async def test_a_client_can_ask_to_be_told_that_it_is_live(node: Node, ada: Person) -> None:
    phone = await node.phone(ada)
    await phone.joined(ada.inbox, replication_ready=True)
    assert await phone.receive() == Message(
        "1",
        None,
        f"realtime:{ada.inbox}",
        "system",
        {
            "extension": "system",
            "status": "ok",
            "message": "Replication connection established",
            "channel": ada.inbox,
        },
    )


async def test_two_servers_deliver_to_each_other(
    node: Node, database: str, db: Database, ada: Person, grace: Person
) -> None:
    conversation_id = await db.conversation(ada, grace)
    async with running_node(database) as other:
        phones = [
            await (await server.phone(person)).joined(f"conversation:{conversation_id}")
            for server in (node, other)
            for person in (ada, grace)
        ]
        for n in range(100):
            await (node, other)[n % 2].send_message(ada, conversation_id, '{"text": "a"}')
        for phone in phones:
            assert await phone.offsets(100) == list(range(1, 101))
            await phone.is_answered()


async def test_a_notification_that_names_nothing_means_everything(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    async with running_node(database) as other:
        phone = await (await other.phone(ada)).joined(ada.inbox)
        await db.without_notice()
        await db.publish(ada.inbox)
        await phone.is_answered()
        # More topics than one notification can name.
        node.relay.wake("\n".join(f"user:{uuid.uuid4()}" for _ in range(500)))
        assert await phone.offsets(1) == [1]


async def test_a_slow_poll_finds_what_nobody_told(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person
) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.02)
    async with running_node(database) as node:
        phones = [await (await node.phone(ada)).joined(ada.inbox) for _ in range(3)]
        await db.without_notice()
        await db.publish(ada.inbox)
        for phone in phones:
            assert await phone.offsets(1) == [1]


async def test_after_the_listener_was_cut_off_everything_is_read(
    node: Node, db: Database, ada: Person
) -> None:
    phones = [await (await node.phone(ada)).joined(ada.inbox) for _ in range(3)]
    await db.publish(ada.inbox)
    for phone in phones:
        assert await phone.offsets(1) == [1]
    node.deaf = True
    await db.publish_many(ada.inbox, 500)
    for phone in phones:
        await phone.is_answered()
    await db.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
    )
    for phone in phones:
        assert await phone.offsets(500) == list(range(2, 502))
    node.deaf = False
    await db.publish(ada.inbox)
    for phone in phones:
        assert await phone.offsets(1) == [502]


async def test_events_survive_the_loss_of_the_connections_that_read_them(
    node: Node, db: Database, ada: Person
) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    for n in range(1, 6):
        await db.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        await db.publish(ada.inbox)
        assert await phone.offsets(1) == [n]


async def test_a_slow_reader_slows_nobody_and_loses_nothing(
    node: Node, db: Database, ada: Person
) -> None:
    total, size = 4_000, 10_000
    slow = await (await node.phone(ada)).joined(ada.inbox)
    stalled = node.transports[-1]
    quick = [await (await node.phone(ada)).joined(ada.inbox) for _ in range(5)]
    biggest = 0

    async def watch() -> None:
        nonlocal biggest
        while True:
            biggest = max(biggest, stalled.get_write_buffer_size())
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    for n in range(total // 100):
        await db.publish_many(ada.inbox, 100, size)
        first = n * 100 + 1
        for phone in quick:
            assert await phone.offsets(100) == list(range(first, first + 100))
    watching.cancel()
    # It could not take 40 MB: what is unsent is bounded, and the rest waits in the log.
    assert 0 < stalled.get_write_buffer_size() <= biggest <= LIMITS.realtime_unsent_bytes

    await db.publish(ada.inbox)
    assert await slow.offsets(total + 1) == list(range(1, total + 2))
    await slow.is_answered()
    await db.publish(ada.inbox)
    for phone in (slow, quick[0]):
        assert (await phone.offsets(1))[0] >= total + 1
    await slow.is_answered()


def stalls(transport: asyncio.WriteTransport) -> bool:
    """Whether the client takes nothing more, for now."""
    return transport.get_write_buffer_size() > outlet.DRAINED_BYTES


async def test_large_events_after_small_ones_do_not_pile_up(
    node: Node, db: Database, ada: Person
) -> None:
    """For readers that stall, live, in a replay and in many topics, after pages have grown."""
    small, large, size = 5_000, 80, 250_000
    live = await (await node.phone(ada)).joined(ada.inbox)
    await db.publish_many(ada.inbox, small)
    assert await live.offsets(small) == list(range(1, small + 1))
    replays = await (await node.phone(ada)).joined(ada.inbox, replay={"after": 0})
    conversations = [f"conversation:{await db.conversation(ada)}" for _ in range(40)]
    several = await node.phone(ada)
    for topic in conversations:
        await several.joined(topic)
    transports = node.transports[-3:]
    biggest = 0

    async def watch() -> None:
        nonlocal biggest
        while True:
            biggest = max(biggest, *(stalled.get_write_buffer_size() for stalled in transports))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    for topic in (ada.inbox, *(conversations * 2)):
        await db.publish_many(topic, large if topic == ada.inbox else 1, size)
    await eventually(lambda: all(map(stalls, transports)))
    assert await live.offsets(large) == list(range(small + 1, small + large + 1))
    assert await replays.offsets(small + large) == list(range(1, small + large + 1))
    got: dict[str, list[int]] = {f"realtime:{topic}": [] for topic in conversations}
    for _ in range(large):
        message = await several.receive()
        assert message.event == "broadcast", message
        got[message.topic].append(message.payload["meta"]["offset"])
    assert set(map(tuple, got.values())) == {(1, 2)}
    watching.cancel()
    assert biggest <= LIMITS.realtime_unsent_bytes

    # Only an event that is larger by itself is sent all the same.
    await db.publish_many(ada.inbox, 1, LIMITS.realtime_unsent_bytes + 1)
    for phone in (live, replays):
        assert await phone.offsets(1) == [small + large + 1]
        await phone.is_answered()


async def test_a_slow_reader_can_leave(node: Node, db: Database, ada: Person) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    await db.publish_many(ada.inbox, 1_500, 10_000)
    await eventually(lambda: node.transports[-1].get_write_buffer_size() > 0)
    topic = f"realtime:{ada.inbox}"
    left = await phone.send(topic, "phx_leave", join_ref="1")
    again = await phone.ask_to_join(ada.inbox, replay={"after": 1_400})
    offsets = []
    while (message := await phone.receive()).event == "broadcast":
        offsets.append(message.payload["meta"]["offset"])
    assert offsets == list(range(1, len(offsets) + 1))
    assert message.ref == left
    assert (await phone.receive()).event == "phx_close"
    assert (await phone.reply(again))["status"] == "ok"
    assert await phone.offsets(100) == list(range(1_401, 1_501))
    await phone.is_answered()


async def test_a_hole_in_the_log_is_told(node: Node, db: Database, ada: Person) -> None:
    """Whoever is live and whoever is catching up: must_refetch, and never what is behind it."""
    topic = f"realtime:{ada.inbox}"
    live = await (await node.phone(ada)).joined(ada.inbox)
    await db.without_notice()
    await db.publish_many(ada.inbox, 5)
    await db.run("DELETE FROM realtime.events WHERE event_offset IN (1, 3)")
    behind = await (await node.phone(ada)).joined(ada.inbox, replay={"after": 1})
    assert await behind.offsets(1) == [2]
    node.relay.wake(ada.inbox)
    for phone in (live, behind):
        system, error = await phone.receive(), await phone.receive()
        assert (system.event, system.topic, system.ref) == ("system", topic, None)
        assert system.payload["status"] == "error"
        assert system.payload["code"] == "RO403"
        assert (error.event, error.join_ref, error.ref) == ("phx_error", "1", "1")
        await phone.joined(ada.inbox)
    await db.publish(ada.inbox)
    node.relay.wake(ada.inbox)
    for phone in (live, behind):
        assert await phone.offsets(1) == [6]


async def must_refetch(phone: Phone) -> None:
    """The next two messages have to say that a channel must be read again."""
    system, error = await phone.receive(), await phone.receive()
    assert (system.event, set(system.payload)) == ("system", SYSTEM)
    assert (error.event, set(error.payload)) == ("phx_error", REFUSAL)
    assert system.payload["code"] == error.payload["code"] == "RO403"


async def test_another_log_ends_all_channels(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    async with running_node(database) as other:
        phones = [await (await server.phone(ada)).joined(ada.inbox) for server in (node, other)]
        ((epoch,),) = await db.run("SELECT realtime.new_epoch()")
        for phone in phones:
            await must_refetch(phone)
            assert (await phone.join(ada.inbox))["response"]["epoch"] == epoch
            await phone.is_answered()
    node.relay.on_reconnect()
    await phones[0].is_answered()
    await db.publish(ada.inbox)
    assert await phones[0].offsets(1) == [1]


async def test_another_log_is_known_by_its_events(node: Node, db: Database, ada: Person) -> None:
    """Nobody is passed an event under an offset of the log before."""
    live = await (await node.phone(ada)).joined(ada.inbox)
    other = await (await node.phone(ada)).joined(f"device:{ada.device_id}")
    await db.run("UPDATE realtime.log SET epoch = 'restored'")
    await db.publish(ada.inbox)
    for phone in (live, other):
        await must_refetch(phone)
    await live.joined(ada.inbox, replay={"after": 0, "epoch": "restored"})
    assert await live.offsets(1) == [1]
    await live.is_answered()


async def test_another_log_is_known_by_a_join(node: Node, db: Database, ada: Person) -> None:
    first, second = await node.phone(ada), await node.phone(ada)
    await db.publish_many(ada.inbox, 5)
    await first.joined(ada.inbox)
    await db.without_notice()
    await db.run("UPDATE realtime.log SET epoch = 'restored'")
    await db.run("DELETE FROM realtime.events WHERE event_offset > 3")
    await db.run("UPDATE realtime.topics SET last_offset = 3")
    await second.ask_to_join(ada.inbox)
    for phone in (first, second):
        await must_refetch(phone)
        reply = await phone.join(ada.inbox)
        response = reply["response"]
        assert (response["offset"], response["epoch"], response["topics"]) == (3, "restored", {})
    await db.publish(ada.inbox)
    node.relay.wake(ada.inbox)
    for phone in (first, second):
        assert await phone.offsets(1) == [4]
        await phone.is_answered()


async def test_another_log_ends_those_who_catch_up(node: Node, db: Database, ada: Person) -> None:
    await db.publish_many(ada.inbox, 100, 250_000)
    phone = await (await node.phone(ada)).joined(ada.inbox, replay={"after": 0})
    await eventually(lambda: stalls(node.transports[-1]))
    await db.run("UPDATE realtime.log SET epoch = 'restored'")
    offsets = []
    while (message := await phone.receive()).event == "broadcast":
        assert message.payload["meta"]["epoch"] != "restored"
        offsets.append(message.payload["meta"]["offset"])
    assert offsets == list(range(1, len(offsets) + 1))
    assert len(offsets) < 100
    assert message.payload["code"] == "RO403"
    assert (await phone.receive()).event == "phx_error"


# --- sessions and tokens -------------------------------------------------------------------------


async def other_session(db: Database, person: Person) -> Person:
    other = Person(person.user_id, person.device_id, str(uuid.uuid4()))
    await db.session(other)
    return other


async def test_the_end_of_a_session_closes_its_sockets(
    node: Node, db: Database, ada: Person
) -> None:
    other = await other_session(db, ada)
    ended = [await (await node.phone(ada)).joined(ada.inbox) for _ in range(2)]
    stays = await (await node.phone(other)).joined(ada.inbox)
    await db.run("UPDATE roost.sessions SET revoked_at = now() WHERE id = %s", ada.session_id)
    for phone in ended:
        message = await phone.receive()
        assert (message.event, message.payload["status"]) == ("system", "error")
        assert message.payload["code"] == "RO102"
        assert await phone.closed() == outlet.SESSION_ENDED
    await stays.is_answered()
    # The server's own calls say the same.
    node.relay.wake(f"!session:{other.session_id}\n!unknown:1")
    assert await stays.closed() == outlet.SESSION_ENDED


async def test_a_session_that_ends_during_a_join(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    phone = await node.phone(ada)
    async with await connect(database) as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE realtime.log")
        await phone.ask_to_join(ada.inbox)
        while not await db.run(WAITING_FOR_THE_LOG):
            pass
        # The join has seen a living session, and its answer is still to come.
        await db.run("UPDATE roost.sessions SET revoked_at = now() WHERE id = %s", ada.session_id)
        assert await phone.closed() == outlet.SESSION_ENDED


async def test_a_session_that_ends_during_a_refresh(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    """Even if what is new in the topics can't be read before the socket is closed."""
    other = await other_session(db, ada)
    phone = await (await node.phone(ada)).joined(ada.inbox)
    async with await connect(database) as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE realtime.log")
        await phone.send(f"realtime:{ada.inbox}", "access_token", {"access_token": other.token()})
        while not await db.run(WAITING_FOR_THE_LOG):
            pass
        await db.run("UPDATE roost.sessions SET revoked_at = now() WHERE id = %s", other.session_id)
        assert await phone.closed() == outlet.SESSION_ENDED


async def is_told_of_its_revocation(phone: Phone, device_id: str, *topics: str) -> None:
    """device.revoked in each topic, then for each that the session is over, then the end."""
    messages = [await phone.receive() for _ in range(2 * len(topics))]
    joined = {f"realtime:{topic}" for topic in topics}
    for message in messages[: len(topics)]:
        assert (message.event, message.payload["event"]) == ("broadcast", "device.revoked")
        assert message.payload["payload"]["device_id"] == device_id
    for message in messages[len(topics) :]:
        assert (message.event, message.payload["code"]) == ("system", "RO102")
        assert set(message.payload) == SYSTEM
    for part in (messages[: len(topics)], messages[len(topics) :]):
        assert {message.topic for message in part} == joined
    assert await phone.closed() == outlet.SESSION_ENDED


async def test_a_revoked_device_is_told_before_it_is_cut_off(
    node: Node, database: str, db: Database
) -> None:
    # By psql, whose notifications come one by one, and by a call of the server.
    for by_psql in (True, False):
        ada = await db.person()
        topics = (ada.inbox, f"device:{ada.device_id}")
        phone = await node.phone(ada)
        for topic in topics:
            await phone.joined(topic)
        if by_psql:
            async with await connect(database, "roost_user", uuid.UUID(ada.user_id)) as connection:
                await connection.execute("SELECT api.revoke_device(%s)", [ada.device_id])
        else:
            ((_, touched),) = await node.multiplexer.call(
                REVOKE_DEVICE, (ada.device_id.encode(),), ada.identity
            )
            node.relay.wake((touched or b"").decode())
        await is_told_of_its_revocation(phone, ada.device_id, *topics)


async def test_a_revoked_device_is_told_by_the_whole_server(client: Client) -> None:
    ada = await client.sign_up("ada@example.com")
    lost = await client.sign_in("ada@example.com")
    assert lost.device_id != ada.device_id
    stays, topics = f"user:{ada.user_id}", (f"user:{ada.user_id}", f"device:{lost.device_id}")
    async with (
        client.http.ws_connect(f"{client.url}/realtime/v1/websocket?vsn=2.0.0") as ws,
        client.http.ws_connect(f"{client.url}/realtime/v1/websocket?vsn=2.0.0") as other,
    ):
        phone, tablet = Phone(ws, Version.V2, None), Phone(other, Version.V2, None)
        for device, token, topic in (
            *((phone, lost.token, topic) for topic in topics),
            (tablet, ada.token, stays),
        ):
            ref = await device.send(f"realtime:{topic}", "phx_join", join_payload(token))
            assert (await device.reply(ref))["status"] == "ok"
        await ada.ask("revoke_device", device_id=lost.device_id)
        await is_told_of_its_revocation(phone, lost.device_id, *topics)
        (event,) = await tablet.events(1)
        assert event["event"] == "device.revoked"
        await tablet.is_answered()


async def test_the_end_of_a_session_is_noticed_without_a_word(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person
) -> None:
    monkeypatch.setattr(relay, "SESSION_CHECK_SECONDS", 0.02)
    async with running_node(database) as node:
        other = await other_session(db, ada)
        ended = await (await node.phone(ada)).joined(ada.inbox)
        stays = await (await node.phone(other)).joined(ada.inbox)
        await db.without_notice()
        await db.run("UPDATE roost.sessions SET revoked_at = now() WHERE id = %s", ada.session_id)
        assert await ended.closed() == outlet.SESSION_ENDED
        await stays.is_answered()


async def test_a_new_token_keeps_a_channel(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person
) -> None:
    monkeypatch.setattr(relay, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(outlet, "LEEWAY", 0)
    async with running_node(database) as node:
        topic = f"realtime:{ada.inbox}"
        refreshed, forgotten = await node.phone(ada), await node.phone(ada)
        for phone in (refreshed, forgotten):
            ref = await phone.send(topic, "phx_join", join_payload(ada.token(lifetime=2)))
            assert (await phone.reply(ref))["status"] == "ok"
        for token in (None, "sb_key", ada.token(lifetime=2), ada.token(lifetime=60)):
            await refreshed.send(topic, "access_token", {"access_token": token}, join_ref="1")
        await refreshed.is_answered()

        system, error = await forgotten.receive(), await forgotten.receive()
        assert system.payload["message"].startswith("InvalidJWTToken: Token has expired ")
        assert (error.event, error.join_ref, error.ref) == ("phx_error", "1", "1")
        await db.publish(ada.inbox)
        assert await refreshed.offsets(1) == [1]
        await forgotten.is_answered()
        await forgotten.joined(ada.inbox, replay={"after": 0})
        assert await forgotten.offsets(1) == [1]


async def test_tokens_that_end_a_channel(
    node: Node, db: Database, ada: Person, grace: Person
) -> None:
    topic = f"realtime:{ada.inbox}"
    over = await other_session(db, ada)
    await db.run("UPDATE roost.sessions SET revoked_at = now() WHERE id = %s", over.session_id)
    phone = await node.phone(ada)
    for token, code in (
        ("no-token", "PGRST301"),
        (7, "MalformedJWT"),
        (ada.token(lifetime=-60), "PGRST303"),
        (grace.token(), "Unauthorized"),
        (over.token(), "RO102"),
    ):
        await phone.joined(ada.inbox)
        await phone.send(topic, "access_token", {"access_token": token})
        system, error = await phone.receive(), await phone.receive()
        assert (system.event, system.payload["status"]) == ("system", "error")
        assert (system.payload["extension"], system.payload["channel"]) == ("system", ada.inbox)
        assert system.payload["code"] == code
        assert error.event == "phx_error"
        assert error.payload["reason"] == system.payload["message"]
        await phone.is_answered()


async def test_a_new_token_is_checked_against_the_topic(
    node: Node, db: Database, ada: Person, grace: Person
) -> None:
    conversation_id = await db.conversation(grace, ada)
    topic = f"realtime:conversation:{conversation_id}"
    phone = await (await node.phone(ada)).joined(f"conversation:{conversation_id}")
    await db.run(
        "UPDATE roost.conversation_participants SET left_at = now() WHERE user_id = %s", ada.user_id
    )
    other = await other_session(db, ada)
    await phone.send(topic, "access_token", {"access_token": other.token()}, join_ref="1")
    assert (await phone.receive()).payload["code"] == "RO401"
    assert (await phone.receive()).event == "phx_error"


async def test_a_socket_follows_the_session_of_its_new_token(
    node: Node, db: Database, ada: Person
) -> None:
    other = await other_session(db, ada)
    phone = await (await node.phone(ada)).joined(ada.inbox)
    await phone.send(f"realtime:{ada.inbox}", "access_token", {"access_token": other.token()})
    await phone.is_answered()
    node.relay.wake(f"!session:{ada.session_id}")
    await phone.is_answered()
    node.relay.wake(f"!session:{other.session_id}")
    assert await phone.closed() == outlet.SESSION_ENDED


# --- the server ----------------------------------------------------------------------------------


async def test_silent_sockets_are_closed(
    monkeypatch: pytest.MonkeyPatch, database: str, ada: Person
) -> None:
    monkeypatch.setattr(relay, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(socket, "IDLE_SECONDS", 0.5)
    async with running_node(database) as node:
        talks, pings, silent = [await node.phone(ada) for _ in range(3)]

        async def talk() -> None:
            while True:
                await talks.is_answered()
                await pings.ws.ping()

        talking = asyncio.create_task(talk())
        assert await silent.closed() == 1001
        talking.cancel()
        await asyncio.wait([talking])
        await pings.is_answered()


async def test_a_stop_sends_clients_away_such_that_they_come_back(
    node: Node, db: Database, ada: Person
) -> None:
    phones = [await (await node.phone(ada)).joined(ada.inbox) for _ in range(3)]
    await db.publish(ada.inbox)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        closed = [tasks.create_task(phone.closed()) for phone in phones]
        # When all have answered, nothing more is waited for.
        await node.relay.close(30.0)
    assert [task.result() for task in closed] == [1012] * 3
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await node.phone(ada)
    assert refusal.value.status == 503


async def test_a_stop_does_not_wait_for_those_who_do_not_answer(
    node: Node, db: Database, ada: Person
) -> None:
    silent = [await (await node.phone(ada)).joined(ada.inbox) for _ in range(3)]
    await db.publish_many(ada.inbox, 2_000, 10_000)
    await eventually(lambda: node.transports[-1].get_write_buffer_size() > 0)
    for phone in silent[:2]:
        await phone.offsets(2_000)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await node.relay.close(0.2)
    assert loop.time() - started < 1
    # Who took the close frame has it, whoever never read is cut off.
    for phone in silent[:2]:
        assert await phone.closed() == 1012
    assert all(transport.is_closing() for transport in node.transports)


@pytest.mark.usefixtures("node")
async def test_a_start_makes_the_partitions_of_the_coming_days(db: Database) -> None:
    ((partitions,),) = await db.run(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'realtime.events'::regclass"
    )
    assert partitions == 9


async def test_partitions_are_maintained_step_by_step_and_again_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database
) -> None:
    monkeypatch.setattr(relay, "MAINTENANCE_RETRY_SECONDS", 0.02)
    await db.run("DROP FUNCTION realtime.maintain_partitions")
    await db.run("CREATE SEQUENCE realtime.attempts")
    await db.run(
        """
        CREATE FUNCTION realtime.maintain_partitions() RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER AS $$
        DECLARE
            v_attempt integer := nextval('realtime.attempts');
        BEGIN
            IF v_attempt IN (1, 3) THEN
                RAISE EXCEPTION USING ERRCODE = '55P03', MESSAGE = 'lock timeout';
            END IF;
            RETURN 6 - v_attempt;
        END;
        $$
        """
    )
    async with running_node(database):
        # Fails; does one step and fails; does the other three, the last of which says so.
        while (await db.run("SELECT last_value FROM realtime.attempts")) != [(6,)]:
            pass
