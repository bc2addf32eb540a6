"""Folders through `roost sync`, as a user runs it: many small files up and down, nothing to do, and
a change in a large file.
"""

import contextlib
import json
import os
import random
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import SHUT_WR, create_connection, socket
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from bench.people import SECRET
from bench.results import Row
from bench.servers import database, roost

FILES: Final = int(os.environ.get("BENCH_FILES", "10000"))
LARGE: Final = int(os.environ.get("BENCH_LARGE_BYTES", str(100 * 2**20)))

MIB: Final = 2**20

# As in a folder of sources: small ones, some in each folder.
SMALLEST: Final = 200
LARGEST: Final = 8_000
IN_A_FOLDER: Final = 100

EMAIL: Final = "ada@example.com"
PASSWORD: Final = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, and the workspace that it is kept in step with."""

    path: Path
    url: str
    workspace_id: str

    def sync(self) -> float:
        """Seconds until both sides are the same, the start of the program included."""
        started = time.monotonic()
        process = subprocess.run(
            [
                *(sys.executable, "-m", "roost", "sync", str(self.path), "--once"),
                *("--workspace", self.workspace_id, "--url", self.url, "--email", EMAIL),
            ],
            env={**os.environ, "ROOST_PASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        if process.returncode:
            raise RuntimeError(process.stderr[-1000:])
        return seconds

    def files(self) -> dict[str, bytes]:
        """All that is in it."""
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in self.path.rglob("*")
            if path.is_file() and ".roost-sync" not in path.parts
        }


class Line(socketserver.ThreadingTCPServer):
    """A way to a server, on which the bytes to it are counted."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.far = (address.hostname or "", address.port or 80)
        self.sent = 0
        self._counting = threading.Lock()
        super().__init__(("127.0.0.1", 0), Connection)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, size: int) -> None:
        """So many bytes have gone to the server."""
        with self._counting:
            self.sent += size


class Connection(socketserver.BaseRequestHandler):
    """One connection on such a line."""

    server: Line

    def handle(self) -> None:
        """Passes on what comes from either side."""
        with create_connection(self.server.far) as far:
            back = threading.Thread(target=pass_on, args=(far, self.request), daemon=True)
            back.start()
            pass_on(self.request, far, self.server.count)
            back.join()


def pass_on(near: socket, far: socket, count: Any = lambda _size: None) -> None:
    """Until the one side has nothing to say any more."""
    with contextlib.suppress(OSError):
        while data := near.recv(65_536):
            count(len(data))
            far.sendall(data)
        far.shutdown(SHUT_WR)


@contextlib.contextmanager
def counted(url: str) -> Iterator[Line]:
    """Runs such a line to a server."""
    with Line(url) as line:
        running = threading.Thread(target=line.serve_forever, daemon=True)
        running.start()
        try:
            yield line
        finally:
            line.shutdown()
            running.join()


def post(url: str, body: Any, token: str | None = None) -> Any:
    """The parsed answer of a call."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


def new_workspace(url: str, token: str) -> str:
    """Its id."""
    workspace_id = str(uuid.uuid4())
    body = {"name": workspace_id, "path": f"/{workspace_id}", "id": workspace_id}
    return str(post(f"{url}/rpc/create_workspace", body, token)["id"])


def measure_small(one: Folder, other: Folder) -> list[Row]:
    """Many small files from one folder to the server, and from there to the other one."""
    randomness = random.Random(1)  # noqa: S311
    for number in range(FILES):
        path = one.path / str(number // IN_A_FOLDER) / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(randomness.randbytes(randomness.randrange(SMALLEST, LARGEST)))
    up = one.sync()
    down = other.sync()
    again = one.sync()
    if one.files() != other.files() or len(other.files()) != FILES:
        raise RuntimeError("the folders are not the same")
    return [
        Row(f"{FILES} small files up", FILES / up, "files/s"),
        Row(f"{FILES} small files down", FILES / down, "files/s"),
        Row(f"{FILES} small files, nothing to do", again, "s"),
    ]


def measure_change(folder: Folder, line: Line) -> list[Row]:
    """What travels when some of a large file is other than before."""
    folder.path.mkdir()
    path = folder.path / "large.bin"
    path.write_bytes(os.urandom(LARGE))
    first = folder.sync()
    sent = line.sent
    with path.open("r+b") as file:
        # Not at an edge of anything.
        file.seek(LARGE // 2 + 12_345)
        file.write(os.urandom(MIB))
    again = folder.sync()
    return [
        Row(f"{LARGE // MIB} MiB file up", LARGE / first / 1e6, "MB/s"),
        Row("1 MiB of it changed: sent", (line.sent - sent) / MIB, "MiB", "< 4"),
        Row("1 MiB of it changed: took", again, "s"),
    ]


def measure() -> list[Row]:
    """Both, each in a workspace of its own."""
    with (
        database() as postgres,
        tempfile.TemporaryDirectory(prefix="roost-bench-") as name,
        roost(postgres.conninfo(), ROOST_JWT_SECRET=SECRET) as server,
        counted(server.url) as line,
    ):
        signed_up = post(f"{server.url}/auth/v1/signup", {"email": EMAIL, "password": PASSWORD})
        token = signed_up["access_token"]
        with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
            connection.execute("UPDATE roost.users SET plan_type = 'enterprise'")
        top = Path(name)
        small, large = (new_workspace(server.url, token) for _ in range(2))
        rows = measure_small(
            Folder(top / "laptop", server.url, small), Folder(top / "desktop", server.url, small)
        )
        return rows + measure_change(Folder(top / "large", line.url, large), line)
