"""
Brings a database to the state that the files below db/ describe, or back to an earlier one.

Versioned migrations (db/schema) are applied once, in order, and marked in yoyo's tables. Functions
and triggers (db/functions, db/triggers) follow when the migrations are there, whenever their text
has changed. roost.migration_checksums records both, whatever tool applied them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from roost.database import migration_records
from roost.database.migration_files import (
    Migration,
    MigrationError,
    MigrationFiles,
    Repeatable,
)
from roost.database.migration_form import refuse_malformed
from roost.database.migration_records import Record
from roost.database.migration_session import (
    connect,
    error_line,
    refuse_unwritable,
    same_server,
    take_turn,
    wait_for_yoyo,
)
from roost.database.migration_watch import Timeouts, Watch
from roost.database.repeatables import RepeatableChange, apply_change
from roost.database.schema_runner import BOOKKEEPING_COMMENT, SchemaRunner
from roost.database.sqitch_handover import HAS_MARKS, managed_by_sqitch
from roost.database.verification import differences

Progress = Callable[[str], None]


def _quiet(_line: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Status:
    """How a database compares to the files, by migration id and by path below db/."""

    applied: list[str]
    """Versioned migrations that were applied."""
    pending: list[str]
    """Versioned migrations, functions and triggers to apply."""
    changed: list[str]
    """Versioned migrations whose file is no longer what was applied."""
    unknown: list[str]
    """Versioned migrations that were applied and have no file here."""

    @property
    def up_to_date(self) -> bool:
        return not (self.pending or self.changed or self.unknown)


def migrate(
    conninfo: str,
    on_progress: Progress = _quiet,
    directory: Path | None = None,
    *,
    to: str | None = None,
    timeouts: Timeouts = Timeouts(),  # noqa: B008  # a tuple
) -> list[str]:
    """
    Applies what is missing or has changed, up to a migration or a release where `to` names one.
    Runners on the same database take turns. A role that may create roles, and may create schemas in
    this database, is enough.

    Returns what the database has other than this version makes it, as `verify` does: somebody has
    changed it by hand.

    Raises MigrationError. What was applied before the error stays, and is not applied again.
    """
    files = MigrationFiles.read(directory)
    refuse_malformed(files)
    target = _find_target(files, to)
    with connect(conninfo, "roost migrate") as connection:
        try:
            applied = _begin(connection, files, on_progress)
            _refuse_beyond(files, applied, target)
            if not applied:
                _look_before_installing(connection, files.migrations[target.migrations[0]])
            if _is_due(connection, applied, target):
                conninfo = same_server(connection, conninfo)
                with SchemaRunner(conninfo, timeouts, on_progress) as runner:
                    # A yoyo may have been at work until here.
                    applied = _state(connection, files)
                    for name in target.migrations:
                        if name not in applied:
                            applied.append(name)
                            runner.apply(files.migrations[name], _checksums(files, applied))
                    _apply_repeatables(connection, conninfo, files, target, timeouts, on_progress)
            return differences(connection, files) if to is None else []
        except psycopg.Error as error:
            raise MigrationError(f"cannot migrate: {error_line(error)}") from error


def rollback(
    conninfo: str,
    on_progress: Progress = _quiet,
    directory: Path | None = None,
    *,
    to: str | None = None,
    everything: bool = False,
    timeouts: Timeouts = Timeouts(),  # noqa: B008  # a tuple
) -> str:
    """
    Undoes the last migration, or all after the one or the release that `to` names, or everything.
    Where just the migrations of a release are left, its functions and triggers are put back.

    Returns the migration or release that the database is at, empty where nothing is left.

    Raises MigrationError. What was undone before the error stays undone.
    """
    files = MigrationFiles.read(directory)
    refuse_malformed(files)
    with connect(conninfo, "roost rollback") as connection:
        try:
            applied = _begin(connection, files, on_progress)
            target = _find_rollback_target(files, applied, to, everything=everything)
            if applied:
                conninfo = same_server(connection, conninfo)
                with SchemaRunner(conninfo, timeouts, on_progress) as runner:
                    applied = _state(connection, files)
                    for name in _to_undo(files, applied, target):
                        applied.remove(name)
                        runner.roll_back(files.migrations[name], _checksums(files, applied))
                    if applied:
                        _apply_repeatables(
                            connection, conninfo, files, target, timeouts, on_progress
                        )
            if not applied:
                _drop_bookkeeping(connection)
        except psycopg.Error as error:
            raise MigrationError(f"cannot roll back: {error_line(error)}") from error
    return target.name


def migration_sql(
    conninfo: str | None, directory: Path | None = None, *, to: str | None = None
) -> str:
    """
    What `migrate` would run, in order, to be reviewed; for an empty database without conninfo.
    Changes nothing. Raises MigrationError.
    """
    files = MigrationFiles.read(directory)
    refuse_malformed(files)
    target = _find_target(files, to)
    applied: list[str] = []
    records: dict[str, Record] = {}
    if conninfo is not None:
        applied, records = _look(conninfo, files)
        _refuse_beyond(files, applied, target)
    pending = [name for name in target.migrations if name not in applied]
    parts = [
        _sql(f"db/schema/{name}.sql", files.migrations[name], files.migrations[name].text)
        for name in pending
    ]
    return "\n".join([*parts, *_repeatable_sql(target, records, everything=bool(pending))])


def rollback_sql(
    conninfo: str,
    directory: Path | None = None,
    *,
    to: str | None = None,
    everything: bool = False,
) -> str:
    """The same for `rollback`."""
    files = MigrationFiles.read(directory)
    refuse_malformed(files)
    applied, records = _look(conninfo, files)
    target = _find_rollback_target(files, applied, to, everything=everything)
    undone = _to_undo(files, applied, target)
    parts = [
        _sql(
            f"db/schema/{name}.rollback.sql",
            files.migrations[name],
            files.migrations[name].rollback,
        )
        for name in undone
    ]
    return "\n".join([*parts, *_repeatable_sql(target, records, everything=bool(undone))])


def apply_repeatables(connection: psycopg.Connection[Any], directory: Path) -> None:
    """
    Applies all functions and triggers of a folder db, in the transaction that the connection is in.
    For plain yoyo, which calls it from db/schema/post-apply.py. Raises MigrationError.
    """
    files = MigrationFiles.read(directory)
    applied = _state(connection, files)
    if len(applied) < len(files.migrations):
        # yoyo was told to stop before the last one.
        return
    with connection.transaction():
        migration_records.write_schema(connection, _checksums(files, applied))
    change = RepeatableChange(
        files.repeatables, migration_records.read(connection), everything=True
    )
    apply_change(connection, change, _quiet)


def status(conninfo: str, directory: Path | None = None) -> Status:
    """
    Compares without changing anything. The role needs the rights of roost_gateway, no more.

    Raises MigrationError when the server cannot be asked.
    """
    files = MigrationFiles.read(directory)
    with connect(conninfo, "roost status") as connection:
        records = migration_records.read_as_gateway(connection)
        if records is None:
            # The function for it comes after the migrations, of which some may be there.
            return _compare_readable(connection, files)
    return _compare(files, _schema_ids(records), records)


def check(conninfo: str, directory: Path | None = None) -> None:
    """Raises MigrationError, saying what to do, unless the database is as this version needs it."""
    found = status(conninfo, directory)
    _refuse_changed_and_unknown(found)
    if not found.applied:
        raise MigrationError("the database is not migrated: run roost migrate")
    if found.pending:
        more = f" and {len(found.pending) - 1} more" if len(found.pending) > 1 else ""
        raise MigrationError(
            f"the database is behind this version of roost ({found.pending[0]}{more} to apply):"
            " run roost migrate"
        )


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a database is to be brought."""

    name: str
    migrations: list[str]
    repeatables: Mapping[str, Repeatable] | None
    """None where no functions and triggers are known that go with just these migrations."""


