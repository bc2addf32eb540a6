"""Operations of devices that were offline, over real sockets, and what two sessions do at once."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.locks import wait_for_lock
from tests.serving import Client
from tests.support import connect

EMAIL = "ada@example.com"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(slots=True)
class Queue:
    """A device that counts its operations and sends them."""

    client: Client
    last_id: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, /, **operation: Any) -> dict[str, Any]:
        """One more operation; what it says of itself is told from its arguments by its name."""
        self.last_id += 1
        made: dict[str, Any] = {"id": self.last_id, "kind": kind}
        for name in ("base_version", "base", "policy", "depends_on", "queued_at"):
            if name in operation:
                made[name] = operation.pop(name)
        made["args"] = operation
        self.sent.append(made)
        return made

    async def push(self, *operations: dict[str, Any]) -> list[dict[str, Any]]:
        """What the server says of these, or of all that were not pushed yet."""
        waiting = list(operations)
        if not operations:
            waiting, self.sent = self.sent, []
        answer: list[dict[str, Any]] = await self.client.ask("push_operations", operations=waiting)
        return answer

    async def do(self, kind: str, /, **operation: Any) -> dict[str, Any]:
        """What the server says of one more operation."""
        (answer,) = await self.push(self.add(kind, **operation))
        self.sent.clear()
        return answer


@pytest.fixture
async def ada(client: Client) -> Client:
    return await client.sign_up(EMAIL)


@pytest.fixture
async def phone(ada: Client) -> Queue:
    return Queue(ada)


@pytest.fixture
async def laptop(ada: Client) -> Client:
    """The same person on another device."""
    return await ada.sign_in(EMAIL)


@pytest.fixture
async def plans(ada: Client) -> str:
    return await ada.open_conversation()


@pytest.fixture
async def observer(database: str) -> AsyncIterator[Connection]:
    async with await connect(database) as connection:
        yield connection


async def count(observer: Connection, query: str) -> int:
    cursor = await observer.execute(query.encode())
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def say(client: Client, conversation_id: str, text: str) -> dict[str, Any]:
    message: dict[str, Any] = await client.ask(
        "send_message", conversation_id=conversation_id, content={"text": text}
    )
    return message


async def edit(client: Client, message: dict[str, Any], text: str) -> dict[str, Any]:
    edited: dict[str, Any] = await client.ask(
        "edit_message",
        message_id=message["id"],
        content={"text": text},
        based_on_version=message["version"],
    )
    return edited


async def text_of(client: Client, message: dict[str, Any]) -> str | None:
    content = (await client.ask("get_message", message_id=message["id"]))["content"]
    return None if content is None else str(content["text"])


def outcomes(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["outcome"] for answer in answers]


async def inbox(observer: Connection, client: Client) -> list[tuple[str, Any]]:
    """The conflicts that all devices of a person were told of."""
    cursor = await observer.execute(
        "SELECT event, payload FROM realtime.events WHERE topic = 'user:' || %s"
        " AND event LIKE 'conflict.%%' ORDER BY event_offset",
        [client.user_id],
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def test_a_day_offline(phone: Queue, laptop: Client, observer: Connection) -> None:
    """Every kind of operation, on what the device itself has made, in one list."""
    grace = await phone.client.sign_up()
    plans, hello = str(uuid.uuid4()), str(uuid.uuid4())
    for kind, args in (
        ("create_conversation", {"id": plans, "title": "Plans"}),
        ("send_message", {"conversation_id": plans, "id": hello, "content": {"text": "helo"}}),
        ("edit_message", {"message_id": hello, "content": {"text": "hello"}}),
        ("add_reaction", {"message_id": hello, "reaction": "ok"}),
        ("add_reaction", {"message_id": hello, "reaction": "no"}),
        ("remove_reaction", {"message_id": hello, "reaction": "no"}),
        ("delete_message", {"message_id": hello}),
        ("restore_message", {"message_id": hello}),
        ("add_participant", {"conversation_id": plans, "user_id": grace.user_id}),
        ("remove_participant", {"conversation_id": plans, "user_id": grace.user_id}),
        ("update_conversation", {"conversation_id": plans, "metadata": {"colour": "red"}}),
        ("archive_conversation", {"conversation_id": plans}),
        ("unarchive_conversation", {"conversation_id": plans}),
        ("mark_read", {"conversation_id": plans, "up_to_seq": 1}),
        ("update_me", {"preferences": {"theme": "dark"}}),
    ):
        phone.add(kind, **args)
    answers = await phone.push()
    assert outcomes(answers) == ["applied"] * 15, answers
    assert [answer["id"] for answer in answers] == list(range(1, 16))

    # The same as if each had been called.
    message = await laptop.ask("get_message", message_id=hello)
    assert message["content"] == {"text": "hello"}
    assert message["device_id"] == phone.client.device_id
    assert [given["reaction"] for given in message["reactions"]] == ["ok"]
    conversation = await laptop.ask("get_conversation", conversation_id=plans)
    assert (conversation["title"], conversation["metadata"]) == ("Plans", {"colour": "red"})
    assert (await laptop.ask("get_me"))["preferences"] == {"theme": "dark"}
    assert answers[0]["result"]["id"] == plans
    cursor = await observer.execute(
        "SELECT event FROM realtime.events WHERE topic = %s ORDER BY event_offset",
        [f"conversation:{plans}"],
    )
    assert [row[0] for row in await cursor.fetchall()] == [
        "message.created",
        "message.updated",
        "reaction",
        "reaction",
        "reaction",
        "message.deleted",
        "message.restored",
        "participant.added",
        "participant.removed",
        "conversation.updated",
        "conversation.archived",
        "conversation.unarchived",
    ]

    left = await grace.open_conversation(phone.client)
    assert (await phone.do("leave_conversation", conversation_id=left))["outcome"] == "applied"


async def test_exactly_once(phone: Queue, plans: str, laptop: Client, observer: Connection) -> None:
    """However often it comes, in whichever pieces and order, from that device or another."""
    for number in range(1, 7):
        phone.add("send_message", conversation_id=plans, content={"text": str(number)})
    first, *rest = phone.sent
    assert outcomes(await phone.push(first, first)) == ["applied", "duplicate"]
    assert outcomes(await phone.push(rest[1], rest[0], first)) == [
        "duplicate",
        "applied",
        "applied",
    ]
    answers = await phone.push(*reversed(phone.sent))
    assert outcomes(answers) == ["duplicate"] * 3 + ["applied"] * 3
    (again,) = await phone.push({**first, "args": dict(reversed(first["args"].items()))})
    assert (again["outcome"], again["first_outcome"]) == ("duplicate", "applied")
    assert again["result"].keys() >= {"id", "conversation_id", "seq", "version"}
    assert "content" not in again["result"]

    # Each device counts for itself.
    assert outcomes(await Queue(laptop).push(first)) == ["applied"]

    # Not even when nothing is known any more of what it was.
    await observer.execute(
        "UPDATE roost.sync_operations SET applied_at = now() - interval '1 year'"
    )
    async with await connect(observer.info.dsn, "roost_gateway") as job:
        cursor = await job.execute("SELECT roost.expire_sync_operations(100)")
        assert await cursor.fetchone() == (0,)
    assert await count(observer, "SELECT count(*) FROM roost.sync_operations") == 0
    answers = await phone.push()
    assert outcomes(answers) == ["duplicate"] * 6
    assert {answer["first_outcome"] for answer in answers} == {None}

    messages = await phone.client.ask("list_messages", conversation_id=plans)
    texts = [message["content"]["text"] for message in messages]
    assert sorted(texts) == ["1", "1", "2", "3", "4", "5", "6"]
    assert (
        await count(
            observer, "SELECT count(*) FROM realtime.events WHERE event = 'message.created'"
        )
        == 7
    )


async def test_another_body_under_the_same_id(phone: Queue, plans: str) -> None:
    sent = phone.add("send_message", conversation_id=plans, content={"text": "hello"})
    assert outcomes(await phone.push(sent)) == ["applied"]
    for other in (
        {**sent, "args": {**sent["args"], "content": {"text": "hi"}}},
        {**sent, "depends_on": []},
        {**sent, "kind": "update_me"},
    ):
        (answer,) = await phone.push(other)
        assert (answer["outcome"], answer["code"]) == ("rejected", "RO301")
        assert answer["hint"]
    # It is the first that is recorded.
    (listed,) = await phone.client.ask("list_sync_operations")
    assert (listed["outcome"], listed["kind"]) == ("applied", "send_message")
    assert len(await phone.client.ask("list_messages", conversation_id=plans)) == 1


async def test_a_gap_is_refused_with_the_id_to_send_from(phone: Queue, plans: str) -> None:
    for number in range(1, 6):
        phone.add("send_message", conversation_id=plans, content={"text": str(number)})
    all_of_them = phone.sent
    one, two, _, four, five = all_of_them
    answers = await phone.push(one, two, four, five)
    assert outcomes(answers) == ["applied", "applied", "rejected", "rejected"]
    for answer in answers[2:]:
        assert (answer["code"], answer["details"]) == ("RO307", "Missing: 3")
        assert answer["hint"] == "Send all from 3 on, in order."
    assert len(await phone.client.ask("list_sync_operations")) == 2
    # From there on, in whichever order.
    assert outcomes(await phone.push(*reversed(all_of_them))) == ["duplicate"] * 2 + ["applied"] * 3


async def test_poison_is_recorded_and_passed_over(
    phone: Queue, plans: str, observer: Connection
) -> None:
    """Whatever is wrong with an operation, those behind it are applied."""
    message = await say(phone.client, plans, "hello")
    before = await count(observer, "SELECT count(*) FROM realtime.events")
    for expected, operation in (
        ("RO302", {"kind": "drop_table", "args": {}}),
        ("RO302", {"args": {}}),
        ("RO302", {"kind": "send_message"}),
        ("RO302", {"kind": "send_message", "args": []}),
        ("RO302", {"kind": "send_message", "args": {"text": "hello"}}),
        ("RO302", {"kind": "send_message", "args": {}, "baseVersion": 1}),
        ("RO302", {"kind": "edit_message", "args": {}, "base_version": "one"}),
        ("RO302", {"kind": "edit_message", "args": {}, "base": []}),
        ("RO302", {"kind": "edit_message", "args": {}, "policy": "mine"}),
        ("RO302", {"kind": "edit_message", "args": {}, "depends_on": "1"}),
        ("RO302", {"kind": "mark_read", "args": {}, "depends_on": [999]}),
        ("RO302", {"kind": "send_message", "args": {"content": {"text": "x" * 600_000}}}),
        ("22007", {"kind": "update_me", "args": {}, "queued_at": "yesterday evening"}),
        ("22P02", {"kind": "edit_message", "args": {"message_id": "1"}}),
        ("22P02", {"kind": "mark_read", "args": {"conversation_id": plans, "up_to_seq": "x"}}),
        ("RO201", {"kind": "mark_read", "args": {}}),
        ("RO302", {"kind": "mark_read", "args": {"conversation_id": plans, "up_to_seq": 10**9}}),
        ("RO201", {"kind": "delete_message", "args": {"message_id": str(uuid.uuid4())}}),
        ("23502", {"kind": "send_message", "args": {"conversation_id": plans}}),
        (
            "23514",
            {"kind": "send_message", "args": {"conversation_id": plans, "content": {"text": ""}}},
        ),
        (
            "23514",
            {"kind": "add_reaction", "args": {"message_id": message["id"], "reaction": "a b"}},
        ),
        ("23514", {"kind": "update_me", "args": {"display_name": "x" * 101}}),
        ("RO204", {"kind": "leave_conversation", "args": {"conversation_id": plans}}),
    ):
        phone.last_id += 1
        good = phone.add("send_message", conversation_id=plans, content={"text": expected})
        answers = await phone.push({"id": good["id"] - 1, **operation}, good)
        assert outcomes(answers) == ["rejected", "applied"], (operation, answers)
        assert (answers[0]["code"], answers[0]["result"]) == (expected, None), answers
        assert answers[0]["message"]
        assert answers[0]["hint"]
        (again,) = await phone.push({"id": good["id"] - 1, **operation})
        assert again == {**answers[0], "outcome": "duplicate", "first_outcome": "rejected"}

    # Nothing of those that failed is left, no event either.
    applied = phone.last_id // 2
    assert await count(observer, "SELECT count(*) FROM realtime.events") == before + applied
    failed = await phone.client.ask("list_sync_operations", outcome="rejected", page_size=200)
    assert len(failed) == applied
    assert [row["id"] for row in failed] == list(range(2 * applied - 1, 0, -2))


async def test_what_is_no_list_of_operations(client: Client, phone: Queue) -> None:
    wrong: Any
    for wrong in (
        None,
        {},
        "x",
        [1],
        [None],
        [{}],
        [{"id": "1"}],
        [{"id": 0}],
        [{"id": -1}],
        [{"id": 1.5}],
        [{"id": 10**30}],
        [{"id": 1}] * 1001,
    ):
        answer = await phone.client.call("push_operations", operations=wrong)
        assert (answer.status, answer.body["code"]) == (400, "RO302"), wrong
        assert answer.body["hint"]
    assert await phone.client.ask("push_operations", operations=[]) == []
    assert (await client.call("push_operations", operations=[])).body["code"] == "42501"


async def test_everything_of_an_operation_that_failed_is_rolled_back(
    phone: Queue, plans: str, database: str, observer: Connection
) -> None:
    """Also what it did before it failed: its message, its event, and whom it was to wake."""
    await observer.execute(
        "CREATE FUNCTION roost.refuse_seq_two() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'never' USING ERRCODE = '23514'; END $$;"
        " CREATE TRIGGER zz_refuse AFTER INSERT ON realtime.events FOR EACH ROW"
        " WHEN (NEW.event = 'message.created' AND NEW.event_offset = 2)"
        " EXECUTE FUNCTION roost.refuse_seq_two()"
    )
    for number in range(1, 4):
        phone.add("send_message", conversation_id=plans, content={"text": str(number)})
    async with await connect(database, "roost_user", uuid.UUID(phone.client.user_id)) as session:
        await session.execute(
            "SELECT set_config('roost.device_id', %s, false)", [phone.client.device_id]
        )
        async with session.transaction():
            await session.execute("SELECT set_config('roost.gateway', 'on', true)")
            cursor = await session.execute(
                "SELECT outcome FROM api.push_operations(%s)", [json.dumps(phone.sent)]
            )
            # The third takes the offset that the second has given back, and fails as well.
            assert [row[0] for row in await cursor.fetchall()] == [
                "applied",
                "rejected",
                "rejected",
            ]
            cursor = await session.execute("SELECT current_setting('roost.touched', true)")
            assert await cursor.fetchone() == (f"conversation:{plans}",)
    cursor = await observer.execute(
        "SELECT last_seq, last_number FROM roost.conversations WHERE id = %s", [plans]
    )
    assert await cursor.fetchone() == (1, 1)
    assert await count(observer, "SELECT count(*) FROM roost.messages") == 1
    assert await count(observer, "SELECT count(*) FROM roost.message_changes") == 1


async def test_dependants_are_deferred(phone: Queue, plans: str) -> None:
    """What they say, and what they name; in later lists, too; and nobody else."""
    lost, gone, there = (str(uuid.uuid4()) for _ in range(3))
    phone.add("create_conversation", id=lost, title="x" * 201)
    phone.add("send_message", conversation_id=lost, id=gone, content={"text": "hello"})
    phone.add("add_reaction", message_id=gone, reaction="ok")
    phone.add("send_message", conversation_id=plans, content={"text": "hello"})
    phone.add("update_me", display_name="Ada", depends_on=[4])
    phone.add("update_me", display_name="Grace", depends_on=[4, 1])
    answers = await phone.push()
    assert outcomes(answers) == [
        "rejected",
        "deferred",
        "deferred",
        "applied",
        "applied",
        "deferred",
    ]
    for number, failed in ((1, 1), (2, 2), (5, 1)):
        assert answers[number]["code"] == "RO306"
        assert answers[number]["details"] == f"Operation: {failed}"
        assert answers[number]["hint"]
    assert (await phone.client.ask("get_me"))["display_name"] == "Ada"

    assert (await phone.do("mark_read", conversation_id=lost, up_to_seq=1))["outcome"] == "deferred"
    # Once it is put right, what names it is applied.
    assert (await phone.do("create_conversation", id=lost, title="x"))["outcome"] == "applied"
    sent = await phone.do("send_message", conversation_id=lost, id=there, content={"text": "hi"})
    assert sent["outcome"] == "applied"


async def test_two_lists_of_one_device_at_once(
    phone: Queue, plans: str, database: str, observer: Connection
) -> None:
    """The device's row: the second waits, and finds what the first has done, or that it has not."""
    async with AsyncExitStack() as stack:
        sessions = []
        for _ in range(2):
            session = await stack.enter_async_context(
                await connect(database, "roost_user", uuid.UUID(phone.client.user_id))
            )
            await session.execute(
                "SELECT set_config('roost.device_id', %s, false)", [phone.client.device_id]
            )
            sessions.append(session)
        first, second = sessions

        async def push(session: Connection, *operations: dict[str, Any]) -> list[str]:
            cursor = await session.execute(
                "SELECT outcome FROM api.push_operations(%s) ORDER BY id",
                [json.dumps(operations)],
            )
            return [row[0] for row in await cursor.fetchall()]

        # The very first of a device, which has no row yet, and one after that.
        for commits in (False, True, True):
            one = phone.add("send_message", conversation_id=plans, content={"text": "one"})
            two = phone.add("send_message", conversation_id=plans, content={"text": "two"})
            async with first.transaction(force_rollback=not commits):
                assert await push(first, one) == ["applied"]
                task = asyncio.create_task(push(second, one, two))
                async with asyncio.timeout(10):
                    await wait_for_lock(observer, second.info.backend_pid)
            assert await task == ["duplicate" if commits else "applied", "applied"]
    assert await count(observer, "SELECT count(*) FROM roost.messages") == 6
    assert await count(observer, "SELECT last_operation_id FROM roost.sync_devices") == 6


