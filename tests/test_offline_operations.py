"""The queue of what a device could not do: over HTTP, by one worker and by several at once."""

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from roost.realtime.protocol import Version
from tests.locks import wait_for_lock
from tests.relaying import Phone, join_payload
from tests.serving import Client, serving
from tests.support import connect, runs
from tests.test_cli import ROOST, environment, postmaster, roost

EMAIL = "ada@example.com"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

RUN = "SELECT roost.run_offline_operations(100)"
HOLD = "SELECT FROM roost.sync_devices WHERE device_id = %s FOR UPDATE"


@pytest.fixture
async def ada(client: Client) -> Client:
    return await client.sign_up(EMAIL)


@pytest.fixture
async def laptop(ada: Client) -> Client:
    """The same person on another device."""
    return await ada.sign_in(EMAIL)


@pytest.fixture
async def plans(ada: Client) -> str:
    return await ada.open_conversation()


@pytest.fixture
async def observer(database: str) -> AsyncIterator[Connection]:
    async with await connect(database) as connection:
        yield connection


@asynccontextmanager
async def gateway(database: str) -> AsyncIterator[Connection]:
    """A session like the server's own."""
    async with await connect(database, "roost_gateway") as connection:
        yield connection


def message(conversation_id: str, text: str, /, **operation: Any) -> dict[str, Any]:
    """An operation that sends a message, under a new id."""
    return {
        "id": str(uuid.uuid4()),
        "kind": "send_message",
        "args": {"conversation_id": conversation_id, "content": {"text": text}},
        **operation,
    }


async def enqueue(client: Client, *operations: dict[str, Any]) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = await client.ask("enqueue_operations", operations=operations)
    return answer


async def listed(client: Client, device_id: str | None = None) -> list[dict[str, Any]]:
    """The whole queue of a device, in order."""
    rows: list[dict[str, Any]] = await client.ask(
        "list_offline_operations", page_size=200, device_id=device_id
    )
    return rows[::-1]


