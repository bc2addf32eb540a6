"""
Makes what is here the release of its version: writes down its functions and triggers, and the
SHA-256 of all that must not change from then on. Commit the result and tag it v<version>.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from roost import __version__
from roost.database.migration_files import (
    MigrationError,
    MigrationFiles,
    read_release_text,
    release_text,
    sha256,
)
from roost.database.migration_form import problems
from roost.database.sqitch_plan import release_in_plan

ROOT = Path(__file__).resolve().parents[1]


def main(root: Path = ROOT) -> None:
    files = MigrationFiles.read(root / "db")
    found = problems(files)
    if __version__ in files.releases:
        found.append(f"{__version__} is released: raise the version in server/roost/__init__.py")
    if f"\n## {__version__}" not in (root / "CHANGELOG.md").read_text(encoding="utf-8"):
        found.append(f"CHANGELOG.md has no section {__version__}: say there what is new")
    if not (root / "tests" / "upgrade" / f"{__version__}.sql").exists():
        found.append(f"tests/upgrade/{__version__}.sql is missing: fill every table there")
    if found:
        raise MigrationError("; ".join(found))
    # The plan first: it may still be refused, and a release that is half made is none.
    release_in_plan(files.directory, __version__, datetime.now(UTC))
    write_release(files, __version__)
    print(f"Released {__version__}: run make check, commit, and git tag v{__version__}")


def write_release(files: MigrationFiles, version: str) -> None:
    """
    Writes db/releases/<version>.sql and .sha256, below the folder of the files. Raises
    MigrationError, before anything is written, where that could not be read again.
    """
    code = release_text(files.repeatables)
    read = read_release_text(code)
    if list(read.values()) != list(files.repeatables.values()):
        wrong = [name for name, it in files.repeatables.items() if read.get(name) != it]
        raise MigrationError(
            f"db/releases/{version}.sql would not have {', '.join(wrong)} as it is: leave out what"
            " begins with -- File:, and name files in small letters"
        )
    folder = files.directory / "releases"
    folder.mkdir(exist_ok=True)
    (folder / f"{version}.sql").write_text(code, encoding="utf-8")
    lines = [f"{it.sha256}  schema/{it.id}.sql" for it in files.migrations.values()]
    lines.append(f"{sha256(code)}  releases/{version}.sql")
    (folder / f"{version}.sha256").write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except MigrationError as error:
        sys.exit(f"release: {error}")
