"""Who gets what of a topic: hidden events, rights that end, and ephemeral events."""

import asyncio
import contextlib
import itertools
import json
import logging
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from roost.database.pipeline import Multiplexer
from roost.errors import RoostError
from roost.realtime import announcer, log, outlet, relay, socket
from roost.realtime import fanout as fan_out
from roost.realtime.presence import Message
from roost.realtime.protocol import Version
from roost.tokens import Claims
from tests.relaying import (
    Database,
    Node,
    Person,
    Phone,
    eventually,
    join_payload,
    running_node,
)
from tests.serving import Client, serving
from tests.support import connect

WAITING_FOR_THE_LOG = (
    "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'realtime.log'::regclass"
)


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


@pytest.fixture
async def topic(db: Database, ada: Person, grace: Person) -> str:
    """A conversation of the two, ada's."""
    return f"conversation:{await db.conversation(ada, grace)}"


async def other_session(db: Database, person: Person) -> Person:
    other = Person(person.user_id, person.device_id, str(uuid.uuid4()))
    await db.session(other)
    return other


def short(event: dict[str, Any]) -> tuple[int, str, Any]:
    return event["meta"]["offset"], event["event"], event["payload"]


async def gets_up_to(phone: Phone, topic: str, first: int, last: int) -> None:
    """The events from one offset to another, then the end of the channel and nothing more."""
    assert await phone.offsets(last - first + 1) == list(range(first, last + 1))
    await phone.is_ended(topic, "RO401")
    await phone.is_answered()


# --- hidden events -------------------------------------------------------------------------------