async def until(
    client: Client, condition: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """The queue, once it is like this."""
    async with asyncio.timeout(15):
        while not condition(rows := await listed(client)):
            await asyncio.sleep(0.02)
    return rows


def all_are(*statuses: str) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda rows: [row["status"] for row in rows] == list(statuses)


async def texts(client: Client, conversation_id: str) -> list[str]:
    """What was said, in order."""
    rows = await client.ask("list_messages", conversation_id=conversation_id, page_size=200)
    return [row["content"]["text"] for row in sorted(rows, key=lambda row: row["seq"])]


async def answer(connection: Connection, query: str, *arguments: Any) -> Any:
    cursor = await connection.execute(query.encode(), arguments)
    row = await cursor.fetchone()
    return None if row is None else row[0]


def tried(before: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda rows: rows[0]["retry_count"] > before or rows[0]["status"] == "failed"


@asynccontextmanager
async def held(observer: Connection, client: Client) -> AsyncIterator[None]:
    """Meanwhile nobody touches the queue of this device."""
    await client.ask("push_operations", operations=[])
    async with observer.transaction():
        await observer.execute(HOLD, [client.device_id])
        yield


async def blocked_worker(observer: Connection) -> int:
    """The server process of a worker, once it waits for a lock."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE '%%run_offline_operations%%' AND datname = current_database()"
    )
    async with asyncio.timeout(10):
        while (pid := await answer(observer, query)) is None:
            pass
    return int(pid)


async def test_the_server_does_it(ada: Client, laptop: Client, plans: str) -> None:
    """In order, once, and all devices hear of it: as it was called, and as it ended."""
    ws = await laptop.http.ws_connect(f"{laptop.url}/realtime/v1/websocket?vsn=2.0.0")
    phone = Phone(ws, Version.V2, None)
    ref = await phone.send(f"realtime:user:{ada.user_id}", "phx_join", join_payload(laptop.token))
    assert (await phone.reply(ref))["status"] == "ok"
    operations = [message(plans, str(number)) for number in range(30)]
    enqueued = await enqueue(ada, *operations)
    assert [row["id"] for row in enqueued] == [operation["id"] for operation in operations]
    assert {row["status"] for row in enqueued} == {"pending"}
    assert {row["args"] for row in enqueued} == {None}

    completed: list[str] = []
    created: list[str] = []
    progress: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not progress or len(completed) < 30 or len(created) < 30:
            heard = await phone.receive()
            if heard.event != "broadcast":
                continue
            event, payload = heard.payload["event"], heard.payload["payload"]
            if event == "message.created":
                created.append(payload["content"]["text"])
            elif event == "offline_operation.completed":
                completed.append(payload["id"])
                assert payload["result"]["conversation_id"] == plans
            elif event == "sync.progress":
                progress.append(payload)
    assert created == [str(number) for number in range(30)]
    assert completed == [operation["id"] for operation in operations]
    assert progress == [
        {"device_id": ada.device_id, "work": "offline_operations", "done": 30, "total": 30}
    ]
    await ws.close()

    # The message is of the device that has enqueued it.
    rows = await laptop.ask("list_messages", conversation_id=plans)
    assert {row["device_id"] for row in rows} == {ada.device_id}
    on_laptop = await listed(laptop, ada.device_id)
    assert {row["status"] for row in on_laptop} == {"completed"}
    assert {row["args"] for row in on_laptop} == {None}
    assert await listed(laptop) == []


async def test_the_same_twice(ada: Client, laptop: Client, plans: str) -> None:
    one = message(plans, "one")
    (first,) = await enqueue(ada, one)
    (again,) = await enqueue(ada, {**one, "args": dict(reversed(one["args"].items()))})
    assert again["position"] == first["position"]
    await until(ada, all_are("completed"))
    again, twice = await enqueue(ada, one, one)
    assert (again["status"], twice["status"]) == ("completed", "completed")
    for caller, other in ((ada, {**one, "max_retries": 1}), (laptop, one)):
        refused = await caller.call("enqueue_operations", operations=[message(plans, "x"), other])
        assert (refused.status, refused.body["code"]) == (409, "RO301")
        assert refused.body["hint"]
    # To somebody else the id says nothing.
    grace = await ada.sign_up()
    theirs = await grace.open_conversation()
    (row,) = await enqueue(grace, {**message(theirs, "theirs"), "id": one["id"]})
    assert row["status"] == "pending"
    await until(grace, all_are("completed"))
    assert await texts(ada, plans) == ["one"]


async def test_what_is_refused_at_once(ada: Client, plans: str) -> None:
    good = message(plans, "good")
    foreign = await ada.sign_up()
    theirs = message(plans, "theirs", max_retries=0)
    await enqueue(foreign, theirs)
    wrong: Any
    for code, wrong in (
        ("RO302", None),
        ("RO302", []),
        ("RO302", [1]),
        ("RO302", {}),
        ("RO302", [good] * 1001),
        ("RO302", [good, {**good, "id": "one"}]),
        ("RO302", [good, {**good, "id": 1}]),
        ("RO302", [good, {"kind": "drop_table", "args": {}}]),
        ("RO302", [good, {"kind": "send_message"}]),
        ("RO302", [good, {"kind": "send_message", "args": {"text": "x"}}]),
        ("RO302", [good, message(plans, "x", other=1)]),
        ("RO302", [good, message(plans, "x", max_retries=21)]),
        ("RO302", [good, message(plans, "x", max_retries=-1)]),
        ("RO302", [good, message(plans, "x", depends_on=[1])]),
        ("RO302", [good, message(plans, "x", depends_on=[str(uuid.uuid4())])]),
        ("RO302", [good, message(plans, "x", depends_on=[theirs["id"]])]),
        ("RO302", [message(plans, "x", depends_on=[good["id"]]), good]),
        ("RO302", [good, message(plans, "x" * 600_000)]),
        ("22P02", [good, {"kind": "edit_message", "args": {"message_id": "1"}}]),
        ("22007", [good, message(plans, "x", queued_at="yesterday evening")]),
    ):
        refused = await ada.call("enqueue_operations", operations=wrong)
        assert (refused.status, refused.body["code"]) == (400, code), (wrong, refused)
        assert refused.body["hint"]
    assert await listed(ada) == []
    assert (await ada.call("process_offline_operations", most=0)).body["code"] == "RO302"


async def test_one_that_fails_is_tried_again_and_blocks_nobody(
    ada: Client, plans: str, observer: Connection
) -> None:
    grace = await ada.sign_up()
    theirs = await grace.open_conversation()
    bad = message(theirs, "not mine", max_retries=1)
    child = message(plans, "child", depends_on=[bad["id"]])
    await enqueue(ada, bad, message(plans, "good"), child)
    rows = await until(ada, lambda rows: rows[0]["retry_count"] == 1)
    assert (rows[0]["status"], rows[0]["code"]) == ("pending", "RO201")
    delay = await answer(
        observer,
        "SELECT extract(EPOCH FROM next_attempt_at - clock_timestamp())::float"
        " FROM roost.offline_operations WHERE id = %s",
        bad["id"],
    )
    assert delay < 1.5
    rows = await until(ada, all_are("failed", "completed", "pending"))
    assert rows[0]["message"]
    assert rows[0]["hint"]
    # It waits for as long as the one that it depends on may be retried.
    assert rows[2]["next_attempt_at"] is None
    failed = await answer(
        observer,
        "SELECT count(*) FROM realtime.events WHERE topic = %s"
        " AND event = 'offline_operation.failed'",
        f"user:{ada.user_id}",
    )
    assert failed == 1

    await grace.ask("add_participant", conversation_id=theirs, user_id=ada.user_id)
    retried = await ada.ask("retry_operation", operation_id=bad["id"])
    assert (retried["status"], retried["retry_count"]) == ("pending", 0)
    await until(ada, all_are("completed", "completed", "completed"))
    assert await texts(grace, theirs) == ["not mine"]
    assert await texts(ada, plans) == ["good", "child"]
    refused = await ada.call("retry_operation", operation_id=bad["id"])
    assert (refused.status, refused.body["code"]) == (409, "RO303")


async def test_the_backoff_doubles(ada: Client, database: str, observer: Connection) -> None:
    gone = str(uuid.uuid4())
    await enqueue(ada, message(gone, "x", max_retries=10))
    for number in range(11):
        async with observer.transaction():
            await observer.execute(HOLD, [ada.device_id])
            await observer.execute(
                "UPDATE roost.offline_operations SET next_attempt_at = now(), retry_count = %s",
                [number],
            )
            await observer.execute("UPDATE roost.sync_devices SET offline_due_at = now()")
        async with gateway(database) as worker:
            await worker.execute(RUN)
        await until(ada, tried(number))
        seconds = await answer(
            observer,
            "SELECT extract(EPOCH FROM next_attempt_at - clock_timestamp())::float"
            " FROM roost.offline_operations",
        )
        if number < 10:
            longest = min(2**number, 300)
            assert 0.5 * longest - 1 < seconds < 1.5 * longest
    await until(ada, all_are("failed"))


async def test_dependencies_and_discarding(
    ada: Client, laptop: Client, observer: Connection
) -> None:
    """What it names, and is yet to be made, it waits for without saying so."""
    plans, hello = str(uuid.uuid4()), str(uuid.uuid4())
    make = {"id": str(uuid.uuid4()), "kind": "create_conversation", "args": {"id": plans}}
    say = message(plans, "hello")
    say["args"]["id"] = hello
    react = {"kind": "add_reaction", "args": {"message_id": hello, "reaction": "ok"}}
    rows = await enqueue(ada, make, say, react)
    assert [row["depends_on"] for row in rows] == [[], [make["id"]], [say["id"]]]
    await until(ada, all_are("completed", "completed", "completed"))

    gone = str(uuid.uuid4())
    bad = message(gone, "x", max_retries=0)
    child = message(plans, "child", depends_on=[bad["id"]])
    grandchild = message(plans, "grandchild", depends_on=[child["id"]])
    await enqueue(ada, bad, child, grandchild)
    done = ["completed"] * 3
    await until(ada, all_are(*done, "failed", "pending", "pending"))
    discarded = await laptop.ask("discard_operation", operation_id=bad["id"])
    assert discarded["status"] == "discarded"
    rows = await listed(ada)
    assert [row["status"] for row in rows[3:]] == ["discarded", "failed", "pending"]
    assert (rows[4]["code"], rows[3]["args"]) == ("RO306", None)
    refused = await ada.call("retry_operation", operation_id=child["id"])
    assert (refused.status, refused.body["code"]) == (409, "RO306")
    assert (await ada.call("retry_operation", operation_id=bad["id"])).body["code"] == "RO303"
    assert (await ada.ask("discard_operation", operation_id=bad["id"]))["status"] == "discarded"
    refused = await ada.call(
        "enqueue_operations", operations=[message(plans, "late", depends_on=[bad["id"]])]
    )
    assert (refused.status, refused.body["code"]) == (409, "RO306")
    grace = await ada.sign_up()
    for function in ("retry_operation", "discard_operation"):
        refused = await grace.call(function, operation_id=grandchild["id"])
        assert (refused.status, refused.body["code"]) == (404, "RO201")
    events = await observer.execute(
        "SELECT event FROM realtime.events WHERE topic = %s"
        " AND event LIKE 'offline_operation.%%' ORDER BY event_offset",
        [f"user:{ada.user_id}"],
    )
    assert [row[0].partition(".")[2] for row in await events.fetchall()] == [
        *done,
        *("failed", "discarded", "failed"),
    ]


async def test_conflicts(ada: Client, laptop: Client, plans: str) -> None:
    """The policies of operations hold in the queue too."""
    said = await ada.ask("send_message", conversation_id=plans, content={"text": "one"})
    await laptop.ask(
        "edit_message", message_id=said["id"], content={"text": "two"}, based_on_version=1
    )
    edit = {
        "id": str(uuid.uuid4()),
        "kind": "edit_message",
        "args": {"message_id": said["id"], "content": {"text": "three"}},
        "base_version": 1,
        "policy": "manual",
    }
    # Goes on from an edit that is not applied.
    after = {**edit, "id": str(uuid.uuid4()), "base_version": 2, "max_retries": 0}
    after["args"] = {"message_id": said["id"], "content": {"text": "four"}}
    rows = await enqueue(ada, edit, after)
    assert rows[1]["depends_on"] == [edit["id"]]
    rows = await until(ada, all_are("completed", "failed"))
    assert (rows[0]["code"], rows[1]["code"]) == ("RO303", "RO306")
    (conflict,) = await laptop.ask("list_conflicts")
    assert conflict["id"] == rows[0]["conflict_id"]
    assert (conflict["operation_id"], conflict["offline_operation_id"]) == (None, edit["id"])
    await laptop.ask("resolve_conflict", conflict_id=conflict["id"], strategy="mine")
    assert await texts(ada, plans) == ["three"]


async def test_two_workers_share_the_devices(
    ada: Client, laptop: Client, plans: str, database: str, observer: Connection
) -> None:
    """Each device has one at a time; each operation is done once, those of a device in order."""
    people = [ada, laptop, await ada.sign_in(EMAIL)]
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(gateway(database)) for _ in range(4)]
        for number, person in enumerate(people):
            await enqueue(person, *(message(plans, f"{number} {n}") for n in range(100)))

        async def work(worker: Connection) -> int:
            done = 0
            async with asyncio.timeout(30):
                while some := await answer(worker, "SELECT roost.run_offline_operations(7)"):
                    done += some
            return done

        await asyncio.gather(*map(work, workers))
        for person in people:
            await until(person, all_are(*["completed"] * 100))
    cursor = await observer.execute("SELECT content ->> 'text' FROM roost.messages ORDER BY seq")
    said = [row[0] for row in await cursor.fetchall()]
    for number in range(3):
        of_device = [text for text in said if text.startswith(f"{number} ")]
        assert of_device == [f"{number} {n}" for n in range(100)]


async def test_who_sends_or_works_keeps_its_device_alone(
    ada: Client, laptop: Client, plans: str, database: str, observer: Connection
) -> None:
    async with held(observer, ada):
        # Enqueueing waits for the same row, and so does what is pushed.
        push = asyncio.create_task(
            ada.ask("push_operations", operations=[{**message(plans, "pushed"), "id": 1}])
        )
        added = asyncio.create_task(enqueue(ada, message(plans, "late")))
        await enqueue(laptop, message(plans, "laptop"))
        await until(laptop, all_are("completed"))
        assert not push.done()
        assert not added.done()
    await asyncio.gather(push, added)
    await until(ada, all_are("completed"))

    # While one works on a device, another one finds nothing, and a push of the device waits.
    async with (
        gateway(database) as second,
        await connect(database) as pushing,
        await connect(database) as blocker,
    ):
        async with blocker.transaction():
            await blocker.execute(
                "SELECT FROM roost.conversations WHERE id = %s FOR UPDATE", [plans]
            )
            await enqueue(ada, message(plans, "slow"))
            await blocked_worker(observer)
            assert await answer(second, RUN) == 0
            waiting = asyncio.create_task(pushing.execute(HOLD, [ada.device_id]))
            await wait_for_lock(observer, pushing.info.backend_pid)
        await waiting
        await pushing.rollback()
    await until(ada, all_are("completed", "completed"))
    assert sorted(await texts(ada, plans)) == ["laptop", "late", "pushed", "slow"]


async def test_a_worker_that_dies_loses_and_doubles_nothing(
    ada: Client, plans: str, database: str, observer: Connection
) -> None:
    async with await connect(database) as blocker, blocker.transaction():
        # The second of three has to wait, behind the first that is done.
        other = await ada.open_conversation()
        await blocker.execute("SELECT FROM roost.conversations WHERE id = %s FOR UPDATE", [other])
        await enqueue(ada, message(plans, "one"), message(other, "two"), message(plans, "three"))
        pid = await blocked_worker(observer)
        await observer.execute("SELECT pg_terminate_backend(%s)", [pid])
        async with asyncio.timeout(10):
            while await answer(
                observer, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid
            ):
                pass
        assert await texts(ada, plans) == []
    await until(ada, all_are("completed", "completed", "completed"))
    assert await texts(ada, plans) == ["one", "three"]
    assert await texts(ada, other) == ["two"]


async def test_a_revoked_device_and_an_inactive_person(
    ada: Client, laptop: Client, plans: str, observer: Connection
) -> None:
    """What is still to be tried again is not."""
    for person, command, ended in (
        (ada, None, "discarded RO202"),
        (laptop, "UPDATE roost.users SET status = 'suspended'", "failed RO103"),
    ):
        theirs = str(uuid.uuid4())
        bad = message(theirs, "lost", max_retries=20)
        await enqueue(person, bad, message(plans, "waits", depends_on=[bad["id"]]))
        await until(person, lambda rows: rows[0]["retry_count"] > 0)
        if command is None:
            await laptop.ask("revoke_device", device_id=person.device_id)
        else:
            await observer.execute(command.encode())
        query = (
            "SELECT string_agg(DISTINCT concat(status, ' ', code, ' ', hint IS NOT NULL), ',')"
            " FROM roost.offline_operations WHERE device_id = %s"
        )
        async with asyncio.timeout(15):
            while await answer(observer, query, person.device_id) != f"{ended} t":
                await asyncio.sleep(0.02)
    assert await answer(observer, "SELECT count(*) FROM roost.messages") == 0


async def test_messages_that_are_gone_for_good(
    ada: Client, plans: str, observer: Connection
) -> None:
    """Nothing of what was to be written into them is left in the queue."""
    said = await ada.ask("send_message", conversation_id=plans, content={"text": "one"})
    edit = {
        "id": str(uuid.uuid4()),
        "kind": "edit_message",
        "args": {"message_id": said["id"], "content": {"text": "secret"}},
        "base": {"content": {"text": "secret"}},
        "max_retries": 0,
    }
    bad = message(str(uuid.uuid4()), "x", max_retries=0)
    await enqueue(ada, bad, {**edit, "depends_on": [bad["id"]]})
    await until(ada, all_are("failed", "pending"))
    await ada.ask("purge_message", message_id=said["id"])
    assert not await answer(
        observer,
        "SELECT count(*) FROM roost.offline_operations AS o WHERE o::text LIKE '%%secret%%'",
    )


@asynccontextmanager
async def working(database: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `roost worker`."""
    process = await asyncio.create_subprocess_exec(
        *ROOST,
        "worker",
        env=environment({"DATABASE_URL": database, **variables}),
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert (await process.stdout.readline()).startswith(b"Roost works.")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_worker_alone(database: str, observer: Connection) -> None:
    """It does what is due without a server, tells servers, and finishes its batch at the end."""
    async with serving(database) as client:
        ada = await client.sign_up(EMAIL)
        plans = await ada.open_conversation()
    whose = (observer, ada.user_id, ada.device_id)
    await enqueue_unserved(*whose, message(plans, "one"), message(plans, "two"))
    pending = "SELECT count(*) FROM roost.offline_operations WHERE status = 'pending'"
    async with working(database) as process:
        async with asyncio.timeout(15):
            while await answer(observer, pending):
                await asyncio.sleep(0.02)

        # A batch that waits for a lock is finished.
        async with await connect(database) as blocker, blocker.transaction():
            await blocker.execute(
                "SELECT FROM roost.conversations WHERE id = %s FOR UPDATE", [plans]
            )
            await enqueue_unserved(*whose, message(plans, "three"))
            pid = await blocked_worker(observer)
            await wait_for_lock(observer, pid)
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    cursor = await observer.execute("SELECT content ->> 'text' FROM roost.messages ORDER BY seq")
    said = [row[0] for row in await cursor.fetchall()]
    assert said[:2] == ["one", "two"]
    assert await answer(observer, pending) == (0 if said[2:] == ["three"] else 1)


async def enqueue_unserved(
    observer: Connection, user_id: str, device_id: str, *operations: dict[str, Any]
) -> None:
    """As a device would, while nobody serves."""
    async with observer.transaction():
        await observer.execute(
            "SELECT set_config('roost.user_id', %s, true), set_config('roost.device_id', %s, true)",
            [user_id, device_id],
        )
        await observer.execute(
            "SELECT count(*) FROM api.enqueue_operations(%s::jsonb)", [json.dumps(operations)]
        )


async def test_a_second_signal_ends_a_worker_at_once(database: str, observer: Connection) -> None:
    """The batch under way is rolled back, and done another time."""
    async with serving(database) as client:
        ada = await client.sign_up(EMAIL)
        plans = await ada.open_conversation()
    await observer.execute(
        "CREATE FUNCTION public.take_long() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_sleep(8); RETURN NEW; END'"
    )
    await observer.execute(
        "CREATE TRIGGER take_long BEFORE INSERT ON roost.messages"
        " FOR EACH ROW EXECUTE FUNCTION public.take_long()"
    )
    await enqueue_unserved(observer, ada.user_id, ada.device_id, message(plans, "slow"))
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        " AND datname = current_database()"
    )
    async with working(database) as process:
        async with asyncio.timeout(10):
            while await answer(observer, sleeping) == 0:
                pass
        process.send_signal(signal.SIGTERM)
        # It goes on with its batch.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await process.wait()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(4):
            assert await process.wait() == 0
    async with asyncio.timeout(10):
        while await answer(observer, sleeping):
            pass
    assert await answer(observer, "SELECT status FROM roost.offline_operations") == "pending"
    assert await answer(observer, "SELECT count(*) FROM roost.messages") == 0


async def test_a_worker_of_an_embedded_database(folder: Path) -> None:
    """Where no DATABASE_URL is set it runs the folder's own, and ends it."""
    person, device = str(uuid.uuid4()), str(uuid.uuid4())
    refused = roost("worker", cwd=folder)
    assert (refused.returncode, "roost migrate" in refused.stderr) == (1, True)
    assert roost("migrate", cwd=folder).returncode == 0
    process = await asyncio.create_subprocess_exec(
        *ROOST, "worker", cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=sys.stderr
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while not (await process.stdout.readline()).startswith(b"Roost works."):
                pass
        pid = postmaster(folder)
        async with await connect(EmbeddedPostgres(folder / ".roost").conninfo()) as observer:
            await observer.execute(
                "INSERT INTO roost.users (id, email, password_hash)"
                " VALUES (%s, 'ada@example.com', '$argon2id$v=19$m=8,t=1,p=1$c2E$aGE')",
                [person],
            )
            await observer.execute(
                "INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)", [device, person]
            )
            operation = {
                "id": str(uuid.uuid4()),
                "kind": "update_me",
                "args": {"display_name": "Ada"},
            }
            await enqueue_unserved(observer, person, device, operation)
            async with asyncio.timeout(15):
                while await answer(observer, "SELECT display_name FROM roost.users") != "Ada":
                    await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        assert not runs(pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_worker_tells_the_servers(ada: Client, plans: str, observer: Connection) -> None:
    """What another process has done is heard here at once."""
    async with held(observer, ada):
        ws = await ada.http.ws_connect(f"{ada.url}/realtime/v1/websocket?vsn=2.0.0")
        phone = Phone(ws, Version.V2, None)
        ref = await phone.send(f"realtime:user:{ada.user_id}", "phx_join", join_payload(ada.token))
        assert (await phone.reply(ref))["status"] == "ok"
    async with working(observer.info.dsn):
        await enqueue(ada, message(plans, "one"))
        heard = []
        while "offline_operation.completed" not in heard:
            received = await phone.receive()
            if received.event == "broadcast":
                heard.append(received.payload["event"])
    await ws.close()


async def test_a_worker_without_a_database(empty_database: str) -> None:
    for url, words in (
        ("postgresql://somebody@127.0.0.1:1/roost", "Check DATABASE_URL"),
        (empty_database, "roost migrate"),
    ):
        process = await asyncio.create_subprocess_exec(
            *ROOST,
            "worker",
            env=environment({"DATABASE_URL": url}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _, errors = await process.communicate()
        assert process.returncode == 1
        assert words in errors.decode()
        assert len(errors.decode().splitlines()) == 1
