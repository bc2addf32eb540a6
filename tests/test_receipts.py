"""Receipts and unread counts over real sockets, and markers that several sessions move at once."""

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


async def say(person: Client, conversation_id: str, times: int = 1) -> list[int]:
    """Sends messages; their seqs."""
    return [
        (
            await person.ask(
                "send_message", conversation_id=conversation_id, content={"text": "hello"}
            )
        )["seq"]
        for _ in range(times)
    ]


async def test_a_receipt_reaches_the_other_person(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    where = {"conversation_id": conversation_id}
    seqs = await say(ada, conversation_id, 3)

    async with listening(ada, conversation_id) as heard:
        delivered = await grace.ask("mark_delivered", **where, up_to_seq=seqs[2])
        assert delivered == {
            **where,
            "user_id": grace.user_id,
            "last_read_seq": 0,
            "last_delivered_seq": seqs[2],
            "unread_count": 3,
        }
        assert await heard.next() == ("receipt", delivered)

        read = await grace.ask("mark_read", **where, up_to_seq=seqs[1])
        assert read == {**delivered, "last_read_seq": seqs[1], "unread_count": 1}
        assert await heard.next() == ("receipt", read)

        # What is marked already, also on a device that is behind, and what is no message.
        newest = (await ada.ask("get_conversation", **where))["last_seq"]
        assert newest > seqs[2]
        for function, up_to_seq in (
            ("mark_read", seqs[1]),
            ("mark_read", seqs[0]),
            ("mark_delivered", seqs[2]),
            ("mark_delivered", newest),
        ):
            assert await grace.ask(function, **where, up_to_seq=up_to_seq) == read
        await heard.has_nothing_more()


async def test_devices_that_mark_every_event_come_to_rest(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    where = {"conversation_id": conversation_id}
    await say(ada, conversation_id)

    async def newest() -> int:
        return int((await ada.ask("get_conversation", **where))["last_seq"])

    before = await newest()
    for _ in range(3):
        for person in (ada, grace):
            await person.ask("mark_delivered", **where, up_to_seq=await newest())
            await person.ask("mark_read", **where, up_to_seq=await newest())
    # Grace's two, and nothing about them.
    assert await newest() == before + 2


@pytest.mark.parametrize("function", ["mark_read", "mark_delivered"])
@pytest.mark.parametrize(
    ("up_to_seq", "code", "hint"),
    [(1, "RO302", "the seq of the last message"), (None, "RO302", "seq"), ("x", "22P02", "")],
)
async def test_an_unfit_seq_is_refused_with_the_cure(
    client: Client, function: str, up_to_seq: Any, code: str, hint: str
) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()

    answer = await ada.call(function, conversation_id=conversation_id, up_to_seq=up_to_seq)

    assert (answer.status, answer.body["code"]) == (400, code)
    assert hint in answer.body["hint"]


async def test_somebody_elses_conversation_is_not_found(client: Client) -> None:
    ada, outsider = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation()

    for function in ("mark_read", "mark_delivered"):
        answer = await outsider.call(function, conversation_id=conversation_id, up_to_seq=0)
        assert (answer.status, answer.body["code"]) == (404, "RO201")


async def test_who_has_read_a_message(client: Client) -> None:
    ada, grace, other, late = [await client.sign_up() for _ in range(4)]
    conversation_id = await ada.open_conversation(grace, other)
    where = {"conversation_id": conversation_id}
    (seq,) = await say(ada, conversation_id)
    (message,) = await ada.ask("list_messages", **where)
    assert await ada.ask("list_readers", message_id=message["id"]) == []

    await grace.ask("mark_read", **where, up_to_seq=seq)
    await other.ask("mark_delivered", **where, up_to_seq=seq)
    # Everything that was there when they came counts as read, but they did not read it.
    await ada.ask("add_participant", **where, user_id=late.user_id)

    assert await other.ask("list_readers", message_id=message["id"]) == sorted(
        (
            {"message_id": message["id"], "user_id": grace.user_id, "has_read": True},
            {"message_id": message["id"], "user_id": other.user_id, "has_read": False},
        ),
        key=lambda reader: str(reader["user_id"]),
    )


async def test_unread_counts_by_conversation_and_in_total(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    first, second, archived = [await ada.open_conversation(grace) for _ in range(3)]
    for conversation_id, times in ((first, 3), (second, 2), (archived, 1)):
        await say(ada, conversation_id, times)
    await ada.ask("archive_conversation", conversation_id=archived)

    assert await grace.ask("get_unread_counts") == {
        "total": 5,
        "conversations": [
            {"conversation_id": second, "unread_count": 2},
            {"conversation_id": first, "unread_count": 3},
        ],
    }
    assert await ada.ask("get_unread_counts") == {"total": 0, "conversations": []}
    listed = await grace.ask("list_conversations")
    assert {row["id"]: row["unread_count"] for row in listed} == {first: 3, second: 2}

    # Whoever answers has read what came before.
    await say(grace, first)
    assert await grace.ask("get_unread_counts") == {
        "total": 2,
        "conversations": [{"conversation_id": second, "unread_count": 2}],
    }
    assert (await ada.ask("get_unread_counts"))["total"] == 1


@dataclass(frozen=True)
class Room:
    """A conversation with four messages of Ada's, and connections of its people."""

    conversation_id: uuid.UUID
    grace_id: uuid.UUID
    ada: Connection
    phone: Connection
    laptop: Connection
    observer: Connection
    """A superuser's."""

    async def receipts(self) -> list[tuple[Any, ...]]:
        """What was told of Grace: read, delivered, unread."""
        cursor = await self.observer.execute(
            "SELECT (payload ->> 'last_read_seq')::int, (payload ->> 'last_delivered_seq')::int,"
            " (payload ->> 'unread_count')::int"
            " FROM realtime.events WHERE event = 'receipt' ORDER BY event_offset"
        )
        return await cursor.fetchall()

    async def markers(self) -> tuple[Any, ...] | None:
        cursor = await self.observer.execute(
            "SELECT last_read_seq, last_delivered_seq, read_number"
            " FROM roost.conversation_participants WHERE user_id = %s",
            [self.grace_id],
        )
        return await cursor.fetchone()


@pytest.fixture
async def room(database: str) -> AsyncIterator[Room]:
    ada_id, grace_id = uuid.uuid4(), uuid.uuid4()
    async with (
        await connect(database) as observer,
        await connect(database, "roost_user", ada_id) as ada,
        await connect(database, "roost_user", grace_id) as phone,
        await connect(database, "roost_user", grace_id) as laptop,
    ):
        for user_id in (ada_id, grace_id):
            await observer.execute(
                "INSERT INTO roost.users (id, email, password_hash)"
                " VALUES (%s, %s, '$argon2id$v=19$x')",
                [user_id, f"{user_id}@example.com"],
            )
        made = await ada.execute(
            "SELECT (api.create_conversation(participants => ARRAY[%s]::uuid[])).id", [grace_id]
        )
        row = await made.fetchone()
        assert row is not None
        for _ in range(4):
            await ada.execute(SEND, [row[0]])
        yield Room(row[0], grace_id, ada, phone, laptop, observer)


SEND = 'SELECT (api.send_message(%s, \'{"text": "hello"}\')).seq'
READ = "SELECT last_read_seq, unread_count FROM api.mark_read(%s, %s)"
DELIVERED = "SELECT last_delivered_seq, unread_count FROM api.mark_delivered(%s, %s)"


@pytest.mark.parametrize(
    ("first", "second", "answer", "told"),
    [
        # The slower device comes second: it learns how far the other is, and tells nobody.
        (4, 2, (4, 0), [(4, 4, 0)]),
        # The faster one does: both steps are told, in order.
        (2, 4, (4, 0), [(2, 2, 2), (4, 4, 0)]),
        (3, 3, (3, 1), [(3, 3, 1)]),
    ],
)
async def test_two_devices_end_at_the_further_one(
    room: Room, first: int, second: int, answer: tuple[int, int], told: list[tuple[int, int, int]]
) -> None:
    async with room.phone.transaction():
        await room.phone.execute(READ, [room.conversation_id, first])
        waiting = asyncio.create_task(room.laptop.execute(READ, [room.conversation_id, second]))
        await wait_for_lock(room.observer, room.laptop.info.backend_pid)
    assert await (await waiting).fetchone() == answer

    assert await room.receipts() == told
    assert await room.markers() == (answer[0], answer[0], answer[0])


async def test_what_is_marked_waits_for_nobody(room: Room) -> None:
    await room.phone.execute(READ, [room.conversation_id, 4])
    async with room.ada.transaction():
        await room.ada.execute(SEND, [room.conversation_id])
        # The conversation is locked until Ada's message is committed.
        await room.laptop.execute("SET lock_timeout = '1s'")
        marked = await room.laptop.execute(READ, [room.conversation_id, 2])
        assert await marked.fetchone() == (4, 0)
        marked = await room.laptop.execute(DELIVERED, [room.conversation_id, 4])
        assert await marked.fetchone() == (4, 0)


async def test_a_mark_beside_a_message(room: Room) -> None:
    async with room.ada.transaction():
        await room.ada.execute(SEND, [room.conversation_id])
        waiting = asyncio.create_task(room.phone.execute(READ, [room.conversation_id, 4]))
        await wait_for_lock(room.observer, room.phone.info.backend_pid)
    # What came meanwhile is unread.
    assert await (await waiting).fetchone() == (4, 1)
    assert await room.receipts() == [(4, 4, 1)]

    async with room.phone.transaction():
        await room.phone.execute(READ, [room.conversation_id, 5])
        waiting = asyncio.create_task(room.ada.execute(SEND, [room.conversation_id]))
        await wait_for_lock(room.observer, room.ada.info.backend_pid)
    # After the receipts, which are 6 and 7.
    assert await (await waiting).fetchone() == (8,)
    assert await room.receipts() == [(4, 4, 1), (5, 5, 0)]
    assert await room.markers() == (5, 5, 5)


async def test_a_mark_that_waited_for_a_removal_is_refused(room: Room) -> None:
    async with room.ada.transaction():
        await room.ada.execute(
            "SELECT api.remove_participant(%s, %s)", [room.conversation_id, room.grace_id]
        )
        waiting = asyncio.create_task(room.phone.execute(READ, [room.conversation_id, 4]))
        await wait_for_lock(room.observer, room.phone.info.backend_pid)
    with pytest.raises(psycopg.Error) as refused:
        await waiting
    assert refused.value.sqlstate == "RO201"
    assert await room.receipts() == []
    assert await room.markers() == (0, 0, 0)


async def test_a_removal_that_waited_for_a_mark(room: Room) -> None:
    async with room.phone.transaction():
        await room.phone.execute(READ, [room.conversation_id, 4])
        waiting = asyncio.create_task(
            room.ada.execute(
                "SELECT api.remove_participant(%s, %s)", [room.conversation_id, room.grace_id]
            )
        )
        await wait_for_lock(room.observer, room.ada.info.backend_pid)
    await waiting
    told = await room.observer.execute(
        "SELECT event FROM realtime.events WHERE event IN ('receipt', 'participant.removed')"
        " ORDER BY event_offset"
    )
    assert await told.fetchall() == [("receipt",), ("participant.removed",)]


async def test_many_devices_at_once(room: Room, database: str) -> None:
    """Each marks its own way to the end; what is told only ever goes forward."""
    for _ in range(16):
        await room.ada.execute(SEND, [room.conversation_id])

    async def device(step: int) -> None:
        async with await connect(database, "roost_user", room.grace_id) as connection:
            for seq in range(step, 21, step):
                await connection.execute(DELIVERED, [room.conversation_id, seq])
                await connection.execute(READ, [room.conversation_id, seq])

    await asyncio.gather(*(device(step) for step in (1, 2, 3, 5)))

    told = await room.receipts()
    assert told == sorted(told, key=lambda receipt: (receipt[0], receipt[1]))
    assert told[-1] == (20, 20, 0)
    assert [receipt[2] for receipt in told] == [20 - receipt[0] for receipt in told]
    assert await room.markers() == (20, 20, 20)
