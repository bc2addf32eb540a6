"""The command `roost`."""

import argparse
import asyncio
import contextlib
import errno
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import uvloop

import roost
from roost.database.embedded import EmbeddedError, EmbeddedInUseError, EmbeddedPostgres
from roost.database.migrations import MigrationError, check, migrate, status
from roost.errors import RoostError
from roost.settings import Settings, SettingsError

OK = 0
FAILED = 1
BEHIND = 3
AHEAD = 4

ENVIRONMENT = """\
environment:
  DATABASE_URL    a PostgreSQL to use, such as postgresql://user@host/database
  PG*             the same in libpq's variables: PGHOST, PGSERVICE or PGDATABASE
                  (without any of these: an embedded PostgreSQL)
  ROOST_DATA_DIR  folder of the embedded PostgreSQL (.roost)
  ROOST_HOST      address to serve on (127.0.0.1)
  ROOST_PORT      port to serve on (8787)
"""

EXIT_CODES = "exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage"


class CommandError(Exception):
    """The command cannot be carried out. One line, with the cure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[Settings, argparse.Namespace], int] = options.command
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return command(Settings.from_environment(), options)
    except (CommandError, SettingsError, EmbeddedError, MigrationError) as error:
        return _fail(str(error))
    except RoostError as error:
        return _fail(" ".join(filter(None, (error.message, error.details, error.hint))))
    except KeyboardInterrupt:
        # To be ended is how serving ends; anything else was broken off.
        return OK if command in (_up, _serve) else 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="roost",
        description=roost.__doc__,
    )
    parser.add_argument("--version", action="version", version=f"roost {roost.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str,
        command: Callable[[Settings, argparse.Namespace], int],
        summary: str,
        detail: str,
        exit_codes: str = EXIT_CODES,
    ) -> argparse.ArgumentParser:
        subparser = commands.add_parser(
            name,
            help=summary,
            description=f"{summary}. {detail}",
            epilog=f"{ENVIRONMENT}\n{exit_codes}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.set_defaults(command=command)
        return subparser

    add(
        "up",
        _up,
        "Migrate and serve",
        "Starts an embedded PostgreSQL unless the\n"
        "environment names a server. Ctrl-C or SIGTERM ends it.",
    )
    add(
        "serve",
        _serve,
        "Serve without migrating",
        "Refuses a database that is not\nmigrated, or that is newer than this version.",
    )
    add(
        "migrate", _migrate, "Bring the database to this version", "Does nothing where it is there."
    )
    add(
        "status",
        _status,
        "Compare the database with this version",
        "Changes nothing.",
        f"exit codes: {OK} up to date, {FAILED} cannot be asked,"
        f" {BEHIND} behind: run roost migrate,\n"
        f"            {AHEAD} newer than this version, or a migration was edited",
    )
    demo = add(
        "demo",
        _demo,
        "Show two people on four devices talking",
        "Needs a running server.",
    )
    demo.add_argument("--url", help="address of the server (from ROOST_HOST and ROOST_PORT)")
    return parser


def _up(settings: Settings, _options: argparse.Namespace) -> int:
    with _database(settings, shared=False) as (conninfo, postgres):
        migrate(conninfo, _say)
        _run_server(settings, conninfo, postgres)
    return OK


def _serve(settings: Settings, _options: argparse.Namespace) -> int:
    with _database(settings) as (conninfo, postgres):
        check(conninfo)
        _run_server(settings, conninfo, postgres)
    return OK


def _migrate(settings: Settings, _options: argparse.Namespace) -> int:
    with _database(settings) as (conninfo, _postgres):
        migrate(conninfo, _say)
    _say("The database is up to date")
    return OK


def _status(settings: Settings, _options: argparse.Namespace) -> int:
    with _database(settings) as (conninfo, _postgres):
        found = status(conninfo)
    for meaning, names in (
        ("applied", found.applied),
        ("to apply", found.pending),
        ("to apply", found.changed),
        ("edited", found.edited),
        ("unknown", found.unknown),
    ):
        for name in names:
            print(f"{meaning:9} {name}")
    if found.edited or found.unknown:
        return AHEAD
    return OK if found.up_to_date else BEHIND


def _demo(settings: Settings, options: argparse.Namespace) -> int:
    from roost import demo  # noqa: PLC0415  # the other commands start faster without

    return asyncio.run(demo.main(options.url or f"http://{settings.host}:{settings.port}"))


@contextlib.contextmanager
def _database(
    settings: Settings, *, shared: bool = True
) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """
    Gives the connection string, and the embedded server when this process runs it. A shared one may
    be run by another roost.
    """
    if settings.database_url is not None:
        yield settings.database_url, None
        return
    postgres = EmbeddedPostgres(settings.data_dir, announce=_say)
    try:
        postgres.start()
    except EmbeddedInUseError:
        if not shared:
            raise
        yield postgres.conninfo(), None
        return
    try:
        yield postgres.conninfo(), postgres
    finally:
        # Impatience must not leave it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        postgres.stop()


def _run_server(settings: Settings, conninfo: str, postgres: EmbeddedPostgres | None) -> None:
    from roost import app  # noqa: PLC0415  # the other commands start faster without

    async def serve() -> None:
        tasks = [asyncio.create_task(app.run(settings, conninfo, _welcome))]
        if postgres is not None:
            tasks.append(asyncio.create_task(_keep_running(postgres)))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, tasks[0].cancel)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    try:
        uvloop.run(serve())
    except OSError as error:
        raise CommandError(_listen_error(settings, error)) from error


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    """Starts PostgreSQL again when it has crashed. Its connections are then made anew elsewhere."""
    while True:
        await asyncio.sleep(0.5)
        if not postgres.running:
            _say("PostgreSQL has ended unexpectedly: starting it again")
            await asyncio.to_thread(postgres.start)


def _welcome(address: str) -> None:
    command = sys.argv[0]
    found = shutil.which("roost")
    if found is not None and Path(found).resolve() == Path(command).resolve():
        command = "roost"
    _say(
        f"Roost is at {address}. Ctrl-C ends it.\n\n"
        f"  A first call: curl -H 'Content-Type: application/json' -d '{{}}' {address}/rpc/ping\n"
        f"  The demo:     {command} demo --url {address}\n"
    )


def _listen_error(settings: Settings, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            cure = f"port {settings.port} is in use: stop what is there, or set ROOST_PORT"
        case errno.EACCES:
            cure = f"port {settings.port} is for root: set ROOST_PORT to one above 1023"
        case errno.EADDRNOTAVAIL:
            cure = "this machine does not have that address: set ROOST_HOST"
        case _:
            cure = f"{error.strerror or error}: set ROOST_HOST or ROOST_PORT"
    return f"cannot serve on {settings.host}:{settings.port}: {cure}"


def _fail(line: str) -> int:
    print(f"roost: {line}", file=sys.stderr)
    return FAILED


def _say(line: str) -> None:
    print(line, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
