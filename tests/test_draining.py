"""How a whole server ends, as a process: sockets are sent away little by little, calls finish."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from roost.realtime.protocol import Version
from tests.relaying import Phone, join_payload, running_node
from tests.serving import Client
from tests.support import connect
from tests.test_cli import ROOST, environment

# A call that takes as long as it is told.
NAP = """
CREATE FUNCTION api.nap(seconds double precision) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT 'rested' FROM pg_sleep(nap.seconds); END;
REVOKE ALL ON FUNCTION api.nap(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.nap(double precision) TO roost_user, roost_anon;
"""


@dataclass(frozen=True, slots=True)
class Process:
    """A running `roost serve`, and somebody who is signed in."""

    process: asyncio.subprocess.Process
    person: Client

    async def phones(self, number: int) -> list[Phone]:
        """So many sockets that have joined the person's inbox."""
        phones = []
        for _ in range(number):
            ws = await self.person.http.ws_connect(
                f"{self.person.url}/realtime/v1/websocket?vsn=2.0.0"
            )
            phone = Phone(ws, Version.V2, None)
            ref = await phone.send(
                f"realtime:user:{self.person.user_id}",
                "phx_join",
                join_payload(self.person.token),
            )
            assert (await phone.reply(ref))["status"] == "ok"
            phones.append(phone)
        return phones


@contextlib.asynccontextmanager
async def serving(database: str, *arguments: str, **variables: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *ROOST,
        "serve",
        *arguments,
        # All sockets are one person's.
        env=environment(
            {"DATABASE_URL": database, "ROOST_REALTIME_USER_SOCKETS": "0", **variables}
        ),
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        url = line.removeprefix("Roost is at ").split(". ")[0]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield Process(process, await Client(url, http).sign_up())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.fixture
async def napping(database: str) -> str:
    """A database with a call that takes as long as it is told."""
    async with await connect(database) as connection:
        await connection.execute(NAP)
    return database


async def closed(phone: Phone) -> tuple[int, float]:
    """The code of the close frame, and when it came."""
    return await phone.closed(), time.monotonic()


async def test_sockets_are_sent_away_over_some_time_while_calls_finish(napping: str) -> None:
    async with (
        serving(napping, ROOST_REALTIME_DRAIN_MS="1000") as server,
        asyncio.TaskGroup() as tasks,
    ):
        phones = await server.phones(300)
        closing = [tasks.create_task(closed(phone)) for phone in phones]
        # One ends while sockets are sent away, the other thereafter.
        calls = [
            tasks.create_task(server.person.call("nap", seconds=seconds)) for seconds in (0.7, 1.5)
        ]
        await asyncio.sleep(0.2)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
        ended = time.monotonic() - started
        assert ended < 5
        # In no order, and evenly.
        told = [(await task) for task in closing]
        assert {code for code, _ in told} == {1012}
        times = [at - started for _, at in told]
        assert times != sorted(times)
        thirds = [sum(n / 3 <= at < (n + 1) / 3 for at in times) for n in range(3)]
        assert all(30 <= third <= 200 for third in thirds), thirds
        for call in calls:
            answer = await call
            assert (answer.status, answer.body) == (200, "rested")


async def test_a_call_that_takes_too_long_does_not_hold_the_end_up(napping: str) -> None:
    async with serving(napping) as server:
        (phone,) = await server.phones(1)
        call = asyncio.create_task(server.person.call("nap", seconds=9))
        await asyncio.sleep(0.2)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await phone.closed() == 1012
        # Few sockets are not told late.
        assert time.monotonic() - started < 1
        assert await server.process.wait() == 0
        assert time.monotonic() - started < 5
        with contextlib.suppress(aiohttp.ClientError):
            assert (await call).status >= 500


async def test_clients_that_do_not_answer_do_not_hold_the_end_up(database: str) -> None:
    async with serving(database, ROOST_REALTIME_DRAIN_MS="500") as server:
        await server.phones(150)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one process", "workers"])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(
    napping: str, second: signal.Signals, arguments: tuple[str, ...]
) -> None:
    async with serving(napping, *arguments, ROOST_REALTIME_DRAIN_MS="2500") as server:
        phones = await server.phones(700)
        call = asyncio.create_task(server.person.call("nap", seconds=2))
        await asyncio.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        closing = [asyncio.create_task(phone.closed()) for phone in phones]
        await asyncio.wait(closing, return_when=asyncio.FIRST_COMPLETED)
        started = time.monotonic()
        server.process.send_signal(second)
        assert await server.process.wait() == 0
        assert time.monotonic() - started < 1.5
        # Whoever had not been told finds the connection cut, which clients come back from too.
        told = await asyncio.gather(*closing, return_exceptions=True)
        assert 1 <= told.count(1012) < len(phones)
        with contextlib.suppress(aiohttp.ClientError):
            assert (await call).status >= 500


async def test_no_sockets_are_taken_in_meanwhile(database: str) -> None:
    async with running_node(database, realtime_drain_ms=2_000) as node:
        phones = [await node.phone() for _ in range(100)]
        draining = asyncio.create_task(node.relay.drain())
        closing = [asyncio.create_task(phone.closed()) for phone in phones]
        await asyncio.wait(closing, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await node.phone()
        assert refusal.value.status == 503
        assert refusal.value.headers is not None
        assert int(refusal.value.headers["Retry-After"]) >= 1
        # Who has not been told yet is served.
        assert not draining.done()
        waiting = [phone for phone, task in zip(phones, closing, strict=True) if not task.done()]
        assert waiting
        assert {await task for task in closing} == {1012}
        await draining
