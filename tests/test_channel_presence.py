"""Who is present in a topic, as Phoenix has it: in raw frames, over one server and several."""

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from roost.realtime import announcer, presence
from roost.realtime.protocol import Version
from roost.settings import Settings
from tests.relaying import Database, Message, Node, Person, Phone, eventually, join_payload
from tests.relaying import running_node as running
from tests.support import connect

Metas = dict[str, dict[str, Any]]


@contextlib.asynccontextmanager
async def running_node(database: str) -> AsyncIterator[Node]:
    """A server that hears of what its own statements touch, as a whole one does."""
    async with running(database) as node:
        node.multiplexer.on_touched = node.relay.wake
        yield node


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


@pytest.fixture
async def ada(db: Database) -> Person:
    return await db.person()


@pytest.fixture
async def node(database: str) -> AsyncIterator[Node]:
    async with running_node(database) as running:
        yield running


async def join(phone: Phone, topic: str, key: str = "", *, enabled: Any = True) -> tuple[str, Any]:
    """Joins with presence. Answers the reference of the join, and the state that follows."""
    assert phone.person is not None
    payload = join_payload(phone.person.token())
    payload["config"]["presence"] = {"key": key, "enabled": enabled}
    ref = await phone.send(f"realtime:{topic}", "phx_join", payload)
    reply = await phone.reply(ref)
    assert reply["status"] == "ok", reply
    if not enabled:
        return ref, None
    state = await phone.receive()
    assert state == Message(
        ref if phone.version is Version.V2 else None,
        None,
        f"realtime:{topic}",
        "presence_state",
        state.payload,
    )
    return ref, state.payload


async def track(phone: Phone, topic: str, join_ref: str, payload: Any) -> str:
    """Sends track; the answer comes before or behind what it leads to."""
    return await phone.send(
        f"realtime:{topic}",
        "presence",
        {"type": "presence", "event": "track", "payload": payload},
        join_ref=join_ref,
    )


async def untrack(phone: Phone, topic: str, join_ref: str) -> str:
    return await phone.send(
        f"realtime:{topic}", "presence", {"type": "presence", "event": "untrack"}, join_ref=join_ref
    )


async def difference(phone: Phone, topic: str) -> tuple[Metas, Metas]:
    """The next message, which has to be a difference: who came and who went."""
    message = await phone.receive()
    assert message == Message(None, None, f"realtime:{topic}", "presence_diff", message.payload), (
        message
    )
    assert list(message.payload) == ["joins", "leaves"]
    return message.payload["joins"], message.payload["leaves"]


def plain(metas: Metas) -> dict[str, list[dict[str, Any]]]:
    """Without references, which are different every time."""
    return {
        key: [
            {name: value for name, value in meta.items() if not name.startswith("phx_")}
            for meta in entry["metas"]
        ]
        for key, entry in metas.items()
    }


