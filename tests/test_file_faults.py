"""Files while servers and the database are killed, room runs out, clocks differ and names are in
every script: nothing acknowledged is lost, and no half-written file is ever seen.
"""

import asyncio
import base64
import contextlib
import hashlib
import io
import itertools
import os
import random
import shutil
import signal
import tempfile
import time
import unicodedata
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from roost.client.command import FAILED, OK
from roost.client.watching import woken
from roost.database.embedded import EmbeddedPostgres
from tests.faults.run import POSTGRES_SETTINGS
from tests.faults.servers import Server, kill_database
from tests.serving import Answer, Client
from tests.support import administrator, place_of_servers, template_of
from tests.test_sync_client import PATIENCE, Folder, settle, start, until, write

KIB = 1024
MIB = 1024 * KIB

# Of a large file the client sends parts; a small one is one of many in a request.
LARGE_FILES = 4
SMALL_FILES = 700

Break = Callable[[], Coroutine[None, None, None]]


@pytest.fixture(scope="module")
def mortal() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL to kill: what it has answered is on the disk."""
    folder = Path(tempfile.mkdtemp(prefix="roost-test-", dir=place_of_servers()))
    postgres = EmbeddedPostgres(folder, settings=POSTGRES_SETTINGS)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class Site:
    """A server, its database, and a workspace of somebody; all of it may be killed."""

    postgres: EmbeddedPostgres
    server: Server
    ada: Client
    email: str
    workspace_id: str

    async def kill_database(self) -> None:
        await kill_database(self.postgres)

    async def kill_server(self) -> None:
        await self.server.kill()

    async def bring_back(self) -> None:
        """Starts what does not run, and waits until calls are answered again."""
        if not self.postgres.running:
            await asyncio.to_thread(self.postgres.start)
        if self.server.gone.is_set():
            await self.server.start()
        await answered(lambda: self.ada.call("get_workspace", workspace_id=self.workspace_id))


@pytest.fixture
async def site(mortal: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Site]:
    """A server that was started as a user does."""
    # It goes with the folder of PostgreSQL: no connection lives long enough to drop it.
    name = f"test_{uuid.uuid4().hex}"
    template = template_of(mortal)
    with administrator(mortal) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    server = Server("server", mortal.conninfo(name), tmp_path)
    try:
        await server.start()
        async with aiohttp.ClientSession() as http:
            email = f"{uuid.uuid4().hex}@example.com"
            ada = await Client(server.url, http).sign_up(email)
            workspace = await ada.ask("create_workspace", name="Notes", path="/notes")
            yield Site(mortal, server, ada, email, workspace["id"])
        assert server.unforeseen() == []
    finally:
        await server.close()
        if not mortal.running:
            await asyncio.to_thread(mortal.start)


async def answered(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What a server answers once it does: until then it is away, or says that it is busy."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            answer = await ask()
            if answer.status < 300:
                return answer
            assert answer.status in (502, 503, 504), answer
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Reader:
    """
    Looks at a workspace all the time, through the server, and reads what is new there.

    allowed -- what may be in a file; anything else was half-written, or is not this file's
    seen -- the hash of what is at a path
    looks -- times that all there is was seen
    """

    # Of the small files one in so many is read as well: the others go by hash and size.
    READ = 20

    def __init__(self, ada: Client, workspace_id: str, allowed: Mapping[str, set[bytes]]) -> None:
        self._ada = ada
        self._workspace_id = workspace_id
        self._allowed = {
            path: {digest(content): len(content) for content in contents}
            for path, contents in allowed.items()
        }
        self._cursor = 0
        self.seen: dict[str, str] = {}
        self.looks = 0
        self.reads = 0

    @contextlib.asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Raises at the end what was found meanwhile."""
        ended = asyncio.Event()

        async def look() -> None:
            while not ended.is_set():
                try:
                    await self.look()
                except (aiohttp.ClientError, OSError):
                    # Away: that is not what this is about.
                    await asyncio.sleep(0.01)

        task = asyncio.create_task(look())
        try:
            yield
        finally:
            ended.set()
            await task

    async def look(self) -> None:
        """Sees what has changed since the last time. Raises OSError when the server is away."""
        while True:
            answer = await self._ada.call(
                "list_files",
                workspace_id=self._workspace_id,
                changed_since=self._cursor,
                page_size=1000,
            )
            if answer.status != 200:
                assert answer.status in (502, 503, 504), answer
                raise OSError(answer.status)
            for row in answer.body:
                if row["kind"] == "file":
                    await self._see(row)
                self._cursor = row["change_seq"]
            if len(answer.body) < 1000:
                break
        self.looks += 1
        await asyncio.sleep(0.01)

    async def _see(self, row: dict[str, Any]) -> None:
        sizes = self._allowed[row["path"]]
        assert row["hash"] in sizes, row
        assert row["size"] == sizes[row["hash"]], row
        if row["size"] >= MIB or len(self.seen) % self.READ == 0:
            await self._read(row)
        self.seen[row["path"]] = row["hash"]

    async def _read(self, row: dict[str, Any]) -> None:
        async with self._ada.http.get(
            f"{self._ada.url}/content/{row['id']}?version={row['version']}",
            headers={"Authorization": f"Bearer {self._ada.token}"},
        ) as answer:
            if answer.status != 200:
                assert answer.status in (502, 503, 504), answer
                raise OSError(answer.status)
            # A download that is broken off is an error here, never a shorter file.
            assert digest(await answer.read()) == row["hash"]
        self.reads += 1


