"""For tests in which one session has to wait for another."""

from typing import Any

import psycopg


async def wait_for_lock(observer: psycopg.AsyncConnection[Any], pid: int) -> None:
    """Returns once the backend waits for a lock."""
    query = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
    while True:
        cursor = await observer.execute(query, [pid])
        if await cursor.fetchone() == ("Lock",):
            return
