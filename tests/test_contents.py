"""Chunks that clients cut themselves, and the collector beside those who refer to chunks."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterable
from typing import Any

import psycopg
import pytest

from tests.locks import wait_for_lock
from tests.serving import Answer, Client
from tests.support import connect
from tests.test_uploads import CHUNK, Uploader, encoded, some_bytes, uploader

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


def framed(chunks: Iterable[bytes]) -> bytes:
    return b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in chunks)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Cutter:
    """Somebody whose client cuts files itself."""

    def __init__(self, ada: Uploader) -> None:
        self.client = ada.client
        self.workspace_id = ada.workspace_id

    async def missing(self, *chunks: bytes) -> list[str]:
        missing: list[str] = await self.client.ask(
            "missing_chunks",
            workspace_id=self.workspace_id,
            hashes=[digest(chunk) for chunk in chunks],
        )
        return missing

    async def send(self, body: Any) -> Answer:
        return await self.client.request(
            "POST",
            f"/chunks?workspace_id={self.workspace_id}",
            data=io.BytesIO(body) if isinstance(body, bytes) else body,
        )

    async def make(self, *chunks: bytes, **others: Any) -> Answer:
        whole = b"".join(chunks)
        body = {
            "hash": digest(whole),
            "size": len(whole),
            "chunks": [[digest(chunk), len(chunk)] for chunk in chunks],
            **others,
        }
        return await self.client.request(
            "POST", f"/contents?workspace_id={self.workspace_id}", json=body
        )


@pytest.fixture
async def ada(client: Client) -> Cutter:
    """Somebody with a workspace."""
    return Cutter(await uploader(client))


async def rows(database: str, query: str) -> list[tuple[Any, ...]]:
    async with await connect(database) as connection:
        return await (await connection.execute(query.encode())).fetchall()


async def content_of(database: str, content_id: str) -> bytes:
    ((found,),) = await rows(
        database,
        "SELECT coalesce(string_agg(chunk.content, '' ORDER BY piece.from_byte), '')"
        " FROM roost.content_chunks AS piece"
        " JOIN roost.file_chunks AS chunk ON chunk.hash = piece.chunk_hash"
        f" WHERE piece.content_id = '{content_id}'",
    )
    assert isinstance(found, bytes)
    return found


async def test_only_what_is_missing_travels(ada: Cutter, database: str) -> None:
    # More than a transaction takes, of every size there may be, and one of them twice.
    chunks = [some_bytes(size, size) for size in (1, 99_999, 1_048_576, 700_000, 999_999, CHUNK)]
    chunks.append(chunks[0])
    assert await ada.missing(*chunks) == [digest(chunk) for chunk in chunks[:-1]]
    answer = await ada.send(framed(chunks))
    assert answer.body == {"hashes": [digest(chunk) for chunk in chunks]}
    assert await ada.missing(*chunks) == []
    answer = await ada.make(*chunks)
    assert answer.status == 200, answer
    assert answer.body["hash"] == digest(b"".join(chunks))
    assert await content_of(database, answer.body["content_id"]) == b"".join(chunks)
    assert (await ada.make(*chunks)).body == answer.body
    # A chunk changes: the others are there.
    changed = [*chunks[:2], b"new", *chunks[3:]]
    assert await ada.missing(*changed) == [digest(b"new")]
    await ada.send(framed([b"new"]))
    answer = await ada.make(*changed)
    assert await content_of(database, answer.body["content_id"]) == b"".join(changed)


async def test_small_contents(ada: Cutter, database: str) -> None:
    assert (await ada.send(b"")).body == {"hashes": []}
    for chunks in ([], [b"alone"]):
        await ada.send(framed(chunks))
        answer = await ada.make(*chunks)
        assert await content_of(database, answer.body["content_id"]) == b"".join(chunks)


async def test_chunks_of_others_count_for_nothing(
    ada: Cutter, client: Client, database: str
) -> None:
    grace = Cutter(await uploader(client))
    await ada.send(framed([b"secret"]))
    assert await grace.missing(b"secret") == [digest(b"secret")]
    answer = await grace.make(b"secret")
    assert (answer.status, answer.body["code"]) == (409, "RO705")
    await grace.send(framed([b"secret"]))
    assert (await grace.make(b"secret")).status == 200
    assert await rows(database, "SELECT count(*) FROM roost.file_chunks") == [(1,)]
    there = Cutter(Uploader(grace.client, ada.workspace_id))
    assert (await there.send(framed([b"x"]))).status == 404
    assert (await there.make(b"secret")).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"\0\0\0",
        b"\0\0\0\2x",
        b"\0\0\0\0",
        b"\0\x10\0\1" + bytes(1_048_577),
        b"\xff\xff\xff\xff",
    ],
)
async def test_bodies_that_are_no_chunks(ada: Cutter, body: bytes) -> None:
    answer = await ada.send(body)
    assert (answer.status, answer.body["code"]) == (400, "RO302")


async def test_bodies_that_are_too_large(ada: Cutter) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield framed([bytes(1_048_576)])

    assert (await ada.send(pieces())).status == 413


async def test_no_workspace(ada: Cutter) -> None:
    for path in ("/chunks", "/chunks?workspace_id=x", "/contents"):
        answer = await ada.client.request("POST", path, data=b"")
        assert (answer.status, answer.body["code"]) == (400, "RO302")


async def test_contents_that_are_none(ada: Cutter) -> None:
    await ada.send(framed([b"one", b"two"]))
    for others, status in (
        ({"hash": digest(b"twoone")}, 422),
        ({"size": 7}, 422),
        ({"chunks": [[digest(b"one"), 3], [digest(b"two"), 4]], "size": 7}, 422),
        ({"chunks": [[digest(b"one"), 3], [digest(b"three"), 3]]}, 409),
        ({"chunks": [[digest(b"one")]]}, 400),
        ({"chunks": [["x", 3]]}, 400),
        ({"chunks": [[digest(b"one"), 0]]}, 400),
        ({"chunks": 1}, 400),
        ({"size": -1}, 400),
        ({"size": 2**40}, 413),
    ):
        answer = await ada.make(b"one", b"two", **others)
        assert answer.status == status, (others, answer)
    assert (await ada.make(b"one", b"two")).status == 200


async def collected(connection: Connection) -> None:
    await connection.execute("SELECT roost.collect_chunks(1000)")


@pytest.fixture
async def sessions(database: str) -> AsyncIterator[tuple[Connection, Connection, Connection]]:
    """Two that get in each other's way, and one that looks on."""
    async with (
        await connect(database) as one,
        await connect(database) as other,
        await connect(database) as observer,
    ):
        yield one, other, observer


