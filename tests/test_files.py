"""Files of workspaces over HTTP and sockets: who hears what, devices that keep in step, and who
waits for whom.
"""

import asyncio
import hashlib
import uuid
from typing import Any

import psycopg
import pytest

from tests.locks import wait_for_lock
from tests.serving import Client
from tests.support import connect
from tests.syncing import JSON, SyncedDevice, is_in_step
from tests.test_sync import session_of
from tests.test_workspaces import heard, join, phone_of, refused, workspace_of

EMAIL = "ada@example.com"
BASE = "one\ntwo\nthree\nfour\nfive\n"
TOP = BASE.replace("one", "ONE")
END = BASE.replace("five", "FIVE")


async def store(database: str, workspace_id: str, text: str) -> str:
    """Makes a content of a workspace, as an upload does, and answers its hash."""
    async with await connect(database) as connection:
        await connection.execute(
            "SELECT roost.store_content(%s, %s)", [workspace_id, text.encode()]
        )
    return hashlib.sha256(text.encode()).hexdigest()


async def put(
    database: str, person: Client, workspace_id: str, path: str, text: str, **more: Any
) -> JSON:
    outcome: JSON = await person.ask(
        "put_file_state",
        workspace_id=workspace_id,
        path=path,
        hash=await store(database, workspace_id, text),
        **more,
    )
    return outcome


async def paths(person: Client, workspace_id: str) -> list[str]:
    files = await person.ask("list_files", workspace_id=workspace_id, prefix="", page_size=1000)
    return [file["path"] for file in files]


async def text_of(database: str, file: JSON) -> str:
    async with await connect(database) as connection:
        cursor = await connection.execute(
            "SELECT roost.read_content_text(content_id, 1000000)"
            " FROM roost.file_sync_state WHERE id = %s",
            [file["id"]],
        )
        row = await cursor.fetchone()
    assert row is not None
    text: str = row[0]
    return text


async def test_a_workspace_hears_of_its_files(client: Client, database: str) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    workspace_id = await workspace_of(ada, "/x", grace)
    at, topic = {"workspace_id": workspace_id}, f"workspace:{workspace_id}"
    async with phone_of(grace) as phone:
        assert (await join(phone, grace, topic))["status"] == "ok"
        made = await put(database, ada, workspace_id, "src/a.txt", BASE, media_type="text/plain")
        assert heard(told := await phone.events(2)) == {(None, "file.created")}
        assert (
            told[1]["payload"]
            == made["file"]
            == await grace.ask("get_file", **at, path="src/a.txt")
        )
        assert told[1]["meta"]["offset"] == made["file"]["change_seq"]
        await put(database, ada, workspace_id, "src/a.txt", TOP, base_version=1)
        (src,) = await grace.ask("list_files", **at)
        await ada.ask("move_file", file_id=src["id"], path="lib")
        await put(database, ada, workspace_id, "lib/a.txt", "other", base_version=1)
        await ada.ask("delete_file", file_id=src["id"])
        await ada.ask("restore_file", file_id=src["id"])
        told = await phone.events(6)
        assert [event["event"] for event in told] == [
            "file.updated",
            "file.moved",
            "file.created",
            "file.conflict",
            "file.deleted",
            "file.restored",
        ]
        assert told[1]["payload"]["from_path"] == "src"
        assert told[3]["payload"]["copy"] == told[2]["payload"]
        await phone.is_answered()
    assert await refused(grace, "put_file_state", **at, path="x", hash="0" * 64) == (403, "RO202")
    assert await refused(ada, "put_file_state", **at, path="x", hash="0" * 64) == (409, "RO311")
    assert await refused(ada, "make_folder", **at, path="LIB") == (409, "RO310")
    assert await refused(ada, "make_folder", **at, path="a/../b") == (400, "RO302")


