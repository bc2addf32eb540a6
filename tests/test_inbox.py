"""What is heard in a person's inbox: all that they may read, resumed exactly."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from roost.realtime import fanout as fan_out
from roost.realtime import inbox, join, log, relay, socket
from roost.realtime.protocol import Version
from tests.relaying import (
    Database,
    Node,
    Person,
    Phone,
    eventually,
    join_payload,
    running_node,
    write_openly,
)
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


@pytest.fixture
async def grace(db: Database) -> Person:
    return await db.person()


class Heard:
    """What somebody's inbox has heard."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def is_in_order(self, *wanted: tuple[str | None, str], topics: str) -> None:
        """The next events: those of the inbox and those of the topic, each in order."""
        got = [
            (event["meta"].get("topic"), event["event"])
            for event in await self._phone.events(len(wanted))
        ]
        for topic in (None, topics):
            assert [one for one in got if one[0] == topic] == [
                one for one in wanted if one[0] == topic
            ]
        await self._phone.is_answered()


@contextlib.asynccontextmanager
async def inbox_of(person: Client) -> AsyncIterator[Heard]:
    async with person.http.ws_connect(f"{person.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        ref = await phone.send(
            f"realtime:user:{person.user_id}", "phx_join", join_payload(person.token)
        )
        assert (await phone.reply(ref))["status"] == "ok"
        yield Heard(phone)


def place(event: dict[str, Any]) -> tuple[str | None, int]:
    """Where an event is from: a topic, or None for the inbox itself."""
    return event["meta"].get("topic"), event["meta"]["offset"]


async def add(db: Database, person: Person, topic: str, history_after: int = 0) -> None:
    """As add_participant does it for somebody who was never in it, or has left."""
    async with db.connection.transaction():
        ((last,),) = await db.run(
            "SELECT last_seq FROM roost.conversations WHERE 'conversation:' || id = %s FOR UPDATE",
            topic,
        )
        await db.run(
            "INSERT INTO roost.conversation_participants"
            " (conversation_id, user_id, role, history_after_seq)"
            " VALUES (substr(%s, 14)::uuid, %s, 'member', %s)"
            " ON CONFLICT (conversation_id, user_id) DO UPDATE SET left_at = NULL,"
            " history_after_seq = excluded.history_after_seq",
            topic,
            person.user_id,
            history_after,
        )
        await db.publish(topic, event="participant.added")
        await db.run(
            "SELECT realtime.publish(%s, 'conversation.added', '{}', NULL, NULL, %s, %s)",
            person.inbox,
            topic,
            last,
        )


@pytest.mark.parametrize("version", Version)
async def test_an_inbox_hears_all_that_its_person_may_read(
    node: Node, db: Database, ada: Person, grace: Person, version: Version
) -> None:
    shared, own, other = [
        f"conversation:{await db.conversation(*people)}"
        for people in ((ada, grace), (ada,), (grace,))
    ]
    phone = await (await node.phone(ada, version)).joined(ada.inbox)
    await db.publish(shared, '{"n": 1}', "message.created")
    await db.publish(other)
    await db.publish(own)
    await db.publish(ada.inbox)
    await db.broadcast(shared, '{"typing": true}')
    await db.broadcast(other)

    events = {}
    for _ in range(4):
        message = await phone.receive()
        assert (message.topic, message.event) == (f"realtime:{ada.inbox}", "broadcast")
        payload = message.payload
        events[payload["meta"].get("topic"), "offset" in payload["meta"]] = payload
    await phone.is_answered()
    assert set(events) == {(shared, True), (own, True), (None, True), (shared, False)}
    stored = events[shared, True]
    assert (stored["event"], stored["payload"]) == ("message.created", {"n": 1})
    assert stored["meta"] == {
        "id": stored["meta"]["id"],
        "offset": 1,
        "epoch": node.relay._fanout.epoch,
        "topic": shared,
    }
    assert events[shared, False] == {
        "type": "broadcast",
        "event": "typing",
        "payload": {"typing": True},
        "meta": {"topic": shared},
    }


async def test_the_meta_of_what_is_heard_fits_into_a_binary_frame(
    node: Node, db: Database, ada: Person
) -> None:
    topic = f"conversation:{await db.conversation(ada)}"
    await db.run(
        "UPDATE roost.conversations SET last_seq = 2^62 WHERE 'conversation:' || id = %s", topic
    )
    await db.publish(topic)
    phone = await (await node.phone(ada)).joined(
        ada.inbox, replay={"after": 0, "topics": {topic: 2**62}}
    )
    (event,) = await phone.events(1)
    assert event["meta"]["replayed"]
    assert len(json.dumps(event["meta"])) <= 255