class Watcher:
    """Puts states and differences together, as Phoenix's client does."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.present: dict[str, dict[str, dict[str, Any]]] = {}

    def take(self, message: Message) -> None:
        if message.event == "presence_state":
            self.present = {}
            joins, leaves = message.payload, {}
        else:
            assert message.event == "presence_diff", message
            joins, leaves = message.payload["joins"], message.payload["leaves"]
        for key, entry in joins.items():
            for meta in entry["metas"]:
                assert meta["phx_ref"] not in self.present.get(key, {}), "nobody comes twice"
                self.present.setdefault(key, {})[meta["phx_ref"]] = meta
        for key, entry in leaves.items():
            for meta in entry["metas"]:
                del self.present[key][meta["phx_ref"]]
            if not self.present[key]:
                del self.present[key]

    @property
    def seen(self) -> dict[str, list[Any]]:
        return {
            key: sorted((meta.get("n") for meta in metas.values()), key=str)
            for key, metas in self.present.items()
        }

    async def until(self, expected: dict[str, list[Any]]) -> None:
        async with asyncio.timeout(20):
            while self.seen != expected:
                self.take(await self.phone.receive())


@pytest.mark.parametrize("version", Version)
async def test_who_comes_changes_and_goes(
    node: Node, db: Database, ada: Person, version: Version
) -> None:
    grace = await db.person()
    topic = f"conversation:{await db.conversation(ada, grace)}"
    watching = await node.phone(ada, version)
    join_ref, state = await join(watching, topic, "ada")
    assert state == {}

    phone = await node.phone(grace, version)
    ref, state = await join(phone, topic, "grace")
    assert state == {}
    reply = await phone.reply(await track(phone, topic, ref, {"doing": "typing"}))
    assert reply == {"status": "ok", "response": {}}
    for each in (watching, phone):
        joins, leaves = await difference(each, topic)
        assert (plain(joins), leaves) == ({"grace": [{"doing": "typing"}]}, {})
    first = joins["grace"]["metas"][0]["phx_ref"]

    # The same again changes nothing, in whatever order it is written.
    await phone.reply(await track(phone, topic, ref, {"doing": "typing"}))
    await phone.is_answered()

    # Another one is a join and a leave in one message.
    await phone.reply(await track(phone, topic, ref, {"doing": "nothing", "phx_ref": "x"}))
    for each in (watching, phone):
        joins, leaves = await difference(each, topic)
        assert plain(joins) == {"grace": [{"doing": "nothing"}]}
        assert leaves == {"grace": {"metas": [{"doing": "typing", "phx_ref": first}]}}
        (meta,) = joins["grace"]["metas"]
        assert meta["phx_ref_prev"] == first != meta["phx_ref"] != "x"

    # Whoever comes later is told in one piece.
    late = await node.phone(ada, version)
    late_ref, state = await join(late, topic, "ada")
    assert state == {"grace": {"metas": [meta]}}

    # Many metas a key.
    await watching.reply(await track(watching, topic, join_ref, {"on": "laptop"}))
    for each in (watching, phone, late):
        joins, _ = await difference(each, topic)
        assert plain(joins) == {"ada": [{"on": "laptop"}]}
    await late.reply(await track(late, topic, late_ref, {"on": "phone"}))
    for each in (watching, phone, late):
        joins, _ = await difference(each, topic)
        assert plain(joins) == {"ada": [{"on": "phone"}]}
    _, state = await join(await node.phone(grace, version), topic)
    assert plain(state) == {
        "grace": [{"doing": "nothing"}],
        "ada": [{"on": "laptop"}, {"on": "phone"}],
    }

    reply = await phone.reply(await untrack(phone, topic, ref))
    assert reply == {"status": "ok", "response": {}}
    for each in (watching, phone, late):
        joins, leaves = await difference(each, topic)
        assert (joins, leaves) == ({}, {"grace": {"metas": [meta]}})
    await phone.reply(await untrack(phone, topic, ref))
    await watching.is_answered()


async def test_without_a_key_each_join_has_its_own(node: Node, ada: Person) -> None:
    topic = ada.inbox
    watching = await node.phone(ada)
    await join(watching, topic)
    keys: set[str] = set()
    for _ in range(2):
        phone = await node.phone(ada)
        # It is not asked for the state, and seen all the same.
        ref, _ = await join(phone, topic, enabled=False)
        await phone.reply(await track(phone, topic, ref, {}))
        joins, _ = await difference(watching, topic)
        keys.update(joins)
        await phone.is_answered()
    assert len(keys) == 2
    assert all(uuid.UUID(key).version == 4 for key in keys)


async def test_sloppy_clients(node: Node, ada: Person) -> None:
    topic = ada.inbox
    phone = await node.phone(ada)
    ref, state = await join(phone, topic, "a", enabled="True")
    assert state == {}
    for payload in (
        {"type": "presence", "event": "TRACK"},
        {"type": "presence", "event": "track", "payload": {}},
    ):
        answer = await phone.send(f"realtime:{topic}", "presence", payload, join_ref=ref)
        assert await phone.reply(answer) == {"status": "ok", "response": {}}
    assert plain((await difference(phone, topic))[0]) == {"a": [{}]}


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        *(
            ({"event": "track", "payload": wrong}, "MalformedPresence", exact)
            for wrong in ("x", 1, ["a"], None, True)
            for exact in ["Presence track payload must be a map"]
        ),
        (
            {"event": "track", "payload": {"x": "x" * presence.MOST_META_BYTES}},
            "PresenceTooLarge",
            "Track message size exceeded",
        ),
        (
            {"event": "track", "payload": {"x": [[]]}},
            None,
            None,
        ),
        ({"event": "follow"}, "UnknownEvent", "UnknownEvent: Presence does not have this event."),
        ({"event": ["track"]}, "UnknownEvent", "UnknownEvent: Presence does not have this event."),
        ({}, "UnknownEvent", "UnknownEvent: Presence does not have this event."),
    ],
)
async def test_what_is_refused(
    node: Node, ada: Person, payload: dict[str, Any], code: str | None, reason: str | None
) -> None:
    topic = ada.inbox
    phone, watching = await node.phone(ada), await node.phone(ada)
    await join(watching, topic)
    ref, _ = await join(phone, topic, "a", enabled=False)
    answer = await phone.send(f"realtime:{topic}", "presence", payload, join_ref=ref)
    reply = await phone.reply(answer)
    if code is None:
        assert reply["status"] == "ok"
        assert plain((await difference(watching, topic))[0]) == {"a": [payload["payload"]]}
        return
    assert reply["status"] == "error"
    assert (reply["response"]["code"], reply["response"]["reason"]) == (code, reason)
    assert reply["response"]["hint"]
    # The channel goes on.
    await phone.reply(await track(phone, topic, ref, {"n": 1}))
    assert plain((await difference(watching, topic))[0]) == {"a": [{"n": 1}]}


async def test_what_is_too_deep_is_refused(node: Node, ada: Person) -> None:
    phone = await node.phone(ada)
    ref, _ = await join(phone, ada.inbox, "a", enabled=False)
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    reply = await phone.reply(await track(phone, ada.inbox, ref, deep))
    assert reply["response"]["code"] == "PresenceTooLarge"
    await phone.is_answered()


@pytest.mark.parametrize(
    ("limit", "keys", "details"),
    [
        ("MOST_METAS", "ab", "2 are tracked in the topic."),
        ("MOST_METAS_OF_KEY", "aa", "2 are tracked under the key."),
        ("MOST_TOPIC_BYTES", "ab", None),
    ],
)
async def test_a_topic_has_room_for_so_many(
    monkeypatch: pytest.MonkeyPatch,
    node: Node,
    ada: Person,
    limit: str,
    keys: str,
    details: str | None,
) -> None:
    monkeypatch.setattr(presence, limit, 80 if details is None else 2)
    phones = [await node.phone(ada) for _ in range(3)]
    refs = [
        (await join(phone, ada.inbox, key, enabled=False))[0]
        for phone, key in zip(phones, keys + keys[0], strict=True)
    ]
    for phone, ref in zip(phones[:2], refs[:2], strict=True):
        assert (await phone.reply(await track(phone, ada.inbox, ref, {"n": 1})))["status"] == "ok"
    reply = await phones[2].reply(await track(phones[2], ada.inbox, refs[2], {"n": 1}))
    assert reply["response"]["code"] == "TooManyPresences"
    assert details in (None, reply["response"]["details"])
    assert reply["response"]["hint"]
    # In place of what was tracked there is room, and for another one when one has gone.
    again = await phones[0].reply(await track(phones[0], ada.inbox, refs[0], {"n": 2}))
    assert (again["status"] == "ok") is (details is not None)
    await phones[1].reply(await untrack(phones[1], ada.inbox, refs[1]))
    reply = await phones[2].reply(await track(phones[2], ada.inbox, refs[2], {"n": 1}))
    assert reply["status"] == "ok"


async def test_what_has_gone_while_the_database_is_away_takes_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, database: str, db: Database, ada: Person
) -> None:
    monkeypatch.setattr(presence, "MOST_GONE", 3)
    async with running_node(database) as here, running_node(database) as there:
        watching, stays = await here.phone(ada), await there.phone(ada)
        await join(watching, ada.inbox)
        watcher = Watcher(watching)
        ref, _ = await join(stays, ada.inbox, "a", enabled=False)
        await stays.reply(await track(stays, ada.inbox, ref, {"n": 0}))
        phones = [await there.phone(ada) for _ in range(8)]
        for phone in phones:
            phone_ref, _ = await join(phone, ada.inbox, "b", enabled=False)
            await phone.reply(await track(phone, ada.inbox, phone_ref, {"n": 1}))
        await watcher.until({"a": [0], "b": [1] * 8})
        of_there = there.relay._presence
        await db.run("ALTER TABLE realtime.presences RENAME TO somewhere")
        for phone in phones:
            await phone.ws.close()
        await eventually(lambda: len(of_there._members) == 1)
        assert len(of_there._gone) <= 3
        await db.run("ALTER TABLE realtime.somewhere RENAME TO presences")
        await watcher.until({"a": [0]})
        await eventually(lambda: not of_there._gone_is_lost)
        assert await db.run("SELECT key FROM realtime.presences") == [("a",)]


async def test_the_end_of_a_channel_untracks(node: Node, db: Database, ada: Person) -> None:
    grace, removed = await db.person(), await db.person()
    topic = f"conversation:{await db.conversation(ada, grace, removed)}"
    watching = await node.phone(ada)
    await join(watching, topic)
    (watched,) = node.relay._outlets

    async def come(person: Person = grace) -> tuple[Phone, str]:
        phone = await node.phone(person)
        ref, _ = await join(phone, topic, "k", enabled=False)
        await phone.reply(await track(phone, topic, ref, {}))
        joins, leaves = await difference(watching, topic)
        assert (plain(joins), leaves) == ({"k": [{}]}, {})
        return phone, ref

    async def is_gone() -> None:
        joins, leaves = await difference(watching, topic)
        assert (joins, plain(leaves)) == ({}, {"k": [{}]})

    left, ref = await come()
    assert (await left.reply(await left.send(f"realtime:{topic}", "phx_leave")))["status"] == "ok"
    await is_gone()

    again, _ = await come()
    await again.ask_to_join(topic)
    await is_gone()

    closed, _ = await come()
    await closed.ws.close()
    await is_gone()

    await come()
    node.transports[-1].abort()
    await is_gone()

    refused, ref = await come()
    await refused.send(f"realtime:{topic}", "access_token", {"access_token": "x"}, join_ref=ref)
    await is_gone()

    await come()
    for each in node.relay._outlets:
        if each is not watched:
            each.expire(time.time() + 7_200)
    await is_gone()

    await come(removed)
    await db.remove(removed, topic)
    for message in [await watching.receive(), await watching.receive()]:
        if message.event == "broadcast":
            assert message.payload["event"] == "participant.removed"
        else:
            assert plain(message.payload["leaves"]) == {"k": [{}]}

    await come()
    await db.run("UPDATE roost.sessions SET revoked_at = now() WHERE id = %s", grace.session_id)
    await is_gone()
    await watching.is_answered()


async def test_whoever_was_removed_is_told_nothing_more(
    node: Node, db: Database, ada: Person
) -> None:
    """Also while the end of the right has not reached their channel."""
    removed = await db.person()
    topic = f"conversation:{await db.conversation(ada, removed)}"
    watching = await node.phone(removed)
    await join(watching, topic)
    phone = await node.phone(ada)
    ref, _ = await join(phone, topic, "ada", enabled=False)
    await db.without_notice()
    await db.remove(removed, topic)
    node.relay.wake(topic)

    await phone.reply(await track(phone, topic, ref, {}))

    assert (await watching.receive()).payload["event"] == "participant.removed"
    await watching.is_ended(topic, "RO401")
    await watching.is_answered()


async def test_whoever_was_removed_and_does_not_read_is_present_no_more(
    node: Node, db: Database, ada: Person
) -> None:
    """They hear of the end of their right when they like, and can say nothing until then."""
    removed = await db.person()
    topic = f"conversation:{await db.conversation(ada, removed)}"
    stalled = await node.phone(removed)
    transport = node.transports[-1]
    ref, _ = await join(stalled, topic, "gone", enabled=False)
    await stalled.reply(await track(stalled, topic, ref, {"n": 1}))
    await db.publish_many(topic, 1_500, 10_000)
    assert isinstance(transport, asyncio.WriteTransport)
    await eventually(lambda: transport.get_write_buffer_size() > 65_536)
    watching = await node.phone(ada)
    _, state = await join(watching, topic)
    assert plain(state) == {"gone": [{"n": 1}]}

    await db.remove(removed, topic)

    messages = [await watching.receive(), await watching.receive()]
    (gone,) = [message for message in messages if message.event == "presence_diff"]
    assert plain(gone.payload["leaves"]) == {"gone": [{"n": 1}]}
    await track(stalled, topic, ref, {"n": 2})
    await asyncio.sleep(10 * presence.GATHER_SECONDS)
    await watching.is_answered()

    # Whoever is back in joins again.
    (outlet,) = [each for each in node.relay.outlets if each._transport is transport]
    await db.add_back(removed, topic)
    token = removed.token(1_800)
    await stalled.send(f"realtime:{topic}", "access_token", {"access_token": token}, join_ref=ref)
    await eventually(lambda: outlet.channel_count == 0)


async def test_those_who_may_not_join_see_nothing(node: Node, db: Database, ada: Person) -> None:
    outsider = await db.person()
    topic = f"conversation:{await db.conversation(ada)}"
    phone = await node.phone(outsider)
    payload = join_payload(outsider.token())
    payload["config"]["presence"] = {"key": "x", "enabled": True}
    reply = await phone.reply(await phone.send(f"realtime:{topic}", "phx_join", payload))
    assert reply["response"]["code"] == "RO401"
    await phone.send(f"realtime:{topic}", "presence", {"event": "track"}, join_ref="1")
    assert (await phone.receive()).payload["response"]["code"] == "UnmatchedTopic"


async def test_presence_is_of_one_topic(node: Node, ada: Person) -> None:
    phone = await node.phone(ada)
    inbox_ref, _ = await join(phone, ada.inbox, "a")
    device_ref, _ = await join(phone, ada.own_device, "a")
    await phone.reply(await track(phone, ada.inbox, inbox_ref, {"n": 1}))
    assert plain((await difference(phone, ada.inbox))[0]) == {"a": [{"n": 1}]}
    await phone.reply(await track(phone, ada.own_device, device_ref, {"n": 2}))
    assert plain((await difference(phone, ada.own_device))[0]) == {"a": [{"n": 2}]}


async def test_what_comes_up_at_once_is_one_message(node: Node, ada: Person) -> None:
    topic = ada.inbox
    watching = await node.phone(ada)
    await join(watching, topic)
    phone = await node.phone(ada)
    ref, _ = await join(phone, topic, "typist", enabled=False)
    for n in range(200):
        await track(phone, topic, ref, {"n": n})
    for _ in range(200):
        assert (await phone.receive()).payload["status"] == "ok"

    watcher = Watcher(watching)
    messages = 0
    while watcher.seen != {"typist": [199]}:
        watcher.take(await watching.receive())
        messages += 1
    # No limit, and no message for each.
    assert messages < 50
    await watching.is_answered()


async def test_a_reader_that_falls_behind_has_the_state_when_it_is_back(
    node: Node, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = ada.inbox
    slow = await node.phone(ada)
    await join(slow, topic)
    transport = node.transports[-1]
    watching, phone = await node.phone(ada), await node.phone(ada)
    await join(watching, topic)
    ref, _ = await join(phone, topic, "a", enabled=False)
    transport_size = 10 * Settings().realtime_unsent_bytes
    # As if it had not read that much.
    real = type(transport).get_write_buffer_size
    stalled = True

    class Stalled:
        def __getattr__(self, name: str) -> Any:
            return getattr(transport, name)

        def get_write_buffer_size(self) -> int:
            return transport_size if stalled else real(transport)

    (behind,) = [each for each in node.relay._outlets if each._transport is transport]
    monkeypatch.setattr(behind, "_transport", Stalled())
    watcher = Watcher(watching)
    for n in range(3):
        await phone.reply(await track(phone, topic, ref, {"n": n}))
        await watcher.until({"a": [n]})
    stalled = False

    message = await slow.receive()
    assert message.event == "presence_state"
    assert plain(message.payload) == {"a": [{"n": 2}]}
    await phone.reply(await track(phone, topic, ref, {"n": 3}))
    assert plain((await difference(slow, topic))[0]) == {"a": [{"n": 3}]}


# --- several servers ------------------------------------------------------------------------------


async def test_two_servers(database: str, ada: Person) -> None:
    topic = ada.inbox
    async with running_node(database) as here, running_node(database) as there:
        watching, phone = await here.phone(ada), await there.phone(ada, Version.V1)
        await join(watching, topic)
        ref, _ = await join(phone, topic, "phone")
        watcher, own = Watcher(watching), Watcher(phone)
        await track(phone, topic, ref, {"n": 1, "text": 'ü"\\{},\n\0'})
        assert (await phone.receive()).payload["status"] == "ok"
        await watcher.until({"phone": [1]})
        await own.until({"phone": [1]})
        assert watcher.present == own.present

        # Whoever comes later has it from the other server too.
        late = await here.phone(ada)
        await join(late, topic)
        state = (await here_state(here, ada, topic)).payload
        assert plain(state) == {"phone": [{"n": 1, "text": 'ü"\\{},\n\0'}]}

        await track(phone, topic, ref, {"n": 2})
        assert (await phone.receive()).payload["status"] == "ok"
        joins, leaves = await difference(watching, topic)
        assert (plain(joins)["phone"][0]["n"], plain(leaves)["phone"][0]["n"]) == (2, 1)
        watcher.take(Message(None, None, "", "presence_diff", {"joins": joins, "leaves": leaves}))
        await phone.ws.close()
        await watcher.until({})


async def here_state(node: Node, person: Person, topic: str) -> Message:
    phone = await node.phone(person)
    payload = join_payload(person.token())
    payload["config"]["presence"] = {"key": "", "enabled": True}
    await phone.reply(await phone.send(f"realtime:{topic}", "phx_join", payload))
    return await phone.receive()


async def test_many_topics_that_change_at_once_stay_what_they_are(node: Node) -> None:
    """A notification without a line makes the others look at everything there is."""
    lines = [f"{presence.CHANGED}:conversation:{uuid.uuid4()}" for _ in range(500)]
    telling = announcer.Announcer(node.multiplexer, "node")
    telling.announce(lines)
    payloads = []
    while (payload := telling.pack()) is not None:
        payloads.append(payload.decode())
    assert [line for payload in payloads for line in payload.split("\n")[1:]] == lines
    assert all(payload.startswith("node\n!") for payload in payloads)
    assert all(len(payload) <= announcer.LONGEST_NOTIFICATION for payload in payloads)


async def test_a_server_that_heard_nothing_reads_it(
    database: str, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notifications are lost; when the connection is back, or by the safety net, it is the same."""
    topic = ada.inbox
    async with running_node(database) as here, running_node(database) as there:
        watching, phone = await here.phone(ada), await there.phone(ada)
        await join(watching, topic)
        ref, _ = await join(phone, topic, "a", enabled=False)
        watcher = Watcher(watching)
        here.deaf = True
        await phone.reply(await track(phone, topic, ref, {"n": 1}))
        await eventually(lambda: not there.relay._presence._unwritten)
        await watching.is_answered()
        here.deaf = False
        # A listener that is back, and a notification that had too much to say.
        here.relay.on_reconnect()
        await watcher.until({"a": [1]})
        here.deaf = True
        await phone.reply(await track(phone, topic, ref, {"n": 2}))
        await eventually(lambda: not there.relay._presence._unwritten)
        await asyncio.sleep(0.1)
        here.relay.on_notify("somebody")
        await watcher.until({"a": [2]})
    monkeypatch.setattr(presence, "READ_SECONDS", 0.1)
    async with running_node(database) as here, running_node(database) as there:
        watching, phone = await here.phone(ada), await there.phone(ada)
        await join(watching, topic)
        here.deaf = True
        ref, _ = await join(phone, topic, "a", enabled=False)
        await phone.reply(await track(phone, topic, ref, {"n": 1}))
        await Watcher(watching).until({"a": [1]})


