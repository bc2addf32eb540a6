"""
All calls of the process over a few connections to PostgreSQL.

A call goes at once to a connection that takes it, or waits in a queue. Quick statements share
connections, several in flight on each; slow ones, as measured, have connections of their own, one
call at a time, so that nothing quick waits behind them. What happens on a connection is in
connection.py.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from roost.database.connection import (
    WATCH_INTERVAL,
    Call,
    Connection,
    Identity,
    Rows,
    Statement,
    connection_string,
)
from roost.errors import DatabaseError, DatabaseUnavailable

__all__ = ["Identity", "Multiplexer", "Rows", "Statement"]

logger = logging.getLogger(__name__)

# A statement that takes longer on average (seconds) goes to the slow connections: a few of them at
# once would leave no connection for quick calls, and people begin to notice a wait of that length.
# Shorter ones only have to be alone on their connection.
SLOW_ABOVE: Final = 0.05
# Calls of one turn of the loop that are put on one connection that was idle, before the next one is
# taken. One server process answers a quick call sooner than this process can make the next, so to
# wake few of them costs less. What takes longer spreads by itself: its connection is not idle in
# the next turn. Measured with 16 clients over HTTP and 4 connections: a trivial function 24.1k
# calls/s against 18.6k with 1 here (20.1k with 2, 22.3k with 4); an insert 16.1k against 15.3k.
# To write the calls of a turn in one go (PQsendPipelineSync, which psycopg does not wrap) gains
# nothing more: the server then begins later.
PACK: Final = 8
# Calls that may wait for a connection, for each kind.
QUEUE_LIMIT: Final = 10_000
# Seconds before the first and, doubling, the later attempts to connect again. One connection asks
# for all, and so can ask often: people wait no longer than this for a database that is back.
FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 0.5


class Lane:
    """
    The connections for one kind of statement, and the calls that wait for them.

    slow -- whether this is for the slow statements
    depth -- calls in flight on one connection, at most
    """

    def __init__(self, multiplexer: "Multiplexer", *, slow: bool, depth: int) -> None:
        self.connections: list[Connection] = []
        self.queue: deque[Call] = deque()
        self.other: Lane | None = None
        self.loop: asyncio.AbstractEventLoop
        self._multiplexer = multiplexer
        self._slow = slow
        self._depth = depth
        self._pack = min(PACK, depth)
        self._unflushed: list[Connection] = []
        # The connection that was idle and now gets the calls of this turn of the loop.
        self._current: Connection | None = None

    def submit(self, call: Call) -> None:
        """Sends the call, or puts it behind those that wait."""
        if not self.queue:
            connection = self._choose()
            if connection is not None:
                connection.send(call)
                return
        if len(self.queue) >= QUEUE_LIMIT:
            waiting = [other for other in self.queue if not other.future.done()]
            self.queue.clear()
            self.queue.extend(waiting)
            if len(waiting) >= QUEUE_LIMIT:
                call.future.set_exception(self._no_connection("Too many calls wait."))
                return
        call.queued_at = self.loop.time()
        self.queue.append(call)

    def _choose(self) -> Connection | None:
        """The connection with the fewest calls in flight, or None if none takes any more."""
        current = self._current
        if current is not None and current.packed < self._pack and not current.blocked:
            return current
        best = None
        least = self._depth
        for connection in self.connections:
            if not connection.blocked:
                load = len(connection.in_flight)
                if load < least:
                    best = connection
                    least = load
                    if not load:
                        self._current = connection
                        break
        return best

    def pump(self) -> None:
        """Sends what waits, as far as the connections take it."""
        queue = self.queue
        while queue:
            call = queue[0]
            if call.future.done():
                queue.popleft()
            elif self.other is not None and (call.statement.average > SLOW_ABOVE) is not self._slow:
                # It has become known as slow, or as quick, while it waited.
                queue.popleft()
                self.other.submit(call)
            else:
                connection = self._choose()
                if connection is None:
                    return
                queue.popleft()
                connection.send(call)

    def flush_later(self, connection: Connection) -> None:
        """Has the connection write at the end of this turn of the loop."""
        if not self._unflushed:
            self.loop.call_soon(self._flush)
        self._unflushed.append(connection)

    def _flush(self) -> None:
        self._current = None
        unflushed = self._unflushed
        self._unflushed = []
        for connection in unflushed:
            connection.flush()

    def repeat(self, call: Call) -> None:
        """Puts a call that was rolled back, or never sent, before those that wait."""
        call.queued_at = self.loop.time()
        self.queue.appendleft(call)

    def touched(self, lines: bytes) -> None:
        """Passes on what a committed call has touched."""
        self._multiplexer.on_touched(lines.decode())

    def lost(self, connection: Connection, reason: str) -> None:
        """Forgets a connection that broke and has another one made."""
        if connection is self._current:
            self._current = None
        self.connections.remove(connection)
        self._multiplexer.replace(self, reason)

    def expire(self, queued_before: float) -> None:
        """Refuses what has waited since before this time."""
        queue = self.queue
        while queue and (queue[0].future.done() or queue[0].queued_at <= queued_before):
            call = queue.popleft()
            if not call.future.done():
                call.future.set_exception(self._no_connection("All connections are busy."))

    def refuse_all(self) -> None:
        """Refuses everything that waits, since the multiplexer closes."""
        for call in self.queue:
            if not call.future.done():
                call.future.set_exception(_shutting_down())
        self.queue.clear()

    def _no_connection(self, reason: str) -> DatabaseUnavailable:
        if not self.connections:
            return DatabaseUnavailable(code="08001", message="The database cannot be reached.")
        # The code and the words of PostgREST, with the status of a timeout.
        return DatabaseUnavailable(
            code="PGRST003", message="Timed out acquiring connection.", details=reason, status=504
        )


async def _pause(seconds: float) -> None:
    # Not all servers in the same moment.
    await asyncio.sleep(seconds * random.uniform(0.75, 1.25))  # noqa: S311


def _shutting_down() -> DatabaseUnavailable:
    return DatabaseUnavailable(code="08003", message="The server is shutting down.")


class Multiplexer:
    """
    Runs statements, many at a time, over a few connections that are kept open.

    on_touched -- is called with the lines of roost.touched, one for each topic or session, of each
                  call that has committed, even when its caller has gone
    calls -- calls made so far
    reconnects -- connections replaced so far
    """

    def __init__(
        self,
        conninfo: str,
        *,
        connections: int,
        slow_connections: int,
        depth: int,
        connect_timeout: float,
        statement_timeout_ms: int,
        queue_timeout: float = 10.0,
        role: str | None = "roost_gateway",
    ) -> None:
        """
        conninfo -- libpq connection string or URL; "" is libpq's environment
        connections -- for quick statements, with up to `depth` calls in flight on each
        slow_connections -- for slow statements, one call on each; with 0 they share the others
        connect_timeout -- seconds for each address of the server
        statement_timeout_ms -- for each statement of a call, kept by the server; 0 is none
        queue_timeout -- seconds that a call waits for a connection
        role -- what each connection acts as between calls; None is the role it logs in as
        """
        options = (
            "-c roost.gateway=on -c roost.hands_over=on -c timezone=UTC"
            f" -c statement_timeout={statement_timeout_ms}"
        )
        if role is not None:
            escaped = role.replace("\\", "\\\\").replace(" ", "\\ ")
            options = f"-c role={escaped} {options}"
        self._conninfo = connection_string(conninfo, options, connect_timeout)
        self._queue_timeout = queue_timeout
        self._quick = Lane(self, slow=False, depth=depth)
        self._slow = Lane(self, slow=True, depth=1)
        self._sizes = ((self._quick, connections), (self._slow, slow_connections))
        if slow_connections:
            self._quick.other = self._slow
            self._slow.other = self._quick
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._asking = asyncio.Lock()
        self._closing = False
        self._closed = False
        self._drained: asyncio.Future[None] | None = None
        self.on_touched: Callable[[str], None] = lambda _lines: None
        self.calls = 0
        self.reconnects = 0

    @property
    def in_flight(self) -> int:
        """Calls sent and not answered."""
        return sum(
            len(connection.in_flight) for lane, _ in self._sizes for connection in lane.connections
        )

    @property
    def connected(self) -> int:
        """Connections that are open."""
        return sum(len(lane.connections) for lane, _ in self._sizes)

    @property
    def queued(self) -> int:
        """Calls waiting for a connection, abandoned ones included."""
        return len(self._quick.queue) + len(self._slow.queue)

    async def open(self) -> None:
        """Makes all connections. Raises DatabaseUnavailable, with none of them left open."""
        self._loop = asyncio.get_running_loop()
        for lane, _ in self._sizes:
            lane.loop = self._loop
        outcomes = await asyncio.gather(
            *(self._connect(lane) for lane, size in self._sizes for _ in range(size)),
            return_exceptions=True,
        )
        failures = [outcome for outcome in outcomes if outcome is not None]
        if failures:
            await self._disconnect()
            for failure in failures:
                if not isinstance(failure, psycopg.Error):
                    raise failure
            raise DatabaseUnavailable(
                code="08001",
                message=" ".join(str(failures[0]).split()),
                hint="Look whether the server runs and DATABASE_URL is right.",
            ) from None

    def call(
        self,
        statement: Statement,
        parameters: Sequence[bytes | None],
        identity: Identity | None,
    ) -> asyncio.Future[Rows]:
        """
        Runs a statement in a transaction of its own; the future has its rows once it is committed.

        parameters -- values for $1, $2, ... as text, NULL as None
        identity -- on whose behalf: begin_call goes first; None runs it as the gateway itself
        Cancelling the future abandons the call: it is not sent any more, or is cancelled on the
        server.
        Raises DatabaseError when the server refuses it, DatabaseUnavailable when there is no
        connection for it within the time, or it broke (08006: the outcome is unknown).
        """
        if self._closing:
            raise _shutting_down()
        for parameter in parameters:
            # libpq takes text up to the first zero byte; it would cut the value off in silence.
            if parameter is not None and b"\0" in parameter:
                raise DatabaseError(
                    sqlstate="22021", message='invalid byte sequence for encoding "UTF8": 0x00'
                )
        future: asyncio.Future[Rows] = self._loop.create_future()
        self.calls += 1
        lane = self._quick
        if statement.average > SLOW_ABOVE and lane.other is not None:
            lane = lane.other
        lane.submit(Call(future, statement, parameters, identity))
        if self._timer is None:
            self._timer = self._loop.call_later(WATCH_INTERVAL, self._watch)
        return future

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109
        """
        Takes no more calls, finishes those it has, and closes the connections.

        timeout -- seconds; what is not finished by then is cancelled
        """
        self._closing = True
        if self.in_flight or self.queued:
            self._drained = self._loop.create_future()
            # What does not end in time is dealt with below.
            await asyncio.wait([self._drained], timeout=timeout)
        await self._disconnect()

    async def _disconnect(self) -> None:
        self._closing = self._closed = True
        for task in self._reconnecting:
            task.cancel()
        await asyncio.gather(*self._reconnecting, return_exceptions=True)
        for lane, _ in self._sizes:
            lane.refuse_all()
        await asyncio.gather(
            *(connection.end() for lane, _ in self._sizes for connection in lane.connections)
        )
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- for the lanes ---------------------------------------------------------------------------

    def replace(self, lane: Lane, reason: str) -> None:
        """Makes another connection, in the background, until it succeeds."""
        if self._closed:
            return
        if not self._reconnecting:
            logger.warning("lost a connection to the database: %s", reason)
        task = self._loop.create_task(self._reconnect(lane))
        self._reconnecting.add(task)
        task.add_done_callback(self._reconnecting.discard)

    # --- inside ----------------------------------------------------------------------------------

    async def _connect(self, lane: Lane) -> None:
        link = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        lane.connections.append(Connection(link, lane))
        lane.pump()

    async def _reconnect(self, lane: Lane) -> None:
        await _pause(FIRST_DELAY)
        delay = FIRST_DELAY
        # All connections break at once when the server restarts. One asks whether it is back; the
        # others follow it one by one.
        async with self._asking:
            while True:
                try:
                    await self._connect(lane)
                except psycopg.Error as error:
                    logger.debug("cannot connect to the database: %s", error)
                else:
                    break
                await _pause(delay)
                delay = min(delay * 2, LONGEST_DELAY)
        self.reconnects += 1
        if len(self._reconnecting) == 1:
            logger.info("all connections to the database are back")

    def _watch(self) -> None:
        """Looks after what runs and what waits; rests while there is nothing."""
        now = self._loop.time()
        for lane, _ in self._sizes:
            for connection in tuple(lane.connections):
                if connection.in_flight:
                    connection.watch(now)
            lane.expire(now - self._queue_timeout)
        if self.in_flight or self.queued:
            self._timer = self._loop.call_later(WATCH_INTERVAL, self._watch)
        else:
            self._timer = None
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(None)
