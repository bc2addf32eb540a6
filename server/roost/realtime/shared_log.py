"""One reader of the log for all processes of a host: what one of them has asked for, the others get
without another query.

An answer holds until its topic is known to have something new, and for a second at most, since what
nobody announced is found by asking again. Whoever asks after an announcement thus never gets an
answer that was begun before it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from roost.database.pipeline import Rows
from roost.realtime.log import Ask

KEPT_SECONDS: Final = 1.0

# Of payloads. A worker that is woken asks within milliseconds, so there need not be much.
MOST_KEPT_BYTES: Final = 16_777_216

# Columns of a row: see READ_EVENTS.
_TOPIC: Final = 0
_OFFSET: Final = 1
_PAYLOAD: Final = 4
_EPOCH: Final = 5


class _Answer:
    """What follows an offset in a topic, or will when the query has ended.

    rows -- None until then
    size -- bytes of their payloads
    """

    __slots__ = ("after", "begun_at", "limit", "most_bytes", "query", "rows", "size")

    def __init__(
        self,
        query: "asyncio.Task[None]",
        after: int,
        limit: int,
        most_bytes: int,
        begun_at: float,
    ) -> None:
        self.query = query
        self.after = after
        self.limit = limit
        self.most_bytes = most_bytes
        self.begun_at = begun_at
        self.rows: Rows | None = None
        self.size = 0

    def rows_for(self, after: int, limit: int, most_bytes: int) -> Rows | None:
        """The answer to another question about the topic; None where this one has no answer to it.

        One that ends before the topic does is of use for just the same question.
        """
        if self.rows is None or after < self.after:
            return None
        if len(self.rows) < self.limit and self.size < self.most_bytes:
            return [row for row in self.rows if int(row[_OFFSET] or 0) > after][:limit]
        if (after, limit, most_bytes) == (self.after, self.limit, self.most_bytes):
            return self.rows
        return None


class SharedLog:
    """
    queries -- how many questions went to the database
    shared -- how many topics were answered for which one need not ask
    """

    def __init__(self, ask: Ask) -> None:
        self.queries = self.shared = 0
        self._ask = ask
        self._answers: dict[str, _Answer] = {}
        self._kept_bytes = 0
        self._epoch: bytes | None = None

    def forget(self, topics: Iterable[str]) -> None:
        """These have something new."""
        for topic in topics:
            self._drop(topic)

    def forget_all(self) -> None:
        """Any may have something new."""
        self._answers.clear()
        self._kept_bytes = 0

    async def read(self, positions: Mapping[str, int], limit: int, most_bytes: int) -> Rows:
        """As log.Ask; what is of one topic is of one snapshot."""
        now = asyncio.get_running_loop().time()
        answers = {
            topic: answer
            for topic, after in positions.items()
            if (answer := self._answers.get(topic)) is not None
            and answer.after <= after
            and now - answer.begun_at < KEPT_SECONDS
        }
        unasked = {topic: after for topic, after in positions.items() if topic not in answers}
        if unasked:
            answers.update(self._query(unasked, limit, most_bytes))
        # Who asked first may go away while others wait for the same.
        for query in {answer.query: None for answer in answers.values()}:
            await asyncio.shield(query)
        found: dict[str, Rows | None] = {
            topic: answers[topic].rows_for(after, limit, most_bytes)
            for topic, after in positions.items()
        }
        without = {topic: positions[topic] for topic, rows in found.items() if rows is None}
        self.shared += len(positions) - len(unasked) - len(without)
        if without:
            again = self._query(without, limit, most_bytes)
            await asyncio.shield(next(iter(again.values())).query)
            found.update((topic, answer.rows) for topic, answer in again.items())
        return [row for rows in found.values() for row in rows or ()]

    def _query(self, positions: dict[str, int], limit: int, most_bytes: int) -> dict[str, _Answer]:
        """Asks the database, and keeps its answer for whoever else asks."""
        answers: dict[str, _Answer] = {}
        now = asyncio.get_running_loop().time()
        task = asyncio.create_task(self._fill(answers, positions, limit, most_bytes))
        task.add_done_callback(_look_at)
        # The task begins in a later turn of the loop.
        for topic, after in positions.items():
            self._drop(topic)
            answer = _Answer(task, after, limit, most_bytes, now)
            self._answers[topic] = answers[topic] = answer
        self.queries += 1
        self._forget_old(now)
        return answers

    async def _fill(
        self, answers: dict[str, _Answer], positions: dict[str, int], limit: int, most_bytes: int
    ) -> None:
        try:
            rows = await self._ask(positions, limit, most_bytes)
        except BaseException:
            # The next who ask try again.
            for topic, answer in answers.items():
                if self._answers.get(topic) is answer:
                    self._drop(topic)
            raise
        if rows and rows[0][_EPOCH] != self._epoch:
            # What is kept may be of another log.
            self._epoch = rows[0][_EPOCH]
            for topic in [name for name in self._answers if name not in answers]:
                self._drop(topic)
        found: dict[str, Rows] = {topic: [] for topic in answers}
        for row in rows:
            found[(row[_TOPIC] or b"").decode()].append(row)
        for topic, answer in answers.items():
            answer.rows = found[topic]
            answer.size = sum(len(row[_PAYLOAD] or b"") for row in answer.rows)
            if self._answers.get(topic) is answer:
                self._kept_bytes += answer.size
        self._forget_old(asyncio.get_running_loop().time())

    def _drop(self, topic: str) -> None:
        answer = self._answers.pop(topic, None)
        if answer is not None and answer.rows is not None:
            self._kept_bytes -= answer.size

    def _forget_old(self, now: float) -> None:
        """The oldest are first, whose time is up first; they make room, too."""
        while self._answers:
            topic, answer = next(iter(self._answers.items()))
            if now - answer.begun_at < KEPT_SECONDS and self._kept_bytes <= MOST_KEPT_BYTES:
                return
            self._drop(topic)


def _look_at(query: "asyncio.Task[None]") -> None:
    """Of a query that failed nobody may be left to hear."""
    if not query.cancelled():
        query.exception()