async def test_what_was_before_somebody_was_added_is_hidden_live(
    node: Node, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    for n in range(3):
        await db.publish(topic, f'{{"n": {n}}}')
    assert await db.add_back(grace, topic, history_after=3) == 4
    see_all = [await (await node.phone(ada, version)).joined(topic) for version in Version]
    see_some = [await (await node.phone(grace, version)).joined(topic) for version in Version]
    see_some += [await (await node.phone(grace)).joined(topic)]

    # As one batch, and one by one.
    async with db.connection.transaction():
        for about in (2, None, 4):
            await db.publish(topic, f'{{"about": {json.dumps(about)}}}', about=about)
    for about in (3, 5, 1):
        await db.publish(topic, f'{{"about": {about}}}', about=about)

    everything = [await phone.events(6) for phone in see_all]
    assert [short(event) for event in everything[0]] == [
        (offset, "note.made", {"about": about})
        for offset, about in zip(range(5, 11), (2, None, 4, 3, 5, 1), strict=True)
    ]
    for phone in see_some:
        events = await phone.events(6)
        assert [event["meta"] for event in events] == [event["meta"] for event in everything[0]]
        assert [short(event) for event in events] == [
            (5, "hidden", {}),
            (6, "note.made", {"about": None}),
            (7, "note.made", {"about": 4}),
            (8, "hidden", {}),
            (9, "note.made", {"about": 5}),
            (10, "hidden", {}),
        ]
        await phone.is_answered()


async def test_what_was_before_somebody_was_added_is_hidden_in_a_replay(
    node: Node, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    for _ in range(3):
        await db.publish(topic)
    await db.add_back(grace, topic, history_after=3)
    for about in (3, 4, 1):
        await db.publish(topic, '{"a": 1}', about=about)

    for after in (0, 2):
        reply = await (await node.phone(grace)).join(topic, replay={"after": after})
        assert reply["status"] == "error"
        assert reply["response"]["code"] == "RO403"
        assert reply["response"]["reason"].startswith("UnableToReplayMessages: ")
    for version in Version:
        phone = await (await node.phone(grace, version)).joined(topic, replay={"after": 3})
        events = await phone.events(4)
        assert [short(event) for event in events] == [
            (4, "participant.added", {}),
            (5, "hidden", {}),
            (6, "note.made", {"a": 1}),
            (7, "hidden", {}),
        ]
        assert all(event["meta"]["replayed"] for event in events)
        await phone.is_answered()
    whole = await (await node.phone(ada)).joined(topic, replay={"after": 0})
    assert [event["event"] for event in await whole.events(7)] == [
        *["note.made"] * 3,
        "participant.added",
        *["note.made"] * 3,
    ]


async def test_a_channel_that_is_behind_hides_what_its_new_token_may_not_see(
    node: Node, db: Database, grace: Person, topic: str
) -> None:
    """Removed and added again from now on, while nobody told the server of either."""
    phone = await (await node.phone(grace)).joined(topic)
    await db.without_notice()
    await db.publish(topic, '{"secret": 1}')
    await db.remove(grace, topic)
    await db.add_back(grace, topic, history_after=3)
    other = await other_session(db, grace)
    await phone.send(f"realtime:{topic}", "access_token", {"access_token": other.token()})
    await phone.is_answered()
    await db.publish(topic, '{"about": 1}', about=1)
    await db.publish(topic, '{"new": 1}')
    node.relay.wake(topic)
    assert [short(event) for event in await phone.events(5)] == [
        (1, "hidden", {}),
        (2, "hidden", {}),
        (3, "hidden", {}),
        (4, "hidden", {}),
        (5, "note.made", {"new": 1}),
    ]
    await phone.is_answered()


async def test_frames_are_shared_by_those_who_see_the_same(node: Node) -> None:
    fanout = fan_out.Fanout(node.multiplexer)
    claims = Claims("user", None, "1", None, 0)

    def channel(visible_after: int, carrier: fan_out.Channel | None = None) -> fan_out.Channel:
        made = fanout.subscribe(Silent(), "conversation:1", None, claims, carrier=carrier)
        made.cursor, made.visible_after = 10, visible_after
        return made

    batch = fan_out.Batch(
        channel(0).topic,
        [
            log.Event(
                "conversation:1", offset, "id", "x", b"1", "epoch", about, None, None, 0, None
            )
            for offset, about in ((11, 11), (12, 5), (13, 13))
        ],
    )
    everything = batch.frames(Version.V2, channel(0), 13)
    assert everything.count(b'"x"') == 3
    # Nothing of the batch is about what is hidden.
    assert batch.frames(Version.V2, channel(4), 13) is everything
    some = batch.frames(Version.V2, channel(5), 13)
    assert (some.count(b'"x"'), some.count(b'"event":"hidden","payload":{}')) == (2, 1)
    assert batch.frames(Version.V2, channel(5), 13) is some
    assert batch.frames(Version.V2, channel(0), 12).count(b'"x"') == 2
    # In an inbox it comes under that name, and says where it is from.
    inbox = fanout.subscribe(Silent(), "user:1", None, claims)
    heard = batch.frames(Version.V2, channel(0, inbox), 13)
    assert heard.count(b'"realtime:user:1"') == heard.count(b'"topic":"conversation:1"') == 3


class Silent:
    """A subscriber that nothing is written to."""

    def deliver(self, channel: fan_out.Channel, batch: fan_out.Batch) -> None:
        raise AssertionError(channel, batch)

    def mention(self, channel: fan_out.Channel, ephemeral: fan_out.Ephemeral) -> None:
        raise AssertionError(channel, ephemeral)

    def silence(self, channel: fan_out.Channel) -> None:
        raise AssertionError(channel)

    def tell_presence(self, channel: fan_out.Channel, message: Message) -> bool:
        raise AssertionError(channel, message)

    def fail(self, channel: fan_out.Channel, error: RoostError) -> None:
        raise AssertionError(channel, error)


# --- rights that end -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", Version)
async def test_somebody_removed_gets_nothing_behind_their_removal(
    node: Node, db: Database, ada: Person, grace: Person, topic: str, version: Version
) -> None:
    stays, goes = await node.phone(ada, version), await node.phone(grace, version)
    for phone, person in ((stays, ada), (goes, grace)):
        await phone.joined(topic)
        await phone.joined(person.own_device)
    # All of it is one batch.
    async with db.connection.transaction():
        await db.publish(topic)
        await db.remove(grace, topic)
        await db.publish(topic, '{"secret": 1}')
    await db.publish(topic, '{"secret": 2}')

    assert await goes.offsets(2) == [1, 2]
    system, error = await goes.receive(), await goes.receive()
    hint = system.payload["hint"]
    assert "removed you" in hint
    assert system.payload == {
        "extension": "system",
        "status": "error",
        "message": "Unauthorized: You may not join this topic.",
        "channel": topic,
        "code": "RO401",
        "details": None,
        "hint": hint,
    }
    assert (system.event, system.topic, system.ref) == ("system", f"realtime:{topic}", None)
    assert (error.event, error.topic, error.ref) == ("phx_error", f"realtime:{topic}", "1")
    assert error.payload["reason"] == system.payload["message"]
    await goes.is_answered()
    # The socket stays, and its other channels do.
    await db.publish(grace.own_device)
    assert await goes.offsets(1) == [1]
    for replay in ({}, {"replay": {"after": 2}}):
        assert (await goes.join(topic, **replay))["response"]["code"] == "RO401"
    assert await stays.offsets(4) == [1, 2, 3, 4]
    await stays.is_answered()


async def test_everybody_is_removed_at_once(
    node: Node, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    phones = [await (await node.phone(person)).joined(topic) for person in (ada, grace, ada)]
    await db.publish(topic)
    for phone in phones:
        assert await phone.offsets(1) == [1]
    async with db.connection.transaction():
        await db.publish(topic, revokes="everybody")
        await db.publish(topic, '{"secret": 1}')
    for phone in phones:
        await gets_up_to(phone, topic, 2, 2)


async def test_only_who_is_removed_is_ended(
    node: Node, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    phones = [await (await node.phone(person)).joined(topic) for person in (ada, grace)]
    for revokes in (str(uuid.uuid4()), "nobody", ada.session_id, ada.device_id):
        await db.publish(topic, revokes=revokes)
    for phone in phones:
        assert await phone.offsets(4) == [1, 2, 3, 4]
        await phone.is_answered()


async def test_somebody_removed_while_they_do_not_read(
    node: Node, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    """What is behind the removal is in the log for long when they come to it."""
    slow = await (await node.phone(grace)).joined(topic)
    await slow.joined(grace.own_device)
    stalled = node.transports[-1]
    await db.publish_many(topic, 1_500, 10_000)
    await eventually(lambda: stalled.get_write_buffer_size() > outlet.DRAINED_BYTES)
    removed_at = await db.remove(grace, topic)
    await db.publish_many(topic, 200, 10_000)
    quick = await (await node.phone(ada)).joined(topic)
    await db.publish(topic)
    assert await quick.offsets(1) == [1_702]
    await gets_up_to(slow, topic, 1, removed_at)
    await db.publish(grace.own_device)
    assert await slow.offsets(1) == [1]


@pytest.mark.parametrize("replay", [{}, {"replay": {"after": 0}}])
@pytest.mark.parametrize("others", [True, False])
async def test_somebody_removed_while_they_join(
    node: Node,
    database: str,
    db: Database,
    ada: Person,
    grace: Person,
    topic: str,
    replay: dict[str, Any],
    others: bool,
) -> None:
    """Whether or not the server has read the removal when the answer to the join comes."""
    await db.publish(topic)
    stays = await node.phone(ada)
    if others:
        await stays.joined(topic)
    phone = await node.phone(grace)
    await db.without_notice()
    async with await connect(database) as blocker:
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE realtime.log")
            join = await phone.ask_to_join(topic, **replay)
            while not await db.run(WAITING_FOR_THE_LOG):
                pass
            # The database has allowed the join, and the answer is still to come.
            await db.remove(grace, topic)
            await db.publish(topic, '{"secret": 1}')
            node.relay.wake(topic)
        assert (await phone.reply(join))["response"]["offset"] == 1
    await gets_up_to(phone, topic, 1 if replay else 2, 2)
    if others:
        assert await stays.offsets(2) == [2, 3]


async def test_a_removal_from_before_a_join_does_not_end_it(
    node: Node, db: Database, grace: Person, topic: str
) -> None:
    await db.publish(topic)
    await db.remove(grace, topic)
    await db.publish(topic)
    await db.add_back(grace, topic)
    await db.publish(topic, revokes="everybody")
    for version in Version:
        phone = await (await node.phone(grace, version)).joined(topic, replay={"after": 0})
        assert await phone.offsets(5) == [1, 2, 3, 4, 5]
        await phone.is_answered()
    # The next one does.
    phone = await (await node.phone(grace)).joined(topic, replay={"after": 0})
    assert await db.remove(grace, topic) == 6
    await gets_up_to(phone, topic, 1, 6)


async def test_somebody_removed_and_added_back_before_the_server_hears_of_either(
    node: Node, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    stays = await (await node.phone(ada)).joined(topic)
    goes = await (await node.phone(grace)).joined(topic)
    asks = await (await node.phone(grace)).joined(topic)
    await db.without_notice()
    await db.publish(topic)
    await db.remove(grace, topic)
    await db.publish(topic)
    await db.add_back(grace, topic)
    # One channel learns from the database that it is allowed as of now.
    other = await other_session(db, grace)
    await asks.send(f"realtime:{topic}", "access_token", {"access_token": other.token()})
    await asks.is_answered()
    node.relay.wake(topic)
    await gets_up_to(goes, topic, 1, 2)
    await goes.joined(topic, replay={"after": 2})
    assert await goes.offsets(2) == [3, 4]
    for phone in (stays, asks):
        assert await phone.offsets(4) == [1, 2, 3, 4]
    await db.publish(topic)
    node.relay.wake(topic)
    for phone in (stays, goes, asks):
        assert await phone.offsets(1) == [5]
        await phone.is_answered()


async def test_somebody_removed_while_they_send_a_new_token(
    node: Node, database: str, db: Database, grace: Person, topic: str
) -> None:
    """The database has allowed the channel once more, as of before the removal."""
    phone = await (await node.phone(grace)).joined(topic)
    other = await other_session(db, grace)
    await db.without_notice()
    await db.publish(topic)
    async with await connect(database) as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE realtime.log")
        await phone.send(f"realtime:{topic}", "access_token", {"access_token": other.token()})
        while not await db.run(WAITING_FOR_THE_LOG):
            pass
        await db.remove(grace, topic)
        await db.publish(topic, '{"secret": 1}')
    await phone.is_answered()
    node.relay.wake(topic)
    await gets_up_to(phone, topic, 1, 2)


async def test_a_new_token_tells_of_a_removal_that_the_server_has_not_heard_of(
    node: Node, db: Database, grace: Person, topic: str
) -> None:
    phone = await (await node.phone(grace)).joined(topic)
    await db.without_notice()
    await db.remove(grace, topic)
    other = await other_session(db, grace)
    await phone.send(f"realtime:{topic}", "access_token", {"access_token": other.token()})
    await phone.is_ended(topic, "RO401")
    node.relay.wake(topic)
    await phone.is_answered()


async def test_a_new_token_tells_of_another_log(
    node: Node, db: Database, grace: Person, topic: str
) -> None:
    """Else a channel would take the offset of its right from another log."""
    phone = await (await node.phone(grace)).joined(topic)
    await db.without_notice()
    await db.run("UPDATE realtime.log SET epoch = 'restored'")
    other = await other_session(db, grace)
    await phone.send(f"realtime:{topic}", "access_token", {"access_token": other.token()})
    await phone.is_ended(topic, "RO403")
    await phone.joined(topic)


async def test_a_right_ends_on_a_server_that_nobody_told(
    monkeypatch: pytest.MonkeyPatch,
    node: Node,
    database: str,
    db: Database,
    ada: Person,
    grace: Person,
    topic: str,
) -> None:
    """Whatever the other server hears of first, it reads the removal before what came later."""
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.05)
    async with running_node(database) as polls:
        monkeypatch.setattr(relay, "POLL_SECONDS", 3600.0)
        async with running_node(database) as late:
            servers = (node, late, polls)
            goes = [await (await server.phone(grace)).joined(topic) for server in servers]
            stays = [await (await server.phone(ada)).joined(topic) for server in servers]
            late.deaf = polls.deaf = True
            await db.without_notice()
            await node.send_message(ada, topic.removeprefix("conversation:"), '{"text": "a"}')
            await db.remove(grace, topic)
            node.relay.wake(topic)
            await node.send_message(ada, topic.removeprefix("conversation:"), '{"text": "b"}')

            await gets_up_to(goes[0], topic, 1, 2)
            await gets_up_to(goes[2], topic, 1, 2)
            # Nobody has told it, and yet it lets nobody in.
            await goes[1].is_answered()
            late_comer = await late.phone(grace)
            assert (await late_comer.join(topic))["response"]["code"] == "RO401"

            # The first that it hears of is something later.
            late.deaf = False
            await node.send_message(ada, topic.removeprefix("conversation:"), '{"text": "c"}')
            await gets_up_to(goes[1], topic, 1, 2)
            for phone in stays:
                assert await phone.offsets(4) == [1, 2, 3, 4]
                await phone.is_answered()


@pytest.mark.parametrize("seed", range(3))
async def test_rights_end_on_every_path(
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    ada: Person,
    grace: Person,
    topic: str,
    seed: int,
) -> None:
    """With small pages, a turn of the loop after each socket, every third batch refused, joins at
    any time; and whoever is removed is added back at once.
    """
    randomness = random.Random(seed)
    monkeypatch.setattr(log, "FIRST_PAGE_ROWS", 5)
    monkeypatch.setattr(log, "MOST_PAGE_ROWS", 10)
    monkeypatch.setattr(fan_out, "SOCKETS_PER_TURN", 1)

    class ForgetfulSocket(socket.Socket):
        def deliver(self, channel: fan_out.Channel, batch: fan_out.Batch) -> None:
            # Nobody who lacks nothing is ever behind.
            if channel.cursor < batch.end and randomness.random() < 1 / 3:
                self._fall_behind(channel)
            else:
                super().deliver(channel, batch)

    monkeypatch.setattr(relay, "Socket", ForgetfulSocket)
    total = 300
    ended = 0

    async def write() -> None:
        async with await connect(database) as connection:
            writer = Database(connection)
            written = 0
            while written < total:
                async with connection.transaction():
                    if written <= total - 2 and randomness.random() < 1 / 4:
                        await writer.remove(grace, topic)
                        written = await writer.add_back(grace, topic)
                    for _ in range(min(randomness.randrange(9), total - written)):
                        written = await writer.publish(topic)

    async def read(node: Node, person: Person, version: Version) -> None:
        nonlocal ended
        phone = await node.phone(person, version)
        offset = 0
        while offset < total:
            reply = await phone.join(topic, replay={"after": offset})
            granted_at = reply["response"]["offset"]
            while offset < total:
                ((at, event, _),) = [short(event) for event in await phone.events(1)]
                offset += 1
                assert at == offset
                if person is grace and event == "participant.removed" and offset > granted_at:
                    await phone.is_ended(topic, "RO401")
                    ended += 1
                    break
        await phone.is_answered()

    async with running_node(database) as one, running_node(database) as two:
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write())
            for server, person, version in itertools.product((one, two), (ada, grace), Version):
                for _ in range(3):
                    tasks.create_task(read(server, person, version))
        assert writing.done()
    assert ended > 12


# --- ephemeral events ----------------------------------------------------------------------------


def frame(version: Version, topic: str, event: str, payload: str) -> str:
    message = f'{{"type":"broadcast","event":"{event}","payload":{payload}}}'
    if version is Version.V1:
        return f'{{"topic":"realtime:{topic}","event":"broadcast","payload":{message},"ref":null}}'
    return f'[null,null,"realtime:{topic}","broadcast",{message}]'


async def whispers(phone: Phone, number: int) -> list[Any]:
    """The payloads of the next messages, which have to be ephemeral events."""
    payloads = []
    for _ in range(number):
        message = await phone.receive()
        assert (message.event, set(message.payload)) == (
            "broadcast",
            {"type", "event", "payload"},
        ), message
        payloads.append(message.payload["payload"])
    return payloads


async def test_an_ephemeral_event_reaches_whoever_is_live_on_both_servers(
    node: Node, database: str, db: Database, ada: Person, grace: Person, topic: str
) -> None:
    await db.publish(topic)
    await db.add_back(grace, topic, history_after=2)
    async with running_node(database) as other:
        phones = [
            await (await server.phone(person, version)).joined(topic)
            for server in (node, other)
            for person in (ada, grace)
            for version in Version
        ]
        bystander = await (await node.phone(ada)).joined(ada.own_device)
        # By psql, and by a call of the server.
        await db.broadcast(topic, '{"b": 1,\n"a": ["\u00fc"]}', "typing")
        for phone in phones:
            assert await phone.ws.receive_str() == frame(
                phone.version, topic, "typing", '{"a": ["ü"], "b": 1}'
            )
        node.relay.wake(f'~{topic}\ttyping.stopped\t{{"a": 1}}')
        for phone in phones:
            assert await phone.ws.receive_str() == frame(
                phone.version, topic, "typing.stopped", '{"a": 1}'
            )
            await phone.is_answered()
        await bystander.is_answered()
    # They are in no log.
    late = await (await node.phone(ada)).joined(topic, replay={"after": 2})
    await late.is_answered()
    assert await db.run("SELECT count(*) FROM realtime.events") == [(2,)]


async def test_an_ephemeral_event_is_sent_after_commit_or_never(
    node: Node, db: Database, ada: Person
) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    async with db.connection.transaction(force_rollback=True):
        await db.broadcast(ada.inbox, "1")
    for refused in (json.dumps("x" * 262_143), "x"):
        with pytest.raises(psycopg.Error):
            await db.broadcast(ada.inbox, refused)
    async with db.connection.transaction():
        await db.broadcast(ada.inbox, "2")
        await phone.is_answered()
    await db.broadcast(ada.inbox, json.dumps("x" * 4094))
    assert await whispers(phone, 2) == [2, "x" * 4094]
    await phone.is_answered()


async def test_ephemeral_events_keep_their_place_behind_what_was_written_before(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    async with running_node(database) as other:
        phones = [await (await server.phone(ada)).joined(ada.inbox) for server in (node, other)]
        await db.without_notice()
        for n in range(20):
            await db.publish(ada.inbox, str(n))
            node.relay.wake(f"~{ada.inbox}\ttyping\t{n}\n{ada.inbox}")
        for phone in phones:
            seen: list[int] = []
            told: list[int] = []
            while len(seen) + len(told) < 40:
                message = await phone.receive()
                (seen if "meta" in message.payload else told).append(message.payload["payload"])
                assert len(told) <= len(seen)
            assert seen == told == list(range(20))


async def test_nobody_who_was_removed_gets_an_ephemeral_event(
    monkeypatch: pytest.MonkeyPatch,
    node: Node,
    db: Database,
    ada: Person,
    grace: Person,
    topic: str,
) -> None:
    """Neither in the moment when the server reads of the removal, nor while it passes it on."""
    monkeypatch.setattr(fan_out, "SOCKETS_PER_TURN", 1)
    stays = [await (await node.phone(ada)).joined(topic) for _ in range(5)]
    goes = [await (await node.phone(grace)).joined(topic) for _ in range(5)]
    await db.without_notice()
    await db.remove(grace, topic)
    node.relay.wake(f"{topic}\n~{topic}\ttyping\t1")
    for n in range(2, 200):
        node.relay.wake(f"~{topic}\ttyping\t{n}")
        await asyncio.sleep(0)
    for phone in goes:
        await gets_up_to(phone, topic, 1, 1)
    node.relay.wake(f"~{topic}\ttyping\t200")
    for phone in stays:
        assert await phone.offsets(1) == [1]
        told: list[Any] = []
        while not told or told[-1] != 200:
            told += await whispers(phone, 1)
        # Of many that wait for one read the oldest are dropped.
        assert told == sorted(told)
        await phone.is_answered()
    for phone in goes:
        await phone.is_answered()


async def test_whoever_is_behind_misses_ephemeral_events(
    node: Node, db: Database, ada: Person
) -> None:
    slow = await (await node.phone(ada)).joined(ada.inbox)
    quick = await (await node.phone(ada)).joined(ada.inbox)
    stalled = node.transports[-2]
    await db.publish_many(ada.inbox, 1_500, 10_000)
    assert await quick.offsets(1_500) == list(range(1, 1_501))
    await eventually(lambda: stalled.get_write_buffer_size() > outlet.DRAINED_BYTES)
    await db.broadcast(ada.inbox)
    await whispers(quick, 1)
    assert await slow.offsets(1_500) == list(range(1, 1_501))
    await slow.is_answered()
    await db.broadcast(ada.inbox, "2")
    for phone in (slow, quick):
        assert await whispers(phone, 1) == [2]


async def test_a_full_socket_drops_ephemeral_events(
    database: str, db: Database, ada: Person
) -> None:
    """What is stored comes all the same, from the log."""
    async with running_node(database, realtime_unsent_bytes=500) as node:
        await drops_ephemeral_events(node, db, ada)


async def drops_ephemeral_events(node: Node, db: Database, ada: Person) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    large = json.dumps("x" * 500)
    await db.broadcast(ada.inbox, "1")
    await db.broadcast(ada.inbox, large)
    await db.broadcast(ada.inbox, "2")
    assert await whispers(phone, 2) == [1, 2]
    await db.publish(ada.inbox, large)
    assert await phone.offsets(1) == [1]
    await phone.is_answered()


def test_what_a_notification_has_room_for() -> None:
    most = announcer.LONGEST_NOTIFICATION
    topics = [f"user:{n}" for n in range(10)]
    many = [f"user:{uuid.uuid4()}" for _ in range(500)]
    small, large = "~user:1\ttyping\t{}", f'~user:1\ttyping\t"{"ü" * 2_000}"'
    exact = "~" + "x" * (most - len("node\n~"))
    unused = Multiplexer(
        "", connections=1, slow_connections=0, depth=1, connect_timeout=1, statement_timeout_ms=0
    )
    for lines, expected in (
        ([], []),
        (topics, [["node", *topics]]),
        (many, [["node"]]),
        ([small], [["node", small]]),
        ([small, *topics], [["node", *topics, small]]),
        # What means anything has no line.
        ([*many, small], [["node"], ["node", small]]),
        ([*topics, large, large], [["node", *topics, large], ["node", large]]),
        ([exact, small, exact], [["node", exact], ["node", small], ["node", exact]]),
        # Ephemeral events may be alike, and are then told as often.
        ([small, small, *topics, *topics], [["node", *topics, small, small]]),
        # What fits in none goes elsewhere first, and what is behind it waits.
        ([*topics, small, exact + "x", small], [["node", *topics, small]]),
        ([exact + "x"], []),
    ):
        telling = announcer.Announcer(unused, "node")
        telling.announce(lines)
        payloads = list(iter(telling.pack, None))
        assert [payload.decode().split("\n") for payload in payloads] == expected
        assert all(len(payload) <= most for payload in payloads)


async def test_many_ephemeral_events_reach_the_other_server_and_topics_do_too(
    node: Node, database: str, db: Database, ada: Person
) -> None:
    number = 50
    async with running_node(database) as other, await connect(database) as listener:
        await listener.execute("LISTEN roost_events")
        phone = await (await other.phone(ada)).joined(ada.inbox)
        second = await (await other.phone(ada)).joined(f"device:{ada.device_id}")
        await db.without_notice()
        await db.publish(f"device:{ada.device_id}")
        node.relay.wake(
            "\n".join(
                [
                    *(f'~{ada.inbox}\ttyping\t[{n}, "{"x" * 4_000}"]' for n in range(number)),
                    # More topics than one notification can name.
                    *(f"user:{uuid.uuid4()}" for _ in range(500)),
                ]
            )
        )
        assert [n for n, _ in await whispers(phone, number)] == list(range(number))
        assert await second.offsets(1) == [1]
        notifications = [n.payload async for n in listener.notifies(timeout=20, stop_after=51)]
    assert len(notifications[0].split("\n")) == 1
    assert [len(payload.split("\n")) for payload in notifications[1:]] == [2] * number


async def test_malformed_ephemeral_events_are_dropped(
    node: Node, db: Database, ada: Person, caplog: pytest.LogCaptureFixture
) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    malformed = [
        "~",
        f"~{ada.inbox}",
        f"~{ada.inbox}\ttyping",
        f"~{ada.inbox}\ttyping\t",
        f"~{ada.inbox}\ttyping\t{{",
        f"~{ada.inbox}\ttyping\tNaN",
        f"~{ada.inbox}\ttyping\t{{}}\t{{}}",
        f"~{ada.inbox}\ttyping\t{'[' * 3_000}",
    ]
    with caplog.at_level(logging.WARNING, "roost.realtime.relay"):
        for line in malformed:
            node.relay.wake(line)
            await db.run("SELECT pg_notify('roost_events', %s)", f"another\n{line}")
        await db.broadcast(ada.inbox, "1")
        assert await whispers(phone, 1) == [1]
    warnings = [r for r in caplog.records if "is malformed" in r.message]
    assert len(warnings) == 2 * len(malformed)
    # What nobody here has joined is not looked at.
    node.relay.wake(f"~user:1\ttyping\t{{\n~{ada.inbox}\ttyping\t2")
    assert await whispers(phone, 1) == [2]
    await phone.is_answered()


async def test_what_was_overwritten_is_not_replayed(
    node: Node, db: Database, ada: Person, topic: str
) -> None:
    for n in range(3):
        await db.publish(topic, f'{{"n": {n}}}')
    await db.run("SELECT realtime.redact(%s, '{2}', '{\"deleted\": true}')", topic)
    phone = await (await node.phone(ada)).joined(topic, replay={"after": 0})
    assert [short(event) for event in await phone.events(3)] == [
        (1, "note.made", {"n": 0}),
        (2, "note.made", {"deleted": True}),
        (3, "note.made", {"n": 2}),
    ]
    # What was forgotten is a hole for whoever had not read it.
    await db.run("SELECT realtime.forget_topic(%s, 2)", topic)
    late = await node.phone(ada)
    reply = await late.join(topic, replay={"after": 1})
    assert reply["response"]["code"] == "RO403"
    await late.joined(topic, replay={"after": 2})
    assert await late.offsets(1) == [3]


# --- the whole server ----------------------------------------------------------------------------


async def test_rights_that_calls_give_and_take_hold_on_both_servers(database: str) -> None:
    async with (
        serving(database) as one,
        serving(database) as two,
        contextlib.AsyncExitStack() as stack,
    ):
        ada, grace, late = [await one.sign_up() for _ in range(3)]
        conversation_id = await ada.open_conversation(grace)
        topic = f"conversation:{conversation_id}"

        async def joined(server: Client, person: Client, **broadcast: Any) -> Phone:
            address = f"{server.url}/realtime/v1/websocket?vsn=2.0.0"
            ws = await stack.enter_async_context(server.http.ws_connect(address))
            phone = Phone(ws, Version.V2, None)
            payload = join_payload(person.token, **broadcast)
            ref = await phone.send(f"realtime:{topic}", "phx_join", payload)
            assert (await phone.reply(ref))["status"] == "ok"
            return phone

        stays = await joined(two, ada)
        goes = [await joined(server, grace) for server in (one, two)]
        message = await ada.ask(
            "send_message", conversation_id=conversation_id, content={"text": "a"}
        )
        await ada.ask("set_typing", conversation_id=conversation_id)
        for phone in (stays, *goes):
            assert await phone.offsets(1) == [1]
            assert (await phone.receive()).payload["event"] == "typing"
        await ada.ask("remove_participant", conversation_id=conversation_id, user_id=grace.user_id)
        await ada.ask("set_typing", conversation_id=conversation_id, typing=False)
        await ada.ask("send_message", conversation_id=conversation_id, content={"text": "b"})
        for phone in goes:
            await gets_up_to(phone, topic, 2, 2)

        await ada.ask(
            "add_participant",
            conversation_id=conversation_id,
            user_id=late.user_id,
            history="from_now",
        )
        sees_some = await joined(two, late, replay={"after": 3})
        await ada.ask(
            "edit_message", message_id=message["id"], content={"text": "c"}, based_on_version=1
        )
        events = [event for event in await stays.events(5) if "meta" in event]
        assert [(event["meta"]["offset"], event["event"]) for event in events] == [
            (2, "participant.removed"),
            (3, "message.created"),
            (4, "participant.added"),
            (5, "message.updated"),
        ]
        for wanted in ((4, "participant.added"), (5, "hidden")):
            (event,) = await sees_some.events(1)
            if "meta" not in event:
                # What was told of the typing came to this server late.
                (event,) = await sees_some.events(1)
            assert short(event)[:2] == wanted