async def test_an_inbox_is_resumed_from_the_offsets_of_its_topics(
    node: Node, db: Database, ada: Person
) -> None:
    first, second, third = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    for topic in (first, second, third, ada.inbox):
        await db.publish_many(topic, 3)

    phone = await node.phone(ada)
    replay = {"after": 1, "topics": {first: 2, second: 0, "conversation:none": 7}}
    reply = await phone.join(ada.inbox, replay=replay)
    assert reply["status"] == "ok"
    events = await phone.events(6)
    assert sorted(map(place, events), key=str) == sorted(
        [(None, 2), (None, 3), (first, 3), (second, 1), (second, 2), (second, 3)], key=str
    )
    assert all(event["meta"]["replayed"] for event in events)
    await phone.is_answered()

    for topic in (first, second, third):
        await db.publish(topic)
    events = await phone.events(3)
    assert sorted(map(place, events)) == sorted([(first, 4), (second, 4), (third, 4)])
    assert not any("replayed" in event["meta"] for event in events)


class Device:
    """A client that remembers what resuming takes: what the last reply said, and what came since.

    at -- offsets by topic
    """

    def __init__(self, node: Node, person: Person) -> None:
        self._node, self._person = node, person
        self.at: dict[str, int] = {}
        self.epoch: str | None = None
        self.resume: str | None = None

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator["Device"]:
        self.phone = await self._node.phone(self._person)
        replay = {"epoch": self.epoch, "resume": self.resume, "topics": self.at}
        reply = await self.phone.join(
            self._person.inbox, **({} if self.resume is None else {"replay": replay})
        )
        assert reply["status"] == "ok", reply
        said = reply["response"]
        self.epoch, self.resume, self.at = said["epoch"], said["resume"], said["topics"]
        try:
            yield self
        finally:
            await self.phone.ws.close()

    async def hears(self, *wanted: tuple[str | None, int]) -> None:
        """The next events come from there, and there are no others."""
        heard = set()
        for _ in wanted:
            (event,) = await self.phone.events(1)
            topic, offset = place(event)
            heard.add((topic, offset))
            self.at[topic or self._person.inbox] = offset
        assert heard == set(wanted)
        await self.phone.is_answered()


async def test_a_topic_that_was_silent_is_resumed_from_the_join(
    node: Node, db: Database, ada: Person
) -> None:
    silent, heard = [f"conversation:{await db.conversation(ada)}" for _ in range(2)]
    await db.publish_many(silent, 5)
    await db.publish(ada.inbox)
    device = Device(node, ada)
    async with device.connected():
        await db.publish(heard)
        await device.hears((heard, 1))
    for topic in (silent, heard, ada.inbox):
        await db.publish(topic)
    # Cut before any of it has come: the reply says what is on its way.
    async with device.connected():
        assert device.at == {silent: 5, heard: 1, ada.inbox: 1}
    async with device.connected():
        await device.hears((silent, 6), (heard, 2), (None, 2))
    for _ in range(2):
        async with device.connected():
            assert device.at == {}
            await db.publish(heard)
            (event,) = await device.phone.events(1)
            device.at[heard] = event["meta"]["offset"]
    await db.publish(silent)
    async with device.connected():
        await device.hears((silent, 7))


@pytest.mark.parametrize("way", ["transaction", "savepoint", "old transaction"])
async def test_what_is_open_during_the_join_and_committed_later_is_not_missed(
    database: str, node: Node, db: Database, ada: Person, way: str
) -> None:
    topic, busy, quiet = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    device = Device(node, ada)
    async with await connect(database) as connection:
        writer = Database(connection)
        async with connection.transaction():
            if way == "old transaction":
                # Its id is smaller than those of all that is committed meanwhile.
                await writer.run("SELECT pg_current_xact_id()")
            elif way == "savepoint":
                async with connection.transaction():
                    await writer.publish(topic)
            else:
                await writer.publish(topic)
            await db.publish_many(busy, 2)
            async with device.connected():
                # Nothing of before the join, though a transaction from before that is open.
                await device.phone.is_answered()
            await db.publish(busy)
            if way == "old transaction":
                await writer.publish(topic)
                await writer.publish(busy)
    wanted = [(topic, 1), (busy, 3)]
    if way == "old transaction":
        wanted.append((busy, 4))
    async with device.connected():
        await device.hears(*wanted)
    await db.publish(quiet)
    async with device.connected():
        await device.hears((quiet, 1))


