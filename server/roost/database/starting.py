"""A server that is there and takes no connections yet, as during crash recovery, is waited for."""

import time
from collections.abc import Callable
from typing import Final

from psycopg import pq
from psycopg.conninfo import make_conninfo

# For each address: whoever connects next waits as long as was asked for.
PATIENCE_SECONDS: Final = 2
PAUSE_SECONDS: Final = 0.1
# Between two lines that say so, as for an embedded server.
SAY_SECONDS: Final = 10.0


def wait_while_starting(conninfo: str, announce: Callable[[str], None]) -> None:
    """Waits as long as the server says that it is starting, or shutting down. One that does not
    answer is not waited for: whoever connects next is told so.

    Whoever ended instead would be started again and again, until the supervisor gives up.

    announce -- is told at once, and then every ten seconds
    """
    asked = make_conninfo(conninfo, connect_timeout=PATIENCE_SECONDS).encode()
    say_at = time.monotonic()
    while pq.PGconn.ping(asked) == pq.Ping.REJECT:
        if time.monotonic() >= say_at:
            say_at = time.monotonic() + SAY_SECONDS
            announce("Waiting for PostgreSQL, which is starting")
        time.sleep(PAUSE_SECONDS)
