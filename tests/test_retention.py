"""Messages that expire: over real sockets, on two servers at once, and beside people who write."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.listening import listening
from tests.locks import wait_for_lock
from tests.serving import Client
from tests.support import connect

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

EXPIRE = "SELECT roost.expire_messages(%s)"
SEND = 'SELECT (api.send_message(%s, \'{"text": "hello"}\')).seq'
# Whoever waits for a lock where nobody is to wait.
IMPATIENT = "SET lock_timeout = '1s'"


async def answer(connection: Connection, query: str, *arguments: object) -> Any:
    row = await (await connection.execute(query.encode(), arguments)).fetchone()
    assert row is not None
    return row[0]


async def test_everybody_hears_what_has_expired(client: Client, database: str) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    where = {"conversation_id": conversation_id}
    sent = [
        await ada.ask("send_message", **where, content={"text": f"a secret {number}"})
        for number in range(3)
    ]
    await grace.ask("add_reaction", message_id=sent[0]["id"], reaction="👍")
    reply = await grace.ask(
        "send_message", **where, content={"text": "yes"}, parent_message_id=sent[1]["id"]
    )
    await ada.ask("set_retention", **where, retention_days=2)
    async with await connect(database) as operator:
        await operator.execute(
            "UPDATE roost.messages SET created_at = now() - interval '49 hours' WHERE seq <= 2"
        )
        async with listening(grace, conversation_id) as heard:
            assert await answer(operator, EXPIRE, 100) == 0
            assert await heard.next() == (
                "message.expired",
                {**where, "up_to_seq": 2, "left_count": 2},
            )

    left = await ada.ask("list_messages", **where)
    assert [message["id"] for message in left] == [reply["id"], sent[2]["id"]]
    assert (left[0]["parent_message_id"], left[0]["root_message_id"]) == (None, None)
    gone = await ada.call("get_message", message_id=sent[0]["id"])
    assert (gone.status, gone.body["code"]) == (404, "RO201")
    # Two of Ada's three were never read, nor can they be.
    assert (await ada.ask("get_unread_counts"))["total"] == 1


@dataclass(frozen=True)
class Rooms:
    """Conversations of one person, in each of which two of three messages are due."""

    ids: list[uuid.UUID]
    person: Connection
    servers: list[Connection]
    """Two, as roost_gateway."""
    observer: Connection
    """A superuser's."""

    async def left(self) -> dict[uuid.UUID, list[int]]:
        cursor = await self.observer.execute(
            "SELECT conversation_id, array_agg(seq ORDER BY seq)"
            " FROM roost.messages GROUP BY conversation_id"
        )
        return {row[0]: row[1] for row in await cursor.fetchall()}

    async def told(self) -> list[tuple[uuid.UUID, int]]:
        cursor = await self.observer.execute(
            "SELECT (payload ->> 'conversation_id')::uuid, (payload ->> 'up_to_seq')::int"
            " FROM realtime.events WHERE event = 'message.expired' ORDER BY topic, event_offset"
        )
        return [(row[0], row[1]) for row in await cursor.fetchall()]


@pytest.fixture
async def rooms(database: str) -> AsyncIterator[Rooms]:
    person_id = uuid.uuid4()
    async with (
        await connect(database) as observer,
        await connect(database, "roost_user", person_id) as person,
        await connect(database, "roost_gateway") as first,
        await connect(database, "roost_gateway") as second,
    ):
        await observer.execute(
            "INSERT INTO roost.users (id, email, password_hash)"
            " VALUES (%s, 'ada@example.com', '$argon2id$v=19$x')",
            [person_id],
        )
        ids = sorted(
            [await answer(person, "SELECT (api.create_conversation()).id") for _ in range(2)]
        )
        for conversation_id in ids:
            for _ in range(3):
                await person.execute(SEND, [conversation_id])
        await observer.execute("UPDATE roost.conversations SET retention_days = 1")
        await observer.execute(
            "UPDATE roost.messages SET created_at = now() - interval '25 hours' WHERE seq <= 2"
        )
        for server in (first, second):
            await server.execute(IMPATIENT)
        yield Rooms(ids, person, [first, second], observer)


async def test_two_servers_share_the_work(rooms: Rooms) -> None:
    first, second = rooms.servers

    async with first.transaction():
        assert await answer(first, EXPIRE, 2) == 2
        # The first conversation is being worked on: this takes the next one.
        async with second.transaction():
            assert await answer(second, EXPIRE, 100) == 0
            # And now there is nothing that is free.
            assert await answer(first, EXPIRE, 100) == 0

    assert await rooms.left() == {rooms.ids[0]: [3], rooms.ids[1]: [3]}
    assert await rooms.told() == [(rooms.ids[0], 2), (rooms.ids[1], 2)]
    assert await answer(first, EXPIRE, 100) == 0


async def test_nobody_waits_for_somebody_who_sends(rooms: Rooms) -> None:
    server = rooms.servers[0]

    async with rooms.person.transaction():
        await rooms.person.execute(SEND, [rooms.ids[0]])
        # It is left for later, and the other one is done.
        assert await answer(server, EXPIRE, 100) == 0
        assert await rooms.left() == {rooms.ids[0]: [1, 2, 3], rooms.ids[1]: [3]}

    assert await answer(server, EXPIRE, 100) == 0
    assert await rooms.left() == {rooms.ids[0]: [3, 4], rooms.ids[1]: [3]}


