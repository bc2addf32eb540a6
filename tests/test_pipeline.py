"""Many calls over few connections: the multiplexer and the listener, on a real server."""

import asyncio
import contextlib
import functools
import inspect
import logging
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import psycopg
import pytest
import uvloop

from roost.database import connection as connection_module
from roost.database import pipeline as pipeline_module
from roost.database.connection import PREPARED_LIMIT
from roost.database.embedded import PORT, EmbeddedPostgres
from roost.database.listener import Listener
from roost.database.pipeline import SLOW_ABOVE, Identity, Multiplexer, Rows, Statement
from roost.errors import DatabaseError, DatabaseUnavailable
from tests.support import running, runs

# What a multiplexer expects of a database, with roles that no migration makes.
SCHEMA = """
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['pipeline_gateway', 'pipeline_user', 'pipeline_anon'] LOOP
        IF to_regrole(v_role) IS NULL THEN
            EXECUTE format('CREATE ROLE %I', v_role);
        END IF;
    END LOOP;
END
$$;
CREATE SCHEMA roost;
GRANT USAGE ON SCHEMA roost TO PUBLIC;
CREATE FUNCTION roost.begin_call(p_role text, p_session uuid) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF p_session = '00000000-0000-0000-0000-00000000dead' THEN
        RAISE EXCEPTION 'the session is over' USING ERRCODE = 'RO101', HINT = 'Sign in again.';
    END IF;
    PERFORM set_config('roost.session', coalesce(p_session::text, ''), true);
    PERFORM set_config('roost.touched', '', true);
    RETURN 'pipeline_' || p_role;
END
$$;
CREATE TABLE roost.effects (id bigint PRIMARY KEY);
GRANT SELECT, INSERT ON roost.effects TO PUBLIC;
CREATE FUNCTION roost.effect(p_id bigint, p_lock bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO roost.effects VALUES (p_id);
    IF p_lock IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(p_lock);
    END IF;
    RETURN p_id;
END
$$;
"""

USER = Identity(b"user", b"00000000-0000-0000-0000-000000000001")
ANONYMOUS = Identity(b"anon", None)
ENDED = Identity(b"user", b"00000000-0000-0000-0000-00000000dead")

Multiplexed = Callable[..., contextlib.AbstractAsyncContextManager[Multiplexer]]
Test = Callable[..., Coroutine[Any, Any, None]]


def on_both_loops(test: Test) -> Callable[..., None]:
    """Runs an async test on asyncio's own event loop and on uvloop."""

    @functools.wraps(test)
    def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(test(**fixtures))

    signature = inspect.signature(test)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            inspect.Parameter("loop_factory", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *signature.parameters.values(),
        ]
    )
    parametrized: Callable[..., None] = pytest.mark.parametrize(
        "loop_factory",
        [
            pytest.param(asyncio.new_event_loop, id="asyncio"),
            pytest.param(uvloop.new_event_loop, id="uvloop"),
        ],
    )(run)
    return parametrized


@contextlib.asynccontextmanager
async def opened(conninfo: str, **settings: Any) -> AsyncIterator[Multiplexer]:
    """An open multiplexer."""
    multiplexer = Multiplexer(
        conninfo,
        **{
            "connections": 1,
            "slow_connections": 1,
            "depth": 8,
            "connect_timeout": 5,
            "statement_timeout_ms": 30_000,
            "role": "pipeline_gateway",
            **settings,
        },
    )
    await multiplexer.open()
    try:
        yield multiplexer
    finally:
        await multiplexer.close(0)


@pytest.fixture
def prepared_database(empty_database: str) -> str:
    """The connection string of a database with what a multiplexer expects."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(SCHEMA)
    return empty_database


@pytest.fixture
def multiplexed(prepared_database: str) -> Multiplexed:
    """Opens multiplexers on a database of this test's own."""
    return functools.partial(opened, prepared_database)


class Observer:
    """Somebody else who is connected to the database, and holds locks that calls wait for."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection

    async def ask(self, query: str, *parameters: Any) -> Any:
        """The only value that a query gives."""
        row = await (await self.connection.execute(query, parameters)).fetchone()
        assert row is not None
        return row[0]

    async def lock(self, key: int) -> None:
        """Takes an advisory lock."""
        await self.ask("SELECT pg_advisory_lock(%s)", key)

    async def unlock(self, key: int) -> None:
        """Gives the advisory lock back."""
        assert await self.ask("SELECT pg_advisory_unlock(%s)", key)

    async def waiting(self) -> int:
        """How many sessions wait for an advisory lock."""
        return int(
            await self.ask(
                "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database"
                " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
            )
        )

    async def until_waiting(self, number: int) -> None:
        """Waits until that many sessions wait for an advisory lock."""

        async def reached() -> bool:
            return await self.waiting() == number

        await until(reached)

    async def effects(self) -> list[int]:
        """What calls of roost.effect have left behind."""
        rows = await self.connection.execute("SELECT id FROM roost.effects ORDER BY id")
        return [row[0] for row in await rows.fetchall()]


@contextlib.asynccontextmanager
async def observing(conninfo: str) -> AsyncIterator[Observer]:
    """An observer of a database."""
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        yield Observer(connection)


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Waits for a condition; the test's time limit is the limit."""
    while True:
        met = condition()
        if not isinstance(met, bool):
            met = await met
        if met:
            return
        await asyncio.sleep(0.005)


async def error_of(future: Awaitable[Rows]) -> DatabaseError:
    """The error that a call ends with."""
    with pytest.raises(DatabaseError) as caught:
        await future
    return caught.value


async def unavailable(future: Awaitable[Rows]) -> DatabaseUnavailable:
    """The error of a call that had no connection."""
    with pytest.raises(DatabaseUnavailable) as caught:
        await future
    return caught.value


def number(value: int) -> bytes:
    return b"%d" % value


ECHO = b"SELECT $1::text"
PID = b"SELECT pg_backend_pid()"
EFFECT = b"SELECT roost.effect($1::bigint, $2::bigint)"
LOCK = b"SELECT pg_advisory_xact_lock_shared($1::bigint)"


