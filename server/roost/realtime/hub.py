"""What the workers of a host have in common: one listener, one announcer and one reader of the log.

Each worker serves its own sockets, and asks here instead of the database for what is new. Nothing
waits for a worker: one that takes nothing in is ended, and started again by whoever started it.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Collection
from typing import Any, Final

import orjson

from roost.database.pipeline import Multiplexer
from roost.errors import RoostError
from roost.realtime.announcer import Announcer
from roost.realtime.host_messages import Kind, Messages, pack_error, pack_rows
from roost.realtime.lines import EPHEMERAL, split_lines
from roost.realtime.log import ask_database
from roost.realtime.shared_log import SharedLog

logger = logging.getLogger(__name__)

# A worker that has so much to take in has stood still for long.
MOST_UNSENT_BYTES: Final = 67_108_864

# How long all workers have to say what they count; who has not by then is left out.
FIGURES_SECONDS: Final = 1.0

# How long it may take at the end to tell the other servers what is still to be told.
PARTING_SECONDS: Final = 0.5


class _Worker:
    """A worker as the hub sees it.

    name -- as in the metrics
    stuck -- is called when it takes nothing in
    """

    __slots__ = ("asked", "messages", "name", "stuck")

    def __init__(self, name: str, messages: Messages, stuck: Callable[[], None]) -> None:
        self.name = name
        self.messages = messages
        self.stuck = stuck
        # Its figures, when they come.
        self.asked: dict[int, asyncio.Future[str]] = {}


class Hub:
    """One a host. `on_notify`, `on_connect` and `reload` return without waiting.

    figures -- gives what is counted here, in the form of the workers' own
    """

    def __init__(self, multiplexer: Multiplexer) -> None:
        self.figures: Callable[[], str] = str
        self.log = SharedLog(ask_database(multiplexer))
        self._node_id = secrets.token_hex(8)
        self._announcer = Announcer(multiplexer, self._node_id)
        self._workers: set[_Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = 0

    def start(self) -> None:
        """Begins to tell the other servers what the workers say."""
        self._spawn(self._announcer.run())

    async def close(self) -> None:
        """Ends, and tells the other servers what is still to be told. The workers have ended, or do
        so now.
        """
        for worker in tuple(self._workers):
            worker.messages.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._announcer.close(PARTING_SECONDS)

    async def connect(
        self,
        name: str,
        end: socket.socket,
        on_ready: Callable[[], None],
        stuck: Callable[[], None],
    ) -> None:
        """Takes a worker in, which has the other end of a pair of sockets.

        on_ready -- is called when it takes requests
        stuck -- is called when it takes nothing in
        """

        def receive(kind: Kind, number: int, body: bytes) -> None:
            if kind is Kind.READY:
                on_ready()
            else:
                self._receive(worker, kind, number, body)

        def lost() -> None:
            self._workers.discard(worker)

        worker = _Worker(name, Messages(receive, lost), stuck)
        self._workers.add(worker)
        await asyncio.get_running_loop().create_unix_connection(lambda: worker.messages, sock=end)

    @property
    def unsent_bytes(self) -> int:
        """What the workers have not taken in yet."""
        return sum(worker.messages.unsent_bytes for worker in self._workers)

    # --- from the database ------------------------------------------------------------------------

    def on_notify(self, payload: str) -> None:
        """See Relay.on_notify()."""
        node_id, _, touched = payload.partition("\n")
        if node_id == self._node_id:
            return
        if touched:
            self._pass_on(touched.encode(), split_lines(touched))
        else:
            self.log.forget_all()
            self._tell_all(Kind.ANYTHING)

    def wake(self, touched: str) -> None:
        """What this process has touched itself, see Relay.wake()."""
        lines = split_lines(touched)
        self._pass_on(touched.encode(), lines)
        self._announcer.announce(lines)

    def on_connect(self) -> None:
        """See Relay.on_reconnect()."""
        self.log.forget_all()
        self._tell_all(Kind.RECONNECTED)

    def reload(self) -> None:
        """The functions have changed."""
        self._tell_all(Kind.RELOAD)

    # --- from the workers -------------------------------------------------------------------------

    def _receive(self, worker: _Worker, kind: Kind, number: int, body: bytes) -> None:
        match kind:
            case Kind.LINES:
                lines = split_lines(body.decode())
                self._pass_on(body, lines, worker)
                self._announcer.announce(lines)
            case Kind.READ:
                self._spawn(self._read(worker, number, orjson.loads(body)))
            case Kind.ASK_FIGURES:
                self._spawn(self._tell_figures(worker, number))
            case Kind.FIGURES:
                asked = worker.asked.pop(number, None)
                if asked is not None and not asked.done():
                    asked.set_result(body.decode())

    def _pass_on(self, body: bytes, lines: Collection[str], source: _Worker | None = None) -> None:
        self.log.forget(
            line.partition("\t")[0] for line in lines if not line.startswith(("!", EPHEMERAL))
        )
        self._tell_all(Kind.LINES, body, source)

    def _tell_all(self, kind: Kind, body: bytes = b"", source: _Worker | None = None) -> None:
        for worker in tuple(self._workers):
            if worker is source:
                continue
            if worker.messages.unsent_bytes > MOST_UNSENT_BYTES:
                logger.error("worker %s takes nothing in: it is ended", worker.name)
                worker.messages.abort()
                worker.stuck()
            else:
                worker.messages.send(kind, body)

    async def _read(self, worker: _Worker, number: int, asked: dict[str, Any]) -> None:
        try:
            rows = await self.log.read(asked["positions"], asked["limit"], asked["bytes"])
        except RoostError as error:
            worker.messages.send(Kind.FAILED, pack_error(error), number)
        else:
            worker.messages.send(Kind.ROWS, pack_rows(rows), number)

    async def _tell_figures(self, worker: _Worker, number: int) -> None:
        self._asked += 1
        question = self._asked
        answers: dict[str, asyncio.Future[str]] = {}
        for other in self._workers:
            answers[other.name] = other.asked[question] = asyncio.get_running_loop().create_future()
            other.messages.send(Kind.ASK_FIGURES, number=question)
        await asyncio.wait(answers.values(), timeout=FIGURES_SECONDS)
        for other in self._workers:
            other.asked.pop(question, None)
        figures = {"hub": self.figures()} | {
            name: answer.result() for name, answer in sorted(answers.items()) if answer.done()
        }
        worker.messages.send(Kind.ALL_FIGURES, orjson.dumps(figures), number)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)

    def _forget_task(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of the hub failed", exc_info=task.exception())
