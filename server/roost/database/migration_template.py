"""Begins a new migration in a checkout: its file, its rollback, its verify script, its place."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.sqitch_plan import add_to_plan


def new_migration(name: str, directory: Path | None = None) -> list[Path]:
    """
    Makes the files of a migration with the next free number, and adds it to db/sqitch.plan. name --
    what it does, such as add_messages_language

    Raises MigrationError.
    """
    files = MigrationFiles.read(directory)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise MigrationError(
            f"{name!r} is no name for a migration: write what it does in lower case, such as"
            " add_messages_language"
        )
    if not (files.directory / "tests").is_dir():
        raise MigrationError(
            "there is no checkout of Roost here: migrations are written in one, with its"
            " .venv/bin/roost"
        )
    number = max(int(known[:4]) for known in files.migrations) + 1
    identifier = f"{number:04}.{name}"
    previous = list(files.migrations)[-1]
    texts = {
        files.directory / "schema" / f"{identifier}.sql": _APPLY.format(previous=previous),
        files.directory / "schema" / f"{identifier}.rollback.sql": _ROLLBACK.format(id=identifier),
        files.directory / "verify" / f"{identifier}.sql": _VERIFY,
    }
    _write(texts)
    note = name.replace("_", " ").capitalize()
    add_to_plan(files.directory, f"schema/{identifier}", note, datetime.now(UTC))
    return [*texts, files.directory / "sqitch.plan"]


def _write(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)


_APPLY = """\
-- depends: {previous}
-- What this is for.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

"""

_ROLLBACK = """\
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

DELETE FROM roost.migration_checksums WHERE id = '{id}';
"""

_VERIFY = """\
-- Raises where the migration is not there, such as SELECT column FROM roost.table WHERE false.
SET LOCAL ROLE roost_owner;

SELECT 1 / 0;
"""
