"""Migrations that are cut short, that meet each other, and that wait for the locks of others."""

import contextlib
import itertools
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from roost.database import migration_watch
from roost.database.embedded import PORT, EmbeddedPostgres
from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.migration_watch import Timeouts
from roost.database.migrations import check, migrate, rollback, status
from roost.database.verification import verify
from tests.migrating import (
    add_migration,
    checksums,
    dump,
    execute,
    rows,
    start_migrating,
)
from tests.support import migrated_database, running

LAST = list(MigrationFiles.read().migrations)[-1]
INDEX = "-- transactional: false\nCREATE INDEX CONCURRENTLY later ON roost.users (created_at);\n"
NO_INDEX = "DROP INDEX CONCURRENTLY IF EXISTS roost.later;\n"
A_USER = (
    "INSERT INTO roost.users (email, password_hash) VALUES ('a@example.com',"
    " '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g')"
)
VALID = (
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('roost.later')"
    " AND indrelid = 'roost.users'::regclass"
)


def wait_for(connection: psycopg.Connection, query: str) -> None:
    while connection.execute(query.encode()).fetchone() is None:
        pass


@contextlib.contextmanager
def unreliable(conninfo: str) -> Iterator[tuple[str, Callable[[int], None]]]:
    """
    The connection string of a way to the server that breaks, with all connections, when so many
    pieces have been sent as the function that is given too says.
    """
    path = f"{conninfo_to_dict(conninfo)['host']}/.s.PGSQL.{PORT}"
    listener = socket.create_server(("127.0.0.1", 0))
    left = 0
    pairs: list[tuple[socket.socket, socket.socket]] = []
    lock = threading.Lock()

    def allow(pieces: int) -> None:
        nonlocal left
        left = pieces

    def forward(source: socket.socket, target: socket.socket, *, counted: bool) -> None:
        nonlocal left
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with lock:
                    left -= counted
                    if left < 0:
                        break
                target.sendall(data)
        with lock:
            for end in itertools.chain(*(pairs if left < 0 else [(source, target)])):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(path)
                pairs.append((client, server))
                for source, target, counted in ((client, server, True), (server, client, False)):
                    thread = threading.Thread(
                        target=forward, args=(source, target), kwargs={"counted": counted}
                    )
                    threads.append(thread)
                    thread.start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    host, port = listener.getsockname()
    try:
        yield make_conninfo(conninfo, host=host, port=port, sslmode="disable"), allow
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for end in itertools.chain(*pairs):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for end in itertools.chain(*pairs):
            end.close()


@pytest.mark.parametrize("step", [11, 23])
def test_a_connection_that_is_lost_again_and_again(
    postgres: EmbeddedPostgres, empty_database: str, step: int
) -> None:
    """Each run is cut a little later than the one before; together they get there."""
    cuts = 0
    with unreliable(empty_database) as (conninfo, allow):
        for pieces in itertools.count(10, step):
            allow(pieces)
            try:
                migrate(conninfo)
                break
            except MigrationError as error:
                assert re.search(  # noqa: PT017  # the rest of the loop is the point
                    r"was broken off|cannot connect|cannot migrate: .*(connection|consuming)",
                    str(error),
                ), error
                cuts += 1
    assert cuts > 5
    check(empty_database)
    with migrated_database(postgres) as other:
        assert dump(empty_database) == dump(other)
        assert checksums(empty_database) == checksums(other)


def test_a_session_that_is_ended(database: str, files: Path) -> None:
    add_migration(
        files,
        "9000.ended",
        "CREATE TABLE roost.half ();\nSELECT pg_terminate_backend(pg_backend_pid());",
        "DROP TABLE roost.half;",
    )
    with pytest.raises(
        MigrationError, match=r"9000\.ended\.sql.* was broken off: .*Migrate again: it goes on"
    ):
        migrate(database, directory=files)
    assert rows(database, "SELECT to_regclass('roost.half')") == [(None,)]
    add_migration(files, "9000.ended", "CREATE TABLE roost.half ();", "DROP TABLE roost.half;")
    migrate(database, directory=files)
    check(database, directory=files)


