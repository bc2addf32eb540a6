"""Several server processes on one port: they are one server to whoever uses them."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from roost import workers
from roost.settings import Settings
from tests.relaying import Phone, join_payload
from tests.serving import Client
from tests.support import connect
from tests.test_cli import ROOST, environment
from tests.test_draining import Process, serving

WORKERS = ("1", "2")


class Host:
    """A running `roost serve --workers 2`, and somebody who is signed in."""

    def __init__(self, server: Process) -> None:
        self.server = server
        self.person = server.person

    async def figures(self) -> dict[tuple[str, ...], float]:
        """Every sample, under its name and the values of its labels."""
        async with (
            # Whichever worker takes it.
            aiohttp.ClientSession() as http,
            http.get(f"{self.person.url}/metrics") as answer,
        ):
            assert answer.status == 200
            text = await answer.text()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def sockets(self) -> list[int]:
        """How many each worker has."""
        figures = await self.figures()
        return [int(figures["roost_realtime_sockets", worker]) for worker in WORKERS]

    async def phones(self) -> list[Phone]:
        """Sockets that have joined the person's inbox, at least one at each worker."""
        phones: list[Phone] = []
        while not phones or not all(await self.sockets()):
            phones += await self.server.phones(3)
            assert len(phones) < 300
        return phones

    async def calls(self, function: str, number: int, **arguments: str) -> None:
        """Calls again and again, over a new connection each time and so by any worker."""
        for _ in range(number):
            async with aiohttp.ClientSession() as http:
                await Client(self.person.url, http, self.person.token).ask(function, **arguments)

    def processes(self) -> list[psutil.Process]:
        """The workers."""
        return psutil.Process(self.server.process.pid).children()


@contextlib.asynccontextmanager
async def running_host(database: str, **variables: str) -> AsyncIterator[Host]:
    async with serving(
        database, "--workers", "2", **{"ROOST_METRICS": "loopback", **variables}
    ) as server:
        host = Host(server)
        left = host.processes()
        assert len(left) == len(WORKERS)
        try:
            yield host
        finally:
            # They end with their parent, whichever way it ended.
            _, alive = await asyncio.to_thread(psutil.wait_procs, left, 10)
            if server.process.returncode is not None:
                assert alive == []


@pytest.fixture
async def host(database: str) -> AsyncIterator[Host]:
    async with serving(database, "--workers", "2", ROOST_METRICS="loopback") as server:
        yield Host(server)


async def texts(phone: Phone, number: int) -> list[str]:
    """The next messages that the phone hears of, in whatever conversation."""
    heard: list[str] = []
    while len(heard) < number:
        event = (await phone.receive()).payload
        if event["event"] == "message.created":
            heard.append(event["payload"]["content"]["text"])
    return heard


async def send(host: Host, conversation_id: str, words: list[str]) -> None:
    for word in words:
        async with aiohttp.ClientSession() as http:
            sender = Client(host.person.url, http, host.person.token)
            await sender.ask(
                "send_message", conversation_id=conversation_id, content={"text": word}
            )


async def test_what_comes_through_any_reaches_the_sockets_of_all(host: Host) -> None:
    conversation_id = await host.person.open_conversation()
    phones = await host.phones()
    words = [str(n) for n in range(30)]
    await send(host, conversation_id, words)
    for phone in phones:
        assert await texts(phone, 30) == words


async def test_the_log_is_read_once_for_all(host: Host, database: str) -> None:
    phones = await host.phones()
    before = await host.figures()
    # Written without a server: what a worker has written it tells the others.
    async with await connect(database) as connection:
        for number in range(20):
            await connection.execute(
                "SELECT realtime.publish(%s, 'note.made', %s)",
                (f"user:{host.person.user_id}", str(number)),
            )
            # One at a time, or several would be one read.
            for phone in phones:
                assert [event["payload"] for event in await phone.events(1)] == [number]
    after = await host.figures()

    def grown(*name: str) -> float:
        return after[name] - before[name]

    passed_on = sum(grown("roost_realtime_events_total", "stored", worker) for worker in WORKERS)
    assert passed_on >= 2 * 20
    # Each event once, and the poll for what nobody has announced.
    assert grown("roost_realtime_log_queries_total", "hub") <= 30
    assert grown("roost_realtime_log_shared_total", "hub") >= 10
    async with await connect(database) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        assert await cursor.fetchone() == (1,)