def _find_target(files: MigrationFiles, to: str | None) -> _Target:
    if to is None:
        return _Target("this version", list(files.migrations), files.repeatables)
    if to in files.releases:
        release = files.releases[to]
        names = [name for name in files.migrations if name in release.migrations]
        return _Target(to, names, release.repeatables)
    if to in files.migrations:
        names = list(files.migrations)
        return _target_of(files, names[: names.index(to) + 1])
    meant = [name for name in (*files.migrations, *files.releases) if to in name]
    raise MigrationError(
        f"there is no migration or release {to}: write a whole id, such as"
        f" {(meant or list(files.migrations))[-1]}, or a version"
        + (f" ({', '.join(files.releases)})" if files.releases else "")
    )


def _target_of(files: MigrationFiles, names: list[str]) -> _Target:
    name = names[-1] if names else ""
    if names == list(files.migrations):
        return _Target(name, names, files.repeatables)
    for release in reversed(files.releases.values()):
        if release.migrations.keys() == set(names):
            return _Target(name, names, release.repeatables)
    return _Target(name, names, None)


def _find_rollback_target(
    files: MigrationFiles, applied: list[str], to: str | None, *, everything: bool
) -> _Target:
    in_order = [name for name in files.migrations if name in applied]
    if everything:
        return _target_of(files, [])
    if to is not None:
        target = _find_target(files, to)
        missing = [name for name in target.migrations if name not in applied]
        if missing:
            raise MigrationError(
                f"{target.name} is not a way back: {missing[0]} is not applied. roost status lists"
                " what is"
            )
        return target
    if not in_order:
        raise MigrationError("there is nothing to roll back: no migration is applied")
    if in_order[-1] != applied[-1]:
        raise MigrationError(
            f"it is not clear which one to undo: {in_order[-1]} is the last in order, and"
            f" {applied[-1]} was applied last. Say what to keep: roost rollback --to ID"
        )
    return _target_of(files, in_order[:-1])


