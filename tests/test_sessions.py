"""What two sessions do at the same moment: each test holds one back with the lock of the other."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support import connect

HASH = "$argon2id$v=19$old"
NEW_HASH = "$argon2id$v=19$new"
ADDRESS = "192.0.2.1"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


# SQL and its parameters, one after another in one transaction.
Statements = list[tuple[str, list[Any]]]

# Starts such a transaction on a connection of its own.
Start = Callable[[Statements], Awaitable[None]]

# Moves the calling session onto another device.
MOVE = "register_device('Laptop', 'laptop', device_id => %s)"


@dataclass(slots=True)
class Two:
    """Two connections that race, a third that watches, and a person who is signed in."""

    first: psycopg.AsyncConnection[Any]
    second: psycopg.AsyncConnection[Any]
    observer: psycopg.AsyncConnection[Any]
    user_id: uuid.UUID
    session_id: uuid.UUID
    device_id: uuid.UUID

    async def race(self, first: Statements, second: Statements, *, commits: bool = True) -> Any:
        """
        Runs the second while the first has not committed, or is yet to be rolled back. The second
        has to wait for that. Answers its last row.
        """
        async with self.first.transaction(force_rollback=not commits):
            await _run(self.first, first)
            waiting = await self.start(self.second, second)
            assert not waiting.done(), "it did not wait"
        return await waiting

    async def start(
        self, connection: psycopg.AsyncConnection[Any], statements: Statements
    ) -> asyncio.Task[Any]:
        """Runs a transaction until it waits for a lock, or to its end."""
        task = asyncio.create_task(_transaction(connection, statements))
        query = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
        backend = [connection.info.backend_pid]
        while not task.done() and await _run(self.observer, [(query, backend)]) != ("Lock",):
            pass
        return task

    def refresh(self, presented: str, successor: str) -> Statements:
        return [
            (
                "SELECT outcome::text FROM roost.refresh_session(%s, %s, %s, '30 days')",
                [self.session_id, _digest(presented), _digest(successor)],
            )
        ]

    def finish_sign_in(self, device_id: uuid.UUID | None = None) -> Statements:
        return [
            (
                "SELECT session_id, device_id FROM roost.finish_sign_in("
                "%s, 'ada@example.com', %s, %s, NULL, %s, '30 days', '',"
                " jsonb_build_object('device_id', %s::uuid))",
                [self.user_id, ADDRESS, HASH, _digest("other"), device_id],
            )
        ]

    def call(self, call: str, *parameters: Any, session_id: uuid.UUID | None = None) -> Statements:
        """As the server makes it for the person."""
        return [
            (
                "SELECT set_config('role', roost.begin_call('user', %s), true)",
                [session_id or self.session_id],
            ),
            (f"SELECT api.{call}", list(parameters)),
        ]

    def change_password(self) -> Statements:
        return [("SELECT roost.update_user(%s, NULL, %s, NULL)", [self.session_id, NEW_HASH])]

    async def living(self) -> int:
        row = await self.see("SELECT count(*) FROM roost.sessions WHERE revoked_at IS NULL")
        count: int = row[0]
        return count

    async def see(self, query: str) -> Any:
        return await _run(self.observer, [(query, [])])


async def _transaction(connection: psycopg.AsyncConnection[Any], statements: Statements) -> Any:
    async with connection.transaction():
        return await _run(connection, statements)


async def _run(connection: psycopg.AsyncConnection[Any], statements: Statements) -> Any:
    for query, parameters in statements:
        cursor = await connection.execute(query.encode(), parameters)
    return await cursor.fetchone() if cursor.description else None


# By whoever runs the server, with psql.
CLOSE_ACCOUNT: Statements = [
    ("RESET ROLE", []),
    ("UPDATE roost.users SET status = 'closed'", []),
]


@pytest.fixture
async def two(database: str) -> AsyncIterator[Two]:
    """Two sessions of the gateway, on a database with one person, who is signed in once."""
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(await connect(database, "roost_gateway"))
            for _ in range(2)
        ]
        observer = await stack.enter_async_context(await connect(database))
        sign_up = (
            "SELECT (account).id, session_id, device_id FROM roost.sign_up("
            "'ada@example.com', %s, '{}', %s, '30 days', '', '{}')"
        )
        user_id, session_id, device_id = await _run(first, [(sign_up, [HASH, _digest("one")])])
        yield Two(first, second, observer, user_id, session_id, device_id)


async def test_one_token_is_rotated_once(two: Two) -> None:
    """The session's row lock: the second request finds the token already rotated."""
    outcome = await two.race(two.refresh("one", "two"), two.refresh("one", "two"))

    assert outcome == ("repeated",)
    assert await _run(two.first, two.refresh("two", "three")) == ("rotated",)


