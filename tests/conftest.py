"""The servers and databases that tests run on. A fixture is named after what it gives."""

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import sqlparse

from roost.database.embedded import EmbeddedPostgres
from roost.database.system_user import SystemUserError, system_user
from tests.serving import Client, serving
from tests.support import (
    REPOSITORY,
    SUMMARY,
    Postgres15,
    Postgres16,
    Postgres17,
    migrated_database,
    new_database,
    running,
)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before several processes start servers, which would all want to make the user for them."""
    if session.config.getoption("numprocesses", 0) and os.geteuid() == 0:
        # Who needs a server will say that there is none.
        with contextlib.suppress(SystemUserError):
            system_user(print)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests have recorded, in whichever process they ran."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                for name, text in report.user_properties:
                    if name == SUMMARY:
                        terminalreporter.section(report.nodeid)
                        terminalreporter.write_line(str(text))


@pytest.fixture(scope="session", autouse=True)
def each_text_is_split_once() -> Iterator[None]:
    """Hundreds of tests migrate the same files, and reading them takes longer than running them."""
    split = functools.lru_cache(maxsize=1024)(sqlparse.split)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlparse, "split", lambda *args, **options: list(split(*args, **options)))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The embedded PostgreSQL 18, one for the whole run, or for each process of it."""
    with running(EmbeddedPostgres) as server:
        yield server


@pytest.fixture(scope="session")
def postgres15() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL 15, started when the first test asks for it."""
    with running(Postgres15) as server:
        yield server


@pytest.fixture(scope="session")
def postgres16() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL 16, started when the first test asks for it."""
    with running(Postgres16) as server:
        yield server


@pytest.fixture(scope="session")
def postgres17() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL 17, started when the first test asks for it."""
    with running(Postgres17) as server:
        yield server


@pytest.fixture(params=["postgres", "postgres15"])
def server(request: pytest.FixtureRequest) -> EmbeddedPostgres:
    """The newest and the oldest server that Roost supports, in turn."""
    postgres: EmbeddedPostgres = request.getfixturevalue(request.param)
    return postgres


@pytest.fixture
def empty(server: EmbeddedPostgres) -> Iterator[str]:
    """The connection string of an empty database, on each of these."""
    with new_database(server) as conninfo:
        yield conninfo


@pytest.fixture
def migrated(server: EmbeddedPostgres) -> Iterator[str]:
    """The connection string of a migrated database, on each of these servers."""
    with migrated_database(server) as conninfo:
        yield conninfo


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The connection string of an empty database."""
    with new_database(postgres) as conninfo:
        yield conninfo


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The connection string of a migrated database of this test's own."""
    with migrated_database(postgres) as conninfo:
        yield conninfo


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the folder db, to change."""
    return Path(shutil.copytree(REPOSITORY / "db", tmp_path / "db"))


@pytest.fixture
def serve(database: str) -> Callable[..., AbstractAsyncContextManager[Client]]:
    """Starts a server on the test's database, with settings of the test's choice."""
    return functools.partial(serving, database)


@pytest.fixture
async def client(database: str) -> AsyncIterator[Client]:
    """A client, not signed in, of a server on the test's database."""
    async with serving(database) as served:
        yield served


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the system user may be let through to, unlike pytest's."""
    made = Path(tempfile.mkdtemp(prefix="roost-test-"))
    yield made
    made.chmod(0o700)
    shutil.rmtree(made)
