"""What people want to get on which device: over HTTP, and set by several sessions at once."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import psycopg
import pytest

from roost.realtime.protocol import Version
from tests.locks import wait_for_lock
from tests.relaying import Database, Person, eventually, running_node
from tests.serving import Client
from tests.support import connect

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

EMAIL = "ada@example.com"
NOTHING = "00000000-0000-7000-8000-000000000000"


async def test_rules_are_set_listed_and_deleted(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    tablet = await client.sign_in(EMAIL)
    topic = f"conversation:{await ada.open_conversation()}"

    quiet = await ada.ask("set_event_subscription", delivery="silent")
    family = await tablet.ask("set_event_subscription", delivery="none", event="message.*")
    muted = await ada.ask("set_event_subscription", delivery="none", topic=topic)
    here = await ada.ask(
        "set_event_subscription",
        delivery="all",
        topic=topic,
        event="message.created",
        device_id=tablet.device_id,
    )

    assert here == {
        "id": here["id"],
        "device_id": tablet.device_id,
        "topic": topic,
        "event": "message.created",
        "delivery": "all",
        "created_at": here["created_at"],
        "updated_at": here["created_at"],
    }
    # In the order in which they decide.
    assert await ada.ask("list_event_subscriptions") == [here, muted, family, quiet]
    assert await tablet.ask("list_event_subscriptions", device_id=ada.device_id) == [
        muted,
        family,
        quiet,
    ]
    assert await grace.ask("list_event_subscriptions") == []

    changed = await ada.ask("set_event_subscription", delivery="silent", event="message.*")
    assert (changed["id"], changed["delivery"]) == (family["id"], "silent")
    assert changed["updated_at"] > family["updated_at"]
    same = await tablet.ask("set_event_subscription", delivery="silent", event="message.*")
    assert same == changed

    refused = await grace.call("delete_event_subscription", id=changed["id"])
    assert (refused.status, refused.body["code"]) == (404, "RO201")
    await ada.ask("delete_event_subscription", id=changed["id"])
    assert await ada.ask("list_event_subscriptions") == [here, muted, quiet]
    again = await ada.call("delete_event_subscription", id=changed["id"])
    assert (again.status, again.body["code"]) == (404, "RO201")


async def test_what_is_refused(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    theirs = f"conversation:{await grace.open_conversation()}"

    for caller, arguments, status, code in (
        (client, {"delivery": "none"}, 401, "42501"),
        (ada, {"delivery": "loud"}, 400, "22P02"),
        (ada, {"delivery": None}, 400, "23502"),
        (ada, {"delivery": "none", "topic": theirs}, 403, "RO401"),
        (ada, {"delivery": "none", "event": "message*"}, 400, "23514"),
        (ada, {"delivery": "none", "device_id": grace.device_id}, 404, "RO201"),
        (ada, {"delivery": "none", "device_id": NOTHING}, 404, "RO201"),
    ):
        answer = await caller.call("set_event_subscription", **arguments)
        assert (answer.status, answer.body["code"]) == (status, code), answer
        assert answer.body["hint"]
    assert await ada.ask("list_event_subscriptions") == []
    for function, arguments in (
        ("list_event_subscriptions", {}),
        ("delete_event_subscription", {"id": NOTHING}),
    ):
        answer = await client.call(function, **arguments)
        assert (answer.status, answer.body["code"]) == (401, "42501")


async def test_the_servers_are_told(client: Client, database: str) -> None:
    """Of whatever changes what a device gets, and of nothing else."""
    ada = await client.sign_up(EMAIL)
    tablet = await client.sign_in(EMAIL)
    line = f"!subscriptions:{ada.user_id}"

    async with await connect(database) as listener:
        await listener.execute("LISTEN roost_events")

        async def told() -> list[str]:
            """What servers are told beside that a topic has something new."""
            async for notification in listener.notifies(timeout=20):
                lines = notification.payload.split("\n")[1:]
                if said := [told for told in lines if told.startswith("!")]:
                    return said
            pytest.fail("nothing was said")

        rule = await ada.ask("set_event_subscription", delivery="none")
        assert await told() == [line]
        await ada.ask("set_event_subscription", delivery="none")
        await ada.ask("set_event_subscription", delivery="all")
        assert await told() == [line]
        await ada.ask("delete_event_subscription", id=rule["id"])
        assert await told() == [line]
        # A session that moves has what holds on the other device.
        await tablet.ask(
            "register_device", device_name="x", device_type="phone", device_id=ada.device_id
        )
        assert line in await told()


async def test_they_last_as_long_as_the_device(client: Client) -> None:
    ada = await client.sign_up(EMAIL)
    tablet = await client.sign_in(EMAIL)
    kept = await ada.ask("set_event_subscription", delivery="none")
    await ada.ask("set_event_subscription", delivery="none", device_id=tablet.device_id)

    # The device that signing in had made, and that nobody named, goes.
    await tablet.ask(
        "register_device", device_name="x", device_type="phone", device_id=ada.device_id
    )

    assert await ada.ask("list_event_subscriptions") == [kept]


class Devices(NamedTuple):
    """Somebody's two sessions, and somebody who looks on."""

    user_id: uuid.UUID
    phone: Connection
    laptop: Connection
    observer: Connection

    async def rules(self) -> list[tuple[Any, ...]]:
        cursor = await self.observer.execute(
            "SELECT event, delivery::text FROM roost.event_subscriptions"
            " WHERE event !~ '^[0-9]+$' OR event IS NULL ORDER BY event"
        )
        return await cursor.fetchall()