async def test_a_server_that_stops_takes_its_presences_with_it(database: str, ada: Person) -> None:
    topic = ada.inbox
    async with running_node(database) as here:
        watching = await here.phone(ada)
        await join(watching, topic)
        watcher = Watcher(watching)
        async with running_node(database) as there:
            phone = await there.phone(ada)
            ref, _ = await join(phone, topic, "a", enabled=False)
            await phone.reply(await track(phone, topic, ref, {"n": 1}))
            await watcher.until({"a": [1]})
        await watcher.until({})


async def test_a_server_that_dies_takes_its_presences_with_it(
    database: str, db: Database, ada: Person
) -> None:
    topic = ada.inbox
    async with running_node(database) as here, running_node(database) as there:
        watching, phone = await here.phone(ada), await there.phone(ada)
        await join(watching, topic)
        ref, _ = await join(phone, topic, "a", enabled=False)
        await phone.reply(await track(phone, topic, ref, {"n": 1}))
        watcher = Watcher(watching)
        await watcher.until({"a": [1]})

        # It gives no sign of life any more, nor does it write anything.
        assert there.relay._keeper is not None
        there.relay._keeper.cancel()
        await db.run(
            "UPDATE roost.servers SET beat_at = now() - interval '31 seconds' WHERE id::text = %s",
            there.relay._devices._server_id.decode(),
        )
        await watcher.until({})
        assert await db.run("SELECT * FROM realtime.presences") == []

        # It was only slow, and begins anew.
        there.relay._keeper = there.relay._spawn(there.relay._devices.run())
        await watcher.until({"a": [1]})
        await phone.reply(await track(phone, topic, ref, {"n": 2}))
        await watcher.until({"a": [2]})


