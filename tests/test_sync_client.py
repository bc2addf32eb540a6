"""`roost sync` against a whole server: folders on one machine that come to be the same."""

import asyncio
import contextlib
import dataclasses
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from roost.client.chunking import LARGEST
from roost.client.command import FAILED, LEFT_OUT, OK, Options, SyncError, main, run
from roost.client.locking import InUseError
from roost.client.mirror import Mirror
from roost.client.server import Server
from roost.client.tree import Node
from tests.serving import PASSWORD, Client

# Until something that was changed in one folder is in the other one.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a person, and how it is synced."""

    path: Path
    url: str
    email: str
    workspace: str

    def options(self, *, once: bool = True) -> Options:
        return Options(self.path, self.workspace, self.url, self.email, None, once)

    async def sync(self) -> int:
        return await run(self.options(), {"ROOST_PASSWORD": PASSWORD})

    @contextlib.asynccontextmanager
    async def kept_in_step(self) -> AsyncIterator[None]:
        task = asyncio.create_task(run(self.options(once=False), {"ROOST_PASSWORD": PASSWORD}))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in self.path.rglob("*")
            if path.is_file() and ".roost-sync" not in path.parts
        }


@pytest.fixture
async def workspace(client: Client) -> tuple[Client, str, str]:
    """A person, their address, and a workspace of theirs."""
    email = f"{uuid.uuid4().hex}@example.com"
    person = await client.sign_up(email)
    made = await person.ask("create_workspace", id=str(uuid.uuid4()), name="notes", path="~/notes")
    return person, email, made["id"]


@pytest.fixture
def two_folders(workspace: tuple[Client, str, str], tmp_path: Path) -> tuple[Folder, Folder]:
    """On two devices of that person."""
    person, email, workspace_id = workspace
    one, other = (
        Folder(tmp_path / name, person.url, email, workspace_id) for name in ("laptop", "desktop")
    )
    one.path.mkdir()
    other.path.mkdir()
    return one, other


async def settle(*folders: Folder) -> None:
    """Each syncs until what the others have done is there."""
    for _ in range(2):
        for folder in folders:
            assert await folder.sync() == OK


def write(folder: Folder, path: str, content: bytes) -> None:
    target = folder.path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


async def test_two_folders_come_to_be_the_same(two_folders: tuple[Folder, Folder]) -> None:
    laptop, desktop = two_folders
    write(laptop, "a.txt", b"hello")
    write(laptop, "src/empty", b"")
    write(laptop, "src/deep/er/Grüße 你好 🎉.md", b"names")
    write(desktop, "b/c.bin", os.urandom(3 * LARGEST))
    (laptop.path / "nothing in it").mkdir()
    (laptop.path / "a.txt").chmod(0o755)

    await settle(laptop, desktop)

    assert laptop.files() == desktop.files()
    assert len(laptop.files()) == 4
    assert (desktop.path / "nothing in it").is_dir()
    assert os.access(desktop.path / "a.txt", os.X_OK)
    assert not os.access(desktop.path / "b/c.bin", os.X_OK)
    for path in laptop.files():
        one, other = ((folder.path / path).stat().st_mtime_ns for folder in two_folders)
        assert abs(one - other) < 1_000_000


async def test_a_second_run_moves_nothing(
    two_folders: tuple[Folder, Folder], capsys: pytest.CaptureFixture[str]
) -> None:
    laptop, desktop = two_folders
    write(laptop, "src/a", b"hello")
    await settle(laptop, desktop)
    capsys.readouterr()
    await settle(laptop, desktop)
    assert capsys.readouterr().err == "in step, after 0 changes\n" * 4