@pytest.fixture
async def person(database: str) -> AsyncIterator[Devices]:
    user_id = uuid.uuid4()
    async with (
        await connect(database) as observer,
        await connect(database, "roost_user", user_id) as phone,
        await connect(database, "roost_user", user_id) as laptop,
    ):
        await observer.execute(
            "INSERT INTO roost.users (id, email, password_hash)"
            " VALUES (%s, %s, '$argon2id$v=19$x')",
            [user_id, EMAIL],
        )
        yield Devices(user_id, phone, laptop, observer)


SET = "SELECT delivery::text FROM api.set_event_subscription(%s, event => %s)"


async def test_the_same_rule_set_by_two_devices_at_once(person: Devices) -> None:
    async with person.phone.transaction():
        await person.phone.execute(SET, ["none", "typing"])
        waiting = asyncio.create_task(person.laptop.execute(SET, ["silent", "typing"]))
        await wait_for_lock(person.observer, person.laptop.info.backend_pid)
    assert await (await waiting).fetchone() == ("silent",)
    assert await person.rules() == [("typing", "silent")]


async def test_the_last_rule_set_by_two_devices_at_once(person: Devices) -> None:
    await person.observer.execute(
        "INSERT INTO roost.event_subscriptions (user_id, event, delivery)"
        " SELECT %s, n, 'none' FROM generate_series(1, 199) AS n",
        [person.user_id],
    )
    async with person.phone.transaction():
        await person.phone.execute(SET, ["none", "typing"])
        waiting = asyncio.create_task(person.laptop.execute(SET, ["none", "receipt"]))
        await wait_for_lock(person.observer, person.laptop.info.backend_pid)
    with pytest.raises(psycopg.Error) as refused:
        await waiting
    assert refused.value.sqlstate == "RO302"
    assert "delete_event_subscription" in (refused.value.diag.message_hint or "")
    assert await person.rules() == [("typing", "none")]


async def test_a_device_that_goes_meanwhile(person: Devices) -> None:
    device_id = uuid.uuid4()
    await person.observer.execute(
        "INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)", [device_id, person.user_id]
    )
    set_there = "SELECT api.set_event_subscription('none', device_id => %s)"
    async with await psycopg.AsyncConnection.connect(
        person.observer.info.dsn, password=person.observer.info.password
    ) as operator:
        await operator.execute("DELETE FROM roost.devices WHERE id = %s", [device_id])
        waiting = asyncio.create_task(person.phone.execute(set_there, [device_id]))
        await wait_for_lock(person.observer, person.phone.info.backend_pid)
        await operator.commit()
    with pytest.raises(psycopg.Error) as refused:
        await waiting
    assert refused.value.sqlstate == "RO201"
    assert await person.rules() == []


