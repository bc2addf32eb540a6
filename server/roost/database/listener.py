"""A connection that only listens: hands on notifications (NOTIFY) as they come, for ever."""

import asyncio
import logging
import os
import random
import select
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from roost.database.connection import connection_string

logger = logging.getLogger(__name__)

# Seconds before the first and, doubling, the later attempts to connect again.
FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 0.5


class Listener:
    """
    Listens on some channels, over a connection of its own that is made again whenever it breaks.

    Notifications sent while there is no connection are lost, as with every LISTEN; `on_connect`
    is the moment to read what they may have been about.
    """

    def __init__(
        self,
        conninfo: str,
        channels: Sequence[str],
        on_notify: Callable[[str, str], None],
        on_connect: Callable[[], None],
        *,
        connect_timeout: float = 10.0,
    ) -> None:
        """
        conninfo -- libpq connection string or URL; "" is libpq's environment
        channels -- names, as in NOTIFY
        on_notify -- is called with channel and payload ("" without one)
        on_connect -- is called each time a connection listens on all channels
        connect_timeout -- seconds for each address of the server
        """
        # Keepalives find out that a silent network is gone; a server that ends says so itself.
        self._conninfo = connection_string(conninfo, "", connect_timeout)
        self._channels = tuple(channels)
        self._on_notify = on_notify
        self._on_connect = on_connect
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to connect, in the background of the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._listen_for_ever())

    async def close(self) -> None:
        """Stops listening. Raises what ended the listener, if something unforeseen had."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def _listen_for_ever(self) -> None:
        delay = FIRST_DELAY
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    await self._listen(connection)
                    delay = FIRST_DELAY
                    await self._until_lost(connection)
            except psycopg.Error as error:
                # Once each time that it breaks, then quietly.
                level = logging.WARNING if delay == FIRST_DELAY else logging.DEBUG
                logger.log(level, "not listening to the database: %s", " ".join(str(error).split()))
            await asyncio.sleep(delay * random.uniform(0.75, 1.25))  # noqa: S311
            delay = min(delay * 2, LONGEST_DELAY)

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        # psycopg hands over what comes along with the answers to LISTEN.
        connection.add_notify_handler(
            lambda notify: self._on_notify(notify.channel, notify.payload)
        )
        for channel in self._channels:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._on_connect()

    async def _until_lost(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Reads notifications until the connection breaks: raises psycopg.OperationalError."""
        # psycopg's own notifies() wakes up ten times a second; a reader on the socket does not.
        loop = asyncio.get_running_loop()
        pgconn = connection.pgconn
        # libpq closes its descriptor when the connection breaks, and the number may at once belong
        # to somebody else; this one stays ours.
        socket = os.dup(pgconn.socket)
        lost: asyncio.Future[None] = loop.create_future()

        poll = select.poll()
        poll.register(socket, select.POLLIN)

        def read() -> None:
            try:
                pgconn.consume_input()
                # When a connection is reset, uvloop says so once and then never again, and what is
                # read at that moment may be what came before.
                while poll.poll(0):
                    pgconn.consume_input()
            except psycopg.OperationalError as error:
                loop.remove_reader(socket)
                if not lost.done():
                    lost.set_exception(error)
            while notification := pgconn.notifies():
                self._on_notify(notification.relname.decode(), notification.extra.decode())

        loop.add_reader(socket, read)
        try:
            # Some may have come with the last answer to LISTEN.
            read()
            await lost
        finally:
            loop.remove_reader(socket)
            os.close(socket)
