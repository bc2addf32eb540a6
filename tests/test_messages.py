"""Messages over real sockets and from two sessions at once."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.listening import listening
from tests.locks import wait_for_lock
from tests.serving import Client
from tests.support import connect

Session = psycopg.AsyncConnection[tuple[Any, ...]]


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
        ("send_message", {"content": {"text": "no"}}),
        ("send_message", {"content": {"text": "no"}, "id": str(uuid.uuid4())}),
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
        ({"content": {}}, 400, "23514", '{"text": "hello"}'),
        ({"content": {}, "message_type": "code"}, 400, "23514", '"code"'),
        ({"content": {}, "message_type": "file"}, 400, "23514", "attachment"),
        ({"content": {}, "message_type": "No Type"}, 400, "23514", "lower case"),
        (
            {"content": {"text": "x"}, "parent_message_id": str(uuid.uuid4())},
            409,
            "23503",
            "parent_message_id",
        ),
        ({"content": {"text": "x"}, "parent_message_id": "x"}, 400, "22P02", "UUID"),
        ({"content": {"text": "x"}, "attachments": [{"nam": "x"}]}, 400, "RO302", "media_type"),
        (
            {
                "content": {"text": "x"},
                "attachments": [
                    {"name": "x/y", "media_type": "a/b", "size": 1, "url": "https://example.com"}
                ],
            },
            400,
            "23514",
            "without a slash",
        ),
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
        content: Any = "unfit" if number % 3 == 0 else {"text": f"number {number}"}
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
        await ada.ask(
            "send_message", conversation_id=conversation_id, content={"text": f"{number}"}
        )

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


async def test_a_message_and_its_changes_reach_the_other_person(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)

    async with listening(grace, conversation_id) as heard:

        async def is_heard(event: str, message: dict[str, Any]) -> None:
            """What an event carries is what the call has answered, and what is read."""
            assert await heard.next() == (event, message)
            assert await grace.ask("get_message", message_id=message["id"]) == message
            assert message in await grace.ask("list_messages", conversation_id=conversation_id)

        sent = await ada.ask(
            "send_message",
            conversation_id=conversation_id,
            content={"text": f"Look, @{grace.user_id}"},
            attachments=[
                {"name": "a.png", "media_type": "image/png", "size": 3, "url": "https://a.example"}
            ],
        )
        assert sent["mentions"] == [grace.user_id]
        assert [attached["name"] for attached in sent["attachments"]] == ["a.png"]
        await is_heard("message.created", sent)

        which = {"message_id": sent["id"]}
        edited = await ada.ask(
            "edit_message", **which, content={"text": "a secret"}, based_on_version=1
        )
        assert (edited["version"], edited["mentions"]) == (2, [])
        assert edited["attachments"] == sent["attachments"]
        await is_heard("message.updated", edited)

        deleted = await ada.ask("delete_message", **which)
        assert (deleted["version"], deleted["content"], deleted["attachments"]) == (3, None, [])
        await is_heard("message.deleted", deleted)
        assert await ada.ask("delete_message", **which) == deleted

        restored = await ada.ask("restore_message", **which)
        assert restored["content"] == edited["content"]
        assert restored["attachments"] == sent["attachments"]
        await is_heard("message.restored", restored)

        reply = await grace.ask(
            "send_message",
            conversation_id=conversation_id,
            content={"text": "yes"},
            parent_message_id=sent["id"],
        )
        assert reply["root_message_id"] == sent["id"]
        await is_heard("message.created", reply)
        root = {**restored, "reply_count": 1, "change_seq": reply["seq"]}
        assert await ada.ask("list_thread", message_id=reply["id"]) == [root, reply]

        purged = await ada.ask("purge_message", **which)
        assert purged["purged_at"] is not None
        await is_heard("message.deleted", purged)
        await heard.has_nothing_more()

    answer = await ada.call("restore_message", **which)
    assert (answer.status, answer.body["code"]) == (410, "RO305")


async def test_the_history_of_a_message_says_who_and_where(client: Client) -> None:
    ada = await client.sign_up("ada@example.com")
    tablet = await client.sign_in("ada@example.com")
    conversation_id = await ada.open_conversation()
    sent = await ada.ask("send_message", conversation_id=conversation_id, content={"text": "one"})
    which = {"message_id": sent["id"]}
    await tablet.ask("edit_message", **which, content={"text": "two"}, based_on_version=1)
    await ada.ask("delete_message", **which)

    hidden = await ada.ask("list_message_changes", **which)
    await tablet.ask("restore_message", **which)
    shown = await ada.ask("list_message_changes", **which)

    one = {"content": {"text": "one"}, "metadata": {}}
    two = {"content": {"text": "two"}, "metadata": {}}
    assert [(change["before"], change["after"]) for change in hidden] == [(None, None)] * 3
    assert [
        (change["change_type"], change["before"], change["after"], change["device_id"])
        for change in shown
    ] == [
        ("created", None, one, ada.device_id),
        ("updated", one, two, tablet.device_id),
        ("deleted", two, None, ada.device_id),
        ("restored", None, two, tablet.device_id),
    ]
    assert {change["user_id"] for change in shown} == {ada.user_id}
    listed = await ada.ask("list_conversation_changes", conversation_id=conversation_id)
    assert listed == shown
    await ada.ask("purge_message", **which)
    purged = await ada.ask("list_message_changes", **which)
    assert [change["change_type"] for change in purged][-1] == "purged"
    assert all(change["before"] is change["after"] is None for change in purged)


async def test_a_page_of_changes_is_bounded(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    message = {"conversation_id": conversation_id, "content": {"text": "0" * 250_000}}
    sent = await ada.ask("send_message", **message)
    for version in range(1, 12):
        await ada.ask(
            "edit_message",
            message_id=sent["id"],
            content={"text": f"{version % 10}" * 250_000},
            based_on_version=version,
        )

    page = await ada.ask("list_message_changes", message_id=sent["id"])
    rest = await ada.ask("list_message_changes", message_id=sent["id"], after_seq=page[-1]["seq"])

    # What is made has one content, what is edited two; the page ends after 4 MiB.
    assert [change["version"] for change in page] == list(range(1, 10))
    assert [change["version"] for change in rest] == [10, 11, 12]


# --- two sessions at once ------------------------------------------------------------------------


class Race:
    """ada, who owns a conversation, and grace, a member, who has sent a message in it."""

    def __init__(self, sessions: dict[str, Session]) -> None:
        self.ids = {name: uuid.uuid4() for name in ("ada", "grace", "c", "m", "new")}
        self.sessions = sessions

    def query(self, call: str) -> bytes:
        """A call of an api function with :c for the conversation, :m for the message."""
        for name, known in self.ids.items():
            call = call.replace(f":{name}", f"'{known}'")
        return f"SELECT api.{call}".encode()

    async def one(self, query: str) -> Any:
        """The first column of the first row, as an operator sees it."""
        row = await (await self.sessions["observer"].execute(query.encode())).fetchone()
        assert row is not None
        return row[0]

    async def in_turn(
        self, first: tuple[str, str], second: tuple[str, str], end: str = "COMMIT"
    ) -> psycopg.Error | None:
        """
        Carries out a first call and, before it is ended, begins a second one, which waits for it;
        answers how the second failed.
        """
        before, after = self.sessions[first[0]], self.sessions[f"{second[0]}'s tablet"]
        await before.execute("BEGIN")
        await before.execute(self.query(first[1]))
        waiting = asyncio.create_task(after.execute(self.query(second[1])))
        await wait_for_lock(self.sessions["observer"], after.info.backend_pid)
        await before.execute(end.encode())
        try:
            await waiting
        except psycopg.Error as error:
            return error
        return None


@pytest.fixture
async def race(database: str) -> AsyncIterator[Race]:
    async with contextlib.AsyncExitStack() as stack:
        race = Race({})
        observer = await stack.enter_async_context(await connect(database))
        race.sessions["observer"] = observer
        for name in ("ada", "grace"):
            await observer.execute(
                "INSERT INTO roost.users (id, email, password_hash)"
                " VALUES (%s, %s, '$argon2id$v=19$x')",
                [race.ids[name], f"{name}@example.com"],
            )
            for session in (name, f"{name}'s tablet"):
                race.sessions[session] = await stack.enter_async_context(
                    await connect(database, "roost_user", race.ids[name])
                )
        row = await (
            await race.sessions["ada"].execute(
                "SELECT (api.create_conversation('Plans', ARRAY[%s]::uuid[])).id",
                [race.ids["grace"]],
            )
        ).fetchone()
        assert row is not None
        race.ids["c"] = row[0]
        await race.sessions["grace"].execute(
            race.query("""send_message(:c, '{"text": "one"}', id => :m)""")
        )
        yield race


def edit(text: str) -> str:
    return f"""edit_message(:m, '{{"text": "{text}"}}', 1)"""


SEND = """send_message(:c, '{"text": "x"}')"""
SEND_NEW = """send_message(:c, '{"text": "x"}', id => :new)"""


async def test_of_two_edits_of_one_version_one_wins(race: Race) -> None:
    error = await race.in_turn(("grace", edit("two")), ("grace", edit("three")))

    assert error is not None
    assert error.sqlstate == "RO303"
    winner = json.loads(error.diag.message_detail or "")
    assert (winner["id"], winner["version"]) == (str(race.ids["m"]), 2)
    assert winner["content"] == {"text": "two"}
    assert winner == await race.one(
        "SELECT to_json(roost.describe_message(message)) FROM roost.messages AS message"
    )
    assert await race.one("SELECT count(*) FROM roost.message_changes") == 2
    assert await race.one("SELECT last_seq FROM roost.conversations") == 2


async def test_the_same_edit_twice_at_once_is_one(race: Race) -> None:
    assert await race.in_turn(("grace", edit("two")), ("grace", edit("two"))) is None
    assert await race.one("SELECT version FROM roost.messages") == 2


async def test_an_edit_that_was_taken_back_is_in_nobodys_way(race: Race) -> None:
    assert await race.in_turn(("grace", edit("two")), ("grace", edit("three")), "ROLLBACK") is None
    assert await race.one("SELECT content ->> 'text' FROM roost.messages") == "three"
    assert await race.one("SELECT max(seq) FROM roost.message_changes") == 2


@pytest.mark.parametrize(
    ("first", "second", "sqlstate", "changes"),
    [
        (("ada", "delete_message(:m)"), ("grace", edit("two")), "RO304", "created,deleted"),
        (("ada", "purge_message(:m)"), ("grace", edit("two")), "RO305", "created,purged"),
        (
            ("grace", edit("two")),
            ("ada", "delete_message(:m)"),
            None,
            "created,updated,deleted",
        ),
        (("grace", "delete_message(:m)"), ("ada", "delete_message(:m)"), None, "created,deleted"),
        # Which the author brings back only if it was their own deletion that came first.
        (("ada", "delete_message(:m)"), ("grace", "restore_message(:m)"), "RO202", None),
        (("ada", "purge_message(:m)"), ("ada", "restore_message(:m)"), "RO305", None),
    ],
)
async def test_of_an_edit_and_a_deletion_the_deletion_stays(
    race: Race,
    first: tuple[str, str],
    second: tuple[str, str],
    sqlstate: str | None,
    changes: str | None,
) -> None:
    error = await race.in_turn(first, second)

    assert (error and error.sqlstate) == sqlstate
    assert await race.one("SELECT deleted_at IS NOT NULL AND content = '{}' FROM roost.messages")
    if changes is not None:
        assert changes == await race.one(
            "SELECT string_agg(change_type::text, ',' ORDER BY seq) FROM roost.message_changes"
        )


@pytest.mark.parametrize("send", [SEND, SEND_NEW])
@pytest.mark.parametrize(
    ("first", "sqlstate"),
    [
        ("remove_participant(:c, :grace)", "RO201"),
        ("change_role(:c, :grace, 'viewer')", "RO202"),
        ("archive_conversation(:c)", "RO203"),
        ("delete_conversation(:c)", "RO201"),
        ("purge_conversation(:c)", "RO201"),
    ],
)
async def test_whoever_may_send_no_more_sends_nothing(
    race: Race, first: str, sqlstate: str, send: str
) -> None:
    error = await race.in_turn(("ada", first), ("grace", send))

    assert error is not None
    assert error.sqlstate == sqlstate
    assert await race.one("SELECT count(*) FROM roost.messages WHERE seq > 1") == 0
    assert await race.one("SELECT count(*) FROM roost.conversations WHERE last_number > 1") == 0


@pytest.mark.parametrize("first", ["remove_participant(:c, :grace)", "archive_conversation(:c)"])
async def test_what_did_not_happen_keeps_nobody_from_sending(race: Race, first: str) -> None:
    assert await race.in_turn(("ada", first), ("grace", SEND), "ROLLBACK") is None
    assert await race.one("SELECT count(*) FROM roost.messages") == 2


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_repeat_waits_for_what_it_repeats(race: Race, end: str) -> None:
    assert await race.in_turn(("grace", SEND_NEW), ("grace", SEND_NEW), end) is None
    assert await race.one(f"SELECT seq FROM roost.messages WHERE id = '{race.ids['new']}'") == 2
    assert await race.one("SELECT last_seq FROM roost.conversations") == 2


async def test_an_id_of_somebody_elses_message_at_once(race: Race) -> None:
    error = await race.in_turn(("grace", SEND_NEW), ("ada", SEND_NEW))

    assert error is not None
    assert error.sqlstate == "RO301"


async def test_a_reply_to_what_is_purged_meanwhile(race: Race) -> None:
    """Comes below the tombstone, which keeps its place."""
    reply = """send_message(:c, '{"text": "x"}', parent_message_id => :m)"""

    assert await race.in_turn(("ada", "purge_message(:m)"), ("grace", reply)) is None

    assert await race.one("SELECT reply_count FROM roost.messages WHERE seq = 1") == 1
    assert await race.one("SELECT content FROM roost.messages WHERE seq = 1") == {}
    assert await race.one("SELECT purged_at IS NOT NULL FROM roost.messages WHERE seq = 1")


async def test_two_replies_at_once_are_both_counted(race: Race) -> None:
    reply = """send_message(:c, '{"text": "x"}', parent_message_id => :m)"""

    assert await race.in_turn(("ada", reply), ("grace", reply)) is None

    assert await race.one("SELECT reply_count FROM roost.messages WHERE seq = 1") == 2


OLD = """
SET session_replication_role = replica;
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
SELECT conversation.id, 1 + n, conversation.user_id, '{}'
FROM roost.conversations AS conversation, generate_series(1, 20) AS n;
SET session_replication_role = origin;
"""


async def test_two_servers_do_not_do_the_same_old_messages(race: Race, database: str) -> None:
    observer = race.sessions["observer"]
    await observer.execute(OLD)
    async with await connect(database, "roost_gateway") as other:
        await observer.execute("BEGIN")
        assert await race.one("SELECT roost.backfill_messages(15)") == 15
        (count,) = await (await other.execute("SELECT roost.backfill_messages(15)")).fetchall()
        assert count == (0,)
        # Taken back, as by a server that is killed: the next one begins where this one did.
        await observer.execute("ROLLBACK")
        counts = [
            await (await other.execute("SELECT roost.backfill_messages(15)")).fetchone()
            for _ in range(4)
        ]
    assert counts == [(15,), (6,), (0,), (0,)]
    assert await race.one("SELECT count(*) FROM roost.message_changes") == 21


async def test_old_messages_wait_for_who_writes_in_their_conversation(
    race: Race, database: str
) -> None:
    """As roost.index_messages, which reads a message first and then writes what it has read."""
    observer = race.sessions["observer"]
    await observer.execute(OLD)
    async with await connect(database, "roost_gateway") as server, await connect(database) as other:
        await other.execute("BEGIN")
        await other.execute("SELECT FROM roost.conversations FOR NO KEY UPDATE")
        waiting = asyncio.create_task(server.execute("SELECT roost.backfill_messages(100)"))
        await wait_for_lock(observer, server.info.backend_pid)
        assert await race.one("SELECT count(*) FROM roost.message_changes") == 1
        # It has nothing that the other may want.
        await other.execute("SELECT FROM roost.messages FOR UPDATE NOWAIT")
        await other.execute("COMMIT")
        assert await (await waiting).fetchone() == (21,)


async def test_old_messages_of_one_conversation_at_a_time(race: Race, database: str) -> None:
    """What is locked after the first one is left to the next call."""
    observer = race.sessions["observer"]
    await observer.execute(OLD)
    await observer.execute(
        "SET session_replication_role = replica;"
        "INSERT INTO roost.conversations (id, user_id)"
        " SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', user_id FROM roost.conversations;"
        "INSERT INTO roost.messages (conversation_id, seq, user_id, content)"
        " SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', seq, user_id, content"
        " FROM roost.messages;"
        "SET session_replication_role = origin;"
    )
    async with await connect(database, "roost_gateway") as server, await connect(database) as other:
        await server.execute("SET lock_timeout = '5s'")
        backfill = "SELECT roost.backfill_messages(100)"
        await other.execute("BEGIN")
        await other.execute(
            "SELECT FROM roost.conversations"
            " WHERE id = 'ffffffff-ffff-7fff-bfff-ffffffffffff' FOR NO KEY UPDATE"
        )
        assert await (await server.execute(backfill)).fetchone() == (21,)
        await other.execute("COMMIT")
        assert await (await server.execute(backfill)).fetchone() == (21,)
        assert await (await server.execute(backfill)).fetchone() == (0,)
    assert await race.one("SELECT count(*) FROM roost.message_changes") == 42


async def test_old_messages_that_take_their_time(race: Race, database: str) -> None:
    """Each call gets somewhere: each of these replies takes longer than a call has."""
    observer = race.sessions["observer"]
    await observer.execute(OLD)
    await observer.execute(
        "SET session_replication_role = replica;"
        "UPDATE roost.messages SET parent_message_id ="
        " (SELECT id FROM roost.messages WHERE seq = 2) WHERE seq IN (3, 4);"
        "SET session_replication_role = origin;"
        "CREATE FUNCTION roost.take_time() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END';"
        "CREATE TRIGGER take_time AFTER UPDATE OF root_message_id ON roost.messages"
        " FOR EACH ROW EXECUTE FUNCTION roost.take_time();"
    )
    async with await connect(database, "roost_gateway") as server:
        counts = [
            await (await server.execute("SELECT roost.backfill_messages(100)")).fetchone()
            for _ in range(4)
        ]
    assert counts == [(3,), (1,), (17,), (0,)]
    assert await race.one("SELECT reply_count FROM roost.messages WHERE seq = 2") == 2


async def test_what_goes_meanwhile_needs_no_beginning(race: Race, database: str) -> None:
    observer = race.sessions["observer"]
    await observer.execute(OLD)
    async with await connect(database) as other:
        await other.execute("BEGIN")
        await other.execute("DELETE FROM roost.messages WHERE seq = 5")
        waiting = asyncio.create_task(
            race.sessions["observer"].execute("SELECT roost.backfill_messages(100)")
        )
        async with await connect(database) as another:
            await wait_for_lock(another, observer.info.backend_pid)
        await other.execute("COMMIT")
        await waiting
    assert await race.one("SELECT count(*) FROM roost.message_changes") == 20


# --- names by which people are mentioned ---------------------------------------------------------


async def test_a_mention_follows_who_is_there_and_what_they_are_called(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    await grace.ask("update_me", display_name="Grâce")
    conversation_id = await ada.open_conversation()
    which = {"conversation_id": conversation_id, "user_id": grace.user_id}

    async def mentioned(text: str) -> bool:
        sent = await ada.ask(
            "send_message", conversation_id=conversation_id, content={"text": text}
        )
        return bool(sent["mentions"] == [grace.user_id])

    assert not await mentioned("@grace, are you there?")
    await ada.ask("add_participant", **which)
    assert await mentioned("@grace, are you there?")
    await grace.ask("update_me", display_name="Grace Hopper")
    assert [await mentioned("@grace, hello"), await mentioned("@GRACE HOPPER, hello")] == [
        False,
        True,
    ]
    await ada.ask("remove_participant", **which)
    await grace.ask("update_me", display_name="Gräce")
    assert not await mentioned("@grace")
    await ada.ask("add_participant", **which)
    assert [await mentioned("@grace"), await mentioned("@grace hopper")] == [True, True]
    await grace.ask("update_me", display_name="")
    assert not await mentioned("@grace")


ADD = "add_participant(:c, :new)"
RENAME = "update_me(display_name => 'Grace')"


@pytest.mark.parametrize(
    ("first", "second"), [(("ada", ADD), ("new", RENAME)), (("new", RENAME), ("ada", ADD))]
)
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_who_is_added_while_being_renamed_has_their_new_name(
    race: Race, database: str, first: tuple[str, str], second: tuple[str, str], end: str
) -> None:
    await race.one(
        "INSERT INTO roost.users (id, email, password_hash, display_name)"
        f" VALUES ('{race.ids['new']}', 'new@example.com', '$argon2id$v=19$x', 'Old')"
        " RETURNING id"
    )
    async with (
        await connect(database, "roost_user", race.ids["new"]) as one,
        await connect(database, "roost_user", race.ids["new"]) as other,
    ):
        race.sessions |= {"new": one, "new's tablet": other}
        assert await race.in_turn(first, second, end) is None

    assert await race.one(
        "SELECT coalesce("
        "    (SELECT mention_name FROM roost.conversation_participants"
        f"    WHERE user_id = '{race.ids['new']}'), 'nobody') ="
        " CASE WHEN EXISTS (SELECT FROM roost.conversation_participants"
        f"    WHERE user_id = '{race.ids['new']}')"
        f" THEN (SELECT lower(display_name) FROM roost.users WHERE id = '{race.ids['new']}')"
        " ELSE 'nobody' END"
    )


async def test_who_comes_back_while_being_renamed_has_their_new_name(race: Race) -> None:
    """In both orders: each waits for the other's row, and neither has what the other waits for."""
    add = ("ada", "add_participant(:c, :grace)")
    for name in ("x", "xx"):
        rename = ("grace", f"update_me(display_name => '{name}')")
        first, second = (add, rename) if name == "x" else (rename, add)
        await race.sessions["ada"].execute(race.query("remove_participant(:c, :grace)"))
        assert await race.in_turn(first, second) is None
        assert (
            await race.one(
                "SELECT mention_name FROM roost.conversation_participants"
                f" WHERE user_id = '{race.ids['grace']}' AND left_at IS NULL"
            )
            == name
        )


