"""The command `roost`."""

import argparse
import asyncio
import contextlib
import errno
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import uvloop

import roost
from roost.client.arguments import add_arguments as add_sync_arguments
from roost.database.embedded import EmbeddedError, EmbeddedInUseError, EmbeddedPostgres
from roost.database.migration_files import MigrationError
from roost.database.migrations import check
from roost.database.starting import wait_while_starting
from roost.errors import RoostError
from roost.logs import set_up_logs
from roost.migration_commands import (
    CHANGED,
    DIFFERS,
    OK,
    PENDING,
    UNKNOWN,
    Command,
    bring_up,
    run_adopt,
    run_migrate,
    run_new,
    run_rollback,
    run_sqitch,
    run_sql,
    run_status,
    run_verify,
    say,
)
from roost.settings import Settings, SettingsError

FAILED = 1

# Each has connections to the database: ROOST_DB_CONNECTIONS and two, and those for files.
MOST_WORKERS = 64

ENVIRONMENT = """\
environment:
  DATABASE_URL    a PostgreSQL to use, such as postgresql://user@host/database
  PG*             the same in libpq's variables: PGHOST, PGSERVICE or PGDATABASE
                  (without any of these: an embedded PostgreSQL)
  ROOST_DATA_DIR  folder of the embedded PostgreSQL (.roost)
  ROOST_HOST      address to serve on (127.0.0.1)
  ROOST_PORT      port to serve on (8787)
  ROOST_MIGRATION_LOCK_TIMEOUT_MS
                  how long a statement of a migration may wait for a lock (5000)
  ROOST_MIGRATION_STATEMENT_TIMEOUT_MS
                  how long it may take (600000)
"""

EXIT_CODES = "exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage"


