"""Server processes as a user runs them, and how to break them."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import psutil

from roost.database.embedded import EmbeddedPostgres
from tests.test_cli import ROOST, environment

# Below the ports that the system gives to outgoing connections: those of the clients would take the
# port while the server is down, or even connect to themselves.
PORTS = range(20_000, 32_000)

# Seconds until a server has to be there, with a database that may still recover.
LONGEST_START = 60.0

# What a server logs only when it did not see something coming.
UNFORESEEN = re.compile(r"Traceback|unexpected error|a task of the relay failed|never awaited")


def free_port() -> int:
    """A port that nobody listens on."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


# Of a server's log, when something went wrong.
LAST_LINES = 20

EVICTIONS = re.compile(r"^roost_realtime_evictions_total ([0-9.e+]+)$", re.MULTILINE)


class Server:
    """
    `roost serve` on a port of its own, which can be started again and again.

    gone -- set when the process that was started last has ended
    started_in -- seconds from the start of a process until it took requests, for each start
    attempts -- processes started; more than starts when the database was not there yet
    evictions, evictions_before -- times that a channel was left to the log, by this process and by
        those before it, as far as they were asked for
    most_memory -- resident bytes of the process and its children, at most
    """

    def __init__(
        self, name: str, database: str, folder: Path, arguments: Sequence[str] = (), **settings: str
    ) -> None:
        """arguments -- of `roost serve`; settings -- variables of its environment"""
        port = free_port()
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"{name}.log"
        self.gone = asyncio.Event()
        self.started_in: list[float] = []
        self.attempts = 0
        self.evictions = 0
        self.evictions_before = 0
        self.most_memory = 0
        self._command = (*ROOST, "serve", *arguments)
        self._environment = environment(
            {"DATABASE_URL": database, "ROOST_PORT": str(port), "ROOST_METRICS": "loopback"}
            | settings
        )
        self._process: asyncio.subprocess.Process | None = None
        self._terminated_at = 0.0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts a process until one takes requests, as a supervisor does: without a database it
        ends by itself.
        """
        began = time.monotonic()
        async with asyncio.timeout(LONGEST_START):
            while not await self._launch():
                await asyncio.sleep(0.1)
        self.started_in.append(time.monotonic() - began)

    async def _launch(self) -> bool:
        self.attempts += 1
        # What it says on stdout after its address fits into the pipe.
        with self.log.open("ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=subprocess.PIPE, stderr=log
            )
        assert process.stdout is not None
        while not (line := await process.stdout.readline()).startswith(b"Roost is at "):
            if not line:
                await process.wait()
                return False
        self.gone = asyncio.Event()
        self.evictions_before += self.evictions
        self.evictions = 0
        return True

    def _tree(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _signal(self, number: signal.Signals) -> None:
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, to its workers too."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        await self._process.wait()
        self.gone.set()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing happens on them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, as a supervisor sends it."""
        assert self._process is not None
        self._terminated_at = time.monotonic()
        self._process.terminate()

    async def ended(self) -> tuple[int, float]:
        """Waits for the end after terminate(): the exit code, and the seconds that it took."""
        assert self._process is not None
        code = await self._process.wait()
        self.gone.set()
        return code, time.monotonic() - self._terminated_at

    async def close(self) -> None:
        """Kills what is left."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    def weigh(self) -> int:
        """Looks at the memory: resident bytes now."""
        memory = 0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                memory += process.memory_info().rss
        self.most_memory = max(memory, self.most_memory)
        return memory

    async def count_evictions(self, http: aiohttp.ClientSession) -> None:
        """Asks the process, whose counters end with it."""
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(2), http.get(f"{self.url}/metrics") as answer:
                found = EVICTIONS.search(await answer.text())
                if found is not None:
                    self.evictions = int(float(found[1]))

    def unforeseen(self) -> list[str]:
        """Lines of the log that should not be there."""
        return [line for line in self._log_lines() if UNFORESEEN.search(line)]

    def last_words(self) -> list[str]:
        """The end of the log."""
        return self._log_lines()[-LAST_LINES:]

    def _log_lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


async def kill_database(postgres: EmbeddedPostgres) -> None:
    """SIGKILL to PostgreSQL and all of its processes, as when the machine fails."""
    process = psutil.Process(postgres.pid)
    processes = [process, *process.children(recursive=True)]
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    while postgres.running or any(_lives(one) for one in processes):
        await asyncio.sleep(0.005)


def kill_backend(pid: int) -> None:
    """SIGKILL to one process of PostgreSQL, which then restarts all others by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
