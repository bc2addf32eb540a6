"""
Runs db/tests as pg_prove would: each file through psql, in a session of its own. On both servers
that the other tests have, or on the one that `make test-db` was told of.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import migrate
from tests.support import (
    REPOSITORY,
    Postgres15,
    administrator,
    client_program,
    migrated_database,
    new_database,
    running,
)
from tests.tap import ENVIRONMENT, PSQL_OPTIONS, TESTS, load_pgtap, sql_tests

# Set by `make test-db` alone, so that a DATABASE_URL that is meant for a server is left in peace.
PG_BIN = os.environ.get("ROOST_TEST_PG_BIN")
DATABASE_URL = os.environ.get("ROOST_TEST_DATABASE_URL")

if DATABASE_URL:
    SERVERS = ["DATABASE_URL"]
elif PG_BIN:
    SERVERS = ["PG_BIN"]
else:
    SERVERS = ["postgres", "postgres15"]


class NamedPostgres(Postgres15):
    """A server from the folder that PG_BIN names."""

    @property
    def binaries(self) -> Path:
        folder = Path(PG_BIN or "").resolve()
        if not (folder / "initdb").exists():
            pytest.exit(f"PG_BIN: there is no initdb in {folder}", returncode=1)
        return folder


@pytest.fixture(scope="session", params=SERVERS)
def tap_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database with pgTAP in schema tap, on each server in turn."""
    with contextlib.ExitStack() as stack:
        if request.param == "DATABASE_URL":
            conninfo = stack.enter_context(scratch_database(DATABASE_URL or ""))
            migrate(conninfo)
        elif request.param == "PG_BIN":
            server = stack.enter_context(running(NamedPostgres))
            conninfo = stack.enter_context(new_database(server))
            migrate(conninfo)
        else:
            server = request.getfixturevalue(request.param)
            conninfo = stack.enter_context(migrated_database(server))
        load_pgtap(conninfo)
        yield conninfo