async def test_many_lists_of_one_device_at_once(phone: Queue, plans: str) -> None:
    """Retries of a client that does not wait, over HTTP: each operation takes effect once."""
    # First of a device that has no row yet.
    for last in (40, 80):
        while phone.last_id < last:
            text = str(phone.last_id + 1)
            phone.add("send_message", conversation_id=plans, content={"text": text})
        waiting, phone.sent = phone.sent, []
        answers = await asyncio.gather(*(phone.push(*waiting) for _ in range(8)))
        for number in range(40):
            seen = sorted(answer[number]["outcome"] for answer in answers)
            assert seen == ["applied"] + ["duplicate"] * 7
    messages = await phone.client.ask("list_messages", conversation_id=plans, page_size=200)
    assert sorted(int(message["content"]["text"]) for message in messages) == list(range(1, 81))


async def test_a_conversation_with_an_id_is_made_once(
    phone: Queue, database: str, observer: Connection
) -> None:
    """The primary key: the second waits for the first, and answers its conversation."""
    made = uuid.uuid4()
    create = "SELECT id, title FROM api.create_conversation(%s, id => %s)"
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(
                await connect(database, "roost_user", uuid.UUID(phone.client.user_id))
            )
            for _ in range(2)
        ]
        async with first.transaction():
            await first.execute(create, ["one", made])
            task = asyncio.create_task(second.execute(create, ["two", made]))
            async with asyncio.timeout(10):
                await wait_for_lock(observer, second.info.backend_pid)
        assert await (await task).fetchone() == (made, "one")
    assert await count(observer, "SELECT count(*) FROM roost.conversation_participants") == 1
    grace = await phone.client.sign_up()
    refused = await grace.call("create_conversation", id=str(made))
    assert (refused.status, refused.body["code"]) == (409, "RO301")