async def test_a_moved_folder_keeps_its_files(
    two_folders: tuple[Folder, Folder], workspace: tuple[Client, str, str]
) -> None:
    laptop, desktop = two_folders
    person, _, workspace_id = workspace
    for number in range(5):
        write(laptop, f"old/{number}", f"{number}".encode())
    await settle(laptop, desktop)
    ids = await ids_by_name(person, workspace_id)
    inode = (desktop.path / "old/3").stat().st_ino

    (laptop.path / "old").rename(laptop.path / "new")
    await settle(laptop, desktop)

    assert set(desktop.files()) == {f"new/{number}" for number in range(5)}
    assert (desktop.path / "new/3").stat().st_ino == inode
    after = await ids_by_name(person, workspace_id)
    assert after.pop("new") == ids.pop("old")
    assert after == ids


async def ids_by_name(person: Client, workspace_id: str) -> dict[str, str]:
    rows = await person.ask("list_files", workspace_id=workspace_id, prefix="")
    return {row["name"]: row["id"] for row in rows}


async def test_text_that_both_have_edited_is_merged(two_folders: tuple[Folder, Folder]) -> None:
    laptop, desktop = two_folders
    write(laptop, "a.txt", b"one\ntwo\nthree\nfour\nfive\n")
    await settle(laptop, desktop)
    write(laptop, "a.txt", b"ONE\ntwo\nthree\nfour\nfive\n")
    write(desktop, "a.txt", b"one\ntwo\nthree\nfour\nFIVE\n")
    await settle(laptop, desktop)
    expected = {"a.txt": b"ONE\ntwo\nthree\nfour\nFIVE\n"}
    assert laptop.files() == desktop.files() == expected


async def test_what_can_not_be_merged_is_kept_in_a_copy(
    two_folders: tuple[Folder, Folder],
) -> None:
    laptop, desktop = two_folders
    write(laptop, "a.bin", b"\0one")
    await settle(laptop, desktop)
    write(laptop, "a.bin", b"\0laptop")
    write(desktop, "a.bin", b"\0desktop")
    await settle(laptop, desktop)
    assert laptop.files() == desktop.files()
    assert sorted(laptop.files().values()) == [b"\0desktop", b"\0laptop"]
    assert laptop.files()["a.bin"] == b"\0laptop"


async def test_a_deletion_goes_to_the_other_one_unless_it_was_edited(
    two_folders: tuple[Folder, Folder],
) -> None:
    laptop, desktop = two_folders
    write(laptop, "gone/a", b"a")
    write(laptop, "kept/b", b"b")
    await settle(laptop, desktop)
    for path in ("gone/a", "kept/b"):
        (laptop.path / path).unlink()
        (laptop.path / path).parent.rmdir()
    write(desktop, "kept/b", b"edited")
    await settle(laptop, desktop)
    assert laptop.files() == desktop.files() == {"kept/b": b"edited"}
    assert not (desktop.path / "gone").exists()


async def test_what_is_ignored_stays_here(two_folders: tuple[Folder, Folder]) -> None:
    laptop, desktop = two_folders
    write(laptop, ".roostignore", b"*.log\nbuild/\n!keep.log\n")
    write(laptop, "a.log", b"x")
    write(laptop, "keep.log", b"kept")
    write(laptop, "build/x", b"x")
    await settle(laptop, desktop)
    assert set(desktop.files()) == {".roostignore", "keep.log"}

    # Something that was synced and is ignored from now on is deleted nowhere.
    write(laptop, ".roostignore", b"*.log\nbuild/\n")
    (laptop.path / "keep.log").unlink()
    await settle(laptop, desktop)
    assert set(desktop.files()) == {".roostignore", "keep.log"}


async def test_what_can_not_be_synced_is_said_and_left(
    two_folders: tuple[Folder, Folder], capsys: pytest.CaptureFixture[str]
) -> None:
    laptop, desktop = two_folders
    write(laptop, "a", b"a")
    write(laptop, "Readme", b"1")
    write(laptop, "readme", b"2")
    write(laptop, "back\\slash", b"x")
    (laptop.path / "link").symlink_to("a")
    os.mkfifo(laptop.path / "pipe")

    assert await laptop.sync() == LEFT_OUT

    said = capsys.readouterr().err
    for path in ("readme", "link", "pipe", "back\\\\slash"):
        assert path.replace("\\\\", "\\") in said.replace("\\\\", "\\"), said
    assert await desktop.sync() == OK
    assert len(desktop.files()) == 2
    assert (laptop.path / "readme").read_bytes() == b"2"
    assert (laptop.path / "link").is_symlink()