def _to_undo(files: MigrationFiles, applied: Collection[str], target: _Target) -> list[str]:
    return [
        name
        for name in reversed(files.migrations)
        if name in applied and name not in target.migrations
    ]


def _compare(
    files: MigrationFiles, applied: Collection[str], records: Mapping[str, Record]
) -> Status:
    change = RepeatableChange(files.repeatables, records)
    return Status(
        applied=sorted(applied),
        pending=[
            *(name for name in files.migrations if name not in applied),
            *(repeatable.path for repeatable in change.due),
            *change.gone,
        ],
        changed=[
            name
            for name, migration in files.migrations.items()
            if name in applied and name in records and records[name].sha256 != migration.sha256
        ],
        unknown=sorted(set(applied) - files.migrations.keys()),
    )


def _compare_readable(connection: psycopg.Connection[Any], files: MigrationFiles) -> Status:
    try:
        return _compare(files, _applied(connection), migration_records.read(connection))
    except psycopg.errors.InsufficientPrivilege:
        return _compare(files, [], {})


def _look(conninfo: str, files: MigrationFiles) -> tuple[list[str], dict[str, Record]]:
    with connect(conninfo, "roost") as connection:
        try:
            _refuse_sqitch(connection)
            return _state(connection, files), migration_records.read(connection)
        except psycopg.Error as error:
            raise MigrationError(f"cannot look at the database: {error_line(error)}") from error


def _begin(
    connection: psycopg.Connection[Any], files: MigrationFiles, on_progress: Progress
) -> list[str]:
    """Waits for its turn; answers what is applied."""
    refuse_unwritable(connection)
    take_turn(connection, on_progress)
    wait_for_yoyo(connection, on_progress)
    _refuse_sqitch(connection)
    return _state(connection, files)


def _state(connection: psycopg.Connection[Any], files: MigrationFiles) -> list[str]:
    """
    What is applied, in the order in which it was. Raises MigrationError when files and database do
    not belong together.
    """
    applied = _applied(connection)
    if (
        len(applied) > 1
        and connection.execute("SELECT to_regnamespace('roost')").fetchone() == (None,)
        and applied[1] in files.migrations
    ):
        raise MigrationError(
            "yoyo's tables say that Roost is installed, but it is gone: another tool has removed"
            " it. To install it anew, run DROP SCHEMA yoyo CASCADE, and migrate again"
        )
    _refuse_changed_and_unknown(_compare(files, applied, migration_records.read(connection)))
    return applied


def _is_due(connection: psycopg.Connection[Any], applied: list[str], target: _Target) -> bool:
    records = migration_records.read(connection)
    return (
        any(name not in applied for name in target.migrations)
        or set(applied) != set(_schema_ids(records))
        or target.repeatables is None
        or bool(RepeatableChange(target.repeatables, records))
        # What a run left that was killed at its very end.
        or connection.execute("SELECT 1 FROM yoyo.yoyo_lock").fetchone() is not None
    )


def _refuse_changed_and_unknown(found: Status) -> None:
    if found.unknown == found.applied != []:
        raise MigrationError(
            f"the schema yoyo holds migrations of another application ({found.unknown[0]}): use"
            " another database"
        )
    if found.unknown:
        raise MigrationError(
            f"the database is newer than this version of roost, which does not know"
            f" {', '.join(found.unknown)}: install a newer one"
        )
    if found.changed:
        raise MigrationError(
            f"{', '.join(found.changed)} was edited after it had been applied: restore the file in"
            " db/schema, and put the change into a new migration"
        )