async def test_a_deadlock_is_not_recorded_but_tried_again(
    phone: Queue, database: str, observer: Connection
) -> None:
    """Two that wait for each other: the one that PostgreSQL picks is run again by the server."""
    one, two = [await phone.client.open_conversation() for _ in range(2)]
    message = await say(phone.client, two, "hello")
    # The second is made in the list, after which the other conversation is locked.
    async with await connect(database) as other:
        await other.execute("SET deadlock_timeout = '1h'")
        async with other.transaction():
            await other.execute(
                "SELECT FROM roost.users WHERE id = %s FOR UPDATE", [phone.client.user_id]
            )
            phone.add("mark_read", conversation_id=two, up_to_seq=message["seq"])
            phone.add("send_message", conversation_id=one, content={"text": "hello"})
            phone.add("create_conversation", title="x")
            task = asyncio.create_task(phone.push())
            async with asyncio.timeout(10):
                while not await count(
                    observer,
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND query LIKE '%push_operations%' AND pid <> pg_backend_pid()",
                ):
                    await asyncio.sleep(0.01)
            # This closes the circle; the list is what gives way.
            await other.execute("SELECT FROM roost.conversations WHERE id = %s FOR UPDATE", [one])
        assert outcomes(await task) == ["applied"] * 3
    assert await count(observer, "SELECT count(*) FROM roost.sync_operations") == 3
    assert await count(observer, "SELECT count(*) FROM roost.messages") == 2
    # What a backend has counted is told within a second, and when it ends.
    async with asyncio.timeout(10):
        while not await count(
            observer,
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        ):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
async def test_what_the_next_try_may_not_meet(
    phone: Queue, plans: str, observer: Connection, sqlstate: str
) -> None:
    """Nothing of the list is recorded, and the server tries again; in the end the client does."""
    await observer.execute(
        "CREATE SEQUENCE roost.tries; GRANT USAGE ON SEQUENCE roost.tries TO roost_api;"
        " CREATE FUNCTION roost.fail_at_times() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN IF nextval('roost.tries') <= 2 THEN"
        f" RAISE EXCEPTION 'not now' USING ERRCODE = '{sqlstate}'; END IF; RETURN NULL; END $$;"
        " CREATE TRIGGER zz_fail AFTER INSERT ON roost.message_reactions FOR EACH ROW"
        " EXECUTE FUNCTION roost.fail_at_times()"
    )
    message = await say(phone.client, plans, "hello")
    phone.add("send_message", conversation_id=plans, content={"text": "hi"})
    phone.add("add_reaction", message_id=message["id"], reaction="ok")
    assert outcomes(await phone.push(*phone.sent)) == ["applied", "applied"]
    assert await count(observer, "SELECT last_value FROM roost.tries") == 3

    await observer.execute("SELECT setval('roost.tries', 1)")
    await observer.execute("ALTER SEQUENCE roost.tries MAXVALUE 2 CYCLE")
    phone.add("add_reaction", message_id=message["id"], reaction="no")
    answer = await phone.client.call("push_operations", operations=phone.sent)
    assert answer.body["code"] == sqlstate
    assert len(await phone.client.ask("list_sync_operations")) == 2
    await observer.execute("DROP TRIGGER zz_fail ON roost.message_reactions")
    assert outcomes(await phone.push()) == ["duplicate", "duplicate", "applied"]


