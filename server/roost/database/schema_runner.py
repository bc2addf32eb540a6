"""
yoyo, through its Python API, with its sharp edges covered.

yoyo keeps what it has applied in tables of its own, here in schema `yoyo`. Left to itself it marks
a migration as applied in another transaction than the one that applied it, prints the rows of every
SELECT, passes over migrations that it cannot load, and mixes up the objects of two readings.
"""

import contextlib
import getpass
import glob
import io
import os
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import default_migration_table, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.exceptions import BadMigration, LockTimeout

# Plain yoyo is asked to use the same name (in yoyo.ini), so that it can be seen at work.
APPLICATION_NAME = "yoyo"


class SchemaError(Exception):
    """A migration cannot be read, or fails. One line that names it."""


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    def apply_and_mark(self, migration: Any) -> None:
        """Applies a migration and marks it as applied, in one transaction where it allows that."""
        self.ensure_internal_schema_updated()
        with self.copy() as backend:
            if migration.use_transactions:
                with backend.transaction():
                    migration.process_steps(backend, "apply")
                    backend.mark_in_transaction(migration)
            else:
                migration.process_steps(backend, "apply")
                with backend.transaction():
                    backend.mark_in_transaction(migration)

    def mark_in_transaction(self, migration: Any) -> None:
        # A migration without a checksum tells roost.database.migrations that functions and triggers
        # are due. One that was rolled back and comes again has left its checksum behind.
        if self.has_table("roost", "migration_checksums"):
            self.execute("SET LOCAL ROLE roost_owner")
            self.execute(
                "DELETE FROM roost.migration_checksums WHERE id = :id", {"id": migration.id}
            )
        # The migration may have changed both for the rest of its transaction.
        self.execute("RESET ROLE")
        self.execute("SET LOCAL search_path = yoyo")
        self.log_migration(migration, "apply")
        self.mark_one(migration, log=False)

    def has_table(self, schema: str, table: str) -> bool:
        cursor = self.execute(
            "SELECT tablename FROM pg_catalog.pg_tables"
            " WHERE schemaname = :schema AND tablename = :table",
            {"schema": schema, "table": table},
        )
        return cursor.fetchone() is not None

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
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }


class SchemaRunner:
    """The versioned migrations of one folder and one database."""

    def __init__(self, conninfo: str, folder: Path) -> None:
        self._uri = DatabaseURI(
            scheme="postgresql+psycopg",
            username=None,
            password=None,
            hostname=None,
            port=None,
            database=None,
            args={
                **conninfo_to_dict(conninfo),
                "application_name": APPLICATION_NAME,
                "client_encoding": "utf8",
                "schema": "yoyo",
            },
        )
        self._migrations = _read(folder)

    def apply(self, on_progress: Callable[[str], None]) -> None:
        """
        Applies what is missing. The caller holds the lock against other runners and has seen that
        no yoyo is at work: a row in yoyo's lock table is then what a killed one left.

        Raises SchemaError.
        """
        with _Backend(self._uri, default_migration_table) as backend:
            if not backend.has_table("yoyo", "yoyo_lock"):
                backend.create_lock_table()
            if backend.execute("SELECT pid FROM yoyo.yoyo_lock").fetchone():
                on_progress("Clearing the lock of a migration that was killed")
                backend.break_lock()
            try:
                with backend.lock():
                    for migration in backend.to_apply(self._migrations):
                        _run(backend.apply_and_mark, migration)
                        on_progress(f"Applied {migration.id}")
            except LockTimeout as error:
                raise SchemaError(f"yoyo is at work in this database: {error}") from error


def _run(action: Callable[[Any], None], migration: Any) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            action(migration)
    except psycopg.Error as error:
        raise SchemaError(f"{migration.id} failed: {error_line(error)}") from error


def _read(folder: Path) -> Any:
    # yoyo takes a folder for a pattern.
    migrations = read_migrations(glob.escape(str(folder)))
    for migration in migrations:
        # Dependencies are looked up by name in a list that the next reading writes over.
        try:
            migration.load()
        except BadMigration as error:
            raise SchemaError(f"{migration.id} cannot be read: {error}") from error
    return migrations


def error_line(error: psycopg.Error) -> str:
    """What PostgreSQL says, in one line."""
    if error.diag.message_primary is None:
        return " ".join(str(error).split())
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.context)
    return "; ".join(" ".join(part.split()) for part in parts if part) + f" ({error.sqlstate})"
