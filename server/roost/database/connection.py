"""
One connection in libpq's pipeline mode, shared by many calls.

    call()  -> [Close + Parse, where not prepared yet] Bind begin_call, Bind statement, Sync
    answers <-  results in the same order; the one for Sync says that the call is committed

What lies between two Syncs is one implicit transaction: a call takes effect whole or not at all,
and an error in it ends with its own Sync, so calls behind it know nothing of it.
(PostgreSQL's documentation, chapters "Pipeline Mode" and "Message Flow: Pipelining".)

This is a hot path: 7 microseconds of processor time a call, the kernel's part included, beside
some 28 for an HTTP request and its answer. No task, no lock, no timer and no clock is needed for a
call; one timer of the multiplexer, while anything runs, looks at all connections (`watch`).
"""

import asyncio
import hashlib
import os
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from roost.errors import DatabaseError, DatabaseUnavailable

# As plain integers: comparing with a member of an enumeration costs more than all else in the loop.
_PIPELINE_SYNC: Final = int(pq.ExecStatus.PIPELINE_SYNC)
_FATAL_ERROR: Final = int(pq.ExecStatus.FATAL_ERROR)
_STEP: Final = frozenset(
    int(status)
    for status in (
        pq.ExecStatus.TUPLES_OK,
        pq.ExecStatus.COMMAND_OK,
        pq.ExecStatus.EMPTY_QUERY,
        pq.ExecStatus.PIPELINE_ABORTED,
    )
)

_QUERY_CANCELED: Final = "57014"
_INVALID_STATEMENT_NAME: Final = "26000"

# Prepared statements kept a connection. Each costs the server some 10 to 100 KB.
PREPARED_LIMIT: Final = 256

# `watch` looks at what runs this often, so times here are known to this many seconds.
WATCH_INTERVAL: Final = 0.01
# Nothing is sent behind a call that has been running for so long.
STALE_AFTER: Final = 0.02
# Nothing is sent behind a statement that takes this long on average, nor behind one never seen
# before: sending ahead saves a round trip of some 0.1 ms, and would risk waiting for far longer.
ALONE_ABOVE: Final = 0.005
# Weight of a new measurement in the average: a statement that turns slow or quick is known as such
# after a handful of calls.
_WEIGHT: Final = 0.25
# A cancel request can get lost (see `_cancel`), so it is sent again after a pause that doubles.
_CANCEL_PAUSE: Final = 0.05
_LONGEST_CANCEL_PAUSE: Final = 1.0
_CANCEL_TIMEOUT: Final = 5.0

# Rows of text values, NULL as None.
Rows = list[list[bytes | None]]


class Statement:
    """
    An SQL statement that is prepared, once a connection, on first use.

    name -- made from the SQL, so that the same SQL is the same prepared statement
    touches -- whether the last column of its one row has the lines of roost.touched
    average -- seconds that it takes (moving average, kept by the connections); -1 is never run
    """

    __slots__ = ("average", "name", "sql", "touches")

    def __init__(self, sql: bytes, *, touches: bool = False) -> None:
        self.touches = touches
        self.name = b"r" + hashlib.sha256(sql).digest()[:16].hex().encode()
        self.sql = sql
        self.average = -1.0


class Identity(NamedTuple):
    """
    On whose behalf a call runs; these are the arguments of roost.begin_call.

    role -- b"anon", b"user" or b"service"
    session_id -- UUID of the session as text, for a user
    """

    role: bytes
    session_id: bytes | None


# set_config(..., true) holds until the end of the implicit transaction; then the connection is
# roost_gateway again, by itself.
BEGIN_CALL: Final = Statement(
    b"SELECT pg_catalog.set_config('role', roost.begin_call($1::text, $2::uuid), true)"
)


class Call:
    """
    A call on its way.

    prepared -- names of the statements that are prepared with this call for the first time
    repeated -- whether it has been run again because a prepared statement was gone
    queued_at -- time of the loop when it began to wait for a connection
    """

    __slots__ = (
        "future",
        "identity",
        "parameters",
        "prepared",
        "queued_at",
        "repeated",
        "statement",
    )

    def __init__(
        self,
        future: asyncio.Future[Rows],
        statement: Statement,
        parameters: Sequence[bytes | None],
        identity: Identity | None,
    ) -> None:
        self.future = future
        self.statement = statement
        self.parameters = parameters
        self.identity = identity
        self.prepared: list[bytes] | None = None
        self.repeated = False
        self.queued_at = 0.0