async def test_many_open_transactions_are_not_missed(
    database: str, node: Node, db: Database, ada: Person
) -> None:
    """More of them than a token has room for."""
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(20)]
    device = Device(node, ada)
    async with contextlib.AsyncExitStack() as stack:
        for topic in topics:
            connection = await stack.enter_async_context(await connect(database))
            await stack.enter_async_context(connection.transaction())
            await Database(connection).publish(topic)
        await db.publish(ada.own_device)
        async with device.connected():
            await device.phone.is_answered()
        assert device.resume is not None
        assert device.resume.count(".") == 16
    async with device.connected():
        await device.hears(*((topic, 1) for topic in topics))


async def test_nothing_is_lost_or_doubled_whenever_a_device_is_cut(
    database: str, db: Database, ada: Person
) -> None:
    """With writers whose transactions are open while it joins."""
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(24)]
    last = "conversation.last"

    async def read(node: Node) -> None:
        device = Device(node, ada)
        at: dict[str, int] = {}
        finished: set[str] = set()
        before = await db.newest()
        after: dict[str, int] = {}
        while len(finished) < len(topics):
            async with device.connected():
                after = after or await db.newest()
                for _ in range(random.randrange(0, 40)):
                    if len(finished) == len(topics):
                        break
                    (event,) = await device.phone.events(1)
                    topic, offset = event["meta"]["topic"], event["meta"]["offset"]
                    if topic in at:
                        assert offset == at[topic] + 1
                    else:
                        assert before[topic] < offset <= after[topic] + 1
                    device.at[topic] = at[topic] = offset
                    if event["event"] == last:
                        finished.add(topic)

    async with running_node(database) as node, asyncio.TaskGroup() as group:
        for start in range(0, len(topics), 6):
            for _ in range(2):
                group.create_task(write_openly(database, topics[start : start + 6], last))
        for _ in range(3):
            group.create_task(read(node))


async def test_what_was_granted_and_not_heard_yet_is_resumed_from_there(
    node: Node, db: Database, ada: Person, grace: Person
) -> None:
    added, restored = [f"conversation:{await db.conversation(ada)}" for _ in range(2)]
    await add(db, grace, restored)
    await db.publish_many(added, 2)
    device = Device(node, grace)
    async with device.connected():
        await device.phone.is_answered()
    await db.publish(restored)
    # As delete_conversation and restore_conversation do it.
    await db.publish(restored, event="conversation.deleted", revokes="everybody")
    await db.run(
        "SELECT realtime.publish(%s, 'conversation.restored', '{}', NULL, NULL, %s, 3)",
        grace.inbox,
        restored,
    )
    await db.publish(restored, event="conversation.restored")
    await add(db, grace, added)
    resume = device.resume
    for known in ({}, {grace.inbox: 3}, {grace.inbox: 2}, {added: 3}):
        device.at, device.resume = dict(known), resume
        async with device.connected():
            wanted = {(restored, 2), (restored, 3), (restored, 4), (added, 3), (None, 2), (None, 3)}
            wanted -= {(None, 2)} if grace.inbox in known else set()
            wanted -= {(None, 3)} if known.get(grace.inbox) == 3 else set()
            wanted -= {(added, 3)} if added in known else set()
            await device.hears(*wanted)


async def test_tokens_that_are_refused(node: Node, ada: Person) -> None:
    phone = await node.phone(ada)
    reply = await phone.join(ada.inbox)
    epoch, resume = reply["response"]["epoch"], reply["response"]["resume"]
    for replay, code in (
        ({"resume": resume}, "UnableToReplayMessages"),
        ({"resume": 7, "epoch": epoch}, "MalformedJoin"),
        ({"resume": "x", "epoch": epoch}, "UnableToReplayMessages"),
        ({"resume": "0", "epoch": epoch}, "RO302"),
        ({"resume": "7.9", "epoch": epoch}, "RO302"),
        ({"resume": resume, "epoch": "another"}, "RO403"),
        # Of another server.
        ({"resume": str(10**17), "epoch": epoch}, "RO403"),
    ):
        phone = await node.phone(ada)
        reply = await phone.join(ada.inbox, replay=replay)
        assert (reply["status"], reply["response"]["code"]) == ("error", code), replay
        await phone.is_answered()


