"""The server's rounds of jobs, against a real database."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from roost.database.pipeline import Multiplexer, Statement
from roost.jobs import Jobs
from tests.serving import Client, serving
from tests.support import connect


@pytest.fixture
async def multiplexer(database: str) -> AsyncIterator[Multiplexer]:
    multiplexer = Multiplexer(
        database,
        connections=1,
        slow_connections=1,
        depth=8,
        connect_timeout=5.0,
        statement_timeout_ms=5_000,
    )
    await multiplexer.open()
    yield multiplexer
    await multiplexer.close(1.0)


async def _prepare(database: str, left: int) -> None:
    """A job that has so many pieces to do and counts them; one that always fails."""
    async with await connect(database) as connection:
        await connection.execute("CREATE TABLE public.pieces (left_to_do bigint)")
        await connection.execute("INSERT INTO public.pieces VALUES (%s)", [left])
        await connection.execute("""
            CREATE FUNCTION public.do_piece() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
                UPDATE public.pieces SET left_to_do = greatest(left_to_do - 1, 0)
                RETURNING left_to_do
            $$
        """)


def _job(sql: bytes) -> Statement:
    return Statement(b"SELECT " + sql + b", ''", touches=True)


async def _until(database: str, left: int) -> None:
    async with asyncio.timeout(10), await connect(database) as connection:
        while True:
            cursor = await connection.execute("SELECT left_to_do FROM public.pieces")
            if await cursor.fetchone() == (left,):
                return
            await asyncio.sleep(0.01)


async def test_a_job_goes_on_until_nothing_is_left(database: str, multiplexer: Multiplexer) -> None:
    await _prepare(database, 5)
    # The second round never comes, so it is the first that finishes.
    jobs = Jobs(multiplexer, {"pieces": _job(b"public.do_piece()")}, pause=3_600)
    jobs.start()
    await _until(database, 0)
    await jobs.close()


async def test_a_job_that_fails_holds_up_no_other_and_is_tried_again(
    database: str, multiplexer: Multiplexer, caplog: pytest.LogCaptureFixture
) -> None:
    await _prepare(database, 3)
    jobs = Jobs(
        multiplexer,
        {"broken": _job(b"1/(SELECT 0)"), "pieces": _job(b"public.do_piece()")},
        pause=0.01,
    )
    with caplog.at_level(logging.WARNING):
        jobs.start()
        await _until(database, 0)
        async with asyncio.timeout(10):
            while len([r for r in caplog.records if r.message.startswith("broken failed")]) < 2:
                await asyncio.sleep(0.01)
    await jobs.close()


async def test_the_server_runs_the_jobs_of_the_database(client: Client, database: str) -> None:
    ada = await client.sign_up()
    kept = await ada.open_conversation()
    gone = await ada.open_conversation()
    async with await connect(database) as connection:
        await connection.execute(
            "UPDATE roost.conversations SET deleted_at = now() - interval '31 days' WHERE id = %s",
            [gone],
        )
    # A server that starts begins with a round.
    async with serving(database), asyncio.timeout(10), await connect(database) as connection:
        while True:
            cursor = await connection.execute("SELECT id::text FROM roost.conversations")
            if await cursor.fetchall() == [(kept,)]:
                break
            await asyncio.sleep(0.01)
