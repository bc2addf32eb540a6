"""
Makes a migrated database ready for db/tests: pgTAP and the functions of callers.sql in a schema of
their own, tap. For pytest, and by `python -m tests.tap` for a person who uses pg_prove.
"""

from pathlib import Path

import psycopg

from tests.support import REPOSITORY, pgtap_script

SCHEMA = "tap"
TESTS = REPOSITORY / "db" / "tests"

# As pg_prove starts psql.
PSQL_OPTIONS = (
    "--no-psqlrc",
    "--no-align",
    "--quiet",
    "--pset=pager=off",
    "--pset=tuples_only=true",
    "--set=ON_ERROR_STOP=1",
)
ENVIRONMENT = {"PGOPTIONS": f"-c search_path={SCHEMA}", "LC_ALL": "C"}


def sql_tests(folder: Path = TESTS) -> list[Path]:
    """The files that `pg_prove --ext .sql -r` finds. Raises LookupError when there are none."""
    files = sorted(folder.rglob("*.sql"))
    if not files:
        raise LookupError(f"there are no SQL tests in {folder}")
    return files


def load_pgtap(conninfo: str) -> None:
    """Loads pgTAP and its helpers; a second time, the helpers alone."""
    with psycopg.connect(conninfo) as connection:
        found = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [SCHEMA])
        if found.rowcount == 0:
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
            # Tests take on the roles of clients.
            connection.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC")
            connection.execute(f"SET LOCAL search_path = {SCHEMA}")
            connection.execute(pgtap_script().encode())
        connection.execute(f"SET LOCAL search_path = {SCHEMA}")
        for helpers in sorted(Path(__file__).parent.glob("*.sql")):
            connection.execute(helpers.read_bytes())