async def test_the_time_that_a_list_may_take(
    phone: Queue, plans: str, observer: Connection
) -> None:
    """What was applied by then stays so; the rest is sent again."""
    await observer.execute(
        "CREATE FUNCTION roost.take_time() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN PERFORM pg_sleep(1.1); RETURN NULL; END $$;"
        " CREATE TRIGGER zz_slow AFTER INSERT ON roost.message_reactions FOR EACH ROW"
        " EXECUTE FUNCTION roost.take_time()"
    )
    message = await say(phone.client, plans, "hello")
    for reaction in "abcde":
        phone.add("add_reaction", message_id=message["id"], reaction=reaction)
    answers = await phone.push(*phone.sent)
    assert outcomes(answers) == ["applied"] * 3
    await observer.execute("DROP TRIGGER zz_slow ON roost.message_reactions")
    assert outcomes(await phone.push()) == ["duplicate"] * 3 + ["applied"] * 2


async def test_a_device_of_its_own(phone: Queue, laptop: Client, plans: str) -> None:
    """All devices of the person see what became of an operation, and nobody else does."""
    await phone.do(
        "send_message",
        conversation_id=plans,
        content={"text": ""},
        queued_at="2026-01-02T03:04:05Z",
    )
    grace = await phone.client.sign_up()
    (listed,) = await laptop.ask("list_sync_operations", device_id=phone.client.device_id)
    assert listed["queued_at"] == "2026-01-02T03:04:05+00:00"
    assert listed["took_ms"] > 0
    assert listed["args"] == {"conversation_id": plans, "content": {"text": ""}}
    assert (listed["outcome"], listed["code"]) == ("rejected", "23514")
    assert await laptop.ask("list_sync_operations") == []
    assert await grace.ask("list_sync_operations", device_id=phone.client.device_id) == []


