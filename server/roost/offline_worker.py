"""Carries out what devices have enqueued with enqueue_operations.

All of the work is in the database: roost.run_offline_operations takes one device that has something
due, and no two take the same, so several servers may do this at once.
"""

import asyncio
import logging
from typing import Final

from roost.database.pipeline import Multiplexer, Statement
from roost.database.queries import RUN_OFFLINE_OPERATIONS
from roost.errors import RoostError

logger = logging.getLogger(__name__)

# Between two looks while nothing is due: how long an operation that was just enqueued waits.
SECONDS_BETWEEN_LOOKS: Final = 1.0

# After errors the pause doubles up to this, as while the database is away.
LONGEST_PAUSE_SECONDS: Final = 30.0


class OfflineWorker:
    """Works on the queues of all devices. One a server process."""

    def __init__(
        self,
        multiplexer: Multiplexer,
        statement: Statement = RUN_OFFLINE_OPERATIONS,
        pause: float = SECONDS_BETWEEN_LOOKS,
    ) -> None:
        self._multiplexer = multiplexer
        self._statement = statement
        self._pause = pause
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins at once, in the background."""
        self._task = asyncio.create_task(self._run())

    async def drain(self) -> None:
        """Ends when the batch under way is finished."""
        self._ending.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Ends between two batches, or in one, which is then rolled back and done another time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = self._pause
        while not self._ending.is_set():
            try:
                rows = await self._multiplexer.call(self._statement, (), None)
            except RoostError as error:
                logger.warning("the offline queues have to wait, trying again soon: %s", error)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception:
                logger.exception("unexpected error in the offline queues")
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                pause = self._pause
                if rows[0][0] != b"0":
                    # Calls that wait go first.
                    await asyncio.sleep(0)
                    continue
            try:
                async with asyncio.timeout(pause):
                    await self._ending.wait()
            except TimeoutError:
                pass
