"""Connections of somebody who migrates, and the turn that they have to wait for."""

import os
import time
from collections.abc import Callable
from typing import Any, Final, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from roost.database.migration_files import MigrationError

OLDEST_SERVER: Final = 15

# Plain yoyo is asked to use the same name (in yoyo.ini), so that it can be seen at work.
YOYO: Final = "yoyo"

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(conninfo: str, application_name: str) -> Connection:
    """In autocommit mode, to a server that Roost can live in. Raises MigrationError."""
    try:
        connection = open_session(conninfo, application_name)
    except psycopg.Error as error:
        raise MigrationError(
            f"cannot connect to PostgreSQL: {error_line(error)}. Check DATABASE_URL"
        ) from error
    major = connection.info.server_version // 10_000
    encoding = connection.info.parameter_status("server_encoding")
    if major < OLDEST_SERVER or encoding != "UTF8":
        connection.close()
        if major < OLDEST_SERVER:
            raise MigrationError(
                f"this is PostgreSQL {major}: Roost needs {OLDEST_SERVER} or newer"
            )
        raise MigrationError(
            f"the database has the encoding {encoding}: Roost needs UTF8 (createdb --encoding=UTF8)"
        )
    return connection


def open_session(conninfo: str, application_name: str) -> Connection:
    """Connects, with the settings that migrations are written for. Raises psycopg.Error."""
    # libpq waits for ever for a host that swallows packets, unless somebody said how long to wait.
    said = "connect_timeout" in conninfo_to_dict(conninfo) or "PGCONNECT_TIMEOUT" in os.environ
    connection = psycopg.connect(
        make_conninfo(
            conninfo,
            **({} if said else {"connect_timeout": "10"}),
            application_name=application_name,
            client_encoding="utf8",
        ),
        autocommit=True,
    )
    # Nobody else's function, operator or type is meant where a name has no schema.
    connection.execute("SET search_path = pg_catalog, pg_temp")
    pin_settings(connection)
    return connection


def pin_settings(connection: psycopg.Connection[Any]) -> None:
    """Whatever a role or a database has been given: migrations mean the same in every session."""
    for setting, since in _SETTINGS.items():
        if connection.info.server_version >= since:
            connection.execute(setting)


def refuse_unwritable(connection: Connection) -> None:
    """Raises MigrationError where the session cannot migrate, whatever its role may do."""
    row = connection.execute(
        "SELECT pg_backend_pid(), pg_is_in_recovery(), current_setting('transaction_read_only')"
    ).fetchone()
    assert row is not None  # noqa: S101  # for the type checker
    pid, is_standby, read_only = row
    if pid != connection.info.backend_pid:
        raise MigrationError(
            "a connection pooler is in between, which may give each statement to another session:"
            " let DATABASE_URL name PostgreSQL itself"
        )
    if is_standby:
        raise MigrationError("this server is a standby: let DATABASE_URL name the primary")
    if read_only == "on":
        raise MigrationError(
            f"default_transaction_read_only is on for the role {connection.info.user} here: turn it"
            " off to migrate (PGOPTIONS='-c default_transaction_read_only=off')"
        )


def same_server(connection: Connection, conninfo: str) -> str:
    """The connection string, with that one of its hosts that the connection is to."""
    info = connection.info
    return make_conninfo(conninfo, host=info.host, hostaddr=info.hostaddr, port=info.port)


def place(conninfo: str) -> str:
    """Which database that is, such as `roost on db.example.com:5432`. Raises MigrationError."""
    with connect(conninfo, "roost") as connection:
        info = connection.info
        # Of a socket, its folder.
        port = "" if info.host.startswith(("/", "@")) else f":{info.port}"
        return f"{info.dbname} on {info.host}{port}"


def take_turn(connection: Connection, on_progress: Callable[[str], None]) -> None:
    """Waits for other runners of this database. The lock ends with the session, however it ends."""
    connection.execute("SET statement_timeout = 0")
    # Asked again and again: a statement that waits keeps its view of the database, which an index
    # that another runner builds concurrently would wait for in turn, for ever.
    say_at = time.monotonic() + 1
    while connection.execute(_TRY_LOCK).fetchone() != (True,):
        if time.monotonic() > say_at:
            say_at = float("inf")
            holders = [
                f"server process {pid}, role {role}"
                for pid, role in connection.execute(_LOCK_HOLDERS)
            ]
            on_progress(
                "Waiting for another migration of this database to end"
                f" ({'; '.join(holders) or 'it is ending'})"
            )
        time.sleep(0.1)


def wait_for_yoyo(
    connection: Connection, on_progress: Callable[[str], None], own_pid: int = 0
) -> None:
    """
    Waits for the sessions of yoyo in this database. Plain yoyo does not know the lock of
    `take_turn`, and the server finishes a statement whose client was killed.
    """
    say_at = time.monotonic() + 1
    while pids := [
        pid
        for (pid,) in connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s AND pid <> %s",
            [YOYO, own_pid],
        )
    ]:
        if time.monotonic() > say_at:
            say_at = float("inf")
            on_progress(
                "Waiting for yoyo, which is at work in this database (server process"
                f" {', '.join(map(str, pids))})"
            )
        time.sleep(0.1)


def error_line(error: psycopg.Error) -> str:
    """What PostgreSQL says, in one line."""
    if error.diag.message_primary is None:
        return " ".join(str(error).split())
    parts = [error.diag.message_primary, error.diag.message_detail, error.diag.context]
    if error.diag.context and error.diag.context.endswith("at RAISE"):
        # It was said on purpose, and where in the code does not matter.
        parts.pop()
    if error.sqlstate and error.sqlstate.startswith("23"):
        # The detail of a constraint shows a row, which may hold a password's hash.
        parts[1] = None
    text = ""
    for part in filter(None, parts):
        text += (" " if text.endswith((".", ";")) else "; " if text else "") + " ".join(
            part.split()
        )
    return f"{text} ({error.sqlstate})"


# By the server's version from which on there is such a setting.
_SETTINGS: Final[dict[LiteralString, int]] = {
    "SET standard_conforming_strings = on": 0,
    "SET quote_all_identifiers = off": 0,
    "SET intervalstyle = postgres": 0,
    "SET row_security = on": 0,
    "SET idle_in_transaction_session_timeout = 0": 0,
    "SET idle_session_timeout = 0": 0,
    "SET transaction_timeout = 0": 170_000,
}

_TRY_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('roost:migrate'))"

_LOCK_HOLDERS: Final = """
    SELECT lock.pid, coalesce(activity.usename::text, 'unknown')
    FROM (VALUES (hashtext('roost:migrate')::bigint)) AS wanted (key)
    JOIN pg_locks AS lock
        ON lock.locktype = 'advisory'
        AND lock.classid::bigint = wanted.key >> 32 & 4294967295
        AND lock.objid::bigint = wanted.key & 4294967295
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LEFT JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
    WHERE lock.granted
"""