async def test_what_a_crash_of_the_database_forgot_is_written_again(
    database: str, db: Database, ada: Person
) -> None:
    topic = ada.inbox
    async with running_node(database) as here, running_node(database) as there:
        phone = await there.phone(ada)
        ref, _ = await join(phone, topic, "a", enabled=False)
        await phone.reply(await track(phone, topic, ref, {"n": 1}))
        await eventually(lambda: not there.relay._presence._unwritten)
        # What recovery does to a table that is not logged, and what follows for the listeners.
        await db.run("TRUNCATE realtime.presences")
        there.relay.on_reconnect()
        watching = await here.phone(ada)
        watcher = Watcher(watching)
        _, state = await join(watching, topic)
        watcher.take(Message(None, None, "", "presence_state", state))
        await watcher.until({"a": [1]})
        await phone.reply(await untrack(phone, topic, ref))
        await watcher.until({})


async def test_while_the_database_refuses_nothing_is_lost(
    database: str, db: Database, ada: Person
) -> None:
    topic = ada.inbox
    async with running_node(database) as here, running_node(database) as there:
        watching, phone, brief = (
            await here.phone(ada),
            await there.phone(ada),
            await there.phone(ada),
        )
        await join(watching, topic)
        ref, _ = await join(phone, topic, "a", enabled=False)
        brief_ref, _ = await join(brief, topic, "b", enabled=False)
        await db.run("ALTER TABLE realtime.presences RENAME TO somewhere")
        await phone.reply(await track(phone, topic, ref, {"n": 1}))
        await brief.reply(await track(brief, topic, brief_ref, {"n": 1}))
        await asyncio.sleep(0.1)
        await brief.reply(await untrack(brief, topic, brief_ref))
        await phone.reply(await track(phone, topic, ref, {"n": 2}))
        await db.run("ALTER TABLE realtime.somewhere RENAME TO presences")
        await Watcher(watching).until({"a": [2]})
        await eventually(lambda: not there.relay._presence._gone)
        assert await db.run("SELECT key FROM realtime.presences") == [("a",)]


