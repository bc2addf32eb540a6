"""Operations for which the time of a call is too short, over real sockets."""

import asyncio
from typing import Any

import pytest

from tests.serving import Client
from tests.support import connect

SLOW = """
CREATE FUNCTION public.take_long() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
CREATE TRIGGER take_long BEFORE INSERT ON roost.messages
FOR EACH ROW WHEN (NEW.content ->> 'text' = 'slow') EXECUTE FUNCTION public.take_long();
"""


async def begin(client: Client, *texts: str) -> tuple[Client, str, list[dict[str, Any]]]:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    return (
        ada,
        conversation_id,
        [
            {
                "id": number,
                "kind": "send_message",
                "args": {"conversation_id": conversation_id, "content": {"text": text}},
            }
            for number, text in enumerate(texts, 1)
        ],
    )


async def texts(person: Client, conversation_id: str) -> list[str]:
    listed = await person.ask("list_messages", conversation_id=conversation_id)
    return [message["content"]["text"] for message in reversed(listed)]


async def test_one_that_takes_too_long_does_not_keep_the_others_waiting(
    serve: Any, database: str
) -> None:
    async with serve(statement_timeout_ms=1000) as client, await connect(database) as connection:
        await connection.execute(SLOW)
        ada, conversation_id, operations = await begin(client, "a", "b", "slow", "c", "d")
        answered: list[dict[str, Any]] = []
        while len(answered) < 5:
            answers = await ada.ask("push_operations", operations=operations[len(answered) :])
            assert answers
            answered += answers
        assert [(answer["id"], answer["outcome"], answer["code"]) for answer in answered] == [
            (1, "applied", None),
            (2, "applied", None),
            (3, "rejected", "57014"),
            (4, "applied", None),
            (5, "applied", None),
        ]
        assert await texts(ada, conversation_id) == ["a", "b", "c", "d"]
        again = await ada.ask("push_operations", operations=operations)
        assert {answer["outcome"] for answer in again} == {"duplicate"}


@pytest.mark.parametrize("before", [(), ("a", "b")])
async def test_who_goes_away_ends_the_call(
    serve: Any, database: str, before: tuple[str, ...]
) -> None:
    async with serve(statement_timeout_ms=60_000) as client, await connect(database) as connection:
        await connection.execute(SLOW)
        ada, conversation_id, operations = await begin(client, *before, "slow", "c")
        call = asyncio.create_task(ada.call("push_operations", operations=operations))
        sleeping = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = 'PgSleep'"
        )

        async def wait_for(number: int) -> None:
            while await (await connection.execute(sleeping)).fetchone() != (number,):
                await asyncio.sleep(0.01)

        await wait_for(1)
        call.cancel()
        await wait_for(0)
        assert await texts(ada, conversation_id) == []
        assert await ada.ask("list_sync_operations") == []


async def test_who_waits_for_somebody_else_does_not_take_too_long(
    serve: Any, database: str
) -> None:
    """Whatever the time of a call is: nothing is refused for good."""
    async with serve(statement_timeout_ms=1000) as client, await connect(database) as connection:
        ada, conversation_id, operations = await begin(client, "a", "b")
        async with connection.transaction():
            await connection.execute("SELECT FROM roost.conversations FOR UPDATE")
            answer = await ada.call("push_operations", operations=operations)
        assert (answer.status >= 400, answer.body["code"]) == (True, "55P03")
        assert await ada.ask("list_sync_operations") == []
        pushed = await ada.ask("push_operations", operations=operations)
        assert [answer["outcome"] for answer in pushed] == ["applied", "applied"]
        assert await texts(ada, conversation_id) == ["a", "b"]
