"""Downloads over real HTTP: ranges, names, links, and what is told of them."""

import asyncio
import email
import hashlib
import re
from time import monotonic
from typing import Any

import aiohttp
import pytest

from roost.files.disposition import content_disposition
from roost.files.ranges import Range, read_ranges
from roost.realtime.protocol import Version
from tests.relaying import Phone, join_payload
from tests.serving import Client
from tests.support import connect
from tests.test_uploads import CHUNK, Uploader, encoded, some_bytes, uploader

SIZE = 2 * CHUNK + 100
DATA = some_bytes(SIZE)


class Stored:
    """A file, and requests for it."""

    def __init__(self, ada: Uploader, file_id: str) -> None:
        self.ada = ada
        self.file_id = file_id

    async def get(
        self, query: str = "", method: str = "GET", token: str | None = "", **headers: str
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token == "":
            sent["Authorization"] = f"Bearer {self.ada.client.token}"
        elif token is not None:
            sent["Authorization"] = f"Bearer {token}"
        url = f"{self.ada.client.url}/content/{self.file_id}{query}"
        async with self.ada.client.http.request(method, url, headers=sent) as answer:
            return answer, await answer.read()


async def store(
    client: Client, path: str = "notes.txt", data: bytes = DATA, media_type: str = "text/plain"
) -> Stored:
    ada = await uploader(client)
    answer = await ada.request(
        "POST",
        "/files/",
        Upload_Length=str(len(data)),
        Upload_Metadata=encoded(workspace_id=ada.workspace_id, path=path, media_type=media_type),
    )
    if data:
        answer = await ada.patch(answer.headers["Location"], 0, data)
    return Stored(ada, answer.headers["X-Roost-File"])


@pytest.fixture
async def stored(client: Client) -> Stored:
    """A file of some chunks."""
    return await store(client)


async def test_whole(stored: Stored) -> None:
    answer, body = await stored.get()
    assert (answer.status, body) == (200, DATA)
    said = answer.headers
    assert said["ETag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert said["Content-Length"] == str(SIZE)
    assert said["Content-Type"] == "text/plain"
    assert said["Accept-Ranges"] == "bytes"
    assert said["X-Content-Type-Options"] == "nosniff"
    assert said["Content-Disposition"] == 'inline; filename="notes.txt"'
    assert said["Last-Modified"].endswith(" GMT")
    # What all answers have.
    assert said["X-Request-Id"]
    answer, _ = await stored.get(Origin="https://example.com")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    head, body = await stored.get(method="HEAD")
    assert (head.status, body, head.headers["Content-Length"]) == (200, b"", str(SIZE))
    assert head.headers["ETag"] == said["ETag"]
    answer, _ = await stored.get("?download=1")
    assert answer.headers["Content-Disposition"].startswith("attachment; ")


@pytest.mark.parametrize(
    ("header", "begin", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=5-9", 5, 10),
        (f"bytes={CHUNK - 1}-{CHUNK}", CHUNK - 1, CHUNK + 1),
        (f"bytes={CHUNK}-{2 * CHUNK - 1}", CHUNK, 2 * CHUNK),
        (f"bytes=1-{SIZE}", 1, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
    ],
)
async def test_range(stored: Stored, header: str, begin: int, end: int) -> None:
    answer, body = await stored.get(Range=header)
    assert (answer.status, body) == (206, DATA[begin:end])
    assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(end - begin)


async def test_several_ranges(stored: Stored) -> None:
    answer, body = await stored.get(Range=f"bytes=0-4, {CHUNK - 2}-{CHUNK + 2}, -3")
    assert answer.status == 206
    assert len(body) == int(answer.headers["Content-Length"])
    message = email.message_from_bytes(
        b"Content-Type: " + answer.headers["Content-Type"].encode() + b"\r\n\r\n" + body
    )
    parts: Any = message.get_payload()
    assert [
        (part["Content-Type"], part["Content-Range"], part.get_payload(decode=True))
        for part in parts
    ] == [
        ("text/plain", f"bytes {begin}-{end - 1}/{SIZE}", DATA[begin:end])
        for begin, end in ((0, 5), (CHUNK - 2, CHUNK + 3), (SIZE - 3, SIZE))
    ]


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", "bytes=-0"])
async def test_a_range_that_is_not_there(stored: Stored, header: str) -> None:
    answer, body = await stored.get(Range=header)
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
    assert b"PGRST103" in body


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=2-1", None),
        ("bytes=x-1", None),
        ("bytes=1", None),
        ("lines=0-1", None),
        ("bytes=0-5,3-9", None),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 102, 2)), None),
        ("bytes=" + "9" * 30 + "-", None),
        ("bytes=0-1,,8-", [Range(0, 2), Range(8, 10)]),
        ("Bytes= 3-3 , 99-100", [Range(3, 4)]),
        ("bytes=99-100", []),
    ],
)
def test_read_ranges(header: str, expected: list[Range] | None) -> None:
    assert read_ranges(header, 10) == expected