async def test_ephemeral_events_reach_all_too(host: Host) -> None:
    phones = await host.phones()
    topic = f"app:{host.person.user_id}:notes"
    for phone in phones:
        ref = await phone.send(f"realtime:{topic}", "phx_join", join_payload(host.person.token))
        assert (await phone.reply(ref))["status"] == "ok"
    payload = {"text": "x" * 20_000}
    for number in range(12):
        async with aiohttp.ClientSession() as http:
            answer = await Client(host.person.url, http, host.person.token).request(
                "POST",
                "/realtime/v1/api/broadcast",
                json={
                    "messages": [
                        {
                            "topic": topic,
                            "event": "moved",
                            "payload": {**payload, "n": number},
                            "private": True,
                        }
                    ]
                },
            )
        assert answer.status == 202, answer
    for phone in phones:
        events = await phone.events(12)
        assert sorted(event["payload"]["n"] for event in events) == list(range(12))


async def test_what_the_parent_does_itself_reaches_all(host: Host) -> None:
    conversation_id = await host.person.open_conversation()
    phones = await host.phones()
    operation = {
        "kind": "send_message",
        "args": {"conversation_id": conversation_id, "content": {"text": "later"}},
    }
    await host.person.ask("enqueue_operations", operations=[operation])
    for phone in phones:
        assert await texts(phone, 1) == ["later"]


async def test_a_session_that_ends_takes_its_sockets_everywhere_along(host: Host) -> None:
    phones = await host.phones()
    answer = await host.person.request("POST", "/auth/v1/logout?scope=local")
    assert answer.status == 204
    async with asyncio.timeout(1):
        for phone in phones:
            assert await phone.closed() == 4401


async def test_writers_without_a_server_are_heard(host: Host, database: str) -> None:
    phones = await host.phones()
    async with await connect(database) as connection:
        for number in range(5):
            await connection.execute(
                "SELECT realtime.publish(%s, 'note.made', %s)",
                (f"user:{host.person.user_id}", str(number)),
            )
    for phone in phones:
        heard = [event["payload"] for event in await phone.events(5)]
        assert heard == list(range(5))


async def test_nothing_is_lost_while_nobody_listens(host: Host, database: str) -> None:
    phones = await host.phones()
    async with await connect(database) as connection:
        cursor = await connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        assert await cursor.fetchone() == (1,)
        await connection.execute(
            "SELECT realtime.publish(%s, 'note.made', '1')", (f"user:{host.person.user_id}",)
        )
    for phone in phones:
        assert [event["payload"] for event in await phone.events(1)] == [1]


async def test_a_worker_that_is_killed_is_replaced(host: Host) -> None:
    conversation_id = await host.person.open_conversation()
    phones = await host.phones()
    victim = host.processes()[0]
    victim.send_signal(signal.SIGKILL)

    async def replaced() -> bool:
        # The kernel may have given the question to the dead one.
        with contextlib.suppress(aiohttp.ClientError, KeyError):
            return len(await host.sockets()) == len(WORKERS)
        return False

    async with asyncio.timeout(20):
        while victim in host.processes() or not await replaced():
            await asyncio.sleep(0.05)
    newcomers = await host.phones()
    await send(host, conversation_id, ["after", "all"])
    cut = 0
    for phone in (*phones, *newcomers):
        try:
            assert await texts(phone, 2) == ["after", "all"]
        except TypeError:
            # The end of the connection is no text.
            cut += 1
    assert 1 <= cut < len(phones)