async def test_a_device_that_was_away_keeps_its_files_in_step(
    client: Client, database: str
) -> None:
    ada = await client.sign_up(EMAIL)
    tablet = SyncedDevice(await client.sign_in(EMAIL))
    workspace_id = await workspace_of(ada, "/x")
    scope = f"workspace:{workspace_id}"
    for path in ("a/1", "a/2", "b/3", "c"):
        await put(database, ada, workspace_id, path, BASE)
    await tablet.catch_up()
    await is_in_step(tablet)
    ids = {
        file["path"]: file["id"]
        for file in await ada.ask("list_files", workspace_id=workspace_id, prefix="")
    }
    await ada.ask("move_file", file_id=ids["a"], path="b/a")
    await put(database, ada, workspace_id, "b/a/1", TOP)
    await ada.ask("delete_file", file_id=ids["c"])
    page = await tablet.pull()
    await tablet.acknowledge()
    assert {
        (change["id"], change["op"]) for change in page["changes"] if change["kind"] == "file"
    } == {
        (ids["a"], "put"),
        (ids["a/1"], "put"),
        (ids["c"], "remove"),
    }
    await is_in_step(tablet)
    # With a folder all that is in it is gone, and is there again when it is.
    await ada.ask("delete_file", file_id=ids["b"])
    fresh = SyncedDevice(await client.sign_in(EMAIL))
    for device in (tablet, fresh):
        await device.catch_up(limit=1)
        await is_in_step(device)
    await ada.ask("restore_file", file_id=ids["b"])
    for device in (tablet, fresh):
        await device.catch_up()
        await is_in_step(device)
        assert len([thing for thing in device.scopes[scope].things if thing[0] == "file"]) == 5


async def test_a_device_that_was_away_for_longer_reads_all_anew(
    client: Client, database: str
) -> None:
    ada = await client.sign_up(EMAIL)
    workspace_id = await workspace_of(ada, "/x")
    for path in ("a/1", "b"):
        await put(database, ada, workspace_id, path, BASE)
    tablet, phone = [SyncedDevice(await client.sign_in(EMAIL)) for _ in range(2)]
    for device in (tablet, phone):
        await device.catch_up()
    folder = await ada.ask("get_file", workspace_id=workspace_id, path="a")
    await ada.ask("delete_file", file_id=folder["id"])
    await phone.catch_up()
    async with await connect(database) as connection:
        for days in (31, 38):
            await connection.execute(
                "UPDATE roost.file_sync_state SET deleted_at = now() - %s * interval '1 day'"
                " WHERE deleted_at IS NOT NULL",
                [days],
            )
            while True:
                cursor = await connection.execute("SELECT roost.expire_files(100)")
                if await cursor.fetchone() == (0,):
                    break
    for device in (tablet, phone):
        pages = await device.catch_up()
        assert "reset" in {change["op"] for page in pages for change in page["changes"]}
        await is_in_step(device)
    assert await paths(ada, workspace_id) == ["b"]


async def test_files_that_were_changed_offline(client: Client, database: str) -> None:
    ada = await client.sign_up(EMAIL)
    laptop = await client.sign_in(EMAIL)
    workspace_id = await workspace_of(ada, "/x")
    at = {"workspace_id": workspace_id}
    one = await put(database, ada, workspace_id, "a.txt", BASE)
    file_id = one["file"]["id"]
    await put(database, laptop, workspace_id, "a.txt", TOP, base_version=1)
    other = await store(database, workspace_id, "other")
    operations: list[JSON] = [
        {
            "id": 1,
            "kind": "put_file_state",
            "args": {**at, "path": "a.txt", "hash": await store(database, workspace_id, END)},
            "base_version": 1,
        },
        {
            "id": 2,
            "kind": "put_file_state",
            "args": {**at, "path": "a.txt", "hash": other},
            "base_version": 1,
        },
        {"id": 3, "kind": "make_folder", "args": {**at, "path": "d"}},
        {"id": 4, "kind": "move_file", "args": {"file_id": file_id, "path": "d/a.txt"}},
        {"id": 5, "kind": "copy_file", "args": {"file_id": file_id, "path": "d/b.txt"}},
        {"id": 6, "kind": "delete_file", "args": {"file_id": file_id}, "base_version": 1},
        {"id": 7, "kind": "delete_file", "args": {"file_id": file_id, "base_version": 3}},
        {"id": 8, "kind": "restore_file", "args": {"file_id": file_id}},
        {"id": 9, "kind": "put_file_state", "args": {**at, "path": "x", "hash": "0" * 64}},
    ]
    answers = await ada.ask("push_operations", operations=operations)
    assert [(answer["outcome"], answer["code"]) for answer in answers] == [
        ("applied", None),
        ("conflict", "RO303"),
        ("applied", None),
        ("applied", None),
        ("applied", None),
        ("rejected", "RO303"),
        ("applied", None),
        ("applied", None),
        ("rejected", "RO311"),
    ]
    assert answers[0]["result"]["outcome"] == "merged"
    again = await ada.ask("push_operations", operations=operations)
    assert {answer["outcome"] for answer in again} == {"duplicate"}
    (conflict,) = await ada.ask("list_conflicts")
    assert (conflict["target_kind"], conflict["operation_id"]) == ("file", 2)
    assert conflict["id"] == answers[1]["conflict_id"]
    assert [path for path in await paths(ada, workspace_id) if "conflict" not in path] == [
        "d",
        "d/a.txt",
        "d/b.txt",
    ]
    # Decided on another device.
    resolved = await laptop.ask("resolve_conflict", conflict_id=conflict["id"], strategy="mine")
    assert resolved["state"] == "resolved"
    assert await paths(ada, workspace_id) == ["d", "d/a.txt", "d/b.txt"]
    file = await ada.ask("get_file", file_id=file_id)
    assert (await text_of(database, file), file["sync_status"]) == ("other", "synced")
    versions = await ada.ask("list_file_versions", file_id=file_id)
    assert [version["version"] for version in versions] == [4, 3, 2, 1]
    device = SyncedDevice(laptop)
    await device.catch_up()
    await is_in_step(device)