class Owner(Protocol):
    """What a connection tells the one that gives it calls."""

    def flush_later(self, connection: "Connection") -> None:
        """It has sent something; call its flush() at the end of this turn of the loop."""

    def repeat(self, call: Call) -> None:
        """The call has had no effect through no fault of its own: it is to run again."""

    def pump(self) -> None:
        """The connection may take more calls."""

    def touched(self, lines: bytes) -> None:
        """A call has committed that touched these topics and sessions."""

    def lost(self, connection: "Connection", reason: str) -> None:
        """The connection is closed; its calls have been answered."""


def connection_string(conninfo: str, options: str, connect_timeout: float) -> str:
    """
    A libpq connection string with what every connection of Roost has: its name, UTF-8, a bound on
    connecting, and keepalives, which end a connection to a machine that is gone within 20 seconds.

    options -- command-line options for the session, put behind those that are given in conninfo or,
               as in libpq, else in PGOPTIONS; the last one counts
    connect_timeout -- seconds for each address tried; at least 2
    Raises psycopg.ProgrammingError when conninfo is not a connection string.
    """
    given = conninfo_to_dict(conninfo)
    before = given.get("options") or os.environ.get("PGOPTIONS", "")
    defaults = {
        "connect_timeout": round(connect_timeout),
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    return make_conninfo(
        conninfo,
        application_name="roost",
        client_encoding="UTF8",
        options=f"{before} {options}".strip(),
        **{name: value for name, value in defaults.items() if name not in given},
    )


class Connection:
    """
    A connection and the calls that are in flight on it, oldest (the one that runs) first.

    blocked -- whether no further call may be sent now
    packed -- calls that were sent in this turn of the loop
    """

    __slots__ = (
        "_alone",
        "_cancel_at",
        "_cancel_pause",
        "_cancelling",
        "_error",
        "_exposed",
        "_link",
        "_loop",
        "_owner",
        "_pgconn",
        "_plan_is_stale",
        "_prepared",
        "_result",
        "_retiring",
        "_seen_at",
        "_seen_for",
        "_sent",
        "_socket",
        "_stale",
        "_writing",
        "blocked",
        "closed",
        "in_flight",
        "packed",
    )

    def __init__(self, link: psycopg.AsyncConnection[Any], owner: Owner) -> None:
        """Takes over a new connection. The running loop serves it from now on."""
        self._link = link
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._pgconn = pgconn = link.pgconn
        pgconn.nonblocking = 1
        pgconn.enter_pipeline_mode()
        # libpq closes its descriptor by itself when the connection breaks, perhaps in the middle of
        # sending; the number may at once belong to somebody else. So the loop watches another
        # descriptor of the same socket, which stays ours, and still tells of the end.
        self._socket = os.dup(pgconn.socket)

        self.in_flight: deque[Call] = deque()
        self.packed = 0
        self.closed = False
        self.blocked = False
        # What `blocked` is made of, see _settle(): something waits to be written, the newest call
        # is to be alone, the oldest runs for long, a cancel request is under way, or the connection
        # is to be replaced when it is empty.
        self._writing = False
        self._alone = False
        self._stale = False
        self._cancelling: asyncio.Task[None] | None = None
        self._retiring = False

        # Prepared statements with the number of the call that used each last.
        self._prepared: dict[bytes, int] = {}
        self._sent = 0
        # Of the oldest call: its last result, its first error.
        self._result: pq.abc.PGresult | None = None
        self._error: DatabaseError | None = None
        self._plan_is_stale = False
        # Of the oldest call: when `watch` first saw it run, and how much longer it is known to have
        # run since.
        self._seen_at = 0.0
        self._seen_for = 0.0
        # Calls, from the oldest, that a cancel request may have hit; and when the next request for
        # the oldest may be sent.
        self._exposed = 0
        self._cancel_at = 0.0
        self._cancel_pause = _CANCEL_PAUSE

        self._loop.add_reader(self._socket, self.read)

    # --- sending ---------------------------------------------------------------------------------

    def send(self, call: Call) -> None:
        """
        Sends a call.

        If the connection turns out to be broken, the call is handed back to the owner: without its
        Sync it cannot have been committed.
        """
        pgconn = self._pgconn
        statement = call.statement
        name = statement.name
        identity = call.identity
        self._sent += 1
        try:
            if identity is not None:
                if BEGIN_CALL.name not in self._prepared:
                    self._prepare(BEGIN_CALL, call)
                if name not in self._prepared:
                    self._prepare(statement, call)
                pgconn.send_query_prepared(BEGIN_CALL.name, identity)
            elif name not in self._prepared:
                self._prepare(statement, call)
            pgconn.send_query_prepared(name, call.parameters)
            # Writes to the socket, too.
            pgconn.pipeline_sync()
        except psycopg.OperationalError as error:
            self.lose(str(error))
            call.prepared = None
            self._owner.repeat(call)
            return
        except (TypeError, ValueError) as error:
            # A parameter that is not bytes. Half a call lies in the buffer: the next one must not
            # become its second half, after begin_call for somebody else.
            self.lose("a call could not be sent")
            call.future.set_exception(error)
            return
        if identity is not None:
            self._prepared[BEGIN_CALL.name] = self._sent
        self._prepared[name] = self._sent
        self.in_flight.append(call)
        if not 0.0 <= statement.average <= ALONE_ABOVE:
            self._alone = self.blocked = True
        if not self.packed:
            self._owner.flush_later(self)
        self.packed += 1

    def _prepare(self, statement: Statement, call: Call) -> None:
        prepared = self._prepared
        if len(prepared) >= PREPARED_LIMIT:
            oldest = min(prepared, key=prepared.__getitem__)
            del prepared[oldest]
            self._pgconn.send_close_prepared(oldest)
        # A name that was dropped here may still be known to the server: because the call that
        # prepared it failed later on, or since its plan is stale. Closing an unknown name is fine.
        self._pgconn.send_close_prepared(statement.name)
        self._pgconn.send_prepare(statement.name, statement.sql)
        prepared[statement.name] = self._sent
        if call.prepared is None:
            call.prepared = []
        call.prepared.append(statement.name)

    def flush(self) -> None:
        """Writes what the socket did not take at once, as far as it takes it now."""
        self.packed = 0
        if self.closed:
            return
        try:
            waiting = self._pgconn.flush() == 1
        except psycopg.OperationalError as error:
            self.lose(str(error))
            return
        if waiting is not self._writing:
            self._writing = waiting
            if waiting:
                self._loop.add_writer(self._socket, self.flush)
            else:
                self._loop.remove_writer(self._socket)
            self._settle()
            self._owner.pump()

    # --- receiving -------------------------------------------------------------------------------

    def read(self) -> None:
        """Takes what has arrived and answers the calls that are complete."""
        if self._take_in():
            # When a connection is reset, uvloop says so once and then never again, and what is read
            # at that moment may be what came before. So it looks twice (0.35 microseconds); while
            # calls are in flight `watch` does.
            if not self.in_flight and not self._take_in():
                return
            self._owner.pump()

    def _take_in(self) -> bool:
        """Reads what has arrived and answers what is complete. False when that was the end."""
        try:
            self._pgconn.consume_input()
        except psycopg.OperationalError as error:
            # Answers that came before the end of the connection still count.
            self._collect()
            self.lose(str(error))
        else:
            self._collect()
        return not self.closed

    def _collect(self) -> None:
        in_flight = self.in_flight
        pgconn = self._pgconn
        is_busy = pgconn.is_busy
        get_result = pgconn.get_result
        while in_flight and not is_busy():
            result = get_result()
            status = _FATAL_ERROR if result is None else result.status
            if status == _PIPELINE_SYNC:
                call = in_flight.popleft()
                if self._error is not None:
                    self._fail(call, self._error)
                elif self._result is not None:
                    self._succeed(call, self._result)
                self._result = None
                if self._seen_at:
                    self._seen_at = self._seen_for = self._cancel_at = 0.0
                    self._cancel_pause = _CANCEL_PAUSE
                if self._exposed:
                    self._exposed -= 1
                if self.blocked:
                    self._settle()
            elif status in _STEP:
                # The last one is the statement's. Each is followed by a None, at once.
                self._result = result
                get_result()
            elif status == _FATAL_ERROR and result is not None and self._note_error(result):
                get_result()
            else:
                # The server ended the connection, or something that can't be in a pipeline (COPY).
                self.lose(pgconn.get_error_message() if result is None else _message(result))
                return

    def _succeed(self, call: Call, result: pq.abc.PGresult) -> None:
        """Answers a call that has committed."""
        statement = call.statement
        if self._seen_at or statement.average:
            self._measure(statement)
        columns = range(result.nfields)
        get_value = result.get_value
        if statement.touches:
            # Whether or not somebody still waits for the answer: it has happened.
            lines = get_value(0, result.nfields - 1)
            if lines:
                self._owner.touched(lines)
        if not call.future.done():
            call.future.set_result(
                [[get_value(row, column) for column in columns] for row in range(result.ntuples)]
            )

    def _note_error(self, result: pq.abc.PGresult) -> bool:
        """Keeps the first error of the oldest call. False if the connection ends with it."""
        sqlstate = _field(result, pq.DiagnosticField.SQLSTATE)
        severity = _field(result, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        # An error without an SQLSTATE comes from libpq: the connection broke.
        if sqlstate is None or severity in ("FATAL", "PANIC"):
            return False
        if self._error is None:
            self._error = DatabaseError(
                sqlstate=sqlstate,
                message=_message(result),
                details=_field(result, pq.DiagnosticField.MESSAGE_DETAIL),
                hint=_field(result, pq.DiagnosticField.MESSAGE_HINT),
                constraint=_field(result, pq.DiagnosticField.CONSTRAINT_NAME),
            )
            # "cached plan must not change result type": the function was replaced since. Its
            # SQLSTATE is used for other things too, and the message may be in any language; drivers
            # go by the function that reports it.
            self._plan_is_stale = (
                sqlstate == "0A000"
                and _field(result, pq.DiagnosticField.SOURCE_FUNCTION) == "RevalidateCachedQuery"
            )
        return True

    def _fail(self, call: Call, error: DatabaseError) -> None:
        """Answers a call that failed, or has it run again if that was not its own fault."""
        statement = call.statement
        plan_is_stale = self._plan_is_stale
        self._error = None
        self._plan_is_stale = False
        if self._seen_for > max(statement.average, 0.0):
            # How quickly something fails says nothing of how long it takes; how slowly does.
            self._measure(statement)
        if call.prepared is not None:
            # Perhaps it got no further than to preparing, so nobody may rely on the names, nor be
            # sent behind the next call that prepares them.
            for name in call.prepared:
                self._prepared.pop(name, None)
            call.prepared = None
            if statement.average <= ALONE_ABOVE:
                statement.average = -1.0
        if call.future.done():
            return
        if error.sqlstate == _QUERY_CANCELED and self._exposed:
            # Perhaps hit by a cancel request that was meant for another, see _cancel().
            self._owner.repeat(call)
        elif not call.repeated and (plan_is_stale or error.sqlstate == _INVALID_STATEMENT_NAME):
            # The call relied on a statement whose preparation failed, or that has become invalid.
            # Nothing of it has happened; it is prepared anew, once.
            call.repeated = True
            self._prepared.pop(statement.name, None)
            self._prepared.pop(BEGIN_CALL.name, None)
            self._owner.repeat(call)
        else:
            call.future.set_exception(error)

    def _settle(self) -> None:
        """Finds out whether further calls may be sent, after one of the reasons has changed."""
        if not self.in_flight:
            # Nothing is sent behind a call that is to be alone, so it was the last.
            self._alone = False
        if not self._seen_at:
            self._stale = False
        if self._retiring and not self.in_flight:
            self.lose("a cancel request failed on this connection")
            return
        self.blocked = (
            self.closed
            or self._writing
            or self._alone
            or self._stale
            or self._retiring
            or self._cancelling is not None
        )

    # --- time ------------------------------------------------------------------------------------

    def watch(self, now: float) -> None:
        """
        Looks at the oldest call; to be called every WATCH_INTERVAL while calls are in flight.

        A call counts as running from when it was first seen until when it was last seen. The loop
        reads from the sockets between two looks, so calls do not look slow when only the loop
        lags, as they would by the clock.
        """
        if not self._seen_at:
            self._seen_at = now
            self._seen_for = 0.0
            return
        # libpq reads while it can't write, lest both sides wait for each other. What it has read
        # then does not make the socket readable again. Nor is the end of a connection always told
        # (`read`).
        if not self._take_in():
            return
        self._owner.pump()
        if not self._seen_at or self.closed:
            return
        self._seen_for = now - self._seen_at
        if self._seen_for >= STALE_AFTER and not self._stale:
            self._stale = self.blocked = True
        if (
            self.in_flight[0].future.done()
            and self._cancelling is None
            and not self._retiring
            and now >= self._cancel_at
        ):
            self._cancelling = self._loop.create_task(self._cancel())
            self._exposed = len(self.in_flight)
            self.blocked = True

    def _measure(self, statement: Statement) -> None:
        """Takes the oldest call, which has ended, into the average of its statement."""
        average = statement.average
        if average < 0:
            statement.average = self._seen_for
        else:
            average += (self._seen_for - average) * _WEIGHT
            # Quick statements end at 0, where there is nothing left to do for them.
            statement.average = average if average > 0.001 else 0.0

    # --- cancelling ------------------------------------------------------------------------------

    async def _cancel(self) -> None:
        """
        Asks the server to cancel what runs on this connection: the oldest call, which nobody waits
        for any more.

        The request names a connection, not a statement, and comes by another way, so it hits
        whatever runs when it arrives. What follows from that:

        * It may come late, and hit a call behind the one that it was meant for. All that are in
          flight now are exposed: if one fails with query_canceled it has been rolled back whole,
          and is run again. That may also happen to one that ran into the statement timeout at
          that moment; no harm is done, since it is no longer exposed the next time.
        * It must not hit calls that are sent later, which would not be known as exposed. So nothing
          is sent until the server has closed the connection of the request, which it does after
          it has sent the signal. A signal is delivered before the process can return from reading
          its next message, and a signal that finds the process between two messages is dropped.
        * For the same reason it may get lost, if it comes between begin_call and the statement. It
          is sent again after a pause if the call still runs.
        * If the request fails, it is unknown whether the signal will come, and when. The connection
          then takes no more calls, and is replaced when it is empty.

        A call that ends within WATCH_INTERVAL is not worth a cancel request (another connection, a
        process, and the calls behind it run again), so it is sent for those that `watch` saw only.
        """
        try:
            await self._link.cancel_safe(timeout=_CANCEL_TIMEOUT)
        except psycopg.Error:
            self._retiring = True
        finally:
            self._cancelling = None
        if self._seen_at:
            self._cancel_at = self._loop.time() + self._cancel_pause
            self._cancel_pause = min(self._cancel_pause * 2, _LONGEST_CANCEL_PAUSE)
        if not self.closed:
            self._settle()
            self._owner.pump()

    # --- the end ---------------------------------------------------------------------------------

    def lose(self, reason: str) -> None:
        """Closes the connection. Calls in flight fail."""
        if self.closed:
            return
        self.closed = self.blocked = True
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        os.close(self._socket)
        self._pgconn.finish()
        self._leave_unknown("The connection to the database broke during the call.")
        self.in_flight.clear()
        self._result = self._error = None
        self._owner.lost(self, " ".join(reason.split()))

    async def end(self) -> None:
        """Closes the connection for good; what still runs on it is cancelled on the server."""
        self._leave_unknown("The server is shutting down.")
        if self.in_flight and self._cancelling is None:
            self._cancelling = self._loop.create_task(self._cancel())
        if self._cancelling is not None:
            await self._cancelling
        self.lose("closed")

    def _leave_unknown(self, message: str) -> None:
        for call in self.in_flight:
            if not call.future.done():
                call.future.set_exception(
                    DatabaseUnavailable(
                        code="08006",
                        message=message,
                        details="The call had been sent; whether it took effect is unknown.",
                        hint="Look whether it took effect before you repeat it.",
                    )
                )


def _field(result: pq.abc.PGresult, field: pq.DiagnosticField) -> str | None:
    value = result.error_field(field)
    return None if value is None else value.decode(errors="replace")


def _message(result: pq.abc.PGresult) -> str:
    return _field(result, pq.DiagnosticField.MESSAGE_PRIMARY) or result.get_error_message()