async def test_conditions(stored: Stored) -> None:
    answer, _ = await stored.get()
    etag, date = answer.headers["ETag"], answer.headers["Last-Modified"]
    for header in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer, body = await stored.get(If_None_Match=header)
        assert (answer.status, body, answer.headers["ETag"]) == (304, b"", etag)
    answer, body = await stored.get(If_None_Match='"x"')
    assert (answer.status, body) == (200, DATA)
    for header, status in (
        (etag, 206),
        (date, 206),
        (f"W/{etag}", 200),
        ('"x"', 200),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 200),
    ):
        answer, body = await stored.get(Range="bytes=0-9", If_Range=header)
        assert (answer.status, body) == (status, DATA[:10] if status == 206 else DATA)


async def test_empty(client: Client) -> None:
    stored = await store(client, data=b"")
    answer, body = await stored.get()
    assert (answer.status, body, answer.headers["Content-Length"]) == (200, b"", "0")
    assert (await stored.get(Range="bytes=0-"))[0].status == 416
    assert (await stored.get(method="HEAD"))[0].status == 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notes.txt", 'inline; filename="notes.txt"'),
        ("Größe.txt", "inline; filename=\"Groe.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt"),
        (
            "写真.jpg",
            "inline; filename=\"download.jpg\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.jpg",
        ),
        (
            'a"b\\c%d;e.txt',
            "inline; filename=\"a_b_c_d;e.txt\"; filename*=UTF-8''a%22b%5Cc%25d%3Be.txt",
        ),
        ("a\r\nb", "inline; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
        ("😀", "inline; filename=\"download\"; filename*=UTF-8''%F0%9F%98%80"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert content_disposition("inline", name) == expected


async def test_a_name_in_another_script(client: Client) -> None:
    stored = await store(client, path="写真.jpg", media_type="not a type")
    answer, _ = await stored.get("?download=1")
    disposition = answer.content_disposition
    assert disposition is not None
    assert (disposition.type, disposition.filename) == ("attachment", "写真.jpg")
    assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_versions(stored: Stored) -> None:
    url = await stored.ada.create(Upload_Length="3")
    await stored.ada.patch(url, 0, b"new")
    assert (await stored.get())[1] == b"new"
    assert (await stored.get("?version=1"))[1] == DATA
    assert (await stored.get("?version=3"))[0].status == 404
    assert (await stored.get("?version=x"))[0].status == 400


async def test_rights(stored: Stored, client: Client) -> None:
    grace = await client.sign_up()
    assert (await stored.get(token=None))[0].status == 401
    assert (await stored.get(token=grace.token))[0].status == 404
    ada = stored.ada.client
    await ada.ask(
        "add_workspace_member", workspace_id=stored.ada.workspace_id, user_id=grace.user_id
    )
    assert (await stored.get(token=grace.token))[1] == DATA
    await ada.ask(
        "remove_workspace_member", workspace_id=stored.ada.workspace_id, user_id=grace.user_id
    )
    assert (await stored.get(token=grace.token))[0].status == 404
    assert (await client.request("GET", "/content/x")).status == 404


async def test_links(stored: Stored, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ada = stored.ada.client
    path = f"/content/{stored.file_id}"

    async def read(url: str) -> tuple[int, bytes]:
        async with ada.http.get(ada.url + url) as answer:
            return answer.status, await answer.read()

    grace = await client.sign_up()
    await ada.ask(
        "add_workspace_member", workspace_id=stored.ada.workspace_id, user_id=grace.user_id
    )
    links = []
    for person, asked in ((ada, {}), (grace, {"seconds": 60, "version": 1})):
        answer = await person.request("POST", f"{path}/links", json=asked)
        assert answer.status == 200, answer
        assert re.fullmatch(r"\d{4}-.*", answer.body["expires_at"])
        assert await read(answer.body["url"]) == (200, DATA)
        links.append(answer.body["url"])
    # Another file, version, signature.
    assert (await read(links[1].replace("version=1&", "")))[0] == 403
    assert (await read(links[0] + "&version=1"))[0] == 403
    assert (await read(links[0] + "x"))[0] == 403
    other = await stored.ada.create(path="other", Upload_Length="1")
    other_id = (await stored.ada.patch(other, 0, b"x")).headers["X-Roost-File"]
    assert (await read(links[0].replace(stored.file_id, other_id)))[0] == 403
    # As long as that person may read it.
    await ada.ask(
        "remove_workspace_member", workspace_id=stored.ada.workspace_id, user_id=grace.user_id
    )
    assert [(await read(link))[0] for link in links] == [200, 404]
    answer = await grace.request("POST", f"{path}/links", json={})
    assert answer.status == 404
    refused: list[Any] = [{"seconds": 0}, {"seconds": 604_801}, {"seconds": True}, {"version": "1"}]
    for wrong in [*refused, []]:
        assert (await ada.request("POST", f"{path}/links", json=wrong)).status == 400
    assert (await client.request("POST", f"{path}/links", json={})).status == 401
    # An access token opens no link, nor a link's token anything else.
    assert (await read(f"{path}?token={ada.token}"))[0] == 403
    answer = await client.request(
        "POST",
        "/rpc/list_workspaces",
        json={},
        headers={"Authorization": f"Bearer {links[0].rpartition('=')[2]}"},
    )
    assert answer.status == 401
    assert "token=" not in caplog.text


async def test_a_link_expires(stored: Stored) -> None:
    ada = stored.ada.client
    answer = await ada.request("POST", f"/content/{stored.file_id}/links", json={"seconds": 1})
    status = 200
    while status == 200:
        async with ada.http.get(ada.url + answer.body["url"]) as read:
            status = read.status
            await read.read()
    assert status == 403


async def test_progress_is_told(client: Client) -> None:
    """Uploads and downloads are told in the workspace, ephemerally."""
    ada = await uploader(client)
    async with client.http.ws_connect(f"{client.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        topic = f"realtime:workspace:{ada.workspace_id}"
        ref = await phone.send(topic, "phx_join", join_payload(ada.client.token, self=True))
        assert (await phone.reply(ref))["status"] == "ok"

        async def progress() -> dict[str, Any]:
            """The next event, but for what became of an upload."""
            while (event := (await phone.events(1))[0])["event"] == "file.created":
                pass
            return event

        url = await ada.create(Upload_Length=str(SIZE))
        await ada.patch(url, 0, DATA)
        event = await progress()
        assert event["event"] == "upload.progress"
        assert event["payload"] == {
            "upload_id": url.rpartition("/")[2],
            "path": "notes.txt",
            "received": SIZE,
            "length": SIZE,
            "user_id": ada.client.user_id,
            "device_id": ada.client.device_id,
        }
        large = some_bytes(24 * CHUNK)
        url = await ada.create(path="large", Upload_Defer_Length="1")
        # Far more requests than are told of: four a second, and one to begin with.
        started = monotonic()
        for at in range(0, 50_000, 500):
            await ada.patch(url, at, large[at : at + 500])
        answer = await ada.patch(url, 50_000, large[50_000:], Upload_Length=str(len(large)))
        most = int((monotonic() - started) * 4) + 1
        file_id = answer.headers["X-Roost-File"]
        assert await ada.read(file_id) == large
        assert await ada.read(file_id, "?version=1") == large
        told = []
        while (event := await progress())["event"] == "upload.progress":
            told.append(event["payload"]["received"])
        assert 0 < len(told) <= most
        assert told == sorted(told)
        assert event["event"] == "download.progress"
        assert event["payload"].pop("download_id")
        assert event["payload"] == {
            "file_id": file_id,
            "version": 1,
            "sent": 0,
            "length": len(large),
            "user_id": ada.client.user_id,
            "device_id": ada.client.device_id,
        }


async def test_a_download_that_loses_a_chunk(stored: Stored, database: str) -> None:
    """The client must not take for whole what is not."""
    async with await connect(database) as connection:
        await connection.execute("DELETE FROM roost.content_chunks WHERE from_byte = 262144")
    answer, body = await stored.get()
    assert answer.status == 500
    assert b"XX001" in body


async def test_a_client_that_goes_away(client: Client) -> None:
    """The connection to the database is free again, or made anew."""
    data = some_bytes(20 * CHUNK * 4)
    stored = await store(client, data=data)
    for _ in range(8):
        async with stored.ada.client.http.get(
            f"{client.url}/content/{stored.file_id}",
            headers={"Authorization": f"Bearer {stored.ada.client.token}"},
        ) as answer:
            await answer.content.read(100)
            answer.close()
    bodies = await asyncio.gather(*(stored.get() for _ in range(6)))
    assert all(body == data for _, body in bodies)
