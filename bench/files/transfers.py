"""One large file up and down over the loopback: how fast, in how much memory, and how much space.

The database flushes as `roost up` has it; the client does as little as it can.
"""

import base64
import hashlib
import http.client
import json
import os
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from bench.people import SECRET, Person, people
from bench.results import Row
from bench.servers import Server, database, roost

SIZE: Final = int(os.environ.get("BENCH_FILE_BYTES", str(2**30)))
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "3"))

MIB: Final = 2**20
CHUNK: Final = 262_144
PIECE: Final = 4 * MIB

SPACE: Final = """
SELECT sum(pg_total_relation_size(oid))::bigint
FROM pg_class
WHERE oid IN (
    'roost.file_chunks'::regclass, 'roost.file_contents'::regclass,
    'roost.content_chunks'::regclass, 'roost.upload_chunks'::regclass, 'roost.uploads'::regclass
)
"""


class Memory:
    """The most memory that a server has while a block runs, beyond what it had before."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = server.memory()
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self.grown = 0

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.grown = max(self.grown, self._server.memory() - self._before)

    def __enter__(self) -> "Memory":
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watching.join()


def pieces(number: int) -> Iterator[bytes]:
    """A file in which no chunk is as another, of this round or before."""
    block = bytearray(os.urandom(PIECE))
    for begin in range(0, SIZE, PIECE):
        for at in range(0, PIECE, CHUNK):
            block[at : at + 16] = number.to_bytes(8, "big") + (begin + at).to_bytes(8, "big")
        yield bytes(block[: SIZE - begin])


class Client:
    """Requests of one person, on one connection."""

    def __init__(self, url: str, person: Person) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port)
        # One write each, of the head and of every piece.
        self._token = person.token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A request, answered up to its body."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(
            method,
            path,
            body,
            {"Authorization": f"Bearer {self._token}", "Tus-Resumable": "1.0.0", **sent},
        )
        answer = self._connection.getresponse()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.read()!r}")
        return answer

    def upload(self, workspace_id: str, number: int) -> tuple[float, str]:
        """Seconds that an upload takes, and the file's id."""
        metadata = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}"
            for key, value in (("workspace_id", workspace_id), ("path", f"{number}.bin"))
        )
        answer = self.ask("POST", "/files/", Upload_Length=str(SIZE), Upload_Metadata=metadata)
        answer.read()
        started = time.monotonic()
        answer = self.ask(
            "PATCH",
            answer.headers["Location"],
            pieces(number),
            Upload_Offset="0",
            Content_Type="application/offset+octet-stream",
            Content_Length=str(SIZE),
        )
        answer.read()
        return time.monotonic() - started, answer.headers["X-Roost-File"]

    def download(self, file_id: str) -> tuple[float, str]:
        """Seconds that a download takes, and its ETag."""
        buffer = memoryview(bytearray(MIB))
        received = 0
        started = time.monotonic()
        answer = self.ask("GET", f"/content/{file_id}")
        while count := answer.readinto(buffer):
            received += count
        seconds = time.monotonic() - started
        if received != SIZE:
            raise RuntimeError(f"{received} bytes came")
        return seconds, answer.headers["ETag"]


def digest(client: Client, file_id: str) -> str:
    """The ETag that a download should have."""
    running = hashlib.sha256()
    answer = client.ask("GET", f"/content/{file_id}")
    while data := answer.read(MIB):
        running.update(data)
    return f'"{running.hexdigest()}"'


def measure() -> list[Row]:
    """Uploads and downloads in turn."""
    up, down, grown_up, grown_down = [], [], [], []
    with database() as postgres:
        conninfo = postgres.conninfo()
        (ada,) = people(conninfo, 1, in_each=1)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("UPDATE roost.users SET plan_type = 'enterprise'")
        with roost(conninfo, ROOST_JWT_SECRET=SECRET) as server:
            client = Client(server.url, ada)
            workspace_id = str(uuid.uuid4())
            answer = client.ask(
                "POST",
                "/rpc/create_workspace",
                json.dumps({"name": "Bench", "path": "/bench", "id": workspace_id}),
                Content_Type="application/json",
            )
            workspace_id = json.loads(answer.read())["id"]
            for number in range(ROUNDS):
                with Memory(server) as memory:
                    seconds, file_id = client.upload(workspace_id, number)
                up.append(SIZE / seconds / 1e6)
                grown_up.append(memory.grown / MIB)
                with Memory(server) as memory:
                    seconds, etag = client.download(file_id)
                down.append(SIZE / seconds / 1e6)
                grown_down.append(memory.grown / MIB)
            if etag != digest(client, file_id):
                raise RuntimeError("another file came back")
        with psycopg.connect(conninfo) as connection:
            row = connection.execute(SPACE).fetchone()
            assert row is not None
            space = int(row[0])
    return [
        Row(f"upload of {SIZE // MIB} MiB", statistics.median(up), "MB/s", ">= 50"),
        Row(f"download of {SIZE // MIB} MiB", statistics.median(down), "MB/s", ">= 200"),
        Row("server memory, upload", max(grown_up), "MiB more", "< 64"),
        Row("server memory, download", max(grown_down), "MiB more", "< 64"),
        Row("space in the database", space / (SIZE * ROUNDS), "ratio", "<= 1.1"),
    ]