# --- on the server -------------------------------------------------------------------------------


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


async def rule(db: Database, person: Person, delivery: str, **about: str | None) -> None:
    """As set_event_subscription does it, for all devices; the servers are told by the trigger."""
    await db.run(
        "INSERT INTO roost.event_subscriptions (user_id, device_id, topic, event, delivery)"
        " VALUES (%s, %s, %s, %s, %s::roost.event_delivery)",
        person.user_id,
        about.get("device_id"),
        about.get("topic"),
        about.get("event"),
        delivery,
    )


def names(events: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(event["event"], event.get("meta", {}).get("silent", False)) for event in events]


@pytest.mark.parametrize("version", Version)
async def test_rules_hold_for_what_is_delivered(
    database: str, db: Database, version: Version
) -> None:
    ada = await db.person()
    loud, quiet = [f"conversation:{await db.conversation(ada)}" for _ in range(2)]
    await rule(db, ada, "silent", topic=quiet)
    await rule(db, ada, "none", topic=quiet, event="note.*")
    await rule(db, ada, "none", event="typing")
    async with running_node(database) as node:
        alone = await (await node.phone(ada, version)).joined(quiet)
        inbox = await (await node.phone(ada, version)).joined(ada.inbox)
        for topic in (quiet, loud):
            for event in ("message.created", "note.made", "reaction"):
                await db.publish(topic, event=event)
            await db.broadcast(topic)
            await db.broadcast(topic, event="progress")
        # What is said of a topic goes before what is said of an event in all topics.
        silent = [(name, True) for name in ("message.created", "reaction", "typing", "progress")]
        assert names(await alone.events(4)) == silent
        everything = [("message.created", False), ("note.made", False), ("reaction", False)]
        got = await inbox.events(8)
        for topic, wanted in ((quiet, silent), (loud, [*everything, ("progress", False)])):
            heard = [event for event in got if event["meta"]["topic"] == topic]
            assert sorted(names(heard)) == sorted(wanted)
        for phone in (alone, inbox):
            await phone.is_answered()

        # The same in a replay, where the next offset is behind what was left out.
        replayed = await (await node.phone(ada, version)).joined(quiet, replay={"after": 1})
        (last,) = await replayed.events(1)
        assert (last["meta"]["offset"], last["meta"]["silent"]) == (3, True)
        await replayed.is_answered()


async def test_rules_change_while_somebody_is_connected(database: str, db: Database) -> None:
    ada = await db.person()
    topic = f"conversation:{await db.conversation(ada)}"
    async with running_node(database) as one, running_node(database) as two:
        phones = [await (await node.phone(ada)).joined(ada.inbox) for node in (one, two)]
        outlets = [next(iter(node.relay._outlets)) for node in (one, two)]

        def rules(channels: Any) -> list[bool]:
            return [channel.rules is not None for channel in channels]

        def have_rules() -> list[list[bool]]:
            return [
                rules([*outlet._channels.values(), *channel.inbox.channels.values()])
                for outlet in outlets
                for channel in outlet._channels.values()
                if channel.inbox is not None
            ]

        await rule(db, ada, "none", event="note.made")
        await eventually(lambda: have_rules() == [[True, True]] * 2)
        await db.publish(topic)
        await db.publish(topic, event="message.created")
        for phone in phones:
            assert names(await phone.events(1)) == [("message.created", False)]
        await db.run("DELETE FROM roost.event_subscriptions")
        await eventually(lambda: have_rules() == [[False, False]] * 2)
        await db.publish(topic)
        for phone in phones:
            assert names(await phone.events(1)) == [("note.made", False)]

        # Nobody told them, and then they were cut off from the notifications.
        one.deaf = two.deaf = True
        await rule(db, ada, "none", event="note.made")
        for node in (one, two):
            node.relay.on_reconnect()
        await eventually(lambda: have_rules() == [[True, True]] * 2)