async def test_a_conflict_is_told_to_the_persons_devices(client: Client, database: str) -> None:
    ada = await client.sign_up(EMAIL)
    workspace_id = await workspace_of(ada, "/x")
    async with phone_of(ada) as phone:
        assert (await join(phone, ada, f"user:{ada.user_id}"))["status"] == "ok"
        await put(database, ada, workspace_id, "a.bin", "1")
        await put(database, ada, workspace_id, "a.bin", "2", base_version=1)
        outcome = await put(database, ada, workspace_id, "a.bin", "3", base_version=0)
        assert outcome["outcome"] == "conflict"
        told = await phone.events(5)
        assert [event["event"] for event in told if "topic" not in event["meta"]] == [
            "conflict.opened"
        ]
        again = await put(database, ada, workspace_id, "a.bin", "3", base_version=0)
        assert again["conflict_id"] == outcome["conflict_id"]
        await ada.ask("resolve_conflict", conflict_id=outcome["conflict_id"], strategy="theirs")
        told = await phone.events(3)
        assert {event["event"] for event in told} == {
            "file.updated",
            "file.deleted",
            "conflict.resolved",
        }
        await phone.is_answered()
    assert await paths(ada, workspace_id) == ["a.bin"]


async def in_turn(
    database: str, person: Client, first: tuple[str, list[Any]], second: tuple[str, list[Any]]
) -> str | None:
    """The SQLSTATE of what comes second, which waits until the first has committed."""
    async with (
        await connect(database) as observer,
        session_of(database, person) as one,
        session_of(database, person) as two,
    ):
        async with one.transaction():
            await one.execute(*first)
            waiting = asyncio.create_task(two.execute(*second))
            await wait_for_lock(observer, two.info.backend_pid)
        try:
            await waiting
        except psycopg.Error as error:
            return error.sqlstate
        return None


def putting(
    workspace_id: str, path: str, text: str, base_version: int | None
) -> tuple[str, list[Any]]:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return (
        "SELECT api.put_file_state(%s, %s, %s, base_version => %s)",
        [workspace_id, path, digest, base_version],
    )


async def test_two_devices_write_the_same_path(client: Client, database: str) -> None:
    ada = await client.sign_up()
    workspace_id = await workspace_of(ada, "/x")
    for text in (BASE, TOP, END, "other"):
        await store(database, workspace_id, text)
    # A new one: of both something is there.
    calls = [putting(workspace_id, "d/a.txt", text, 0) for text in (BASE, "other")]
    assert await in_turn(database, ada, calls[0], calls[1]) is None
    names = await paths(ada, workspace_id)
    assert len(names) == 3
    assert "conflict" in names[1]
    # An edit of other lines is merged, an edit of the same is kept beside it.
    calls = [putting(workspace_id, "d/a.txt", text, 1) for text in (TOP, END, "other")]
    assert await in_turn(database, ada, calls[0], calls[1]) is None
    file = await ada.ask("get_file", workspace_id=workspace_id, path="d/a.txt")
    assert await text_of(database, file) == TOP.replace("five", "FIVE")
    assert file["version"] == 3
    # The same name in other capitals.
    calls = [putting(workspace_id, path, BASE, 0) for path in ("e.txt", "E.txt")]
    assert await in_turn(database, ada, calls[0], calls[1]) == "RO310"


MOVE = "SELECT api.move_file(%s, folder_id => %s)"
DELETE = "SELECT api.delete_file(%s, %s)"


