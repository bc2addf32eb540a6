"""What sessions do to each other of which one looks after the partitions of events."""

import asyncio
import contextlib
from typing import Any

import psycopg

from tests.support import connect

MAINTAIN = "SELECT realtime.maintain_partitions()"
MAKE = "SELECT realtime.make_partitions(%s)"
WRITE = """
    INSERT INTO realtime.events (topic, event_offset, event, payload, created_at)
    SELECT 'user:1', %(days)s, 'from.ahead', '{}', now() + make_interval(days => %(days)s)
"""
PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'realtime.events'::regclass"


async def test_one_of_two_maintains(database: str) -> None:
    await one_of_two_maintains(database)


async def test_a_day_that_was_written_to(database: str) -> None:
    await a_day_that_was_written_to(database)


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
