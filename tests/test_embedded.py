"""The embedded PostgreSQL: starting, stopping, and what a crash or another process leaves."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from roost.database import system_user
from roost.database.embedded import EmbeddedError, EmbeddedInUseError, EmbeddedPostgres
from tests.support import SETTINGS, runs

# Starts a server on a folder, says so, and keeps it until its input ends.
HOLDER = """
import os, pwd, sys
from pathlib import Path
from roost.database.embedded import EmbeddedError, EmbeddedPostgres
folder, settings, user = Path(sys.argv[1]), eval(sys.argv[2]), sys.argv[3]
if user:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
postgres = EmbeddedPostgres(folder, settings=settings)
try:
    postgres.start()
except EmbeddedError as error:
    sys.exit(str(error))
print(postgres.pid, flush=True)
sys.stdin.read()
postgres.stop()
"""

Start = Callable[..., EmbeddedPostgres]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, which are stopped after the test."""
    servers: list[EmbeddedPostgres] = []

    def start(data_dir: Path, announce: Callable[[str], None] = print) -> EmbeddedPostgres:
        server = EmbeddedPostgres(data_dir, settings=SETTINGS, announce=announce)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


def hold(folder: Path, user: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), repr(SETTINGS), user],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def query(server: EmbeddedPostgres, statement: str) -> Any:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def test_a_new_folder(folder: Path, start: Start) -> None:
    server = start(folder / "deep" / "er")
    assert query(server, "SELECT current_database()") == "roost"
    assert query(server, "SHOW server_encoding") == "UTF8"
    assert query(server, "SHOW listen_addresses") == ""
    assert query(server, "SELECT lower('É') || upper('ß')") == "éß"
    # What is a letter matters to text search: a dash between words is none.
    assert query(server, "SELECT count(*) FROM ts_parse('default', 'ab—cd') WHERE tokid <> 12") == 2
    for private in (server.data, server.socket_dir):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    pid = server.pid
    server.stop()
    assert not runs(pid)
    assert not server.running


def test_a_second_start_finds_the_data(folder: Path, start: Start) -> None:
    first = start(folder)
    query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.stop()
    assert query(start(folder), "SELECT answer FROM kept") == 42


def test_what_a_killed_roost_left_is_stopped(folder: Path, start: Start) -> None:
    holder = hold(folder)
    with holder:
        assert holder.stdout is not None
        left_over = int(holder.stdout.readline())
        holder.kill()
    assert runs(left_over)
    said: list[str] = []
    server = start(folder, said.append)
    assert not runs(left_over)
    assert f"Stopping the PostgreSQL that a killed roost left (process {left_over})" in said
    assert query(server, "SELECT 1") == 1


def test_a_killed_postgres_is_started_again(folder: Path, start: Start) -> None:
    server = start(folder)
    query(server, "SET synchronous_commit = on; CREATE TABLE kept AS SELECT 42 AS answer")
    # A backend that is at work holds on to the memory that the next server wants.
    with psycopg.connect(server.conninfo()) as connection:
        os.kill(server.pid, signal.SIGKILL)
        psutil.Process(server.pid).wait()
        assert not server.running
        server.start()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert query(server, "SELECT answer FROM kept") == 42


def test_a_folder_in_use(folder: Path, start: Start) -> None:
    server = start(folder)
    with pytest.raises(EmbeddedInUseError, match=f"another roost .process {os.getpid()}."):
        start(folder)
    assert query(server, "SELECT 1") == 1


def test_a_folder_of_another_version(folder: Path, start: Start) -> None:
    server = start(folder)
    server.stop()
    (server.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17, and this is PostgreSQL 18"):
        start(folder)


def test_the_id_of_a_stranger_in_postmaster_pid(folder: Path, start: Start) -> None:
    server = start(folder)
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n0\n5432\n\n\n\n")
    (server.data / "postmaster.pid").chmod(0o644)
    assert query(start(folder), "SELECT 1") == 1


def test_an_interrupted_first_start(folder: Path, start: Start) -> None:
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "half").touch()
    assert query(start(folder), "SELECT 1") == 1