STORE = (
    "SELECT roost.keep_chunks(ARRAY[sha256('x')], '{1}', 'x'),"
    " roost.lease_chunks(id, ARRAY[sha256('x')]) FROM roost.workspaces"
)
FORGET = "DELETE FROM roost.chunk_leases"
LEFT = (
    "SELECT (SELECT count(*) FROM roost.file_chunks), (SELECT count(*) FROM roost.chunk_leases),"
    " (SELECT count(*) FROM roost.unused_chunks)"
)


async def test_who_stores_first_keeps_the_chunk(
    ada: Cutter, database: str, sessions: tuple[Connection, Connection, Connection]
) -> None:
    """The collector passes by what somebody holds, and looks again."""
    one, other, _ = sessions
    await ada.send(framed([b"x"]))
    await one.execute(FORGET.encode())
    async with one.transaction():
        await one.execute(STORE.encode())
        await collected(other)
    assert await rows(database, LEFT) == [(1, 1, 1)]
    await collected(other)
    assert await rows(database, LEFT) == [(1, 1, 0)]


async def test_who_comes_behind_the_collector_stores_it_again(
    ada: Cutter, database: str, sessions: tuple[Connection, Connection, Connection]
) -> None:
    one, other, observer = sessions
    await ada.send(framed([b"x"]))
    await one.execute(FORGET.encode())
    async with one.transaction():
        await collected(one)
        storing = asyncio.create_task(other.execute(STORE.encode()))
        await wait_for_lock(observer, other.info.backend_pid)
    await storing
    assert await rows(database, LEFT) == [(1, 1, 0)]


