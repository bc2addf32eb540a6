"""Uploads by tus 1.0 over real HTTP, and what is left of them when something breaks."""

import asyncio
import base64
import contextlib
import hashlib
import io
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.serving import Client
from tests.support import administrator, connect

CHUNK = 262_144
BATCH = 8 * CHUNK


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def encoded(**values: str) -> str:
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items()
    )


class Uploader:
    """A person with a workspace, who speaks tus by hand."""

    def __init__(self, client: Client, workspace_id: str) -> None:
        self.client = client
        self.workspace_id = workspace_id

    async def request(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> aiohttp.ClientResponse:
        sent = {
            "Tus-Resumable": "1.0.0",
            "Authorization": f"Bearer {self.client.token}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        # aiohttp warns of large bytes.
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        async with self.client.http.request(
            method, self.client.url + path, data=data, headers=sent
        ) as answer:
            await answer.read()
            return answer

    async def create(self, path: str = "notes.txt", body: Any = None, **headers: str) -> str:
        answer = await self.request(
            "POST",
            "/files/",
            body,
            Upload_Metadata=encoded(workspace_id=self.workspace_id, path=path),
            **headers,
        )
        assert answer.status == 201, await answer.text()
        return answer.headers["Location"]

    async def patch(
        self, url: str, offset: int, body: Any, **headers: str
    ) -> aiohttp.ClientResponse:
        return await self.request(
            "PATCH",
            url,
            body,
            Upload_Offset=str(offset),
            Content_Type="application/offset+octet-stream",
            **headers,
        )

    async def offset(self, url: str) -> int:
        answer = await self.request("HEAD", url)
        assert answer.status == 200
        return int(answer.headers["Upload-Offset"])

    async def read(self, file_id: str, query: str = "") -> bytes:
        async with self.client.http.get(
            f"{self.client.url}/content/{file_id}{query}",
            headers={"Authorization": f"Bearer {self.client.token}"},
        ) as answer:
            assert answer.status == 200
            return await answer.read()


async def uploader(client: Client) -> Uploader:
    ada = await client.sign_up()
    workspace = await ada.ask("create_workspace", name="Notes", path="/notes")
    return Uploader(ada, workspace["id"])


@pytest.fixture
async def ada(client: Client) -> Uploader:
    """Somebody with a workspace."""
    return await uploader(client)


async def rows(database: str, query: str) -> list[tuple[Any, ...]]:
    async with await connect(database) as connection:
        return await (await connection.execute(query.encode())).fetchall()


async def test_options(client: Client) -> None:
    answer = await client.request("OPTIONS", "/files/")
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "checksum",
        "expiration",
        "termination",
        "concatenation",
    }
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"


async def test_another_origin(client: Client) -> None:
    answer = await client.request(
        "OPTIONS",
        "/files/",
        headers={"Origin": "https://example.com", "Access-Control-Request-Method": "PATCH"},
    )
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert all(name in allowed for name in ("tus-resumable", "upload-offset", "upload-concat"))
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    answer = await client.request("HEAD", "/files/x", headers={"Origin": "https://example.com"})
    assert "Upload-Offset" in answer.headers["Access-Control-Expose-Headers"]


# Around the sizes of chunks and transactions.
@pytest.mark.parametrize(
    "size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5]
)
async def test_whole_in_one_request(ada: Uploader, size: int) -> None:
    data = some_bytes(size)
    url = await ada.create(Upload_Length=str(size))
    answer = await ada.patch(url, 0, data)
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(size))
    assert answer.headers["X-Roost-Outcome"] == "created"
    assert await ada.read(answer.headers["X-Roost-File"]) == data
    answer = await ada.request("HEAD", url)
    assert answer.headers["Upload-Length"] == answer.headers["Upload-Offset"] == str(size)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Upload-Metadata"] == encoded(
        workspace_id=ada.workspace_id, path="notes.txt"
    )