# --- conflicts -----------------------------------------------------------------------------------

BASE = "one\ntwo\nthree\nfour"
THEIRS = "one!\ntwo\nthree\nfour"
MINE = "one\ntwo\nthree\nfour!"
SAME_LINE = "ONE\ntwo\nthree\nfour"
BOTH = "one!\ntwo\nthree\nfour!"


@pytest.mark.parametrize(
    ("policy", "mine", "outcome", "text", "state"),
    [
        (None, MINE, "applied", BOTH, None),
        ("merge", MINE, "applied", BOTH, None),
        ("merge", SAME_LINE, "conflict", THEIRS, "open"),
        ("merge", THEIRS, "applied", THEIRS, None),
        ("last_write_wins", MINE, "applied", MINE, None),
        ("last_write_wins", SAME_LINE, "applied", SAME_LINE, None),
        ("client_wins", SAME_LINE, "applied", SAME_LINE, "resolved"),
        ("server_wins", MINE, "rejected", THEIRS, None),
        ("manual", MINE, "conflict", THEIRS, "open"),
    ],
)
async def test_each_policy_of_an_edit(
    phone: Queue,
    laptop: Client,
    plans: str,
    observer: Connection,
    policy: str | None,
    mine: str,
    outcome: str,
    text: str,
    state: str | None,
) -> None:
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    answer = await phone.do(
        "edit_message",
        message_id=message["id"],
        content={"text": mine},
        base_version=1,
        **({} if policy is None else {"policy": policy}),
    )
    assert answer["outcome"] == outcome, answer
    assert await text_of(laptop, message) == text
    assert (answer["conflict_id"] is None) == (state is None)
    if outcome == "rejected":
        assert answer["code"] == "RO303"
        assert json.loads(answer["details"])["content"] == {"text": THEIRS}
    told = await inbox(observer, laptop)
    if state is None:
        assert told == []
        return
    conflict = await laptop.ask("get_conflict", conflict_id=answer["conflict_id"])
    assert conflict["state"] == state
    assert [conflict[side]["content"]["text"] for side in ("base", "mine", "theirs")] == [
        BASE,
        mine,
        THEIRS,
    ]
    assert [event for event, _ in told] == [
        "conflict.opened" if state == "open" else "conflict.resolved"
    ]
    assert told[0][1]["id"] == conflict["id"]
    if policy == "merge":
        (hunk,) = conflict["hunks"]
        assert hunk["path"] == ["content", "text"]
        assert hunk["lines"] == [{"line": 1, "base": ["one"], "mine": ["ONE"], "theirs": ["one!"]}]


async def test_nothing_is_compared_without_a_base(phone: Queue, laptop: Client, plans: str) -> None:
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    answer = await phone.do("edit_message", message_id=message["id"], content={"text": MINE})
    assert answer["outcome"] == "applied"
    assert await text_of(laptop, message) == MINE


