"""More connections at once than systems allow without being asked."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.test_cli import ROOST, environment

# Of the server, before it asks for more.
OPEN_FILES = 128
CONNECTIONS = 400

REQUEST = b"GET /health HTTP/1.1\r\nHost: roost\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Process:
    """A running `roost serve`."""

    pid: int
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@pytest.fixture
async def server(database: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'ulimit -Sn {OPEN_FILES} && exec "$@"', "sh"),
        *(*ROOST, "serve"),
        env=environment({"DATABASE_URL": database}),
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        port = urlsplit(line.removeprefix("Roost is at ").split(". ")[0]).port
        assert port is not None
        yield Process(process.pid, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_all_come_at_once_and_all_are_answered(server: Process) -> None:
    # It accepts nobody meanwhile: all of them have to fit into the system's queue.
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            connections = await asyncio.gather(*(server.connect() for _ in range(CONNECTIONS)))
    finally:
        os.kill(server.pid, signal.SIGCONT)

    async with asyncio.timeout(20):
        for _, writer in connections:
            writer.write(REQUEST)
        answers = [await reader.readline() for reader, _ in connections]
    assert set(answers) == {b"HTTP/1.1 200 OK\r\n"}

    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