async def test_nobody_waits_for_an_operator(rooms: Rooms, database: str) -> None:
    """Somebody holds a message for long, and not its conversation."""
    server = rooms.servers[0]
    async with await connect(database) as operator, operator.transaction():
        await operator.execute(
            "SELECT FROM roost.messages WHERE conversation_id = %s AND seq = 1 FOR KEY SHARE",
            [rooms.ids[0]],
        )
        assert await answer(server, EXPIRE, 100) == 0
        assert await rooms.left() == {rooms.ids[0]: [1, 2, 3], rooms.ids[1]: [3]}

    assert await answer(server, EXPIRE, 100) == 0
    assert await rooms.left() == {rooms.ids[0]: [3], rooms.ids[1]: [3]}


async def test_what_fails_slowly_keeps_no_other_job_waiting(rooms: Rooms, database: str) -> None:
    """More of it than a call has time for is left to the next round."""
    for _ in range(4):
        conversation_id = await answer(rooms.person, "SELECT (api.create_conversation()).id")
        await rooms.person.execute(SEND, [conversation_id])
    await rooms.observer.execute(
        "UPDATE roost.messages SET created_at = now() - interval '25 hours' WHERE seq = 1"
    )
    await rooms.observer.execute("UPDATE roost.conversations SET retention_days = 1")
    before = await rooms.left()
    async with await connect(database) as operator, operator.transaction():
        await operator.execute("SELECT FROM roost.messages WHERE seq = 1 FOR KEY SHARE")
        assert await answer(rooms.servers[0], EXPIRE, 100) == 0

    assert await rooms.left() == before


async def test_somebody_sends_meanwhile(rooms: Rooms) -> None:
    server = rooms.servers[0]

    async with server.transaction():
        await answer(server, EXPIRE, 2)
        sending = asyncio.create_task(answer(rooms.person, SEND, rooms.ids[0]))
        await wait_for_lock(rooms.observer, rooms.person.info.backend_pid)

    # Behind message.expired, which is 4.
    assert await sending == 5
    assert (await rooms.left())[rooms.ids[0]] == [3, 5]


async def test_a_reply_to_what_goes_meanwhile(rooms: Rooms) -> None:
    server = rooms.servers[0]
    parent = await answer(
        rooms.observer,
        "SELECT id FROM roost.messages WHERE conversation_id = %s AND seq = 1",
        rooms.ids[0],
    )
    reply = 'SELECT api.send_message(%s, \'{"text": "yes"}\', parent_message_id => %s)'

    async with server.transaction():
        await answer(server, EXPIRE, 2)
        replying = asyncio.create_task(answer(rooms.person, reply, rooms.ids[0], parent))
        await wait_for_lock(rooms.observer, rooms.person.info.backend_pid)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await replying
    assert (await rooms.left())[rooms.ids[0]] == [3]


async def test_a_reaction_to_what_goes_meanwhile(rooms: Rooms) -> None:
    server = rooms.servers[0]
    message = await answer(
        rooms.observer,
        "SELECT id FROM roost.messages WHERE conversation_id = %s AND seq = 1",
        rooms.ids[0],
    )

    async with server.transaction():
        await answer(server, EXPIRE, 2)
        reacting = asyncio.create_task(
            answer(rooms.person, "SELECT api.add_reaction(%s, '👍')", message)
        )
        await wait_for_lock(rooms.observer, rooms.person.info.backend_pid)
    with pytest.raises(psycopg.Error) as refused:
        await reacting
    assert refused.value.sqlstate == "RO201"


async def test_messages_are_kept_after_all(rooms: Rooms) -> None:
    """The owner changes their mind while a server is about to begin."""
    server = rooms.servers[0]
    async with rooms.person.transaction():
        await rooms.person.execute("SELECT api.set_retention(%s, NULL)", [rooms.ids[0]])
        assert await answer(server, EXPIRE, 100) == 0

    assert await answer(server, EXPIRE, 100) == 0
    assert await rooms.left() == {rooms.ids[0]: [1, 2, 3], rooms.ids[1]: [3]}


async def test_servers_and_people_at_once(rooms: Rooms, database: str) -> None:
    """Many small pieces by two servers, beside somebody who goes on sending and reacting."""
    await rooms.observer.execute(
        "INSERT INTO roost.messages (conversation_id, seq, number, user_id, content, created_at)"
        ' SELECT conversation.id, 3 + n, 3 + n, conversation.user_id, \'{"text": "old"}\','
        " now() - interval '25 hours'"
        " FROM roost.conversations AS conversation, generate_series(1, 60) AS n"
    )
    await rooms.observer.execute(
        "UPDATE roost.messages SET created_at = now() - interval '25 hours'"
    )
    await rooms.observer.execute(
        "UPDATE roost.conversations SET last_seq = last_seq + 60, last_number = last_number + 60"
    )
    sent: list[tuple[uuid.UUID, int]] = []

    async def send() -> None:
        for number in range(30):
            conversation_id = rooms.ids[number % 2]
            sent.append((conversation_id, await answer(rooms.person, SEND, conversation_id)))

    async def expire(server: Connection) -> None:
        async with await connect(database) as looker:
            # A call that finds all of them locked has nothing to do for now.
            while await answer(looker, "SELECT min(seq) FROM roost.messages") <= 63:
                await answer(server, EXPIRE, 7)

    await asyncio.gather(send(), *(expire(server) for server in rooms.servers))

    assert sorted(
        (conversation_id, seq)
        for conversation_id, seqs in (await rooms.left()).items()
        for seq in seqs
    ) == sorted(sent)
    told = await rooms.told()
    assert told == sorted(told)
    assert {up_to_seq for _, up_to_seq in told if up_to_seq > 56} == {63}
    offsets = await rooms.observer.execute(
        "SELECT conversation.last_seq - 60 = count(event.event_offset),"
        " conversation.expired_number, conversation.last_number"
        " FROM roost.conversations AS conversation"
        " JOIN realtime.events AS event ON event.topic = 'conversation:' || conversation.id"
        " GROUP BY conversation.id"
    )
    assert await offsets.fetchall() == [(True, 63, 78)] * 2