async def test_two_moves_make_no_circle(client: Client, database: str) -> None:
    ada = await client.sign_up()
    workspace_id = await workspace_of(ada, "/x")
    a, b = [
        (await ada.ask("make_folder", workspace_id=workspace_id, path=path))["id"]
        for path in ("a", "b")
    ]
    assert await in_turn(database, ada, (MOVE, [a, b]), (MOVE, [b, a])) == "RO302"
    assert await paths(ada, workspace_id) == ["b", "b/a"]


@pytest.mark.parametrize("first", ["delete", "edit"])
async def test_a_deletion_does_not_beat_an_edit(client: Client, database: str, first: str) -> None:
    ada = await client.sign_up()
    workspace_id = await workspace_of(ada, "/x")
    file = (await put(database, ada, workspace_id, "a.txt", BASE))["file"]
    await store(database, workspace_id, TOP)
    calls = {
        "delete": (DELETE, [file["id"], 1]),
        "edit": putting(workspace_id, "a.txt", TOP, 1),
    }
    (second,) = calls.keys() - {first}
    code = await in_turn(database, ada, calls[first], calls[second])
    assert code == (None if first == "delete" else "RO303")
    now = await ada.ask("get_file", file_id=file["id"])
    assert (now["path"], await text_of(database, now)) == ("a.txt", TOP)


@pytest.mark.parametrize("first", ["delete", "move"])
async def test_a_move_meets_a_deletion(client: Client, database: str, first: str) -> None:
    ada = await client.sign_up()
    workspace_id = await workspace_of(ada, "/x")
    file = (await put(database, ada, workspace_id, "a.txt", BASE))["file"]
    folder = (await ada.ask("make_folder", workspace_id=workspace_id, path="d"))["id"]
    # Of the file itself.
    calls = {"delete": (DELETE, [file["id"], 1]), "move": (MOVE, [file["id"], folder])}
    (second,) = calls.keys() - {first}
    code = await in_turn(database, ada, calls[first], calls[second])
    assert code == ("RO201" if first == "delete" else None)
    assert await paths(ada, workspace_id) == ["d"]
    # Of the folder that it is moved to.
    file = (await put(database, ada, workspace_id, "b.txt", BASE))["file"]
    calls = {"delete": (DELETE, [folder, None]), "move": (MOVE, [file["id"], folder])}
    code = await in_turn(database, ada, calls[first], calls[second])
    assert code == ("RO201" if first == "delete" else None)
    assert await paths(ada, workspace_id) == (["b.txt"] if first == "delete" else [])


async def test_a_conflict_is_decided_once(client: Client, database: str) -> None:
    """Also by an editor, who may not lock the workspace by themselves."""
    ada, grace = await client.sign_up(), await client.sign_up()
    workspace_id = await workspace_of(ada, "/x")
    await ada.ask(
        "add_workspace_member", workspace_id=workspace_id, user_id=grace.user_id, role="editor"
    )
    await put(database, grace, workspace_id, "a.txt", "1")
    outcome = await put(database, grace, workspace_id, "a.txt", "2", base_version=0)
    call = ("SELECT api.resolve_conflict(%s, 'mine')", [outcome["conflict_id"]])
    assert await in_turn(database, grace, call, call) is None
    file = await ada.ask("get_file", workspace_id=workspace_id, path="a.txt")
    assert (file["version"], await text_of(database, file)) == (2, "2")
    assert await paths(ada, workspace_id) == ["a.txt"]


async def test_a_content_that_goes_is_not_named(client: Client, database: str) -> None:
    """The last version that it was in goes while somebody puts it into another file."""
    ada = await client.sign_up()
    workspace_id = await workspace_of(ada, "/x")
    for text in ("1", "2"):
        await put(database, ada, workspace_id, "a.txt", text)
    async with await connect(database) as connection:
        await connection.execute(
            "UPDATE roost.file_versions SET expires_at = now() - interval '1 second'"
            " WHERE version = 1"
        )
    async with (
        await connect(database) as observer,
        await connect(database) as job,
        session_of(database, ada) as writer,
    ):
        async with job.transaction():
            await job.execute("SELECT roost.expire_files(10)")
            waiting = asyncio.create_task(writer.execute(*putting(workspace_id, "b", "1", 0)))
            await wait_for_lock(observer, writer.info.backend_pid)
        with pytest.raises(psycopg.Error) as refusal:
            await waiting
        assert refusal.value.sqlstate == "RO311"
        # The other way round the job passes it over.
        await put(database, ada, workspace_id, "a.txt", "3")
        await observer.execute(
            "UPDATE roost.file_versions SET expires_at = now() - interval '1 second'"
            " WHERE version = 2"
        )
        async with writer.transaction():
            await writer.execute(*putting(workspace_id, "b", "2", 0))
            cursor = await job.execute("SELECT roost.expire_files(10)")
            assert await cursor.fetchone() == (0,)
        cursor = await job.execute("SELECT roost.expire_files(10)")
        assert await cursor.fetchone() == (1,)
    file = await ada.ask("get_file", workspace_id=workspace_id, path="b")
    assert await text_of(database, file) == "2"