def test_a_server_that_is_killed(files: Path) -> None:
    migration = "CREATE TABLE roost.slow ();\n{}\n", "DROP TABLE roost.slow;"
    add_migration(
        files, "9000.slow", migration[0].format("SELECT pg_advisory_xact_lock(42);"), migration[1]
    )
    with running(EmbeddedPostgres) as postgres:
        with psycopg.connect(postgres.conninfo(), autocommit=True) as holder:
            holder.execute("SELECT pg_advisory_lock(42)")
            with start_migrating(postgres.conninfo(), files) as runner:
                wait_for(
                    holder,
                    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42"
                    " AND NOT granted",
                )
                server = psutil.Process(postgres.pid)
                for process in (server, *server.children(recursive=True)):
                    process.kill()
                while postgres.running:
                    pass
                runner.wait()
            assert runner.returncode == 1
        postgres.start()
        # What was committed last may be lost too: this server does not wait for its disk.
        assert "9000.slow" in status(postgres.conninfo(), files).pending
        assert rows(postgres.conninfo(), "SELECT to_regclass('roost.slow')") == [(None,)]
        add_migration(files, "9000.slow", migration[0].format(""), migration[1])
        migrate(postgres.conninfo(), directory=files)
        check(postgres.conninfo(), files)


def test_two_at_once_take_turns(empty_database: str, files: Path) -> None:
    """The first is held up by a lock that the test has, until the second says that it waits."""
    add_migration(files, "9000.slow", "SELECT pg_advisory_xact_lock(42);", "SELECT;")
    with psycopg.connect(empty_database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        with start_migrating(empty_database, files) as first:
            assert first.stdout is not None
            assert any(line.startswith(f"Applied {LAST} in ") for line in first.stdout)
            with start_migrating(empty_database, files) as second:
                assert second.stdout is not None
                assert re.fullmatch(
                    r"Waiting for another migration of this database to end .server process \d+,"
                    r" role postgres.\n",
                    second.stdout.readline(),
                )
                holder.execute("SELECT pg_advisory_unlock(42)")
                assert second.communicate()[0] == ""
            assert first.communicate()[0].startswith("Applied 9000.slow in ")
    assert (first.returncode, second.returncode) == (0, 0)
    check(empty_database, directory=files)


def test_who_waits_for_a_turn_does_not_hold_up_an_index(database: str, files: Path) -> None:
    """A build waits for whoever has a view of the database; the one who waits must have none."""
    add_migration(files, "9000.index", INDEX, NO_INDEX)
    with psycopg.connect(database) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM roost.users")
        with (
            psycopg.connect(database, autocommit=True) as watcher,
            start_migrating(database, files) as first,
        ):
            wait_for(watcher, VALID)
            with start_migrating(database, files) as second:
                assert second.stdout is not None
                assert second.stdout.readline().startswith("Waiting for another migration")
                reader.rollback()
                assert second.wait() == 0
            assert first.wait() == 0
    assert rows(database, VALID) == [(True,)]
    check(database, files)


def test_the_run_after_a_killed_one_goes_on(database: str, files: Path) -> None:
    """The server still runs the statement of the killed one; the next waits for its end."""
    add_migration(
        files,
        "9000.slow",
        "CREATE TABLE roost.slow ();\nSELECT pg_advisory_xact_lock(42);\n",
        "DROP TABLE roost.slow;",
    )
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        with start_migrating(database, files) as killed:
            wait_for(
                holder,
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted",
            )
            killed.send_signal(signal.SIGKILL)
        with start_migrating(database, files) as following:
            assert following.stdout is not None
            assert following.stdout.readline().startswith("Waiting for yoyo, which is at work")
            holder.execute("SELECT pg_advisory_unlock(42)")
            said = following.communicate()[0].splitlines()
    assert following.returncode == 0
    assert said[0] == "Clearing the lock of a migration that was killed"
    assert said[1].startswith("Applied 9000.slow in ")
    check(database, directory=files)


@pytest.mark.parametrize("ended", [True, False], ids=["with its session", "alone"])
def test_an_index_whose_builder_was_killed(database: str, files: Path, *, ended: bool) -> None:
    """
    It is left invalid when the session ends with it. When only the client is killed, the server
    goes on, and nobody marks what it has built.
    """
    add_migration(files, "9000.index", INDEX, NO_INDEX)
    with (
        psycopg.connect(database, autocommit=True) as watcher,
        psycopg.connect(database) as reader,
    ):
        # The build waits for whoever had a view of the table when it began.
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM roost.users")
        with start_migrating(database, files) as killed:
            wait_for(watcher, VALID)
            killed.send_signal(signal.SIGKILL)
        assert watcher.execute(VALID.encode()).fetchone() == (False,)
        if ended:
            watcher.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'yoyo' AND datname = current_database()"
            )
        reader.rollback()
        said: list[str] = []
        migrate(database, said.append, files)
        assert "Dropping later, which a run that was cut short has left" in said
        assert watcher.execute(VALID.encode()).fetchone() == (True,)
    check(database, files)