async def known(multiplexer: Multiplexer, sql: bytes, *parameters: bytes | None) -> Statement:
    """A statement that has been run, and is known to be quick."""
    statement = Statement(sql)
    await multiplexer.call(statement, parameters, USER)
    assert statement.average == 0
    return statement


# --- results -------------------------------------------------------------------------------------


@on_both_loops
async def test_concurrent_calls_get_their_own_results(multiplexed: Multiplexed) -> None:
    """Thousands at once, of all sizes, some of them failing."""
    chosen = random.Random(2)
    repeat = Statement(b"SELECT $1::text, repeat(chr(97 + $1::int % 26), $2::int)")
    divide = Statement(b"SELECT $1::int / ($1::int % 2)")
    identified = Statement(b"SELECT $1::text, current_user")

    async def one(multiplexer: Multiplexer, value: int) -> None:
        text = number(value)
        match chosen.randrange(3):
            case 0:
                size = chosen.choice((0, 1, 100, 9_000, 70_000))
                rows = await multiplexer.call(repeat, [text, number(size)], USER)
                assert rows == [[text, bytes([97 + value % 26]) * size]]
            case 1:
                future = multiplexer.call(divide, [text], None)
                if value % 2:
                    assert await future == [[text]]
                else:
                    assert (await error_of(future)).sqlstate == "22012"
            case _:
                identity = chosen.choice((USER, ANONYMOUS))
                rows = await multiplexer.call(identified, [text], identity)
                assert rows == [[text, b"pipeline_" + identity.role]]

    async with multiplexed(connections=3) as multiplexer:
        await asyncio.gather(*(one(multiplexer, value) for value in range(4_000)))
        assert (multiplexer.calls, multiplexer.in_flight, multiplexer.queued) == (4_000, 0, 0)
        assert multiplexer.reconnects == 0


@on_both_loops
async def test_rows_are_text_or_none(multiplexed: Multiplexed) -> None:
    async with multiplexed() as multiplexer:

        async def rows(sql: bytes, *parameters: bytes | None) -> Rows:
            return await multiplexer.call(Statement(sql), parameters, USER)

        assert await rows(b"SELECT 1, NULL, '', true") == [[b"1", None, b"", b"t"]]
        assert await rows(b"SELECT generate_series(1, 3)") == [[b"1"], [b"2"], [b"3"]]
        assert await rows(b"SELECT 1 WHERE false") == []
        assert await rows(b"SELECT") == [[]]
        assert await rows(b"") == []
        assert await rows(b"SELECT $1::text, $2::text", None, "ä€😀".encode()) == [
            [None, "ä€😀".encode()]
        ]
        # The rows of begin_call are never taken for those of a statement that has none.
        assert await rows(b"INSERT INTO roost.effects VALUES (1)") == []


@on_both_loops
async def test_large_values_both_ways(multiplexed: Multiplexed) -> None:
    """More than any buffer holds, in both directions at once."""
    async with multiplexed(connections=2, depth=4) as multiplexer:
        echo = await known(multiplexer, ECHO, b"")
        values = [bytes([97 + place]) * (1_000_000 + place) for place in range(20)]
        answers = await asyncio.gather(*(multiplexer.call(echo, [v], USER) for v in values))
        assert answers == [[[value]] for value in values]
        many = await multiplexer.call(
            Statement(b"SELECT i, repeat('x', 200) FROM generate_series(1, 5000) AS i"), [], USER
        )
        assert many == [[number(i), b"x" * 200] for i in range(1, 5_001)]