async def test_edits_of_ones_own_edit(phone: Queue, laptop: Client, plans: str) -> None:
    """Made before it was known what became of the first: nothing of anybody's is lost."""
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    for version, text in ((1, MINE), (2, MINE + "?"), (3, MINE + "?!")):
        phone.add(
            "edit_message", message_id=message["id"], content={"text": text}, base_version=version
        )
    assert outcomes(await phone.push()) == ["applied"] * 3
    assert await text_of(laptop, message) == BOTH + "?!"

    # Where the first is a conflict, so are they with it.
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    for version, text in ((1, SAME_LINE), (2, "x"), (3, "y")):
        phone.add(
            "edit_message", message_id=message["id"], content={"text": text}, base_version=version
        )
    assert outcomes(await phone.push()) == ["conflict", "deferred", "deferred"]
    assert await text_of(laptop, message) == THEIRS


@pytest.mark.parametrize(
    ("policy", "outcome", "text"),
    [
        (None, "applied", MINE),
        ("last_write_wins", "applied", MINE),
        ("client_wins", "applied", MINE),
        ("server_wins", "rejected", None),
        ("manual", "conflict", None),
    ],
)
async def test_an_edit_of_what_was_deleted(
    phone: Queue, laptop: Client, plans: str, policy: str | None, outcome: str, text: str | None
) -> None:
    """The edit is kept unless the policy says otherwise."""
    message = await say(phone.client, plans, BASE)
    await laptop.ask("delete_message", message_id=message["id"])
    answer = await phone.do(
        "edit_message",
        message_id=message["id"],
        content={"text": MINE},
        base_version=1,
        **({} if policy is None else {"policy": policy}),
    )
    assert answer["outcome"] == outcome, answer
    assert await text_of(laptop, message) == text
    if outcome == "conflict":
        conflict = await laptop.ask("get_conflict", conflict_id=answer["conflict_id"])
        assert (conflict["theirs"], conflict["mine"]) == (None, {"content": {"text": MINE}})
        await laptop.ask("resolve_conflict", conflict_id=conflict["id"], strategy="mine")
        assert await text_of(laptop, message) == MINE


@pytest.mark.parametrize(
    ("policy", "outcome", "text"),
    [
        (None, "rejected", THEIRS),
        ("merge", "rejected", THEIRS),
        ("server_wins", "rejected", THEIRS),
        ("last_write_wins", "applied", None),
        ("client_wins", "applied", None),
        ("manual", "conflict", THEIRS),
    ],
)
async def test_a_deletion_of_what_was_edited(
    phone: Queue, laptop: Client, plans: str, policy: str | None, outcome: str, text: str | None
) -> None:
    """The edit is kept unless the policy says otherwise."""
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    answer = await phone.do(
        "delete_message",
        message_id=message["id"],
        base_version=1,
        **({} if policy is None else {"policy": policy}),
    )
    assert answer["outcome"] == outcome, answer
    assert await text_of(laptop, message) == text
    if outcome == "rejected":
        assert json.loads(answer["details"])["content"] == {"text": THEIRS}
        # Of the version that is there it goes.
        again = await phone.do("delete_message", message_id=message["id"], base_version=2)
        assert again["outcome"] == "applied"
    if answer["conflict_id"] is not None:
        conflict = await laptop.ask("get_conflict", conflict_id=answer["conflict_id"])
        assert conflict["mine"] is None
        assert conflict["theirs"]["content"] == {"text": THEIRS}


@pytest.mark.parametrize(
    ("policy", "patch", "outcome", "after"),
    [
        # Another key than theirs.
        (None, {"b": 3}, "applied", {"a": 2, "b": 3, "tags": ["x", "z"]}),
        ("manual", {"b": 3}, "applied", {"a": 2, "b": 3, "tags": ["x", "z"]}),
        # The same key.
        (None, {"a": 3}, "conflict", {"a": 2, "b": 1, "tags": ["x", "z"]}),
        (None, {"a": 2}, "applied", {"a": 2, "b": 1, "tags": ["x", "z"]}),
        (None, {"a": None}, "applied", {"a": 2, "b": 1, "tags": ["x", "z"]}),
        ("last_write_wins", {"a": 3}, "applied", {"a": 3, "b": 1, "tags": ["x", "z"]}),
        ("client_wins", {"a": 3}, "applied", {"a": 3, "b": 1, "tags": ["x", "z"]}),
        ("server_wins", {"a": 3, "b": 3}, "rejected", {"a": 2, "b": 1, "tags": ["x", "z"]}),
        ("manual", {"a": 3}, "conflict", {"a": 2, "b": 1, "tags": ["x", "z"]}),
        # A set: y is removed by them, w is added and x removed here.
        (None, {"tags": ["w", "y"]}, "applied", {"a": 2, "b": 1, "tags": ["w", "z"]}),
    ],
)
@pytest.mark.parametrize("kind", ["update_me", "update_conversation"])
async def test_fields_are_settled_one_by_one(
    phone: Queue,
    laptop: Client,
    plans: str,
    kind: str,
    policy: str | None,
    patch: dict[str, Any],
    outcome: str,
    after: dict[str, Any],
) -> None:
    name = "preferences" if kind == "update_me" else "metadata"
    which = {} if kind == "update_me" else {"conversation_id": plans}
    base = {"a": 1, "b": 1, "tags": ["x", "y"]}

    async def now() -> dict[str, Any]:
        answer = await (
            laptop.ask("get_me")
            if kind == "update_me"
            else laptop.ask("get_conversation", conversation_id=plans)
        )
        fields: dict[str, Any] = answer[name]
        return fields

    await laptop.ask(kind, **which, **{name: base})
    await laptop.ask(kind, **which, **{name: {"a": 2, "tags": ["x", "z"]}})
    answer = await phone.do(
        kind,
        **which,
        **{name: patch},
        base={name: base},
        **({} if policy is None else {"policy": policy}),
    )
    assert answer["outcome"] == outcome, answer
    assert await now() == after
    if outcome == "conflict":
        conflict = await laptop.ask("get_conflict", conflict_id=answer["conflict_id"])
        assert conflict["target_kind"] == ("account" if kind == "update_me" else "conversation")
        assert conflict["hunks"][0]["path"] == [name, "a"]
        await laptop.ask(
            "resolve_conflict",
            conflict_id=conflict["id"],
            strategy="merged",
            content={name: {"a": 9}},
        )
        assert await now() == {**after, "a": 9}


