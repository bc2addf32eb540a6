"""
yoyo, through its Python API, with its sharp edges covered.

yoyo keeps what it has applied in tables of its own, here in schema `yoyo`. Left to itself it marks
a migration as applied in another transaction than the one that applied it, prints the rows of every
SELECT, does not say in which line an error is, and on an error outside a transaction undoes what it
has not done.
"""

import contextlib
import getpass
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from yoyo import default_migration_table
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.exceptions import LockTimeout
from yoyo.migrations import Migration as YoyoMigration

from roost.database import migration_records
from roost.database.migration_files import Migration, MigrationError, Statement
from roost.database.migration_session import (
    YOYO,
    error_line,
    open_session,
    pin_settings,
    wait_for_yoyo,
)
from roost.database.migration_watch import Timeouts, Watch

BOOKKEEPING_COMMENT: Final = "What yoyo has applied. Made by Roost."


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    def init_connection(self, connection: Any) -> None:
        super().init_connection(connection)
        pin_settings(connection)

    def _delete_lock_row(self, pid: int) -> None:
        """As yoyo's, but on a connection that is lost; the next run clears the lock then."""
        if not self.connection.closed:
            super()._delete_lock_row(pid)

    def mark_one(self, migration: Any, log: bool = True) -> None:  # yoyo's
        """As yoyo's, but by the server's clock: hosts that deploy may disagree about the time."""
        self.execute(
            self.format_sql(self.mark_migration_sql),
            {
                "migration_hash": migration.hash,
                "migration_id": migration.id,
                "when": self._server_time(),
            },
        )
        if log:
            self.log_migration(migration, "mark")

    def _server_time(self) -> datetime:
        row = self.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'").fetchone()
        now: datetime = row[0]
        return now

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        """As yoyo's, which waits for DNS and fails for a user id that has no name (containers)."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = f"uid {os.geteuid()}"
        return {
            "id": str(uuid.uuid1()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": user,
            "hostname": socket.gethostname(),
            "created_at_utc": self._server_time(),
            "operation": operation,
        }


class SchemaRunner:
    """
    Applies and undoes versioned migrations in one database. To be entered by who holds the lock
    against other runners and has seen that no yoyo is at work: a row in yoyo's lock table is then
    what a killed one left.
    """

    def __init__(
        self, conninfo: str, timeouts: Timeouts, on_progress: Callable[[str], None]
    ) -> None:
        self._conninfo = conninfo
        self._timeouts = timeouts
        self._on_progress = on_progress
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._make_schema()
        uri = DatabaseURI(
            scheme="postgresql+psycopg",
            username=None,
            password=None,
            hostname=None,
            port=None,
            database=None,
            args={
                **conninfo_to_dict(self._conninfo),
                "application_name": YOYO,
                "client_encoding": "utf8",
                "schema": "yoyo",
            },
        )
        with contextlib.ExitStack() as resources:
            self._backend = resources.enter_context(_Backend(uri, default_migration_table))
            with open_session(self._conninfo, "roost migrate") as connection:
                wait_for_yoyo(
                    connection, self._on_progress, self._backend.connection.info.backend_pid
                )
            if not _has_lock_table(self._backend):
                self._backend.create_lock_table()
            if self._backend.execute("SELECT pid FROM yoyo.yoyo_lock").fetchone():
                self._on_progress("Clearing the lock of a migration that was killed")
                self._backend.break_lock()
            try:
                resources.enter_context(self._backend.lock())
            except LockTimeout as error:
                raise MigrationError(f"yoyo is at work in this database: {error}") from error
            self._backend.ensure_internal_schema_updated()
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        # What ended the connection has been told; the row that it leaves, the next run clears.
        with (
            contextlib.suppress(psycopg.OperationalError) if error[0] else contextlib.nullcontext()
        ):
            self._resources.close()

    def apply(self, migration: Migration, records: Mapping[str, str]) -> None:
        """
        Applies and marks a migration: in one transaction, where it allows that. records -- SHA-256
        by id of what is applied with it. Raises MigrationError.
        """
        self._run("apply", migration, migration.statements, records, "Applied")

    def roll_back(self, migration: Migration, records: Mapping[str, str]) -> None:
        """Undoes and unmarks likewise. records -- of what is applied without it"""
        self._run("rollback", migration, migration.rollback_statements, records, "Rolled back")

    def mark(self, ids: Sequence[str], seen: Sequence[str] = ()) -> None:
        """
        Marks migrations as applied that another tool has applied, in one transaction. seen -- those
        to note in the log alone
        """
        with self._backend.transaction():
            for name in ids:
                self._backend.mark_one(_yoyo_migration(name))
            for name in seen:
                self._backend.log_migration(_yoyo_migration(name), "mark")

    def _run(
        self,
        operation: str,
        migration: Migration,
        statements: Sequence[Statement],
        records: Mapping[str, str],
        done: str,
    ) -> None:
        begun = time.monotonic()
        file = migration.id + (".sql" if operation == "apply" else ".rollback.sql")
        with _lost(file), self._backend.copy() as backend:
            _limit(backend, self._timeouts if migration.transactional else Timeouts(0, 0))
            backend.connection.add_notice_handler(
                lambda notice: self._on_progress(f"{file}: {_notice_line(notice)}")
            )
            pid = backend.connection.info.backend_pid
            watch = Watch(self._conninfo, pid, file, self._timeouts, self._on_progress)
            transaction: Callable[[], AbstractContextManager[None]] = backend.transaction
            if not migration.transactional:
                # The one statement cannot do that itself, and a member need not inherit.
                backend.execute("SET ROLE roost_owner")
                backend.execute("SET search_path = pg_catalog, pg_temp")
            with watch, transaction() if migration.transactional else contextlib.nullcontext():
                for statement in statements:
                    watch.next_statement()
                    if not migration.transactional:
                        self._drop_leftover(backend, statement)
                    _execute(backend, f"db/schema/{file}", statement, watch)
                with contextlib.nullcontext() if migration.transactional else transaction():
                    _record(backend, operation, migration, records)
        self._on_progress(f"{done} {migration.id} in {duration(time.monotonic() - begun)}")

    def _drop_leftover(self, backend: _Backend, statement: Statement) -> None:
        """
        An index that is to be built and is there was left by a run that was cut short: it may be
        invalid, and nothing has recorded it.
        """
        match = _CREATE_INDEX.match(statement.text)
        if match is None:
            return
        table = backend.execute(
            "SELECT i.indrelid = to_regclass(:table) FROM pg_class AS c"
            " LEFT JOIN pg_index AS i ON i.indexrelid = c.oid WHERE c.oid = to_regclass(:name)",
            {
                "table": f"{match['schema']}.{match['table']}",
                "name": f"{match['schema']}.{match['name']}",
            },
        ).fetchone()
        if table == (True,):
            self._on_progress(f"Dropping {match['name']}, which a run that was cut short has left")
            backend.connection.execute(
                sql.SQL("DROP INDEX CONCURRENTLY {}").format(
                    sql.Identifier(match["schema"], match["name"])
                )
            )
        elif table is not None:
            raise MigrationError(
                f"{match['schema']}.{match['name']} is there and not of Roost: rename it, and"
                " migrate again"
            )

    def _make_schema(self) -> None:
        with open_session(self._conninfo, "roost migrate") as connection:
            if connection.execute("SELECT to_regnamespace('yoyo')").fetchone() != (None,):
                self._refuse_foreign_schema(connection)
                return
            try:
                with connection.transaction():
                    connection.execute("CREATE SCHEMA yoyo")
                    # Whatever this database gives away by default.
                    connection.execute("REVOKE ALL ON SCHEMA yoyo FROM PUBLIC")
                    connection.execute(
                        sql.SQL("COMMENT ON SCHEMA yoyo IS {}").format(BOOKKEEPING_COMMENT)
                    )
            except psycopg.errors.InsufficientPrivilege as error:
                raise MigrationError(
                    f"the role {connection.info.user} may not make schemas in this database: GRANT"
                    f" CREATE ON DATABASE {connection.info.dbname} TO {connection.info.user}"
                ) from error

    def _refuse_foreign_schema(self, connection: psycopg.Connection[Any]) -> None:
        """Who owns a table has triggers on it run by whoever writes to it."""
        owners = [
            role
            for (role,) in connection.execute(
                """
                SELECT DISTINCT pg_get_userbyid(owned.owner)::text
                FROM (
                    SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'yoyo'
                    UNION ALL
                    SELECT c.relowner FROM pg_class AS c
                    WHERE c.relnamespace = to_regnamespace('yoyo')
                ) AS owned (owner)
                JOIN pg_roles AS role ON role.oid = owned.owner
                CROSS JOIN pg_database AS database
                WHERE database.datname = current_database() AND NOT (
                    role.rolsuper
                    OR role.rolname = current_user
                    OR role.oid = database.datdba
                    OR coalesce(
                        pg_has_role(role.oid, to_regrole('roost_owner')::oid, 'MEMBER'), false
                    )
                )
                """
            )
        ]
        if owners:
            raise MigrationError(
                f"the schema yoyo, or what is in it, belongs to {owners[0]}: let an owner of Roost"
                " own it (ALTER SCHEMA yoyo OWNER TO, ALTER TABLE yoyo... OWNER TO), or drop it"
                " where it is not in use"
            )


def duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _execute(backend: _Backend, file: str, statement: Statement, watch: Watch) -> None:
    try:
        backend.connection.execute(statement.text.encode(), prepare=False)
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = statement.line
        if position:
            line += statement.text.count("\n", 0, int(position) - 1)
        raise watch.failure(f"{file}:{line}", error) from error


def _record(
    backend: _Backend, operation: str, migration: Migration, records: Mapping[str, str]
) -> None:
    # The migration may have changed both for the rest of its transaction.
    backend.execute("RESET ROLE")
    migration_records.write_schema(backend.connection, records)
    backend.execute("SET LOCAL search_path = yoyo")
    marked = _yoyo_migration(migration.id)
    backend.log_migration(marked, operation)
    if operation == "apply":
        backend.mark_one(marked, log=False)
    else:
        backend.unmark_one(marked, log=False)


def _yoyo_migration(name: str) -> Any:
    return YoyoMigration(name, f"{name}.sql", "")


def _limit(backend: _Backend, timeouts: Timeouts) -> None:
    backend.execute(f"SET lock_timeout = {timeouts.lock_ms:d}")
    backend.execute(f"SET statement_timeout = {timeouts.statement_ms:d}")


def _has_lock_table(backend: _Backend) -> bool:
    found: tuple[object] = backend.execute("SELECT to_regclass('yoyo.yoyo_lock')").fetchone()
    return found[0] is not None


@contextlib.contextmanager
def _lost(file: str) -> Iterator[None]:
    """Names the migration at whose beginning or end the connection was lost."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise MigrationError(
            f"db/schema/{file} was broken off: {' '.join(str(error).split())}. Migrate again: it"
            " goes on by itself"
        ) from error
    except psycopg.Error as error:
        raise MigrationError(f"db/schema/{file} failed at its end: {error_line(error)}") from error


def _notice_line(notice: psycopg.errors.Diagnostic) -> str:
    parts = (notice.message_primary, notice.message_detail)
    line = ": ".join(" ".join(part.split()).rstrip(".") for part in parts if part)
    return line if len(line) <= 200 else f"{line[:200]}..."


_CREATE_INDEX: Final = re.compile(
    r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\w+)\s+ON\s+"
    r"(?:ONLY\s+)?(?P<schema>\w+)\.(?P<table>\w+)",
    re.IGNORECASE,
)