async def test_a_large_file_is_sent_in_parts_that_changed(
    two_folders: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop, desktop = two_folders
    data = bytearray(random.Random(1).randbytes(40 * LARGEST))
    write(laptop, "large", bytes(data))
    await settle(laptop, desktop)
    # An insertion, so that everything behind it is elsewhere than before.
    data[20 * LARGEST : 21 * LARGEST] = random.Random(2).randbytes(LARGEST + 17)
    write(laptop, "large", bytes(data))

    sent: list[int] = []
    send = Server.send_chunks

    async def counted(self: Server, workspace_id: str, chunks: list[bytes]) -> None:
        sent.extend(map(len, chunks))
        await send(self, workspace_id, chunks)

    monkeypatch.setattr(Server, "send_chunks", counted)
    assert await laptop.sync() == OK
    assert 0 < sum(sent) < 4 * LARGEST
    assert await desktop.sync() == OK
    assert desktop.files() == {"large": bytes(data)}


async def test_changes_go_back_and_forth_while_both_run(
    two_folders: tuple[Folder, Folder],
) -> None:
    laptop, desktop = two_folders
    async with laptop.kept_in_step(), desktop.kept_in_step():
        write(laptop, "a", b"1")
        await until(lambda: desktop.files() == {"a": b"1"})
        write(desktop, "a", b"2")
        write(desktop, "b/c", b"3")
        await until(lambda: laptop.files() == {"a": b"2", "b/c": b"3"})
        (laptop.path / "b").rename(laptop.path / "d")
        (laptop.path / "a").unlink()
        await until(lambda: desktop.files() == {"d/c": b"3"})


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(FileNotFoundError):
            if holds():
                return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_two_clients_do_not_share_a_folder(two_folders: tuple[Folder, Folder]) -> None:
    laptop, _ = two_folders
    async with laptop.kept_in_step():
        await until((laptop.path / ".roost-sync/credentials.json").exists)
        with pytest.raises(InUseError):
            await laptop.sync()


async def test_a_folder_stays_with_its_workspace(
    two_folders: tuple[Folder, Folder], workspace: tuple[Client, str, str]
) -> None:
    laptop, _ = two_folders
    person, email, _ = workspace
    await laptop.sync()
    await person.ask("create_workspace", id=str(uuid.uuid4()), name="other", path="~/other")
    with pytest.raises(SyncError, match="another workspace"):
        await Folder(laptop.path, laptop.url, email, "other").sync()
    with pytest.raises(SyncError, match="there is no workspace"):
        await Folder(laptop.path, laptop.url, email, "none").sync()


async def test_the_session_is_kept_where_nobody_else_reads_it(
    two_folders: tuple[Folder, Folder], capsys: pytest.CaptureFixture[str]
) -> None:
    laptop, _ = two_folders
    assert await laptop.sync() == OK
    kept = laptop.path / ".roost-sync/credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in kept.read_text()
    # Without the password: the session goes on, on the same device.
    assert await run(laptop.options(), {}) == OK
    assert PASSWORD not in capsys.readouterr().err


class Line:
    """A way to a server that can be cut after so many bytes from it."""

    def __init__(self, url: str) -> None:
        self._host, port = url.removeprefix("http://").split(":")
        self._port = int(port)
        self.url = ""
        # Of each connection, from the server; None is as many as come.
        self.most: int | None = None
        self.passed = 0
        self.cuts = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, there = await asyncio.open_connection(self._host, self._port)
        sending = asyncio.create_task(self._pass(near, there))
        with contextlib.suppress(ConnectionError):
            passed = 0
            while data := await far.read(65536):
                back.write(data)
                await back.drain()
                self.passed += len(data)
                passed += len(data)
                if self.most is not None and passed > self.most:
                    self.cuts += 1
                    break
        sending.cancel()
        for writer in (back, there):
            writer.close()

    async def _pass(self, near: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await near.read(65536):
                there.write(data)
                await there.drain()


async def test_a_download_goes_on_where_it_was_cut(two_folders: tuple[Folder, Folder]) -> None:
    laptop, desktop = two_folders
    size = 8 * LARGEST
    write(laptop, "large", random.Random(6).randbytes(size))
    assert await laptop.sync() == OK
    line = Line(desktop.url)
    async with line.open():
        line.most = 3 * LARGEST
        assert await dataclasses.replace(desktop, url=line.url).sync() == OK
    assert desktop.files() == laptop.files()
    assert line.cuts >= 2
    # Less than once more: what had arrived was not sent again.
    assert line.passed < size + size // 2


async def test_a_client_that_is_killed_goes_on(two_folders: tuple[Folder, Folder]) -> None:
    laptop, desktop = two_folders
    expected = {
        f"{number % 7}/{number}": random.Random(number).randbytes(30_000) for number in range(300)
    }
    for path, content in expected.items():
        write(laptop, path, content)
    for folder in (laptop, desktop):
        for _ in range(3):
            process = await start(folder, "--once")
            assert process.stderr is not None
            for _ in range(20):
                await process.stderr.readline()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
            # Whatever is there is whole.
            assert all(expected[path] == content for path, content in desktop.files().items())
    await settle(laptop, desktop)
    assert laptop.files() == desktop.files() == expected


async def start(folder: Folder, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "roost",
        "sync",
        str(folder.path),
        "--workspace",
        folder.workspace,
        *arguments,
        env={
            **os.environ,
            "ROOST_URL": folder.url,
            "ROOST_EMAIL": folder.email,
            "ROOST_PASSWORD": PASSWORD,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command_ends_with_its_signal(two_folders: tuple[Folder, Folder]) -> None:
    laptop, _ = two_folders
    process = await start(laptop)
    assert process.stderr is not None
    assert b"is kept in step with notes" in await process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    out, err = await process.communicate()
    assert process.returncode == OK
    assert out == err == b""


async def test_a_token_that_is_not_good_any_more_is_renewed(
    two_folders: tuple[Folder, Folder],
) -> None:
    laptop, _ = two_folders
    async with aiohttp.ClientSession() as http:
        kept: list[str] = []
        server = Server(http, laptop.url, lambda each: kept.append(each.refresh_token))
        await server.sign_in(laptop.email, PASSWORD, "laptop", None)
        server._token = "broken"
        found = await asyncio.gather(*(server.find_workspaces() for _ in range(5)))
        assert len({len(each) for each in found}) == 1
        # Once for all of them, or the session would be over.
        assert len(kept) == 2


async def test_what_is_said_when_it_can_not_be_done(
    two_folders: tuple[Folder, Folder],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    laptop, _ = two_folders
    options = laptop.options()
    secret = {"ROOST_PASSWORD": PASSWORD}
    monkeypatch.setattr("roost.client.server._RETRIES", 0)
    for given, environment, said in (
        (options, {"ROOST_PASSWORD": "wrong"}, "Invalid login credentials"),
        (dataclasses.replace(options, email=None), secret, "it is not known who you are"),
        (dataclasses.replace(options, url="ftp://x"), secret, "is no address of a server"),
        (dataclasses.replace(options, workspace="none"), secret, "there is no workspace none"),
    ):
        assert await main(given, environment) == FAILED
        assert said in capsys.readouterr().err


async def test_a_workspace_is_made_where_that_is_wanted(
    two_folders: tuple[Folder, Folder], workspace: tuple[Client, str, str]
) -> None:
    laptop, _ = two_folders
    person, _, _ = workspace
    write(laptop, "a", b"one")
    options = dataclasses.replace(laptop.options(), workspace="new")
    secret = {"ROOST_PASSWORD": PASSWORD}
    assert await main(options, secret) == FAILED
    assert await main(dataclasses.replace(options, create=True), secret) == OK
    write(laptop, "b", b"two")
    assert await main(dataclasses.replace(options, create=True), secret) == OK
    (made,) = [one for one in await person.ask("list_workspaces") if one["name"] == "new"]
    assert made["path"] == str(laptop.path.resolve())
    listed = await person.ask("list_files", workspace_id=made["id"])
    assert [one["name"] for one in listed] == ["a", "b"]


async def test_the_executable_bit_alone(two_folders: tuple[Folder, Folder]) -> None:
    laptop, desktop = two_folders
    write(laptop, "a", b"#!/bin/sh\n")
    await settle(laptop, desktop)
    (laptop.path / "a").chmod(0o755)
    await settle(laptop, desktop)
    assert os.access(desktop.path / "a", os.X_OK)
    assert os.access(laptop.path / "a", os.X_OK)


async def test_another_file_with_the_same_version_is_not_overwritten(
    two_folders: tuple[Folder, Folder],
    workspace: tuple[Client, str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upload goes by path: what has come there since the server was asked is not lost."""
    laptop, desktop = two_folders
    person, _, workspace_id = workspace
    write(laptop, "a.bin", b"\0one")
    write(laptop, "b.bin", b"\0two")
    await settle(laptop, desktop)
    write(desktop, "a.bin", b"\0edited")
    ids = await ids_by_name(person, workspace_id)
    refresh = Mirror.refresh
    others: list[Client] = [person]

    async def meanwhile(self: Mirror) -> dict[str, Node]:
        tree = await refresh(self)
        while others:
            other = others.pop()
            await other.ask("move_file", file_id=ids["a.bin"], path="c.bin")
            await other.ask("move_file", file_id=ids["b.bin"], path="a.bin")
        return tree

    monkeypatch.setattr(Mirror, "refresh", meanwhile)
    assert await desktop.sync() == OK
    await settle(laptop, desktop)
    assert laptop.files() == desktop.files()
    assert {b"\0edited", b"\0two"} <= set(laptop.files().values())


async def test_a_server_that_was_away(two_folders: tuple[Folder, Folder]) -> None:
    laptop, desktop = two_folders
    line = Line(laptop.url)
    async with line.open():
        through = dataclasses.replace(laptop, url=line.url)
        async with through.kept_in_step():
            write(laptop, "a", b"1")
            await until((laptop.path / ".roost-sync/state.sqlite").exists)
            # Nothing gets through to its end any more.
            line.most = 0
            write(laptop, "b", b"2")
            await until(lambda: line.cuts > 3)
            line.most = None
            await eventually(desktop, {"a": b"1", "b": b"2"})


async def eventually(folder: Folder, expected: dict[str, bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while folder.files() != expected:
        assert time.monotonic() < deadline, folder.files()
        assert await folder.sync() == OK
        await asyncio.sleep(0.1)


async def test_a_folder_that_comes_back_brings_what_is_in_it(
    two_folders: tuple[Folder, Folder], workspace: tuple[Client, str, str]
) -> None:
    laptop, desktop = two_folders
    person, _, workspace_id = workspace
    write(laptop, "d/e/x", b"x")
    write(laptop, "y", b"y")
    assert await laptop.sync() == OK
    ids = await ids_by_name(person, workspace_id)
    await person.ask("delete_file", file_id=ids["d"])
    # This device never heard of the folder.
    assert await desktop.sync() == OK
    assert set(desktop.files()) == {"y"}
    await person.ask("restore_file", file_id=ids["d"])
    assert await desktop.sync() == OK
    assert desktop.files() == {"d/e/x": b"x", "y": b"y"}
