"""Reactions, lists of attachments and of mentions over real sockets, and two who react at once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.listening import listening
from tests.locks import wait_for_lock
from tests.serving import Client
from tests.support import connect

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def say(person: Client, conversation_id: str, text: str, **more: Any) -> dict[str, Any]:
    message: dict[str, Any] = await person.ask(
        "send_message", conversation_id=conversation_id, content={"text": text}, **more
    )
    return message


async def test_a_reaction_reaches_the_other_person(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    message = await say(ada, conversation_id, "hello")
    reaction = {"message_id": message["id"], "reaction": "👍"}

    async with listening(ada, conversation_id) as heard:
        added = await grace.ask("add_reaction", **reaction)
        assert added == {
            **reaction,
            "conversation_id": conversation_id,
            "seq": message["seq"],
            "user_id": grace.user_id,
            "added": True,
            "reactions": [{"reaction": "👍", "count": 1, "user_ids": [grace.user_id]}],
        }
        assert await heard.next() == ("reaction", added)
        # Again, and of what is not there: nobody hears of it.
        assert await grace.ask("add_reaction", **reaction) == added
        await ada.ask("remove_reaction", **reaction)
        (listed,) = await ada.ask("list_messages", conversation_id=conversation_id)
        assert listed["reactions"] == added["reactions"]
        assert (listed["version"], listed["updated_at"]) == (1, message["updated_at"])

        removed = await grace.ask("remove_reaction", **reaction)
        assert removed == {**added, "added": False, "reactions": []}
        assert await heard.next() == ("reaction", removed)
        await heard.has_nothing_more()
    assert await ada.ask("list_reactions", message_id=message["id"]) == []


@pytest.mark.parametrize(
    ("reaction", "code", "hint"),
    [("no spaces", "23514", "without spaces"), ("", "23514", "1 to 32"), (None, "23502", "")],
)
async def test_an_unfit_reaction_is_refused_with_the_cure(
    client: Client, reaction: str | None, code: str, hint: str
) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    message = await say(ada, conversation_id, "hello")

    answer = await ada.call("add_reaction", message_id=message["id"], reaction=reaction)

    assert (answer.status, answer.body["code"]) == (400, code)
    assert hint in answer.body["hint"]
    assert await ada.ask("list_reactions", message_id=message["id"]) == []


async def test_an_archived_conversation_takes_no_reaction(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    message = await say(ada, conversation_id, "hello")
    await ada.ask("add_reaction", message_id=message["id"], reaction="👍")
    await ada.ask("archive_conversation", conversation_id=conversation_id)

    for function in ("add_reaction", "remove_reaction"):
        answer = await ada.call(function, message_id=message["id"], reaction="👍")
        assert (answer.status, answer.body["code"]) == (409, "RO203")
    (listed,) = await ada.ask("list_reactions", message_id=message["id"])
    assert (listed["user_id"], listed["reaction"]) == (ada.user_id, "👍")


async def test_reactions_come_back_with_their_message(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    message = await say(ada, conversation_id, "hello")
    added = await grace.ask("add_reaction", message_id=message["id"], reaction="👍")

    await ada.ask("delete_message", message_id=message["id"])
    answer = await ada.call("add_reaction", message_id=message["id"], reaction="👍")
    assert (answer.status, answer.body["code"]) == (409, "RO304")
    assert await ada.ask("list_reactions", message_id=message["id"]) == []

    restored = await ada.ask("restore_message", message_id=message["id"])
    assert restored["reactions"] == added["reactions"]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("add_reaction", {"reaction": "👍"}),
        ("remove_reaction", {"reaction": "👍"}),
        ("list_reactions", {}),
        ("list_readers", {}),
    ],
)
async def test_somebody_elses_message_is_not_found(
    client: Client, function: str, arguments: dict[str, Any]
) -> None:
    ada, outsider = await client.sign_up(), await client.sign_up()
    message = await say(ada, await ada.open_conversation(), "hello")

    answer = await outsider.call(function, message_id=message["id"], **arguments)
    unknown = await outsider.call(function, message_id=str(uuid.uuid4()), **arguments)

    assert (answer.status, answer.body["code"]) == (404, "RO201")
    # No more is to be learnt of it than of one that does not exist.
    assert {**answer.body, "details": "", "request_id": ""} == {
        **unknown.body,
        "details": "",
        "request_id": "",
    }


async def test_attachments_are_listed_in_pages_that_join_up(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    sent = [
        await say(
            ada,
            conversation_id,
            "look",
            attachments=[
                {
                    "name": f"{number}-{place}.png",
                    "media_type": "image/png",
                    "size": 5,
                    "url": "https://example.com/a.png",
                }
                for place in range(3)
            ],
        )
        for number in range(3)
    ]

    pages: list[dict[str, Any]] = []
    position: dict[str, int] = {}
    while page := await grace.ask(
        "list_attachments", conversation_id=conversation_id, page_size=2, **position
    ):
        pages += page
        position = {"before_seq": page[-1]["seq"], "after_place": page[-1]["place"]}

    assert [attached["name"] for attached in pages] == [
        f"{number}-{place}.png" for number in (2, 1, 0) for place in range(3)
    ]
    # As in the message, and where that is.
    in_messages = [attached for message in reversed(sent) for attached in message["attachments"]]
    assert [{name: row[name] for name in in_messages[0]} for row in pages] == in_messages
    assert {row["message_id"] for row in pages} == {message["id"] for message in sent}
    assert {row["user_id"] for row in pages} == {ada.user_id}


async def test_who_is_mentioned_finds_it(client: Client) -> None:
    ada, grace, other = [await client.sign_up() for _ in range(3)]
    conversations = [await ada.open_conversation(grace, other) for _ in range(2)]
    sent = [
        await say(ada, conversation_id, f"@{grace.user_id} {number}")
        for number in range(2)
        for conversation_id in conversations
    ]

    first = await grace.ask("list_mentions", page_size=3)
    position = {"before_created_at": first[-1]["created_at"], "before_id": first[-1]["id"]}
    assert first + await grace.ask("list_mentions", **position) == sent[::-1]
    assert await other.ask("list_mentions") == []

    await grace.ask("leave_conversation", conversation_id=conversations[0])
    assert await grace.ask("list_mentions") == [sent[3], sent[1]]


@pytest.fixture
async def people(database: str) -> AsyncIterator[tuple[str, list[Connection], Connection]]:
    """The id of a message, two people's connections who may react to it, and an observer."""
    ids = [uuid.uuid4(), uuid.uuid4()]
    async with (
        await connect(database) as observer,
        await connect(database, "roost_user", ids[0]) as ada,
        await connect(database, "roost_user", ids[1]) as grace,
    ):
        for user_id in ids:
            await observer.execute(
                "INSERT INTO roost.users (id, email, password_hash)"
                " VALUES (%s, %s, '$argon2id$v=19$x')",
                [user_id, f"{user_id}@example.com"],
            )
        made = await ada.execute(
            """
            SELECT (api.send_message(opened.id, '{"text": "hello"}')).id
            FROM api.create_conversation(participants => ARRAY[%s]::uuid[]) AS opened
            """,
            [ids[1]],
        )
        row = await made.fetchone()
        assert row is not None
        yield row[0], [ada, grace], observer


