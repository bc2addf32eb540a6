"""Runs db/tests/*.sql as pg_prove would: each through psql, in a session of its own."""

import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import migrate
from tests.support import REPOSITORY, administrator, client_program, pgtap_script

FILES = sorted((REPOSITORY / "db" / "tests").glob("*.sql"))
HELPERS = sorted((REPOSITORY / "tests" / "tap").glob("*.sql"))


@pytest.fixture(scope="session", params=["postgres", "postgres15"])
def tap_database(request: pytest.FixtureRequest) -> str:
    """A migrated database with pgTAP in schema tap, on each server that Roost has to run on."""
    server: EmbeddedPostgres = request.getfixturevalue(request.param)
    with administrator(server) as connection:
        connection.execute("CREATE DATABASE tap")
    conninfo = server.conninfo("tap")
    migrate(conninfo)
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE SCHEMA tap")
        # Tests take on the roles of clients.
        connection.execute("GRANT USAGE ON SCHEMA tap TO PUBLIC")
        connection.execute("SET LOCAL search_path = tap")
        connection.execute(pgtap_script().encode())
        for helpers in HELPERS:
            connection.execute(helpers.read_bytes())
    return conninfo


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_sql(tap_database: str, file: Path) -> None:
    run = subprocess.run(
        [
            client_program("psql"),
            # As pg_prove runs it.
            "--no-psqlrc",
            "--no-align",
            "--quiet",
            "--pset=pager=off",
            "--pset=tuples_only=true",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={tap_database}",
            f"--file={file}",
        ],
        env={"PGOPTIONS": "-c search_path=tap", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    failures = tap_failures(run.stdout)
    if run.returncode != 0:
        failures.append(f"psql ended with {run.returncode}:\n{run.stderr.strip()}")
    assert not failures, "\n".join(failures)


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
