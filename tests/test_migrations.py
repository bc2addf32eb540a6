"""Migrating: what it leaves, how far it goes, what it refuses. Going back: test_rollback.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from yoyo import get_backend, read_migrations

from roost.database import migration_session
from roost.database.embedded import EmbeddedPostgres
from roost.database.migration_files import MigrationError
from roost.database.migrations import check, migrate, migration_sql, status
from tests.migrating import add_migration, checksums, dump, execute, release, rows
from tests.support import (
    REPOSITORY,
    administrator,
    client_program,
    migrated_database,
    new_database,
    yoyo_url,
)

SCHEMA = REPOSITORY / "db" / "schema"
SCHEMA_FILES = [
    path for path in sorted(SCHEMA.glob("*.sql")) if not path.name.endswith(".rollback.sql")
]


def test_a_fresh_database(empty: str) -> None:
    said: list[str] = []
    migrate(empty, said.append)
    steps = [re.sub(r" in (\d+ ms|[\d.]+ s)$", " in N ms", line) for line in said]
    assert steps[:-1] == [f"Applied {path.stem} in N ms" for path in SCHEMA_FILES]
    assert re.fullmatch(r"Applied \d+ files of functions and triggers in N ms", steps[-1])
    assert status(empty).up_to_date
    check(empty)
    assert (
        rows(
            empty,
            """
        SELECT objects.what FROM (
            SELECT oid::regclass::text, relnamespace FROM pg_class
            UNION ALL SELECT oid::regprocedure::text, pronamespace FROM pg_proc
            UNION ALL SELECT oid::regtype::text, typnamespace FROM pg_type
        ) AS objects (what, namespace)
        WHERE objects.namespace = 'public'::regnamespace
        """,
        )
        == []
    )


def test_a_second_run_does_nothing(empty: str) -> None:
    migrate(empty)
    state = "SELECT xmin::text, oid FROM pg_proc UNION ALL SELECT xmin::text, oid FROM pg_class"
    before = sorted(rows(empty, state))
    recorded = rows(empty, "TABLE roost.migration_checksums")
    said: list[str] = []
    migrate(empty, said.append)
    assert said == []
    assert rows(empty, "TABLE roost.migration_checksums") == recorded
    assert sorted(rows(empty, state)) == before


def test_plain_yoyo_gives_the_same(server: EmbeddedPostgres, migrated: str) -> None:
    with new_database(server) as other:
        execute(other, "CREATE SCHEMA yoyo")
        yoyo = subprocess.run(
            [Path(sys.executable).parent / "yoyo", "apply", "--batch"],
            cwd=REPOSITORY,
            env={**os.environ, "YOYO_DATABASE_URL": yoyo_url(other)},
            capture_output=True,
            check=False,
            text=True,
        )
        assert yoyo.returncode == 0, yoyo.stderr
        assert dump(other) == dump(migrated)
        assert checksums(other) == checksums(migrated)
        said: list[str] = []
        migrate(other, said.append)
        assert said == []


def test_an_edited_migration_is_refused_by_name(database: str, files: Path) -> None:
    edited = files / "schema" / SCHEMA_FILES[3].name
    with edited.open("a") as file:
        file.write("\nCREATE TABLE roost.late (id bigint PRIMARY KEY);\n")
    add_migration(files, "9000.next", "CREATE TABLE roost.next ();", "DROP TABLE roost.next;")
    for refused in (migrate, check):
        with pytest.raises(MigrationError, match=rf"{edited.stem}(\.sql)? was edited after"):
            refused(database, directory=files)
    assert rows(database, "SELECT to_regclass('roost.next')") == [(None,)]


def test_other_line_ends_are_no_edit(database: str, files: Path) -> None:
    for path in files.rglob("*.sql"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert status(database, directory=files).up_to_date


def test_a_changed_function_is_applied_alone(database: str, files: Path) -> None:
    ping = files / "functions" / "system" / "ping.sql"
    ping.write_text(ping.read_text().replace("'pong'", "'pong, again'"))
    assert status(database, directory=files).pending == ["functions/system/ping.sql"]
    with pytest.raises(MigrationError, match=r"ping.sql to apply.: run roost migrate"):
        check(database, directory=files)
    others = "SELECT xmin::text, oid FROM pg_proc WHERE proname <> 'ping' ORDER BY oid"
    before = rows(database, others)
    said: list[str] = []
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("LISTEN roost_schema")
        migrate(database, said.append, directory=files)
        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
    assert said == ["Applied functions/system/ping.sql"]
    assert rows(database, others) == before
    assert rows(database, "SELECT api.ping()") == [("pong, again",)]


def test_what_a_file_that_is_gone_had_made_is_dropped(database: str, files: Path) -> None:
    extra = files / "functions" / "system" / "extra.sql"
    extra.write_text(
        "CREATE OR REPLACE FUNCTION roost.extra() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$;\n"
        "CREATE OR REPLACE TRIGGER extra AFTER UPDATE ON roost.users"
        " EXECUTE FUNCTION roost.extra();"
    )
    migrate(database, directory=files)
    extra.unlink()
    assert status(database, directory=files).pending == ["functions/system/extra.sql"]
    said: list[str] = []
    migrate(database, said.append, directory=files)
    assert said == ["Dropped FUNCTION roost.extra", "Dropped TRIGGER extra ON roost.users"]
    assert status(database, directory=files).up_to_date
    assert rows(database, "SELECT to_regproc('roost.extra')") == [(None,)]
    check(database)


def test_a_function_that_cannot_be_replaced_is_made_anew(database: str, files: Path) -> None:
    changing = files / "functions" / "system" / "changing.sql"
    function = "CREATE OR REPLACE FUNCTION roost.changing({}) RETURNS {} LANGUAGE sql RETURN 1;"
    changing.write_text(function.format("p_a integer", "integer"))
    migrate(database, directory=files)
    for arguments, result in (
        ("p_a integer", "bigint"),
        ("p_b integer", "bigint"),
        ("p_b integer, p_c text DEFAULT ''", "bigint"),
        ("p_b text", "bigint"),
    ):
        changing.write_text(function.format(arguments, result))
        migrate(database, directory=files)
        assert rows(
            database,
            "SELECT pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc"
            " WHERE proname = 'changing'",
        ) == [(arguments.replace("DEFAULT ''", "DEFAULT ''::text"), result)]


def test_a_right_or_an_owner_that_a_file_no_longer_gives_is_gone(
    server: EmbeddedPostgres, migrated: str, files: Path
) -> None:
    """CREATE OR REPLACE alone would keep both."""
    ping = files / "functions" / "system" / "ping.sql"
    text = ping.read_text()
    fewer = text.replace("TO roost_anon, roost_user, roost_service", "TO roost_user")
    unowned = fewer.replace("ALTER FUNCTION api.ping() OWNER TO roost_api;\n", "")
    assert len({text, fewer, unowned}) == 3
    ping.write_text(unowned)
    migrate(migrated, directory=files)
    with new_database(server) as fresh:
        migrate(fresh, directory=files)
        assert dump(migrated) == dump(fresh)


def test_a_function_that_something_needs_is_not_dropped(database: str, files: Path) -> None:
    needed = files / "functions" / "system" / "needed.sql"
    needed.write_text(
        "CREATE OR REPLACE FUNCTION roost.needed() RETURNS int LANGUAGE sql RETURN 1;"
    )
    migrate(database, directory=files)
    execute(database, "CREATE VIEW public.needs AS SELECT roost.needed()")
    before = dump(database)
    needed.write_text(
        "CREATE OR REPLACE FUNCTION roost.needed() RETURNS text LANGUAGE sql RETURN 'a';"
    )
    with pytest.raises(
        MigrationError,
        match=r"cannot drop .*roost\.needed.*view public\.needs depends.*drop what",
    ):
        migrate(database, directory=files)
    assert dump(database) == before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "CREATE OR REPLACE FUNCTION roost.zz() RETURNS int LANGUAGE sql RETURN 1;\n\n"
            "GRANT EXECUTE ON FUNCTION roost.zz() TU roost_api;\n",
            r"zz\.sql:3 failed: syntax error",
        ),
        (
            "CREATE OR REPLACE FUNCTION roost.zz() RETURNS int LANGUAGE plpgsql"
            " AS $$ BEGIN RETRUN 1; END $$;",
            r'the function roost\.zz\(\) is broken: syntax error at or near "RETRUN"',
        ),
        (
            "CREATE OR REPLACE FUNCTION roost.zz() RETURNS int LANGUAGE sql"
            " AS 'SELECT no FROM roost.where';",
            r'the function roost\.zz\(\) is broken: relation "roost\.where" does not exist',
        ),
    ],
)
def test_a_broken_function_changes_nothing(
    empty_database: str, files: Path, text: str, complaint: str
) -> None:
    broken = files / "functions" / "system" / "zz.sql"
    broken.write_text(text)
    with pytest.raises(MigrationError, match=complaint):
        migrate(empty_database, directory=files)
    assert rows(empty_database, "SELECT count(*) FROM pg_proc WHERE proname = 'ping'") == [(0,)]
    assert {row[1] for row in checksums(empty_database)} == {"schema"}
    broken.unlink()
    migrate(empty_database, directory=files)
    check(empty_database, directory=files)


def test_a_broken_migration_is_named_and_leaves_nothing(database: str, files: Path) -> None:
    rollback = "DROP TABLE roost.half;"
    text = "-- Why.\nCREATE TABLE roost.half ();\n\n-- So.\nSELECT 1,\n    1 / 0;\n"
    add_migration(files, "9000.broken", text, rollback)
    with pytest.raises(
        MigrationError, match=r"9000\.broken\.sql:7 failed: division by zero .22012."
    ):
        migrate(database, directory=files)
    add_migration(files, "9000.broken", text.replace("1 / 0", "no"), rollback)
    with pytest.raises(MigrationError, match=r'9000\.broken\.sql:8 failed: column "no" does not'):
        migrate(database, directory=files)
    assert rows(database, "SELECT to_regclass('roost.half')") == [(None,)]
    assert status(database, directory=files).pending[0] == "9000.broken"
    add_migration(files, "9000.broken", "CREATE TABLE roost.half ();\n", rollback)
    migrate(database, directory=files)
    assert rows(database, "SELECT to_regclass('roost.half') IS NULL") == [(False,)]
    check(database, directory=files)


def test_a_dropped_function_comes_back(database: str, files: Path) -> None:
    add_migration(files, "9000.drop", "DROP FUNCTION api.ping();", "DO $$ BEGIN END $$;")
    migrate(database, directory=files)
    assert rows(database, "SELECT api.ping()") == [("pong",)]


def test_as_far_as_a_migration(empty: str) -> None:
    migrate(empty, to="0005.devices")
    found = status(empty)
    assert found.applied == [path.stem for path in SCHEMA_FILES[:5]]
    assert found.pending[: len(SCHEMA_FILES) - 5] == [path.stem for path in SCHEMA_FILES[5:]]
    assert rows(empty, "SELECT count(*) FROM pg_proc WHERE proname = 'ping'") == [(0,)]
    with pytest.raises(MigrationError, match=r"behind .*0006\.sessions and \d+ more"):
        check(empty)
    said: list[str] = []
    migrate(empty, said.append, to="0006.sessions")
    assert said[0].startswith("Applied 0006.sessions in ")
    assert said[1:] == [
        "Functions and triggers are left as they are: none are known for 0006.sessions. They come"
        " with the next roost migrate"
    ]
    migrate(empty)
    check(empty)


def test_as_far_as_a_release(server: EmbeddedPostgres, empty: str, files: Path) -> None:
    with migrated_database(server) as first:
        release(files, "9.0.0")
        add_migration(files, "9000.next", "CREATE TABLE roost.next ();", "DROP TABLE roost.next;")
        ping = files / "functions" / "system" / "ping.sql"
        ping.write_text(ping.read_text().replace("'pong'", "'pong, again'"))
        extra = files / "functions" / "system" / "extra.sql"
        extra.write_text(
            "CREATE OR REPLACE FUNCTION roost.extra() RETURNS int LANGUAGE sql RETURN 1;"
        )
        migrate(empty, directory=files, to="9.0.0")
        assert dump(empty) == dump(first)
        assert checksums(empty) == checksums(first)
        check(empty)
    migrate(empty, directory=files)
    check(empty, directory=files)
    assert rows(empty, "SELECT api.ping(), roost.extra()") == [("pong, again", 1)]


def test_targets_that_are_none(empty_database: str) -> None:
    for target in ("0005", "devices", "5.0.0"):
        with pytest.raises(
            MigrationError, match=f"no migration or release {target}: write a whole"
        ):
            migrate(empty_database, to=target)
    with pytest.raises(MigrationError, match=r"no migration .* 0005: .* such as 0005\.devices"):
        migrate(empty_database, to="0005")
    migrate(empty_database)
    with pytest.raises(
        MigrationError, match=r"beyond 0005\.devices, since 0006\.sessions is applied"
    ):
        migrate(empty_database, to="0005.devices")
    check(empty_database)


def test_a_dry_run_prints_what_is_pending_and_changes_nothing(
    empty_database: str, files: Path
) -> None:
    everything = migration_sql(None)
    assert migration_sql(empty_database) == everything
    assert (
        rows(empty_database, "SELECT to_regnamespace('yoyo'), to_regrole('nobody')")[0][0] is None
    )
    places = [everything.index(path.read_text()) for path in SCHEMA_FILES]
    places += [
        everything.index(path.read_text()) for path in sorted((files / "triggers").iterdir())
    ]
    assert places == sorted(places)

    migrate(empty_database)
    assert migration_sql(empty_database) == ""
    add_migration(
        files,
        "9000.index",
        "-- transactional: false\nCREATE INDEX CONCURRENTLY later ON roost.users (created_at);\n",
        "DROP INDEX CONCURRENTLY IF EXISTS roost.later;\n",
    )
    extra = files / "functions" / "system" / "extra.sql"
    extra.write_text("CREATE OR REPLACE FUNCTION roost.extra() RETURNS int LANGUAGE sql RETURN 1;")
    before = dump(empty_database)
    printed = migration_sql(empty_database, files)
    assert printed.startswith("-- db/schema/9000.index.sql, outside a transaction\n\n-- depends: ")
    assert extra.read_text() in printed
    assert SCHEMA_FILES[0].read_text() not in printed
    assert dump(empty_database) == before
    assert not status(empty_database, directory=files).up_to_date


def test_what_is_printed_runs(server: EmbeddedPostgres, empty: str) -> None:
    """As a DBA would: through psql, each part in one transaction or outside, as it says."""
    parts = re.split(r"(?m)^(?=-- db/.*, (?:in one|outside a) transaction\b)", migration_sql(empty))
    assert len(parts) > 10
    with migrated_database(server) as other:
        for part in parts:
            bare = "outside a transaction" in part.partition("\n")[0]
            subprocess.run(
                [
                    client_program("psql"),
                    "--quiet",
                    "--no-psqlrc",
                    *([] if bare else ["--single-transaction"]),
                    "--set=ON_ERROR_STOP=1",
                    f"--dbname={empty}",
                ],
                input=part,
                check=True,
                capture_output=True,
                text=True,
            )
        assert dump(empty) == dump(other)


def test_a_newer_database_is_refused(database: str, files: Path) -> None:
    add_migration(files, "9000.future", "CREATE TABLE roost.future ();", "DROP TABLE roost.future;")
    migrate(database, directory=files)
    for refused in (migrate, check):
        with pytest.raises(MigrationError, match=r"newer.* does not know 9000\.future: install"):
            refused(database)


def test_yoyo_does_not_make_an_edited_migration_a_right_one(database: str, files: Path) -> None:
    edited = files / "schema" / SCHEMA_FILES[3].name
    edited.write_text(edited.read_text() + "SELECT 1;\n")
    add_migration(files, "9000.next", "CREATE TABLE roost.next ();", "DROP TABLE roost.next;")
    with get_backend(yoyo_url(database)) as backend:
        due = backend.to_apply(read_migrations(str(files / "schema")))
        with pytest.raises(MigrationError, match=rf"{edited.stem}(\.sql)? was edited after"):
            backend.apply_migrations(due)
    with pytest.raises(MigrationError, match=rf"{edited.stem}(\.sql)? was edited after"):
        migrate(database, directory=files)


def test_a_database_that_another_tool_has_emptied(database: str) -> None:
    execute(database, "DROP SCHEMA api, realtime, roost CASCADE")
    for refused in (migrate, migration_sql):
        with pytest.raises(MigrationError, match=r"it is gone: .* run DROP SCHEMA yoyo CASCADE"):
            refused(database)
    execute(database, "DROP SCHEMA yoyo CASCADE")
    migrate(database)
    check(database)


def test_a_bookkeeping_that_somebody_has_prepared(
    postgres: EmbeddedPostgres, empty_database: str
) -> None:
    """Its owner would have triggers on it run as whoever migrates."""
    name = str(conninfo_to_dict(empty_database)["dbname"])
    with administrator(postgres) as connection:
        connection.execute("CREATE ROLE mallory LOGIN")
        connection.execute(f"GRANT CREATE ON DATABASE {name} TO mallory".encode())
        try:
            execute(postgres.conninfo(name, "mallory"), "CREATE SCHEMA yoyo")
            with pytest.raises(
                MigrationError, match=r"the schema yoyo, .* belongs to mallory: let"
            ):
                migrate(empty_database)
            execute(empty_database, "DROP SCHEMA yoyo")
            migrate(empty_database)
        finally:
            connection.execute(f"REVOKE CREATE ON DATABASE {name} FROM mallory".encode())
            connection.execute("DROP ROLE mallory")


def test_a_bookkeeping_of_others_is_not_taken_for_a_newer_one(
    empty_database: str, tmp_path: Path
) -> None:
    (tmp_path / "their-first.sql").write_text("CREATE TABLE public.theirs ();")
    execute(empty_database, "CREATE SCHEMA yoyo")
    with get_backend(yoyo_url(empty_database)) as backend:
        backend.apply_migrations(read_migrations(str(tmp_path)))
    with pytest.raises(
        MigrationError, match=r"schema yoyo holds migrations of another application .their-first.:"
    ):
        migrate(empty_database)


def test_a_database_that_is_not_migrated(empty_database: str) -> None:
    with pytest.raises(MigrationError, match="not migrated: run roost migrate"):
        check(empty_database)
    assert status(empty_database).pending[:9] == [path.stem for path in SCHEMA_FILES[:9]]
    # Looking leaves no trace.
    assert rows(empty_database, "SELECT to_regnamespace('yoyo')") == [(None,)]


def test_who_may_serve(postgres: EmbeddedPostgres, database: str) -> None:
    name = str(conninfo_to_dict(database)["dbname"])
    check(postgres.conninfo(name, "roost_gateway"))
    with administrator(postgres) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
    with pytest.raises(MigrationError, match="GRANT roost_gateway TO stranger"):
        check(postgres.conninfo(name, "stranger"))


def test_servers_that_do_not_do(
    postgres: EmbeddedPostgres, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with administrator(postgres) as connection:
        connection.execute(
            "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'"
            " LOCALE_PROVIDER libc LOCALE 'C'"
        )
    with pytest.raises(MigrationError, match="encoding SQL_ASCII: Roost needs UTF8"):
        migrate(postgres.conninfo("ascii"))
    with pytest.raises(MigrationError, match=r'cannot connect .*"no_such" does not exist.*Check'):
        migrate(postgres.conninfo("no_such"))
    with pytest.raises(MigrationError, match=r"cannot connect to PostgreSQL: .*Check DATABASE_URL"):
        migrate(make_conninfo(empty_database, host="127.0.0.1", port=1))
    monkeypatch.setattr(migration_session, "OLDEST_SERVER", 19)
    with pytest.raises(MigrationError, match="this is PostgreSQL 18: Roost needs 19 or newer"):
        migrate(empty_database)
