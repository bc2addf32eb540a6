"""Applies functions and triggers: those that are new or have changed, all in one transaction."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, LiteralString

import psycopg

from roost.database import migration_records
from roost.database.migration_files import (
    MigrationError,
    Repeatable,
    make_way,
    objects_of,
)
from roost.database.migration_records import Record
from roost.database.migration_session import error_line
from roost.database.schema_runner import duration

Failure = Callable[[str, psycopg.Error], MigrationError]


class RepeatableChange:
    """What is between a database and a set of functions and triggers."""

    def __init__(
        self,
        target: Mapping[str, Repeatable],
        records: Mapping[str, Record],
        *,
        everything: bool = False,
    ) -> None:
        """everything -- whether to apply also what has not changed"""
        self.due = [
            repeatable
            for repeatable in target.values()
            if everything
            or repeatable.path not in records
            or records[repeatable.path].sha256 != repeatable.sha256
        ]
        self.gone = [
            path
            for path, record in records.items()
            if record.kind == "repeatable" and path not in target
        ]
        paths = {*self.gone, *(repeatable.path for repeatable in self.due)}
        old = {
            name: signature
            for path in sorted(paths & records.keys())
            for name, signature in records[path].objects.items()
        }
        new = objects_of(target)
        self.statements = make_way(old, new)
        """To run before the files that are due."""
        self.dropped = [name for name in old if name not in new]

    def __bool__(self) -> bool:
        return bool(self.due or self.gone)


def apply_change(
    connection: psycopg.Connection[Any],
    change: RepeatableChange,
    on_progress: Callable[[str], None],
    failure: Failure | None = None,
) -> None:
    """
    Applies a change in a transaction, or in a part of the one that the connection is in. failure --
    makes the error from a place and what PostgreSQL said

    Raises MigrationError, after which nothing has changed.
    """
    failure = failure or (
        lambda place, error: MigrationError(f"{place} failed: {error_line(error)}")
    )
    begun = time.monotonic()
    with connection.transaction():
        connection.execute("SET LOCAL ROLE roost_owner")
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        # Bodies are looked at when all are there, so that the order of files does not matter.
        connection.execute("SET LOCAL check_function_bodies = off")
        for statement in change.statements:
            try:
                connection.execute(statement.encode(), prepare=False)
            except psycopg.errors.DependentObjectsStillExist as error:
                raise MigrationError(
                    f"{error_line(error)}. It is gone from the files, or its arguments or result"
                    " have changed: drop what depends on it, migrate, and make that again"
                ) from error
            except psycopg.Error as error:
                raise failure(statement, error) from error
        for repeatable in change.due:
            _execute(connection, repeatable, failure)
        connection.execute("SET LOCAL check_function_bodies = on")
        for name, language, oid in connection.execute(_FUNCTIONS).fetchall():
            _validate(connection, name, _VALIDATORS[language], oid, failure)
        migration_records.write_repeatables(connection, change.due, change.gone)
        # Delivered on commit: running servers read the catalogue again.
        connection.execute("SELECT pg_notify('roost_schema', '')")
    took = duration(time.monotonic() - begun)
    for repeatable in change.due if len(change.due) <= 10 else ():
        on_progress(f"Applied {repeatable.path}")
    if len(change.due) > 10:
        on_progress(f"Applied {len(change.due)} files of functions and triggers in {took}")
    for name in change.dropped:
        on_progress(f"Dropped {name}")


def _execute(connection: psycopg.Connection[Any], repeatable: Repeatable, failure: Failure) -> None:
    try:
        # Bytes go as they are, in one message, which may hold several statements.
        connection.execute(repeatable.text.encode(), prepare=False)
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = repeatable.text.count("\n", 0, int(position) - 1) + 1 if position else 1
        raise failure(f"db/{repeatable.path}:{line}", error) from error


def _validate(
    connection: psycopg.Connection[Any],
    name: str,
    validator: LiteralString,
    oid: int,
    failure: Failure,
) -> None:
    try:
        connection.execute(validator, [oid])
    except psycopg.OperationalError as error:
        raise failure(f"looking into {name}", error) from error
    except psycopg.Error as error:
        raise MigrationError(f"the function {name} is broken: {error_line(error)}") from error


_FUNCTIONS: Final = """
    SELECT routine.oid::regprocedure::text, language.lanname, routine.oid
    FROM pg_catalog.pg_proc AS routine
    JOIN pg_catalog.pg_language AS language ON language.oid = routine.prolang
    WHERE language.lanname IN ('plpgsql', 'sql')
        AND routine.pronamespace IN (
            SELECT namespace.oid FROM pg_catalog.pg_namespace AS namespace
            WHERE namespace.nspname IN ('api', 'realtime', 'roost')
        )
    ORDER BY 1
"""

# By language: what CREATE FUNCTION calls too, unless check_function_bodies is off.
_VALIDATORS: Final[dict[str, LiteralString]] = {
    "plpgsql": "SELECT pg_catalog.plpgsql_validator(%s)",
    "sql": "SELECT pg_catalog.fmgr_sql_validator(%s)",
}