async def test_small_pieces_fill_chunks(ada: Uploader, database: str) -> None:
    data = some_bytes(3 * CHUNK + 1000)
    url = await ada.create(Upload_Length=str(len(data)))
    place = 0
    for size in (1, 99_999, CHUNK, 0, 2 * CHUNK - 100_000, len(data)):
        answer = await ada.patch(url, place, data[place : place + size])
        place = min(place + size, len(data))
        assert answer.headers["Upload-Offset"] == str(place)
        assert await ada.offset(url) == place
    assert await ada.read(answer.headers["X-Roost-File"]) == data
    assert await rows(database, "SELECT size FROM roost.content_chunks ORDER BY from_byte") == [
        (CHUNK,),
        (CHUNK,),
        (CHUNK,),
        (1000,),
    ]


async def test_with_the_announcement(ada: Uploader) -> None:
    data = some_bytes(CHUNK + 1)
    url = await ada.create(
        body=data, Upload_Length=str(len(data)), Content_Type="application/offset+octet-stream"
    )
    answer = await ada.request("HEAD", url)
    assert answer.headers["Upload-Offset"] == str(len(data))
    assert await ada.read(answer.headers["X-Roost-File"]) == data


async def test_length_comes_later(ada: Uploader) -> None:
    data = some_bytes(CHUNK + 500)
    url = await ada.create(Upload_Defer_Length="1")
    assert (await ada.request("HEAD", url)).headers["Upload-Defer-Length"] == "1"
    await ada.patch(url, 0, data[:1000])
    await ada.patch(url, 1000, data[1000:])
    answer = await ada.patch(url, len(data), b"", Upload_Length=str(len(data)))
    assert await ada.read(answer.headers["X-Roost-File"]) == data
    answer = await ada.patch(url, len(data), b"", Upload_Length="7")
    assert answer.status == 400


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_checksum(ada: Uploader, algorithm: str) -> None:
    data = some_bytes(3 * BATCH)
    url = await ada.create(Upload_Length=str(len(data)))
    half = len(data) // 2
    right = base64.b64encode(hashlib.new(algorithm, data[:half]).digest()).decode()
    wrong = base64.b64encode(hashlib.new(algorithm, b"x").digest()).decode()
    answer = await ada.patch(url, 0, data[:half], Upload_Checksum=f"{algorithm} {wrong}")
    assert (answer.status, await ada.offset(url)) == (460, 0)
    answer = await ada.patch(url, 0, data[:half], Upload_Checksum=f"{algorithm} {right}")
    assert (answer.status, await ada.offset(url)) == (204, half)
    answer = await ada.patch(url, half, data[half:], Upload_Checksum=f"{algorithm} {wrong}")
    assert (answer.status, await ada.offset(url)) == (460, half)
    answer = await ada.patch(url, half, data[half:], Upload_Checksum="md5 eA==")
    assert (answer.status, await ada.offset(url)) == (400, half)
    answer = await ada.patch(url, half, data[half:])
    assert await ada.read(answer.headers["X-Roost-File"]) == data


async def test_concatenation(ada: Uploader, database: str) -> None:
    data = some_bytes(2 * CHUNK + 77)
    parts = (data[: CHUNK + 11], data[CHUNK + 11 :])
    urls = []
    for part in parts:
        answer = await ada.request(
            "POST", "/files/", Upload_Length=str(len(part)), Upload_Concat="partial"
        )
        assert answer.status == 201
        urls.append(answer.headers["Location"])
    concat = "final;" + " ".join(urls)
    metadata = encoded(workspace_id=ada.workspace_id, path="whole")
    await ada.patch(urls[0], 0, parts[0])
    answer = await ada.request("POST", "/files/", Upload_Concat=concat, Upload_Metadata=metadata)
    assert answer.status == 400
    await ada.patch(urls[1], 0, parts[1])
    answer = await ada.request("POST", "/files/", Upload_Concat=concat, Upload_Metadata=metadata)
    assert answer.status == 201
    final = answer.headers["Location"]
    assert await ada.read(answer.headers["X-Roost-File"]) == data
    answer = await ada.request("HEAD", final)
    assert answer.headers["Upload-Concat"] == concat
    assert answer.headers["Upload-Length"] == str(len(data))
    assert (await ada.patch(final, len(data), b"x")).status == 403
    assert (await ada.request("HEAD", urls[0])).headers["Upload-Concat"] == "partial"
    assert await rows(database, "SELECT bytes FROM roost.storage_usage") == [(len(data),)]


