"""Going back: by one, to a migration, to a release, all the way; with roost and with plain yoyo."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.migrations import check, migrate, rollback, rollback_sql, status
from roost.database.verification import verify
from tests.migrating import (
    add_migration,
    add_next_release,
    checksums,
    dump,
    execute,
    release,
    rows,
)
from tests.support import REPOSITORY, migrated_database, new_database, yoyo_url

IDS = list(MigrationFiles.read().migrations)


def run_yoyo(conninfo: str, *arguments: str) -> None:
    """Plain yoyo with the yoyo.ini of the repository."""
    run = subprocess.run(
        [Path(sys.executable).parent / "yoyo", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "YOYO_DATABASE_URL": yoyo_url(conninfo)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert run.returncode == 0, run.stderr


def test_one_after_the_other_and_back(migrated: str) -> None:
    before = dump(migrated)
    for left in range(len(IDS) - 1, 0, -1):
        rollback(migrated)
        assert status(migrated).applied == IDS[:left]
        if left in {1, 4, len(IDS) - 1}:
            migrate(migrated)
            assert dump(migrated) == before, f"after rolling back to {left}"
            rollback(migrated, to=IDS[left - 1])
    migrate(migrated)
    check(migrated)
    assert verify(migrated) == []


def test_everything(server: EmbeddedPostgres, empty: str) -> None:
    before = dump(empty)
    migrate(empty)
    said: list[str] = []
    rollback(empty, said.append, everything=True)
    steps = [line.split(" in ")[0] for line in said if line.startswith("Rolled back")]
    assert steps == [f"Rolled back {name}" for name in IDS[::-1]]
    # What PostgreSQL remarks is passed on.
    assert any(re.match(r"0009\.messages\.rollback\.sql: drop cascades to", line) for line in said)
    assert dump(empty) == before
    assert rows(empty, "SELECT to_regnamespace('yoyo')") == [(None,)]
    assert not status(empty).applied
    migrate(empty)
    with migrated_database(server) as other:
        assert dump(empty) == dump(other)


def test_bookkeeping_of_others_stays(empty_database: str) -> None:
    execute(empty_database, "CREATE SCHEMA yoyo")
    migrate(empty_database)
    rollback(empty_database, everything=True)
    assert rows(empty_database, "SELECT count(*) FROM yoyo._yoyo_migration") == [(0,)]
    with pytest.raises(MigrationError, match="nothing to roll back"):
        rollback(empty_database)


def test_back_to_a_release(migrated: str, files: Path) -> None:
    before, recorded = dump(migrated), checksums(migrated)
    add_next_release(files)
    migrate(migrated, directory=files)
    after = dump(migrated)
    assert rows(migrated, "SELECT api.ping()") == [(42,)]

    said: list[str] = []
    assert rollback(migrated, said.append, files) == "9000.language"
    assert said[0].startswith("Rolled back 9001.language_index in ")
    assert said[1].startswith("Functions and triggers are left as they are")
    assert rows(migrated, "SELECT api.ping()") == [(42,)]

    assert rollback(migrated, directory=files, to="9.0.0") == "9.0.0"
    assert dump(migrated) == before
    assert checksums(migrated) == recorded
    # The release itself finds its own.
    check(migrated)
    assert verify(migrated) == []
    rollback(migrated, directory=files, to="9.0.0")
    assert dump(migrated) == before

    migrate(migrated, directory=files)
    assert dump(migrated) == after
    # To the last migration of a release is to the release.
    rollback(migrated, directory=files, to=IDS[-1])
    assert dump(migrated) == before


def test_a_release_without_migrations(database: str, files: Path) -> None:
    before = dump(database)
    release(files, "9.0.0")
    ping = files / "functions" / "system" / "ping.sql"
    ping.write_text(ping.read_text().replace("'pong'", "'pong, again'"))
    migrate(database, directory=files)
    said: list[str] = []
    rollback(database, said.append, files, to="9.0.0")
    assert said == ["Applied functions/system/ping.sql"]
    assert dump(database) == before


def test_nothing_is_guessed(database: str, files: Path) -> None:
    add_next_release(files)
    before = dump(database)
    for target, complaint in (
        ("9000.language", r"9000\.language is not a way back: 9000\.language is not applied"),
        ("0005", r"no migration or release 0005: write a whole id, such as 0005\.devices"),
        ("9.1.0", r"no migration or release 9\.1\.0: .* or a version .*9\.0\.0."),
    ):
        with pytest.raises(MigrationError, match=complaint):
            rollback(database, directory=files, to=target)
    # A branch that was merged late: its number is lower, but it came last.
    migrate(database, directory=files)
    add_migration(files, "8000.late", "CREATE TABLE roost.late ();", "DROP TABLE roost.late;")
    migrate(database, directory=files)
    late = dump(database)
    with pytest.raises(
        MigrationError, match=r"9001\.language_index is the last in order, and 8000\.late was"
    ):
        rollback(database, directory=files)
    assert dump(database) == late
    rollback(database, directory=files, to=IDS[-1])
    assert dump(database) == before


def test_a_changed_or_an_unknown_migration_is_not_undone(database: str, files: Path) -> None:
    add_migration(files, "9000.next", "CREATE TABLE roost.next ();", "DROP TABLE roost.next;")
    migrate(database, directory=files)
    with pytest.raises(MigrationError, match=r"does not know 9000\.next: install a newer one"):
        rollback(database)
    add_migration(files, "9000.next", "CREATE TABLE roost.other ();", "DROP TABLE roost.other;")
    with pytest.raises(MigrationError, match=r"9000\.next was edited after"):
        rollback(database, directory=files)
    assert rows(database, "SELECT to_regclass('roost.next')::text") == [("roost.next",)]


def test_a_rollback_that_fails_is_named_and_undoes_nothing(database: str, files: Path) -> None:
    add_migration(
        files,
        "9000.next",
        "CREATE TABLE roost.next ();",
        "DROP TABLE roost.next;\nDROP TABLE roost.no_such;",
    )
    migrate(database, directory=files)
    with pytest.raises(MigrationError, match=r"9000\.next\.rollback\.sql:3 failed: table .no_such"):
        rollback(database, directory=files)
    assert rows(database, "SELECT to_regclass('roost.next')::text") == [("roost.next",)]
    assert status(database, directory=files).up_to_date


def test_a_dry_run_prints_and_changes_nothing(database: str, files: Path) -> None:
    add_next_release(files)
    migrate(database, directory=files)
    before = dump(database)
    printed = rollback_sql(database, files, to="9.0.0")
    expected = [
        (files / "schema" / "9001.language_index.rollback.sql").read_text(),
        (files / "schema" / "9000.language.rollback.sql").read_text(),
        "DROP TRIGGER IF EXISTS note_language ON roost.messages;",
        "DROP ROUTINE IF EXISTS api.ping, roost.list_languages, roost.note_language;",
        (REPOSITORY / "db" / "functions" / "system" / "ping.sql").read_text(),
    ]
    places = [printed.index(text) for text in expected]
    assert places == sorted(places)
    assert dump(database) == before


def test_yoyo_gives_the_same_on_the_way_there_and_back(
    server: EmbeddedPostgres, migrated: str
) -> None:
    with new_database(server) as other:
        execute(other, "CREATE SCHEMA yoyo")
        run_yoyo(other, "apply", "--batch")
        assert (dump(other), checksums(other)) == (dump(migrated), checksums(migrated))
        for _ in range(2):
            run_yoyo(other, "rollback", "--batch")
            rollback(migrated)
            assert dump(other) == dump(migrated)
        run_yoyo(other, "apply", "--batch")
        migrate(migrated)
        assert (dump(other), checksums(other)) == (dump(migrated), checksums(migrated))
        said: list[str] = []
        migrate(other, said.append)
        assert said == []
        run_yoyo(other, "rollback", "--batch", "--all")
        rollback(migrated, everything=True)
        execute(other, "DROP SCHEMA yoyo CASCADE")
        assert dump(other) == dump(migrated)


def test_roost_sees_what_yoyo_has_rolled_back(database: str) -> None:
    before, recorded = dump(database), checksums(database)
    # One in the middle takes those along that depend on it.
    run_yoyo(database, "rollback", "--batch", "--revision", "0007.realtime")
    assert status(database).applied == IDS[:6]
    with pytest.raises(MigrationError, match=r"behind .*0007\.realtime and"):
        check(database)
    # And one in the middle brings those that it depends on.
    run_yoyo(database, "apply", "--batch", "--revision", IDS[-1])
    assert (dump(database), checksums(database)) == (before, recorded)
    run_yoyo(database, "rollback", "--batch", "--revision", "0007.realtime")
    rollback(database, to=IDS[2])
    assert status(database).applied == IDS[:3]
    migrate(database)
    assert (dump(database), checksums(database)) == (before, recorded)


def test_what_is_committed_before_an_error_stays(database: str, files: Path) -> None:
    add_migration(files, "9000.a", "CREATE TABLE roost.a ();", "DROP TABLE roost.no_such;")
    add_migration(files, "9001.b", "CREATE TABLE roost.b ();", "DROP TABLE roost.b;")
    migrate(database, directory=files)
    with pytest.raises(MigrationError, match=r"9000\.a\.rollback"):
        rollback(database, directory=files, to=IDS[-1])
    assert status(database, directory=files).pending[0] == "9001.b"
    migrate(database, directory=files)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('roost.b')::text").fetchone() == ("roost.b",)
