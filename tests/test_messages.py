"""Messages over real sockets and from two sessions at once."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.locks import wait_for_lock
from tests.serving import Client
from tests.support import connect


async def test_a_message_reaches_the_other_person(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)

    sent = await ada.ask("send_message", conversation_id=conversation_id, content={"text": "hello"})
    listed = await grace.ask("list_messages", conversation_id=conversation_id)

    assert listed == [sent]
    assert sent["content"] == {"text": "hello"}
    assert (sent["user_id"], sent["device_id"]) == (ada.user_id, ada.device_id)
    assert [c["id"] for c in await grace.ask("list_conversations")] == [conversation_id]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("send_message", {"content": {}}),
        ("send_message", {"content": {}, "id": str(uuid.uuid4())}),
        ("list_messages", {}),
    ],
)
async def test_somebody_elses_conversation_is_not_found(
    client: Client, function: str, arguments: dict[str, Any]
) -> None:
    ada, outsider = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation()

    answer = await outsider.call(function, conversation_id=conversation_id, **arguments)
    unknown = await outsider.call(function, conversation_id=str(uuid.uuid4()), **arguments)

    assert (answer.status, answer.body["code"]) == (404, "RO201")
    # No more is to be learnt of it than of one that does not exist.
    assert {**answer.body, "details": "", "request_id": ""} == {
        **unknown.body,
        "details": "",
        "request_id": "",
    }
    assert await ada.ask("list_messages", conversation_id=conversation_id) == []


async def test_one_id_sent_at_once_from_many_requests_is_one_message(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    message_id = str(uuid.uuid4())

    sent = await asyncio.gather(
        *(
            ada.ask(
                "send_message",
                conversation_id=conversation_id,
                content={"text": "once"},
                id=message_id,
            )
            for _ in range(20)
        )
    )

    assert all(message == sent[0] for message in sent)
    assert await ada.ask("list_messages", conversation_id=conversation_id) == [sent[0]]


async def test_an_id_with_another_body_is_refused(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    message = {"conversation_id": conversation_id, "id": str(uuid.uuid4())}
    await ada.ask("send_message", content={"text": "one"}, **message)

    answer = await ada.call("send_message", content={"text": "two"}, **message)

    assert (answer.status, answer.body["code"]) == (409, "RO301")


@pytest.mark.parametrize(
    ("arguments", "status", "code", "hint"),
    [
        ({"content": "text"}, 400, "23514", "Send content as a JSON object"),
        ({"content": {"x": "x" * 300_000}}, 400, "23514", "at most 256 KiB"),
        ({"content": None}, 400, "23502", "not null"),
        ({"content": {}, "message_type": "No Type"}, 400, "23514", "lower case"),
        (
            {"content": {}, "parent_message_id": str(uuid.uuid4())},
            409,
            "23503",
            "parent_message_id",
        ),
        ({"content": {}, "parent_message_id": "x"}, 400, "22P02", "UUID"),
    ],
)
async def test_an_unfit_message_is_refused_with_the_cure(
    client: Client, arguments: dict[str, Any], status: int, code: str, hint: str
) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()

    answer = await ada.call("send_message", conversation_id=conversation_id, **arguments)

    assert (answer.status, answer.body["code"]) == (status, code)
    assert hint in answer.body["hint"]
    assert await ada.ask("list_messages", conversation_id=conversation_id) == []


async def test_numbers_follow_the_order_of_commits_without_gaps(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)

    def send(person: Client, number: int) -> Any:
        # Every third one fails, and must give its number back.
        content: Any = "unfit" if number % 3 == 0 else {"number": number}
        return person.call("send_message", conversation_id=conversation_id, content=content)

    await asyncio.gather(*(send(person, n) for person in (ada, grace) for n in range(60)))

    listed = await ada.ask(
        "list_messages", conversation_id=conversation_id, after_seq=0, page_size=200
    )
    assert [message["seq"] for message in listed] == list(range(1, 81))


async def test_pages_join_up_in_both_directions(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    for number in range(7):
        await ada.ask("send_message", conversation_id=conversation_id, content={"n": number})

    async def page(**position: int) -> list[int]:
        rows = await ada.ask(
            "list_messages", conversation_id=conversation_id, page_size=3, **position
        )
        return [row["seq"] for row in rows]

    assert [await page(), await page(before_seq=5), await page(before_seq=2)] == [
        [7, 6, 5],
        [4, 3, 2],
        [1],
    ]
    assert [await page(after_seq=0), await page(after_seq=6), await page(after_seq=7)] == [
        [1, 2, 3],
        [7],
        [],
    ]


async def test_a_send_waits_for_the_one_before_it(database: str) -> None:
    """The row lock: a second writer gets the next number only once the first has committed."""
    user_id = uuid.uuid4()
    async with await connect(database) as setup:
        await setup.execute(
            "INSERT INTO roost.users (id, email, password_hash)"
            " VALUES (%s, 'ada@example.com', '$argon2id$v=19$x')",
            [user_id],
        )
    async with (
        await connect(database, "roost_user", user_id) as first,
        await connect(database, "roost_user", user_id) as second,
        await connect(database) as observer,
    ):
        row = await (await first.execute("SELECT (api.create_conversation()).id")).fetchone()
        assert row is not None
        send = "SELECT (api.send_message(%s, '{}')).seq"
        await first.execute("BEGIN")
        await first.execute(send, row)
        waiting = asyncio.create_task(second.execute(send, row))
        await wait_for_lock(observer, second.info.backend_pid)
        await first.execute("ROLLBACK")

        cursor = await waiting
        # The first was taken back, and its number with it.
        assert await cursor.fetchone() == (1,)