async def test_termination(ada: Uploader, database: str) -> None:
    url = await ada.create(Upload_Length="1000")
    assert await rows(database, "SELECT bytes FROM roost.storage_usage") == [(1000,)]
    assert (await ada.request("DELETE", url)).status == 204
    assert (await ada.request("HEAD", url)).status == 404
    assert (await ada.patch(url, 0, b"x")).status == 404
    assert await rows(database, "SELECT bytes FROM roost.storage_usage") == [(0,)]


async def test_expiration(ada: Uploader, database: str) -> None:
    url = await ada.create(Upload_Length="1000")
    answer = await ada.patch(url, 0, b"x" * 10)
    assert answer.headers["Upload-Expires"].endswith(" GMT")
    async with await connect(database) as connection:
        await connection.execute("UPDATE roost.uploads SET expires_at = now()")
    assert (await ada.request("HEAD", url)).status == 404


async def test_method_override(ada: Uploader) -> None:
    url = await ada.create(Upload_Length="1")
    answer = await ada.request(
        "POST",
        url,
        b"x",
        X_HTTP_Method_Override="PATCH",
        Upload_Offset="0",
        Content_Type="application/offset+octet-stream",
    )
    assert answer.status == 204


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus_Resumable": "0.9"}, 412),
        ({}, 400),
        ({"Upload_Length": "-1"}, 400),
        ({"Upload_Length": "x"}, 400),
        ({"Upload_Length": "1", "Upload_Defer_Length": "1"}, 400),
        ({"Upload_Defer_Length": "2"}, 400),
        ({"Upload_Length": "1", "Upload_Concat": "half"}, 400),
        ({"Upload_Length": "1", "Upload_Metadata": "path !"}, 400),
        # Without a workspace and a path.
        ({"Upload_Length": "1"}, 404),
        ({"Upload_Length": str(2**40)}, 404),
    ],
)
async def test_refused_announcements(
    ada: Uploader, headers: dict[str, str], status: int, database: str
) -> None:
    answer = await ada.request("POST", "/files/", **headers)
    assert answer.status == status, await answer.text()
    assert (await answer.json())["code"]
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert await rows(database, "SELECT id FROM roost.uploads") == []


async def test_refused_requests(ada: Uploader, client: Client) -> None:
    url = await ada.create(Upload_Length="10")
    for answer, status in (
        (await ada.patch(url, 1, b"x"), 409),
        (await ada.request("PATCH", url, b"x", Upload_Offset="0", Content_Type="text/plain"), 415),
        (
            await ada.request("PATCH", url, b"x", Content_Type="application/offset+octet-stream"),
            400,
        ),
        (await ada.patch(url, 0, b"x" * 11), 413),
        (await ada.request("PUT", url), 405),
        (await ada.request("HEAD", "/files/x"), 404),
    ):
        assert answer.status == status
        assert await ada.offset(url) == 0

    # Chunked, so that only counting shows it.
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 11

    assert (await ada.patch(url, 0, pieces())).status == 413
    grace = Uploader(await client.sign_up(), ada.workspace_id)
    assert (await grace.request("HEAD", url)).status == 404
    assert (await grace.request("DELETE", url)).status == 404
    for sent, status in (
        ({"Tus-Resumable": "1.0.0"}, 400),
        ({"Tus-Resumable": "1.0.0", "Upload-Length": "1"}, 401),
    ):
        refused = await client.request("POST", "/files/", headers=sent)
        assert refused.status == status