async def test_100_000_files(client: Client, database: str) -> None:
    """A device takes a whole workspace in batches."""
    ada = await client.sign_up()
    workspace_id = await workspace_of(ada, "/x")
    at = {"workspace_id": workspace_id}
    await store(database, workspace_id, "1")
    async with await connect(database) as connection:
        await connection.execute(FILL, {"workspace": workspace_id, "user": ada.user_id})
    loop = asyncio.get_running_loop()
    began = loop.time()
    after, calls, found = None, 0, []
    while True:
        answer = await ada.ask("diff_workspace", **at, manifest=[], after=after, is_last=True)
        calls += 1
        found += answer["actions"]
        after = answer["through"] if not answer["is_complete"] else None
        if answer["is_complete"]:
            break
    assert len(found) == 101_000
    assert len({action["path"] for action in found}) == 101_000
    print(f"nothing here: {calls} calls, {loop.time() - began:.1f} s")

    lines = [
        [
            action["path"],
            action.get("hash", "folder"),
            action.get("size"),
            action["version"],
            action["file_id"],
        ]
        for action in found
    ]
    began, took, done, after = loop.time(), [], 0, None
    actions = []
    lines[54_321][1] = "0" * 64
    del lines[77_777]
    while done < len(lines):
        batch = lines[done : done + 5_000]
        once = loop.time()
        answer = await ada.ask(
            "diff_workspace",
            **at,
            manifest=batch,
            after=after,
            is_last=done + len(batch) == len(lines),
        )
        took.append(loop.time() - once)
        actions += answer["actions"]
        done += len(batch)
        after = answer["through"]
    assert answer["is_complete"]
    assert [action["action"] for action in actions] == ["upload", "download"]
    print(f"in step: {len(took)} calls, {loop.time() - began:.1f} s, longest {max(took):.2f} s")


async def test_a_workspace_of_100_000_files_goes_bit_by_bit(client: Client, database: str) -> None:
    """Its owner is not held meanwhile."""
    ada = await client.sign_up()
    workspace_id = await workspace_of(ada, "/x")
    at = {"workspace_id": workspace_id}
    await store(database, workspace_id, "1")
    async with await connect(database) as connection:
        await connection.execute(FILL, {"workspace": workspace_id, "user": ada.user_id})
    loop = asyncio.get_running_loop()
    began = loop.time()
    await ada.ask("delete_workspace", **at)
    held = loop.time() - began
    assert held < 1
    print(f"deleted in {held * 1000:.0f} ms")
    await ada.ask("create_workspace", name="x", path="/x", id=str(uuid.uuid4()))
    async with await connect(database) as connection:
        began = loop.time()
        longest = 0.0
        while True:
            once = loop.time()
            cursor = await connection.execute("SELECT roost.purge_workspaces(500)")
            longest = max(longest, loop.time() - once)
            if await cursor.fetchone() == (0,):
                break
        print(f"gone in {loop.time() - began:.1f} s, longest {longest:.2f} s")
        cursor = await connection.execute("SELECT count(*) FROM roost.file_sync_state")
        assert await cursor.fetchone() == (0,)


FILL = """
WITH folder AS (
    INSERT INTO roost.file_sync_state (workspace_id, name, kind, change_seq)
    SELECT %(workspace)s, 'd' || n, 'folder', n FROM generate_series(1, 1000) AS n
    RETURNING id, change_seq
), file AS (
    INSERT INTO roost.file_sync_state (
        workspace_id, parent_id, name, kind, content_id, hash, size, change_seq, created_by
    )
    SELECT %(workspace)s, folder.id, 'file' || n || '.txt', 'file', content.id, content.hash, 1,
        folder.change_seq * 100 + 1000 + n, %(user)s
    FROM folder
    CROSS JOIN generate_series(1, 100) AS n
    CROSS JOIN roost.file_contents AS content
    WHERE content.workspace_id = %(workspace)s
    RETURNING id, workspace_id, content_id, hash, size
)

INSERT INTO roost.file_versions (file_id, version, workspace_id, content_id, hash, size)
SELECT id, 1, workspace_id, content_id, hash, size FROM file
"""
