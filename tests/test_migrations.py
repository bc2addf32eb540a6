"""Migrations: what they leave, what they refuse, and what happens when they are cut short."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlparse
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from yoyo import get_backend, read_migrations

from roost.database import migrations
from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import MigrationError, check, migrate, status
from tests.support import (
    REPOSITORY,
    Postgres15,
    administrator,
    client_program,
    new_database,
    running,
    yoyo_url,
)

SCHEMA = REPOSITORY / "db" / "schema"
SCHEMA_FILES = [
    path for path in sorted(SCHEMA.glob("*.sql")) if not path.name.endswith(".rollback.sql")
]


@pytest.fixture(params=["postgres", "postgres15"])
def server(request: pytest.FixtureRequest) -> EmbeddedPostgres:
    """Each of the servers that Roost has to run on."""
    postgres: EmbeddedPostgres = request.getfixturevalue(request.param)
    return postgres


@pytest.fixture
def empty(server: EmbeddedPostgres) -> Iterator[str]:
    """An empty database on each of the servers."""
    with new_database(server) as conninfo:
        yield conninfo


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the folder db, to change."""
    return Path(shutil.copytree(REPOSITORY / "db", tmp_path / "db"))


def rows(conninfo: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def execute(conninfo: str, statement: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())


def dump(conninfo: str) -> str:
    """All definitions, without the random word that guards them and the version of the server."""
    text = subprocess.run(
        [client_program("pg_dump"), "--schema-only", f"--dbname={conninfo}"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return re.sub(r"(?m)^(\\(un)?restrict .*|-- Dumped .*)$", "", text)


def checksums(conninfo: str) -> list[tuple[Any, ...]]:
    return rows(conninfo, "SELECT id, kind, sha256 FROM roost.migration_checksums ORDER BY id")


def roll_back(conninfo: str, count: int | None = None) -> None:
    """Rolls back the newest migrations, as a person does with yoyo."""
    with get_backend(yoyo_url(conninfo)) as backend, backend.lock():
        applied = backend.to_rollback(read_migrations(str(SCHEMA)))
        backend.rollback_migrations(applied[:count])


def test_a_fresh_database(empty: str) -> None:
    said: list[str] = []
    migrate(empty, said.append)
    assert [line for line in said if ".sql" not in line][: len(SCHEMA_FILES)] == [
        f"Applied {path.stem}" for path in SCHEMA_FILES
    ]
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


def test_each_migration_can_be_rolled_back(empty: str) -> None:
    migrate(empty)
    before = dump(empty)
    for count in range(1, len(SCHEMA_FILES) + 1):
        roll_back(empty, count)
        assert rows(empty, "SELECT count(*) FROM yoyo._yoyo_migration") == [
            (len(SCHEMA_FILES) - count,)
        ]
        migrate(empty)
        assert dump(empty) == before, f"after rolling back {count}"
    roll_back(empty)
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'yoyo'"
    assert sorted(rows(empty, schemas)) == [("information_schema",), ("public",)]


def test_plain_yoyo_gives_the_same(server: EmbeddedPostgres, empty: str) -> None:
    migrate(empty)
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
        assert dump(other) == dump(empty)
        assert checksums(other) == checksums(empty)
        said: list[str] = []
        migrate(other, said.append)
        assert said == []


@pytest.mark.parametrize("kind", [EmbeddedPostgres, Postgres15])
def test_an_owner_who_is_no_superuser(kind: type[EmbeddedPostgres]) -> None:
    # On a server of its own: roles are shared by all databases of one.
    with running(kind) as postgres:
        with administrator(postgres) as connection:
            connection.execute("CREATE ROLE deployer LOGIN CREATEROLE")
            connection.execute("CREATE DATABASE app OWNER deployer")
        conninfo = postgres.conninfo("app", "deployer")
        migrate(conninfo)
        said: list[str] = []
        migrate(conninfo, said.append)
        assert said == []
        check(conninfo)
        with new_database(postgres) as other:
            migrate(other)
            ours = dump(postgres.conninfo("app"))
            assert ours.replace("deployer", "postgres") == dump(other)


def test_an_edited_migration_is_refused_by_name(empty_database: str, files: Path) -> None:
    migrate(empty_database, directory=files)
    edited = files / "schema" / SCHEMA_FILES[3].name
    with edited.open("a") as file:
        file.write("\nCREATE TABLE roost.late (id bigint PRIMARY KEY);\n")
    (files / "schema" / "9000.next.sql").write_text("CREATE TABLE roost.next ();\n")
    for refused in (migrate, check):
        with pytest.raises(MigrationError, match=f"{edited.stem} was edited after"):
            refused(empty_database, directory=files)
    assert rows(empty_database, "SELECT to_regclass('roost.next')") == [(None,)]


def test_other_line_ends_are_no_edit(empty_database: str, files: Path) -> None:
    migrate(empty_database, directory=files)
    for path in files.rglob("*.sql"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert status(empty_database, directory=files).up_to_date


def test_a_changed_function_is_applied_alone(empty_database: str, files: Path) -> None:
    migrate(empty_database, directory=files)
    ping = files / "functions" / "system" / "ping.sql"
    ping.write_text(ping.read_text().replace("'pong'", "'pong, again'"))
    assert status(empty_database, directory=files).changed == ["functions/system/ping.sql"]
    with pytest.raises(MigrationError, match=r"ping.sql to apply.: run roost migrate"):
        check(empty_database, directory=files)
    others = "SELECT xmin::text, oid FROM pg_proc WHERE proname <> 'ping' ORDER BY oid"
    before = rows(empty_database, others)
    said: list[str] = []
    with psycopg.connect(empty_database, autocommit=True) as listener:
        listener.execute("LISTEN roost_schema")
        migrate(empty_database, said.append, directory=files)
        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
    assert said == ["Applied functions/system/ping.sql"]
    assert rows(empty_database, others) == before
    assert rows(empty_database, "SELECT api.ping()") == [("pong, again",)]


def test_a_function_whose_file_is_gone_is_forgotten(empty_database: str, files: Path) -> None:
    extra = files / "functions" / "system" / "extra.sql"
    extra.write_text("CREATE FUNCTION roost.extra() RETURNS int LANGUAGE sql RETURN 1;\n")
    migrate(empty_database, directory=files)
    extra.unlink()
    (files / "schema" / "9000.drop_extra.sql").write_text("DROP FUNCTION roost.extra();\n")
    said: list[str] = []
    migrate(empty_database, said.append, directory=files)
    assert any(line.startswith("Forgot functions/system/extra.sql") for line in said)
    assert status(empty_database, directory=files).up_to_date


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;\n\nCREATE FUNKTION f();\n", r"zz\.sql:3 failed: syntax error"),
        (
            "CREATE FUNCTION roost.zz() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETRUN 1; END $$;",
            r'the function roost\.zz\(\) is broken: syntax error at or near "RETRUN"',
        ),
        (
            "CREATE FUNCTION roost.zz() RETURNS int LANGUAGE sql AS 'SELECT no FROM roost.where';",
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
    assert checksums(empty_database) == []
    broken.unlink()
    migrate(empty_database, directory=files)
    check(empty_database, directory=files)


def test_a_broken_migration_is_named_and_leaves_nothing(empty_database: str, files: Path) -> None:
    broken = files / "schema" / "9000.broken.sql"
    broken.write_text("CREATE TABLE roost.half ();\nSELECT 1 / 0;\n")
    with pytest.raises(MigrationError, match=r"9000\.broken failed: division by zero .22012."):
        migrate(empty_database, directory=files)
    assert rows(empty_database, "SELECT to_regclass('roost.half')") == [(None,)]
    broken.write_text("CREATE TABLE roost.half ();\n")
    migrate(empty_database, directory=files)
    assert rows(empty_database, "SELECT to_regclass('roost.half') IS NULL") == [(False,)]


def test_a_migration_outside_a_transaction(empty_database: str, files: Path) -> None:
    (files / "schema" / "9000.index.sql").write_text(
        "-- transactional: false\nCREATE INDEX CONCURRENTLY later ON roost.users (created_at);\n"
    )
    said: list[str] = []
    migrate(empty_database, said.append, directory=files)
    assert "Applied 9000.index" in said
    assert rows(empty_database, "SELECT to_regclass('roost.later') IS NULL") == [(False,)]
    check(empty_database, directory=files)


def test_a_dropped_function_comes_back(empty_database: str, files: Path) -> None:
    migrate(empty_database, directory=files)
    (files / "schema" / "9000.drop.sql").write_text("DROP FUNCTION api.ping();\n")
    migrate(empty_database, directory=files)
    assert rows(empty_database, "SELECT api.ping()") == [("pong",)]


def test_a_newer_database_is_refused(empty_database: str, files: Path) -> None:
    (files / "schema" / "9000.future.sql").write_text("CREATE TABLE roost.future ();\n")
    migrate(empty_database, directory=files)
    for refused in (migrate, check):
        with pytest.raises(MigrationError, match=r"newer.* does not know 9000\.future: install"):
            refused(empty_database)


def test_a_database_that_is_not_migrated(empty_database: str) -> None:
    with pytest.raises(MigrationError, match="not migrated: run roost migrate"):
        check(empty_database)
    assert status(empty_database).pending == [path.stem for path in SCHEMA_FILES]
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
    monkeypatch.setattr(migrations, "OLDEST_SERVER", 19)
    with pytest.raises(MigrationError, match="this is PostgreSQL 18: Roost needs 19 or newer"):
        migrate(empty_database)


def start_migrating(conninfo: str, files: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import functools, sys; from pathlib import Path;"
            "from roost.database.migrations import migrate;"
            "migrate(sys.argv[1], functools.partial(print, flush=True), Path(sys.argv[2]))",
            conninfo,
            str(files),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_at_once_take_turns(empty_database: str, files: Path) -> None:
    """The first is held up by a lock that the test has, until the second says that it waits."""
    (files / "schema" / "9000.slow.sql").write_text("SELECT pg_advisory_xact_lock(42);\n")
    with psycopg.connect(empty_database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        with start_migrating(empty_database, files) as first:
            assert first.stdout is not None
            assert f"Applied {SCHEMA_FILES[-1].stem}\n" in iter(first.stdout.readline, "")
            with start_migrating(empty_database, files) as second:
                assert second.stdout is not None
                waiting = "Waiting for another migration of this database to end\n"
                assert second.stdout.readline() == waiting
                holder.execute("SELECT pg_advisory_unlock(42)")
                assert second.communicate()[0] == ""
            assert first.communicate()[0].startswith("Applied 9000.slow\n")
    assert (first.returncode, second.returncode) == (0, 0)
    check(empty_database, directory=files)


def test_the_run_after_a_killed_one_goes_on(empty_database: str, files: Path) -> None:
    """The server still runs the statement of the killed one; the next waits for its end."""
    (files / "schema" / "9000.slow.sql").write_text(
        "CREATE TABLE roost.slow ();\nSELECT pg_advisory_xact_lock(42);\n"
    )
    with psycopg.connect(empty_database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        with start_migrating(empty_database, files) as killed:
            waiting = (
                "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"
            )
            while holder.execute(waiting).fetchone() is None:
                assert killed.poll() is None
            killed.send_signal(signal.SIGKILL)
        with start_migrating(empty_database, files) as following:
            assert following.stdout is not None
            assert following.stdout.readline().startswith("Waiting for yoyo, which is at work")
            holder.execute("SELECT pg_advisory_unlock(42)")
            said = following.communicate()[0].splitlines()
    assert following.returncode == 0
    assert said[:2] == ["Clearing the lock of a migration that was killed", "Applied 9000.slow"]
    check(empty_database, directory=files)


@pytest.mark.parametrize("file", SCHEMA_FILES, ids=lambda file: file.stem)
def test_the_form_of_a_migration(file: Path) -> None:
    """What yoyo takes silently and does wrongly (its pitfalls)."""
    rollback = file.with_suffix(".rollback.sql")
    assert re.fullmatch(r"\d{4}\.[a-z0-9_]+", file.stem)
    for path in (file, rollback):
        text = path.read_text(encoding="utf-8")
        statements = sqlparse.split(text)
        assert statements, f"{path.name} is empty"
        assert not text.startswith("\ufeff"), "a byte order mark is taken for SQL"
        assert "/*" not in text, "block comments are split in their middle"
        assert not re.search(r"(?m)^\\", text), "psql commands are for psql"
        for statement in statements:
            first = sqlparse.format(statement, strip_comments=True).split()
            assert not first or first[0].upper() not in {"BEGIN", "COMMIT", "ROLLBACK"}
        almost = re.findall(r"(?im)^\s*--\s*((?:depend|requir|transact)\w*)\s*:", text)
        assert set(almost) <= {"depends", "transactional"}, "yoyo takes it for a comment"
        if re.search(r"(?m)^-- transactional: false$", text):
            assert len(statements) == 1, "on an error yoyo undoes what it did not do"
