"""Carries out what devices have enqueued with enqueue_operations.

All of the work is in the database: roost.run_offline_operations takes one device that has something
due, and no two take the same, so several servers may do this at once.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from roost.database.pipeline import Multiplexer, Statement
from roost.database.queries import COUNT_OFFLINE_OPERATIONS, RUN_OFFLINE_OPERATIONS
from roost.errors import RoostError

logger = logging.getLogger(__name__)

# Between two looks while nothing is due: how long an operation that was just enqueued waits.
SECONDS_BETWEEN_LOOKS: Final = 1.0

# Between two counts of what is in the queues, for the metrics.
SECONDS_BETWEEN_COUNTS: Final = 5.0

# After errors the pause doubles up to this, as while the database is away.
LONGEST_PAUSE_SECONDS: Final = 30.0


@dataclass
class OfflineFigures:
    """What /metrics tells of the queues.

    waiting, failed, oldest_due_seconds -- of all devices, as they were counted last
    tried -- by this process
    is_running -- whether it is at work on a queue
    """

    waiting: int = 0
    failed: int = 0
    oldest_due_seconds: float = 0.0
    tried: int = 0
    is_running: bool = False


class OfflineWorker:
    """Works on the queues of all devices. One a server process."""

    def __init__(
        self,
        multiplexer: Multiplexer,
        statement: Statement = RUN_OFFLINE_OPERATIONS,
        pause: float = SECONDS_BETWEEN_LOOKS,
        *,
        counts: bool = False,
    ) -> None:
        """
        counts -- whether anybody wants to know how many there are
        """
        self.figures = OfflineFigures()
        self._counts = counts
        self._counted_at = float("-inf")
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
                await self._count()
                self.figures.is_running = True
                try:
                    rows = await self._multiplexer.call(self._statement, (), None)
                finally:
                    self.figures.is_running = False
            except RoostError as error:
                logger.warning("the offline queues have to wait, trying again soon: %s", error)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception:
                logger.exception("unexpected error in the offline queues")
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                pause = self._pause
                self.figures.tried += int(rows[0][0] or 0)
                if rows[0][0] != b"0":
                    # Calls that wait go first.
                    await asyncio.sleep(0)
                    continue
            try:
                async with asyncio.timeout(pause):
                    await self._ending.wait()
            except TimeoutError:
                pass

    async def _count(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._counts or now < self._counted_at + SECONDS_BETWEEN_COUNTS:
            return
        self._counted_at = now
        ((waiting, failed, oldest),) = await self._multiplexer.call(
            COUNT_OFFLINE_OPERATIONS, (), None
        )
        self.figures.waiting = int(waiting or 0)
        self.figures.failed = int(failed or 0)
        self.figures.oldest_due_seconds = float(oldest or 0)


class OfflineCollector(Collector):
    """Reads the figures when they are asked for."""

    def __init__(self, figures: OfflineFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        for name, meaning, value in (
            ("waiting", "Operations of all devices that are pending.", self._figures.waiting),
            ("failed", "Operations of all devices that have failed.", self._figures.failed),
            ("running", "Whether this process works on a queue now.", self._figures.is_running),
        ):
            yield GaugeMetricFamily(f"roost_offline_operations_{name}", meaning, value=value)
        yield GaugeMetricFamily(
            "roost_offline_operations_oldest_due_seconds",
            "For how long the oldest that is due has been.",
            value=self._figures.oldest_due_seconds,
        )
        yield CounterMetricFamily(
            "roost_offline_operations_tried",
            "Attempts of operations by this process.",
            value=self._figures.tried,
        )
