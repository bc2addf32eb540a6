"""What the benchmarks run against: a PostgreSQL of their own, and server processes beside it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import migrate

JAVASCRIPT: Final = Path(__file__).parent / "javascript"

# The .venv's node comes first: it is there where the machine's own is missing or too old.
PROGRAMS: Final = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@contextlib.contextmanager
def database(**settings: str) -> Iterator[EmbeddedPostgres]:
    """An embedded PostgreSQL with a migrated database, set as `roost up` sets it (fsync on), but
    for these settings.
    """
    folder = Path(tempfile.mkdtemp(prefix="roost-bench-"))
    postgres = EmbeddedPostgres(folder, settings=settings, announce=lambda _line: None)
    try:
        postgres.start()
        migrate(postgres.conninfo())
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


class Server:
    """A server process.

    url -- its address, which it prints first
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Raises RuntimeError when it does not start."""
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PATH": PROGRAMS, **environment},
        )
        self._statistics = psutil.Process(self._process.pid)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("http"):
            self.stop()
            raise RuntimeError(f"{' '.join(command)} did not start: {line!r}")
        self.url: str = line.strip()

    def cpu_seconds(self) -> float:
        """Processor time that it has taken so far, the kernel's part included."""
        times = self._statistics.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Bytes of memory that it has now."""
        return int(self._statistics.memory_info().rss)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """Ends it in order."""
        self._process.terminate()
        self._process.wait(30)


@contextlib.contextmanager
def running(command: Sequence[str], **environment: str) -> Iterator[Server]:
    """Runs a server until the end of the block."""
    server = Server(command, environment)
    try:
        yield server
    finally:
        server.stop()


def roost(
    conninfo: str, module: str = "bench.roost_server", **environment: str
) -> contextlib.AbstractContextManager[Server]:
    """Roost, or another module that serves the database at DATABASE_URL."""
    return running(
        [sys.executable, "-m", module],
        **{
            "DATABASE_URL": conninfo,
            "ROOST_PORT": "0",
            "ROOST_LOG_LEVEL": "warning",
            # A benchmark is a single person who does the work of thousands.
            "ROOST_REALTIME_USER_SOCKETS": "0",
            "ROOST_REALTIME_USER_JOINS_PER_SECOND": "0",
            **environment,
        },
    )


@contextlib.contextmanager
def server(module: str, conninfo: str) -> Iterator[str]:
    """Runs a module that serves the database at DATABASE_URL, and gives its address."""
    with roost(conninfo, module) as process:
        yield process.url


def socket_io() -> contextlib.AbstractContextManager[Server]:
    """The Socket.IO server of bench/javascript."""
    # What is called node may be a script that starts it, and is not what takes the time.
    node = subprocess.run(
        ["node", "-p", "process.execPath"],
        env={**os.environ, "PATH": PROGRAMS},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    return running([node, str(JAVASCRIPT / "socketio_server.js")], NODE_ENV="production")


def cpu_seconds(postgres: EmbeddedPostgres) -> float:
    """Processor time that a database's processes have taken so far."""
    total = 0.0
    for process in psutil.Process(postgres.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def http_request(path: str, body: str, token: str | None) -> str:
    """A request as the load generator sends it."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"{authorization}Content-Length: {len(body.encode())}\r\n\r\n{body}"
    )


class Load:
    """The load generator's process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.http_load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, url: str, seconds: float, requests: Sequence[str]) -> float:
        """Answered requests a second. Raises RuntimeError when one was answered with an error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {"url": url, "seconds": seconds, "requests": list(requests)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        if result["errors"] or not result["count"]:
            raise RuntimeError(f"{result['errors']} of {result['count']} requests failed at {url}")
        return float(result["count"])

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