class CommandError(Exception):
    """The command cannot be carried out. One line, with the cure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = _parser().parse_args(arguments)

    def run(settings: Settings) -> int:
        code: int = options.command(settings, options)
        sys.stdout.flush()
        return code

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(Settings.from_environment())
    except (CommandError, SettingsError, EmbeddedError, MigrationError) as error:
        return _fail(str(error))
    except RoostError as error:
        return _fail(" ".join(filter(None, (error.message, error.details, error.hint))))
    except BrokenPipeError:
        # Whoever reads has seen enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        # To be ended is how serving ends; anything else was broken off.
        return OK if options.command in (_up, _serve, _worker) else 128 + signal.SIGINT


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
            description=textwrap.fill(f"{summary}. {detail}", 78),
            epilog=f"{ENVIRONMENT}\n{exit_codes}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.set_defaults(command=command)
        return subparser

    def add_target(subparser: argparse.ArgumentParser, to: str) -> argparse._MutuallyExclusiveGroup:
        subparser.add_argument(
            "--dry-run", action="store_true", help="print the SQL instead, in order"
        )
        group = subparser.add_mutually_exclusive_group()
        group.add_argument("--to", metavar="ID", help=to)
        return group

    for command in (
        add(
            "up",
            _up,
            "Migrate and serve",
            "Starts an embedded PostgreSQL unless the "
            "environment names a server. Ctrl-C or SIGTERM ends it.",
        ),
        add(
            "serve",
            _serve,
            "Serve without migrating",
            "Refuses a database that is not migrated, or that is newer than this version.",
        ),
    ):
        command.add_argument(
            "--workers",
            metavar="N",
            type=_workers,
            default=1,
            help=f"serve with so many processes, up to {MOST_WORKERS} (1)",
        )
    add(
        "worker",
        _worker,
        "Do the database's own work without serving",
        "Carries out what devices have enqueued, and lets go what is past its time; every server "
        "does so too. Refuses a database as serve does. Ctrl-C or SIGTERM ends it, when it has "
        "finished what it is doing.",
    )
    command = add(
        "migrate",
        _on_database(run_migrate, may_make=True),
        "Bring the database to this version",
        "Does nothing where it is there.",
    )
    add_target(command, "stop after this migration or at this release")
    command = add(
        "rollback",
        _on_database(run_rollback),
        "Undo the last migration",
        "What its tables hold is lost: take a backup "
        "first. Where just the migrations of a release are left, its functions and triggers "
        "are put back.",
    )
    which = add_target(command, "undo all that came after this migration or release")
    which.add_argument("--all", action="store_true", help="undo everything")
    add(
        "status",
        _on_database(run_status),
        "Compare what is applied with this version",
        "Changes nothing. A line for each file: "
        "applied, pending (to apply), changed (edited since it was applied) or unknown (applied "
        "by a newer version).",
        f"exit codes: {OK} up to date, {FAILED} cannot be asked, {PENDING} pending: run roost"
        f" migrate,\n            {UNKNOWN} unknown: install a newer version,"
        f" {CHANGED} changed: restore the file",
    )
    add(
        "verify",
        _on_database(run_verify),
        "Compare the database itself with this version",
        "Changes nothing. Tables, columns, "
        "constraints, indexes, policies, functions, triggers, types, rights, roles and checksums. "
        "A line for each that is missing, extra or differs.",
        f"exit codes: {OK} all is as it should be, {FAILED} cannot be asked, {DIFFERS} it is not",
    )
    command = add(
        "sql",
        run_sql,
        "Print all SQL that an installation runs, in order",
        "Needs no database.",
    )
    command.add_argument("--to", metavar="ID", help="up to this migration or release")
    command = add(
        "new",
        run_new,
        "Begin a migration",
        "Makes the file, its rollback and its verify script.",
    )
    command.add_argument("name", metavar="NAME", help="what it does: add_messages_language")
    command = add(
        "sqitch",
        run_sqitch,
        "Write a sqitch project of the same files",
        "Replaces the one that is there.",
    )
    command.add_argument(
        "folder", metavar="FOLDER", nargs="?", default="build/sqitch", help="(build/sqitch)"
    )
    add(
        "adopt",
        _on_database(run_adopt),
        "Take over a database from sqitch",
        "Marks in yoyo's tables what sqitch has deployed.",
    )
    demo = add(
        "demo",
        _demo,
        "Show two people on four devices talking",
        "Needs a running server.",
    )
    demo.add_argument("--url", help="address of the server (from ROOST_HOST and ROOST_PORT)")
    sync = add(
        "sync",
        _sync,
        "Keep a folder in step with a workspace",
        "Both ways, until Ctrl-C or SIGTERM ends it. Needs a running server. What .roostignore "
        "names, in the syntax of .gitignore, is left alone.",
        "exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage,\n"
        "7 in step but for what was left out (--once)",
    )
    add_sync_arguments(sync)
    return parser


def _workers(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MOST_WORKERS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {MOST_WORKERS}")


def _up(settings: Settings, options: argparse.Namespace) -> int:
    _refuse_workers(options)
    with _database(settings, shared=False) as (conninfo, postgres):
        bring_up(settings, conninfo)
        _run_server(settings, conninfo, postgres, options.workers)
    return OK


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    _refuse_workers(options)
    _refuse_no_database(settings)
    with _database(settings) as (conninfo, postgres):
        check(conninfo)
        _run_server(settings, conninfo, postgres, options.workers)
    return OK


def _worker(settings: Settings, _options: argparse.Namespace) -> int:
    from roost import work  # noqa: PLC0415  # the other commands start faster without

    _refuse_no_database(settings)
    with _database(settings) as (conninfo, postgres):
        check(conninfo)
        set_up_logs(settings.log_level)
        _run_until_ended(
            work.run(settings, conninfo, lambda: say("Roost works. Ctrl-C ends it.")), postgres
        )
    return OK


def _refuse_workers(options: argparse.Namespace) -> None:
    if options.workers > 1 and sys.platform != "linux":
        # Elsewhere all connections of a shared port come to one of them.
        raise CommandError("--workers is for Linux: leave it out, or put a proxy before several")


def _on_database(
    command: Command, *, may_make: bool = False
) -> Callable[[Settings, argparse.Namespace], int]:
    """may_make -- whether to make an embedded PostgreSQL where there is none"""

    def run(settings: Settings, options: argparse.Namespace) -> int:
        if getattr(options, "dry_run", False) or not may_make:
            _refuse_no_database(settings)
        with _database(settings) as (conninfo, _postgres):
            return command(settings, conninfo, options)

    return run


def _refuse_no_database(settings: Settings) -> None:
    """For what only makes sense where there is one: so none is made."""
    if settings.database_url is None and not (settings.data_dir / "postgres").exists():
        raise CommandError(
            f"there is no database in {settings.data_dir}: set DATABASE_URL, or make one with"
            " roost migrate"
        )


def _sync(settings: Settings, options: argparse.Namespace) -> int:
    from roost.client import command  # noqa: PLC0415  # the other commands start faster without

    url = f"http://{settings.host}:{settings.port}"
    return asyncio.run(command.main(command.options_of(options, os.environ, url)))


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
        wait_while_starting(settings.database_url, say)
        yield settings.database_url, None
        return
    postgres = EmbeddedPostgres(settings.data_dir, announce=say)
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


def _run_server(
    settings: Settings, conninfo: str, postgres: EmbeddedPostgres | None, number: int
) -> None:
    from roost import app, workers  # noqa: PLC0415  # the other commands start faster without

    set_up_logs(settings.log_level)
    server = (
        app.run(settings, conninfo, _welcome)
        if number == 1
        else workers.run(settings, conninfo, number, _welcome)
    )

    try:
        _run_until_ended(server, postgres)
    except OSError as error:
        raise CommandError(_listen_error(settings, error)) from error
    except workers.WorkerError as error:
        raise CommandError(str(error)) from error


def _run_until_ended(server: Coroutine[Any, Any, None], postgres: EmbeddedPostgres | None) -> None:
    """Runs it until it ends, or Ctrl-C or SIGTERM cancels it; a second one cancels it again."""

    async def run() -> None:
        tasks = [asyncio.create_task(server)]
        if postgres is not None:
            tasks.append(asyncio.create_task(_keep_running(postgres)))
        loop = asyncio.get_running_loop()
        for which in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(which, tasks[0].cancel)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    uvloop.run(run())


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    """Starts PostgreSQL again when it has crashed. Its connections are then made anew elsewhere."""
    while True:
        await asyncio.sleep(0.5)
        if not postgres.running:
            say("PostgreSQL has ended unexpectedly: starting it again")
            await asyncio.to_thread(postgres.start)


def _welcome(address: str) -> None:
    command = sys.argv[0]
    found = shutil.which("roost")
    if found is not None and Path(found).resolve() == Path(command).resolve():
        command = "roost"
    say(
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


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