def _refuse_beyond(files: MigrationFiles, applied: Collection[str], target: _Target) -> None:
    if beyond := _to_undo(files, applied, target):
        raise MigrationError(
            f"the database is beyond {target.name}, since {beyond[-1]} is applied: to go back, run"
            f" roost rollback --to {target.name}"
        )


def _look_before_installing(connection: psycopg.Connection[Any], first: Migration) -> None:
    """Its first statements look for what is missing: so before yoyo's schema is made, too."""
    with connection.transaction(force_rollback=True):
        for statement in first.statements[:2]:
            connection.execute(statement.text.encode())


def _refuse_sqitch(connection: psycopg.Connection[Any]) -> None:
    if last := managed_by_sqitch(connection):
        raise MigrationError(
            f"sqitch manages this database, and deployed {last} last: go on with sqitch, or hand"
            " the database over with roost adopt"
        )


def _apply_repeatables(
    connection: psycopg.Connection[Any],
    conninfo: str,
    files: MigrationFiles,
    target: _Target,
    timeouts: Timeouts,
    on_progress: Progress,
) -> None:
    applied = _applied(connection)
    records = migration_records.read(connection)
    # Plain yoyo does not write records, neither when it applies nor when it rolls back.
    unrecorded = set(applied) != set(_schema_ids(records))
    if unrecorded:
        with connection.transaction():
            migration_records.write_schema(connection, _checksums(files, applied))
        records = migration_records.read(connection)
    if target.repeatables is None:
        on_progress(
            f"Functions and triggers are left as they are: none are known for {target.name}. They"
            " come with the next roost migrate"
        )
        return
    change = RepeatableChange(target.repeatables, records, everything=unrecorded)
    if not change:
        return
    connection.execute(f"SET lock_timeout = {timeouts.lock_ms:d}".encode())
    connection.execute(f"SET statement_timeout = {timeouts.statement_ms:d}".encode())
    pid = connection.info.backend_pid
    with Watch(conninfo, pid, "functions and triggers", timeouts, on_progress) as watch:
        apply_change(connection, change, on_progress, watch.failure)


def _checksums(files: MigrationFiles, applied: Collection[str]) -> dict[str, str]:
    return {name: files.migrations[name].sha256 for name in applied if name in files.migrations}


def _schema_ids(records: Mapping[str, Record]) -> list[str]:
    return [name for name, record in records.items() if record.kind == "schema"]


def _applied(connection: psycopg.Connection[Any]) -> list[str]:
    """In the order in which they were applied, as yoyo has it."""
    if connection.execute(HAS_MARKS).fetchone() is None:
        return []
    return [
        name
        for (name,) in connection.execute(
            "SELECT migration_id FROM yoyo._yoyo_migration ORDER BY applied_at_utc, migration_id"
        )
    ]


def _drop_bookkeeping(connection: psycopg.Connection[Any]) -> None:
    """Leaves a schema that Roost did not make, or in which somebody else has something."""
    if connection.execute(
        "SELECT 1 FROM pg_namespace AS n WHERE n.nspname = 'yoyo'"
        " AND obj_description(n.oid, 'pg_namespace') = %s AND NOT EXISTS ("
        "   SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind NOT IN ('i', 't')"
        "   AND c.relname NOT IN ('_yoyo_migration', '_yoyo_log', '_yoyo_version', 'yoyo_lock'))",
        [BOOKKEEPING_COMMENT],
    ).fetchone():
        connection.execute("DROP SCHEMA yoyo CASCADE")


def _sql(file: str, migration: Migration, text: str) -> str:
    how = "in one transaction" if migration.transactional else "outside a transaction"
    return f"-- {file}, {how}\n\n{text}"


def _repeatable_sql(
    target: _Target, records: Mapping[str, Record], *, everything: bool
) -> list[str]:
    if target.repeatables is None:
        return []
    change = RepeatableChange(target.repeatables, records, everything=everything)
    if not change:
        return []
    preamble = (
        "-- Functions and triggers, in one transaction, without looking into bodies until all are"
        " there\n\nSET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL ROLE roost_owner;\n"
        "SET LOCAL check_function_bodies = off;\n"
    )
    before = "".join(f"{statement}\n" for statement in change.statements)
    return [preamble + before, *(f"-- db/{it.path}\n\n{it.text}" for it in change.due)]
