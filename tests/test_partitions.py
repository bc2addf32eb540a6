"""What sessions do to each other of which one looks after the partitions of events."""

import asyncio
import contextlib
from typing import Any

import psycopg
import pytest

from tests.support import connect

MAINTAIN = "SELECT realtime.maintain_partitions()"
MAKE = "SELECT realtime.make_partitions(%s)"
WRITE = """
    INSERT INTO realtime.events (topic, event_offset, event, payload, created_at)
    SELECT 'user:1', %(days)s, 'from.ahead', '{}', now() + make_interval(days => %(days)s)
"""
DROP = "SELECT realtime.drop_old_partitions()"
# Past retention, and in the default partition.
WRITE_OLD = b"""
    INSERT INTO realtime.events (topic, event_offset, event, payload, created_at)
    SELECT 'user:1', number, 'long.gone', '{}', now() - interval '9 days'
    FROM generate_series(1, 2) AS number
"""
REDACT = b"SELECT realtime.redact('user:1', %s, '\"gone\"')"
GONE = "SELECT count(*) FROM realtime.events WHERE payload::text = '\"gone\"'"
PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'realtime.events'::regclass"


async def test_one_of_two_maintains(database: str) -> None:
    await one_of_two_maintains(database)


async def test_a_day_that_was_written_to(database: str) -> None:
    await a_day_that_was_written_to(database)


async def test_whoever_overwrites_waits_for_a_maker(database: str) -> None:
    async with (
        await connect(database, "roost_owner") as writer,
        await connect(database, "roost_owner") as maker,
    ):
        await writer.execute(WRITE_OLD)
        async with maker.transaction():
            assert await answer(maker, MAKE, 0) == 0
            writing = asyncio.create_task(writer.execute(REDACT, [[1, 2]]))
            while not await is_waiting(writer, maker):
                await asyncio.sleep(0.002)
        await writing
        assert await answer(maker, GONE) == 2


async def test_whoever_maintains_gives_up_before_those_who_overwrite(database: str) -> None:
    async with (
        await connect(database, "roost_owner") as writer,
        await connect(database, "roost_owner") as other,
    ):
        await writer.execute(WRITE_OLD)
        async with writer.transaction():
            await writer.execute(REDACT, [[2]])
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await other.execute(MAKE.encode(), [0])
            # A circle: the one who deletes has the first row and wants the second.
            deleting = asyncio.create_task(answer(other, DROP))
            while not deleting.done() and not await is_waiting(other, writer):
                await asyncio.sleep(0.002)
            await writer.execute(REDACT, [[1]])
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await deleting
        assert await answer(other, GONE) == 2
        assert await answer(other, DROP) == 0
        assert await answer(other, GONE) == 0


# Not tests themselves: the coverage is measured on them too.
async def one_of_two_maintains(conninfo: str) -> None:
    """Whoever comes second has nothing to do, and does not wait."""
    async with (
        await connect(conninfo, "roost_gateway") as first,
        await connect(conninfo, "roost_gateway") as second,
    ):
        async with first.transaction():
            left = await answer(first, MAINTAIN)
            assert left > 0
            assert await answer(second, MAINTAIN) == 0
        assert await answer(second, MAINTAIN) == left - 1


async def a_day_that_was_written_to(conninfo: str) -> None:
    """
    A row that reaches the default partition while a maker waits for it stays where it is. For a
    database in which no partitions have been made.
    """
    async with (
        await connect(conninfo, "roost_owner") as writer,
        await connect(conninfo, "roost_owner") as maker,
    ):
        left = None
        days = 0
        # The maker waits for a quarter of a second only: a busy machine gets another turn.
        while left is None:
            while await answer(writer, MAKE, days) > 0:
                pass
            days += 1
            async with writer.transaction():
                await writer.execute(WRITE, {"days": days})
                making = asyncio.create_task(answer(maker, MAKE, days))
                while not making.done() and not await is_waiting(maker, writer):
                    await asyncio.sleep(0.002)
            with contextlib.suppress(psycopg.errors.LockNotAvailable):
                left = await making
        assert left == 0
        # The default one and those of the days before.
        assert await answer(writer, PARTITIONS) == 1 + days


async def is_waiting(
    connection: psycopg.AsyncConnection[Any], other: psycopg.AsyncConnection[Any]
) -> bool:
    """Whether a connection waits for a lock that the other one has. The other one is asked."""
    cursor = await other.execute(
        "SELECT pg_backend_pid() = ANY (pg_blocking_pids(%s))", [connection.info.backend_pid]
    )
    return await cursor.fetchone() == (True,)


async def answer(connection: psycopg.AsyncConnection[Any], query: str, *arguments: object) -> int:
    cursor = await connection.execute(query.encode(), arguments)
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