async def test_titles_are_fields(phone: Queue, laptop: Client, plans: str) -> None:
    await laptop.ask("update_conversation", conversation_id=plans, title="Trips")
    answer = await phone.do(
        "update_conversation", conversation_id=plans, title="Tours", base={"title": "Plans"}
    )
    assert answer["outcome"] == "conflict"
    # Of a field of which it does not say what it had, nothing is compared.
    answer = await phone.do(
        "update_conversation", conversation_id=plans, workspace_path="/src", base={}
    )
    assert answer["outcome"] == "applied"
    conversation = await laptop.ask("get_conversation", conversation_id=plans)
    assert (conversation["title"], conversation["workspace_path"]) == ("Trips", "/src")


async def test_a_conflict_is_closed_on_all_devices(
    phone: Queue, laptop: Client, plans: str, observer: Connection
) -> None:
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    answer = await phone.do(
        "edit_message", message_id=message["id"], content={"text": SAME_LINE}, base_version=1
    )
    conflict_id = answer["conflict_id"]
    (listed,) = await laptop.ask("list_conflicts")
    assert listed["id"] == conflict_id
    assert (listed["base"], listed["mine"], listed["theirs"], listed["hunks"]) == (None,) * 4

    # Nobody else sees it, nor decides it.
    grace = await phone.client.sign_up()
    assert await grace.ask("list_conflicts", state=None) == []
    for call, more in (("get_conflict", {}), ("resolve_conflict", {"strategy": "mine"})):
        refused = await grace.call(call, conflict_id=conflict_id, **more)
        assert (refused.status, refused.body["code"]) == (404, "RO201")

    for wrong in ({"strategy": "merged"}, {"strategy": "mine", "content": {}}, {"strategy": None}):
        refused = await laptop.call("resolve_conflict", conflict_id=conflict_id, **wrong)
        assert (refused.status, refused.body["code"]) == (400, "RO302")
        assert refused.body["hint"]
    refused = await laptop.call(
        "resolve_conflict", conflict_id=conflict_id, strategy="merged", content={"text": ""}
    )
    assert refused.body["code"] == "23514"
    assert (await phone.client.ask("get_conflict", conflict_id=conflict_id))["state"] == "open"
    assert await text_of(laptop, message) == THEIRS

    wanted = {"conflict_id": conflict_id, "strategy": "merged", "content": {"text": BOTH}}
    resolved = await laptop.ask("resolve_conflict", **wanted)
    assert (resolved["state"], resolved["strategy"]) == ("resolved", "merged")
    assert resolved["resolved_by"] == laptop.device_id
    assert await text_of(laptop, message) == BOTH
    # Again, as by a device that was not answered, and in another way.
    assert await phone.client.ask("resolve_conflict", **wanted) == resolved
    refused = await phone.client.call("resolve_conflict", conflict_id=conflict_id, strategy="mine")
    assert (refused.status, refused.body["code"]) == (409, "RO303")
    assert await text_of(laptop, message) == BOTH
    assert await phone.client.ask("list_conflicts") == []
    assert len(await phone.client.ask("list_conflicts", state="resolved")) == 1
    told = await inbox(observer, laptop)
    assert [event for event, _ in told] == ["conflict.opened", "conflict.resolved"]
    assert [payload["id"] for _, payload in told] == [conflict_id] * 2


async def test_two_devices_that_decide_at_once(phone: Queue, laptop: Client, plans: str) -> None:
    """One is first; the other is told so, and changes nothing."""
    for _ in range(5):
        message = await say(phone.client, plans, BASE)
        await edit(laptop, message, THEIRS)
        answer = await phone.do(
            "edit_message", message_id=message["id"], content={"text": SAME_LINE}, base_version=1
        )
        decided = await asyncio.gather(
            phone.client.call(
                "resolve_conflict", conflict_id=answer["conflict_id"], strategy="mine"
            ),
            laptop.call(
                "resolve_conflict",
                conflict_id=answer["conflict_id"],
                strategy="merged",
                content={"text": BOTH},
            ),
        )
        assert sorted(one.status for one in decided) == [200, 409]
        mine_won = decided[0].status == 200
        assert await text_of(laptop, message) == (SAME_LINE if mine_won else BOTH)


async def test_what_is_deleted_for_good_is_in_no_conflict(
    phone: Queue, laptop: Client, plans: str, observer: Connection
) -> None:
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    answer = await phone.do(
        "edit_message", message_id=message["id"], content={"text": SAME_LINE}, base_version=1
    )
    assert answer["outcome"] == "conflict"
    await laptop.ask("purge_message", message_id=message["id"])
    assert await laptop.ask("list_conflicts", state=None) == []
    (listed,) = await phone.client.ask("list_sync_operations")
    assert (listed["outcome"], listed["args"]) == ("conflict", None)
    assert (
        await phone.do(
            "edit_message", message_id=message["id"], content={"text": "x"}, base_version=1
        )
    )["code"] == "RO305"
    dumped = await observer.execute(
        "SELECT (SELECT json_agg(o) FROM roost.sync_operations AS o)::text,"
        " (SELECT json_agg(c) FROM roost.sync_conflicts AS c)::text"
    )
    row = await dumped.fetchone()
    assert row is not None
    assert "one" not in row[0]
    assert row[1] is None