def test_an_index_that_cannot_be_built(database: str, files: Path) -> None:
    add_migration(
        files, "9000.index", INDEX.replace("(created_at)", "((1 / (id <> id)::int))"), NO_INDEX
    )
    execute(database, A_USER)
    with pytest.raises(MigrationError, match=r"9000\.index\.sql:3 failed: division by zero"):
        migrate(database, directory=files)
    assert rows(database, VALID) == [(False,)]
    assert status(database, files).pending[0] == "9000.index"
    add_migration(files, "9000.index", INDEX, NO_INDEX)
    migrate(database, directory=files)
    assert rows(database, VALID) == [(True,)]


def test_an_index_of_somebody_else_is_left_alone(database: str, files: Path) -> None:
    execute(database, "CREATE UNIQUE INDEX later ON roost.sessions (created_at)")
    add_migration(files, "9000.index", INDEX, NO_INDEX)
    with pytest.raises(MigrationError, match=r"roost\.later is there and not of Roost: rename it"):
        migrate(database, directory=files)
    assert rows(database, "SELECT to_regclass('roost.later')::text") == [("roost.later",)]
    execute(database, "ALTER INDEX roost.later RENAME TO theirs")
    migrate(database, directory=files)
    assert rows(database, VALID) == [(True,)]


def test_a_constraint_that_fails_at_the_end_names_the_migration(database: str, files: Path) -> None:
    add_migration(
        files,
        "9000.deferred",
        "CREATE TABLE roost.d (a int, UNIQUE (a) DEFERRABLE INITIALLY DEFERRED);\n"
        "INSERT INTO roost.d VALUES (1), (1);",
        "DROP TABLE roost.d;",
    )
    with pytest.raises(
        MigrationError, match=r"9000\.deferred\.sql failed at its end: duplicate key value"
    ):
        migrate(database, directory=files)
    assert rows(database, "SELECT to_regclass('roost.d')") == [(None,)]


def test_errors_show_no_rows(database: str, files: Path) -> None:
    execute(database, A_USER)
    add_migration(
        files,
        "9000.backfill",
        "UPDATE roost.users SET display_name = NULL;",
        "SELECT 1;",
    )
    with pytest.raises(MigrationError, match=r"null value in column .display_name.") as raised:
        migrate(database, directory=files)
    assert "argon2id" not in str(raised.value)
    assert "a@example.com" not in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("default_transaction_read_only = on", "default_transaction_read_only is on for the role"),
        ("quote_all_identifiers = on", ""),
        ("standard_conforming_strings = off", ""),
        ("intervalstyle = sql_standard", ""),
        ("search_path = nowhere", ""),
        ("check_function_bodies = off", ""),
        ("default_transaction_isolation = serializable", ""),
        ("client_min_messages = error", ""),
        ("row_security = off", ""),
        ("idle_session_timeout = '300ms'", ""),
        ("idle_in_transaction_session_timeout = '300ms'", ""),
        ("transaction_timeout = '300ms'", ""),
        ("statement_timeout = '300ms'", ""),
        ("lock_timeout = '100ms'", ""),
    ],
)
def test_settings_of_a_database(
    empty_database: str, files: Path, setting: str, complaint: str
) -> None:
    name = conninfo_to_dict(empty_database)["dbname"]
    execute(empty_database, f"ALTER DATABASE {name} SET {setting}")
    add_migration(files, "9000.slow", "SELECT pg_sleep(1);", "SELECT 1;")
    if complaint:
        with pytest.raises(MigrationError, match=complaint):
            migrate(empty_database, directory=files)
        return
    migrate(empty_database, directory=files)
    check(empty_database, files)
    rollback(empty_database, directory=files)
    migrate(empty_database)
    assert verify(empty_database) == []
    (files / "functions" / "system" / "zz.sql").write_text(
        "CREATE OR REPLACE FUNCTION roost.zz()\nRETURNS int\nLANGUAGE sql\nAS 'SELECT no';\n"
    )
    with pytest.raises(MigrationError, match=r"roost\.zz\(\) is broken: column .no. does not"):
        migrate(empty_database, directory=files)


