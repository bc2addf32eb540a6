"""`roost worker`: the database's own work and the offline queues, without serving anything."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from roost.app import CLOSE_SECONDS, CONNECT_TIMEOUT, PIPELINE_DEPTH
from roost.database.pipeline import Multiplexer
from roost.jobs import Jobs
from roost.offline_worker import OfflineWorker
from roost.realtime.announcer import Announcer
from roost.realtime.lines import split_lines
from roost.settings import Settings

# One works while the other tells the servers what was done.
CONNECTIONS: Final = 2

# How long it may take at the end to tell the servers what is still to be told.
PARTING_SECONDS: Final = 0.5


async def run(settings: Settings, conninfo: str, announce: Callable[[], None]) -> None:
    """Works until it is cancelled, then finishes the batch under way. Ends at once when it is
    cancelled again.

    announce -- called once it works
    Raises DatabaseUnavailable when there is no database.
    """
    async with AsyncExitStack() as stack:
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
        announcer = Announcer(multiplexer, secrets.token_hex(8))
        multiplexer.on_touched = lambda touched: announcer.announce(split_lines(touched))
        telling = asyncio.create_task(announcer.run())

        async def part() -> None:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await announcer.close(PARTING_SECONDS)

        stack.push_async_callback(part)
        jobs = Jobs(multiplexer)
        jobs.start()
        stack.push_async_callback(jobs.close)
        offline_worker = OfflineWorker(multiplexer)
        offline_worker.start()
        stack.push_async_callback(offline_worker.close)
        announce()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await offline_worker.drain()
