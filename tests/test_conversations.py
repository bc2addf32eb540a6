"""Conversations over real sockets and from two sessions at once."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.locks import wait_for_lock
from tests.serving import Client
from tests.support import connect

NOTHING = "00000000-0000-7000-8000-000000000000"


async def test_a_conversation_is_in_the_lists_of_its_people(client: Client) -> None:
    ada, grace, outsider = [await client.sign_up() for _ in range(3)]

    made = await ada.ask(
        "create_conversation",
        title="Plans",
        participants=[grace.user_id],
        workspace_path="/srv/plans",
        metadata={"colour": "green"},
    )

    assert (made["title"], made["workspace_path"]) == ("Plans", "/srv/plans")
    assert (made["user_id"], made["role"], made["last_seq"]) == (ada.user_id, "owner", 0)
    assert made["metadata"] == {"colour": "green"}
    assert await ada.ask("list_conversations") == [made]
    assert await grace.ask("list_conversations") == [{**made, "role": "member"}]
    assert await outsider.ask("list_conversations") == []


async def test_the_last_active_conversation_comes_first(client: Client) -> None:
    ada = await client.sign_up()
    made = [await ada.open_conversation() for _ in range(3)]
    await ada.ask("send_message", conversation_id=made[0], content={"text": "again"})

    first = await ada.ask("list_conversations", page_size=2)
    last = first[-1]
    rest = await ada.ask(
        "list_conversations", before_activity=last["last_activity"], before_id=last["id"]
    )

    assert [row["id"] for row in first + rest] == [made[0], made[2], made[1]]


async def test_somebody_is_added(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation()
    who = {"conversation_id": conversation_id, "user_id": grace.user_id}

    added = await ada.ask("add_participant", **who, role="viewer")

    assert (added["user_id"], added["role"]) == (grace.user_id, "viewer")
    assert [row["id"] for row in await grace.ask("list_conversations")] == [conversation_id]
    # Again is no mistake; in another role it is.
    assert await ada.ask("add_participant", **who, role="viewer") == added
    other_role = await ada.call("add_participant", **who, role="member")
    assert (other_role.status, other_role.body["code"]) == (409, "RO301")


async def test_who_may_not_add_people(client: Client) -> None:
    ada, grace, outsider = [await client.sign_up() for _ in range(3)]
    who = {
        "conversation_id": await ada.open_conversation(grace),
        "user_id": outsider.user_id,
    }

    for caller, status, code in (
        (grace, 403, "RO202"),
        (outsider, 404, "RO201"),
        (client, 401, "42501"),
    ):
        answer = await caller.call("add_participant", **who)
        assert (answer.status, answer.body["code"]) == (status, code)
        assert answer.body["hint"]
    hidden = await outsider.call("add_participant", **who)
    unknown = await outsider.call("add_participant", **{**who, "conversation_id": NOTHING})
    # No more is to be learnt of it than of one that does not exist.
    assert {**hidden.body, "details": "", "request_id": ""} == {
        **unknown.body,
        "details": "",
        "request_id": "",
    }
    assert await outsider.ask("list_conversations") == []


@pytest.mark.parametrize(
    ("function", "arguments", "status", "code"),
    [
        ("create_conversation", {"participants": [str(uuid.uuid4())]}, 404, "RO201"),
        ("create_conversation", {"participants": [str(uuid.uuid4())] * 101}, 400, "RO302"),
        ("create_conversation", {"title": "x" * 201}, 400, "23514"),
        ("create_conversation", {"metadata": []}, 400, "23514"),
        ("list_conversations", {"page_size": 201}, 400, "RO302"),
        ("list_conversations", {"before_id": str(uuid.uuid4())}, 400, "RO302"),
    ],
)
async def test_unfit_values_are_refused(
    client: Client, function: str, arguments: dict[str, Any], status: int, code: str
) -> None:
    ada = await client.sign_up()

    answer = await ada.call(function, **arguments)

    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.body["hint"]
    assert await ada.ask("list_conversations") == []


@pytest.mark.parametrize("function", ["create_conversation", "list_conversations"])
async def test_nobody_has_no_conversations(client: Client, function: str) -> None:
    answer = await client.call(function)

    assert (answer.status, answer.body["code"]) == (401, "42501")


async def test_two_admins_add_one_person_once(database: str) -> None:
    owner, added = uuid.uuid4(), uuid.uuid4()
    async with await connect(database) as setup:
        for user_id in (owner, added):
            await setup.execute(
                "INSERT INTO roost.users (id, email, password_hash)"
                " VALUES (%s, %s, '$argon2id$v=19$x')",
                [user_id, f"{user_id}@example.com"],
            )
    async with (
        await connect(database, "roost_user", owner) as first,
        await connect(database, "roost_user", owner) as second,
        await connect(database) as observer,
    ):
        row = await (await first.execute("SELECT (api.create_conversation()).id")).fetchone()
        assert row is not None
        add = "SELECT (api.add_participant(%s, %s)).role"
        await first.execute("BEGIN")
        await first.execute(add, [row[0], added])
        waiting = asyncio.create_task(second.execute(add, [row[0], added]))
        await wait_for_lock(observer, second.info.backend_pid)
        await first.execute("COMMIT")
        await waiting

        events = await observer.execute(
            "SELECT count(*) FROM realtime.events WHERE event = 'participant.added'"
        )
        assert await events.fetchone() == (1,)