def test_long_runs_say_how_far_they_are(
    database: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_watch, "FIRST_REPORT", 0.1)
    add_migration(files, "9000.index", INDEX, NO_INDEX)
    said: list[str] = []
    with psycopg.connect(database, application_name="report") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM roost.users")

        def hear(line: str) -> None:
            said.append(line)
            if "has run for" in line:
                reader.rollback()

        migrate(database, hear, files)
    assert re.fullmatch(
        r"9000\.index\.sql has run for \d+ s: waits for a lock held on virtualxid by server process"
        r" \d+ \(role postgres, report, idle in transaction since [\d:]+ UTC\)",
        said[0],
    ), said
    assert rows(database, VALID) == [(True,)]


def test_a_lock_that_cannot_be_had_names_who_holds_it(database: str, files: Path) -> None:
    alter = "SET LOCAL ROLE roost_owner;\n\nALTER TABLE roost.users ADD COLUMN late text;"
    add_migration(files, "9000.late", alter, "ALTER TABLE roost.users DROP COLUMN late;")
    with psycopg.connect(database, application_name="report") as holder:
        holder.execute("SELECT 'a secret', count(*) FROM roost.users")
        with pytest.raises(MigrationError) as raised:
            migrate(database, directory=files, timeouts=Timeouts(lock_ms=400))
        assert re.fullmatch(
            r"db/schema/9000\.late\.sql:5 failed: it could not have a lock within 400 ms, held on"
            rf" relation roost\.users by server process {holder.info.backend_pid} \(role postgres,"
            r" report, idle in transaction since [\d:]+ UTC\)\. End that transaction, or raise"
            r" ROOST_MIGRATION_LOCK_TIMEOUT_MS, and migrate again",
            str(raised.value),
        ), raised.value
        assert status(database, files).pending[0] == "9000.late"
    migrate(database, directory=files)
    check(database, files)


def test_triggers_wait_no_longer_than_migrations(database: str, files: Path) -> None:
    trigger = files / "triggers" / "users.sql"
    trigger.write_text(trigger.read_text() + "-- Edited.\n")
    with psycopg.connect(database, application_name="writer") as holder:
        holder.execute("LOCK TABLE roost.users IN ROW EXCLUSIVE MODE")
        with pytest.raises(
            MigrationError,
            match=r"triggers/users\.sql:1 failed: it could not have a lock within 400 ms, held on"
            r" relation roost\.users by server process \d+ \(role postgres, writer, ",
        ):
            migrate(database, directory=files, timeouts=Timeouts(lock_ms=400))
    migrate(database, directory=files)
    check(database, files)


def test_a_statement_that_takes_too_long(database: str, files: Path) -> None:
    add_migration(files, "9000.slow", "SELECT 1;\nSELECT pg_sleep(60);", "SELECT 1;")
    with pytest.raises(
        MigrationError,
        match=r"9000\.slow\.sql:4 failed: it took longer than 300 ms\. Raise"
        " ROOST_MIGRATION_STATEMENT_TIMEOUT_MS, and migrate again",
    ):
        migrate(database, directory=files, timeouts=Timeouts(statement_ms=300))


def test_an_index_is_waited_for_without_limit(database: str, files: Path) -> None:
    """It is built beside the work of others, and to break it off would leave it invalid."""
    add_migration(files, "9000.index", INDEX, NO_INDEX)
    with psycopg.connect(database) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM roost.users")
        failures: list[BaseException] = []

        def run() -> None:
            try:
                migrate(database, directory=files, timeouts=Timeouts(50, 1000))
            except MigrationError as error:
                failures.append(error)

        runner = threading.Thread(target=run)
        runner.start()
        with psycopg.connect(database, autocommit=True) as watcher:
            wait_for(
                watcher,
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'yoyo'"
                " AND datname = current_database()"
                " AND query ~ 'CONCURRENTLY' AND wait_event_type = 'Lock'"
                " AND clock_timestamp() - query_start > interval '1200 ms'",
            )
        reader.rollback()
        runner.join()
    assert failures == []
    assert rows(database, VALID) == [(True,)]
