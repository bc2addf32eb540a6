"""
What is wrong with SQL that can be seen without running it. `make lint` runs squawk and sqlfluff on
the files; here is shown that they would find something. plpgsql_check reads what is in a database.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString, NamedTuple

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from tests.debian import DebianPostgres
from tests.support import REPOSITORY, migrated_database, running

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        (
            "require-concurrent-index-creation",
            "CREATE INDEX messages_x_idx ON roost.messages (x);",
        ),
        (
            "ban-concurrent-index-creation-in-transaction",
            "CREATE INDEX CONCURRENTLY messages_x_idx ON roost.messages (x);",
        ),
        ("require-concurrent-index-deletion", "DROP INDEX roost.messages_x_idx;"),
        ("require-concurrent-reindex", "REINDEX TABLE roost.messages;"),
        (
            "adding-field-with-default",
            "ALTER TABLE roost.messages ADD COLUMN x uuid NOT NULL DEFAULT gen_random_uuid();",
        ),
        ("adding-required-field", "ALTER TABLE roost.messages ADD COLUMN x bigint NOT NULL;"),
        ("adding-not-nullable-field", "ALTER TABLE roost.messages ALTER COLUMN x SET NOT NULL;"),
        (
            "constraint-missing-not-valid",
            "ALTER TABLE roost.messages ADD CONSTRAINT x_counts CHECK (x > 0);",
        ),
        (
            "adding-foreign-key-constraint",
            "ALTER TABLE roost.messages ADD CONSTRAINT x_fkey"
            " FOREIGN KEY (x) REFERENCES roost.users (id);",
        ),
        (
            "disallowed-unique-constraint",
            "ALTER TABLE roost.messages ADD CONSTRAINT x_key UNIQUE (x);",
        ),
        ("changing-column-type", "ALTER TABLE roost.messages ALTER COLUMN x TYPE numeric;"),
        ("renaming-column", "ALTER TABLE roost.messages RENAME COLUMN x TO y;"),
        ("renaming-table", "ALTER TABLE roost.messages RENAME TO letters;"),
        ("ban-drop-column", "ALTER TABLE roost.messages DROP COLUMN x;"),
        ("ban-drop-table", "DROP TABLE roost.messages;"),
        ("prefer-identity", "CREATE TABLE roost.x (id bigserial PRIMARY KEY);"),
        ("prefer-bigint-over-int", "CREATE TABLE roost.x (id integer PRIMARY KEY);"),
        ("prefer-text-field", "CREATE TABLE roost.x (name varchar(100));"),
        ("prefer-timestamp-tz", "CREATE TABLE roost.x (at timestamp);"),
        ("transaction-nesting", "COMMIT;"),
    ],
    ids=lambda value: value if " " not in value else "",
)
def test_squawk_finds(folder: Path, rule: str, statement: str) -> None:
    # Alone it may be taken for a file that is not in a transaction.
    assert rule in squawk(folder, f"SET LOCAL ROLE roost_owner;\n\n{statement}\n")


@pytest.mark.parametrize(
    "text",
    [
        "-- transactional: false\nCREATE INDEX CONCURRENTLY x_idx ON roost.messages (x);\n",
        "-- transactional: false\nDROP INDEX CONCURRENTLY roost.messages_x_idx;\n",
        "ALTER TABLE roost.messages ADD COLUMN x bigint NOT NULL DEFAULT 0;\n",
        "ALTER TABLE roost.messages ADD CONSTRAINT x_counts CHECK (x > 0) NOT VALID;\n",
        "ALTER TABLE roost.messages VALIDATE CONSTRAINT x_counts;\n",
        "CREATE TABLE roost.x (id bigint PRIMARY KEY, at timestamptz);\n"
        "CREATE INDEX x_at_idx ON roost.x (at);\n",
    ],
    ids=[
        "index",
        "no index",
        "constant default",
        "constraint",
        "its validation",
        "index on a new table",
    ],
)
def test_squawk_passes(folder: Path, text: str) -> None:
    assert squawk(folder, text) == set()


def squawk(folder: Path, text: str) -> set[str]:
    """The rules that a migration offends."""
    file = folder / "0123.example.sql"
    file.write_text(text)
    run = subprocess.run(
        [BIN / "squawk", "--reporter=json", file],
        # Where its configuration is.
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {finding["rule_name"] for finding in json.loads(run.stdout)}
    # The exit code is what stops `make lint`.
    assert run.returncode == (1 if found else 0), run.stderr
    return found


SQLFLUFF = {
    "CP01": "select x FROM roost.messages;\n",
    "CP02": "SELECT X FROM roost.messages;\n",
    "CP03": "SELECT Now() FROM roost.messages;\n",
    "CP05": "CREATE TABLE roost.x (at TIMESTAMPTZ);\n",
    "AL01": "SELECT message.x FROM roost.messages message;\n",
    "AL02": "SELECT x y FROM roost.messages;\n",
    "AL05": "SELECT 1 AS x FROM roost.messages AS message;\n",
    "CV01": "SELECT x FROM roost.messages WHERE x != 1;\n",
    "CV05": "SELECT x FROM roost.messages WHERE x = NULL;\n",
    "LT01": "SELECT x  FROM roost.messages WHERE x=1;\n",
    "LT04": "SELECT\n    x\n    , y\nFROM roost.messages;\n",
    "LT05": f"SELECT x FROM roost.messages; -- {'x' * 100}\n",
    "LT12": "SELECT x FROM roost.messages;",
    "LT13": "\n\nSELECT x FROM roost.messages;\n",
    "PRS": "SELEKT x FROM roost.messages;\n",
    "nothing": "SELECT message.x FROM roost.messages AS message WHERE message.x = ANY ('{1}');\n",
}


def test_sqlfluff_finds(folder: Path) -> None:
    """All files in one run: starting it takes longer than reading them."""
    for name, text in SQLFLUFF.items():
        (folder / f"{name}.sql").write_text(text)
    run = subprocess.run(
        [BIN / "sqlfluff", "lint", f"--config={REPOSITORY / '.sqlfluff'}", "--format=json", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    found = {
        Path(file["filepath"]).stem: {violation["code"] for violation in file["violations"]}
        for file in json.loads(run.stdout)
    }
    assert found.pop("nothing") == set()
    assert {name for name, codes in found.items() if name in codes} == SQLFLUFF.keys() - {"nothing"}
    # The exit code is what stops `make lint`.
    assert run.returncode == 1


def test_lines_fit() -> None:
    """sqlfluff does not look into $$ bodies."""
    long = [
        f"{file.relative_to(REPOSITORY)}:{number}"
        for folder in ("schema", "functions", "triggers", "tests")
        for file in sorted((REPOSITORY / "db" / folder).rglob("*.sql"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 100 or "\t" in line or line != line.rstrip()
    ]
    assert not long, "longer than 100 columns, with tabs or trailing blanks:\n" + "\n".join(long)


def test_missing_packages_are_named() -> None:
    run = subprocess.run(
        ["/bin/bash", REPOSITORY / ".ci" / "debian.sh"],
        # Neither dpkg nor apt-get is found.
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    for package in ("postgresql-15-plpgsql-check", "libtap-parser-sourcehandler-pgtap-perl"):
        assert package in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def debian_postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL 15 with plpgsql_check."""
    with running(DebianPostgres) as server:
        yield server