async def test_a_rotation_that_was_taken_back_did_not_happen(two: Two) -> None:
    outcome = await two.race(two.refresh("one", "two"), two.refresh("one", "two"), commits=False)

    assert outcome == ("rotated",)


async def test_a_replay_while_the_token_is_rotated(two: Two) -> None:
    await _run(two.first, two.refresh("one", "two"))
    outcome = await two.race(two.refresh("two", "three"), two.refresh("one", "two"))

    assert outcome == ("replayed",)
    assert await two.living() == 0


async def test_a_rotation_while_signing_out_is_too_late(two: Two) -> None:
    sign_out = [("SELECT roost.end_sessions(%s, 'local')", [two.session_id])]

    assert await two.race(sign_out, two.refresh("one", "two")) == ("unknown",)


async def test_attempts_on_one_account_queue_up(two: Two) -> None:
    """The counter's row lock: the second attempt sees the first, which has not committed."""

    def attempt(address: str) -> Statements:
        return [("SELECT roost.begin_sign_in('ada@example.com', %s)", [address])]

    for _ in range(5):
        await _run(two.first, attempt(ADDRESS))
    with pytest.raises(psycopg.Error) as raised:
        await two.race(attempt("192.0.2.2"), attempt("192.0.2.3"))

    assert raised.value.sqlstate == "RO106"


async def test_a_sign_in_during_a_change_of_password_fails(two: Two) -> None:
    """The person's row lock: the password that was checked is not theirs any more."""
    opened = await two.race(two.change_password(), two.finish_sign_in())

    assert opened == (None, None)
    assert await two.living() == 1


async def test_a_change_of_password_ends_the_sign_in_before_it(two: Two) -> None:
    await two.race(two.finish_sign_in(), two.change_password())

    assert await two.living() == 1


async def test_closing_an_account_ends_the_sign_in_before_it(two: Two) -> None:
    await two.race(two.finish_sign_in(), CLOSE_ACCOUNT)

    assert await two.living() == 0


async def test_a_sign_in_while_the_account_is_closed_fails(two: Two) -> None:
    with pytest.raises(psycopg.Error) as raised:
        await two.race(CLOSE_ACCOUNT, two.finish_sign_in())

    assert raised.value.sqlstate == "RO103"
    assert await two.living() == 0


async def test_revoking_a_device_ends_the_sign_in_before_it(two: Two) -> None:
    """The device's row lock: whoever opens a session on it takes it first."""
    await two.race(two.finish_sign_in(two.device_id), two.call("revoke_device(%s)", two.device_id))

    assert await two.living() == 0


async def test_a_sign_in_on_a_device_that_is_revoked_fails(two: Two) -> None:
    with pytest.raises(psycopg.Error) as raised:
        await two.race(
            two.call("revoke_device(%s)", two.device_id), two.finish_sign_in(two.device_id)
        )

    assert raised.value.sqlstate == "RO201"
    assert await two.living() == 0


async def test_revoking_a_device_ends_the_session_that_moves_onto_it(two: Two) -> None:
    _, other_id = await _run(two.first, two.finish_sign_in())
    await two.race(
        two.call(MOVE, other_id),
        two.call("revoke_device(%s)", other_id),
    )

    assert await two.living() == 0


async def test_a_connection_on_a_device_that_is_revoked_is_closed(two: Two) -> None:
    await two.race(
        two.call("open_extension_connection('vscode')"),
        two.call("revoke_device(%s)", two.device_id),
    )

    assert await two.see("SELECT state::text FROM roost.extension_connections") == ("closed",)


