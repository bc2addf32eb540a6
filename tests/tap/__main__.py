"""
Prepares an empty database for pg_prove: migrates it, and loads pgTAP into schema tap.

    createdb tap
    .venv/bin/python -m tests.tap dbname=tap
    PGOPTIONS='-c search_path=tap' pg_prove --dbname tap --ext .sql -r db/tests
"""

import sys

import psycopg

from roost.database.migration_files import MigrationError
from roost.database.migrations import migrate
from tests.tap import ENVIRONMENT, load_pgtap


def main(arguments: list[str]) -> str | None:
    """What went wrong, in one line."""
    if len(arguments) != 1:
        return "usage: python -m tests.tap <connection string of a database for tests>"
    try:
        migrate(arguments[0], print)
        load_pgtap(arguments[0])
    except (MigrationError, psycopg.Error) as error:
        return str(error).partition("\n")[0]
    options = ENVIRONMENT["PGOPTIONS"]
    print(f"Ready. Now: PGOPTIONS='{options}' pg_prove --ext .sql -r db/tests, with -d, -h and -U")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