@pytest.fixture
def checked_database(debian_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A migrated database with plpgsql_check in a schema of its own."""
    with migrated_database(debian_postgres) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("CREATE SCHEMA checks")
            connection.execute("CREATE EXTENSION plpgsql_check SCHEMA checks")
        yield conninfo


@pytest.mark.debian
def test_plpgsql_check_has_nothing_to_say(checked_database: str) -> None:
    with psycopg.connect(checked_database) as connection:
        report = check_functions(connection)
        expected = connection.execute(
            "SELECT count(*) FROM pg_proc WHERE prolang ="
            " (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')"
            " AND pronamespace = ANY (ARRAY['api', 'realtime', 'roost']::regnamespace[])"
        ).fetchone()
    assert "\n".join(report.findings) == ""
    assert (report.functions,) == expected
    # So that neither number is nought for the same reason.
    for name in ("api.send_message(", "realtime.publish(", "roost.set_updated_at("):
        assert any(checked.startswith(name) for checked in report.checked), name


@pytest.mark.debian
@pytest.mark.parametrize(
    ("name", "definition", "finding"),
    [
        (
            "roost.planted()",
            "CREATE FUNCTION roost.planted() RETURNS bigint LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN (SELECT account.nothing FROM roost.users AS account); END; $$",
            "column account.nothing does not exist",
        ),
        (
            "api.planted()",
            "CREATE FUNCTION api.planted() RETURNS bigint LANGUAGE plpgsql AS"
            " $$ DECLARE v_unused text; BEGIN RETURN 1; END; $$",
            'unused variable "v_unused"',
        ),
        (
            "realtime.planted(text)",
            "CREATE FUNCTION realtime.planted(p_text text) RETURNS void LANGUAGE plpgsql AS"
            " $$ BEGIN EXECUTE 'SELECT ' || p_text; END; $$",
            "text type variable is not sanitized",
        ),
        (
            "roost.planted() on roost.messages",
            "CREATE FUNCTION roost.planted() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.nothing := 1; RETURN NEW; END; $$;"
            "CREATE TRIGGER planted BEFORE INSERT ON roost.messages FOR EACH ROW"
            " EXECUTE FUNCTION roost.planted()",
            'record "new" has no field "nothing"',
        ),
        (
            "roost.planted()",
            "CREATE FUNCTION roost.planted() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN NEW; END; $$",
            "is the trigger function of no table",
        ),
    ],
    ids=["error", "warning", "security", "trigger", "unused trigger"],
)
def test_plpgsql_check_finds(
    checked_database: str, name: str, definition: LiteralString, finding: str
) -> None:
    with psycopg.connect(checked_database) as connection:
        before = check_functions(connection)
        connection.execute(definition)
        report = check_functions(connection)
    assert [line for line in report.findings if line.startswith(name) and finding in line]
    assert report.functions == before.functions + 1


class Report(NamedTuple):
    functions: int
    checked: list[str]
    """Functions, a trigger's once for each of its tables."""
    findings: list[str]


def check_functions(connection: psycopg.Connection) -> Report:
    """What plpgsql_check says about each function, and about each trigger on each of its tables."""
    rows = connection.execute(CHECK).fetchall()
    return Report(
        functions=len({oid for oid, _, _ in rows}),
        checked=list(dict.fromkeys(name for _, name, _ in rows)),
        findings=[f"{name}{finding}" for _, name, finding in rows if finding is not None],
    )


# The performance level is left off: it calls whatever raises an error IMMUTABLE.
CHECK: LiteralString = """
    WITH routine AS (
        SELECT
            proc.oid,
            proc.prorettype = 'trigger'::regtype AS is_trigger,
            trigger_table.relid,
            trigger_table.old_table,
            trigger_table.new_table,
            proc.oid::regprocedure::text
            || coalesce(' on ' || trigger_table.relid::regclass::text, '') AS name
        FROM pg_proc AS proc
        JOIN pg_language AS language ON language.oid = proc.prolang
        LEFT JOIN (
            SELECT DISTINCT
                tgfoid, tgrelid AS relid, tgoldtable AS old_table, tgnewtable AS new_table
            FROM pg_trigger
        ) AS trigger_table ON trigger_table.tgfoid = proc.oid
        WHERE language.lanname = 'plpgsql'
            AND proc.pronamespace = ANY (ARRAY['api', 'realtime', 'roost']::regnamespace[])
    )
    SELECT routine.oid, routine.name, finding.text
    FROM routine
    LEFT JOIN LATERAL (
        SELECT format(
            ':%s: %s: %s%s',
            coalesce(lineno, 0), level, message, coalesce(' (' || nullif(detail, '') || ')', '')
        )
        FROM checks.plpgsql_check_function_tb(
            routine.oid,
            coalesce(routine.relid, 0),
            oldtable => routine.old_table,
            newtable => routine.new_table,
            fatal_errors => false,
            other_warnings => true,
            extra_warnings => true,
            security_warnings => true,
            performance_warnings => false
        )
        WHERE NOT (routine.is_trigger AND routine.relid IS NULL)
            -- The key of a page's size in pull_changes, quoted wherever it is written.
            AND message <> 'name of parameter "limit" is reserved keyword'
        UNION ALL
        SELECT ': is the trigger function of no table'
        WHERE routine.is_trigger AND routine.relid IS NULL
    ) AS finding (text) ON true
    ORDER BY routine.name, routine.oid, finding.text
"""
