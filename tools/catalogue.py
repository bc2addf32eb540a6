"""Writes db/catalogue.txt: what a fresh install of the files below db/ has in its catalogue."""

import tempfile
from pathlib import Path

import psycopg

from roost.database.embedded import EmbeddedPostgres
from roost.database.migration_files import MigrationFiles
from roost.database.migrations import migrate
from roost.database.verification import FILE, catalogue_text


def main() -> None:
    files = MigrationFiles.read()
    with tempfile.TemporaryDirectory(prefix="roost-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "data", settings={"fsync": "off"})
        try:
            postgres.start()
            migrate(postgres.conninfo())
            with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
                text = catalogue_text(connection, files)
        finally:
            postgres.stop()
    (files.directory / FILE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