async def test_a_worker_that_stands_still_holds_nobody_up(host: Host) -> None:
    conversation_id = await host.person.open_conversation()
    phones = await host.phones()
    victim = host.processes()[0]
    victim.suspend()
    heard = [asyncio.create_task(texts(phone, 10)) for phone in phones]
    try:
        sent = 0
        while sent < 10:
            # The calls that come to it wait.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await send(host, conversation_id, [str(sent)])
                    sent += 1
        await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)
        standing = [task for task in heard if not task.done()]
        assert standing
    finally:
        victim.resume()
    for task in heard:
        assert len(await task) == 10


async def test_sigterm_sends_the_sockets_of_all_away(database: str) -> None:
    async with running_host(database) as host:
        phones = await host.phones()
        closing = [asyncio.create_task(phone.closed()) for phone in phones]
        host.server.process.send_signal(signal.SIGTERM)
        assert await host.server.process.wait() == 0
        assert {await task for task in closing} == {1012}


async def test_the_workers_end_with_their_parent(database: str) -> None:
    async with running_host(database) as host:
        processes = host.processes()
        phones = await host.phones()
        closing = [asyncio.create_task(phone.closed()) for phone in phones]
        host.server.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, processes, 10)
        assert alive == []
        # As with SIGTERM.
        assert {await task for task in closing} == {1012}


async def test_the_port_is_not_shared_with_strangers(host: Host, database: str) -> None:
    port = host.person.url.rpartition(":")[2]
    for arguments in ((), ("--workers", "2")):
        other = await asyncio.create_subprocess_exec(
            *ROOST,
            "serve",
            *arguments,
            env=environment({"DATABASE_URL": database, "ROOST_PORT": port}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await other.communicate()
        assert other.returncode == 1
        assert complaint.decode() == (
            f"roost: cannot serve on 127.0.0.1:{port}: port {port} is in use: stop what is there,"
            " or set ROOST_PORT\n"
        )


async def test_nothing_is_announced_where_a_worker_does_not_start(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # In place of Python something that ends at once, then nothing.
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    announced: list[str] = []
    with pytest.raises(workers.WorkerError, match=r"worker [12] has ended \(3\) before it"):
        await workers.run(Settings(port=0), database, 2, announced.append)
    script.unlink()
    with pytest.raises(workers.WorkerError, match=r"worker [12] cannot be started \(.*No such"):
        await workers.run(Settings(port=0), database, 2, announced.append)
    assert announced == []


@pytest.mark.parametrize("number", ["0", "65", "two", "-1", ""])
async def test_the_number_of_workers_is_checked(number: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *ROOST,
        "serve",
        f"--workers={number}",
        env=dict(os.environ),
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    assert process.returncode == 2
    assert "is no whole number from 1 to 64" in complaint.decode()


async def test_the_figures_are_of_all(host: Host) -> None:
    phones = await host.phones()
    figures = await host.figures()
    assert sum(await host.sockets()) == len(phones)
    for worker in (*WORKERS, "hub"):
        assert figures["process_resident_memory_bytes", worker] > 1_000_000
    assert figures["roost_realtime_hub_unsent_bytes", "hub"] == 0


async def test_functions_that_change_are_known_to_all(host: Host, database: str) -> None:
    async with await connect(database) as connection:
        await connection.execute(
            "CREATE FUNCTION api.brand_new() RETURNS integer LANGUAGE sql"
            " SET search_path = pg_catalog, pg_temp BEGIN ATOMIC SELECT 7; END"
        )
        await connection.execute("GRANT EXECUTE ON FUNCTION api.brand_new() TO roost_user")
        await connection.execute("NOTIFY roost_schema")
    known = 0

    async def knows() -> bool:
        async with aiohttp.ClientSession() as http:
            answer = await Client(host.person.url, http, host.person.token).call("brand_new")
            return answer.status == 200

    # So many in a row are not all of one worker.
    async with asyncio.timeout(20):
        while known < 30:
            known = known + 1 if await knows() else 0