async def test_two_who_react_at_once_are_both_counted(
    people: tuple[str, list[Connection], Connection],
) -> None:
    message_id, (ada, grace), observer = people
    react = "SELECT (api.add_reaction(%s, '👍')).reactions -> 0 ->> 'count'"

    async with ada.transaction():
        await ada.execute(react, [message_id])
        waiting = asyncio.create_task(grace.execute(react, [message_id]))
        await wait_for_lock(observer, grace.info.backend_pid)
    assert await (await waiting).fetchone() == ("2",)

    told = await observer.execute(
        "SELECT payload -> 'reactions' -> 0 ->> 'count' FROM realtime.events"
        " WHERE event = 'reaction' ORDER BY event_offset"
    )
    assert await told.fetchall() == [("1",), ("2",)]


async def test_two_operators_who_write_at_once_are_both_counted(
    people: tuple[str, list[Connection], Connection], database: str
) -> None:
    message_id, _, observer = people
    write = (
        "INSERT INTO roost.message_reactions (message_id, user_id, reaction)"
        " SELECT %s, id, '👍' FROM roost.users ORDER BY id LIMIT 1 OFFSET %s"
    )
    async with await connect(database) as first, await connect(database) as second:
        async with first.transaction():
            await first.execute(write, [message_id, 0])
            waiting = asyncio.create_task(second.execute(write, [message_id, 1]))
            await wait_for_lock(observer, second.info.backend_pid)
        await waiting

    counted = await observer.execute(
        "SELECT message.reactions -> 0 ->> 'count', message.change_seq = conversation.last_seq"
        " FROM roost.messages AS message"
        " JOIN roost.conversations AS conversation ON conversation.id = message.conversation_id"
    )
    assert await counted.fetchall() == [("2", True)]


async def test_a_reaction_that_waited_for_a_deletion_is_refused(
    people: tuple[str, list[Connection], Connection],
) -> None:
    message_id, (ada, grace), observer = people

    async with ada.transaction():
        await ada.execute("SELECT api.delete_message(%s)", [message_id])
        waiting = asyncio.create_task(
            grace.execute("SELECT api.add_reaction(%s, '👍')", [message_id])
        )
        await wait_for_lock(observer, grace.info.backend_pid)
    with pytest.raises(psycopg.Error) as refused:
        await waiting
    assert refused.value.sqlstate == "RO304"
    kept = await observer.execute("SELECT count(*) FROM roost.message_reactions")
    assert await kept.fetchone() == (0,)