@pytest.mark.timeout(120)
async def test_states_and_differences_agree_however_they_meet(database: str, ada: Person) -> None:
    """People come, change and go on two servers while watchers join, leave and join again."""
    topic = ada.inbox
    async with running_node(database) as here, running_node(database) as there:
        trackers = []
        for number, node in zip(range(12), itertools.cycle([here, there]), strict=False):
            phone = await node.phone(ada)
            ref, _ = await join(phone, topic, f"k{number % 5}", enabled=False)
            trackers.append((phone, ref))

        async def move(phone: Phone, ref: str, number: int) -> None:
            for n in range(40):
                if (n + number) % 7 == 0:
                    await phone.reply(await untrack(phone, topic, ref))
                await phone.reply(await track(phone, topic, ref, {"n": f"{number}.{n}"}))
            if number % 3 == 0:
                await phone.reply(await untrack(phone, topic, ref))

        stop = asyncio.Event()

        async def watch(node: Node) -> None:
            phone = await node.phone(ada)
            while not stop.is_set():
                watcher = Watcher(phone)
                payload = join_payload(ada.token())
                payload["config"]["presence"] = {"key": "", "enabled": True}
                ref = await phone.send(f"realtime:{topic}", "phx_join", payload)
                while (message := await phone.receive()).ref != ref:
                    assert message.event in ("presence_diff", "presence_state", "phx_close")
                message = await phone.receive()
                while message.event != "presence_state":
                    message = await phone.receive()
                watcher.take(message)
                for _ in range(3):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            watcher.take(await phone.receive())

        steady = [Watcher(await node.phone(ada)) for node in (here, there)]
        for watcher in steady:
            _, state = await join(watcher.phone, topic)
            watcher.take(Message(None, None, "", "presence_state", state))
        watching = [asyncio.create_task(watch(node)) for node in (here, there)]
        await asyncio.gather(
            *(move(phone, ref, number) for number, (phone, ref) in enumerate(trackers))
        )
        stop.set()
        await asyncio.gather(*watching)
        expected: dict[str, list[Any]] = {}
        for number in range(12):
            if number % 3:
                expected.setdefault(f"k{number % 5}", []).append(f"{number}.39")
        expected = {key: sorted(values) for key, values in expected.items()}
        for watcher in steady:
            await watcher.until(expected)
        for node in (here, there):
            _, state = await join(await node.phone(ada), topic)
            fresh = Watcher(await node.phone(ada))
            fresh.take(Message(None, None, "", "presence_state", state))
            assert fresh.seen == expected
            assert not node.relay._presence._watches[topic].joins
