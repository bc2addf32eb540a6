"""
Brings a database to the state that the files below db/ describe, and says how far it is.

    db/schema/NNNN.name.sql    versioned: applied once, in order, by yoyo; frozen from then on
    db/functions/**/*.sql      repeatable: applied again whenever their text changes,
    db/triggers/*.sql          all of them in one transaction

What has been applied is recorded in roost.migration_checksums with a SHA-256 of its text. The
record of a versioned migration is written together with the functions and triggers, so its absence
also says that these are due.
"""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from roost.database.schema_runner import APPLICATION_NAME, SchemaError, SchemaRunner, error_line

OLDEST_SERVER: Final = 15


class MigrationError(Exception):
    """The database is not as it has to be, or cannot be brought there. One line, with the cure."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a database compares to the files, by migration id and by path below db/."""

    applied: list[str]
    pending: list[str]
    """Versioned migrations to apply."""
    changed: list[str]
    """Functions and triggers to apply."""
    edited: list[str]
    """Versioned migrations whose file is no longer what was applied."""
    unknown: list[str]
    """Versioned migrations that were applied and have no file here."""

    @property
    def up_to_date(self) -> bool:
        return not (self.pending or self.changed or self.edited or self.unknown)


def db_directory() -> Path:
    """The folder db: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "db"
    return installed if installed.is_dir() else package.parents[1] / "db"


def migrate(
    conninfo: str,
    on_progress: Callable[[str], None] = lambda _line: None,
    directory: Path | None = None,
) -> None:
    """
    Applies what is missing or has changed. Runners on the same database take turns. A role that may
    create roles, and may create schemas in this database, is enough.

    Raises MigrationError. What was applied before the error stays, and is not applied again.
    """
    files = _Files.read(directory or db_directory())
    with _connect(conninfo, "roost migrate") as connection:
        try:
            _take_turn(connection, on_progress)
            _refuse_edited_and_unknown(_compare(files, _applied(connection), _recorded(connection)))
            runner = SchemaRunner(conninfo, files.directory / "schema")
            if not _finds(connection, b"SELECT FROM pg_namespace WHERE nspname = 'yoyo'"):
                connection.execute("CREATE SCHEMA yoyo")
            runner.apply(on_progress)
            _apply_repeatables(connection, files, on_progress, everything=False)
            status_now = _compare(files, _applied(connection), _recorded(connection))
        except SchemaError as error:
            raise MigrationError(str(error)) from error
        except psycopg.Error as error:
            raise MigrationError(f"cannot migrate: {error_line(error)}") from error
    if not status_now.up_to_date:
        raise MigrationError(f"this is still not applied after migrating: {status_now}")


def apply_repeatables(connection: psycopg.Connection[Any], directory: Path) -> None:
    """
    Applies all functions and triggers of a folder db, in the transaction that the connection is in.
    For plain yoyo, which calls it from db/schema/post-apply.py. Raises MigrationError.
    """
    _apply_repeatables(connection, _Files.read(directory), lambda _line: None, everything=True)


def status(conninfo: str, directory: Path | None = None) -> Status:
    """
    Compares without changing anything. The role needs the rights of roost_gateway, no more.

    Raises MigrationError when the server cannot be asked.
    """
    files = _Files.read(directory or db_directory())
    with _connect(conninfo, "roost status") as connection:
        if not _finds(
            connection,
            b"SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
            b" WHERE n.nspname = 'roost' AND p.proname = 'get_migration_checksums'",
        ):
            return _compare(files, set(), {})
        try:
            rows = connection.execute(
                "SELECT id, kind, sha256 FROM roost.get_migration_checksums()"
            ).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            raise MigrationError(
                f"the role {connection.info.user} may not serve Roost: connect as the owner of the"
                f" database, and GRANT roost_gateway TO {connection.info.user}"
            ) from None
    recorded = {name: _Record(kind, sha256) for name, kind, sha256 in rows}
    applied = {name for name, record in recorded.items() if record.kind == "schema"}
    return _compare(files, applied, recorded)


def check(conninfo: str, directory: Path | None = None) -> None:
    """Raises MigrationError, saying what to do, unless the database is as this version needs it."""
    found = status(conninfo, directory)
    _refuse_edited_and_unknown(found)
    if not found.applied:
        raise MigrationError("the database is not migrated: run roost migrate")
    behind = [*found.pending, *found.changed]
    if behind:
        others = f" and {len(behind) - 1} more" if len(behind) > 1 else ""
        raise MigrationError(
            f"the database is behind this version of roost ({behind[0]}{others} to apply):"
            " run roost migrate"
        )


class _Record(NamedTuple):
    kind: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Files:
    directory: Path
    schema: dict[str, str]
    """SHA-256 by migration id."""
    repeatables: dict[str, tuple[str, str]]
    """Text and SHA-256 by path, in the order in which they apply."""

    @classmethod
    def read(cls, directory: Path) -> Self:
        folder = directory / "schema"
        schema = {
            path.stem: _sha256(path.read_text(encoding="utf-8"))
            for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
            if path.suffix in {".sql", ".py"}
            and not path.name.endswith(".rollback.sql")
            and not path.name.startswith("post-apply")
        }
        if not schema:
            raise MigrationError(f"there are no migrations in {folder}")
        repeatables = {}
        for path in (
            *sorted((directory / "functions").rglob("*.sql")),
            *sorted((directory / "triggers").rglob("*.sql")),
        ):
            text = path.read_text(encoding="utf-8")
            repeatables[path.relative_to(directory).as_posix()] = (text, _sha256(text))
        return cls(directory, schema, repeatables)


def _sha256(text: str) -> str:
    # Of the text as Python reads it: a checkout with other line ends is the same migration.
    return hashlib.sha256(text.encode()).hexdigest()


def _compare(files: _Files, applied: set[str], recorded: dict[str, _Record]) -> Status:
    """applied -- versioned migrations, as yoyo has them or as they are recorded"""
    return Status(
        applied=sorted(applied),
        pending=[name for name in files.schema if name not in applied or name not in recorded],
        changed=[
            name
            for name, (_text, sha256) in files.repeatables.items()
            if name not in recorded or recorded[name].sha256 != sha256
        ],
        edited=[
            name
            for name, sha256 in files.schema.items()
            if name in applied and name in recorded and recorded[name].sha256 != sha256
        ],
        unknown=sorted(applied - files.schema.keys()),
    )


def _refuse_edited_and_unknown(found: Status) -> None:
    if found.unknown:
        raise MigrationError(
            f"the database is newer than this version of roost, which does not know"
            f" {', '.join(found.unknown)}: install a newer one"
        )
    if found.edited:
        raise MigrationError(
            f"{', '.join(found.edited)} was edited after it had been applied: restore the file in"
            " db/schema, and put the change into a new migration"
        )


def _apply_repeatables(
    connection: psycopg.Connection[Any],
    files: _Files,
    on_progress: Callable[[str], None],
    *,
    everything: bool,
) -> None:
    applied, recorded = _applied(connection), _recorded(connection)
    found = _compare(files, applied, recorded)
    # A migration may have dropped a table with its triggers, or a function to change its type.
    if everything or any(name not in recorded for name in applied):
        due = list(files.repeatables)
    else:
        due = found.changed
    gone = [
        name
        for name, record in recorded.items()
        if name not in (files.repeatables if record.kind == "repeatable" else applied)
    ]
    if not due and not gone:
        return
    with connection.transaction():
        connection.execute("SET LOCAL ROLE roost_owner")
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        # Bodies are looked at when all are there, so that the order of files does not matter.
        connection.execute("SET LOCAL check_function_bodies = off")
        for name in due:
            _execute(connection, name, files.repeatables[name][0])
        connection.execute("SET LOCAL check_function_bodies = on")
        for name, language, oid in connection.execute(_FUNCTIONS).fetchall():
            _validate(connection, name, _VALIDATORS[language], oid)
        connection.execute("DELETE FROM roost.migration_checksums WHERE id = ANY (%s)", [gone])
        with connection.cursor() as cursor:
            cursor.executemany(
                _RECORD,
                [(name, "repeatable", files.repeatables[name][1]) for name in due]
                + [(name, "schema", files.schema[name]) for name in sorted(applied)],
            )
        # Delivered on commit: running servers read the catalogue again.
        connection.execute("SELECT pg_notify('roost_schema', '')")
    for name in due if len(due) <= 10 else ():
        on_progress(f"Applied {name}")
    if len(due) > 10:
        on_progress(f"Applied {len(due)} files of functions and triggers")
    for name in gone:
        on_progress(
            f"Forgot {name}, whose file is gone: what it made stays until a migration drops it"
        )


def _execute(connection: psycopg.Connection[Any], name: str, text: str) -> None:
    try:
        # Bytes go as they are, in one message, which may hold several statements.
        connection.execute(text.encode(), prepare=False)
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = text.count("\n", 0, int(position) - 1) + 1 if position else 1
        raise MigrationError(f"db/{name}:{line} failed: {error_line(error)}") from error


def _validate(
    connection: psycopg.Connection[Any], name: str, validator: LiteralString, oid: int
) -> None:
    try:
        connection.execute(validator, [oid])
    except psycopg.Error as error:
        raise MigrationError(f"the function {name} is broken: {error_line(error)}") from error


def _take_turn(connection: psycopg.Connection[Any], on_progress: Callable[[str], None]) -> None:
    """
    Waits for other runners of this database. The lock ends with this session, however it ends. But
    the server finishes a statement whose client was killed, and plain yoyo does not know this lock:
    so sessions of yoyo are waited for too.
    """
    connection.execute("SET statement_timeout = 0")
    connection.execute("SET lock_timeout = '1s'")
    try:
        connection.execute(_LOCK)
    except psycopg.errors.LockNotAvailable:
        on_progress("Waiting for another migration of this database to end")
        connection.execute("SET lock_timeout = 0")
        connection.execute(_LOCK)
    connection.execute("RESET lock_timeout")

    say_at = time.monotonic() + 1
    while pids := [
        pid
        for (pid,) in connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            [APPLICATION_NAME],
        )
    ]:
        if time.monotonic() > say_at:
            say_at = float("inf")
            on_progress(
                "Waiting for yoyo, which is at work in this database (server process"
                f" {', '.join(map(str, pids))})"
            )
        time.sleep(0.1)


def _applied(connection: psycopg.Connection[Any]) -> set[str]:
    if not _finds(
        connection,
        b"SELECT FROM pg_tables WHERE schemaname = 'yoyo' AND tablename = '_yoyo_migration'",
    ):
        return set()
    return {name for (name,) in connection.execute("SELECT migration_id FROM yoyo._yoyo_migration")}


def _recorded(connection: psycopg.Connection[Any]) -> dict[str, _Record]:
    if not _finds(
        connection,
        b"SELECT FROM pg_tables WHERE schemaname = 'roost' AND tablename = 'migration_checksums'",
    ):
        return {}
    with connection.transaction():
        connection.execute("SET LOCAL ROLE roost_owner")
        rows = connection.execute("SELECT id, kind, sha256 FROM roost.migration_checksums")
        return {name: _Record(kind, sha256) for name, kind, sha256 in rows}


def _finds(connection: psycopg.Connection[Any], query: bytes) -> bool:
    return connection.execute(query).fetchone() is not None


def _connect(conninfo: str, application_name: str) -> psycopg.Connection[tuple[Any, ...]]:
    # libpq waits for ever for a host that swallows packets, unless somebody said how long to wait.
    said = "connect_timeout" in conninfo_to_dict(conninfo) or "PGCONNECT_TIMEOUT" in os.environ
    try:
        connection = psycopg.connect(
            make_conninfo(
                conninfo,
                **({} if said else {"connect_timeout": "10"}),
                application_name=application_name,
                client_encoding="utf8",
            ),
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise MigrationError(
            f"cannot connect to PostgreSQL: {error_line(error)}. Check DATABASE_URL"
        ) from error
    major = connection.info.server_version // 10_000
    encoding = connection.info.parameter_status("server_encoding")
    if major < OLDEST_SERVER or encoding != "UTF8":
        connection.close()
        if major < OLDEST_SERVER:
            raise MigrationError(
                f"this is PostgreSQL {major}: Roost needs {OLDEST_SERVER} or newer"
            )
        raise MigrationError(
            f"the database has the encoding {encoding}: Roost needs UTF8 (createdb --encoding=UTF8)"
        )
    return connection


_LOCK: Final = "SELECT pg_advisory_lock(hashtext('roost:migrate'))"

_RECORD: Final = """
    INSERT INTO roost.migration_checksums (id, kind, sha256)
    VALUES (%s, %s, %s)
    ON CONFLICT (id) DO UPDATE
        SET kind = excluded.kind, sha256 = excluded.sha256, applied_at = now()
        WHERE (migration_checksums.kind, migration_checksums.sha256)
            IS DISTINCT FROM (excluded.kind, excluded.sha256)
"""

_FUNCTIONS: Final = """
    SELECT routine.oid::regprocedure::text, language.lanname, routine.oid
    FROM pg_catalog.pg_proc AS routine
    JOIN pg_catalog.pg_language AS language ON language.oid = routine.prolang
    WHERE language.lanname IN ('plpgsql', 'sql')
        AND routine.pronamespace::regnamespace::text IN ('api', 'realtime', 'roost')
    ORDER BY 1
"""

# By language: what CREATE FUNCTION calls too, unless check_function_bodies is off.
_VALIDATORS: Final[dict[str, LiteralString]] = {
    "plpgsql": "SELECT pg_catalog.plpgsql_validator(%s)",
    "sql": "SELECT pg_catalog.fmgr_sql_validator(%s)",
}