async def test_settings_from_two_devices_are_both_kept(two: Two) -> None:
    await two.race(
        two.call("update_me(preferences => %s)", '{"a": 1}'),
        two.call("update_me(preferences => %s)", '{"b": 2}'),
    )

    assert await two.see("SELECT preferences::jsonb FROM roost.users") == ({"a": 1, "b": 2},)


async def test_everybody_signs_everybody_out(two: Two, database: str) -> None:
    """Sessions are locked in one order: no two of these wait for each other."""
    ids = [two.session_id]
    for _ in range(7):
        session_id, _ = await _run(two.first, two.finish_sign_in())
        ids.append(session_id)
    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(await connect(database, "roost_gateway")) for _ in ids
        ]
        outcomes = await asyncio.gather(
            *(
                connection.execute("SELECT roost.end_sessions(%s, 'others')", [session_id])
                for connection, session_id in zip(connections, ids, strict=True)
            ),
            return_exceptions=True,
        )
    # Some come too late, since their own session has ended.
    errors = {outcome.sqlstate for outcome in outcomes if isinstance(outcome, psycopg.Error)}
    assert errors <= {"RO102"}
    assert await two.living() <= 1


@asynccontextmanager
async def held_up(two: Two, database: str, session_id: uuid.UUID) -> AsyncIterator[Start]:
    """
    Holds a session's row, so that transactions can be started up to where they wait for it. At the
    end the row is let go, and they go on in the order in which they came. None of them may fail.
    """
    tasks = []
    async with AsyncExitStack() as stack:

        async def start(statements: Statements) -> None:
            connection = await connect(database, "roost_gateway")
            await stack.enter_async_context(connection)
            tasks.append(await two.start(connection, statements))

        holder = await stack.enter_async_context(await connect(database))
        async with holder.transaction():
            hold = "SELECT FROM roost.sessions WHERE id = %s FOR UPDATE"
            await holder.execute(hold, [session_id])
            yield start
        await asyncio.gather(*tasks)


async def test_signing_out_revoking_and_moving_do_not_wait_in_a_circle(
    two: Two, database: str
) -> None:
    """Whoever moves a session has the lock of the inbox before that of the session."""
    moving_id, _ = await _run(two.first, two.finish_sign_in())
    other_id, other_device_id = await _run(two.first, two.finish_sign_in())
    async with held_up(two, database, two.session_id) as start:
        await start([("SELECT roost.end_sessions(%s, 'global')", [other_id])])
        await start(two.call("revoke_device(%s)", two.device_id))
        await start(two.call(MOVE, other_device_id, session_id=moving_id))

    assert await two.living() == 0


async def test_signing_out_and_leaving_a_device_do_not_wait_for_each_other(
    two: Two, database: str
) -> None:
    """A device with a session that is over stays: that session would be locked out of turn."""
    moving_id, _ = await _run(two.first, two.finish_sign_in(two.device_id))
    other_id, other_device_id = await _run(two.first, two.finish_sign_in())
    expire = "UPDATE roost.sessions SET expires_at = now() WHERE id = %s"
    await two.observer.execute(expire, [two.session_id])
    async with held_up(two, database, two.session_id) as start:
        await start([("SELECT roost.end_sessions(%s, 'global')", [other_id])])
        await start(two.call(MOVE, other_device_id, session_id=moving_id))

    assert await two.living() == 0


async def test_a_message_from_a_device_that_is_removed_has_none(two: Two) -> None:
    """The call began on the device that register_device then removes."""
    _, other_id = await _run(two.first, two.finish_sign_in())
    await _transaction(two.first, two.call("create_conversation()"))
    (conversation_id,) = await two.see("SELECT id FROM roost.conversations")

    await two.race(
        two.call(MOVE, other_id),
        two.call('send_message(%s, \'{"text": "x"}\')', conversation_id),
    )

    assert await two.see("SELECT count(*), count(device_id) FROM roost.messages") == (1, 0)
    assert await two.see("SELECT count(*) FROM roost.devices") == (1,)
