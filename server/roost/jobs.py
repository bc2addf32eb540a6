"""The database's own work that nobody calls for: what is past its time goes, what is due is done.

Each job is a function of the database that does a bounded piece in a transaction of its own and
answers whether there is more. All of them may run on several servers at once; without any server,
cron can call them.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from roost.database.pipeline import Multiplexer, Statement
from roost.database.queries import JOBS
from roost.errors import RoostError

logger = logging.getLogger(__name__)

# What is kept for days goes within the hour; a deletion that was too large for its call goes on
# within a minute.
SECONDS_BETWEEN_ROUNDS: Final = 60.0

# Calls go first: a job that has more to do waits as long as its last piece took, and at least this.
LEAST_PAUSE_SECONDS: Final = 0.01


class Jobs:
    """Runs all jobs in rounds. One a server process."""

    def __init__(
        self,
        multiplexer: Multiplexer,
        jobs: Mapping[str, Statement] = JOBS,
        pause: float = SECONDS_BETWEEN_ROUNDS,
    ) -> None:
        self._multiplexer = multiplexer
        self._jobs = jobs
        self._pause = pause
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins with a round at once, in the background."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends between two pieces, or in one, which is then rolled back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            for name, statement in self._jobs.items():
                try:
                    await self._finish(statement)
                except RoostError as error:
                    # The others need not wait for it.
                    logger.warning("%s failed, trying again soon: %s", name, error)
                except Exception:
                    logger.exception("unexpected error in %s", name)
            await asyncio.sleep(self._pause)

    async def _finish(self, statement: Statement) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            rows = await self._multiplexer.call(statement, (), None)
            if rows[0][0] == b"0":
                return
            await asyncio.sleep(max(loop.time() - started, LEAST_PAUSE_SECONDS))
