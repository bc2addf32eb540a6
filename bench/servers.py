"""What the benchmarks run against: a PostgreSQL of their own, and server processes beside it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import migrate


@contextlib.contextmanager
def database() -> Iterator[EmbeddedPostgres]:
    """An embedded PostgreSQL with a migrated database, set as `roost up` sets it (fsync on)."""
    folder = Path(tempfile.mkdtemp(prefix="roost-bench-"))
    postgres = EmbeddedPostgres(folder, announce=lambda _line: None)
    try:
        postgres.start()
        migrate(postgres.conninfo())
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


@contextlib.contextmanager
def server(module: str, conninfo: str) -> Iterator[str]:
    """Runs a module with DATABASE_URL set, and gives the address that it prints first."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "DATABASE_URL": conninfo,
            "ROOST_PORT": "0",
            "ROOST_LOG_LEVEL": "warning",
            # A benchmark is a single person who does the work of thousands.
            "ROOST_REALTIME_USER_SOCKETS": "0",
            "ROOST_REALTIME_USER_JOINS_PER_SECOND": "0",
        },
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("http"):
            raise RuntimeError(f"{module} did not start: {line!r}")
        yield line.strip()
    finally:
        process.terminate()
        process.wait(10)


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