async def test_who_comes_behind_the_collector_without_the_bytes(
    ada: Cutter, database: str, sessions: tuple[Connection, Connection, Connection]
) -> None:
    """missing_chunks says that it is missing: nobody counts on what goes."""
    one, _, observer = sessions
    await ada.send(framed([b"x"]))
    await one.execute(FORGET.encode())
    async with one.transaction():
        await collected(one)
        asking = asyncio.create_task(ada.missing(b"x"))
        while True:
            cursor = await observer.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            )
            if await cursor.fetchone() != (0,):
                break
    assert await asking == [digest(b"x")]
    assert await rows(database, LEFT) == [(0, 0, 0)]


async def test_a_reference_that_goes_beside_the_collector(
    ada: Cutter, database: str, sessions: tuple[Connection, Connection, Connection]
) -> None:
    """The collector still sees it, and must not forget the chunk for good."""
    one, other, observer = sessions
    await ada.send(framed([b"x"]))
    await one.execute("INSERT INTO roost.unused_chunks (hash) VALUES (sha256('x'))")
    async with one.transaction():
        await collected(one)
        forgetting = asyncio.create_task(other.execute(FORGET.encode()))
        await wait_for_lock(observer, other.info.backend_pid)
    await forgetting
    assert await rows(database, LEFT) == [(1, 0, 1)]
    await collected(one)
    assert await rows(database, LEFT) == [(0, 0, 0)]


async def test_two_collectors(
    ada: Cutter, database: str, sessions: tuple[Connection, Connection, Connection]
) -> None:
    one, other, _ = sessions
    await ada.send(framed([b"x", b"y"]))
    await one.execute(FORGET.encode())
    async with one.transaction():
        await one.execute("SELECT roost.collect_chunks(1)")
        await collected(other)
    assert await rows(database, LEFT) == [(0, 0, 0)]


async def test_the_last_room_goes_to_one(client: Client, database: str) -> None:
    """Two uploads at once, of which one fits."""
    ada = await uploader(client)
    await ada.create(path="first", Upload_Length="1")
    async with await connect(database) as connection:
        await connection.execute("UPDATE roost.storage_usage SET bytes = 1073741824 - 1000")
    answers = await asyncio.gather(
        *(
            ada.request(
                "POST",
                "/files/",
                Upload_Length="600",
                Upload_Metadata=encoded(workspace_id=ada.workspace_id, path=path),
            )
            for path in ("a", "b", "c")
        )
    )
    assert sorted(answer.status for answer in answers) == [201, 413, 413]
    assert await rows(database, "SELECT bytes FROM roost.storage_usage") == [(1073741824 - 400,)]


async def test_equal_uploads_at_once(client: Client, database: str) -> None:
    """All of them end as files with the one content."""
    ada = await uploader(client)
    data = some_bytes(3 * CHUNK)
    urls = [await ada.create(path=f"{n}", Upload_Length=str(len(data))) for n in range(8)]
    answers = await asyncio.gather(*(ada.patch(url, 0, data) for url in urls))
    assert [answer.status for answer in answers] == [204] * 8
    assert await rows(
        database,
        "SELECT (SELECT count(*) FROM roost.file_contents), (SELECT count(*) FROM"
        " roost.file_chunks), (SELECT bytes FROM roost.storage_usage),"
        " (SELECT count(DISTINCT content_id) FROM roost.file_sync_state WHERE kind = 'file')",
    ) == [(1, 3, len(data), 1)]
