"""`roost serve` on a PostgreSQL that takes no connections yet, as during crash recovery."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from roost.database.embedded import PORT
from tests.test_cli import ROOST, environment

FIELDS = (b"SFATAL", b"VFATAL", b"C57P03", b"Mthe database system is starting up", b"")


class Gate:
    """Stands before a server and says in its place that it is starting, until it opens.

    refused -- connections that were told so
    """

    def __init__(self, database: str, folder: Path) -> None:
        parts = conninfo_to_dict(database)
        self.database = make_conninfo(database, host=str(folder), port=PORT)
        self.refused = 0
        self.is_open = False
        self._admitted: list[asyncio.Task[object]] = []
        self._behind = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        self._place = folder / f".s.PGSQL.{PORT}"

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._admit, self._place)
        try:
            yield
        finally:
            server.close()
            await asyncio.gather(*self._admitted)

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        admitted = asyncio.current_task()
        assert admitted is not None
        self._admitted.append(admitted)
        with contextlib.suppress(ConnectionError):
            if self.is_open:
                behind, onwards = await asyncio.open_unix_connection(self._behind)
                try:
                    await asyncio.gather(_pass(reader, onwards), _pass(behind, writer))
                finally:
                    await _close(onwards)
            else:
                self.refused += 1
                await reader.read(1024)
                body = b"\0".join(FIELDS) + b"\0"
                writer.write(b"E" + (len(body) + 4).to_bytes(4, "big") + body)
                await writer.drain()
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def gate(database: str, tmp_path: Path) -> AsyncIterator[Gate]:
    """Before the test's database."""
    gate = Gate(database, tmp_path)
    async with gate.standing():
        yield gate


async def test_a_server_that_is_starting_is_waited_for(gate: Gate) -> None:
    process = await asyncio.create_subprocess_exec(
        *ROOST,
        "serve",
        env=environment({"DATABASE_URL": gate.database}),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"Waiting for PostgreSQL, which is starting\n"
        while gate.refused < 3:
            await asyncio.sleep(0.01)
        gate.is_open = True
        assert (await process.stdout.readline()).startswith(b"Roost is at ")
        process.terminate()
        assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
