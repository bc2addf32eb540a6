"""The official clients of tus, unmodified, against a server that is killed under them."""

import asyncio
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed
from tusclient.storage.filestorage import FileStorage

from tests.faults.servers import free_port
from tests.serving import Client
from tests.test_cli import environment
from tests.test_javascript import OF_ITS_OWN, run_javascript

MIB = 1_048_576


class Stream(io.BytesIO):
    """A file that stays open: tuspy closes one that it is given, and then reads it."""

    def close(self) -> None:
        pass


class Killable:
    """A server in a process of its own, always on the same port."""

    def __init__(self, database: str) -> None:
        port = str(free_port())
        self._variables = {"DATABASE_URL": database, "ROOST_PORT": port}
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{port}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "roost", "serve"),
            env=environment(self._variables),
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline()

    async def kill(self) -> None:
        """As when a machine loses its power: nothing is finished."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


@pytest.fixture
async def killable(database: str) -> AsyncIterator[Killable]:
    """A running server that a test may kill."""
    server = Killable(database)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def ada(killable: Killable) -> AsyncIterator[Client]:
    """Somebody who is signed in."""
    async with aiohttp.ClientSession() as http:
        yield await Client(killable.url, http).sign_up()


@pytest.fixture
async def uploader(ada: Client) -> Any:
    """Makes uploaders of tuspy for a file of ada's."""
    workspace = await ada.ask("create_workspace", name="Notes", path="/notes")
    client = TusClient(f"{ada.url}/files/", headers={"Authorization": f"Bearer {ada.token}"})

    def make(data: bytes, **options: Any) -> Any:
        return client.uploader(
            file_stream=Stream(data),
            metadata={"workspace_id": workspace["id"], "path": "Größe/写真.jpg"},
            **options,
        )

    return make


async def the_only_file(ada: Client, database: str) -> bytes:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute(
            "SELECT id FROM roost.file_sync_state WHERE kind = 'file'"
        )
        ((file_id,),) = await cursor.fetchall()
    async with ada.http.get(
        f"{ada.url}/content/{file_id}", headers={"Authorization": f"Bearer {ada.token}"}
    ) as answer:
        assert answer.status == 200
        return await answer.read()


@pytest.mark.parametrize(
    "options",
    [{}, {"chunk_size": 700_001}, {"chunk_size": MIB, "upload_checksum": True}],
    ids=["in one go", "in pieces", "with checksums"],
)
async def test_tuspy(ada: Client, uploader: Any, database: str, options: dict[str, Any]) -> None:
    data = random.Random(1).randbytes(5 * MIB + 12_345)
    await asyncio.to_thread(uploader(data, **options).upload)
    assert await the_only_file(ada, database) == data


async def test_tuspy_resumes_after_the_server_was_killed(
    ada: Client, uploader: Any, database: str, killable: Killable, tmp_path: Path
) -> None:
    data = random.Random(2).randbytes(8 * MIB + 1)
    storage: Any = FileStorage
    with contextlib.closing(storage(str(tmp_path / "urls.json"))) as urls:
        options = {"chunk_size": MIB, "store_url": True, "url_storage": urls}
        first = uploader(data, **options)
        await asyncio.to_thread(first.upload, stop_at=3 * MIB)
        await killable.kill()
        with pytest.raises((TusUploadFailed, OSError)):
            await asyncio.to_thread(first.upload)
        await killable.start()
        # As the program does when it is started again: all that it knows is in the file.
        second = await asyncio.to_thread(uploader, data, **options)
        assert (second.url, second.offset) == (first.url, 3 * MIB)
        await asyncio.to_thread(second.upload)
    assert await the_only_file(ada, database) == data


async def test_killed_in_the_middle_of_a_request(
    ada: Client, uploader: Any, database: str, killable: Killable
) -> None:
    """Of one request that never ends what was stored by then is there afterwards."""
    data = random.Random(3).randbytes(16 * MIB)
    sending = uploader(data)
    await asyncio.to_thread(lambda: sending.set_url(sending.create_url()))

    async def body() -> AsyncIterator[bytes]:
        for at in range(0, len(data), MIB):
            yield data[at : at + MIB]
            if at == 9 * MIB:
                while sending.get_offset() < 8 * MIB:
                    await asyncio.sleep(0)
                await killable.kill()

    with pytest.raises(aiohttp.ClientError):
        await ada.http.patch(
            sending.url,
            data=body(),
            headers={
                "Authorization": f"Bearer {ada.token}",
                "Tus-Resumable": "1.0.0",
                "Upload-Offset": "0",
                "Content-Type": "application/offset+octet-stream",
            },
        )
    await killable.start()
    sending.offset = await asyncio.to_thread(sending.get_offset)
    assert 8 * MIB <= sending.offset <= 10 * MIB
    await asyncio.to_thread(sending.upload)
    assert await the_only_file(ada, database) == data


async def test_tus_js_client(killable: Killable, tmp_path: Path) -> None:
    pipe = tmp_path / "kill"
    os.mkfifo(pipe)
    # Open at both ends, so that nobody waits to open it.
    ends = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> None:
        os.read(ends, 100)
        asked.set()

    async def kill_when_asked() -> None:
        while True:
            await asked.wait()
            asked.clear()
            await killable.kill()
            await killable.start()

    loop.add_reader(ends, read)
    killing = asyncio.create_task(kill_when_asked())
    try:
        await run_javascript(OF_ITS_OWN, ROOST_URL=killable.url, ROOST_KILL=str(pipe))
    finally:
        killing.cancel()
        loop.remove_reader(ends)
        os.close(ends)