@contextlib.contextmanager
def scratch_database(conninfo: str) -> Iterator[str]:
    """
    A new database on a server that others use too. Afterwards it is gone, and so are the roles that
    came with it. The database that the connection string names is only connected to.
    """
    try:
        connection = psycopg.connect(conninfo, autocommit=True)
    except psycopg.Error as error:
        pytest.exit(f"DATABASE_URL: {str(error).splitlines()[0]}", returncode=1)
    with connection:
        rights = connection.execute(
            "SELECT rolsuper OR rolcreatedb AND rolcreaterole, rolname"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert rights is not None
        if not rights[0]:
            pytest.exit(
                f"DATABASE_URL: the tests need a database of their own with its roles. As a"
                f" superuser: ALTER ROLE {rights[1]} CREATEDB CREATEROLE, or name another role",
                returncode=1,
            )
        before = roost_roles(connection)
        name = sql.Identifier(f"roost_test_{uuid.uuid4().hex}")
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(name)
        )
        try:
            yield make_conninfo(conninfo, dbname=name.as_string().strip('"'))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            for role in sorted(roost_roles(connection) - before):
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def roost_roles(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'roost\\_%'")
    return {name for (name,) in rows}


@pytest.mark.parametrize("file", sql_tests(), ids=lambda file: file.stem)
def test_sql(tap_database: str, file: Path) -> None:
    run = run_sql(tap_database, file)
    failures = tap_failures(run.stdout)
    if run.returncode != 0:
        failures.append(f"psql ended with {run.returncode}:\n{run.stderr.strip()}")
    assert not failures, "\n".join(failures)


def run_sql(conninfo: str, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [client_program("psql"), *PSQL_OPTIONS, f"--dbname={conninfo}", f"--file={file}"],
        # Another server's password may be in PGPASSWORD or ~/.pgpass.
        env={**(os.environ if DATABASE_URL else {}), **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("file", sql_tests(), ids=lambda file: file.stem)
def test_files_are_plain_sql(file: Path) -> None:
    """In one transaction that is rolled back, and without commands of psql: for any runner."""
    text = file.read_text(encoding="utf-8")
    assert re.match(r"(--[^\n]*\n)+BEGIN;\n\nSELECT plan\(\d+\);\n", text)
    assert text.endswith("\nSELECT * FROM finish();\n\nROLLBACK;\n")
    assert not re.search(r"^\s*\\|\\g|^(COMMIT|COPY)\b", text, re.MULTILINE)


def test_no_files(folder: Path) -> None:
    with pytest.raises(LookupError, match="there are no SQL tests in"):
        sql_tests(folder)


def tap_failures(output: str) -> list[str]:
    """
    What is wrong in the output of one test file, nothing when all is well. Follows version 13 of
    the Test Anything Protocol, but takes SKIP and TODO for failures: tests here are neither.
    """
    planned: int | None = None
    seen = 0
    failures: list[str] = []
    # Diagnostics belong to the failure before them.
    after_failure = False
    for line in output.splitlines():
        if match := re.fullmatch(r"1\.\.(\d+)", line):
            if planned is not None:
                failures.append("there are two plans")
            planned = int(match[1])
        elif match := re.match(r"(not )?ok (\d+)\b(.*)", line):
            seen += 1
            after_failure = bool(match[1] or re.search(r"(?i)#\s*(SKIP|TODO)\b", match[3]))
            if after_failure:
                failures.append(line)
            if int(match[2]) != seen:
                failures.append(f"test {match[2]} is number {seen}")
        elif line.startswith("Bail out!") or (line.startswith("#") and after_failure):
            failures.append(line)
    if planned is None:
        failures.append("there is no plan: the file has to begin with SELECT plan(n)")
    elif planned != seen:
        failures.append(f"{planned} tests were planned, and {seen} were run")
    elif planned == 0:
        failures.append("there are no tests")
    return failures


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("1..2\nok 1 - a\nok 2 - b\n", []),
        ("1..2\nok 1 - a\nnot ok 2 - b\n# Failed test 2\n", ["not ok 2 - b", "# Failed test 2"]),
        ("1..2\nok 1\n", ["2 tests were planned, and 1 were run"]),
        ("1..1\nok 1\nok 2\n", ["1 tests were planned, and 2 were run"]),
        ("1..2\nok 1\nok 3\n", ["test 3 is number 2"]),
        ("1..1\nok 1 - a # SKIP not today\n", ["ok 1 - a # SKIP not today"]),
        ("1..1\nnot ok 1 - a # TODO later\n", ["not ok 1 - a # TODO later"]),
        ("1..1\nok 1\nBail out! no server\n", ["Bail out! no server"]),
        ("ok 1\n", ["there is no plan: the file has to begin with SELECT plan(n)"]),
        ("", ["there is no plan: the file has to begin with SELECT plan(n)"]),
        ("1..0\n", ["there are no tests"]),
    ],
)
def test_tap_failures(output: str, expected: list[str]) -> None:
    assert tap_failures(output) == expected


PASSING = "BEGIN; SELECT plan(1); SELECT ok(true, 'is true'); SELECT * FROM finish(); ROLLBACK;"
FAILING = "BEGIN; SELECT plan(1); SELECT is(1, 2, 'one is two'); SELECT * FROM finish(); ROLLBACK;"


def test_a_failure_shows_its_diagnostics(tap_database: str, folder: Path) -> None:
    file = folder / "failing.sql"
    file.write_text(FAILING)
    failures = "\n".join(tap_failures(run_sql(tap_database, file).stdout))
    assert "not ok 1 - one is two" in failures
    assert re.search(r"#\s+have: 1\n#\s+want: 2", failures)


# On one server: pg_prove starts the same psql as `run_sql`, and each file passes on both above.
@pytest.mark.debian
@pytest.mark.parametrize("tap_database", SERVERS[:1], indirect=True)
def test_pg_prove(tap_database: str, folder: Path) -> None:
    run = pg_prove(tap_database, TESTS)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\nResult: PASS" in run.stdout
    # It ends with 0 as well when it has found nothing.
    assert f"\nFiles={len(sql_tests())}, " in run.stdout

    (folder / "passing.sql").write_text(PASSING)
    (folder / "failing.sql").write_text(FAILING)
    run = pg_prove(tap_database, folder)
    assert run.returncode != 0
    assert "\nFiles=2, Tests=2, " in run.stdout
    assert "failing.sql" in run.stdout
    assert "\nResult: FAIL" in run.stdout


def pg_prove(conninfo: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("pg_prove")
    if program is None:
        pytest.fail("pg_prove is missing: run `make debian`")
    # A connection string is not for pg_prove, which asks for its parts.
    parts = conninfo_to_dict(conninfo)
    return subprocess.run(
        [
            program,
            f"--psql-bin={client_program('psql')}",
            f"--host={parts['host']}",
            f"--port={parts['port']}",
            f"--username={parts['user']}",
            f"--dbname={parts['dbname']}",
            "--ext=.sql",
            "-r",
            folder,
        ],
        env={**ENVIRONMENT, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_preparing_a_database_by_hand(empty_database: str) -> None:
    # Twice: a person does it again after an edit.
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-m", "tests.tap", empty_database],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert "pg_prove --ext .sql -r db/tests" in run.stdout
    assert tap_failures(run_sql(empty_database, TESTS / "system.sql").stdout) == []


@pytest.mark.parametrize("server_type", [EmbeddedPostgres, Postgres15])
def test_another_server_is_left_as_it_was(server_type: type[EmbeddedPostgres]) -> None:
    """`make test-db DATABASE_URL=...` with a role that is no superuser."""
    with running(server_type) as server:
        with administrator(server) as connection:
            connection.execute("CREATE ROLE tester LOGIN CREATEDB CREATEROLE")
            connection.execute("CREATE ROLE stranger LOGIN")
            connection.execute("CREATE DATABASE theirs OWNER tester")
            before = everything_on(connection)

            url = server.conninfo("theirs", "tester")
            run = pytest_with("ROOST_TEST_DATABASE_URL", url)
            assert run.returncode == 0, run.stdout + run.stderr
            assert f"{len(sql_tests())} passed" in run.stdout
            assert everything_on(connection) == before

            run = pytest_with("ROOST_TEST_DATABASE_URL", server.conninfo("theirs", "stranger"))
            assert run.returncode == 1
            assert "ALTER ROLE stranger CREATEDB CREATEROLE" in run.stdout
            assert everything_on(connection) == before

        with psycopg.connect(url) as theirs:
            found = theirs.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'"
                " UNION ALL"
                " SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            ).fetchall()
    assert found == [("public",)]


def test_another_installation(folder: Path) -> None:
    """`make test-db PG_BIN=...`."""
    run = pytest_with("ROOST_TEST_PG_BIN", str(client_program("psql").parent), "[PG_BIN-system]")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout

    run = pytest_with("ROOST_TEST_PG_BIN", str(folder))
    assert run.returncode == 1
    assert f"PG_BIN: there is no initdb in {folder}" in run.stdout


def everything_on(connection: psycopg.Connection) -> list[tuple[str, ...]]:
    return connection.execute(
        "SELECT 'database', datname FROM pg_database"
        " UNION ALL SELECT 'role', rolname FROM pg_roles ORDER BY 1, 2"
    ).fetchall()


def pytest_with(variable: str, value: str, case: str = "") -> subprocess.CompletedProcess[str]:
    """What `make test-db` runs."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"{__file__}::test_sql{case}"],
        cwd=REPOSITORY,
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        check=False,
    )
