"""
The system user that runs the embedded PostgreSQL when Roost itself is run by root.

PostgreSQL refuses to run as root, for good reason. Its own user then needs to get to the data and
to the programs, wherever root has put them; it is given that and nothing more.
"""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

NAME = "roost"


class SystemUserError(Exception):
    """There is no user to run PostgreSQL as, or it cannot get where it has to."""


def system_user(announce: Callable[[str], None]) -> pwd.struct_passwd:
    """The user `roost`, made where it is missing. Raises SystemUserError."""
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        pass
    # root's PATH may be that of a plain user, which has no sbin.
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        raise SystemUserError(_no_user("this system has no useradd"))
    made = subprocess.run(
        [
            useradd,
            "--system",
            "--no-create-home",
            "--home-dir=/nonexistent",
            f"--shell={shutil.which('nologin', path='/usr/sbin:/sbin') or '/bin/false'}",
            NAME,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        user = pwd.getpwnam(NAME)
    except KeyError:
        reason = made.stderr.strip().splitlines() or [f"useradd ended with {made.returncode}"]
        raise SystemUserError(_no_user(reason[-1])) from None
    announce(f"Made the system user {NAME}: PostgreSQL does not run as root")
    return user


def _no_user(reason: str) -> str:
    return (
        f"PostgreSQL does not run as root, and the system user {NAME} cannot be made ({reason}):"
        " run roost as another user, or set DATABASE_URL"
    )


def let_through(path: Path, user: pwd.struct_passwd, announce: Callable[[str], None]) -> None:
    """
    Makes every folder above `path` searchable for the user, adding the missing x and never an r:
    the user can then pass through, but not look around. Says so. Raises SystemUserError.
    """
    for folder in reversed(path.parents):
        mode = folder.stat().st_mode
        missing = _bit(folder.stat(), user, stat.S_IXUSR) & ~mode
        if missing:
            _add_mode(folder, missing)
            announce(
                f"Made {folder} searchable (not readable) for the system user {user.pw_name},"
                " which runs PostgreSQL"
            )


def let_read(tree: Path, user: pwd.struct_passwd, announce: Callable[[str], None]) -> None:
    """
    Makes the installed programs below `tree` readable for the user: a strict umask at installation
    leaves them to root alone. Raises SystemUserError.
    """
    changed = False
    for path in _below(tree):
        status = path.stat()
        wanted = _bit(status, user, stat.S_IRUSR)
        if status.st_mode & stat.S_IXUSR:
            wanted |= _bit(status, user, stat.S_IXUSR)
        if wanted & ~status.st_mode:
            _add_mode(path, wanted)
            changed = True
    if changed:
        announce(f"Made {tree} readable for the system user {user.pw_name}, which runs PostgreSQL")


def _below(tree: Path) -> Iterator[Path]:
    yield tree
    yield from tree.rglob("*")


def _bit(status: os.stat_result, user: pwd.struct_passwd, owner_bit: int) -> int:
    """The permission bit of owner, group or others, whichever the kernel looks at for this user."""
    if status.st_uid == user.pw_uid:
        return owner_bit
    if status.st_gid == user.pw_gid:
        return owner_bit >> 3
    return owner_bit >> 6


def _add_mode(path: Path, bits: int) -> None:
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | bits)
    except OSError as error:
        raise SystemUserError(
            f"the system user {NAME}, which runs PostgreSQL, cannot get to {path}"
            f" ({error.strerror}): choose another ROOST_DATA_DIR, or set DATABASE_URL"
        ) from error
