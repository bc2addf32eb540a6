"""
How much of each PL/pgSQL function the tests of the database run, by statements, as plpgsql_check's
profiler counts them: db/tests, and tests/test_partitions.py for what takes two sessions. Prints the
figures; a function below the floor is a failure that names it and its lines.
"""

from collections.abc import Callable, Iterator
from typing import Any, LiteralString, NamedTuple

import psycopg
import pytest
from psycopg import sql

from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import migrate
from tests.debian import DebianPostgres
from tests.support import SUMMARY, new_database, running
from tests.tap import SCHEMA, load_pgtap, sql_tests
from tests.test_partitions import a_day_that_was_written_to, one_of_two_maintains
from tests.test_sql import run_sql, tap_failures

pytestmark = pytest.mark.debian

# In per cent. A function of fewer than 20 statements has to be run whole.
FLOOR = 95


class Coverage(NamedTuple):
    function: str
    statements: int
    run: int
    missed_lines: list[int]
    """In its body, where the line of AS $$ is the first."""

    @property
    def percent(self) -> float:
        return 100 * self.run / self.statements


@pytest.fixture(scope="module")
def debian_postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL 15 with plpgsql_check."""
    with running(DebianPostgres) as server:
        yield server


@pytest.fixture
def profiled_database(debian_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database for db/tests in which every session counts the statements that it runs."""
    with new_database(debian_postgres) as conninfo:
        # Before anything is counted: a function that is made anew starts at nought.
        migrate(conninfo)
        load_pgtap(conninfo)
        with psycopg.connect(conninfo) as connection:
            connection.execute(f"CREATE EXTENSION plpgsql_check SCHEMA {SCHEMA}")
            name = sql.Identifier(connection.info.dbname)
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET plpgsql_check.profiler = on").format(name)
            )
        yield conninfo


async def test_every_statement_is_run(
    profiled_database: str, record_property: Callable[[str, object], None]
) -> None:
    # What becomes of the transaction makes no difference to the count: every file rolls back.
    for file in sql_tests():
        assert tap_failures(run_sql(profiled_database, file).stdout) == [], file.name
    await a_day_that_was_written_to(profiled_database)
    await one_of_two_maintains(profiled_database)

    with psycopg.connect(profiled_database) as connection:
        functions = measure(connection)
        expected = connection.execute(COUNT).fetchone()
    record_property(SUMMARY, report(functions))
    assert (len(functions),) == expected
    assert not complaints(functions), "\n".join(complaints(functions))


def test_what_is_not_run_is_named(profiled_database: str) -> None:
    with psycopg.connect(profiled_database) as connection:
        connection.execute("""
            CREATE FUNCTION roost.planted(p_deep boolean) RETURNS integer LANGUAGE plpgsql AS $$
            BEGIN
                IF p_deep THEN
                    RETURN 1;
                END IF;
                RETURN 2;
            END;
            $$
        """)
    with psycopg.connect(profiled_database) as connection:
        connection.execute("SELECT roost.planted(false)")
        connection.rollback()
        functions = {coverage.function: coverage for coverage in measure(connection)}
    planted = functions["roost.planted(boolean)"]
    assert planted.run == planted.statements - 1
    assert complaints([planted]) == ["roost.planted(boolean): 75 %, not run: line 4 of its body"]
    # Nor is a function that nothing calls taken for a tested one.
    assert functions["api.send_message(uuid,jsonb,text,jsonb,uuid,uuid,jsonb)"].run == 0


def measure(connection: psycopg.Connection[Any]) -> list[Coverage]:
    return [Coverage(*row) for row in connection.execute(STATEMENTS).fetchall()]


def complaints(functions: list[Coverage]) -> list[str]:
    return [
        f"{coverage.function}: {coverage.percent:.0f} %, not run:"
        f" line {', '.join(map(str, coverage.missed_lines))} of its body"
        for coverage in functions
        if coverage.percent < FLOOR
    ]


def report(functions: list[Coverage]) -> str:
    lines = [
        f"{coverage.percent:4.0f} % {coverage.run:3} of {coverage.statements:2}"
        f"  {coverage.function}"
        for coverage in functions
    ]
    run = sum(coverage.run for coverage in functions)
    statements = sum(coverage.statements for coverage in functions)
    return "\n".join(
        [
            "Statements of PL/pgSQL functions that the tests of the database run",
            *lines,
            f"{100 * run / statements:.1f} % of {statements} in {len(functions)} functions",
        ]
    )


FUNCTIONS: LiteralString = """
    FROM pg_proc AS proc
    JOIN pg_language AS language ON language.oid = proc.prolang AND language.lanname = 'plpgsql'
    JOIN pg_namespace AS schema ON schema.oid = proc.pronamespace
        AND schema.nspname IN ('api', 'realtime', 'roost')
"""

COUNT: LiteralString = f"SELECT count(*) {FUNCTIONS}"

STATEMENTS: LiteralString = f"""
    SELECT
        proc.oid::regprocedure::text,
        count(*),
        count(*) FILTER (WHERE statement.exec_stmts > 0),
        coalesce(
            array_agg(DISTINCT statement.lineno) FILTER (WHERE statement.exec_stmts = 0), '{{}}'
        )
    {FUNCTIONS}
    CROSS JOIN LATERAL {SCHEMA}.plpgsql_profiler_function_statements_tb(proc.oid) AS statement
    GROUP BY proc.oid
    ORDER BY 1
"""