async def test_a_session_that_is_over_keeps_no_other_from_its_rules(
    database: str, db: Database
) -> None:
    ada = await db.person()
    over = [Person(ada.user_id, ada.device_id, str(uuid.uuid4())) for _ in range(5)]
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(6)]
    async with running_node(database) as node:
        phone = await (await node.phone(ada)).joined(topics[0])
        for person, topic in zip(over, topics[1:], strict=True):
            await db.session(person)
            phone.person = person
            await phone.joined(topic)
        # Nobody tells the server.
        await db.without_notice()
        for person in over:
            await db.run("DELETE FROM roost.sessions WHERE id = %s", person.session_id)
        await rule(db, ada, "none", event="note.made")
        node.relay.wake(f"!subscriptions:{ada.user_id}")
        (outlet,) = node.relay._outlets
        channel = outlet._channels[f"realtime:{topics[0]}"]
        await eventually(lambda: channel.rules is not None)


async def test_the_end_of_a_right_is_told_whatever_a_rule_says(database: str, db: Database) -> None:
    ada, grace = await db.person(), await db.person()
    topic = f"conversation:{await db.conversation(ada, grace)}"
    await rule(db, grace, "none")
    async with running_node(database) as node:
        phone = await (await node.phone(grace)).joined(topic)
        await db.publish(topic)
        removed = await db.remove(grace, topic)
        assert await phone.offsets(1) == [removed]
        await phone.is_ended(topic, "RO401")


async def test_a_stream_keeps_to_the_rules(database: str, db: Database) -> None:
    ada = await db.person()
    await rule(db, ada, "none", event="note.*")
    await rule(db, ada, "silent", event="message.*")
    async with (
        running_node(database) as node,
        node.http.get(
            f"{node.url}/events/{ada.inbox}", headers={"Authorization": f"Bearer {ada.token()}"}
        ) as response,
    ):
        for event in ("note.made", "message.created", "last"):
            await db.publish(ada.inbox, event=event)
        got: list[dict[str, Any]] = []
        while len(got) < 2:
            line = await response.content.readline()
            if line.startswith(b"data: "):
                got.append(json.loads(line.removeprefix(b"data: ")))
        assert names(got) == [("message.created", True), ("last", False)]


async def test_rules_that_change_while_the_database_answers_a_join(
    database: str, db: Database
) -> None:
    """The join sees the rules of before, and is answered last."""
    ada = await db.person()
    topic = f"conversation:{await db.conversation(ada)}"
    async with running_node(database) as node:
        phone = await node.phone(ada)
        async with await connect(database) as holder, holder.transaction():
            await holder.execute("LOCK TABLE realtime.log")
            ref = await phone.ask_to_join(topic)
            await eventually(lambda: len(node.relay.outlets) == 1)
            (outlet,) = node.relay.outlets
            await eventually(lambda: outlet.channel_count == 1)
            await waits_for_a_lock(db, "realtime.log")
            await rule(db, ada, "none", event="note.made")
            (channel,) = outlet._channels.values()
            await eventually(lambda: channel.rules is not None)
        assert (await phone.reply(ref))["status"] == "ok"
        await db.publish(topic)
        await db.publish(topic, event="message.created")
        assert names(await phone.events(1)) == [("message.created", False)]


async def waits_for_a_lock(db: Database, table: str) -> None:
    while not await db.run(
        "SELECT 1 FROM pg_locks WHERE relation = %s::regclass AND NOT granted", table
    ):
        await asyncio.sleep(0.005)


async def test_rules_are_not_read_more_often_than_they_can_be(database: str, db: Database) -> None:
    """Each word that anything may have changed has the rules of everybody read."""
    ada = await db.person()
    async with running_node(database) as node:
        for _ in range(3):
            await (await node.phone(ada)).joined(ada.own_device)
        async with await connect(database) as holder, holder.transaction():
            await holder.execute("LOCK TABLE roost.event_subscriptions")
            for _ in range(100):
                # Too much to say from another server.
                node.relay.on_notify("x")
                await asyncio.sleep(0)
            tasks = Counter(getattr(task.get_coro(), "__name__", "") for task in node.relay._tasks)
            # Those that wait for an answer, and one behind them for each socket.
            assert 3 <= tasks["_read_rules_of"] <= 6
            assert 1 <= tasks["_recheck"] <= 2
        await eventually(lambda: not node.relay._unread_rules)
