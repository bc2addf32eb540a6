"""What the commands for DBAs print, and the exit codes that they end with."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from roost.database.migration_session import place
from roost.database.migration_template import new_migration
from roost.database.migration_watch import Timeouts
from roost.database.migrations import migrate, migration_sql, rollback, rollback_sql, status
from roost.database.sqitch import export
from roost.database.sqitch_handover import adopt
from roost.database.verification import verify
from roost.settings import Settings

OK: Final = 0
PENDING: Final = 3
UNKNOWN: Final = 4
CHANGED: Final = 5
DIFFERS: Final = 6

Command = Callable[[Settings, str, argparse.Namespace], int]
"""Of the settings, the connection string and the options; answers the exit code."""


def run_migrate(settings: Settings, conninfo: str, options: argparse.Namespace) -> int:
    if options.dry_run:
        print(migration_sql(conninfo, to=options.to), end="")
        return OK
    bring_up(settings, conninfo, to=options.to)
    return OK


def bring_up(settings: Settings, conninfo: str, *, to: str | None = None) -> None:
    """Migrates, and says how that ended."""
    findings = migrate(conninfo, say, to=to, timeouts=timeouts(settings))
    if findings:
        places = "a place" if len(findings) == 1 else f"{len(findings)} places"
        say(
            f"{_name(settings, conninfo)} has nothing left to apply, but is other than this version"
            f" makes it in {places}, for example: {findings[0]}. roost verify lists what differs"
        )
    else:
        say(f"{_name(settings, conninfo)} is {f'at {to}' if to else 'up to date'}")


def run_rollback(settings: Settings, conninfo: str, options: argparse.Namespace) -> int:
    if options.dry_run:
        print(rollback_sql(conninfo, to=options.to, everything=options.all), end="")
        return OK
    target = rollback(
        conninfo, say, to=options.to, everything=options.all, timeouts=timeouts(settings)
    )
    say(f"{_name(settings, conninfo)} is {f'at {target}' if target else 'without Roost'}")
    return OK


def run_status(_settings: Settings, conninfo: str, _options: argparse.Namespace) -> int:
    found = status(conninfo)
    for meaning, names in (
        ("applied", found.applied),
        ("pending", found.pending),
        ("changed", found.changed),
        ("unknown", found.unknown),
    ):
        for name in names:
            print(f"{meaning} {name}")
    if found.changed:
        return CHANGED
    if found.unknown:
        return UNKNOWN
    return PENDING if found.pending else OK


def run_verify(settings: Settings, conninfo: str, _options: argparse.Namespace) -> int:
    findings = verify(conninfo)
    for finding in findings:
        print(finding)
    if findings:
        return DIFFERS
    say(f"{_name(settings, conninfo)} is as this version makes it")
    return OK


def run_adopt(_settings: Settings, conninfo: str, _options: argparse.Namespace) -> int:
    for name in adopt(conninfo):
        say(f"Marked {name} as applied")
    say("From here on roost migrate manages this database; let sqitch be")
    return OK


def run_sql(_settings: Settings, options: argparse.Namespace) -> int:
    print(migration_sql(None, to=options.to), end="")
    return OK


def run_new(_settings: Settings, options: argparse.Namespace) -> int:
    for path in new_migration(options.name):
        say(f"Wrote {path}")
    return OK


def run_sqitch(_settings: Settings, options: argparse.Namespace) -> int:
    changes = export(Path(options.folder))
    say(f"Wrote a sqitch project of {len(changes)} changes to {options.folder}")
    return OK


def _name(settings: Settings, conninfo: str) -> str:
    # Whoever forgot DATABASE_URL, or has another one than they think, sees it.
    return "The database" if settings.database_url is None else f"The database {place(conninfo)}"


def timeouts(settings: Settings) -> Timeouts:
    return Timeouts(settings.migration_lock_timeout_ms, settings.migration_statement_timeout_ms)


def say(line: str) -> None:
    """Prints a line of progress at once, also into a pipe."""
    print(line, flush=True)
