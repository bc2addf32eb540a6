"""Conversations over real sockets and from two sessions at once."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import psycopg
import pytest

from roost.realtime.protocol import Version
from tests.locks import wait_for_lock
from tests.relaying import Phone, join_payload
from tests.serving import Client
from tests.support import connect

Session: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]

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


async def test_nobody_shows_others_more_than_they_see(client: Client) -> None:
    ada, grace, third = [await client.sign_up() for _ in range(3)]
    conversation_id = await ada.open_conversation()
    room = {"conversation_id": conversation_id}
    await ada.ask("send_message", **room, content={"text": "before"})
    await ada.ask(
        "add_participant", **room, user_id=grace.user_id, role="admin", history="from_now"
    )
    await ada.ask("send_message", **room, content={"text": "after"})

    await grace.ask("add_participant", **room, user_id=third.user_id, history="all")

    for person in (grace, third):
        seen = await person.ask("list_messages", **room)
        assert [message["content"]["text"] for message in seen] == ["after"]


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


@pytest.mark.parametrize(
    ("function", "arguments", "status", "code"),
    [
        ("update_conversation", {"title": "x" * 201}, 400, "23514"),
        ("update_conversation", {"search_language": "klingon"}, 400, "23514"),
        ("set_retention", {"retention_days": 0}, 400, "23514"),
        ("leave_conversation", {}, 409, "RO204"),
        ("transfer_ownership", {"user_id": NOTHING}, 404, "RO201"),
        ("change_role", {"user_id": NOTHING, "role": "viewer"}, 404, "RO201"),
        ("add_participant", {"user_id": NOTHING, "history": "some"}, 400, "22P02"),
        ("get_conversation_analytics", {"time_zone": "Mars/Olympus"}, 400, "RO302"),
        ("get_conversation_analytics", {"from_time": "2020-01-01"}, 400, "RO302"),
    ],
)
async def test_refusals_say_what_to_do(
    client: Client, function: str, arguments: dict[str, Any], status: int, code: str
) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()

    answer = await ada.call(function, conversation_id=conversation_id, **arguments)

    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.body["hint"]


async def test_what_is_archived_takes_nothing_new(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)

    archived = await ada.ask("archive_conversation", conversation_id=conversation_id)

    assert archived["archived_at"] is not None
    refused = await grace.call(
        "send_message", conversation_id=conversation_id, content={"text": "hello"}
    )
    assert (refused.status, refused.body["code"]) == (409, "RO203")
    assert await grace.ask("list_conversations") == []
    (listed,) = await grace.ask("list_conversations", state="archived")
    assert listed["id"] == conversation_id
    await ada.ask("unarchive_conversation", conversation_id=conversation_id)
    await grace.ask("send_message", conversation_id=conversation_id, content={"text": "hello"})


async def test_a_conversation_comes_back_or_goes_for_good(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    which = {"conversation_id": conversation_id}
    await grace.ask("send_message", **which, content={"text": "hello"})

    deleted = await ada.ask("delete_conversation", **which)
    assert await ada.ask("list_conversations", state="deleted") == [deleted]
    assert await grace.ask("list_conversations", state="deleted") == []
    assert (await grace.call("list_messages", **which)).status == 404

    restored = await ada.ask("restore_conversation", **which)
    assert restored["last_message"]["content"] == {"text": "hello"}
    assert await ada.ask("list_conversations") == [restored]
    assert len(await grace.ask("list_messages", **which)) == 1

    assert (await ada.call("purge_conversation", **which)).status == 204
    assert (await ada.call("restore_conversation", **which)).status == 404
    for person in (ada, grace):
        for state in ("active", "archived", "deleted"):
            assert await person.ask("list_conversations", state=state) == []


async def test_a_large_conversation_goes_in_parts(client: Client, database: str) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    async with await connect(database) as connection:
        await connection.execute(
            "INSERT INTO roost.messages (conversation_id, seq, number, user_id, content)"
            ' SELECT %s, n, n, %s, \'{"text": "hello"}\' FROM generate_series(1, 2100) AS n',
            [conversation_id, ada.user_id],
        )
        await connection.execute("UPDATE roost.conversations SET last_seq = 2100")

        await ada.ask("purge_conversation", conversation_id=conversation_id)

        left = "SELECT count(*) FROM roost.messages"
        assert await (await connection.execute(left)).fetchone() == (1100,)
        refused = await ada.call("restore_conversation", conversation_id=conversation_id)
        assert (refused.status, refused.body["code"]) == (410, "RO305")
        for person in (ada, grace):
            answer = await person.call("get_conversation", conversation_id=conversation_id)
            assert answer.status == 404
        # The server's own job may be at it too.
        for _ in range(100):
            await connection.execute("SELECT roost.purge_conversations(500)")
            if await (await connection.execute(left)).fetchone() == (0,):
                break
        rows = await connection.execute(
            "SELECT count(*) FROM roost.conversations UNION ALL"
            " SELECT count(*) FROM realtime.events WHERE topic LIKE 'conversation:%' UNION ALL"
            " SELECT count(*) FROM roost.message_changes UNION ALL"
            " SELECT count(*) FROM roost.message_search_index"
        )
        assert await rows.fetchall() == [(0,)] * 4


# --- live ----------------------------------------------------------------------------------------


def inbox_of(person: Client) -> str:
    return f"user:{person.user_id}"


@contextlib.asynccontextmanager
async def joined(person: Client, *topics: str) -> AsyncIterator[Phone]:
    """A socket of a person that has joined these topics."""
    url = f"{person.url}/realtime/v1/websocket?vsn=2.0.0"
    async with person.http.ws_connect(url) as ws:
        phone = Phone(ws, Version.V2, None)
        for topic in topics:
            ref = await phone.send(f"realtime:{topic}", "phx_join", join_payload(person.token))
            reply = await phone.reply(ref)
            assert reply["status"] == "ok", reply
        phone.hears_its_own_alone = topics == (inbox_of(person),)
        yield phone


async def told(phone: Phone, *names: str) -> list[dict[str, Any]]:
    """The payloads of the next events, which have to be these."""
    events = await phone.events(len(names))
    assert [event["event"] for event in events] == list(names)
    return [event["payload"] for event in events]


async def is_cut_off(phone: Phone, topic: str) -> None:
    """The next two messages say that the channel is over, as for a refused join."""
    system, error = await phone.receive(), await phone.receive()
    assert (system.event, error.event) == ("system", "phx_error")
    assert (system.topic, system.payload["code"]) == (f"realtime:{topic}", "RO401")


async def test_changes_of_a_conversation_arrive_as_it_is_read(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    which = {"conversation_id": conversation_id}
    changes: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("update_conversation", {"title": "May", "metadata": {"a": 1}}, "conversation.updated"),
        ("set_retention", {"retention_days": 30}, "conversation.updated"),
        ("archive_conversation", {}, "conversation.archived"),
        ("unarchive_conversation", {}, "conversation.unarchived"),
    )
    async with joined(grace, f"conversation:{conversation_id}") as phone:
        for function, arguments, event in changes:
            answer = await ada.ask(function, **which, **arguments)
            (payload,) = await told(phone, event)
            read = await grace.ask("get_conversation", **which)
            # The same names have the same values, to whoever reads; the rest is the reader's own.
            for it in (answer, read):
                assert payload == {key: it[key] for key in payload}
        assert read.keys() - payload.keys() == {
            "role",
            "last_seq",
            "last_activity",
            "last_read_seq",
            "last_delivered_seq",
            "unread_count",
            "last_message",
            "workspace_id",
        }
        await phone.is_answered()


async def test_participants_arrive_as_they_are_listed(client: Client) -> None:
    ada, grace, newcomer = [await client.sign_up() for _ in range(3)]
    conversation_id = await ada.open_conversation(grace)
    which = {"conversation_id": conversation_id}
    who = {**which, "user_id": newcomer.user_id}
    topic = f"conversation:{conversation_id}"

    async def listed(user_id: str) -> dict[str, Any]:
        rows: list[dict[str, Any]] = await ada.ask("list_participants", **which)
        return next(row for row in rows if row["user_id"] == user_id)

    async with joined(grace, topic) as phone, joined(newcomer, inbox_of(newcomer)) as inbox:
        await ada.ask("add_participant", **who, history="from_now")
        assert await told(phone, "participant.added") == [await listed(newcomer.user_id)]
        (added,) = await told(inbox, "conversation.added")
        assert added["conversation_id"] == conversation_id
        async with joined(newcomer, topic) as removed:
            await ada.ask("change_role", **who, role="admin")
            assert await told(phone, "participant.updated") == [await listed(newcomer.user_id)]
            await told(removed, "participant.updated")
            await ada.ask("transfer_ownership", **which, user_id=grace.user_id)
            old, new, conversation = await told(
                phone, "participant.updated", "participant.updated", "conversation.updated"
            )
            assert old == await listed(ada.user_id)
            assert new == await listed(grace.user_id)
            assert (old["role"], new["role"]) == ("admin", "owner")
            assert conversation["user_id"] == grace.user_id
            await told(
                removed, "participant.updated", "participant.updated", "conversation.updated"
            )

            answer = await grace.ask("remove_participant", **who)
            assert await told(phone, "participant.removed") == [answer]
            assert await told(inbox, "conversation.removed") == [which]
            # The last that they hear of it.
            assert await told(removed, "participant.removed") == [answer]
            await is_cut_off(removed, topic)
            await grace.ask("send_message", **which, content={"text": "without them"})
            await removed.is_answered()
        await told(phone, "message.created")
        left = await ada.ask("leave_conversation", **which)
        assert await told(phone, "participant.removed") == [left]
        assert left["left_at"] is not None


async def test_a_newcomer_sees_their_own_coming_first(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation()
    which = {"conversation_id": conversation_id}
    for text in ("before", "too"):
        await ada.ask("send_message", **which, content={"text": text})
    await ada.ask("add_participant", **which, user_id=grace.user_id, history="from_now")
    await ada.ask("send_message", **which, content={"text": "after"})

    assert [
        message["content"]["text"] for message in await grace.ask("list_messages", **which)
    ] == ["after"]
    read = await grace.ask("get_conversation", **which)
    assert (read["unread_count"], read["last_read_seq"]) == (1, 2)
    async with grace.http.ws_connect(f"{grace.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        ref = await phone.send(
            f"realtime:conversation:{conversation_id}",
            "phx_join",
            join_payload(grace.token, replay={"after": 2}),
        )
        assert (await phone.reply(ref))["status"] == "ok"
        added, message = await told(phone, "participant.added", "message.created")
        assert (added["user_id"], message["seq"]) == (grace.user_id, 4)


@pytest.mark.parametrize("function", ["delete_conversation", "purge_conversation"])
async def test_nobody_hears_more_of_what_is_deleted(client: Client, function: str) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    topic = f"conversation:{conversation_id}"
    await ada.ask("send_message", conversation_id=conversation_id, content={"text": "hello"})
    async with joined(grace, topic) as phone, joined(grace, inbox_of(grace)) as inbox:
        await ada.call(function, conversation_id=conversation_id)

        (payload,) = await told(phone, "conversation.deleted")
        assert payload["deleted_at"] is not None
        assert payload["title"] == ("Plans" if function == "delete_conversation" else "")
        await is_cut_off(phone, topic)
        await phone.is_answered()
        assert await told(inbox, "conversation.removed") == [{"conversation_id": conversation_id}]
        if function == "delete_conversation":
            await ada.ask("restore_conversation", conversation_id=conversation_id)
            assert await told(inbox, "conversation.restored") == [
                {"conversation_id": conversation_id, "title": "Plans"}
            ]
        await inbox.is_answered()


# --- two sessions at once ------------------------------------------------------------------------


class Race:
    """A conversation of ada (owner), grace (admin) and may (member), and an outsider."""

    NAMES = ("ada", "grace", "may", "outsider")

    def __init__(self, conversation_id: uuid.UUID, sessions: dict[str, Session]) -> None:
        self.conversation_id = conversation_id
        self.sessions = sessions
        self.ids = {name: uuid.uuid4() for name in self.NAMES}

    def query(self, call: str) -> str:
        """A call of an api function with :c for the conversation and :name for people."""
        for name, user_id in {**self.ids, "c": self.conversation_id}.items():
            call = call.replace(f":{name}", f"'{user_id}'")
        return f"SELECT api.{call}"

    async def roles(self) -> dict[str, str]:
        """Who takes part."""
        rows = await self.sessions["observer"].execute(
            "SELECT user_id, role FROM roost.conversation_participants WHERE left_at IS NULL"
        )
        names = {user_id: name for name, user_id in self.ids.items()}
        return {names[user_id]: role for user_id, role in await rows.fetchall()}

    async def events(self) -> list[str]:
        rows = await self.sessions["observer"].execute(
            "SELECT event FROM realtime.events WHERE topic LIKE 'conversation:%'"
            " ORDER BY event_offset"
        )
        return [event for (event,) in await rows.fetchall()]

    async def in_turn(self, first: tuple[str, str], second: tuple[str, str]) -> str:
        """
        Carries out a first call and, before it is committed, begins a second one, which waits for
        it. What became of the second: a SQLSTATE, or done.
        """
        before, after = self.sessions[first[0]], self.sessions[second[0]]
        if before is after:
            after = self.sessions[f"{second[0]}'s tablet"]
        await before.execute("BEGIN")
        await before.execute(self.query(first[1]).encode())
        waiting = asyncio.create_task(after.execute(self.query(second[1]).encode()))
        await wait_for_lock(self.sessions["observer"], after.info.backend_pid)
        await before.execute("COMMIT")
        try:
            await waiting
        except psycopg.Error as error:
            return error.sqlstate or ""
        return "done"


@pytest.fixture
async def race(database: str) -> AsyncIterator[Race]:
    async with contextlib.AsyncExitStack() as stack:
        sessions: dict[str, Session] = {}
        race = Race(uuid.uuid4(), sessions)
        observer = await stack.enter_async_context(await connect(database))
        for name, user_id in race.ids.items():
            await observer.execute(
                "INSERT INTO roost.users (id, email, password_hash)"
                " VALUES (%s, %s, '$argon2id$v=19$x')",
                [user_id, f"{name}@example.com"],
            )
        async with observer.transaction():
            await observer.execute(
                "INSERT INTO roost.conversations (id, user_id) VALUES (%s, %s)",
                [race.conversation_id, race.ids["ada"]],
            )
            for name, role in (("ada", "owner"), ("grace", "admin"), ("may", "member")):
                await observer.execute(
                    "INSERT INTO roost.conversation_participants (conversation_id, user_id, role)"
                    " VALUES (%s, %s, %s)",
                    [race.conversation_id, race.ids[name], role],
                )
        sessions["observer"] = observer
        sessions["psql"] = await stack.enter_async_context(await connect(database))
        for name, user_id in race.ids.items():
            for device in (name, f"{name}'s tablet"):
                sessions[device] = await stack.enter_async_context(
                    await connect(database, "roost_user", user_id)
                )
        yield race


HAND_OVER = ["participant.updated", "participant.updated", "conversation.updated"]


# All of these are decided by the lock on the conversation's row, which roost.lock_conversation
# takes before it asks for the caller's role a second time. Without the lock, or without asking
# again, the second call would act on what was true before the first.
@pytest.mark.parametrize(
    ("first", "second", "outcome", "roles", "events"),
    [
        pytest.param(
            ("ada", "transfer_ownership(:c, :grace)"),
            ("ada", "transfer_ownership(:c, :may)"),
            "RO202",
            {"ada": "admin", "grace": "owner", "may": "member"},
            HAND_OVER,
            id="two hand-overs",
        ),
        pytest.param(
            ("ada", "transfer_ownership(:c, :may)"),
            ("grace", "remove_participant(:c, :may)"),
            "RO202",
            {"ada": "admin", "grace": "admin", "may": "owner"},
            HAND_OVER,
            id="a hand-over, then the removal of who got it",
        ),
        pytest.param(
            ("grace", "remove_participant(:c, :may)"),
            ("ada", "transfer_ownership(:c, :may)"),
            "RO201",
            {"ada": "owner", "grace": "admin"},
            ["participant.removed"],
            id="a removal, then a hand-over to who is gone",
        ),
        pytest.param(
            ("may", "leave_conversation(:c)"),
            ("ada", "transfer_ownership(:c, :may)"),
            "RO201",
            {"ada": "owner", "grace": "admin"},
            ["participant.removed"],
            id="leaving, then becoming the owner",
        ),
        pytest.param(
            ("ada", "transfer_ownership(:c, :may)"),
            ("may", "leave_conversation(:c)"),
            "RO204",
            {"ada": "admin", "grace": "admin", "may": "owner"},
            HAND_OVER,
            id="becoming the owner, then leaving",
        ),
        pytest.param(
            ("ada", "change_role(:c, :grace, 'member')"),
            ("grace", "add_participant(:c, :outsider)"),
            "RO202",
            {"ada": "owner", "grace": "member", "may": "member"},
            ["participant.updated"],
            id="an admin who is demoted while their add waits",
        ),
        pytest.param(
            ("ada", "remove_participant(:c, :grace)"),
            ("grace", "add_participant(:c, :outsider)"),
            "RO201",
            {"ada": "owner", "may": "member"},
            ["participant.removed"],
            id="the last admin, removed while their add waits",
        ),
        pytest.param(
            ("ada", "transfer_ownership(:c, :grace)"),
            ("ada", "delete_conversation(:c)"),
            "RO202",
            {"ada": "admin", "grace": "owner", "may": "member"},
            HAND_OVER,
            id="a hand-over, then the old owner deletes",
        ),
        pytest.param(
            ("ada", "delete_conversation(:c)"),
            ("grace", "add_participant(:c, :outsider)"),
            "RO201",
            {"ada": "owner", "grace": "admin", "may": "member"},
            ["conversation.deleted"],
            id="a deletion, then an add",
        ),
        pytest.param(
            ("grace", "add_participant(:c, :outsider)"),
            ("ada", "delete_conversation(:c)"),
            "done",
            {"ada": "owner", "grace": "admin", "may": "member", "outsider": "member"},
            ["participant.added", "conversation.deleted"],
            id="an add, then a deletion",
        ),
        pytest.param(
            ("ada", "purge_conversation(:c)"),
            ("grace", "add_participant(:c, :outsider)"),
            "RO201",
            {},
            ["conversation.deleted"],
            id="a deletion for good, then an add",
        ),
        pytest.param(
            ("ada", "purge_conversation(:c)"),
            ("ada", "delete_conversation(:c)"),
            "RO201",
            {},
            ["conversation.deleted"],
            id="a deletion for good, then another one",
        ),
        pytest.param(
            ("grace", "archive_conversation(:c)"),
            ("ada", "add_participant(:c, :outsider)"),
            "RO203",
            {"ada": "owner", "grace": "admin", "may": "member"},
            ["conversation.archived"],
            id="archiving, then an add",
        ),
        pytest.param(
            ("ada", "add_participant(:c, :outsider)"),
            ("grace", "add_participant(:c, :outsider)"),
            "done",
            {"ada": "owner", "grace": "admin", "may": "member", "outsider": "member"},
            ["participant.added"],
            id="one person, added twice",
        ),
        pytest.param(
            ("ada", "add_participant(:c, :outsider, 'viewer')"),
            ("grace", "add_participant(:c, :outsider)"),
            "RO301",
            {"ada": "owner", "grace": "admin", "may": "member", "outsider": "viewer"},
            ["participant.added"],
            id="one person, added in two roles",
        ),
        pytest.param(
            ("ada", "change_role(:c, :may, 'admin')"),
            ("grace", "remove_participant(:c, :may)"),
            "RO202",
            {"ada": "owner", "grace": "admin", "may": "admin"},
            ["participant.updated"],
            id="a promotion, then a removal by who is no higher any more",
        ),
        pytest.param(
            ("grace", "remove_participant(:c, :may)"),
            ("may", "leave_conversation(:c)"),
            "RO201",
            {"ada": "owner", "grace": "admin"},
            ["participant.removed"],
            id="a removal, then leaving",
        ),
    ],
)
async def test_the_second_sees_what_the_first_did(
    race: Race,
    first: tuple[str, str],
    second: tuple[str, str],
    outcome: str,
    roles: dict[str, str],
    events: list[str],
) -> None:
    assert await race.in_turn(first, second) == outcome
    assert await race.roles() == roles
    # Who was refused has left no trace, and what was done twice is told once.
    assert await race.events() == events


async def test_two_admins_write_metadata_at_once(race: Race) -> None:
    """merge_keys() reads under the lock: otherwise the second would lay its keys over the old."""
    outcome = await race.in_turn(
        ("ada", """update_conversation(:c, metadata => '{"a": 1}')"""),
        ("grace", """update_conversation(:c, metadata => '{"b": 2}')"""),
    )

    assert outcome == "done"
    rows = await race.sessions["observer"].execute("SELECT metadata FROM roost.conversations")
    assert await rows.fetchone() == ({"a": 1, "b": 2},)


async def test_who_was_added_in_time_hears_of_the_deletion(race: Race) -> None:
    """The lock puts the add before the deletion, so that the inbox says both."""
    await race.in_turn(
        ("grace", "add_participant(:c, :outsider)"), ("ada", "delete_conversation(:c)")
    )

    rows = await race.sessions["observer"].execute(
        "SELECT event FROM realtime.events WHERE topic = %s ORDER BY event_offset",
        [f"user:{race.ids['outsider']}"],
    )
    assert await rows.fetchall() == [("conversation.added",), ("conversation.removed",)]
    rows = await race.sessions["observer"].execute(
        "SELECT bool_and(suspended) FROM roost.conversation_participants"
    )
    assert await rows.fetchone() == (True,)


@pytest.mark.parametrize("swapped", [False, True], ids=["hand-over first", "removal first"])
async def test_no_owner_is_lost_between_two_operators(race: Race, swapped: bool) -> None:
    """
    Without the functions, so without their lock. Each transaction leaves one owner if it is alone;
    conversation_participants_one_owner looks again at the end, and refuses the second.
    """
    conversation, ada, grace = race.conversation_id, race.ids["ada"], race.ids["grace"]
    hand_over = [
        ("UPDATE roost.conversation_participants SET role = 'owner' WHERE user_id = %s", grace),
        ("UPDATE roost.conversation_participants SET role = 'admin' WHERE user_id = %s", ada),
        ("UPDATE roost.conversations SET user_id = %s", grace),
    ]
    removal = [
        (
            "UPDATE roost.conversation_participants SET left_at = now()"
            " WHERE user_id = %s AND left_at IS NULL",
            grace,
        )
    ]
    first, second = (removal, hand_over) if swapped else (hand_over, removal)
    psql, observer = race.sessions["psql"], race.sessions["observer"]
    other = race.sessions["may"]
    await other.execute("RESET ROLE")

    async def run(session: Session, statements: list[tuple[str, uuid.UUID]]) -> None:
        await session.execute("BEGIN")
        for statement, user_id in statements:
            await session.execute(statement.encode(), [user_id])

    await run(psql, first)
    waiting = asyncio.create_task(run(other, second))
    await wait_for_lock(observer, other.info.backend_pid)
    await psql.execute("COMMIT")
    await waiting
    with pytest.raises(psycopg.errors.CheckViolation):
        await other.execute("COMMIT")

    rows = await observer.execute(
        "SELECT participant.user_id = conversation.user_id"
        " FROM roost.conversations AS conversation"
        " JOIN roost.conversation_participants AS participant"
        " ON participant.conversation_id = conversation.id"
        " WHERE conversation.id = %s AND participant.role = 'owner'"
        " AND participant.left_at IS NULL",
        [conversation],
    )
    assert await rows.fetchall() == [(True,)]


async def test_two_servers_erase_at_once(race: Race) -> None:
    """SKIP LOCKED: the second does not wait for the first, and has nothing to do."""
    psql, observer = race.sessions["psql"], race.sessions["observer"]
    await psql.execute("UPDATE roost.conversations SET deleted_at = now() - interval '31 days'")
    job = "SELECT roost.purge_conversations(500)"
    await psql.execute("BEGIN")
    assert await (await psql.execute(job)).fetchone() == (1,)
    assert await (await observer.execute(job)).fetchone() == (0,)
    await psql.execute("COMMIT")
    assert await race.roles() == {}
    assert await (await observer.execute(job)).fetchone() == (0,)


async def test_what_somebody_holds_keeps_no_other_from_being_erased(race: Race) -> None:
    psql, observer = race.sessions["psql"], race.sessions["observer"]
    job = "SELECT roost.purge_conversations(500)"
    await psql.execute("UPDATE roost.conversations SET deleted_at = now() - interval '40 days'")
    ada = race.sessions["ada"]
    row = await (await ada.execute("SELECT (api.create_conversation()).id")).fetchone()
    await psql.execute(
        "UPDATE roost.conversations SET deleted_at = now() - interval '31 days'"
        " WHERE deleted_at IS NULL"
    )
    await psql.execute("BEGIN")
    await psql.execute(
        "SELECT FROM roost.conversation_participants WHERE conversation_id = %s FOR KEY SHARE",
        [race.conversation_id],
    )

    assert await (await observer.execute(job)).fetchone() == (1,)
    left = await observer.execute("SELECT id FROM roost.conversations")
    assert await left.fetchall() == [(race.conversation_id,)] != [row]
    await psql.execute("COMMIT")
    assert await (await observer.execute(job)).fetchone() == (1,)
