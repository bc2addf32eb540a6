"""Several server processes on one port, for a machine with many processors.

This process serves nothing itself. It starts the workers, starts again what ends, and holds the hub
(`realtime.hub`) through which they share one listener and one reader of the log. The kernel spreads
new connections over them (SO_REUSEPORT).
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from roost.app import (
    CLOSE_SECONDS,
    CONNECT_TIMEOUT,
    PIPELINE_DEPTH,
    address_of,
    listen,
)
from roost.database.pipeline import Multiplexer
from roost.jobs import Jobs
from roost.metrics import Figures
from roost.offline_worker import OfflineCollector, OfflineWorker
from roost.realtime.hub import Hub
from roost.realtime.metrics import HubCollector
from roost.settings import Settings

logger = logging.getLogger(__name__)

# Of the hub: one reads the log while the other tells other servers.
CONNECTIONS: Final = 2

# Seconds before a worker that ended is started again and, doubling, before the next attempts.
FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0
# Who has served for so long has ended for a new reason.
SOUND_SECONDS: Final = 30.0

# More than a worker takes to drain. The whole server ends within five seconds, PostgreSQL included.
DRAIN_SECONDS: Final = 3.9


class WorkerError(Exception):
    """A worker could not start."""


class _Worker:
    """One worker, and its successors after it has ended.

    ready -- is set once the first of them takes requests
    """

    def __init__(self, name: str, hub: Hub, port: int) -> None:
        self.ready = asyncio.Event()
        self._name = name
        self._hub = hub
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process | None:
        """The one that runs, if one does."""
        process = self._process
        return None if process is None or process.returncode is not None else process

    async def keep(self) -> None:
        """Has the worker run, for ever. Raises WorkerError when not even the first one comes up."""
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY
        while True:
            started = loop.time()
            try:
                ended = f"has ended ({await self._run()})"
            except OSError as error:
                # The system has no room for one more process at the moment.
                ended = f"cannot be started ({error})"
            if not self.ready.is_set():
                raise WorkerError(
                    f"worker {self._name} {ended} before it took requests: what it said itself is"
                    " above"
                )
            if loop.time() - started > SOUND_SECONDS:
                delay = FIRST_DELAY
            logger.error("worker %s %s: starting it again", self._name, ended)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _run(self) -> int:
        """Starts it, and waits until it ends. Returns the exit code; below 0 it is a signal."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "roost.worker_process"),
                    *(str(theirs.fileno()), self._name),
                    env={**os.environ, "ROOST_PORT": str(self._port)},
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C at the terminal is for this process, which then ends the workers.
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        await self._hub.connect(self._name, ours, self.ready.set, stuck=process.kill)
        return await process.wait()


async def run(
    settings: Settings, conninfo: str, number: int, announce: Callable[[str], None]
) -> None:
    """Serves with so many workers until it is cancelled, then has them drain. They end at once when
    it is cancelled again.

    announce -- called with the address once requests are taken
    Raises OSError when the address can't be had, DatabaseUnavailable when there is no database,
    WorkerError.
    """
    async with AsyncExitStack() as stack:
        reserved = _reserve(settings.host, settings.port)
        for place in reserved:
            stack.callback(place.close)
        name = reserved[0].getsockname()
        multiplexer = Multiplexer(
            conninfo,
            connections=CONNECTIONS,
            slow_connections=1,
            depth=PIPELINE_DEPTH,
            connect_timeout=CONNECT_TIMEOUT,
            statement_timeout_ms=settings.statement_timeout_ms,
        )
        await multiplexer.open()
        stack.push_async_callback(multiplexer.close, CLOSE_SECONDS)
        hub = Hub(multiplexer)
        multiplexer.on_touched = hub.wake
        offline_worker = OfflineWorker(multiplexer, counts=settings.has_metrics)
        hub.figures = Figures(HubCollector(hub), OfflineCollector(offline_worker.figures)).text
        hub.start()
        stack.push_async_callback(hub.close)
        listener = listen(conninfo, hub.on_notify, hub.on_connect, hub.reload)
        stack.push_async_callback(listener.close)
        jobs = Jobs(multiplexer)
        jobs.start()
        stack.push_async_callback(jobs.close)
        offline_worker.start()
        stack.push_async_callback(offline_worker.close)
        workers = [_Worker(str(which), hub, name[1]) for which in range(1, number + 1)]
        try:
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker.keep())
                for worker in workers:
                    await worker.ready.wait()
                announce(address_of(name))
        except* WorkerError as errors:
            # One is enough to say.
            raise errors.exceptions[0] from None
        finally:
            await _end(workers)


async def _end(workers: list[_Worker]) -> None:
    """Has them drain; who has not ended then, or when this is cancelled, is ended by force."""
    ending = []
    for worker in workers:
        if worker.process is not None:
            worker.process.terminate()
            ending.append(asyncio.ensure_future(worker.process.wait()))
    try:
        if ending:
            await asyncio.wait(ending, timeout=DRAIN_SECONDS)
    finally:
        for worker in workers:
            if worker.process is not None:
                worker.process.kill()
        await asyncio.gather(*ending)


def _reserve(host: str, port: int) -> list[socket.socket]:
    """Sockets that keep the port for the workers; port 0 takes a free one. Raises OSError.

    They do not listen, so no connection comes to them.
    """
    reserved: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            number = reserved[0].getsockname()[1] if reserved else port
            wanted = (address[0], number, *address[2:])
            with socket.socket(family, kind, protocol) as alone:
                # Somebody else's workers would share the port with ours.
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                _bind(alone, wanted)
            place = socket.socket(family, kind, protocol)
            reserved.append(place)
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            _bind(place, wanted)
    except BaseException:
        for place in reserved:
            place.close()
        raise
    return reserved


def _bind(place: socket.socket, address: tuple[object, ...]) -> None:
    if place.family == socket.AF_INET6:
        # As asyncio does: the other family has a socket of its own.
        place.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    place.bind(address)