async def test_rights(ada: Uploader, client: Client) -> None:
    grace = Uploader(await client.sign_up(), ada.workspace_id)
    metadata = encoded(workspace_id=ada.workspace_id, path="a")
    answer = await grace.request("POST", "/files/", Upload_Length="1", Upload_Metadata=metadata)
    assert answer.status == 404
    await ada.client.ask(
        "add_workspace_member",
        workspace_id=ada.workspace_id,
        user_id=grace.client.user_id,
        role="editor",
    )
    url = await grace.create(Upload_Length="10")
    await grace.patch(url, 0, b"12345")
    await ada.client.ask(
        "update_workspace_member",
        workspace_id=ada.workspace_id,
        user_id=grace.client.user_id,
        role="viewer",
    )
    assert (await grace.patch(url, 5, b"12345")).status == 403


async def test_too_large_before_the_body_is_read(ada: Uploader, database: str) -> None:
    """The plan allows 256 MiB a file and 1 GiB in all."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65_536)

    for length, code in ((300 * 2**20, "RO702"), (2**20, "RO701")):
        if code == "RO701":
            async with await connect(database) as connection:
                await connection.execute("UPDATE roost.storage_usage SET bytes = 1073741824")
        else:
            await ada.create(Upload_Length="1")
        async with ada.client.http.post(
            f"{ada.client.url}/files/",
            data=endless(),
            headers={
                "Authorization": f"Bearer {ada.client.token}",
                "Tus-Resumable": "1.0.0",
                "Upload-Length": str(length),
                "Upload-Metadata": encoded(workspace_id=ada.workspace_id, path="large"),
                "Content-Type": "application/offset+octet-stream",
            },
        ) as answer:
            assert answer.status == 413
            assert (await answer.json())["code"] == code


async def test_deferred_length_meets_the_quota(ada: Uploader, database: str) -> None:
    url = await ada.create(Upload_Defer_Length="1")
    await ada.patch(url, 0, some_bytes(1000))
    async with await connect(database) as connection:
        await connection.execute("UPDATE roost.storage_usage SET bytes = 1073741824 - 10")
    answer = await ada.patch(url, 1000, some_bytes(CHUNK))
    assert (answer.status, await ada.offset(url)) == (413, 1000)


async def test_what_arrived_stays(ada: Uploader) -> None:
    """The connection breaks in the middle of a chunk."""
    data = some_bytes(2 * BATCH)
    url = await ada.create(Upload_Length=str(len(data)))
    sent = BATCH + CHUNK + 12_345
    address = urlsplit(ada.client.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        f"PATCH {url} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        f"Authorization: Bearer {ada.client.token}\r\nContent-Length: {len(data)}\r\n"
        "Content-Type: application/offset+octet-stream\r\n\r\n".encode()
        + data[:sent]
    )
    await writer.drain()
    while await ada.offset(url) < BATCH:
        pass
    # The rest has left this side; whether the server has read it shows when it is stored.
    writer.close()
    await writer.wait_closed()
    while (offset := await ada.offset(url)) < sent:
        pass
    answer = await ada.patch(url, offset, data[offset:])
    assert await ada.read(answer.headers["X-Roost-File"]) == data


async def test_two_write_at_the_same_place(ada: Uploader) -> None:
    data = some_bytes(BATCH)
    url = await ada.create(Upload_Length=str(len(data)))
    answers = await asyncio.gather(*(ada.patch(url, 0, data) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [204, 409, 409]
    (done,) = (answer for answer in answers if answer.status == 204)
    assert await ada.read(done.headers["X-Roost-File"]) == data


async def test_another_server_goes_on(
    ada: Uploader, serve: Callable[..., AbstractAsyncContextManager[Client]]
) -> None:
    """It does not know the hash of what came before."""
    data = some_bytes(BATCH + 5)
    url = await ada.create(Upload_Length=str(len(data)))
    await ada.patch(url, 0, data[:1_000_000])
    async with serve() as other:
        there = Uploader(
            Client(other.url, other.http, ada.client.token, ada.client.user_id), ada.workspace_id
        )
        answer = await there.patch(url, 1_000_000, data[1_000_000:])
        assert answer.status == 204
        assert await ada.read(answer.headers["X-Roost-File"]) == data


async def test_complete_but_for_the_end(ada: Uploader, database: str) -> None:
    """A server that ended between the last byte and the file: HEAD makes it up."""
    data = some_bytes(CHUNK + 5)
    url = await ada.create(Upload_Length=str(len(data)))
    await ada.patch(url, 0, data[:-1])
    async with await connect(database) as connection:
        # As the last transaction leaves it when the hash is not known.
        await connection.execute(
            "SELECT set_config('roost.user_id', %s, false)", [ada.client.user_id]
        )
        await connection.execute(
            "SELECT roost.append_upload(id, received, ARRAY[sha256(%b)], ARRAY[5], %b, '', false)"
            " FROM roost.uploads",
            [data[CHUNK:], data[CHUNK:]],
        )
    answer = await ada.request("HEAD", url)
    assert answer.headers["Upload-Offset"] == str(len(data))
    assert await ada.read(answer.headers["X-Roost-File"]) == data


async def test_a_path_that_is_refused(ada: Uploader) -> None:
    at = {"workspace_id": ada.workspace_id}
    await ada.client.ask("make_folder", **at, path="folder")
    for path, refused in (("../etc", (400, "RO302")), ("folder", (409, "RO301"))):
        answer = await ada.request(
            "POST", "/files/", Upload_Length="3", Upload_Metadata=encoded(**at, path=path)
        )
        assert (answer.status, (await answer.json())["code"]) == refused
    # What has changed meanwhile is seen at the end.
    url = await ada.create(path="later", Upload_Length="3")
    await ada.client.ask("make_folder", **at, path="later")
    answer = await ada.patch(url, 0, b"abc")
    assert (answer.status, (await answer.json())["code"]) == (409, "RO301")
    assert await ada.offset(url) == 0


async def test_what_is_under_way_is_seen(ada: Uploader) -> None:
    at = {"workspace_id": ada.workspace_id}

    async def status() -> tuple[str, list[int]]:
        file = await ada.client.ask("get_file", **at, path="a.txt")
        assert [each["sync_status"] for each in await ada.client.ask("list_files", **at)] == [
            file["sync_status"]
        ]
        listed = await ada.client.ask("list_uploads", **at)
        return file["sync_status"], [each["received"] for each in listed]

    url = await ada.create(path="a.txt", Upload_Length="3")
    assert [each["path"] for each in await ada.client.ask("list_uploads", **at)] == ["a.txt"]
    await ada.patch(url, 0, b"abc")
    assert await status() == ("synced", [])
    first, second = [await ada.create(path="a.txt", Upload_Length="4") for _ in range(2)]
    assert await status() == ("pending", [0, 0])
    await ada.patch(first, 0, b"ab")
    assert await status() == ("syncing", [2, 0])
    await ada.patch(first, 2, b"cd")
    assert await status() == ("pending", [0])
    await ada.request("DELETE", second)
    assert await status() == ("synced", [])


async def test_an_upload_says_which_file_it_is_based_on(ada: Uploader) -> None:
    at = {"workspace_id": ada.workspace_id}
    ids = {}
    for path in ("a", "b"):
        url = await ada.create(path=path, Upload_Length="1")
        answer = await ada.patch(url, 0, path.encode())
        ids[path] = answer.headers["X-Roost-File"]
    await ada.client.ask("move_file", file_id=ids["a"], path="c")
    await ada.client.ask("move_file", file_id=ids["b"], path="a")
    about = encoded(**at, path="a", base_version="1", file_id=ids["a"])
    answer = await ada.request("POST", "/files/", Upload_Length="1", Upload_Metadata=about)
    answer = await ada.patch(answer.headers["Location"], 0, b"d")
    assert answer.headers["X-Roost-Outcome"] == "conflict"
    assert answer.headers["X-Roost-File"] == ids["b"]
    assert await ada.read(ids["b"]) == b"b"


async def test_equal_content_is_stored_once(ada: Uploader, database: str) -> None:
    data = some_bytes(2 * CHUNK)
    for path in ("a", "b"):
        url = await ada.create(path=path, Upload_Length=str(len(data)))
        assert (await ada.patch(url, 0, data)).status == 204
    assert await rows(
        database,
        "SELECT (SELECT count(*) FROM roost.file_chunks), (SELECT count(*) FROM"
        " roost.file_contents), (SELECT bytes FROM roost.storage_usage)",
    ) == [(2, 1, len(data))]


async def test_the_database_goes_away(ada: Uploader, database: str, postgres: Any) -> None:
    """What was answered is there when it is back; meanwhile it is a 503, as elsewhere."""
    data = some_bytes(3 * BATCH)
    url = await ada.create(Upload_Length=str(len(data)))
    await ada.patch(url, 0, data[:1_000_000])
    name = conninfo_to_dict(database)["dbname"]
    with administrator(postgres) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [name],
        )
        answers = [
            await ada.patch(url, 1_000_000, data[1_000_000:]),
            await ada.request("HEAD", url),
            await ada.request("POST", "/files/", Upload_Length="1", Upload_Concat="partial"),
        ]
        assert [answer.status for answer in answers] == [503, 503, 503]
        assert answers[0].headers["Retry-After"] == "1"
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    while (answer := await ada.request("HEAD", url)).status == 503:
        pass
    assert answer.headers["Upload-Offset"] == "1000000"
    answer = await ada.patch(url, 1_000_000, data[1_000_000:])
    assert await ada.read(answer.headers["X-Roost-File"]) == data


async def test_the_database_fails_in_the_middle(
    ada: Uploader, database: str, postgres: Any
) -> None:
    """Sessions of the database end while bytes arrive: the client asks where it is, and goes on."""
    data = some_bytes(4 * BATCH)
    url = await ada.create(Upload_Length=str(len(data)))
    ended = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal ended
        yield data[: 2 * BATCH]
        while await ada.offset(url) < BATCH:
            pass
        with administrator(postgres) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                [conninfo_to_dict(database)["dbname"]],
            )
        ended = True
        yield data[2 * BATCH :]

    with contextlib.suppress(aiohttp.ClientError):
        await ada.patch(url, 0, body())
    assert ended
    while (answer := await ada.request("HEAD", url)).status == 503:
        pass
    offset = int(answer.headers["Upload-Offset"])
    assert offset >= BATCH
    if offset < len(data):
        answer = await ada.patch(url, offset, data[offset:])
    assert answer.status in (200, 204)
    assert await ada.read(answer.headers["X-Roost-File"]) == data


async def test_who_asks_before_the_body_is_told_first(ada: Uploader) -> None:
    """As curl does with large bodies: refused before a byte of it is sent."""
    url = await ada.create(Upload_Length="5")
    address = urlsplit(ada.client.url)
    for length, expected in ((6, b"HTTP/1.1 413 "), (5, b"HTTP/1.1 100 Continue\r\n\r\n")):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            f"PATCH {url} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
            f"Authorization: Bearer {ada.client.token}\r\nContent-Length: {length}\r\n"
            "Content-Type: application/offset+octet-stream\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert await reader.readexactly(len(expected)) == expected
        if length == 5:
            writer.write(b"12345")
            assert (await reader.readline()).startswith(b"HTTP/1.1 204 ")
        writer.close()
        await writer.wait_closed()
    assert (await ada.request("HEAD", url)).headers["X-Roost-Outcome"] == "created"
