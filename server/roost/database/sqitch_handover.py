"""What sqitch has deployed to a database, and the hand-over of that database to yoyo."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from roost.database import migration_records
from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.migration_session import connect, error_line, refuse_unwritable, take_turn
from roost.database.migration_watch import Timeouts
from roost.database.schema_runner import SchemaRunner
from roost.database.sqitch_scripts import deploy_schema


def managed_by_sqitch(connection: psycopg.Connection[Any]) -> str:
    """
    The migration that sqitch deployed last, where it has recorded something that yoyo has not, or
    after anything that yoyo has: whoever recorded last manages a database. Empty where sqitch does
    not, or the role may not read its registry.
    """
    deployed = _registered(connection)
    if not deployed:
        return ""
    last = list(deployed)[-1]
    recorded_by_yoyo = None
    if deployed.keys() <= _marked(connection):
        recorded_by_yoyo = connection.execute(
            "SELECT max(created_at_utc) AT TIME ZONE 'UTC' FROM yoyo._yoyo_log"
        ).fetchone()
    if recorded_by_yoyo and recorded_by_yoyo[0] and recorded_by_yoyo[0] > deployed[last].at:
        return ""
    return last


def adopt(conninfo: str, directory: Path | None = None) -> list[str]:
    """
    Hands a database that sqitch deployed over to yoyo: marks in yoyo's tables what sqitch says is
    deployed, or notes there that it has taken over what was marked before. Doing it again marks
    what has come since. Returns the ids that it marked.

    Raises MigrationError, having marked nothing, when a deployed migration has no file here, or was
    deployed from another text.
    """
    files = MigrationFiles.read(directory)
    with connect(conninfo, "roost adopt") as connection:
        try:
            refuse_unwritable(connection)
            take_turn(connection, _quiet)
            if connection.execute(_TRY_LOCK_OF_SQITCH).fetchone() != (True,):
                raise MigrationError(
                    "sqitch is at work in this database: adopt it when that is done"
                )
            deployed = _registered(connection)
            _refuse_foreign(connection, files, deployed)
            marked = _marked(connection)
            missing = [name for name in deployed if name not in marked]
            with SchemaRunner(conninfo, Timeouts(), _quiet) as runner:
                runner.mark(missing, seen=list(deployed)[-1:])
        except psycopg.Error as error:
            raise MigrationError(f"cannot adopt: {error_line(error)}") from error
    return missing


def _quiet(_line: str) -> None:
    pass


class _Deployed(NamedTuple):
    script_hash: str | None
    """SHA-1 of the deploy script."""
    at: datetime


def _registered(connection: psycopg.Connection[Any]) -> dict[str, _Deployed]:
    """By id of each deployed migration, in the order of deployment."""
    found: dict[str, _Deployed] = {}
    for (registry,) in connection.execute(_REGISTRIES).fetchall():
        rows = connection.execute(
            sql.SQL(
                "SELECT substr(change, 8), script_hash, committed_at FROM {}"
                " WHERE project = 'roost' AND change LIKE 'schema/%' ORDER BY committed_at"
            ).format(sql.Identifier(registry, "changes"))
        )
        found.update({name: _Deployed(digest, at) for name, digest, at in rows})
    return found


def _marked(connection: psycopg.Connection[Any]) -> set[str]:
    if connection.execute(HAS_MARKS).fetchone() is None:
        return set()
    return {name for (name,) in connection.execute("SELECT migration_id FROM yoyo._yoyo_migration")}


def _refuse_foreign(
    connection: psycopg.Connection[Any],
    files: MigrationFiles,
    deployed: Mapping[str, _Deployed],
) -> None:
    if not deployed:
        raise MigrationError(
            "sqitch has deployed nothing of Roost that this role may see: connect to the database"
            " that it deployed to, as the role that did (this is"
            f" {connection.info.dbname}, as {connection.info.user})"
        )
    unknown = [name for name in deployed if name not in files.migrations]
    if unknown:
        raise MigrationError(
            f"sqitch has deployed schema/{unknown[0]}, which this version of roost does not know:"
            " install a newer one"
        )
    records = migration_records.read(connection)
    for name, (script_hash, _at) in deployed.items():
        migration = files.migrations[name]
        script = deploy_schema(migration).encode()
        sha1 = hashlib.sha1(script, usedforsecurity=False).hexdigest()
        if script_hash not in {None, sha1} or (
            name in records and records[name].sha256 != migration.sha256
        ):
            raise MigrationError(
                f"sqitch has deployed schema/{name} from another text than db/schema/{name}.sql:"
                " restore the file that was deployed"
            )


# A table that just anybody made is not read: that may run what they have put there, with the rights
# of who migrates. Whoever deploys is a member of roost_owner. A superuser passes for a member of
# every role, so there it does not count.
_IS_TRUSTED: Final = """
    found.relkind = 'r'
    AND NOT found.relrowsecurity
    AND (
        pg_catalog.pg_has_role(found.relowner, to_regrole('roost_owner'), 'MEMBER')
        OR EXISTS (
            SELECT FROM pg_catalog.pg_roles AS role
            WHERE role.rolname = current_user
                AND (
                    role.oid = found.relowner
                    OR (NOT role.rolsuper AND pg_catalog.pg_has_role(found.relowner, 'USAGE'))
                )
        )
    )
"""

# Its default name is sqitch, but any may be given.
_REGISTRIES: Final = f"""
    SELECT namespace.nspname
    FROM pg_catalog.pg_class AS found
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = found.relnamespace
    WHERE found.relname = 'changes'
        AND {_IS_TRUSTED}
        AND pg_catalog.has_schema_privilege(found.relnamespace, 'USAGE')
        AND pg_catalog.has_table_privilege(found.oid, 'SELECT')
        AND (
            SELECT pg_catalog.count(*)
            FROM pg_catalog.pg_attribute AS attribute
            JOIN (
                VALUES
                    ('project', 'pg_catalog.text'::regtype),
                    ('change', 'pg_catalog.text'::regtype),
                    ('script_hash', 'pg_catalog.text'::regtype),
                    ('committed_at', 'pg_catalog.timestamptz'::regtype)
            ) AS wanted (name, type)
                ON wanted.name = attribute.attname AND wanted.type = attribute.atttypid
            WHERE attribute.attrelid = found.oid
        ) = 4
        AND EXISTS (
            SELECT FROM pg_catalog.pg_class AS projects
            WHERE projects.relnamespace = found.relnamespace AND projects.relname = 'projects'
        )
    ORDER BY namespace.nspname = 'sqitch' DESC, namespace.nspname
"""  # noqa: S608  # a constant

HAS_MARKS: Final = f"""
    SELECT FROM pg_catalog.pg_class AS found
    WHERE found.oid = to_regclass('yoyo._yoyo_migration') AND {_IS_TRUSTED}
"""

_TRY_LOCK_OF_SQITCH: Final = "SELECT pg_catalog.pg_try_advisory_lock(75474063)"
