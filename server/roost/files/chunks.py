"""POST /chunks and POST /contents: what clients cut themselves."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import orjson
from aiohttp import hdrs, web

from roost.database.queries import BEGIN_CONTENT, MAKE_CONTENT, READ_CHUNKS, STORE_CHUNKS
from roost.errors import RoostError
from roost.files.calls import Caller, Calls, refused
from roost.responses import JSON
from roost.tokens import AccessTokens

MOST_BYTES: Final = 16_777_216
LARGEST_CHUNK: Final = 1_048_576
# Bytes of a transaction.
BATCH_BYTES: Final = 2_097_152
HASH: Final = re.compile(r"[0-9a-f]{64}")
MOST_SIZE: Final = 2**63 - 1


class Chunks:
    """Takes chunks, and makes contents of them."""

    def __init__(self, calls: Calls, tokens: AccessTokens) -> None:
        self._calls = calls
        self._tokens = tokens

    def routes(self) -> list[web.RouteDef]:
        """The routes of this protocol."""
        return [
            web.post("/chunks", self.store),
            web.post("/contents", self.make_content),
        ]

    async def store(self, request: web.Request) -> web.Response:
        """Stores the chunks of the body for a workspace, and answers their hashes."""
        workspace_id = _workspace_id(request)
        caller = self._tokens.identity(request.headers)
        _require_room(request)
        # Asked before the body is read.
        await self._calls.ask(caller, STORE_CHUNKS, workspace_id, [], [], b"")
        hashes: list[bytes] = []
        batch: list[bytes] = []
        async for chunk in _chunks(request):
            batch.append(chunk)
            if sum(map(len, batch)) >= BATCH_BYTES:
                hashes += await self._store(caller, workspace_id, batch)
                batch.clear()
        hashes += await self._store(caller, workspace_id, batch)
        return _json({"hashes": [made.hex() for made in hashes]})

    async def _store(self, caller: Caller, workspace_id: UUID, batch: list[bytes]) -> list[bytes]:
        hashes = await asyncio.to_thread(
            lambda: [hashlib.sha256(chunk).digest() for chunk in batch]
        )
        if batch:
            await self._calls.ask(
                caller,
                STORE_CHUNKS,
                workspace_id,
                hashes,
                [len(chunk) for chunk in batch],
                b"".join(batch),
            )
        return hashes

    async def make_content(self, request: web.Request) -> web.Response:
        """Makes the content of a file of chunks that are there, and answers its id."""
        workspace_id = _workspace_id(request)
        caller = self._tokens.identity(request.headers)
        _require_room(request)
        body = bytearray()
        async for data in request.content.iter_any():
            body += data
            if len(body) > MOST_BYTES:
                raise _too_large()
        whole, size, hashes, sizes = _read_content(bytes(body))
        row = await self._calls.ask(caller, BEGIN_CONTENT, workspace_id, whole, size, hashes, sizes)
        content_id = row["id"]
        if content_id is None:
            if await self._hash(caller, workspace_id, hashes, sizes) != whole:
                raise RoostError(
                    code="RO706",
                    message="The chunks do not make the content that is named.",
                    details=None,
                    hint="Send the SHA-256 of all bytes, and the chunks in their order.",
                    status=422,
                )
            row = await self._calls.ask(
                caller, MAKE_CONTENT, workspace_id, whole, size, hashes, sizes
            )
            content_id = row["id"]
        return _json({"content_id": str(content_id), "hash": whole.hex(), "size": size})

    async def _hash(
        self, caller: Caller, workspace_id: UUID, hashes: list[bytes], sizes: list[int]
    ) -> bytes:
        """The SHA-256 of chunks one behind another; what one is alone is known."""
        if len(hashes) == 1:
            return hashes[0]
        running = hashlib.sha256()
        batch: list[bytes] = []
        waiting = 0
        for number, (named, size) in enumerate(zip(hashes, sizes, strict=True), start=1):
            batch.append(named)
            waiting += size
            if waiting >= BATCH_BYTES or number == len(hashes):
                row = await self._calls.ask(caller, READ_CHUNKS, workspace_id, batch)
                if row["bytes"] is not None:
                    await asyncio.to_thread(running.update, row["bytes"])
                batch, waiting = [], 0
        return running.digest()


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The chunks of a body, as they come. Raises RoostError for a body that is none."""
    buffer = bytearray()
    total = 0
    async for data in request.content.iter_any():
        total += len(data)
        if total > MOST_BYTES:
            raise _too_large()
        buffer += data
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[:4], "big")
            if not 1 <= size <= LARGEST_CHUNK:
                raise _no_chunks(f"A chunk has {size} bytes.")
            if len(buffer) < 4 + size:
                break
            yield bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
    if buffer:
        raise _no_chunks("The last one is not complete.")


def _read_content(body: bytes) -> tuple[bytes, int, list[bytes], list[int]]:
    """Hash and size of a content, and those of its chunks. Raises RoostError."""
    try:
        said: Any = orjson.loads(body)
        whole, size, chunks = said["hash"], said["size"], said["chunks"]
        hashes = [_hash_of(named) for named, _ in chunks]
        sizes = [length for _, length in chunks]
        if (
            type(size) is int
            and 0 <= size <= MOST_SIZE
            and all(type(length) is int and 1 <= length <= LARGEST_CHUNK for length in sizes)
        ):
            return _hash_of(whole), size, hashes, sizes
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        pass
    raise refused(
        "The body is not a list of chunks.",
        'Send {"hash": "<sha256>", "size": 3, "chunks": [["<sha256>", 3]]}.',
    )


def _hash_of(text: str) -> bytes:
    if HASH.fullmatch(text) is None:
        raise ValueError(text)
    return bytes.fromhex(text)


def _workspace_id(request: web.Request) -> UUID:
    try:
        return UUID(request.rel_url.query.get("workspace_id", ""))
    except ValueError:
        raise refused(
            "It is not clear which workspace is meant.", "Send ?workspace_id=<id>."
        ) from None


def _require_room(request: web.Request) -> None:
    if (request.content_length or 0) > MOST_BYTES:
        raise _too_large()


def _too_large() -> RoostError:
    return RoostError(
        code="HTTP413",
        message="The body is too large.",
        details=None,
        hint=f"Send at most {MOST_BYTES} bytes.",
        status=413,
    )


def _no_chunks(reason: str) -> RoostError:
    return refused(
        "The body is not a list of chunks.",
        "Send each chunk, of 1 byte to 1 MiB, behind its length as 4 bytes, the highest first.",
        details=reason,
    )


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), headers={hdrs.CONTENT_TYPE: JSON})
