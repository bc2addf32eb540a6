"""The bytes of one request on their way into an upload."""

import asyncio
import hashlib
import tempfile
from typing import Any, Final

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.http_exceptions import HttpProcessingError

from roost.database.connection import Identity
from roost.database.queries import APPEND_UPLOAD, FINISH_UPLOAD
from roost.database.transactions import Row, Step
from roost.errors import RoostError
from roost.files.calls import Calls
from roost.files.hashes import RunningHashes
from roost.files.progress import Throttle

# The database takes no other size from a server: equal files are equal chunks.
CHUNK_BYTES: Final = 262_144
# Bytes of a transaction. While one is stored the next one arrives.
BATCH_BYTES: Final = 8 * CHUNK_BYTES
# What is to be compared with a checksum waits in memory, and beyond this in a file without a name.
SPOOL_BYTES: Final = 4_194_304
MOST_CHECKED_BYTES: Final = 1_073_741_824

# What reading the body of a request raises when the client goes away.
BROKEN: Final = (
    ConnectionError,
    ClientPayloadError,
    HttpProcessingError,
    asyncio.IncompleteReadError,
)


class Arrival:
    """
    Stores what comes, in order, a transaction of some MiB after another.

    upload -- the upload as it was last known
    broken -- whether the client went away before the end
    """

    def __init__(
        self,
        calls: Calls,
        hashes: RunningHashes,
        throttle: Throttle,
        caller: Identity,
        upload: Row,
    ) -> None:
        self.upload = upload
        self.broken = False
        self._calls = calls
        self._hashes = hashes
        self._throttle = throttle
        self._caller = caller
        # What is not stored, behind the chunks that are: first the tail, which is stored as such.
        self._buffer = bytearray(upload["tail"])
        self._stored = int(upload["received"])
        self._running = hashes.take(upload["id"], self._stored - len(self._buffer))
        # The batch on its way, and where the buffer begins behind it.
        self._storing: asyncio.Task[None] | None = None
        self._cut = 0

    @property
    def received(self) -> int:
        """Bytes of the upload that are stored."""
        return self._stored

    async def receive(self, body: StreamReader, checksum: tuple[Any, bytes] | None) -> None:
        """
        Stores a body to its end, or as far as it comes; with a checksum all of it or nothing.

        Raises RoostError when the database refuses it, when it is longer than the upload is to be,
        or is not what the checksum says. What was stored before stays.
        """
        try:
            if checksum is None:
                await self._receive(body)
            else:
                await self._receive_checked(body, *checksum)
        finally:
            if self._storing is not None:
                # The error of the other one is the reason.
                await asyncio.gather(self._storing, return_exceptions=True)

    async def _receive(self, body: StreamReader) -> None:
        while True:
            try:
                data = await body.readany()
            except BROKEN:
                self.broken = True
                break
            if not data:
                break
            await self._take(data)
        await self._finish()

    async def _receive_checked(self, body: StreamReader, digest: Any, expected: bytes) -> None:
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
            arrived = 0
            while True:
                try:
                    data = await body.readany()
                except BROKEN:
                    self.broken = True
                    return
                if not data:
                    break
                arrived += len(data)
                self._require_room(self._stored + arrived)
                if arrived > MOST_CHECKED_BYTES:
                    raise too_long(MOST_CHECKED_BYTES)
                digest.update(data)
                if arrived > SPOOL_BYTES:
                    await asyncio.to_thread(spool.write, data)
                else:
                    spool.write(data)
            if digest.digest() != expected:
                raise RoostError(
                    code="RO704",
                    message="What arrived is not what its checksum says.",
                    details=None,
                    hint="Send it again; nothing of it was kept.",
                    status=460,
                )
            spool.seek(0)
            while data := await asyncio.to_thread(spool.read, BATCH_BYTES):
                await self._take(data)
        await self._finish()

    def _require_room(self, until: int) -> None:
        length = self.upload["length"]
        if length is not None and until > length:
            raise too_long(length)

    async def _take(self, data: bytes) -> None:
        self._buffer += data
        # The tail is counted in both.
        self._require_room(self._begins + len(self._buffer))
        while len(self._buffer) >= BATCH_BYTES:
            await self._store_next(BATCH_BYTES, b"")

    @property
    def _begins(self) -> int:
        """Where in the upload the buffer begins, when nothing is being stored."""
        return self._cut if self._storing is not None else self._stored - len(self.upload["tail"])

    async def _finish(self) -> None:
        await self._stored_so_far()
        complete = self._begins + len(self._buffer) == self.upload["length"]
        cut = len(self._buffer) if complete else len(self._buffer) // CHUNK_BYTES * CHUNK_BYTES
        tail = bytes(self._buffer[cut:])
        if cut or tail != self.upload["tail"]:
            await self._store_next(cut, tail)
            await self._stored_so_far()
        if self._running is not None:
            self._hashes.put(
                self.upload["id"], self._stored - len(self.upload["tail"]), self._running
            )

    async def _store_next(self, cut: int, tail: bytes) -> None:
        await self._stored_so_far()
        data = bytes(self._buffer[:cut])
        self._cut = self._begins + cut
        del self._buffer[:cut]
        self._storing = asyncio.create_task(self._store(data, tail))

    async def _stored_so_far(self) -> None:
        if self._storing is not None:
            storing = self._storing
            await storing
            self._storing = None

    async def _store(self, data: bytes, tail: bytes) -> None:
        upload = self.upload
        view = memoryview(data)
        pieces = [view[at : at + CHUNK_BYTES] for at in range(0, len(view), CHUNK_BYTES)]
        hashes = await asyncio.to_thread(_hash, pieces, view, self._running)
        received = self._stored - len(upload["tail"]) + len(data) + len(tail)
        complete = received == upload["length"]
        tells = self._throttle.is_due(upload["id"])
        steps = [
            Step(
                APPEND_UPLOAD,
                (
                    upload["id"],
                    self._stored,
                    hashes,
                    [len(piece) for piece in pieces],
                    data,
                    tail,
                    tells,
                ),
            )
        ]
        if complete and self._running is not None and upload["kind"] != "partial":
            steps.append(Step(FINISH_UPLOAD, (upload["id"], self._running.digest())))
        try:
            rows = await self._calls.run(self._caller, *steps)
        except RoostError:
            # It has gone on beyond what is stored.
            self._running = None
            raise
        self._stored = received
        self.upload = rows[1] if len(rows) > 1 else {**upload, "received": received, "tail": tail}


def _hash(pieces: list[memoryview], data: memoryview, running: Any) -> list[bytes]:
    if running is not None:
        running.update(data)
    return [hashlib.sha256(piece).digest() for piece in pieces]


def too_long(length: int) -> RoostError:
    """More bytes than were announced."""
    return RoostError(
        code="RO702",
        message="There are more bytes than were announced.",
        details=f"Allowed: {length} bytes",
        hint="Send as many bytes as Upload-Length says.",
        status=413,
    )
