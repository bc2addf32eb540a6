"""roost.migration_checksums: what has been applied to a database, whatever tool applied it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.types.json import Json

from roost.database.migration_files import MigrationError, Repeatable


class Record(NamedTuple):
    kind: str
    """schema or repeatable"""
    sha256: str | None
    objects: dict[str, str]
    """See `Repeatable.objects`."""


def read(connection: psycopg.Connection[Any]) -> dict[str, Record]:
    """By migration id, and by path of repeatables. Nothing where there is no such table yet."""
    if not _table_is_there(connection):
        return {}
    with connection.transaction():
        connection.execute("SET LOCAL ROLE roost_owner")
        rows = connection.execute("SELECT id, kind, sha256, objects FROM roost.migration_checksums")
        return {name: Record(kind, sha256, objects) for name, kind, sha256, objects in rows}


def read_as_gateway(connection: psycopg.Connection[Any]) -> dict[str, Record] | None:
    """
    The same without the objects, for whoever may serve; None where the function for it is missing.
    Raises MigrationError when the role may not serve.
    """
    # to_regprocedure() would need rights on the schema.
    function = connection.execute(
        "SELECT 1 FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'roost' AND p.proname = 'get_migration_checksums'"
        # One of somebody else would run as whoever asks.
        " AND p.proowner = to_regrole('roost_owner')"
    )
    if function.fetchone() is None:
        return None
    try:
        with connection.transaction():
            # A member may be one that does not inherit.
            connection.execute("SET LOCAL ROLE roost_gateway")
            rows = connection.execute(
                "SELECT id, kind, sha256 FROM roost.get_migration_checksums()"
            ).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        raise MigrationError(
            f"the role {connection.info.user} may not serve Roost: connect as the owner of the"
            f" database, and GRANT roost_gateway TO {connection.info.user}"
        ) from None
    return {name: Record(kind, digest, {}) for name, kind, digest in rows}


def write_schema(connection: psycopg.Connection[Any], records: Mapping[str, str]) -> None:
    """
    Makes these the records of versioned migrations, in the transaction that the connection is in,
    and has all functions and triggers applied again: a migration may have dropped some. records --
    SHA-256 by id
    """
    if not _table_is_there(connection):
        return
    connection.execute("SET LOCAL ROLE roost_owner")
    _write(connection, [(name, "schema", digest, Json({})) for name, digest in records.items()])
    connection.execute(
        "DELETE FROM roost.migration_checksums WHERE kind = 'schema' AND id <> ALL (%s)",
        [list(records)],
    )
    connection.execute(
        "UPDATE roost.migration_checksums SET sha256 = NULL WHERE kind = 'repeatable'"
    )
    connection.execute("RESET ROLE")


def write_repeatables(
    connection: psycopg.Connection[Any], applied: Sequence[Repeatable], gone: Sequence[str]
) -> None:
    """Records what was applied and forgets what is gone, as roost_owner."""
    connection.execute("DELETE FROM roost.migration_checksums WHERE id = ANY (%s)", [list(gone)])
    _write(connection, [(it.path, "repeatable", it.sha256, Json(it.objects)) for it in applied])


def _write(connection: psycopg.Connection[Any], rows: Sequence[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(_UPSERT, rows)


def _table_is_there(connection: psycopg.Connection[Any]) -> bool:
    found = connection.execute(
        "SELECT FROM pg_catalog.pg_tables"
        " WHERE schemaname = 'roost' AND tablename = 'migration_checksums'"
        " AND tableowner = 'roost_owner'"
    )
    return found.fetchone() is not None


_UPSERT: Final = """
    INSERT INTO roost.migration_checksums (id, kind, sha256, objects)
    VALUES (%s, %s, %s, %s)
    ON CONFLICT (id) DO UPDATE
        SET
            kind = excluded.kind,
            sha256 = excluded.sha256,
            objects = excluded.objects,
            applied_at = now()
        WHERE (migration_checksums.kind, migration_checksums.sha256, migration_checksums.objects)
            IS DISTINCT FROM (excluded.kind, excluded.sha256, excluded.objects)
"""
