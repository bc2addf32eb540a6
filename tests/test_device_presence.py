"""Who is there: devices that come, go and vanish, over real sockets, one server and several."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from roost.database.queries import RECORD_PRESENCE
from roost.realtime import device_presence
from roost.realtime.protocol import Version
from tests.locks import wait_for_lock
from tests.relaying import SECRET, Database, Node, Person, Phone, join_payload
from tests.relaying import running_node as running
from tests.serving import Client, serving
from tests.support import REPOSITORY, connect


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """As always, but sooner."""
    monkeypatch.setattr(device_presence, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(device_presence, "SPACING_SECONDS", 0.04)
    monkeypatch.setattr(device_presence, "LOOK_SECONDS", 0.04)
    monkeypatch.setattr(device_presence, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(device_presence, "BEAT_SECONDS", 0.1)


@contextlib.asynccontextmanager
async def running_node(database: str) -> AsyncIterator[Node]:
    """A server that hears of what its own statements touch, as a whole one does."""
    async with running(database) as node:
        node.multiplexer.on_touched = node.relay.wake
        yield node


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


@contextlib.asynccontextmanager
async def socket(person: Client, topic: str | None = None) -> AsyncIterator[Phone]:
    """A socket of a device that has joined something, by default its own topic."""
    async with person.http.ws_connect(f"{person.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        phone.hears_presence = True
        topic = topic or f"device:{person.device_id}"
        ref = await phone.send(f"realtime:{topic}", "phx_join", join_payload(person.token))
        # What it changes may come first.
        while (message := await phone.receive()).event != "phx_reply":
            pass
        assert (message.ref, message.payload["status"]) == (ref, "ok"), message
        yield phone


async def presence(asking: Client, person: Client) -> dict[str, Any]:
    (answer,) = await asking.ask("get_presence", user_ids=[person.user_id])
    assert isinstance(answer, dict)
    return answer


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def becomes(asking: Client, person: Client, status: str) -> dict[str, Any]:
    """Waits until somebody is seen so."""

    async def is_so() -> bool:
        return bool((await presence(asking, person))["status"] == status)

    await until(is_so)
    return await presence(asking, person)


async def heard(phone: Phone, person: Client) -> dict[str, Any]:
    """What the next event presence says of somebody."""
    while True:
        message = await phone.receive()
        assert (message.event, message.payload["event"]) == ("broadcast", "presence"), message
        payload = message.payload["payload"]
        assert list(payload) == ["status", "user_id", "activity", "last_seen"]
        if payload["user_id"] == person.user_id:
            return dict(payload)


@contextlib.asynccontextmanager
async def audience(person: Client, conversation_id: str) -> AsyncIterator[Phone]:
    """Somebody's only socket, in a conversation, once it is known that they are there.

    The event that says so may come before the channel is live, which then does not hear it.
    """
    async with socket(person, f"conversation:{conversation_id}") as phone:
        await becomes(person, person, "online")
        yield phone


async def test_a_device_comes_and_goes(client: Client) -> None:
    """With the limits as they are."""
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    loop = asyncio.get_running_loop()
    assert await presence(grace, ada) == {
        "user_id": ada.user_id,
        "status": "offline",
        "activity": None,
        "last_seen": None,
        "devices": None,
    }

    async with (
        audience(grace, conversation_id) as watching,
        socket(grace, f"user:{grace.user_id}") as inbox,
    ):
        opened_at = loop.time()
        async with socket(ada):
            told = await heard(watching, ada)
            # What is heard in a conversation is heard in the inbox of everybody in it.
            assert await heard(inbox, ada) == told
            assert loop.time() - opened_at < 2.5
            assert (told["status"], told["activity"]) == ("online", None)
            seen = await presence(grace, ada)
            assert {name: seen[name] for name in told} == told
            (device,) = (await presence(ada, ada))["devices"]
            assert device == {
                "device_id": ada.device_id,
                "status": "online",
                "activity": None,
                "connected": True,
                "last_seen": told["last_seen"],
            }
        closed_at = loop.time()
        told = await heard(watching, ada)
        assert told["status"] == "offline"
        assert loop.time() - closed_at < 2.5
        assert (await presence(grace, ada))["status"] == "offline"
        assert (await presence(ada, ada))["devices"][0]["connected"] is False
        await watching.is_answered()


@pytest.mark.usefixtures("quick")
async def test_a_person_is_merged_from_devices(client: Client) -> None:
    ada, grace = await client.sign_up("ada@example.com"), await client.sign_up()
    laptop, tablet = (
        await client.sign_in("ada@example.com"),
        await client.sign_in("ada@example.com"),
    )
    conversation_id = await ada.open_conversation(grace)
    async with audience(grace, conversation_id) as watching:
        # A device that is not connected says nothing.
        answer = await ada.ask("set_presence", status="busy", activity="Reading")
        assert (answer["status"], answer["activity"]) == ("offline", None)
        async with socket(tablet), socket(laptop):
            assert (await heard(watching, ada))["status"] == "online"

            async def both_are_there() -> bool:
                devices = (await presence(ada, ada))["devices"]
                return [device["connected"] for device in devices].count(True) == 2

            await until(both_are_there)
            answer = await tablet.ask("set_presence", status="idle", activity="Reading")
            assert (answer["status"], answer["activity"]) == ("online", "Reading")
            assert (await heard(watching, ada))["activity"] == "Reading"
            await laptop.ask("set_presence", status="idle")
            assert (await heard(watching, ada))["status"] == "idle"
            await laptop.ask("set_presence", activity="Writing")
            told = await heard(watching, ada)
            assert (told["status"], told["activity"]) == ("online", "Writing")
            await tablet.ask("set_presence", status="busy")
            told = await heard(watching, ada)
            assert (told["status"], told["activity"]) == ("busy", "Writing")
            # Nothing that anybody could see changes with these.
            await tablet.ask("set_presence", status="busy")
            await laptop.ask("set_presence", status="idle", activity="Writing")
            await watching.is_answered()
            devices = {
                device["device_id"]: (device["status"], device["activity"], device["connected"])
                for device in (await presence(ada, ada))["devices"]
            }
            assert devices == {
                ada.device_id: ("offline", "Reading", False),
                laptop.device_id: ("idle", "Writing", True),
                tablet.device_id: ("busy", None, True),
            }
            # Hidden, and then gone.
            await tablet.ask("set_presence", status="offline")
            assert (await heard(watching, ada))["status"] == "idle"
        told = await heard(watching, ada)
        assert (told["status"], told["activity"]) == ("offline", None)
        # What it said stays.
        async with socket(laptop):
            told = await heard(watching, ada)
            assert (told["status"], told["activity"]) == ("idle", "Writing")


@pytest.mark.usefixtures("quick")
async def test_a_device_with_two_sockets_that_closes_one(client: Client) -> None:
    ada = await client.sign_up()
    async with socket(ada):
        async with socket(ada, f"user:{ada.user_id}"):
            await becomes(ada, ada, "online")
        await asyncio.sleep(0.5)
        assert (await presence(ada, ada))["status"] == "online"
    await becomes(ada, ada, "offline")


@pytest.mark.usefixtures("quick")
async def test_who_comes_back_at_once_was_not_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_presence, "GRACE_SECONDS", 2.0)
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    async with audience(grace, conversation_id) as watching:
        async with socket(ada):
            assert (await heard(watching, ada))["status"] == "online"
        for _ in range(5):
            await asyncio.sleep(0.1)
            async with socket(ada):
                await asyncio.sleep(0.1)
        async with socket(ada):
            await asyncio.sleep(2.5)
            await watching.is_answered()


@pytest.mark.usefixtures("quick")
async def test_a_device_that_vanishes_and_one_that_is_slow(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_presence, "PRESENT_SECONDS", 0.5)
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    async with (
        audience(grace, conversation_id) as watching,
        socket(ada) as silent,
    ):
        assert (await heard(watching, ada))["status"] == "online"
        # The socket is open, but nothing comes from it.
        told = await heard(watching, ada)
        assert told["status"] == "offline"
        assert not silent.ws.closed
        await silent.is_answered()
        assert (await heard(watching, ada))["status"] == "online"
        for _ in range(10):
            await asyncio.sleep(0.1)
            await silent.is_answered()
        await watching.is_answered()
    await becomes(grace, ada, "offline")


def test_the_limits_fit_together() -> None:
    slowest = (
        device_presence.PRESENT_SECONDS
        + device_presence.LOOK_SECONDS
        + device_presence.TICK_SECONDS
        + device_presence.SPACING_SECONDS
    )
    assert device_presence.PRESENT_SECONDS > 30 + 5
    assert slowest < 45
    # A server that dies: readers wait 30 seconds, another server looks after it.
    assert 30 + device_presence.BEAT_SECONDS + device_presence.TICK_SECONDS < 45


@pytest.mark.usefixtures("quick")
async def test_heartbeats_are_written_in_batches(
    database: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_presence, "SEEN_SECONDS", 1.0)
    calls: list[int] = []
    async with running_node(database) as node:
        call = node.multiplexer.call

        def counted(statement: Any, parameters: Any, identity: Any) -> Any:
            if statement is RECORD_PRESENCE:
                calls.append(parameters[1].count(b"-") // 4)
            return call(statement, parameters, identity)

        monkeypatch.setattr(node.multiplexer, "call", counted)
        people = [await db.person() for _ in range(20)]
        phones = [await (await node.phone(each)).joined(each.own_device) for each in people]
        await until(lambda: is_connected(db, people, 20))
        came = sum(calls)
        assert came == 20
        assert len(calls) < 20
        written = await db.run("SELECT xmin::text, last_seen FROM roost.device_presence")
        calls.clear()
        for _ in range(30):
            for phone in phones:
                await phone.is_answered()
        # 600 heartbeats, and nobody was told anything; all that is written is when they were seen.
        after = await db.run("SELECT xmin::text, last_seen FROM roost.device_presence")
        assert sum(calls) <= 20 * 2
        if not calls:
            assert after == written

        async def is_seen() -> bool:
            ((oldest,),) = await db.run("SELECT min(last_seen) FROM roost.device_presence")
            return bool(oldest > max(seen for _, seen in written))

        await until(is_seen)


async def is_connected(db: Database, people: list[Person], number: int) -> bool:
    ((found,),) = await db.run(
        "SELECT count(*) FROM roost.current_presence WHERE connected AND user_id = ANY(%s::uuid[])",
        [person.user_id for person in people],
    )
    return bool(found == number)


@pytest.mark.usefixtures("quick")
async def test_one_device_on_two_servers(database: str, db: Database) -> None:
    ada = await db.person()
    async with running_node(database) as here, running_node(database) as there:
        first = await (await here.phone(ada)).joined(ada.own_device)
        second = await (await there.phone(ada)).joined(ada.own_device)
        await until(lambda: counts(db, 2))
        await first.ws.close()
        await until(lambda: counts(db, 1))
        assert await is_connected(db, [ada], 1)
        await second.ws.close()
        await until(lambda: counts(db, 0))
        assert await is_connected(db, [ada], 0)


async def counts(db: Database, number: int) -> bool:
    return await db.run("SELECT count(*) FROM roost.device_connections") == [(number,)]


async def status(db: Database, person: Person) -> str | None:
    rows = await db.run(
        "SELECT status::text FROM roost.user_presence WHERE user_id = %s", person.user_id
    )
    return rows[0][0] if rows else None


async def announced(db: Database, person: Person) -> str | None:
    rows = await db.run(
        "SELECT status::text FROM roost.announced_presence WHERE user_id = %s", person.user_id
    )
    return rows[0][0] if rows else None


@pytest.mark.usefixtures("quick")
async def test_a_server_that_stops_leaves_nobody_online(database: str, db: Database) -> None:
    ada, grace = await db.person(), await db.person()
    conversation_id = await db.conversation(ada, grace)
    async with running_node(database) as there:
        watching = await (await there.phone(grace)).joined(f"conversation:{conversation_id}")
        watching.hears_presence = True
        async with running_node(database) as here:
            await (await here.phone(ada)).joined(ada.own_device)
            while (message := await watching.receive()).payload["payload"][
                "user_id"
            ] != ada.user_id:
                pass
            assert message.payload["payload"]["status"] == "online"
            assert await status(db, ada) == "online"
        assert await status(db, ada) == "offline"
        told = (await watching.receive()).payload["payload"]
        assert (told["user_id"], told["status"]) == (ada.user_id, "offline")
        assert await db.run("SELECT count(*) FROM roost.servers") == [(1,)]
    assert await db.run("SELECT count(*) FROM roost.servers") == [(0,)]


@contextlib.asynccontextmanager
async def process(database: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server in a process of its own, and its address."""
    path = os.pathsep.join((str(REPOSITORY / "server"), os.environ.get("PYTHONPATH", "")))
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "roost",
        "serve",
        env={
            **os.environ,
            "PYTHONPATH": path,
            "DATABASE_URL": database,
            "ROOST_PORT": "0",
            "ROOST_JWT_SECRET": SECRET,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert server.stdout is not None
        async with asyncio.timeout(30):
            while b"http://" not in (line := await server.stdout.readline()):
                assert line, "the server ended"
        address = re.search(rb"http://[0-9.:]+[0-9]", line)
        assert address is not None
        yield server, address.group().decode()
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


@pytest.mark.usefixtures("quick")
@pytest.mark.timeout(120)
async def test_a_server_that_is_killed_leaves_nobody_online(database: str, db: Database) -> None:
    ada, grace = await db.person(), await db.person()
    conversation_id = await db.conversation(ada, grace)
    async with running_node(database) as here:
        watching = await (await here.phone(grace)).joined(f"conversation:{conversation_id}")
        watching.hears_presence = True
        async with (
            process(database) as (server, url),
            here.http.ws_connect(f"{url}/realtime/v1/websocket?vsn=2.0.0") as ws,
        ):
            await Phone(ws, Version.V2, ada).joined(ada.own_device)
            # As the killed server said, in a notification.
            while True:
                told = (await watching.receive()).payload["payload"]
                if told["user_id"] == ada.user_id:
                    break
            assert told["status"] == "online"
            server.send_signal(signal.SIGKILL)
            await server.wait()
        # Half a minute later.
        await db.run("UPDATE roost.servers SET beat_at = beat_at - interval '31 seconds'")
        told = (await watching.receive()).payload["payload"]
        assert (told["user_id"], told["status"]) == (ada.user_id, "offline")
        assert await status(db, ada) == "offline"


@pytest.mark.usefixtures("quick")
async def test_after_a_crash_readers_need_no_server(database: str, db: Database) -> None:
    ada = await db.person()
    async with running_node(database) as node:
        await (await node.phone(ada)).joined(ada.own_device)
        await until(lambda: is_connected(db, [ada], 1))
        rows = await db.run("SELECT session_id, server_id, user_id FROM roost.device_connections")
    # As if it had not said that it stops.
    await db.run("INSERT INTO roost.servers (id) VALUES (%s)", rows[0][1])
    await db.run(
        "INSERT INTO roost.device_connections (session_id, server_id, user_id) VALUES (%s, %s, %s)",
        *rows[0],
    )
    await db.run("UPDATE roost.announced_presence SET status = 'online'")
    assert await status(db, ada) == "online"
    await db.run("UPDATE roost.servers SET beat_at = now() - interval '30 seconds'")
    assert await status(db, ada) == "offline"
    # The next server that starts tells so, and tidies up.
    async with running_node(database):
        await until(lambda: counts(db, 0))
        assert await announced(db, ada) == "offline"
        assert await db.run("SELECT count(*) FROM roost.servers") == [(1,)]


@pytest.mark.usefixtures("quick")
async def test_a_server_that_was_taken_for_dead_begins_anew(database: str, db: Database) -> None:
    ada = await db.person()
    async with running_node(database) as node:
        await (await node.phone(ada)).joined(ada.own_device)
        await until(lambda: is_connected(db, [ada], 1))
        await db.run("DELETE FROM roost.servers")
        assert await status(db, ada) == "offline"
        await until(lambda: is_connected(db, [ada], 1))
        grace = await db.person()
        await db.run("DELETE FROM roost.servers")
        await (await node.phone(grace)).joined(grace.own_device)
        await until(lambda: is_connected(db, [ada, grace], 2))


@pytest.mark.usefixtures("quick")
async def test_a_session_that_moves_to_another_device(client: Client) -> None:
    phone = await client.sign_up("ada@example.com")
    again = await client.sign_in("ada@example.com")
    async with socket(again, f"user:{phone.user_id}"):
        (device,) = (await becomes(phone, phone, "online"))["devices"]
        assert device["device_id"] == again.device_id
        await again.ask(
            "register_device",
            device_name="Phone",
            device_type="phone",
            device_id=phone.device_id,
        )
        # Its access token still names the device that is gone.
        await until(lambda: is_on(phone, phone.device_id))
        assert (await presence(phone, phone))["status"] == "online"
    await becomes(phone, phone, "offline")


async def is_on(person: Client, device_id: str) -> bool:
    devices = (await presence(person, person))["devices"]
    return [each["device_id"] for each in devices if each["connected"]] == [device_id]


@pytest.mark.usefixtures("quick")
async def test_a_device_that_is_held_holds_up_nobody_else(database: str, db: Database) -> None:
    ada, grace = await db.person(), await db.person()
    async with running_node(database) as node, await connect(database) as holder:
        async with holder.transaction():
            await holder.execute(
                "SELECT FROM roost.devices WHERE id = %s FOR UPDATE", [ada.device_id]
            )
            await (await node.phone(ada)).joined(ada.own_device)
            await (await node.phone(grace)).joined(grace.own_device)
            await until(lambda: is_connected(db, [grace], 1))
            assert await status(db, ada) == "offline"
        await until(lambda: is_connected(db, [ada], 1))
        assert await announced(db, ada) == "online"


@pytest.mark.usefixtures("quick")
async def test_what_the_database_refuses_is_written_later(database: str, db: Database) -> None:
    ada = await db.person()
    async with running_node(database) as node:
        await db.run("ALTER TABLE roost.device_connections RENAME TO somewhere")
        phone = await (await node.phone(ada)).joined(ada.own_device)
        await asyncio.sleep(0.3)
        await db.run("ALTER TABLE roost.somewhere RENAME TO device_connections")
        await until(lambda: is_connected(db, [ada], 1))
        await db.run("ALTER TABLE roost.device_connections RENAME TO somewhere")
        await phone.ws.close()
        await asyncio.sleep(0.3)
        await db.run("ALTER TABLE roost.somewhere RENAME TO device_connections")
        await until(lambda: counts(db, 0))


async def test_two_servers_that_each_lose_the_last_but_one(database: str, db: Database) -> None:
    """Neither would find the other's device gone, and nobody would hear of it."""
    ada = await db.person()
    other = replace(ada, device_id=str(uuid.uuid4()), session_id=str(uuid.uuid4()))
    await db.run(
        "INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)", other.device_id, ada.user_id
    )
    await db.session(other)
    servers = [str(uuid.uuid4()) for _ in range(2)]
    record = "SELECT roost.record_presence(%s, ARRAY[%s]::uuid[], ARRAY[%s], ARRAY[0])"
    for server, person in zip(servers, (ada, other), strict=True):
        await db.run("SELECT roost.beat(%s)", server)
        await db.run(record, server, person.session_id, True)
    assert await announced(db, ada) == "online"

    async with await connect(database) as first, await connect(database) as second:
        async with first.transaction():
            await first.execute(record, [servers[0], ada.session_id, False])
            waiting = asyncio.create_task(
                second.execute(record, [servers[1], other.session_id, False])
            )
            await wait_for_lock(db.connection, second.info.backend_pid)
        await waiting
    assert await announced(db, ada) == "offline"


async def test_who_sees_whom(client: Client) -> None:
    ada, grace, outsider = [await client.sign_up() for _ in range(3)]
    conversation_id = await ada.open_conversation(grace)
    ids = sorted([ada.user_id, grace.user_id, outsider.user_id])
    for person, seen in (
        (ada, {ada.user_id, grace.user_id}),
        (grace, {ada.user_id, grace.user_id}),
        (outsider, {outsider.user_id}),
    ):
        answer = await person.ask("get_presence", user_ids=[*ids, str(uuid.uuid4()), ids[0]])
        assert [each["user_id"] for each in answer] == sorted(seen)
        assert [each["user_id"] for each in answer if each["devices"] is not None] == [
            person.user_id
        ]
    listed = await grace.ask("list_presence", conversation_id=conversation_id)
    assert [each["user_id"] for each in listed] == sorted([ada.user_id, grace.user_id])
    for caller, function, arguments, status, code in (
        (outsider, "list_presence", {"conversation_id": conversation_id}, 404, "RO201"),
        (
            ada,
            "list_presence",
            {"conversation_id": conversation_id, "page_size": 201},
            400,
            "RO302",
        ),
        (ada, "get_presence", {"user_ids": [ada.user_id] * 201}, 400, "RO302"),
        (ada, "get_presence", {"user_ids": None}, 400, "RO302"),
        (ada, "set_presence", {"status": "away"}, 400, "22P02"),
        (ada, "set_presence", {"activity": "x" * 201}, 400, "23514"),
        (ada, "set_presence", {"activity": ""}, 400, "23514"),
        (client, "set_presence", {}, 401, "42501"),
        (client, "get_presence", {"user_ids": []}, 401, "42501"),
        (client, "list_presence", {"conversation_id": conversation_id}, 401, "42501"),
    ):
        answer = await caller.call(function, **arguments)
        assert (answer.status, answer.body["code"]) == (status, code), (function, arguments)
        assert answer.body["hint"]

    await ada.ask("remove_participant", conversation_id=conversation_id, user_id=grace.user_id)
    assert await ada.ask("get_presence", user_ids=[grace.user_id]) == []


@pytest.mark.usefixtures("quick")
async def test_it_survives_a_restart(database: str) -> None:
    async with serving(database) as client:
        ada = await client.sign_up("ada@example.com")
        async with socket(ada):
            await becomes(ada, ada, "online")
            await ada.ask("set_presence", status="busy", activity="Writing")
        before = await becomes(ada, ada, "offline")
    async with serving(database) as client:
        ada = replace(ada, url=client.url, http=client.http)
        assert await presence(ada, ada) == before
        assert before["devices"][0]["activity"] == "Writing"
        async with socket(ada):
            assert (await becomes(ada, ada, "busy"))["activity"] == "Writing"


async def test_many_at_once(db: Database, record_property: Callable[[str, object], None]) -> None:
    """A batch as large as one may be, and what it costs; all gone with their server in pieces."""
    number = device_presence.MOST_RECORDED
    await db.run(
        "INSERT INTO roost.users (email, password_hash) SELECT n || '@example.com',"
        " '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g' FROM generate_series(1, %s) AS n",
        number,
    )
    await db.run("INSERT INTO roost.devices (user_id) SELECT id FROM roost.users")
    await db.run(
        "INSERT INTO roost.sessions (user_id, device_id, refresh_token_hash, expires_at)"
        " SELECT user_id, id, sha256(id::text::bytea), now() + interval '1 hour' FROM roost.devices"
    )
    await db.run("ANALYZE")
    server = str(uuid.uuid4())
    await db.run("SET roost.gateway = 'on'")
    await db.run("SELECT roost.beat(%s)", server)
    loop = asyncio.get_running_loop()
    times = {}
    for name in ("come", "seen"):
        started = loop.time()
        ((skipped,),) = await db.run(
            "SELECT roost.record_presence(%s, array_agg(id), array_agg(true), array_agg(0.5))"
            " FROM roost.sessions",
            server,
        )
        times[name] = loop.time() - started
        assert skipped == []
    assert await db.run("SELECT count(*) FROM roost.user_presence WHERE status = 'online'") == [
        (number,)
    ]
    started = loop.time()
    left = [number]
    while left[-1]:
        left += [row for (row,) in await db.run("SELECT roost.forget_servers(%s, 500)", server)]
    times["gone"] = loop.time() - started
    assert left[1:] == [500] * (number // 500 - 1) + [0]
    assert await db.run("SELECT count(*) FROM roost.user_presence WHERE status <> 'offline'") == [
        (0,)
    ]
    assert max(times.values()) < 5, times
    record_property(
        "summary",
        f"{number} devices: " + ", ".join(f"{n} {t * 1e3:.0f} ms" for n, t in times.items()),
    )


async def test_a_device_that_is_gone(client: Client, database: str) -> None:
    ada = await client.sign_up()
    async with await connect(database, "roost_user", uuid.UUID(ada.user_id)) as caller:
        with pytest.raises(psycopg.Error) as refused:
            await caller.execute("SELECT api.set_presence()")
    assert refused.value.sqlstate == "RO302"
    assert "register_device" in (refused.value.diag.message_hint or "")