# --- killed in the middle of an upload ------------------------------------------------------------


async def test_an_upload_goes_on_after_each_kill(site: Site) -> None:
    before, data = b"what was there before", random.Random(1).randbytes(24 * MIB + 321)
    ada = site.ada
    small = await store(ada, site.workspace_id, "a.bin", before)
    assert small["X-Roost-Version"] == "1"
    reader = Reader(ada, site.workspace_id, {"a.bin": {before, data}})
    async with reader.looking():
        url = await begin(ada, site.workspace_id, "a.bin", len(data), base_version=1)
        # Not at the edge of a chunk: what is behind the last edge is kept, too.
        acknowledged = await append(ada, url, data[: 3 * MIB + 77], 0)
        assert acknowledged == 3 * MIB + 77
        for kill in (site.kill_database, site.kill_server, site.kill_database):
            sent = await broken_off(ada, url, data, acknowledged, kill)
            await site.bring_back()
            offset = await look_at(ada, url)
            assert acknowledged < offset <= sent < len(data)
            acknowledged = offset
            looks = reader.looks
            await until(lambda looks=looks: reader.looks > looks)  # type: ignore[misc]
            assert reader.seen == {"a.bin": digest(before)}
        assert await append(ada, url, data[acknowledged:], acknowledged) == len(data)
        await until(lambda: reader.seen == {"a.bin": digest(data)})
    assert reader.reads >= 1