def test_a_broken_configuration_is_named(folder: Path, start: Start) -> None:
    server = start(folder)
    server.stop()
    with (server.data / "postgresql.conf").open("a") as configuration:
        configuration.write("shared_buffers = 'none of it'\n")
    with pytest.raises(
        EmbeddedError, match=r"not start: .*contains errors \(see .*/postgres.log\)"
    ):
        start(folder)


@pytest.mark.parametrize("name", ["x" * 100, "with, comma", "with 'quotes\" and blanks"])
def test_awkward_folders(folder: Path, start: Start, name: str) -> None:
    server = start(folder / name)
    assert query(server, "SELECT current_database()") == "roost"
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    server.stop()
    # A socket outside the data folder is not left lying about.
    assert server.socket_dir.exists() == server.socket_dir.is_relative_to(folder)


def test_a_socket_folder_of_somebody_else(folder: Path, start: Start) -> None:
    server = EmbeddedPostgres(folder / ("x" * 100))
    server.socket_dir.mkdir(mode=0o755)
    try:
        with pytest.raises(EmbeddedError, match=f"{server.socket_dir} is not ours alone"):
            start(folder / ("x" * 100))
        # It is not ours to remove, either.
        assert server.socket_dir.exists()
    finally:
        server.socket_dir.rmdir()


def test_a_folder_that_cannot_be_made(folder: Path, start: Start) -> None:
    (folder / "file").touch()
    with pytest.raises(EmbeddedError, match=r"cannot use .*/file: File exists"):
        start(folder / "file")


def test_a_plain_user(folder: Path) -> None:
    """All of it without root's rights, and what it says when it has no right to write."""
    user = "nobody" if os.geteuid() == 0 else ""
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    for _ in range(2):
        with hold(folder, user) as holder:
            assert holder.stdout is not None
            pid = int(holder.stdout.readline())
            assert psutil.Process(pid).uids().real == folder.stat().st_uid
            holder.communicate()
        assert holder.returncode == 0
        assert not runs(pid)
    folder.chmod(0o500)
    with hold(folder / "new", user) as holder:
        _, error = holder.communicate()
    assert holder.returncode == 1
    assert error.strip() == (
        f"cannot use {folder}/new: Permission denied. ROOST_DATA_DIR chooses another folder"
    )


def test_tcp_is_closed(postgres: EmbeddedPostgres) -> None:
    listening = psutil.Process(postgres.pid).net_connections(kind="inet")
    assert [one for one in listening if one.status == psutil.CONN_LISTEN] == []
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(postgres.socket_dir / ".s.PGSQL.5432"))


def test_the_system_user_is_let_through_and_no_further(folder: Path) -> None:
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    for closed in (folder, folder / "a", inner):
        closed.chmod(0o700)
    stranger = pwd.struct_passwd(("stranger", "x", 54321, 54321, "", "/", "/bin/false"))
    said: list[str] = []
    system_user.let_through(inner, stranger, said.append)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "a", inner)]
    assert modes == [0o701, 0o701, 0o700]
    assert len(said) == 2
    system_user.let_through(inner, stranger, said.append)
    assert len(said) == 2


def test_the_system_user_can_read_the_programs(folder: Path) -> None:
    program, text = folder / "program", folder / "text"
    program.touch(0o700)
    text.touch(0o600)
    stranger = pwd.struct_passwd(("stranger", "x", 54321, 54321, "", "/", "/bin/false"))
    said: list[str] = []
    system_user.let_read(folder, stranger, said.append)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, program, text)]
    assert modes == [0o705, 0o705, 0o604]
    assert len(said) == 1


def test_no_system_user_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_user, "NAME", "no-such-user-of-roost")
    monkeypatch.setattr(shutil, "which", lambda *_arguments, **_options: None)
    with pytest.raises(system_user.SystemUserError, match=r"no useradd.*set DATABASE_URL"):
        system_user.system_user(print)