async def test_somebody_elses_rights_are_asked_as_in_a_call(phone: Queue, plans: str) -> None:
    """An edit does not bring back what an admin has deleted, nor write for somebody else."""
    grace = await phone.client.sign_up()
    await phone.client.ask("add_participant", conversation_id=plans, user_id=grace.user_id)
    message = await say(grace, plans, BASE)
    await phone.client.ask("delete_message", message_id=message["id"])
    answer = await Queue(grace).do(
        "edit_message", message_id=message["id"], content={"text": MINE}, base_version=1
    )
    assert (answer["outcome"], answer["code"]) == ("rejected", "RO202")
    answer = await phone.do("edit_message", message_id=message["id"], content={"text": "x"})
    assert (answer["outcome"], answer["code"]) == ("rejected", "RO202")


async def test_what_is_there_after_all_can_be_used(phone: Queue) -> None:
    """An operation failed to make it, and a call has made it since."""
    made = str(uuid.uuid4())
    nobody = str(uuid.uuid4())
    answer = await phone.do("create_conversation", id=made, title="x", participants=[nobody])
    assert answer["outcome"] == "rejected"
    await phone.client.ask("create_conversation", id=made, title="x")
    answer = await phone.do("send_message", conversation_id=made, content={"text": "hello"})
    assert answer["outcome"] == "applied", answer


async def test_a_device_that_is_revoked_meanwhile_does_nothing(
    phone: Queue, laptop: Client, plans: str, database: str, observer: Connection
) -> None:
    """Its row: the list waits for the revocation, and is refused then."""
    operation = phone.add("send_message", conversation_id=plans, content={"text": "hello"})
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                await connect(database, "roost_user", uuid.UUID(laptop.user_id))
            )
            for _ in range(2)
        ]
        await two.execute(
            "SELECT set_config('roost.device_id', %s, false)", [phone.client.device_id]
        )
        async with one.transaction():
            await one.execute("SELECT api.revoke_device(%s)", [phone.client.device_id])
            task = asyncio.create_task(
                two.execute("SELECT api.push_operations(%s)", [json.dumps([operation])])
            )
            async with asyncio.timeout(10):
                await wait_for_lock(observer, two.info.backend_pid)
        with pytest.raises(psycopg.DatabaseError) as refused:
            await task
    assert refused.value.sqlstate == "RO302"
    assert await laptop.ask("list_messages", conversation_id=plans) == []


async def test_what_somebody_else_wrote_is_in_no_conflict(phone: Queue, plans: str) -> None:
    """It may be deleted, or be no longer theirs to see; the conflict stays."""
    grace = await phone.client.sign_up()
    await phone.client.ask(
        "add_participant", conversation_id=plans, user_id=grace.user_id, role="admin"
    )
    message = await say(phone.client, plans, BASE)
    await edit(phone.client, message, THEIRS)
    answer = await Queue(grace).do(
        "delete_message", message_id=message["id"], base_version=1, policy="manual"
    )
    conflict = await grace.ask("get_conflict", conflict_id=answer["conflict_id"])
    assert (conflict["base"], conflict["theirs"]) == (None, {"version": 2})


async def test_an_edit_without_content_is_no_conflict(
    phone: Queue, laptop: Client, plans: str
) -> None:
    """Nobody could decide for it."""
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    answer = await phone.do(
        "edit_message", message_id=message["id"], metadata={"a": 1}, base_version=1
    )
    assert (answer["outcome"], answer["code"]) == ("rejected", "23502")


async def test_a_misspelt_field_does_not_close_a_conflict(
    phone: Queue, laptop: Client, plans: str
) -> None:
    await laptop.ask("update_conversation", conversation_id=plans, title="Trips")
    answer = await phone.do(
        "update_conversation", conversation_id=plans, title="Tours", base={"title": "Plans"}
    )
    refused = await laptop.call(
        "resolve_conflict",
        conflict_id=answer["conflict_id"],
        strategy="merged",
        content={"titel": "Trips and tours"},
    )
    assert (refused.status, refused.body["code"]) == (400, "RO302")
    assert len(await laptop.ask("list_conflicts")) == 1


async def test_deciding_the_same_again_overwrites_nobody(
    phone: Queue, laptop: Client, plans: str, database: str, observer: Connection
) -> None:
    """Two decide for mine, and between the two somebody edits the message."""
    message = await say(phone.client, plans, BASE)
    await edit(laptop, message, THEIRS)
    answer = await phone.do(
        "edit_message", message_id=message["id"], content={"text": SAME_LINE}, base_version=1
    )
    decide = "SELECT (api.resolve_conflict(%s, 'mine')).strategy"
    async with AsyncExitStack() as stack:
        first, editor, second = [
            await stack.enter_async_context(
                await connect(database, "roost_user", uuid.UUID(laptop.user_id))
            )
            for _ in range(3)
        ]
        async with first.transaction():
            await first.execute(decide, [answer["conflict_id"]])
            edits = asyncio.create_task(
                editor.execute(
                    "SELECT api.edit_message(%s, %s, 3)",
                    [message["id"], json.dumps({"text": "newer"})],
                )
            )
            async with asyncio.timeout(10):
                await wait_for_lock(observer, editor.info.backend_pid)
            late = asyncio.create_task(second.execute(decide, [answer["conflict_id"]]))
            async with asyncio.timeout(10):
                await wait_for_lock(observer, second.info.backend_pid)
        await edits
        assert await (await late).fetchone() == ("mine",)
    assert await text_of(laptop, message) == "newer"
