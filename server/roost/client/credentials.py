"""Who one is. Nothing of it is ever printed, logged, or taken from the command line."""

import getpass
import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

_FILE: Final = "credentials.json"


class CredentialsError(Exception):
    """There is nothing to sign in with. One line, with the cure."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a session goes on with. device_id is the same for all of a folder's sessions."""

    url: str
    email: str
    refresh_token: str = field(repr=False)
    device_id: str


def load(folder: Path) -> Credentials | None:
    """Those that a state folder keeps, or None."""
    try:
        return Credentials(**json.loads((folder / _FILE).read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def save(folder: Path, credentials: Credentials) -> None:
    """Keeps them where nobody else can read them; the old ones or the new ones are there."""
    new = folder / f"{_FILE}.new"
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(credentials), file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / _FILE)


def password(email: str, environment: Mapping[str, str], file: Path | None) -> str:
    """From a file, ROOST_PASSWORD, or whoever sits there. Raises CredentialsError."""
    if file is not None:
        return _from_file(file)
    if "ROOST_PASSWORD" in environment:
        return environment["ROOST_PASSWORD"]
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {email}: ")
    raise CredentialsError(
        "not signed in: set ROOST_PASSWORD, name a file with --password-file, or sign in once on a"
        " terminal"
    )


def _from_file(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise CredentialsError(f"{file} can be read by others: chmod 600 {file}")
            return opened.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{file} can't be read: {error}") from error
