"""Who is typing: over real sockets, and beside people who write."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.listening import listening
from tests.serving import Client
from tests.support import connect

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def test_typing_reaches_the_other_person(client: Client) -> None:
    ada, grace = await client.sign_up("ada@example.com"), await client.sign_up()
    tablet = await client.sign_in("ada@example.com")
    conversation_id = await ada.open_conversation(grace)
    where = {"conversation_id": conversation_id}

    async with listening(grace, conversation_id) as heard:
        shown = await ada.ask("set_typing", **where)
        assert shown == {
            **where,
            "user_id": ada.user_id,
            "device_id": ada.device_id,
            "typing": True,
            "expires_at": shown["expires_at"],
        }
        assert await heard.next() == ("typing", shown)
        on_tablet = await tablet.ask("set_typing", **where)
        assert await heard.next() == ("typing", on_tablet)
        # On each device by itself.
        listed = await grace.ask("list_typing", **where)
        assert sorted(listed, key=str) == sorted([shown, on_tablet], key=str)

        stopped = await ada.ask("set_typing", **where, typing=False)
        assert stopped == {**shown, "typing": False, "expires_at": None}
        assert await heard.next() == ("typing", stopped)
        assert await grace.ask("list_typing", **where) == [on_tablet]
        # Nothing to stop, nothing to hear.
        await ada.ask("set_typing", **where, typing=False)
        await heard.has_nothing_more()
    # It is not stored.
    assert (await ada.ask("get_conversation", **where))["last_seq"] == 0


async def test_typing_ends_by_itself(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    where = {"conversation_id": await ada.open_conversation(grace)}
    loop = asyncio.get_running_loop()

    started = loop.time()
    await ada.ask("set_typing", **where)
    while await grace.ask("list_typing", **where):
        await asyncio.sleep(0.05)

    assert 5.9 < loop.time() - started < 9


async def test_an_archived_conversation_refuses(client: Client) -> None:
    ada = await client.sign_up()
    where = {"conversation_id": await ada.open_conversation()}
    await ada.ask("archive_conversation", **where)

    answer = await ada.call("set_typing", **where)

    assert (answer.status, answer.body["code"]) == (409, "RO203")
    assert "unarchive_conversation" in answer.body["hint"]
    assert await ada.ask("list_typing", **where) == []


async def test_who_may_not(client: Client) -> None:
    ada, viewer, outsider = [await client.sign_up() for _ in range(3)]
    where = {"conversation_id": await ada.open_conversation()}
    await ada.ask("add_participant", **where, user_id=viewer.user_id, role="viewer")

    for caller, function, status, code in (
        (viewer, "set_typing", 403, "RO202"),
        (outsider, "set_typing", 404, "RO201"),
        (outsider, "list_typing", 404, "RO201"),
        (client, "set_typing", 401, "42501"),
        (client, "list_typing", 401, "42501"),
    ):
        answer = await caller.call(function, **where)
        assert (answer.status, answer.body["code"]) == (status, code)
        assert answer.body["hint"]
    assert await viewer.ask("list_typing", **where) == []


async def test_whoever_is_removed_is_not_seen(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    where = {"conversation_id": await ada.open_conversation(grace)}
    await grace.ask("set_typing", **where)
    assert [row["user_id"] for row in await ada.ask("list_typing", **where)] == [grace.user_id]

    await ada.ask("remove_participant", **where, user_id=grace.user_id)

    assert await ada.ask("list_typing", **where) == []
    answer = await grace.call("set_typing", **where)
    assert (answer.status, answer.body["code"]) == (404, "RO201")


@pytest.fixture
async def people(database: str) -> AsyncIterator[tuple[uuid.UUID, Connection, Connection]]:
    """A conversation, its writer, and somebody in it with a device."""
    ids = [uuid.uuid4(), uuid.uuid4()]
    async with (
        await connect(database) as setup,
        await connect(database, "roost_user", ids[0]) as writer,
        await connect(database, "roost_user", ids[1]) as typist,
    ):
        for user_id in ids:
            await setup.execute(
                "INSERT INTO roost.users (id, email, password_hash)"
                " VALUES (%s, %s, '$argon2id$v=19$x')",
                [user_id, f"{user_id}@example.com"],
            )
        await setup.execute("INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)", [ids[1]] * 2)
        await typist.execute("SELECT set_config('roost.device_id', %s, false)", [str(ids[1])])
        made = await writer.execute(
            "SELECT (api.create_conversation(participants => ARRAY[%s]::uuid[])).id", [ids[1]]
        )
        row = await made.fetchone()
        assert row is not None
        for connection in (writer, typist):
            await connection.execute("SET lock_timeout = '1s'")
        yield row[0], writer, typist


TYPE = "SELECT typing FROM api.set_typing(%s, %s)"


@pytest.mark.parametrize(
    "write",
    [
        'SELECT api.send_message(%s, \'{"text": "hello"}\')',
        'SELECT api.send_message(%s, \'{"text": "hello"}\', id => gen_random_uuid())',
        "SELECT api.update_conversation(%s, title => 'Other plans')",
    ],
)
async def test_typing_waits_for_no_writer_nor_a_writer_for_it(
    people: tuple[uuid.UUID, Connection, Connection], write: str
) -> None:
    conversation_id, writer, typist = people

    async with writer.transaction():
        await writer.execute(write.encode(), [conversation_id])
        for typing in (True, True, False, True):
            typed = await typist.execute(TYPE, [conversation_id, typing])
            assert await typed.fetchone() == (typing,)

    await typist.execute(TYPE, [conversation_id, False])
    async with typist.transaction():
        await typist.execute(TYPE, [conversation_id, True])
        await writer.execute(write.encode(), [conversation_id])


async def test_a_device_that_goes_meanwhile(
    people: tuple[uuid.UUID, Connection, Connection], database: str
) -> None:
    conversation_id, _, typist = people
    async with await connect(database) as operator:
        await operator.execute("DELETE FROM roost.devices")

    with pytest.raises(psycopg.Error) as refused:
        await typist.execute(TYPE, [conversation_id, True])

    assert refused.value.sqlstate == "RO302"
    assert "register_device" in (refused.value.diag.message_hint or "")
