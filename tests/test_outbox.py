"""What piles up for a socket goes out in one write, in order, and counts before it does."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from roost.realtime.protocol import Version
from tests.relaying import Database, Node, Person, eventually, running_node
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
async def writes(monkeypatch: pytest.MonkeyPatch, node: Node) -> list[tuple[object, int]]:
    """The transport and the number of frames of each write, from now on."""
    made: list[tuple[object, int]] = []
    # All transports are of one class, which the first one shows.
    phone = await node.phone()
    kind = type(node.transports[-1])
    write = kind.write

    def counted_write(self: asyncio.Transport, data: bytes) -> None:
        made.append((self, 1))
        write(self, data)

    def counted_writelines(self: asyncio.Transport, data: list[bytes]) -> None:
        made.append((self, len(data)))
        # It may be written in terms of the other.
        write(self, b"".join(data))

    monkeypatch.setattr(kind, "write", counted_write)
    monkeypatch.setattr(kind, "writelines", counted_writelines)
    await phone.ws.close()
    return made


async def test_what_piles_up_goes_out_in_one_write(
    node: Node, db: Database, ada: Person, writes: list[tuple[object, int]]
) -> None:
    phones = [
        await (await node.phone(ada, version)).joined(ada.own_device)
        for version in Version
        for _ in range(3)
    ]
    transports = node.transports[-6:]
    writes.clear()
    async with db.connection.transaction():
        for n in range(20):
            await db.broadcast(ada.own_device, str(n))
    for phone in phones:
        assert [event["payload"] for event in await phone.events(20)] == list(range(20))
    # The notification may have come in two.
    for transport in transports:
        assert sum(number for at, number in writes if at is transport) == 20
        assert sum(at is transport for at, _ in writes) <= 2


async def test_several_topics_go_out_in_one_write(
    node: Node, db: Database, ada: Person, writes: list[tuple[object, int]]
) -> None:
    topics = [f"conversation:{await db.conversation(ada)}" for _ in range(10)]
    phone = await node.phone(ada)
    for topic in topics:
        await phone.joined(topic)
    transport = node.transports[-1]
    writes.clear()
    async with db.connection.transaction():
        for topic in topics:
            await db.publish(topic)
    assert await phone.offsets(10) == [1] * 10
    assert sum(at is transport for at, _ in writes) <= 2


async def test_what_is_collected_counts_as_unsent(database: str, db: Database, ada: Person) -> None:
    """Or one turn of the loop could collect any amount."""
    async with running_node(database, realtime_unsent_bytes=5_000) as node:
        phone = await (await node.phone(ada)).joined(ada.own_device)
        async with db.connection.transaction():
            for n in range(6):
                await db.broadcast(ada.own_device, json.dumps([n, "x" * 2_000]))
        await eventually(lambda: node.relay.counters.ephemerals == 6)
        counters = node.relay.counters
        assert counters.mentions + counters.dropped == 6
        assert counters.dropped >= 1
        events = await phone.events(counters.mentions)
        assert [event["payload"][0] for event in events][:2] == [0, 1]
        await db.publish(ada.own_device)
        assert await phone.offsets(1) == [1]
        await phone.is_answered()


async def test_what_comes_before_the_end_is_written_before_it(
    node: Node, db: Database, ada: Person
) -> None:
    """Events, an end of the channel and a close frame of the same turn."""
    phone = await (await node.phone(ada)).joined(ada.own_device)
    (outlet,) = node.relay.outlets
    await db.publish(ada.own_device)
    await eventually(lambda: node.relay.counters.deliveries == 1)
    await outlet.end_session(ada.session_id)
    assert await phone.offsets(1) == [1]
    assert (await phone.receive()).event == "system"
    assert await phone.closed() == 4401