def headers_of(ada: Client, **more: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {ada.token}",
        "Tus-Resumable": "1.0.0",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


async def begin(ada: Client, workspace_id: str, path: str, size: int, *, base_version: int) -> str:
    metadata = {"workspace_id": workspace_id, "path": path, "base_version": str(base_version)}
    answer = await ada.request(
        "POST",
        "/files/",
        headers=headers_of(
            ada,
            Upload_Length=str(size),
            Upload_Metadata=",".join(
                f"{key} {base64.b64encode(value.encode()).decode()}"
                for key, value in metadata.items()
            ),
        ),
    )
    assert answer.status == 201, answer
    location: str = answer.headers["Location"]
    return location


async def patch(ada: Client, url: str, body: Any, offset: int) -> Answer:
    return await ada.request(
        "PATCH",
        url,
        data=body,
        headers=headers_of(
            ada, Upload_Offset=str(offset), Content_Type="application/offset+octet-stream"
        ),
    )


async def append(ada: Client, url: str, data: bytes, offset: int) -> int:
    answer = await patch(ada, url, io.BytesIO(data), offset)
    assert answer.status == 204, answer
    return int(answer.headers["Upload-Offset"])


async def store(ada: Client, workspace_id: str, path: str, data: bytes) -> Mapping[str, str]:
    url = await begin(ada, workspace_id, path, len(data), base_version=0)
    answer = await patch(ada, url, data, 0)
    assert answer.status == 204, answer
    headers: Mapping[str, str] = answer.headers
    return headers


async def look_at(ada: Client, url: str) -> int:
    # More than once where a connection that the server keeps has been cut.
    answer = await answered(lambda: ada.request("HEAD", url, headers=headers_of(ada)))
    return int(answer.headers["Upload-Offset"])


async def broken_off(ada: Client, url: str, data: bytes, start: int, kill: Break) -> int:
    """Sends until something was stored, goes on sending, and kills; how far it has come by then."""
    sent = start
    killing: list[asyncio.Task[None]] = []
    most = start + 6 * MIB

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            piece = data[sent : min(sent + 256 * KIB, most)]
            if not piece:
                # Nothing behind this is sent, so that the end can't come before it is killed.
                # Shielded, as who answers early ends this.
                await asyncio.shield(killing[0])
                return
            sent += len(piece)
            yield piece
            if not killing and sent >= start + 3 * MIB:
                while await look_at(ada, url) == start:
                    await asyncio.sleep(0)
                killing.append(asyncio.create_task(kill()))

    with contextlib.suppress(aiohttp.ClientError, OSError):
        answer = await patch(ada, url, body(), start)
        assert answer.status >= 500, answer
    await killing[0]
    return sent


# --- killed in the middle of roost sync -----------------------------------------------------------


class Command:
    """`roost sync` in a process of its own, and what it has said that it has done."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading = asyncio.create_task(self._read())
        self.lines: list[str] = []

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.lines.append(line.decode().rstrip("\n"))

    def done(self, what: str) -> list[str]:
        """Paths of what it has acknowledged."""
        return [line.removeprefix(what) for line in self.lines if line.startswith(what)]

    async def end(self) -> None:
        assert self._process.returncode is None, self.lines[-5:]
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert await self._process.wait() == OK
            await self._reading


@contextlib.asynccontextmanager
async def in_step(folder: Folder) -> AsyncIterator[Command]:
    process = await start(folder)
    command = Command(process)
    try:
        yield command
        await command.end()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_an_end_that_comes_with_news_is_an_end() -> None:
    """In whatever moment it comes: else a client that was just told something does not end."""
    for moment in range(6):
        news = asyncio.Event()
        waiting = asyncio.create_task(woken(news, 60))
        for _ in range(3):
            await asyncio.sleep(0)
        news.set()
        for _ in range(moment):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize("killed", ["server", "database"])
async def test_sync_goes_on_after_a_kill(site: Site, tmp_path: Path, killed: str) -> None:
    randomness = random.Random(2)
    expected = {
        f"{number % 9}/{number}.bin": randomness.randbytes(randomness.randrange(1, 3_000))
        for number in range(SMALL_FILES)
    } | {f"large/{number}.bin": randomness.randbytes(MIB + number) for number in range(LARGE_FILES)}
    laptop, desktop = (
        Folder(tmp_path / name, site.server.url, site.email, site.workspace_id)
        for name in ("laptop", "desktop")
    )
    for path, content in expected.items():
        write(laptop, path, content)
    kill = site.kill_server if killed == "server" else site.kill_database
    reader = Reader(site.ada, site.workspace_id, {path: {it} for path, it in expected.items()})
    async with reader.looking(), in_step(laptop) as up:
        # While the second of two requests for small files is under way.
        await until(lambda: len(up.done("uploaded: ")) >= 500)
        await kill()
        acknowledged = up.done("uploaded: ")
        assert len(acknowledged) < len(expected)
        await site.bring_back()
        await require_listed(site, acknowledged, expected)
        async with in_step(desktop) as down:
            await until(lambda: len(down.done("downloaded: ")) >= 100)
            await kill()
            acknowledged = down.done("downloaded: ")
            assert len(acknowledged) < len(expected)
            require_whole(desktop, expected)
            assert desktop.files().keys() >= set(acknowledged)
            await site.bring_back()
            await all_come(desktop, expected)
        assert sorted(up.done("uploaded: ")) == sorted({*up.done("uploaded: ")})
    assert laptop.files() == desktop.files() == expected
    assert reader.seen == {path: digest(content) for path, content in expected.items()}
    assert reader.reads >= LARGE_FILES


async def require_listed(
    site: Site, acknowledged: list[str], expected: Mapping[str, bytes]
) -> None:
    """What was said to be uploaded is there, as soon as anything is answered."""
    listed: dict[str, str] = {}
    cursor = 0
    while rows := await site.ada.ask(
        "list_files", workspace_id=site.workspace_id, changed_since=cursor, page_size=1000
    ):
        listed |= {row["path"]: row["hash"] for row in rows}
        cursor = rows[-1]["change_seq"]
    assert {path: listed.get(path) for path in acknowledged} == {
        path: digest(expected[path]) for path in acknowledged
    }


def require_whole(folder: Folder, expected: Mapping[str, bytes]) -> None:
    """Whatever has its name is complete."""
    files = folder.files()
    assert files == {path: expected[path] for path in files}


async def all_come(folder: Folder, expected: Mapping[str, bytes]) -> None:
    """Waits for as long as more and more is there, each of which is complete from the beginning."""
    most, deadline = -1, 0.0
    while most < len(expected):
        files: dict[str, bytes] = {}
        with contextlib.suppress(FileNotFoundError):
            files = folder.files()
        assert files == {path: expected[path] for path in files}
        if len(files) > most:
            most, deadline = len(files), time.monotonic() + PATIENCE
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


# --- no room --------------------------------------------------------------------------------------


@pytest.fixture
async def two_folders(client: Client, tmp_path: Path) -> tuple[Folder, Folder]:
    """Of one person, on two devices."""
    email = f"{uuid.uuid4().hex}@example.com"
    ada = await client.sign_up(email)
    workspace = await ada.ask("create_workspace", name="notes", path="~/notes")
    one, other = (
        Folder(tmp_path / name, ada.url, email, workspace["id"]) for name in ("laptop", "desktop")
    )
    one.path.mkdir()
    other.path.mkdir()
    return one, other


async def allow(database: str, size: int) -> None:
    """As an operator changes what people may store."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            "UPDATE roost.plan_limits SET storage_bytes = %s, file_bytes = %s", [size, size]
        )


