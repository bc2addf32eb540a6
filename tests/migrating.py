"""What tests of migrations look at, and the runs that they start."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from tools.release import write_release

from roost.database.migration_files import MigrationFiles
from tests.support import client_program

SEARCH_PATH = "SET LOCAL search_path = pg_catalog, pg_temp;\n"


def rows(conninfo: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def execute(conninfo: str, statement: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())


def dump(conninfo: str) -> str:
    """
    All definitions but those of the tools' own tables, without the random word that guards them and
    the version of the server.
    """
    text = subprocess.run(
        [
            client_program("pg_dump"),
            "--schema-only",
            "--exclude-schema=yoyo",
            "--exclude-schema=sqitch",
            f"--dbname={conninfo}",
        ],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return re.sub(r"(?m)^(\\(un)?restrict .*|-- Dumped .*)$", "", text)


def checksums(conninfo: str) -> list[tuple[Any, ...]]:
    return rows(
        conninfo, "SELECT id, kind, sha256, objects FROM roost.migration_checksums ORDER BY id"
    )


def start_migrating(conninfo: str, files: Path) -> "subprocess.Popen[str]":
    """A runner in a process of its own, which can be killed."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import functools, sys; from pathlib import Path;"
            "from roost.database.migration_watch import Timeouts;"
            "from roost.database.migrations import migrate;"
            "migrate(sys.argv[1], functools.partial(print, flush=True), Path(sys.argv[2]),"
            # What a test holds it up with may be held until another runner has started.
            " timeouts=Timeouts(lock_ms=60_000))",
            conninfo,
            str(files),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def add_migration(files: Path, name: str, text: str, rollback: str) -> None:
    """
    Adds a migration to a copy of the folder db, after the last one before it, with what every one
    says: what it depends on, its search path, and that its record goes with it.
    """
    folder = files / "schema"
    earlier = [path.stem for path in folder.glob("????.*.sql") if path.stem < name]
    previous = max(stem for stem in earlier if not stem.endswith(".rollback"))
    rollback = f"{rollback}\nDELETE FROM roost.migration_checksums WHERE id = '{name}';"
    if "transactional: false" not in text:
        text, rollback = f"{SEARCH_PATH}{text}", f"{SEARCH_PATH}{rollback}"
    (folder / f"{name}.sql").write_text(f"-- depends: {previous}\n{text}\n")
    (folder / f"{name}.rollback.sql").write_text(f"{rollback}\n")


def release(files: Path, version: str) -> None:
    """Makes what a copy of the folder db has a release, for roost; sqitch's plan stays as it is."""
    write_release(MigrationFiles.read(files), version)


def add_next_release(files: Path) -> None:
    """Makes what is there the release 9.0.0, and puts after it what a next one may bring."""
    if not (files / "releases" / "9.0.0.sql").exists():
        release(files, "9.0.0")
    add_migration(
        files,
        "9000.language",
        "SET LOCAL ROLE roost_owner;\n"
        "ALTER TABLE roost.messages ADD COLUMN language text;\n"
        "CREATE TABLE roost.languages (name text PRIMARY KEY);\n",
        "SET LOCAL ROLE roost_owner;\n"
        "DROP TABLE roost.languages CASCADE;\n"
        "ALTER TABLE roost.messages DROP COLUMN language;\n",
    )
    add_migration(
        files,
        "9001.language_index",
        "-- transactional: false\n"
        "CREATE INDEX CONCURRENTLY messages_language_idx ON roost.messages (language);\n",
        "DROP INDEX CONCURRENTLY IF EXISTS roost.messages_language_idx;\n",
    )
    ping = files / "functions" / "system" / "ping.sql"
    ping.write_text(
        ping.read_text()
        .replace("RETURNS text", "RETURNS integer")
        .replace("SELECT 'pong'", "SELECT 42")
    )
    (files / "functions" / "messages" / "languages.sql").write_text(
        "CREATE OR REPLACE FUNCTION roost.list_languages() RETURNS SETOF roost.languages"
        " LANGUAGE sql AS 'TABLE roost.languages';\n"
        "CREATE OR REPLACE FUNCTION roost.note_language() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NULL; END $$;\n"
    )
    (files / "triggers" / "languages.sql").write_text(
        "CREATE OR REPLACE TRIGGER note_language AFTER INSERT ON roost.messages"
        " EXECUTE FUNCTION roost.note_language();\n"
    )
    (files / "triggers" / "users.sql").unlink()