async def test_a_name_that_changes_while_it_is_looked_up(race: Race, database: str) -> None:
    observer = race.sessions["observer"]
    await observer.execute("UPDATE roost.conversation_participants SET mention_name = NULL")
    async with await connect(database, "roost_gateway") as server:
        backfill = "SELECT roost.backfill_participants(100)"
        await race.sessions["grace"].execute("BEGIN")
        await race.sessions["grace"].execute(race.query("update_me(display_name => 'Grace')"))
        # ada's alone: grace's is left to whoever writes it.
        assert await (await server.execute(backfill)).fetchone() == (1,)
        await race.sessions["grace"].execute("ROLLBACK")
        await server.execute("BEGIN")
        assert await (await server.execute(backfill)).fetchone() == (1,)
        waiting = asyncio.create_task(
            race.sessions["grace"].execute(race.query("update_me(display_name => 'Grace')"))
        )
        await wait_for_lock(observer, race.sessions["grace"].info.backend_pid)
        await server.execute("COMMIT")
        await waiting
    assert await race.one(
        "SELECT array_agg(mention_name ORDER BY mention_name)::text[]"
        " FROM roost.conversation_participants"
    ) == ["", "grace"]


async def test_a_history_that_begins_while_its_message_goes(race: Race, database: str) -> None:
    observer = race.sessions["observer"]
    await observer.execute(OLD)
    async with await connect(database, "roost_gateway") as server, await connect(database) as other:
        await server.execute("BEGIN")
        await server.execute("SELECT roost.backfill_messages(100)")
        waiting = asyncio.create_task(other.execute("DELETE FROM roost.messages WHERE seq > 5"))
        await wait_for_lock(observer, other.info.backend_pid)
        await server.execute("COMMIT")
        await waiting
    assert await race.one("SELECT array_agg(seq ORDER BY seq) FROM roost.message_changes") == [
        *range(1, 6)
    ]


async def test_an_edit_while_its_message_goes(race: Race, database: str) -> None:
    async with await connect(database) as other:
        await race.sessions["grace"].execute("BEGIN")
        await race.sessions["grace"].execute(race.query(edit("two")))
        waiting = asyncio.create_task(other.execute("DELETE FROM roost.conversations"))
        await wait_for_lock(race.sessions["observer"], other.info.backend_pid)
        await race.sessions["grace"].execute("COMMIT")
        await waiting
    assert await race.one("SELECT count(*) FROM roost.message_changes") == 0


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
        send = 'SELECT (api.send_message(%s, \'{"text": "x"}\')).seq'
        await first.execute("BEGIN")
        await first.execute(send, row)
        waiting = asyncio.create_task(second.execute(send, row))
        await wait_for_lock(observer, second.info.backend_pid)
        await first.execute("ROLLBACK")

        cursor = await waiting
        # The first was taken back, and its number with it.
        assert await cursor.fetchone() == (1,)