async def test_a_token_ends_behind_what_is_certain_to_be_on_disk(db: Database) -> None:
    """After a crash, ids behind the last commit may be given out again, and to events."""
    await db.run("CREATE TABLE something ()")
    ((committed,),) = await db.run("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    for _ in range(3):
        async with db.connection.transaction(force_rollback=True):
            await db.run("SELECT pg_current_xact_id()")
    ((token, end),) = await db.run(
        "SELECT realtime.snapshot_token(), pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    )
    assert int(token) == committed < end


async def test_a_token_is_good_for_as_long_as_events_are_kept(
    node: Node, db: Database, ada: Person
) -> None:
    """Of a topic in which nothing has come since, all may be gone; of another nothing may be."""
    silent, lost = [f"conversation:{await db.conversation(ada)}" for _ in range(2)]
    for topic in (silent, lost, ada.inbox):
        await db.publish_many(topic, 2)
    device = Device(node, ada)
    async with device.connected():
        pass
    await db.publish_many(lost, 2)
    await db.run("DELETE FROM realtime.events WHERE (topic, event_offset) <> (%s, 4)", lost)
    async with device.connected():
        (event,) = await device.phone.events(1)
        assert event["event"] == "must_refetch"
        assert (event["payload"]["topic"], event["payload"]["offset"]) == (lost, 4)
        await device.phone.is_answered()
    # It has not taken that in, so it is told again.
    async with device.connected():
        (event,) = await device.phone.events(1)
        device.at[lost] = event["payload"]["offset"]
    async with device.connected():
        await db.publish(silent)
        await device.hears((silent, 3))


async def test_what_is_gone_of_a_topic_is_said_and_the_others_go_on(
    node: Node, db: Database, ada: Person
) -> None:
    gone, ahead, kept = [f"conversation:{await db.conversation(ada)}" for _ in range(3)]
    for topic in (gone, ahead, kept):
        await db.publish_many(topic, 3)
    await db.run("DELETE FROM realtime.events WHERE topic = %s AND event_offset = 1", gone)

    phone = await node.phone(ada)
    replay = {"after": 0, "topics": {gone: 0, ahead: 9, kept: 2}}
    reply = await phone.join(ada.inbox, replay=replay)
    assert reply["status"] == "ok"
    told = {}
    for event in await phone.events(3):
        if event["event"] == "must_refetch":
            told[event["payload"]["topic"]] = event["payload"]
            assert event["meta"] == {"topic": event["payload"]["topic"]}
        else:
            assert place(event) == (kept, 3)
    assert set(told) == {gone, ahead}
    assert {(said["code"], said["offset"]) for said in told.values()} == {("RO403", 3)}
    assert told[gone]["hint"]
    # From where they are now.
    await db.publish(gone)
    assert [place(event) for event in await phone.events(1)] == [(gone, 4)]
    await phone.is_answered()


async def test_events_that_vanish_while_an_inbox_hears_them_are_said(
    node: Node, db: Database, ada: Person
) -> None:
    topic = f"conversation:{await db.conversation(ada)}"
    phone = await (await node.phone(ada)).joined(ada.inbox)
    await db.without_notice()
    await db.publish_many(topic, 3)
    await db.run("DELETE FROM realtime.events WHERE topic = %s AND event_offset = 2", topic)
    node.relay.wake(topic)
    events = await phone.events(2)
    assert place(events[0]) == (topic, 1)
    assert (events[1]["event"], events[1]["payload"]["offset"]) == ("must_refetch", 3)
    await db.publish(topic)
    node.relay.wake(topic)
    assert [place(event) for event in await phone.events(1)] == [(topic, 4)]
    await phone.is_answered()


async def test_replays_of_an_inbox_that_are_refused(node: Node, ada: Person) -> None:
    phone = await node.phone(ada)
    for replay, code in (
        ({"topics": {"a": -1}}, "UnableToReplayMessages"),
        ({"topics": {"a": "1"}}, "UnableToReplayMessages"),
        ({"topics": {"a": 2**63}}, "UnableToReplayMessages"),
        ({"topics": []}, "MalformedJoin"),
        ({"after": "x", "topics": {}}, "UnableToReplayMessages"),
        ({"topics": {}, "epoch": "another"}, "RO403"),
    ):
        reply = await phone.join(ada.inbox, replay=replay)
        assert reply["status"] == "error", replay
        assert reply["response"]["code"] == code
        await phone.is_answered()


async def test_membership_takes_effect_at_once_both_ways(
    node: Node, db: Database, ada: Person, grace: Person
) -> None:
    topic = f"conversation:{await db.conversation(ada)}"
    await db.publish_many(topic, 2)
    phone = await (await node.phone(grace)).joined(grace.inbox)
    for added, history_after in enumerate((0, 6), 1):
        before = await newest(db, topic)
        await add(db, grace, topic, history_after)
        await db.publish(topic, '{"n": 1}')
        events = await phone.events(3)
        # From the moment of the adding: nothing before, and nothing missing.
        heard = [place(event) for event in events]
        assert heard == [(None, added), (topic, before + 1), (topic, before + 2)]
        assert await db.remove(grace, topic) == before + 4 - 1
        await db.publish(topic, '{"secret": 1}')
        assert [place(event) for event in await phone.events(1)] == [(topic, before + 3)]
        await phone.is_answered()


async def newest(db: Database, topic: str) -> int:
    ((offset,),) = await db.run("SELECT realtime.last_offset(%s)", topic)
    return int(offset)


async def test_removed_and_added_again_before_anybody_looked(
    node: Node, db: Database, ada: Person, grace: Person
) -> None:
    """The end of the right and the new one are in two topics: either may be read first."""
    topic = f"conversation:{await db.conversation(ada, grace)}"
    for first, second in ((topic, grace.inbox), (grace.inbox, topic)):
        phone = await (await node.phone(grace)).joined(grace.inbox)
        await db.run("SET roost.gateway = 'on'")
        removed = await db.remove(grace, topic)
        await db.publish(topic, '{"secret": 1}')
        await add(db, grace, topic, removed + 1)
        await db.publish(topic, '{"new": 1}')
        node.relay.wake(first)
        # It is there when the first is read.
        got = await phone.events(1)
        node.relay.wake(second)
        got += await phone.events(3)
        await phone.is_answered()
        heard = [event for event in got if "topic" in event["meta"]]
        assert [event["meta"]["offset"] for event in heard] == [removed, removed + 2, removed + 3]
        assert not any("secret" in event["payload"] for event in heard)
        await db.run("RESET roost.gateway")
        await phone.ws.close()


async def test_what_was_granted_while_a_device_was_away_is_heard_from_the_beginning(
    node: Node, db: Database, ada: Person, grace: Person
) -> None:
    topic, lost = [f"conversation:{await db.conversation(ada)}" for _ in range(2)]
    await db.publish_many(topic, 2)
    await add(db, grace, topic)
    await db.publish_many(topic, 2)
    await add(db, grace, lost)
    await db.remove(grace, lost)
    # Known of the inbox: nothing. Of the conversation it has never heard.
    phone = await (await node.phone(grace)).joined(grace.inbox, replay={"after": 0})
    events = await phone.events(5)
    assert set(map(place, events)) == {
        (None, 1),
        (None, 2),
        (topic, 3),
        (topic, 4),
        (topic, 5),
    }
    await phone.is_answered()
    # Whoever has it says so, and is not sent it twice.
    replay = {"after": 0, "topics": {topic: 4}}
    phone = await (await node.phone(grace)).joined(grace.inbox, replay=replay)
    assert set(map(place, await phone.events(3))) == {(None, 1), (None, 2), (topic, 5)}
    await phone.is_answered()


async def test_opening_removing_and_restoring_a_conversation_is_heard(client: Client) -> None:
    """Through the functions of api, with two devices of whom it is about."""
    ada, grace = await client.sign_up(), await client.sign_up()
    async with inbox_of(grace) as heard:
        conversation = await ada.ask("create_conversation", participants=[grace.user_id])
        topic = f"conversation:{conversation['id']}"
        sent = {"conversation_id": conversation["id"], "content": {"text": "one"}}
        await ada.ask("send_message", **sent)
        await heard.is_in_order(
            (None, "conversation.added"), (topic, "message.created"), topics=topic
        )
        await ada.ask("delete_conversation", conversation_id=conversation["id"])
        await heard.is_in_order(
            (None, "conversation.removed"), (topic, "conversation.deleted"), topics=topic
        )
        await ada.ask("restore_conversation", conversation_id=conversation["id"])
        await ada.ask("send_message", **sent)
        await heard.is_in_order(
            (None, "conversation.restored"),
            (topic, "conversation.restored"),
            (topic, "message.created"),
            topics=topic,
        )
        await ada.ask(
            "remove_participant", conversation_id=conversation["id"], user_id=grace.user_id
        )
        await ada.ask("send_message", **sent)
        await heard.is_in_order(
            (None, "conversation.removed"), (topic, "participant.removed"), topics=topic
        )
        await ada.ask(
            "add_participant",
            conversation_id=conversation["id"],
            user_id=grace.user_id,
            history="from_now",
        )
        await heard.is_in_order(
            (None, "conversation.added"), (topic, "participant.added"), topics=topic
        )


async def test_nothing_is_lost_doubled_or_out_of_order_in_an_inbox(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person, grace: Person
) -> None:
    """Cut at random moments, behind at random, removed and added at random, small pages."""
    monkeypatch.setattr(log, "FIRST_PAGE_ROWS", 7)
    monkeypatch.setattr(log, "MOST_PAGE_ROWS", 14)
    monkeypatch.setattr(fan_out, "SOCKETS_PER_TURN", 1)

    class ForgetfulSocket(socket.Socket):
        def deliver(self, channel: fan_out.Channel, batch: fan_out.Batch) -> None:
            if channel.cursor < batch.end and random.random() < 1 / 3:
                self._fall_behind(channel)
            else:
                super().deliver(channel, batch)

    monkeypatch.setattr(relay, "Socket", ForgetfulSocket)
    topics = [f"conversation:{await db.conversation(ada, grace)}" for _ in range(4)]
    last = "conversation.last"

    async def write(topic: str) -> None:
        async with await connect(database) as connection:
            own = Database(connection)
            for n in range(40):
                await own.publish_many(topic, random.randrange(4))
                if n % 10 == 9:
                    await own.remove(grace, topic)
                    await own.publish(topic, '{"secret": 1}')
                    await add(own, grace, topic, await newest(own, topic))
            await own.publish(topic, event=last)

    async def read(node: Node, reader: int) -> None:
        at = dict.fromkeys((grace.inbox, *topics), 0)
        finished: set[str] = set()
        while len(finished) < len(topics):
            replay = {"after": at[grace.inbox], "topics": at}
            phone = await (await node.phone(grace)).joined(grace.inbox, replay=replay)
            for _ in range(random.randrange(5, 60)):
                if len(finished) == len(topics):
                    break
                (event,) = await phone.events(1)
                if event["event"] == "must_refetch":
                    # Removed and added again from then on, while it was away.
                    name = event["payload"]["topic"]
                    at[name] = event["payload"]["offset"]
                    # The last event may have been among what is gone.
                    await db.publish(name, event=f"{last}.{reader}")
                    continue
                topic, offset = place(event)
                # What was between a removal and an adding is not for grace.
                if event["event"] != "participant.added":
                    assert offset == at[topic or grace.inbox] + 1
                assert not event["payload"].get("secret")
                at[topic or grace.inbox] = offset
                if event["event"] in (last, f"{last}.{reader}"):
                    finished.add(str(topic))
            await phone.ws.close()

    async with (
        running_node(database) as one,
        running_node(database) as two,
        asyncio.TaskGroup() as group,
    ):
        for topic in topics:
            group.create_task(write(topic))
        for reader, node in enumerate((one, two, one, two)):
            group.create_task(read(node, reader))


async def test_what_is_committed_while_the_database_answers_is_not_missed(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person
) -> None:
    """Nobody had joined the conversation, so nothing here knew of it before the answer."""
    topic = f"conversation:{await db.conversation(ada)}"
    async with running_node(database) as node:
        ask = join.ask_to_join

        async def slow(*arguments: Any) -> Any:
            answer = await ask(*arguments)
            async with await connect(database) as connection:
                await Database(connection).without_notice()
                await Database(connection).publish(topic)
            node.relay.wake(topic)
            return answer

        monkeypatch.setattr(socket, "ask_to_join", slow)
        phone = await (await node.phone(ada)).joined(ada.inbox)
        assert [place(event) for event in await phone.events(1)] == [(topic, 1)]
        node.relay.on_reconnect()
        await phone.is_answered()


async def test_an_inbox_leaves_nothing_behind(
    node: Node, db: Database, ada: Person, grace: Person
) -> None:
    for _ in range(3):
        await db.conversation(ada, grace)
    phone = await (await node.phone(ada)).joined(ada.inbox)
    fanout = node.relay._fanout
    assert len(fanout._topics) == 4
    await phone.reply(await phone.send(f"realtime:{ada.inbox}", "phx_leave"))
    assert (await phone.receive()).event == "phx_close"
    await eventually(lambda: not fanout._topics)
    assert not fanout._missed


async def test_added_again_while_the_database_says_that_somebody_is_not(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database, ada: Person, grace: Person
) -> None:
    """Its answer is of before, and comes behind the event that grants the topic anew."""
    topic = f"conversation:{await db.conversation(ada)}"
    phone = await (await node.phone(grace)).joined(grace.inbox)
    ask = join.ask_to_join
    asked = 0

    async def slow(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        try:
            return await ask(*arguments)
        finally:
            if asked == 1:
                await add(db, grace, topic, 2)
                node.relay.wake(grace.inbox)
                await eventually(lambda: node.relay.counters.deliveries == 2)

    monkeypatch.setattr(inbox, "ask_to_join", slow)
    await db.without_notice()
    await add(db, grace, topic)
    assert await db.remove(grace, topic) == 2
    node.relay.wake(grace.inbox)
    heard = [place(event) for event in await phone.events(3)]
    assert heard == [(None, 1), (None, 2), (topic, 3)]
    await db.publish(topic)
    node.relay.wake(topic)
    assert [place(event) for event in await phone.events(1)] == [(topic, 4)]


async def test_many_topics_that_are_granted_at_once_leave_room_for_others(
    database: str, node: Node, db: Database, ada: Person
) -> None:
    phone = await (await node.phone(ada)).joined(ada.inbox)
    async with await connect(database) as connection, connection.transaction():
        # Nobody gets an answer for now.
        await connection.execute("LOCK TABLE roost.conversation_participants")
        await db.run(
            "SELECT realtime.publish(%s, 'conversation.added', '{}', NULL, NULL,"
            " 'conversation:' || gen_random_uuid(), 0) FROM generate_series(1, 100)",
            ada.inbox,
        )
        assert await phone.offsets(100) == list(range(1, 101))
        await eventually(lambda: node.multiplexer.in_flight > 0)
        await asyncio.sleep(0.05)
        assert node.multiplexer.queued == 0
        assert node.multiplexer.in_flight < 8
    await phone.is_answered()


async def test_what_names_no_topic_is_not_remembered(node: Node, ada: Person) -> None:
    fanout = node.relay._fanout
    with fanout.question():
        node.relay.wake(f"~{ada.inbox}\ttyping\t{{}}\n!presence:{ada.inbox}\n{ada.inbox}")
        assert list(fanout._missed) == [ada.inbox]


async def test_somebody_who_joins_in_vain_hides_nothing_from_an_inbox(
    database: str, db: Database, ada: Person
) -> None:
    """They begin behind an event that the answer for the inbox does not know, and go again."""
    topic = f"conversation:{await db.conversation(ada)}"
    grace = await db.person()
    async with running_node(database) as node:
        phone, other = await node.phone(ada), await node.phone(grace)
        fanout = node.relay._fanout
        await db.without_notice()
        ref = ""

        async def slow(*arguments: Any) -> Any:
            answer = await join.ask_to_join(*arguments)
            monkeypatch.setattr(socket, "ask_to_join", held)
            await db.publish(topic)
            node.relay.wake(topic)
            nonlocal ref
            ref = await other.ask_to_join(topic)
            await eventually(lambda: topic in fanout._topics)
            return answer

        async def held(*arguments: Any) -> Any:
            await eventually(lambda: ada.inbox in fanout._topics and is_open())
            return await join.ask_to_join(*arguments)

        def is_open() -> bool:
            return fanout._topics[topic].head is not None

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(socket, "ask_to_join", slow)
            await phone.joined(ada.inbox)
            async with asyncio.timeout(relay.POLL_SECONDS / 2):
                assert [place(event) for event in await phone.events(1)] == [(topic, 1)]
            assert (await other.reply(ref))["status"] == "error"
