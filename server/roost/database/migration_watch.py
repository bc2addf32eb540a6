"""Watches a migration at work: says how far it is, and who holds the lock that it waits for."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self

import psycopg

from roost.database.migration_files import MigrationError
from roost.database.migration_session import error_line, open_session

# What is over sooner is not worth a connection, nor a line.
FIRST_LOOK: Final = 0.3
FIRST_REPORT: Final = 5.0
REPORT_EVERY: Final = 10.0


class Timeouts(NamedTuple):
    """
    Of one statement of a migration, in ms; 0 is no limit. A statement outside a transaction builds
    an index beside the work of others, and has none.
    """

    lock_ms: int = 5_000
    """How long it may wait for a lock. Whoever wants the table meanwhile waits behind it."""
    statement_ms: int = 600_000


class Watch:
    """
    A context around what one server process does. Looks from another thread and another connection,
    the first time when it has taken a moment.
    """

    def __init__(
        self,
        conninfo: str,
        pid: int,
        what: str,
        timeouts: Timeouts,
        on_progress: Callable[[str], None],
    ) -> None:
        self._conninfo = conninfo
        self._pid = pid
        self._what = what
        self._timeouts = timeouts
        self._on_progress = on_progress
        self._over = threading.Event()
        self._waits_for = ""
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"watch {what}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def next_statement(self) -> None:
        """To be told before each statement: what it takes counts from here."""
        self._begun = time.monotonic()

    def failure(self, place: str, error: psycopg.Error) -> MigrationError:
        """What to tell about an error of the process that is watched. place -- file and line"""
        message = f"{place} failed: {error_line(error)}"
        if isinstance(error, psycopg.errors.LockNotAvailable):
            holder = self._waits_for or "by somebody who has released it meanwhile"
            return MigrationError(
                f"{place} failed: it could not have a lock within {self._timeouts.lock_ms} ms,"
                f" held {holder}. End that transaction, or raise ROOST_MIGRATION_LOCK_TIMEOUT_MS,"
                " and migrate again"
            )
        took = (time.monotonic() - self._begun) * 1000
        limit = self._timeouts.statement_ms or float("inf")
        # The message is in the server's language, and an administrator may cancel too.
        if isinstance(error, psycopg.errors.QueryCanceled) and took >= limit:
            return MigrationError(
                f"{place} failed: it took longer than {self._timeouts.statement_ms} ms. Raise"
                " ROOST_MIGRATION_STATEMENT_TIMEOUT_MS, and migrate again"
            )
        if error.diag.sqlstate is None or error.diag.sqlstate.startswith("57P"):
            return MigrationError(
                f"{place} was broken off: {error_line(error)}. Migrate again: it goes on by itself"
            )
        return MigrationError(message)

    def _run(self) -> None:
        first = FIRST_LOOK
        if self._timeouts.lock_ms:
            first = min(first, self._timeouts.lock_ms / 4_000)
        if self._over.wait(first):
            return
        begun = time.monotonic() - first
        report_at = begun + FIRST_REPORT
        try:
            with open_session(self._conninfo, "roost watch") as connection:
                while not self._over.wait(first):
                    self._waits_for, progress = self._look(connection)
                    if time.monotonic() >= report_at:
                        report_at += REPORT_EVERY
                        seconds = round(time.monotonic() - begun)
                        waits = f"waits for a lock held {self._waits_for}"
                        now = waits if self._waits_for else progress
                        self._on_progress(
                            f"{self._what} has run for {seconds} s" + (f": {now}" if now else "")
                        )
        except psycopg.Error as error:
            self._on_progress(f"{self._what} cannot be watched: {error_line(error)}")

    def _look(self, connection: psycopg.Connection) -> tuple[str, str]:
        blockers = [text for (text,) in connection.execute(_BLOCKERS, [self._pid])]
        progress = [text for (text,) in connection.execute(_PROGRESS, [self._pid])]
        return "; ".join(blockers), "; ".join(progress)


# Not the holder's statement, which may have secrets in it. Of other people's sessions a role
# without pg_read_all_stats sees no more than the process and the role.
_BLOCKERS: Final = """
    SELECT format(
        'on %%s by server process %%s (%%s)',
        coalesce(
            (
                SELECT concat_ws(' ', wanted.locktype, wanted.relation::regclass)
                FROM pg_catalog.pg_locks AS wanted
                WHERE wanted.pid = waiting.pid AND NOT wanted.granted
                LIMIT 1
            ),
            'something'
        ),
        holder.pid,
        concat_ws(
            ', ',
            'role ' || coalesce(activity.usename, 'unknown'),
            nullif(activity.application_name, ''),
            activity.client_addr::text,
            activity.state || to_char(
                activity.state_change AT TIME ZONE 'UTC', '" since "HH24:MI:SS" UTC"'
            )
        )
    )
    FROM (VALUES (%s::integer)) AS waiting (pid)
    CROSS JOIN LATERAL (
        SELECT DISTINCT unnest(pg_catalog.pg_blocking_pids(waiting.pid))
    ) AS holder (pid)
    LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = holder.pid
    ORDER BY holder.pid
    LIMIT 5
"""

_PROGRESS: Final = """
    SELECT concat(
        progress.command, ' ', progress.index_relid::regclass, ' is ', progress.phase,
        ', block ' || progress.blocks_done || ' of ' || nullif(progress.blocks_total, 0),
        ', tuple ' || progress.tuples_done || ' of ' || nullif(progress.tuples_total, 0),
        ', transaction ' || progress.lockers_done || ' of ' || nullif(progress.lockers_total, 0)
    )
    FROM pg_catalog.pg_stat_progress_create_index AS progress
    WHERE progress.pid = %s
"""