async def test_what_has_room_goes_and_the_rest_when_there_is_some(
    two_folders: tuple[Folder, Folder], database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    laptop, desktop = two_folders
    write(laptop, "first", b"first")
    assert await laptop.sync() == OK
    await allow(database, MIB)
    # In one request together, of which some have room; and one that never has.
    many = {f"many/{number}": os.urandom(200 * KIB) for number in range(10)}
    tiny = {f"zz/{number}": os.urandom(10) for number in range(10)}
    large = {"large": os.urandom(MIB + 1)}
    for path, content in (many | tiny | large).items():
        write(laptop, path, content)
    capsys.readouterr()

    assert await laptop.sync() == FAILED

    said = capsys.readouterr().err
    assert "left out: large: " in said
    assert "The storage of this workspace's owner is full. Delete files for good" in said
    assert "change the owner's plan" in said
    assert await desktop.sync() == OK
    there = desktop.files()
    assert there.items() >= tiny.items()
    # As many as there is room for, each of them whole.
    assert len(there.keys() & many.keys()) == 5
    assert there.items() <= laptop.files().items()

    async with laptop.kept_in_step(), desktop.kept_in_step():
        # One that has room goes while the others wait.
        write(laptop, "another", b"another")
        await until(lambda: "another" in desktop.files())
        assert len(desktop.files()) == len(there) + 1
        await allow(database, 8 * MIB)
        # By itself: nobody tells the client that there is room now.
        await until(lambda: desktop.files() == laptop.files())
    assert laptop.files() == many | tiny | large | {"first": b"first", "another": b"another"}


# --- clocks ---------------------------------------------------------------------------------------

HOURS = 3600


@pytest.mark.parametrize(
    ("laptop_clock", "desktop_clock"),
    [(-9 * HOURS, 7 * HOURS), (7 * HOURS, -9 * HOURS), (0, 0)],
    ids=["the first one is behind", "the first one is ahead", "the same"],
)
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
async def test_clocks_do_not_decide(
    two_folders: tuple[Folder, Folder], known: bool, laptop_clock: int, desktop_clock: int
) -> None:
    """Both have written the same path; who came first has it, whatever the time was there."""
    laptop, desktop = two_folders
    now = time.time()
    if known:
        write(laptop, "a.bin", b"\0before")
        await settle(laptop, desktop)
    # Of the same size, so that nothing else tells them apart either.
    for folder, content, clock in (
        (laptop, b"\0laptop1", laptop_clock),
        (desktop, b"\0desktop", desktop_clock),
    ):
        write(folder, "a.bin", content)
        os.utime(folder.path / "a.bin", (now + clock, now + clock))
    await settle(laptop, desktop)
    files = laptop.files()
    assert files == desktop.files()
    assert files.pop("a.bin") == b"\0laptop1"
    ((copy, content),) = files.items()
    assert copy.startswith("a (conflict")
    assert content == b"\0desktop"


async def test_two_at_the_same_moment_with_clocks_that_differ(
    two_folders: tuple[Folder, Folder],
) -> None:
    laptop, desktop = two_folders
    now = time.time()
    contents = {f"{number}.bin" for number in range(20)}
    for folder, clock in ((laptop, -9 * HOURS), (desktop, 7 * HOURS)):
        for path in contents:
            write(folder, path, f"\0{folder.path.name} {path}".encode())
            os.utime(folder.path / path, (now + clock, now + clock))
    assert [*await asyncio.gather(laptop.sync(), desktop.sync())] == [OK, OK]
    await settle(laptop, desktop)
    assert laptop.files() == desktop.files()
    assert sorted(laptop.files().values()) == sorted(
        f"\0{name} {path}".encode() for path in contents for name in ("laptop", "desktop")
    )
    assert laptop.files().keys() >= contents


# --- names ----------------------------------------------------------------------------------------

NAMES = (
    *("写真/東京 二〇二七.txt", "사진/한국어.txt", "ملفات/مذكرة.txt", "קבצים/שלום.txt"),
    *("Ελληνικά/Ωμέγα ς.txt", "Кириллица/ёжик.txt", "हिन्दी/क्षत्रिय.txt", "ไทย/น้ำ.txt", "ქართული"),
    # Capitals that only some languages know, ligatures, and what is outside the first plane.
    *("İstanbul.txt", "straße.txt", "STRASSE.txt", "ﬁligature", "ﷺ", "𐍈 𠜎.txt"),
    # Emoji that are made of several.
    *("👩\u200d👩\u200d👧/🏳\ufe0f\u200d🌈 👍🏽.txt", "🇬🇪"),
    # Combined: the server has them composed where they can be.
    *("e\u0301te\u0301.txt", "Tiếng Việt/ữ.txt", "z\u0335\u0327\u031ba\u0334l\u0335.txt"),
    *("a\u200db", "left\u202eright", " leading", "a  b", "-rf", "~", "#1", "%41", "a'b\"c", "*?|"),
    # As long as a name may be, in bytes.
    *("漢" * 85, "🎉" * 63 + "abc", "é" * 127, "x" * 251 + ".txt"),
    *("/".join(["глубоко"] * 30), "percent%2Fslash", "$HOME;`id`", "&amp;", "né/né/né"),
)
DECOMPOSED = ("Cafe\u0301/re\u0301sume\u0301.txt", unicodedata.normalize("NFD", "각/힣 Ångström"))


async def test_names_of_every_script_go_both_ways(two_folders: tuple[Folder, Folder]) -> None:
    laptop, desktop = two_folders
    mine, theirs = NAMES[::2], NAMES[1::2]
    for folder, names in ((laptop, (*mine, *DECOMPOSED)), (desktop, theirs)):
        for name in names:
            write(folder, name, f"1 {name}".encode())
    await settle(laptop, desktop)
    assert composed(laptop) == composed(desktop)
    assert set(composed(laptop)) == {nfc(name) for name in (*NAMES, *DECOMPOSED)}

    # Each is changed by the other one, so that it is found again however it is written there.
    for folder, names in ((desktop, (*mine, *DECOMPOSED)), (laptop, theirs)):
        paths = {nfc(path): path for path in folder.files()}
        for name in names:
            write(folder, paths[nfc(name)], f"2 {nfc(name)}".encode())
    await settle(laptop, desktop)
    assert composed(laptop) == composed(desktop)
    assert composed(laptop) == {
        nfc(name): f"2 {nfc(name)}".encode() for name in (*NAMES, *DECOMPOSED)
    }
    # It stays as it is written here, and is one file.
    assert laptop.files().keys() >= set(DECOMPOSED)
    assert len(laptop.files()) == len(desktop.files()) == len(NAMES) + len(DECOMPOSED)

    # And renamed, on both sides, to something in another script.
    renamed = dict(itertools.pairwise(("写真", "गोपनीय", "ملف")))
    for folder, name in ((laptop, "写真"), (desktop, "गोपनीय")):
        (folder.path / name).rename(folder.path / renamed[name])
        await settle(laptop, desktop)
    assert composed(laptop) == composed(desktop)
    assert "ملف/東京 二〇二七.txt" in composed(laptop)


def nfc(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def composed(folder: Folder) -> dict[str, bytes]:
    return {nfc(path): content for path, content in folder.files().items()}
