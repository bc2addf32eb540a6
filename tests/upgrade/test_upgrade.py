"""
Upgrades: a database of each earlier release, in use, becomes one of this version; nothing is lost.

A database of a release is made of what the release froze: its migrations, which no longer change,
and its functions and triggers in db/releases. <version>.sql beside this file fills it.
"""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from roost.database.embedded import EmbeddedPostgres
from roost.database.migration_files import MigrationFiles
from roost.database.migrations import check, migrate, rollback
from roost.database.verification import verify
from tests.migrating import add_next_release, checksums, dump, rows
from tests.support import migrated_database, new_database

RELEASES = list(MigrationFiles.read().releases)

# Filled by the migrations themselves, and theirs to change.
OF_THE_PRODUCT = {"roost.migration_checksums", "roost.error_codes"}

# What later releases add where people's own rows are, too.
ADDED = {"roost.server_secrets": sql.SQL("name = 'file_link'")}

Columns = dict[str, list[str]]


def fill(conninfo: str, version: str) -> Columns:
    """Fills a database of a release; answers the columns of each of its tables."""
    script = Path(__file__).with_name(f"{version}.sql").read_bytes()
    with psycopg.connect(conninfo) as connection:
        connection.execute(script)
    found: Columns = {}
    for table, column in rows(
        conninfo,
        "SELECT c.oid::regclass::text, a.attname FROM pg_class AS c"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace IN ('roost'::regnamespace, 'realtime'::regnamespace)"
        " AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1, 2",
    ):
        if table not in OF_THE_PRODUCT:
            found.setdefault(table, []).append(column)
    return found


def contents(conninfo: str, columns: Columns) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of these columns, as text, in no order of importance, but what releases add."""
    with psycopg.connect(conninfo) as connection:
        return {
            table: sorted(
                connection.execute(
                    sql.SQL("SELECT {} FROM {} WHERE NOT ({})").format(
                        sql.SQL(", ").join(
                            sql.SQL("coalesce({}::text, 'NULL')").format(sql.Identifier(name))
                            for name in names
                        ),
                        sql.Identifier(*table.split(".")),
                        ADDED.get(table, sql.SQL("false")),
                    )
                ).fetchall()
            )
            for table, names in columns.items()
        }


@pytest.mark.parametrize("version", RELEASES)
def test_from_a_release_and_back(server: EmbeddedPostgres, empty: str, version: str) -> None:
    migrate(empty, to=version)
    of_release = dump(empty)
    columns = fill(empty, version)
    before = contents(empty, columns)
    assert [table for table, found in before.items() if not found] == [], "these are not filled"

    with migrated_database(server) as fresh:
        for _ in range(2):
            migrate(empty)
            assert dump(empty) == dump(fresh)
            assert checksums(empty) == checksums(fresh)
            assert contents(empty, columns) == before
            assert verify(empty) == []
            check(empty)
            rollback(empty, to=version)
            assert dump(empty) == of_release
            assert contents(empty, columns) == before


@pytest.mark.parametrize("version", RELEASES)
def test_events_are_not_written_anew(empty: str, version: str) -> None:
    """There may be many: an upgrade leaves their files as they are."""
    files = (
        "SELECT relid::text, pg_relation_filenode(relid) FROM pg_partition_tree('realtime.events')"
    )
    migrate(empty, to=version)
    fill(empty, version)
    before = rows(empty, files)
    assert len(before) > 1
    migrate(empty)
    assert set(before) <= set(rows(empty, files))


def test_to_a_next_release_and_back(server: EmbeddedPostgres, migrated: str, files: Path) -> None:
    """With what a release may bring: a column, a table, an index, functions and triggers."""
    newest = list(MigrationFiles.read().releases)[-1]
    columns = fill(migrated, newest)
    before, of_release = contents(migrated, columns), dump(migrated)
    add_next_release(files)
    with new_database(server) as fresh:
        migrate(fresh, directory=files)
        for _ in range(2):
            migrate(migrated, directory=files)
            assert dump(migrated) == dump(fresh)
            assert checksums(migrated) == checksums(fresh)
            assert contents(migrated, columns) == before
            rollback(migrated, directory=files, to="9.0.0")
            assert dump(migrated) == of_release
            assert contents(migrated, columns) == before
    assert verify(migrated) == []


def test_each_release_has_its_data() -> None:
    assert sorted(path.stem for path in Path(__file__).parent.glob("*.sql")) == sorted(RELEASES)
