"""Topics of applications: over real sockets, with an operator's rules, and by several sessions."""

import asyncio
import contextlib
import subprocess
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from roost.realtime.protocol import Version
from tests.locks import wait_for_lock
from tests.relaying import Phone, join_payload
from tests.serving import Client
from tests.support import client_program, connect, new_database

EMAIL = "ada@example.com"

# What an operator does, in psql.
REGISTER = """
    CREATE SCHEMA board;
    GRANT USAGE ON SCHEMA board TO roost_owner;
    CREATE TABLE board.members (topic text, user_id uuid, may text[]);
    GRANT SELECT ON board.members TO roost_owner;
    CREATE FUNCTION board.may_use(topic text, action text) RETURNS boolean LANGUAGE sql STABLE AS $$
        SELECT may_use.action = ANY (member.may)
        FROM board.members AS member
        WHERE member.topic = may_use.topic AND member.user_id = roost.current_user_id()
    $$;
    SELECT realtime.register_topic_prefix('board', 'board.may_use(text, text)');
"""


@contextlib.asynccontextmanager
async def socket(person: Client) -> AsyncIterator[Phone]:
    async with person.http.ws_connect(f"{person.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        yield Phone(ws, Version.V2, None)


async def join(phone: Phone, person: Client, topic: str, **broadcast: Any) -> dict[str, Any]:
    """The reply to a join."""
    payload = join_payload(person.token, **broadcast)
    return await phone.reply(await phone.send(f"realtime:{topic}", "phx_join", payload))


async def test_a_persons_devices_talk_to_each_other(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    tablet = await client.sign_in(EMAIL)
    topic = f"app:{ada.user_id}:notes"

    async with socket(tablet) as phone, socket(grace) as stranger:
        reply = await join(phone, tablet, topic)
        assert reply["response"]["offset"] == 0
        first = await ada.ask("publish_event", topic=topic, event="note.saved", payload={"n": 1})
        await ada.ask("broadcast_event", topic=topic, event="cursorMoved", payload=[1, 2])
        second = await ada.ask("publish_event", topic=topic, event="note.saved", payload=None)

        assert first == {"topic": topic, "offset": 1, "epoch": first["epoch"]}
        assert second == {**first, "offset": 2}
        events = await phone.events(3)
        stored = [event for event in events if "meta" in event]
        assert [(e["event"], e["payload"], e["meta"]["offset"]) for e in stored] == [
            ("note.saved", {"n": 1}, 1),
            ("note.saved", None, 2),
        ]
        assert {event["meta"]["epoch"] for event in stored} == {first["epoch"]}
        (passing,) = [event for event in events if "meta" not in event]
        assert (passing["event"], passing["payload"]) == ("cursorMoved", [1, 2])

        refused = await join(stranger, grace, topic)
        assert (refused["status"], refused["response"]["code"]) == ("error", "RO401")

    # A device that was away gets what is stored.
    async with socket(tablet) as phone:
        reply = await join(phone, tablet, topic, replay={"after": 1, "epoch": first["epoch"]})
        assert (reply["status"], reply["response"]["offset"]) == ("ok", 2)
        assert await phone.offsets(1) == [2]
        await phone.is_answered()


async def test_people_in_a_conversation_broadcast(client: Client) -> None:
    ada, grace, viewer = [await client.sign_up() for _ in range(3)]
    conversation_id = await ada.open_conversation(grace)
    where = {"conversation_id": conversation_id}
    await ada.ask("add_participant", **where, user_id=viewer.user_id, role="viewer")
    topic = f"conversation:{conversation_id}"

    async with socket(viewer) as phone:
        await join(phone, viewer, topic)
        await grace.ask("broadcast_event", topic=topic, event="cursor", payload={"x": 1})
        (event,) = await phone.events(1)
        assert event == {"type": "broadcast", "event": "cursor", "payload": {"x": 1}}
        for person, name in (
            (viewer, "cursor"),
            # Nobody says what the server says.
            (grace, "message.created"),
            (ada, "typing"),
            (ada, "participant.removed"),
        ):
            answer = await person.call("broadcast_event", topic=topic, event=name, payload={})
            assert (answer.status, answer.body["code"]) == (403, "RO401")
            assert answer.body["hint"]
        await ada.ask("archive_conversation", **where)
        assert (await phone.events(1))[0]["event"] == "conversation.archived"
        archived = await ada.call("broadcast_event", topic=topic, event="cursor", payload={})
        assert (archived.status, archived.body["code"]) == (403, "RO401")
        assert "archived" in archived.body["hint"]
        await phone.is_answered()
    # Nothing of it is stored but the archiving; the participant is the first.
    assert (await ada.ask("get_conversation", **where))["last_seq"] == 2


@pytest.mark.parametrize("function", ["publish_event", "broadcast_event"])
async def test_who_may_not(client: Client, function: str) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    topic = f"app:{ada.user_id}:notes"

    for caller, arguments, status, code in (
        (client, {}, 401, "42501"),
        (grace, {}, 403, "RO401"),
        (ada, {"topic": "board:one"}, 403, "RO401"),
        (ada, {"topic": "notes"}, 403, "RO401"),
        (ada, {"topic": None}, 403, "RO401"),
        (ada, {"topic": f"app:{ada.user_id}:a b"}, 403, "RO401"),
        (ada, {"event": "phx_close"}, 403, "RO401"),
        (ada, {"event": "must_refetch"}, 403, "RO401"),
        (ada, {"event": "a b"}, 400, "RO302" if function == "broadcast_event" else "23514"),
        (ada, {"payload": "x" * 300_000}, 400, "RO302"),
    ):
        answer = await caller.call(
            function, **{"topic": topic, "event": "saved", "payload": {}, **arguments}
        )
        assert (answer.status, answer.body["code"]) == (status, code), answer
        assert answer.body["hint"]
    made = await ada.ask("publish_event", topic=topic, event="saved", payload={})
    assert made["offset"] == 1


async def test_a_large_ephemeral_event_is_kept_for_the_servers(
    client: Client, database: str
) -> None:
    ada = await client.sign_up()
    drawing = {"strokes": "x" * 200_000}

    async with await connect(database) as listener:
        await listener.execute("LISTEN roost_events")
        topic = f"app:{ada.user_id}:notes"
        await ada.ask("broadcast_event", topic=topic, event="drawing", payload=drawing)
        async for notification in listener.notifies(timeout=20, stop_after=1):
            _, line = notification.payload.split("\n")

    named, event, reference = line.split("\t")
    assert (named, event, reference[0]) == (f"~{topic}", "drawing", "@")
    async with await connect(database, "roost_gateway") as gateway:
        cursor = await gateway.execute(
            "SELECT payload FROM realtime.read_large_broadcast(%s)", [reference[1:]]
        )
        assert await cursor.fetchone() == (drawing,)


async def test_an_operators_rule(client: Client, database: str) -> None:
    ada, grace, outsider = [await client.sign_up() for _ in range(3)]
    sent = {"topic": "board:one", "event": "moved", "payload": {}}
    assert (await ada.call("publish_event", **sent)).status == 403

    async with await connect(database) as operator:
        await operator.execute(REGISTER)
        for person, may in ((ada, ["join", "publish", "broadcast"]), (grace, ["join"])):
            await operator.execute(
                "INSERT INTO board.members VALUES ('board:one', %s, %s)", [person.user_id, may]
            )
        async with socket(grace) as phone, socket(outsider) as stranger:
            assert (await join(phone, grace, "board:one"))["status"] == "ok"
            assert (await join(stranger, outsider, "board:one"))["response"]["code"] == "RO401"
            assert (await ada.ask("publish_event", **sent))["offset"] == 1
            assert await phone.offsets(1) == [1]
            await ada.ask("broadcast_event", **sent)
            assert "meta" not in (await phone.events(1))[0]

            for person in (grace, outsider):
                for function in ("publish_event", "broadcast_event"):
                    answer = await person.call(function, **sent)
                    assert (answer.status, answer.body["code"]) == (403, "RO401")
            # What it says is asked each time.
            await operator.execute("UPDATE board.members SET may = '{join}'")
            assert (await ada.call("publish_event", **sent)).body["code"] == "RO401"
            await operator.execute("UPDATE board.members SET may = '{publish}'")
            assert (await ada.ask("publish_event", **sent))["offset"] == 2
            await operator.execute("SELECT realtime.unregister_topic_prefix('board')")
            assert (await ada.call("publish_event", **sent)).body["code"] == "RO401"
            # Whoever was in is told by an event that ends their right.
            assert await phone.offsets(1) == [2]
            await operator.execute(
                "SELECT realtime.publish('board:one', 'closed', '{}', p_revokes => 'everybody')"
            )
            assert await phone.offsets(1) == [3]
            await phone.is_ended("board:one", "RO401")


def test_a_rule_is_restored_from_a_dump(postgres: EmbeddedPostgres, database: str) -> None:
    user_id = uuid.uuid4()
    with psycopg.connect(database) as operator:
        operator.execute(REGISTER.encode())
        operator.execute("INSERT INTO board.members VALUES ('board:one', %s, '{join}')", [user_id])
    dump = subprocess.run(
        [client_program("pg_dump"), f"--dbname={database}"], check=True, capture_output=True
    ).stdout

    with new_database(postgres) as restored:
        subprocess.run(
            [
                client_program("psql"),
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                f"--dbname={restored}",
            ],
            input=dump,
            check=True,
            capture_output=True,
        )
        with psycopg.connect(restored) as caller:
            caller.execute("SELECT set_config('roost.user_id', %s, false)", [str(user_id)])
            answers = caller.execute(
                "SELECT realtime.can_join('board:one'), realtime.can_publish('board:one'),"
                " realtime.can_join('board:two')"
            ).fetchone()
        assert answers == (True, False, False)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DROP FUNCTION board.may_use(text, text)", "There is no such function."),
        ("ALTER FUNCTION board.may_use(text, text) VOLATILE", "It is VOLATILE"),
        ("REVOKE USAGE ON SCHEMA board FROM roost_owner", "roost_owner may not call it"),
        ("REVOKE SELECT ON board.members FROM roost_owner", "It fails with 42501"),
        ("DROP TABLE board.members", "It fails with 42P01"),
    ],
)
async def test_the_log_says_what_is_wrong_with_a_rule(
    database: str, change: str, problem: str
) -> None:
    notes: list[tuple[str | None, ...]] = []

    def note(said: psycopg.errors.Diagnostic) -> None:
        notes.append((said.severity, said.message_primary, said.message_detail))

    async with (
        await connect(database) as operator,
        await connect(database, "roost_api", uuid.uuid4()) as caller,
    ):
        await operator.execute(REGISTER)
        # As in the server's log, which has these whatever is set here.
        caller.add_notice_handler(note)
        await caller.execute("SET client_min_messages = log")
        assert await allowed(caller) is False
        assert notes == []

        await operator.execute(change.encode())

        assert await allowed(caller) is False
    ((severity, message, detail),) = notes
    assert severity == "LOG"
    assert message == "The rule of a topic prefix can't be asked: nobody is let in."
    assert detail is not None
    assert detail.startswith("Prefix: board; rule: board.may_use(text, text). ")
    assert problem in detail


