"""The command roost, from outside: what it prints, how it ends, what it leaves."""

import ast
import contextlib
import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import venv
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from roost import __version__
from roost.database.embedded import EmbeddedPostgres
from tests.support import REPOSITORY, runs

ROOST = (str(Path(sys.executable).parent / "roost"),)
COMMANDS = (
    *("up", "serve", "demo", "migrate", "rollback", "status", "verify", "sql", "new"),
    *("sqitch", "adopt", "worker", "sync"),
)


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without what the command reads, and these."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "ROOST_")) and name != "DATABASE_URL"
    }
    return {**ours, "ROOST_PORT": "0", **(variables or {})}


def roost(
    *arguments: str, cwd: Path = REPOSITORY, variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end."""
    return subprocess.run(
        [*ROOST, *arguments],
        cwd=cwd,
        env=environment(variables),
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(run: "subprocess.CompletedProcess[str]") -> str:
    """The one line that a failed command says."""
    assert run.returncode == 1, run
    lines = run.stderr.splitlines()
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("roost: ")
    return lines[0].removeprefix("roost: ")


@dataclass(frozen=True, slots=True)
class Server:
    """A running `roost up` or `roost serve`."""

    process: "subprocess.Popen[str]"
    url: str
    said: list[str]

    def ping(self) -> object:
        request = urllib.request.Request(  # noqa: S310  # it is our own address
            f"{self.url}/rpc/ping", data=b"{}", headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.load(answer)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait()


@contextlib.contextmanager
def serving(
    cwd: Path,
    command: str = "up",
    roost: tuple[str, ...] = ROOST,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Starts a server in a folder and waits for its address."""
    with subprocess.Popen(
        [*roost, command],
        cwd=cwd,
        env=environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A terminal's Ctrl-C reaches a whole group.
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        try:
            for line in process.stdout:
                said.append(line.rstrip("\n"))
                if found := re.match(r"Roost is at (http://\S+)\. ", line):
                    break
            else:
                pytest.fail("it does not serve:\n" + "\n".join(said))
            yield Server(process, found[1], said)
        finally:
            process.terminate()


def postmaster(folder: Path) -> int:
    return int((folder / ".roost" / "postgres" / "postmaster.pid").read_text().split()[0])


def inside(folder: Path, statement: str) -> list[tuple[object, ...]]:
    """Asks the embedded server of a folder."""
    conninfo = EmbeddedPostgres(folder / ".roost").conninfo()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_up_and_all_that_may_happen_to_it(folder: Path) -> None:
    with serving(folder) as server:
        assert server.ping() == "pong"
        assert "Making a PostgreSQL in .roost/postgres" in server.said
        inside(folder, "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = postmaster(folder)

        beside = roost("up", cwd=folder)
        assert f"another roost (process {server.process.pid}) is running" in refusal(beside)
        assert roost("status", cwd=folder).returncode == 0
        assert roost("migrate", cwd=folder).stdout == "The database is up to date\n"
        with serving(folder, "serve") as second:
            assert second.ping() == "pong"

        assert server.end(signal.SIGTERM) == 0
        assert not runs(pid)

    with serving(folder) as server:
        assert inside(folder, "SELECT answer FROM kept") == [(42,)]
        left_over = postmaster(folder)
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        assert runs(left_over)

    with serving(folder) as server:
        assert not runs(left_over)
        assert server.ping() == "pong"
        assert inside(folder, "SELECT answer FROM kept") == [(42,)]
        pid = postmaster(folder)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait() == 0
        assert not runs(pid)
    # PostgreSQL was stopped by us, in order, and not by the terminal.
    log = (folder / ".roost" / "postgres.log").read_text()
    assert log.rstrip().endswith("LOG:  database system is shut down")


def test_a_postgres_that_dies_is_started_again(folder: Path) -> None:
    with serving(folder) as server:
        os.kill(postmaster(folder), signal.SIGKILL)
        assert server.process.stdout is not None
        told = "PostgreSQL has ended unexpectedly: starting it again\n"
        assert told in iter(server.process.stdout.readline, "")
        answer = None
        while answer is None:
            with contextlib.suppress(urllib.error.HTTPError):
                answer = server.ping()
        assert answer == "pong"
        assert server.end(signal.SIGTERM) == 0


def test_a_signal_while_it_starts(folder: Path) -> None:
    with subprocess.Popen(
        [*ROOST, "up"], cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "Making a PostgreSQL in .roost/postgres\n" in iter(process.stdout.readline, "")
        process.terminate()
        assert process.communicate()[0] == ""
    assert process.returncode == 0
    with serving(folder) as server:
        assert server.ping() == "pong"


def test_a_wheel_in_an_empty_folder(folder: Path) -> None:
    build = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    (wheel,) = (folder / "dist").iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    in_wheel = {name.removeprefix("roost/") for name in names if name.startswith("roost/db/")}
    in_checkout = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "db").rglob("*")
        if path.is_file() and not {"tests", "__pycache__"} & set(path.parts[-3:])
    }
    assert in_wheel == in_checkout

    # What it depends on is borrowed from here; roost itself is not, since its folder is only named
    # in a .pth file, which is not read a second time.
    venv.create(folder / "venv", with_pip=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (here,) = Path(sys.prefix).glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(f"{here}\n")
    subprocess.run(
        [
            folder / "venv" / "bin" / "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--disable-pip-version-check",
            wheel,
        ],
        check=True,
    )
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    with serving(elsewhere, roost=(str(folder / "venv" / "bin" / "roost"),)) as server:
        assert server.ping() == "pong"
        pid = postmaster(elsewhere)
        assert server.end(signal.SIGTERM) == 0
        assert not runs(pid)
    # For DBAs too it is all that they need.
    installed = str(folder / "venv" / "bin" / "roost")
    for arguments in (["verify"], ["sqitch"], ["rollback", "--to", "0.1.0", "--dry-run"]):
        subprocess.run([installed, *arguments], cwd=elsewhere, env=environment(), check=True)
    assert (elsewhere / "build" / "sqitch" / "sqitch.plan").exists()


def test_every_import_is_a_declared_dependency() -> None:
    imported = {
        name.split(".")[0]
        for path in (REPOSITORY / "server").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    declared = {
        re.split(r"[^A-Za-z0-9_-]", requirement)[0].lower().replace("_", "-")
        for requirement in importlib.metadata.requires("roost") or []
        if "extra ==" not in requirement
    }
    distributions = importlib.metadata.packages_distributions()
    for name in sorted(imported - sys.stdlib_module_names - {"roost"}):
        found = {one.lower().replace("_", "-") for one in distributions[name]}
        assert declared & found, f"{name} is not declared"


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    run = roost(command, "--help")
    assert run.returncode == 0
    assert run.stdout.startswith(f"usage: roost {command} ")
    assert "DATABASE_URL" in run.stdout
    assert "exit codes: 0 " in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80


def test_usage() -> None:
    assert all(f"    {command} " in roost("--help").stdout for command in COMMANDS)
    assert roost("--version").stdout == f"roost {__version__}\n"
    assert roost().returncode == 2
    assert roost("fly").returncode == 2
    module = subprocess.run(
        [sys.executable, "-m", "roost", "--version"], capture_output=True, text=True, check=True
    )
    assert module.stdout == f"roost {__version__}\n"


@pytest.mark.parametrize(
    "command", ["up", "serve", "worker", "migrate", "rollback", "status", "verify"]
)
def test_a_server_that_does_not_answer(command: str) -> None:
    line = refusal(
        roost(command, variables={"DATABASE_URL": "postgresql://somebody:secret@127.0.0.1:1/roost"})
    )
    assert re.match(r"cannot connect to PostgreSQL: .*127\.0\.0\.1.*Check DATABASE_URL$", line)
    assert "secret" not in line


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"ROOST_PORT": "http"}, r"ROOST_PORT is 'http': set it to a whole number from 0 to 65535"),
        ({"ROOST_PORT": "65536"}, r"ROOST_PORT is '65536': .*"),
        ({"ROOST_DB_CONNECTIONS": "-1"}, r"ROOST_DB_CONNECTIONS is '-1': .*"),
        ({"ROOST_JWT_SECRET": "short"}, r"ROOST_JWT_SECRET is too short: .* 32 bytes, .*"),
        ({"ROOST_LOG_LEVEL": "loud"}, r"ROOST_LOG_LEVEL is 'loud': set it to one of debug, .*"),
        ({"ROOST_CORS_ORIGINS": "*, here"}, r"ROOST_CORS_ORIGINS has 'here': set it to \* or .*"),
        (
            {"DATABASE_URL": "postgresql+psycopg://ada:secret@localhost/roost"},
            r"DATABASE_URL is not a connection string of PostgreSQL: (?!.*secret).*",
        ),
        ({"PGHOST": "/nowhere", "PGUSER": "ada"}, r"cannot connect to PostgreSQL: .*/nowhere.*"),
        (
            {"ROOST_DATA_DIR": "/dev/null/data"},
            r"cannot use /dev/null/data: Not a directory\. ROOST_DATA_DIR chooses another folder",
        ),
    ],
)
def test_bad_settings(variables: dict[str, str], line: str) -> None:
    assert re.fullmatch(line, refusal(roost("migrate", variables=variables)))


def test_a_port_in_use(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for command in ("up", "serve"):
            line = refusal(roost(command, variables={"DATABASE_URL": database, "ROOST_PORT": port}))
            assert line == (
                f"cannot serve on 127.0.0.1:{port}: port {port} is in use: stop what is there,"
                " or set ROOST_PORT"
            )


def test_an_address_of_another_machine(database: str) -> None:
    line = refusal(roost("serve", variables={"DATABASE_URL": database, "ROOST_HOST": "192.0.2.1"}))
    assert line.endswith("this machine does not have that address: set ROOST_HOST")


def test_a_demo_without_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert refusal(roost("demo", "--url", url)) == (
        f"no server answers at {url}: start one with roost up"
    )
