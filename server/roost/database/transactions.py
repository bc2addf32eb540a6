"""
Transactions that carry bytes: few at a time, each some MiB, sent and received as they are.

Beside the multiplexer, whose parameters and answers are text: as hexadecimal digits the same bytes
take twice the way and have to be made and read at both ends. Measured over a local socket, 2 MiB at
a time: 1 GiB of inserts 96 MB/s against 61 MB/s.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row

from roost.database.connection import Identity, connection_string
from roost.errors import DatabaseError, DatabaseUnavailable

# A transaction that another one got in the way of was rolled back whole, so that it can be run
# again.
RETRIED: Final = frozenset({"40001", "40P01", "55P03"})
ATTEMPTS: Final = 4
RETRY_SECONDS: Final = 0.02

# The same as the multiplexer's.
BEGIN_CALL: Final = (
    b"SELECT pg_catalog.set_config('role', roost.begin_call(%s::text, %s::uuid), true)"
)
BEGIN_LINK: Final = b"SELECT pg_catalog.set_config('role', roost.begin_link(%s::uuid), true)"
TOUCHED: Final = b"SELECT pg_catalog.current_setting('roost.touched', true) AS touched"

Row = dict[str, Any]


class LinkIdentity(NamedTuple):
    """Whoever brings a signed link, in the name of who made it."""

    user_id: str


class Step(NamedTuple):
    """One statement of a transaction, with its values."""

    sql: bytes
    values: Sequence[Any]


class Transactions:
    """
    Runs transactions in somebody's name on connections that are made when they are needed.

    on_touched -- is called with the lines of roost.touched of each transaction that has committed
    """

    def __init__(
        self,
        conninfo: str,
        *,
        connections: int,
        connect_timeout: float,
        statement_timeout_ms: int,
        queue_timeout: float = 10.0,
    ) -> None:
        """
        conninfo -- libpq connection string or URL; "" is libpq's environment
        connections -- at most
        connect_timeout -- seconds for each address of the server
        statement_timeout_ms -- for each statement, kept by the server; 0 is none
        queue_timeout -- seconds that a transaction waits for a connection
        """
        self._conninfo = connection_string(
            conninfo,
            "-c role=roost_gateway -c roost.gateway=on -c roost.hands_over=on -c timezone=UTC"
            f" -c statement_timeout={statement_timeout_ms}",
            connect_timeout,
        )
        self._queue_timeout = queue_timeout
        self._free = asyncio.Semaphore(connections)
        self._idle: list[psycopg.AsyncConnection[Row]] = []
        self._closed = False
        self.on_touched: Callable[[str], None] = lambda _lines: None

    async def run(self, identity: Identity | LinkIdentity, *steps: Step) -> list[Row]:
        """
        Runs statements in one transaction, and answers the first row of each once it is committed.

        Raises DatabaseError when the server refuses one, DatabaseUnavailable when there is no
        connection for them within the time, or it broke (08006: the outcome is unknown).
        """
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._run(identity, steps)
            except DatabaseError as error:
                if error.code not in RETRIED:
                    raise
            await asyncio.sleep(random.uniform(0.5, 1.5) * attempt * RETRY_SECONDS)  # noqa: S311
        return await self._run(identity, steps)

    async def close(self) -> None:
        """Closes the connections that nobody uses; the others close when they are given back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _run(self, identity: Identity | LinkIdentity, steps: Sequence[Step]) -> list[Row]:
        rows: list[Row] = []
        async with self._connection() as connection:
            try:
                async with connection.transaction(), connection.cursor(binary=True) as cursor:
                    if isinstance(identity, LinkIdentity):
                        await cursor.execute(BEGIN_LINK, [identity.user_id])
                    else:
                        session_id = identity.session_id
                        await cursor.execute(
                            BEGIN_CALL,
                            [identity.role.decode(), session_id and session_id.decode()],
                        )
                    for step in steps:
                        await cursor.execute(step.sql, step.values)
                        rows.append(await cursor.fetchone() or {})
                    await cursor.execute(TOUCHED)
                    touched = (await cursor.fetchone() or {})["touched"]
            except psycopg.Error as error:
                raise _translated(error) from None
            except ValueError as error:
                # Text with a zero byte, which no statement can carry.
                raise DatabaseError(sqlstate="22021", message=str(error)) from None
        if touched:
            self.on_touched(touched)
        return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        if self._is_closed():
            raise DatabaseUnavailable(code="08003", message="The server is shutting down.")
        try:
            await asyncio.wait_for(self._free.acquire(), self._queue_timeout)
        except TimeoutError:
            raise DatabaseUnavailable(
                code="PGRST003",
                message="Timed out acquiring connection.",
                details="All connections for files are busy.",
                status=504,
            ) from None
        try:
            connection = await self._take()
            try:
                yield connection
            finally:
                # One in the middle of something, as when its task was cancelled, is not used again.
                if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                    self._idle.append(connection)
                else:
                    await connection.close()
                if self._is_closed():
                    await self.close()
        finally:
            self._free.release()

    def _is_closed(self) -> bool:
        return self._closed

    async def _take(self) -> psycopg.AsyncConnection[Row]:
        while self._idle:
            connection = self._idle.pop()
            if _is_alive(connection):
                return connection
            await connection.close()
        try:
            return await psycopg.AsyncConnection.connect(
                self._conninfo, autocommit=True, row_factory=dict_row
            )
        except psycopg.OperationalError:
            raise DatabaseUnavailable(
                code="08001", message="The database cannot be reached."
            ) from None


def _is_alive(connection: psycopg.AsyncConnection[Row]) -> bool:
    """Whether a connection that lay idle is still there: what the server has said is read."""
    try:
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return not connection.closed


def _translated(error: psycopg.Error) -> DatabaseError | DatabaseUnavailable:
    said = error.diag
    # Without an SQLSTATE it was not the server that spoke. Class 57P: it ends, and the session.
    if said.sqlstate is None or said.sqlstate.startswith("57P"):
        return DatabaseUnavailable(
            code="08006",
            message="The connection to the database broke during the call.",
            details="The call had been sent; whether it took effect is unknown.",
            hint="Look whether it took effect before you repeat it.",
        )
    return DatabaseError(
        sqlstate=said.sqlstate,
        message=said.message_primary or "",
        details=said.message_detail,
        hint=said.message_hint,
        constraint=said.constraint_name,
    )