async def test_a_rule_of_a_stranger_is_not_asked(database: str) -> None:
    """Somebody who may make functions where the operator's was can't have Roost run theirs."""
    async with await connect(database) as operator:
        await operator.execute(REGISTER)
        await operator.execute("CREATE ROLE mallory")
        try:
            await operator.execute("GRANT CREATE, USAGE ON SCHEMA board TO mallory")
            await operator.execute("DROP FUNCTION board.may_use(text, text)")
            await operator.execute("SET ROLE mallory")
            await operator.execute(
                "CREATE FUNCTION board.may_use(topic text, action text) RETURNS boolean"
                " STABLE RETURN true"
            )
            await operator.execute("RESET ROLE")
            async with await connect(database, "roost_api", uuid.uuid4()) as caller:
                assert await allowed(caller) is False
            with pytest.raises(psycopg.Error) as refused:
                await operator.execute(
                    "SELECT realtime.register_topic_prefix('mine', 'board.may_use(text, text)')"
                )
            assert refused.value.sqlstate == "RO302"
            assert "owner" in (refused.value.diag.message_detail or "")
        finally:
            await operator.execute("RESET ROLE")
            await operator.execute("DROP OWNED BY mallory")
            await operator.execute("DROP ROLE mallory")


async def test_a_call_that_is_cancelled_in_a_rule_has_no_answer(database: str) -> None:
    async with (
        await connect(database) as operator,
        await connect(database, "roost_api", uuid.uuid4()) as caller,
    ):
        await operator.execute(REGISTER)
        await operator.execute(
            "CREATE OR REPLACE FUNCTION board.may_use(topic text, action text) RETURNS boolean"
            " LANGUAGE sql STABLE AS 'SELECT pg_sleep(60) IS NOT NULL'"
        )
        await caller.execute("SET statement_timeout = '100ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            await allowed(caller)


async def allowed(caller: psycopg.AsyncConnection[Any]) -> bool:
    cursor = await caller.execute("SELECT realtime.can_join('board:one')")
    row = await cursor.fetchone()
    assert row is not None
    return bool(row[0])


async def test_publishers_of_a_topic_take_turns_and_those_of_others_do_not(database: str) -> None:
    user_id = uuid.uuid4()
    publish = (
        b"SELECT (published).\"offset\" FROM api.publish_event(%s, 'saved', '{}') AS published"
    )
    one, other = f"app:{user_id}:one", f"app:{user_id}:other"
    async with (
        await connect(database) as observer,
        await connect(database, "roost_user", user_id) as first,
        await connect(database, "roost_user", user_id) as second,
    ):
        async with first.transaction():
            assert await (await first.execute(publish, [one])).fetchone() == (1,)
            assert await (await second.execute(publish, [other])).fetchone() == (1,)
            waiting = asyncio.create_task(second.execute(publish, [one]))
            await wait_for_lock(observer, second.info.backend_pid)
        assert await (await waiting).fetchone() == (2,)

        # What is rolled back gives its offset back.
        with contextlib.suppress(ZeroDivisionError):
            async with first.transaction():
                await first.execute(publish, [one])
                raise ZeroDivisionError
        assert await (await second.execute(publish, [one])).fetchone() == (3,)


async def test_an_event_that_is_sent_twice_at_once_is_published_once(database: str) -> None:
    user_id, event_id = uuid.uuid4(), uuid.uuid4()
    topic = f"app:{user_id}:notes"
    publish = (
        b"SELECT (published).\"offset\" FROM api.publish_event(%s, 'saved', %s, %s) AS published"
    )
    async with (
        await connect(database) as observer,
        await connect(database, "roost_user", user_id) as first,
        await connect(database, "roost_user", user_id) as second,
    ):
        async with first.transaction():
            await first.execute(publish, [topic, "{}", event_id])
            waiting = asyncio.create_task(second.execute(publish, [topic, "{}", event_id]))
            await wait_for_lock(observer, second.info.backend_pid)
        assert await (await waiting).fetchone() == (1,)
        with pytest.raises(psycopg.Error) as refused:
            await second.execute(publish, [topic, "[]", event_id])
        assert refused.value.sqlstate == "RO301"

        # What was rolled back was not published.
        other_id = uuid.uuid4()
        with contextlib.suppress(ZeroDivisionError):
            async with first.transaction():
                await first.execute(publish, [topic, "{}", other_id])
                raise ZeroDivisionError
        assert await (await second.execute(publish, [topic, "[]", other_id])).fetchone() == (2,)
        cursor = await observer.execute("SELECT count(*) FROM realtime.events")
        assert await cursor.fetchone() == (2,)


async def test_two_servers_clear_large_events_without_waiting(database: str) -> None:
    async with (
        await connect(database) as setup,
        await connect(database, "roost_gateway") as first,
        await connect(database, "roost_gateway") as second,
    ):
        await setup.execute(
            "INSERT INTO realtime.large_broadcasts (topic, event, payload, created_at)"
            " SELECT 'board:one', 'x', '{}', now() - interval '2 minutes'"
            " FROM generate_series(1, 3)"
        )
        await second.execute("SET lock_timeout = '1s'")
        expire = "SELECT realtime.expire_large_broadcasts(2)"
        async with first.transaction():
            assert await (await first.execute(expire)).fetchone() == (1,)
            # One is free, and the two that go already are not for it.
            assert await (await second.execute(expire)).fetchone() == (2,)
            assert await (await second.execute(expire)).fetchone() == (0,)
        assert await (await first.execute(expire)).fetchone() == (0,)
        cursor = await setup.execute("SELECT count(*) FROM realtime.large_broadcasts")
        assert await cursor.fetchone() == (0,)
