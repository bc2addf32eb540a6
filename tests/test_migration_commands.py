"""The commands for DBAs: roost migrate, rollback, status, verify, sql and new."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.migration_form import problems
from roost.database.migration_template import new_migration
from roost.database.migrations import migrate
from tests.migrating import dump, execute
from tests.support import client_program
from tests.test_cli import ROOST, environment, refusal, roost

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(empty_database: str) -> Run:
    """Runs a command on an empty database."""

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return roost(*arguments, variables={"DATABASE_URL": empty_database, **variables})

    return run


def test_from_nothing_and_back(run: Run, empty_database: str) -> None:
    before = dump(empty_database)
    assert run("status").returncode == 3
    assert run("status").stdout.startswith("pending 0001.roles\npending 0002.schemas\n")
    assert refusal(run("serve")) == "the database is not migrated: run roost migrate"
    assert refusal(run("rollback")) == "there is nothing to roll back: no migration is applied"
    assert run("verify").returncode == 6

    first = run("migrate", "--to", "0005.devices")
    assert first.returncode == 0
    assert first.stdout.startswith("Applied 0001.roles in ")
    named = re.escape(str(conninfo_to_dict(empty_database)["dbname"])) + " on /.*/socket"
    assert re.search(rf"\nThe database {named} is at 0005\.devices\n$", first.stdout)
    assert run("status").returncode == 3

    planned = run("migrate", "--dry-run").stdout
    assert planned.startswith("-- db/schema/0006.sessions.sql, in one transaction\n")
    assert re.search(rf"\nThe database {named} is up to date\n$", run("migrate").stdout)
    assert re.fullmatch(rf"The database {named} is up to date\n", run("migrate").stdout)
    assert run("migrate", "--dry-run").stdout == ""
    found = run("status")
    assert found.returncode == 0
    assert found.stdout.startswith("applied 0001.roles\napplied 0002.schemas\n")
    assert "pending" not in found.stdout
    assert re.fullmatch(
        rf"The database {named} is as this version makes it\n", run("verify").stdout
    )

    planned = run("rollback", "--dry-run").stdout
    last = list(MigrationFiles.read().migrations)[-1]
    assert planned.startswith(f"-- db/schema/{last}.rollback.sql, in one transaction\n")
    undone = run("rollback").stdout
    assert f"Rolled back {last} in " in undone
    assert re.search(rf"\nThe database {named} is at 0033\.\w+\n$", undone)
    again = run("rollback", "--to", re.findall(r"is at (\S+)", undone)[0])
    assert re.search(rf"\nThe database {named} is at 0033\.\w+\n$", again.stdout)
    assert "Rolled back" not in again.stdout
    assert run("rollback", "--to", "0004.accounts").returncode == 0
    assert run("rollback", "--all", "--to", "0003.system").returncode == 2
    assert run("rollback", "--all").stdout.endswith(" is without Roost\n")
    assert dump(empty_database) == before


def test_exit_codes(run: Run, empty_database: str) -> None:
    migrate(empty_database)
    assert run("verify").returncode == 0
    execute(empty_database, "DROP INDEX roost.messages_device_id_idx")
    found = run("verify")
    assert (found.returncode, found.stdout) == (
        6,
        "missing  index roost.messages_device_id_idx\n",
    )
    assert re.fullmatch(
        r"The database .* has nothing left to apply, but is other than this version makes it in a"
        r" place, for example: missing  index roost.messages_device_id_idx\. roost verify lists"
        r" what differs\n",
        run("migrate").stdout,
    )
    execute(
        empty_database,
        "INSERT INTO roost.migration_checksums VALUES ('9000.x', 'schema', repeat('0', 64))",
    )
    found = run("status")
    assert found.returncode == 4
    assert "unknown 9000.x\n" in found.stdout
    assert "does not know 9000.x: install a newer one" in refusal(run("serve"))
    execute(
        empty_database,
        "UPDATE roost.migration_checksums SET sha256 = repeat('0', 64) WHERE id = '0003.system'",
    )
    found = run("status")
    assert found.returncode == 5
    assert "changed 0003.system\n" in found.stdout
    execute(empty_database, "DELETE FROM roost.migration_checksums WHERE id = '9000.x'")
    assert refusal(run("serve")).startswith("0003.system was edited after it had been applied")


def test_timeouts_are_settings(run: Run, empty_database: str) -> None:
    line = refusal(run("migrate", ROOST_MIGRATION_STATEMENT_TIMEOUT_MS="1"))
    assert "took longer than 1 ms" in line
    migrate(empty_database)
    with psycopg.connect(empty_database) as holder:
        # Writing the record of the rollback is what it waits for.
        holder.execute("LOCK TABLE roost.migration_checksums IN SHARE MODE")
        line = refusal(run("rollback", ROOST_MIGRATION_LOCK_TIMEOUT_MS="300"))
        assert (
            "could not have a lock within 300 ms, held on relation roost.migration_checksums by"
            in line
        )
    assert refusal(run("rollback", ROOST_MIGRATION_LOCK_TIMEOUT_MS="soon")) == (
        "ROOST_MIGRATION_LOCK_TIMEOUT_MS is 'soon': set it to a whole number from 0 to 86400000"
    )
    assert run("rollback").returncode == 0


@pytest.mark.parametrize(
    "command",
    [["serve"], ["status"], ["verify"], ["rollback"], ["adopt"], ["migrate", "--dry-run"]],
)
def test_to_look_makes_no_database(tmp_path: Path, command: list[str]) -> None:
    assert refusal(roost(*command, cwd=tmp_path)) == (
        "there is no database in .roost: set DATABASE_URL, or make one with roost migrate"
    )
    assert list(tmp_path.iterdir()) == []


def test_everything_for_review(tmp_path: Path) -> None:
    """Without a database, and readable through a pipe that closes early."""
    printed = roost("sql", cwd=tmp_path, variables={"DATABASE_URL": "host=/nowhere"})
    assert printed.returncode == 0
    assert printed.stdout.startswith("-- db/schema/0001.roles.sql, in one transaction\n")
    assert "-- db/triggers/users.sql\n" in printed.stdout
    some = roost("sql", "--to", "0002.schemas").stdout
    assert printed.stdout.startswith(some.rstrip())
    assert refusal(roost("sql", "--to", "0002")).startswith("there is no migration or release 0002")

    read, write = os.pipe()
    os.close(read)
    cut = subprocess.run(
        [*ROOST, "sql"], stdout=write, stderr=subprocess.PIPE, env=environment(), check=False
    )
    os.close(write)
    assert (cut.returncode, cut.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_new_migration(files: Path, empty_database: str) -> None:
    last = int(list(MigrationFiles.read(files).migrations)[-1][:4])
    name = f"{last + 1:04}.add_messages_language"
    plan = (files / "sqitch.plan").read_text()
    assert [
        path.relative_to(files).as_posix() for path in new_migration("add_messages_language", files)
    ] == [
        f"schema/{name}.sql",
        f"schema/{name}.rollback.sql",
        f"verify/{name}.sql",
        "sqitch.plan",
    ]
    # It is to be written first.
    assert problems(MigrationFiles.read(files)) == [
        f"db/schema/{name}.sql does nothing yet: write what it is for"
    ]
    with (files / "schema" / f"{name}.sql").open("a") as file:
        file.write("ALTER TABLE roost.messages ADD COLUMN language text;\n")
    found = MigrationFiles.read(files)
    assert problems(found) == []
    assert list(found.migrations)[-1] == name
    added = (files / "sqitch.plan").read_text().removeprefix(plan)
    assert added.startswith(f"schema/{name} ")
    assert added.endswith("# Add messages language\n")
    assert added.count("\n") == 1
    # What verifies it fails until it is written too.
    migrate(empty_database, directory=files)
    verified = subprocess.run(
        [
            client_program("psql"),
            "--set=ON_ERROR_STOP=1",
            f"--dbname={empty_database}",
            f"--file={files / 'verify' / f'{name}.sql'}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 3
    with pytest.raises(MigrationError, match=r"'Add language' is no name for a migration: write"):
        new_migration("Add language", files)


def test_a_new_migration_needs_a_checkout(files: Path) -> None:
    """The installed package has no tests."""
    (files / "tests").rename(files.parent / "elsewhere")
    with pytest.raises(MigrationError, match="there is no checkout of Roost here"):
        new_migration("add_messages_language", files)
    assert "is no name" in refusal(roost("new", "9"))