@on_both_loops
async def test_answer_is_not_held_back_by_a_large_call_behind_it(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    """libpq, unable to write all of the second call, reads the answer to the first meanwhile."""
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        echo = await known(multiplexer, ECHO, b"")
        large = await known(
            multiplexer,
            b"SELECT length($1::text), pg_advisory_xact_lock_shared($2::bigint)",
            b"",
            b"9",
        )
        await observer.lock(1)
        first = multiplexer.call(echo, [b"first"], USER)
        with psycopg.connect(prepared_database, autocommit=True) as connection:
            # The loop must not read the answer before, so it stands still.
            answered = "SELECT bool_and(state = 'idle') FROM pg_stat_activity WHERE "
            answered += "application_name = 'roost' AND datname = current_database()"
            while connection.execute(answered).fetchone() != (True,):
                pass
        second = multiplexer.call(large, [b"x" * 8_000_000, b"1"], USER)
        assert await first == [[b"first"]]
        assert not second.done()
        await observer.unlock(1)
        assert await second == [[b"8000000", b""]]


@on_both_loops
async def test_zero_byte_is_refused(multiplexed: Multiplexed) -> None:
    """libpq would cut the value off there."""
    async with multiplexed() as multiplexer:
        with pytest.raises(DatabaseError) as caught:
            multiplexer.call(Statement(ECHO), [b"a\0b"], USER)
        assert caught.value.sqlstate == "22021"


@on_both_loops
async def test_session_is_set_up(prepared_database: str) -> None:
    conninfo = psycopg.conninfo.make_conninfo(
        prepared_database, options="-c lock_timeout=4s -c timezone=Asia/Tokyo"
    )
    async with opened(conninfo, statement_timeout_ms=1_234) as multiplexer:
        names = (
            "role", "roost.gateway", "timezone", "statement_timeout", "lock_timeout",
            "application_name", "client_encoding",
        )  # fmt: skip
        show = Statement(b"SELECT current_setting($1::text)")
        shown = [await multiplexer.call(show, [name.encode()], None) for name in names]
    assert [row[0][0] for row in shown] == [
        b"pipeline_gateway", b"on", b"UTC", b"1234ms", b"4s", b"roost", b"UTF8",
    ]  # fmt: skip


# --- errors, transactions, identity --------------------------------------------------------------


@on_both_loops
async def test_error_reaches_its_own_call_only(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        effect = await known(multiplexer, EFFECT, b"0", None)
        fail = await known(multiplexer, b"SELECT roost.effect($1::bigint), 1 / $2::int", b"1", b"1")
        calls = []
        for value in range(100, 110):
            calls.append(multiplexer.call(effect, [number(value), None], USER))
            calls.append(multiplexer.call(fail, [number(value + 1_000), b"0"], USER))
        for good, bad in zip(calls[::2], calls[1::2], strict=True):
            await good
            assert (await error_of(bad)).sqlstate == "22012"
        # What a failing call did before it failed is undone.
        assert await observer.effects() == [0, 1, *range(100, 110)]


@on_both_loops
async def test_error_keeps_its_fields(multiplexed: Multiplexed, prepared_database: str) -> None:
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        await observer.connection.execute("""
            CREATE FUNCTION roost.refuse() RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'No, not »that«.' USING
                    ERRCODE = 'RO123', DETAIL = 'a detail', HINT = 'a hint', CONSTRAINT = 'a_check';
            END
            $$
        """)
        error = await error_of(multiplexer.call(Statement(b"SELECT roost.refuse()"), [], USER))
        assert (error.sqlstate, error.code, error.message) == (
            "RO123",
            "RO123",
            "No, not »that«.",
        )
        assert (error.details, error.hint, error.constraint) == ("a detail", "a hint", "a_check")
        error = await error_of(multiplexer.call(Statement(b"SELECT 1 / 0"), [], USER))
        assert (error.details, error.hint, error.constraint) == (None, None, None)


@on_both_loops
async def test_error_at_commit_fails_the_call(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    """A deferred constraint is checked when the statement has already given its rows."""
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        await observer.connection.execute("""
            CREATE TABLE roost.late (
                id bigint CONSTRAINT late_key UNIQUE DEFERRABLE INITIALLY DEFERRED
            );
            GRANT ALL ON roost.late TO PUBLIC
        """)
        late = Statement(b"INSERT INTO roost.late VALUES ($1::bigint) RETURNING id")
        late.average = 0
        calls = [multiplexer.call(late, [number(value)], USER) for value in (1, 1, 2)]
        assert await calls[0] == [[b"1"]]
        error = await error_of(calls[1])
        assert (error.sqlstate, error.constraint) == ("23505", "late_key")
        assert await calls[2] == [[b"2"]]
        assert await observer.ask("SELECT array_agg(id ORDER BY id) FROM roost.late") == [1, 2]


@on_both_loops
async def test_identity_ends_with_the_call(multiplexed: Multiplexed) -> None:
    who = Statement(b"SELECT current_user, coalesce(current_setting('roost.session', true), '')")
    async with multiplexed() as multiplexer:
        for _ in range(2):
            # In one turn of the loop, so that they follow each other on the connection.
            calls = [
                multiplexer.call(who, [], identity) for identity in (USER, None, ANONYMOUS, None)
            ]
            assert [(await call)[0] for call in calls] == [
                [b"pipeline_user", USER.session_id],
                [b"pipeline_gateway", b""],
                [b"pipeline_anon", b""],
                [b"pipeline_gateway", b""],
            ]


@on_both_loops
async def test_refused_identity_runs_nothing(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        effect = Statement(EFFECT)
        # Also when its statements are prepared by a call that is refused.
        calls = [
            multiplexer.call(effect, [number(value), None], identity)
            for value, identity in enumerate((ENDED, USER, ENDED, USER))
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [getattr(outcome, "code", outcome) for outcome in outcomes] == [
            "RO101",
            [[b"1"]],
            "RO101",
            [[b"3"]],
        ]
        assert await observer.effects() == [1, 3]


@on_both_loops
async def test_notices_are_not_printed(
    multiplexed: Multiplexed,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    prepared_database: str,
) -> None:
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        await observer.connection.execute("""
            CREATE FUNCTION roost.tell(p_secret text) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                RAISE WARNING 'secret: %', p_secret;
            END
            $$
        """)
        with caplog.at_level(logging.DEBUG):
            tell = Statement(b"SELECT roost.tell($1::text)")
            assert await multiplexer.call(tell, [b"sesame"], USER) == [[b""]]
        assert "sesame" not in caplog.text
        assert capfd.readouterr() == ("", "")


# --- prepared statements -------------------------------------------------------------------------


@on_both_loops
async def test_failed_preparation_can_be_repeated(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    """All that were sent together get the true reason, and the name is not left half-prepared."""
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        missing = Statement(b"SELECT roost.missing($1::int)")
        missing.average = 0  # so that they follow each other
        calls = [multiplexer.call(missing, [number(value)], USER) for value in range(4)]
        calls.append(multiplexer.call(Statement(ECHO), [b"other"], USER))
        assert [(await error_of(call)).sqlstate for call in calls[:4]] == ["42883"] * 4
        assert await calls[4] == [[b"other"]]
        await observer.connection.execute(
            "CREATE FUNCTION roost.missing(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'"
        )
        assert await multiplexer.call(missing, [b"21"], USER) == [[b"42"]]


@on_both_loops
async def test_prepared_statements_are_bounded(multiplexed: Multiplexed) -> None:
    """Those not used for the longest time go first, also while calls are in flight."""
    count = Statement(b"SELECT count(*) FROM pg_prepared_statements")
    statements = [Statement(b"SELECT %d, $1::int" % i) for i in range(PREPARED_LIMIT + 50)]
    for statement in statements:
        statement.average = 0
    async with multiplexed(connections=1) as multiplexer:
        for _ in range(2):
            answers = await asyncio.gather(
                *(multiplexer.call(statement, [b"7"], USER) for statement in statements)
            )
            assert answers == [[[number(i), b"7"]] for i in range(len(statements))]
            assert await multiplexer.call(count, [], USER) == [[number(PREPARED_LIMIT)]]
        named = Statement(b"SELECT count(*) FROM pg_prepared_statements WHERE name = $1::text")
        for statement, there in ((statements[-1], b"1"), (statements[0], b"0")):
            assert await multiplexer.call(named, [statement.name], USER) == [[there]]


@on_both_loops
async def test_lost_prepared_statement_is_prepared_again(multiplexed: Multiplexed) -> None:
    async with multiplexed() as multiplexer:
        echo = await known(multiplexer, ECHO, b"")
        await multiplexer.call(Statement(b"DEALLOCATE ALL"), [], None)
        calls = [multiplexer.call(echo, [number(value)], USER) for value in range(5)]
        assert [await call for call in calls] == [[[number(value)]] for value in range(5)]


@on_both_loops
async def test_replaced_function_is_called_as_it_is_now(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    """A plan whose result type changed is refused by the server; nobody gets to see that."""
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        for kind, answer in (("int", b"1"), ("text", b"1"), ("numeric(4, 2)[]", b"{1.00}")):
            await observer.connection.execute(
                "DROP FUNCTION IF EXISTS roost.current();"
                f" CREATE FUNCTION roost.current() RETURNS {kind} LANGUAGE sql"
                f" AS $$ SELECT '{answer.decode()}'::{kind} $$"
            )
            current = Statement(b"SELECT roost.current()")
            current.average = 0
            calls = [multiplexer.call(current, [], USER) for _ in range(4)]
            assert [await call for call in calls] == [[[answer]]] * 4


# --- slow and quick ------------------------------------------------------------------------------


@on_both_loops
async def test_depth_bounds_what_is_in_flight(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with (
        multiplexed(connections=2, depth=3) as multiplexer,
        observing(prepared_database) as observer,
    ):
        lock = await known(multiplexer, LOCK, b"9")
        await observer.lock(1)
        calls = [multiplexer.call(lock, [b"1"], USER) for _ in range(10)]
        assert (multiplexer.in_flight, multiplexer.queued) == (6, 4)
        await observer.unlock(1)
        await asyncio.gather(*calls)
        assert (multiplexer.in_flight, multiplexer.queued) == (0, 0)


@on_both_loops
async def test_unknown_statement_delays_nobody(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    """Nothing is sent behind a statement that may turn out to be slow."""
    async with (
        multiplexed(connections=2) as multiplexer,
        observing(prepared_database) as observer,
    ):
        echo = await known(multiplexer, ECHO, b"")
        await observer.lock(1)
        slow = multiplexer.call(Statement(LOCK), [b"1"], USER)
        for batch in range(20):
            values = [number(batch * 100 + place) for place in range(100)]
            answers = await asyncio.gather(*(multiplexer.call(echo, [v], USER) for v in values))
            assert answers == [[[value]] for value in values]
        assert not slow.done()
        await observer.unlock(1)
        await slow


@on_both_loops
async def test_quick_statement_that_hangs_is_avoided(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    """Only what was sent together with it can have to wait."""
    async with (
        multiplexed(connections=2) as multiplexer,
        observing(prepared_database) as observer,
    ):
        echo = await known(multiplexer, ECHO, b"")
        lock = await known(multiplexer, LOCK, b"9")
        await observer.lock(1)
        slow = multiplexer.call(lock, [b"1"], USER)
        (occupied,) = (c for c in multiplexer._quick.connections if c.in_flight)
        await until(lambda: occupied.blocked)
        for _ in range(20):
            # More at once than the other connection takes.
            await asyncio.gather(*(multiplexer.call(echo, [b""], USER) for _ in range(100)))
        assert not slow.done()
        await observer.unlock(1)
        await slow


@on_both_loops
async def test_slow_statements_have_their_own_connections(multiplexed: Multiplexed) -> None:
    async with multiplexed() as multiplexer:

        async def pid(seconds: bytes, statement: Statement) -> bytes | None:
            return (await multiplexer.call(statement, [seconds], USER))[0][0]

        sleep = Statement(b"SELECT pg_backend_pid() FROM pg_sleep($1::float)")
        sleep.average = 0
        quick = await pid(b"0", sleep)
        while sleep.average <= SLOW_ABOVE:
            assert await pid(b"0.15", sleep) == quick
        slow = await pid(b"0", sleep)
        assert slow != quick
        sleep.average = 1.0
        # Those that wait together move together, and one at a time.
        calls = [multiplexer.call(sleep, [b"0.02"], USER) for _ in range(3)]
        assert (multiplexer.in_flight, multiplexer.queued) == (1, 2)
        assert await multiplexer.call(Statement(PID), [], USER) == [[quick]]
        assert [(await call)[0][0] for call in calls] == [slow] * 3
        while sleep.average > SLOW_ABOVE:
            assert await pid(b"0", sleep) == slow
        assert await pid(b"0", sleep) == quick


@on_both_loops
async def test_statements_found_slow_make_way_in_the_queue(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        echo = await known(multiplexer, ECHO, b"")
        await observer.lock(1)
        lock = Statement(LOCK)
        calls = [multiplexer.call(lock, [b"1"], USER) for _ in range(3)]
        quick = multiplexer.call(echo, [b"through"], USER)
        assert (multiplexer.in_flight, multiplexer.queued) == (1, 3)
        lock.average = 1.0
        await observer.until_waiting(1)
        await observer.ask(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        )
        assert (await error_of(calls[0])).sqlstate == "57014"
        assert await quick == [[b"through"]]
        assert not calls[1].done()
        await observer.unlock(1)
        await asyncio.gather(*calls[1:])


@on_both_loops
async def test_without_slow_connections_all_share(multiplexed: Multiplexed) -> None:
    async with multiplexed(slow_connections=0) as multiplexer:
        echo = Statement(ECHO)
        echo.average = 1.0
        calls = [multiplexer.call(echo, [number(value)], USER) for value in range(5)]
        assert [await call for call in calls] == [[[number(value)]] for value in range(5)]


@on_both_loops
async def test_lagging_loop_makes_nothing_look_slow(multiplexed: Multiplexed) -> None:
    async with multiplexed() as multiplexer:
        echo = await known(multiplexer, ECHO, b"")
        for _ in range(5):
            calls = [multiplexer.call(echo, [b""], USER) for _ in range(3)]
            for _ in range(3):
                # The answers lie in the socket meanwhile.
                time.sleep(0.05)  # noqa: ASYNC251
                await asyncio.sleep(0)
            await asyncio.gather(*calls)
        assert echo.average <= connection_module.ALONE_ABOVE


@on_both_loops
async def test_wait_for_a_connection_is_bounded(
    multiplexed: Multiplexed, prepared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "QUEUE_LIMIT", 3)
    async with (
        multiplexed(depth=1, queue_timeout=0.2) as multiplexer,
        observing(prepared_database) as observer,
    ):
        echo = await known(multiplexer, ECHO, b"")
        await observer.lock(1)
        slow = multiplexer.call(Statement(LOCK), [b"1"], USER)
        calls = [multiplexer.call(echo, [b""], USER) for _ in range(3)]
        # The queue is full. An abandoned call takes no place in it.
        refused = await unavailable(multiplexer.call(echo, [b""], USER))
        assert (refused.code, refused.status) == ("PGRST003", 504)
        calls[1].cancel()
        calls.append(multiplexer.call(echo, [b""], USER))
        for call in (calls[0], calls[2], calls[3]):
            error = await unavailable(call)
            assert (error.code, error.status) == ("PGRST003", 504)
            assert error.message == "Timed out acquiring connection."
        assert not slow.done()
        await observer.unlock(1)
        await slow
        assert await multiplexer.call(echo, [b"again"], USER) == [[b"again"]]


# --- cancelling ----------------------------------------------------------------------------------


@on_both_loops
async def test_abandoned_call_is_cancelled(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        pid = await multiplexer.call(Statement(PID), [], USER)
        await observer.lock(1)
        running = multiplexer.call(Statement(EFFECT), [b"1", b"1"], USER)
        await observer.until_waiting(1)
        running.cancel()
        await observer.until_waiting(0)
        # The lock is still taken, so it did not simply end; and the connection stays.
        assert await observer.effects() == []
        assert await multiplexer.call(Statement(PID), [], USER) == pid
        await until(lambda: multiplexer.in_flight == 0)
        assert multiplexer.reconnects == 0


@on_both_loops
async def test_what_a_call_touched_is_told_though_its_caller_has_gone(
    multiplexed: Multiplexed,
) -> None:
    """The caller goes as soon as the call is sent; what it committed must still wake somebody."""
    touching = Statement(
        b"SELECT set_config('roost.touched', E'user:1\nuser:2', true),"
        b" current_setting('roost.touched')",
        touches=True,
    )
    failing = Statement(b"SELECT 1 / 0, 'user:3'", touches=True)
    async with multiplexed() as multiplexer:
        told: asyncio.Queue[str] = asyncio.Queue()
        multiplexer.on_touched = told.put_nowait
        await multiplexer.call(touching, (), ANONYMOUS)
        assert told.get_nowait() == "user:1\nuser:2"

        multiplexer.call(touching, (), ANONYMOUS).cancel()
        assert await told.get() == "user:1\nuser:2"

        with pytest.raises(DatabaseError):
            await multiplexer.call(failing, (), ANONYMOUS)
        assert told.empty()


@on_both_loops
async def test_lost_cancel_request_is_repeated(
    multiplexed: Multiplexed, prepared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that finds the server between two messages does nothing."""
    cancel_safe = psycopg.AsyncConnection.cancel_safe
    requests = []

    async def lose_some(
        connection: psycopg.AsyncConnection[Any],
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> None:
        requests.append(timeout)
        if len(requests) % 3 == 0:
            await cancel_safe(connection, timeout=timeout)

    monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", lose_some)
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        await observer.lock(1)
        for rounds in (1, 2):
            multiplexer.call(Statement(LOCK), [b"1"], USER).cancel()
            await until(lambda: multiplexer.in_flight == 0)
            assert len(requests) == rounds * 3
        assert await observer.waiting() == 0


@on_both_loops
async def test_nothing_is_sent_while_a_cancel_request_is_under_way(
    multiplexed: Multiplexed, prepared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It might hit what is sent, which nobody would take for a bystander."""
    cancel_safe = psycopg.AsyncConnection.cancel_safe
    requested = asyncio.Event()
    proceed = asyncio.Event()

    async def take_time(
        connection: psycopg.AsyncConnection[Any],
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> None:
        requested.set()
        await proceed.wait()
        await cancel_safe(connection, timeout=timeout)

    monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", take_time)
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        echo = await known(multiplexer, ECHO, b"")
        lock = await known(multiplexer, LOCK, b"9")
        await observer.lock(1)
        multiplexer.call(lock, [b"1"], USER).cancel()
        behind = multiplexer.call(echo, [b"behind"], USER)
        await requested.wait()
        await observer.unlock(1)
        assert await behind == [[b"behind"]]
        later = multiplexer.call(echo, [b"later"], USER)
        assert (multiplexer.in_flight, multiplexer.queued) == (0, 1)
        proceed.set()
        assert await later == [[b"later"]]


@on_both_loops
async def test_abandoned_call_in_the_queue_is_not_sent(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with multiplexed(depth=1) as multiplexer, observing(prepared_database) as observer:
        await observer.lock(1)
        running = multiplexer.call(Statement(EFFECT), [b"1", b"1"], USER)
        waiting = [multiplexer.call(Statement(EFFECT), [number(i), None], USER) for i in (2, 3)]
        waiting[0].cancel()
        await observer.until_waiting(1)
        await observer.unlock(1)
        await running
        await waiting[1]
        assert await observer.effects() == [1, 3]


@on_both_loops
async def test_abandoned_call_behind_others_is_cancelled_in_its_turn(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        effect = await known(multiplexer, EFFECT, b"0", None)
        await observer.lock(1)
        await observer.lock(2)
        first = multiplexer.call(effect, [b"1", b"1"], USER)
        abandoned = multiplexer.call(effect, [b"2", b"2"], USER)
        last = multiplexer.call(effect, [b"3", None], USER)
        assert multiplexer.in_flight == 3
        abandoned.cancel()
        await observer.until_waiting(1)
        await observer.unlock(1)
        # Lock 2 is never given back: the last one gets through since the second is cancelled.
        assert [await first, await last] == [[[b"1"]], [[b"3"]]]
        assert await observer.effects() == [0, 1, 3]


@on_both_loops
async def test_bystander_of_a_cancel_is_run_again(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    """A cancel request that comes late hits the next call. Once; after that it is an error."""
    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        effect = await known(multiplexer, EFFECT, b"0", None)
        await observer.lock(1)
        await observer.lock(2)
        abandoned = multiplexer.call(effect, [b"1", b"1"], USER)
        bystander = multiplexer.call(effect, [b"2", b"2"], USER)
        last = multiplexer.call(effect, [b"3", None], USER)
        abandoned.cancel()

        async def waiting_since(earlier: object) -> Any:
            """When the session that waits for lock 2 began its transaction, if not as before."""
            while True:
                rows = await observer.connection.execute(
                    "SELECT pid, xact_start FROM pg_stat_activity JOIN pg_locks USING (pid)"
                    " WHERE locktype = 'advisory' AND NOT granted AND objid = 2"
                )
                row = await rows.fetchone()
                if row is not None and row[1] != earlier:
                    return row
                await asyncio.sleep(0.005)

        pid, started = await waiting_since(None)
        # The observer's cancel cannot be told from our own that comes late.
        await observer.ask("SELECT pg_cancel_backend(%s)", pid)
        pid, again = await waiting_since(started)
        assert again > started
        assert not bystander.done()
        await observer.unlock(2)
        assert [await bystander, await last] == [[[b"2"]], [[b"3"]]]
        assert await observer.effects() == [0, 2, 3]

        await observer.lock(2)
        unlucky = multiplexer.call(effect, [b"4", b"2"], USER)
        pid, _ = await waiting_since(None)
        await observer.ask("SELECT pg_cancel_backend(%s)", pid)
        assert (await error_of(unlucky)).sqlstate == "57014"
        assert await observer.effects() == [0, 2, 3]


@on_both_loops
async def test_cancelling_at_random_hits_nobody_else(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    """Each call that nobody abandons takes effect exactly once, the others at most once."""
    chosen = random.Random(3)
    async with (
        multiplexed(connections=3, slow_connections=2, depth=4) as multiplexer,
        observing(prepared_database) as observer,
    ):
        effect = Statement(b"SELECT roost.effect($1::bigint) FROM pg_sleep($2::float)")
        kept = []

        async def one(value: int, seconds: float, patience: float | None) -> None:
            call = multiplexer.call(effect, [number(value), b"%f" % seconds], USER)
            await asyncio.wait([call], timeout=patience)
            if call.done():
                assert await call == [[number(value)]]
                kept.append(value)
            else:
                call.cancel()

        async def some(values: range) -> None:
            for value in values:
                # Mostly quick, so that several are in flight on a connection.
                seconds = chosen.choice((0, 0, 0, 0.012, 0.03))
                effect.average = 0
                await one(value, seconds, chosen.choice((None, 0.01, seconds)))

        await asyncio.gather(*(some(range(start, start + 40)) for start in range(0, 1_200, 40)))
        await until(lambda: multiplexer.in_flight == 0)
        effects = await observer.effects()
        assert len(set(effects)) == len(effects)
        assert set(kept) <= set(effects)
        assert multiplexer.reconnects == 0


@on_both_loops
async def test_connection_is_replaced_when_a_cancel_request_fails(
    multiplexed: Multiplexed, prepared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request may still arrive at any time, so nothing more is sent there."""

    requests = []

    async def fail(_connection: object, *, timeout: float) -> None:  # noqa: ASYNC109
        requests.append(timeout)
        raise psycopg.OperationalError("nobody there")

    async with multiplexed() as multiplexer, observing(prepared_database) as observer:
        monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", fail)
        pid = await multiplexer.call(Statement(PID), [], USER)
        lock = await known(multiplexer, LOCK, b"9")
        echo = await known(multiplexer, ECHO, b"")
        await observer.lock(1)
        abandoned = multiplexer.call(lock, [b"1"], USER)
        behind = multiplexer.call(echo, [b"behind"], USER)
        abandoned.cancel()
        await observer.until_waiting(1)
        await until(lambda: bool(requests))
        later = multiplexer.call(Statement(PID), [], USER)
        await observer.unlock(1)
        assert await behind == [[b"behind"]]
        assert await later != pid
        assert (len(requests), multiplexer.reconnects) == (1, 1)


@on_both_loops
async def test_statement_timeout_is_an_error(multiplexed: Multiplexed) -> None:
    async with multiplexed(statement_timeout_ms=100) as multiplexer:
        error = await error_of(multiplexer.call(Statement(b"SELECT pg_sleep(30)"), [], USER))
        assert error.sqlstate == "57014"
        assert await multiplexer.call(Statement(ECHO), [b"on"], USER) == [[b"on"]]


# --- broken connections --------------------------------------------------------------------------


@on_both_loops
async def test_broken_connection_fails_what_was_sent(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with multiplexed(depth=2) as multiplexer, observing(prepared_database) as observer:
        effect = await known(multiplexer, EFFECT, b"0", None)
        await observer.lock(1)
        sent = [multiplexer.call(effect, [number(i), b"1"], USER) for i in (1, 2)]
        waiting = [multiplexer.call(effect, [number(i), None], USER) for i in (3, 4)]
        await observer.until_waiting(1)
        await observer.ask("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
        for call in sent:
            error = await unavailable(call)
            assert (error.code, error.status) == ("08006", 503)
            assert error.details is not None
            assert "unknown" in error.details
        # What had not been sent yet goes over the new connection.
        assert [await call for call in waiting] == [[[b"3"]], [[b"4"]]]
        assert await observer.effects() == [0, 3, 4]
        assert multiplexer.reconnects == 1


@on_both_loops
async def test_idle_connection_that_breaks_is_not_noticed(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with (
        multiplexed(connections=3) as multiplexer,
        observing(prepared_database) as observer,
    ):
        ended = await observer.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'roost' AND datname = current_database()"
        )
        assert ended == 4
        await until(lambda: multiplexer.reconnects == 4)
        answers = await asyncio.gather(
            *(multiplexer.call(Statement(ECHO), [number(i)], USER) for i in range(50))
        )
        assert answers == [[[number(i)]] for i in range(50)]


@on_both_loops
async def test_call_that_cannot_be_sent_goes_over_another_connection(
    multiplexed: Multiplexed,
) -> None:
    async with multiplexed(connections=2) as multiplexer:
        await known(multiplexer, ECHO, b"")
        for broken in list(multiplexer._quick.connections):
            # Libpq knows that it is at its end; the connection has not heard of it yet.
            broken._pgconn.finish()
            assert await multiplexer.call(Statement(ECHO), [b"on"], USER) == [[b"on"]]
        await until(lambda: multiplexer.reconnects == 2)


@on_both_loops
async def test_statement_that_cannot_be_pipelined_harms_nobody_else(
    multiplexed: Multiplexed,
) -> None:
    async with multiplexed() as multiplexer:
        error = await unavailable(
            multiplexer.call(Statement(b"COPY (SELECT 1) TO STDOUT"), [], USER)
        )
        assert error.code == "08006"
        assert await multiplexer.call(Statement(ECHO), [b"on"], USER) == [[b"on"]]


@on_both_loops
async def test_half_a_call_is_never_sent(multiplexed: Multiplexed) -> None:
    """A mistake of the caller's that libpq's wrapper finds after begin_call has been sent."""
    who = Statement(b"SELECT current_user, $1::text")
    async with multiplexed() as multiplexer:
        assert await multiplexer.call(who, [b"1"], None) == [[b"pipeline_gateway", b"1"]]
        with pytest.raises(TypeError):
            await multiplexer.call(who, [[]], USER)  # type: ignore[list-item]
        assert await multiplexer.call(who, [b"2"], None) == [[b"pipeline_gateway", b"2"]]


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that may be stopped, or crash."""
    with running(EmbeddedPostgres) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(SCHEMA)
            # It commits without waiting for the disk, and is to survive a crash all the same.
            connection.execute("CHECKPOINT")
        yield server


@on_both_loops
async def test_server_restart_heals(
    own_server: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    def restart() -> None:
        own_server.stop()
        own_server.start()

    async with opened(own_server.conninfo(), connections=3) as multiplexer:
        sent = multiplexer.call(Statement(b"SELECT pg_sleep(50)"), [], USER)
        async with observing(own_server.conninfo()) as observer:
            sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

            async def sleeps() -> bool:
                return bool(await observer.ask(sleeping))

            await until(sleeps)
        restarting = asyncio.create_task(asyncio.to_thread(restart))
        assert (await unavailable(sent)).code == "08006"
        await until(lambda: multiplexer.connected == 0)
        # Nothing listens now; these wait until something does.
        waiting = [multiplexer.call(Statement(ECHO), [number(i)], USER) for i in range(20)]
        await restarting
        assert [await call for call in waiting] == [[[number(i)]] for i in range(20)]
        await until(lambda: multiplexer.reconnects == 4)
    (warning,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert warning.getMessage().startswith("lost a connection to the database: ")


@on_both_loops
async def test_one_connection_asks_for_all_while_the_server_is_away(
    own_server: EmbeddedPostgres,
) -> None:
    """So it can ask often, and a server that is back is not waited for."""
    loop = asyncio.get_running_loop()
    asked: list[float] = []

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(loop.time())
        writer.close()

    async with opened(own_server.conninfo(), connections=9) as multiplexer:
        await asyncio.to_thread(own_server.stop)
        await until(lambda: multiplexer.connected == 0)
        place = own_server.socket_dir / f".s.PGSQL.{PORT}"
        async with await asyncio.start_unix_server(refuse, place):
            await until(lambda: len(asked) >= 8)
        place.unlink(missing_ok=True)
        # All at once these eight would be asked in a moment.
        assert asked[7] - asked[0] > 1
        await asyncio.to_thread(own_server.start)
        await until(lambda: multiplexer.connected == 10)


@on_both_loops
async def test_server_crash_while_sending_heals(own_server: EmbeddedPostgres) -> None:
    """libpq then closes its socket by itself, while the loop still waits to write to it."""
    async with opened(own_server.conninfo()) as multiplexer:
        echo = await known(multiplexer, ECHO, b"")
        ((pid,),) = await multiplexer.call(Statement(PID), [], USER)
        assert pid is not None
        sleep = await known(multiplexer, b"SELECT pg_sleep($1::float)", b"0")
        # The server does not read the second while it is busy with the first.
        sent = [
            multiplexer.call(sleep, [b"50"], USER),
            multiplexer.call(echo, [b"x" * 8_000_000], USER),
        ]
        async with observing(own_server.conninfo()) as observer:
            sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

            async def sleeps() -> bool:
                return bool(await observer.ask(sleeping))

            await until(sleeps)
        os.kill(int(pid), signal.SIGKILL)
        assert [(await unavailable(call)).code for call in sent] == ["08006", "08006"]
        await until(lambda: multiplexer.connected == 0)
        assert await multiplexer.call(echo, [b"on"], USER) == [[b"on"]]


@on_both_loops
async def test_server_crash_that_leaves_a_call_unread_is_noticed(
    own_server: EmbeddedPostgres,
) -> None:
    """The connection is reset, with the server's last words still to be read: one event for two
    things.
    """
    async with opened(own_server.conninfo()) as multiplexer:
        echo = await known(multiplexer, ECHO, b"")
        ((pid,),) = await multiplexer.call(Statement(PID), [], USER)
        assert pid is not None
        sleep = await known(multiplexer, b"SELECT pg_sleep($1::float)", b"0")
        # More than the server reads ahead while it is busy with the first, and little enough to be
        # sent at once.
        sent = [
            multiplexer.call(sleep, [b"50"], USER),
            multiplexer.call(echo, [b"x" * 65_536], USER),
        ]
        async with observing(own_server.conninfo()) as observer:
            sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

            async def sleeps() -> bool:
                return bool(await observer.ask(sleeping))

            await until(sleeps)
        # So it goes when another process of the server has crashed.
        os.kill(int(pid), signal.SIGQUIT)
        while runs(int(pid)):
            # The loop has no turn until all of it has happened.
            time.sleep(0.001)  # noqa: ASYNC251
        async with asyncio.timeout(10):
            assert [(await unavailable(call)).code for call in sent] == ["08006", "08006"]
        assert await multiplexer.call(echo, [b"on"], USER) == [[b"on"]]


@on_both_loops
async def test_absent_server_is_reported(own_server: EmbeddedPostgres) -> None:
    async with opened(own_server.conninfo(), queue_timeout=0.2) as multiplexer:
        await asyncio.to_thread(own_server.stop)
        try:
            error = await unavailable(multiplexer.call(Statement(ECHO), [b""], USER))
            # Either it had just gone out, or it waited in vain.
            if error.code == "08006":
                error = await unavailable(multiplexer.call(Statement(ECHO), [b""], USER))
            assert (error.code, error.status) == ("08001", 503)
            with pytest.raises(DatabaseUnavailable) as caught:
                async with opened(own_server.conninfo()):
                    pass
            assert caught.value.code == "08001"
            assert "\n" not in caught.value.message
        finally:
            await asyncio.to_thread(own_server.start)


@on_both_loops
async def test_open_leaves_nothing_behind_when_it_fails(prepared_database: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        async with opened(prepared_database, role="nobody here"):
            pass
    assert "nobody here" in caught.value.message
    async with observing(prepared_database) as observer:
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'roost'"
        assert await observer.ask(f"{left} AND datname = current_database()") == 0


# --- closing -------------------------------------------------------------------------------------


@on_both_loops
async def test_close_finishes_what_it_has(multiplexed: Multiplexed, prepared_database: str) -> None:
    async with multiplexed(depth=1) as multiplexer, observing(prepared_database) as observer:
        await observer.lock(1)
        calls = [multiplexer.call(Statement(EFFECT), [number(i), b"1"], USER) for i in range(3)]
        await observer.until_waiting(1)
        closing = asyncio.create_task(multiplexer.close(30))
        await asyncio.sleep(0)
        assert (await unavailable(refused(multiplexer))).code == "08003"
        assert not closing.done()
        await observer.unlock(1)
        assert [await call for call in calls] == [[[number(i)]] for i in range(3)]
        await closing
        assert await observer.effects() == [0, 1, 2]


async def refused(multiplexer: Multiplexer) -> Rows:
    """A call of a multiplexer that takes none."""
    return await multiplexer.call(Statement(ECHO), [b""], USER)


@on_both_loops
async def test_close_cancels_what_takes_too_long(
    multiplexed: Multiplexed, prepared_database: str
) -> None:
    async with multiplexed(depth=1) as multiplexer, observing(prepared_database) as observer:
        await observer.lock(1)
        calls = [multiplexer.call(Statement(EFFECT), [number(i), b"1"], USER) for i in range(3)]
        await observer.until_waiting(1)
        await multiplexer.close(0.05)
        assert [(await unavailable(call)).code for call in calls] == ["08006", "08003", "08003"]
        await observer.until_waiting(0)
        assert await observer.effects() == []


# --- listener ------------------------------------------------------------------------------------


class Heard:
    """What a listener has told."""

    def __init__(self) -> None:
        self.connected = 0
        self.notifications: list[tuple[str, str]] = []

    def on_connect(self) -> None:
        self.connected += 1

    def on_notify(self, channel: str, payload: str) -> None:
        self.notifications.append((channel, payload))


@contextlib.asynccontextmanager
async def listening(conninfo: str, *channels: str) -> AsyncIterator[Heard]:
    """A listener on some channels, connected."""
    heard = Heard()
    listener = Listener(conninfo, channels, heard.on_notify, heard.on_connect)
    listener.start()
    await until(lambda: heard.connected == 1)
    try:
        yield heard
    finally:
        await listener.close()


@on_both_loops
async def test_listener_hands_on_notifications(empty_database: str) -> None:
    async with (
        listening(empty_database, "roost_events", 'odd "Name"') as heard,
        observing(empty_database) as observer,
    ):
        for payload in ("", "node\n1", "ä€😀"):
            await observer.ask("SELECT pg_notify('roost_events', %s)", payload)
        await observer.ask("SELECT pg_notify('not_ours', 'x')")
        await observer.ask("SELECT pg_notify(%s, 'x')", 'odd "Name"')
        expected = [("roost_events", payload) for payload in ("", "node\n1", "ä€😀")]
        expected.append(('odd "Name"', "x"))
        await until(lambda: len(heard.notifications) >= len(expected))
        assert heard.notifications == expected
        many = "SELECT count(pg_notify('roost_events', repeat(i::text, 500)))"
        await observer.ask(f"{many} FROM generate_series(1, 2000) AS i")
        await until(lambda: len(heard.notifications) == len(expected) + 2_000)
        assert heard.notifications[-1] == ("roost_events", "2000" * 500)


@on_both_loops
async def test_listener_connects_again(empty_database: str) -> None:
    async with (
        listening(empty_database, "roost_events") as heard,
        observing(empty_database) as observer,
    ):
        for times in (2, 3):
            await observer.ask(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'roost' AND datname = current_database()"
            )
            await until(lambda times=times: heard.connected == times)  # type: ignore[misc]
            await observer.ask("SELECT pg_notify('roost_events', %s)", str(times))
            await until(lambda times=times: len(heard.notifications) == times - 1)  # type: ignore[misc]
        assert heard.notifications == [("roost_events", "2"), ("roost_events", "3")]


@on_both_loops
async def test_listener_waits_for_a_server(own_server: EmbeddedPostgres) -> None:
    heard = Heard()
    listener = Listener(own_server.conninfo(), ["roost"], heard.on_notify, heard.on_connect)
    await asyncio.to_thread(own_server.stop)
    try:
        listener.start()
        await asyncio.sleep(0)
        assert heard.connected == 0
    finally:
        await asyncio.to_thread(own_server.start)
    await until(lambda: heard.connected == 1)
    await listener.close()
    await listener.close()
