"""Workspaces over HTTP and sockets: who hears what, devices that pull, and who waits for whom."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from roost.realtime.protocol import Version
from tests.locks import wait_for_lock
from tests.relaying import Phone, join_payload
from tests.serving import Client
from tests.support import connect
from tests.syncing import JSON, SyncedDevice, is_in_step
from tests.test_sync import session_of

EMAIL = "ada@example.com"


async def workspace_of(owner: Client, path: str = "/home/ada/nest", *others: Client) -> str:
    """The id of a new workspace, in which others are viewers."""
    workspace = await owner.ask("create_workspace", name="Nest", path=path)
    for other in others:
        await owner.ask("add_workspace_member", workspace_id=workspace["id"], user_id=other.user_id)
    workspace_id: str = workspace["id"]
    return workspace_id


@contextlib.asynccontextmanager
async def phone_of(person: Client) -> AsyncIterator[Phone]:
    async with person.http.ws_connect(f"{person.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        yield Phone(ws, Version.V2, None)


async def join(phone: Phone, person: Client, topic: str, **broadcast: Any) -> JSON:
    """The reply to a join."""
    ref = await phone.send(f"realtime:{topic}", "phx_join", join_payload(person.token, **broadcast))
    return await phone.reply(ref)


def heard(events: list[JSON]) -> set[tuple[str | None, str]]:
    return {(event["meta"].get("topic"), event["event"]) for event in events}


async def refused(person: Client, function: str, /, **arguments: Any) -> tuple[int, str]:
    answer = await person.call(function, **arguments)
    return answer.status, answer.body["code"]


async def test_two_people_share_a_workspace(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    workspace_id = await workspace_of(ada)
    at = {"workspace_id": workspace_id}
    assert await refused(grace, "get_workspace", **at) == (404, "RO201")
    await ada.ask("add_workspace_member", **at, user_id=grace.user_id, role="editor")
    shared = await grace.ask("get_workspace", **at)
    assert (shared["role"], shared["path"]) == ("editor", "/home/ada/nest")
    assert await grace.ask("list_workspaces") == [shared]
    assert await grace.ask("touch_workspace", **at) == shared["last_accessed"]
    assert await refused(grace, "update_workspace", **at, name="x") == (403, "RO202")
    assert await refused(grace, "delete_workspace", **at) == (403, "RO202")
    assert await refused(ada, "leave_workspace", **at) == (409, "RO204")
    assert await refused(ada, "create_workspace", name="x", path="/home//ada/nest/") == (
        409,
        "RO301",
    )
    assert await refused(ada, "create_workspace", name="x", path="nest") == (400, "RO302")
    assert (await grace.ask("leave_workspace", **at))["left_at"] is not None
    assert await grace.ask("list_workspaces") == []
    await ada.ask("delete_workspace", **at)
    assert await refused(ada, "get_workspace", **at) == (404, "RO201")
    assert await refused(ada, "create_workspace", name="x", path="/x", id=workspace_id) == (
        409,
        "RO301",
    )


async def test_an_inbox_hears_a_workspace_from_the_moment_on_that_it_is_shared(
    client: Client,
) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    workspace_id = await workspace_of(ada)
    at, topic = {"workspace_id": workspace_id}, f"workspace:{workspace_id}"
    await ada.ask("update_workspace", **at, name="before")
    async with phone_of(grace) as phone, phone_of(ada) as own:
        assert (await join(phone, grace, f"user:{grace.user_id}"))["status"] == "ok"
        assert (await join(own, ada, f"user:{ada.user_id}"))["status"] == "ok"

        await ada.ask("add_workspace_member", **at, user_id=grace.user_id)
        # Behind what came before, with the event that told the others.
        first = await phone.events(2)
        assert heard(first) == {(None, "workspace.added"), (topic, "workspace_member.added")}
        (added,) = [event for event in first if event["event"] == "workspace.added"]
        assert added["payload"] == {**at, "name": "before", "added_by": ada.user_id}
        await ada.ask("update_workspace", **at, name="after")
        (updated,) = await phone.events(1)
        assert (updated["event"], updated["payload"]["name"]) == ("workspace.updated", "after")
        assert updated["meta"]["offset"] == updated["payload"]["change_seq"] == 3
        await ada.ask("update_workspace_member", **at, user_id=grace.user_id, role="editor")
        (changed,) = await phone.events(1)
        assert changed["event"] == "workspace_member.updated"
        assert changed["payload"]["role"] == "editor"

        await ada.ask("remove_workspace_member", **at, user_id=grace.user_id)
        assert heard(await phone.events(2)) == {
            (topic, "workspace_member.removed"),
            (None, "workspace.removed"),
        }
        await ada.ask("update_workspace", **at, name="not for grace")
        await phone.is_answered()

        await ada.ask("add_workspace_member", **at, user_id=grace.user_id)
        assert heard(await phone.events(2)) == heard(first)
        await ada.ask("delete_workspace", **at)
        assert heard(await phone.events(2)) == {
            (topic, "workspace.deleted"),
            (None, "workspace.removed"),
        }
        # What they alone have done their devices have heard, too: in order, and nothing twice.
        mine = await own.events(8)
        assert [event["meta"]["offset"] for event in mine if "topic" in event["meta"]] == [
            *range(2, 9)
        ]
        assert mine[-1]["event"] in ("workspace.deleted", "workspace.removed")
        await own.is_answered()
        await phone.is_answered()


async def test_a_topic_is_joined_resumed_and_ended(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    workspace_id = await workspace_of(ada, "/x", grace)
    at, topic = {"workspace_id": workspace_id}, f"workspace:{workspace_id}"
    async with phone_of(grace) as phone:
        assert (await join(phone, grace, topic))["status"] == "ok"
        await ada.ask("update_workspace", **at, settings={"a": 1})
        (event,) = await phone.events(1)
        assert event["payload"]["settings"] == {"a": 1}
    for number in range(2, 5):
        await ada.ask("update_workspace", **at, settings={"a": number})
    async with phone_of(grace) as phone:
        reply = await join(
            phone,
            grace,
            topic,
            replay={"after": event["meta"]["offset"], "epoch": event["meta"]["epoch"]},
        )
        assert reply["status"] == "ok", reply
        assert [one["payload"]["settings"]["a"] for one in await phone.events(3)] == [2, 3, 4]
        await ada.ask("remove_workspace_member", **at, user_id=grace.user_id)
        (last,) = await phone.events(1)
        assert last["event"] == "workspace_member.removed"
        await phone.is_ended(topic, "RO401")
        reply = await join(phone, grace, topic)
        assert reply["status"] == "error"
        assert reply["response"]["code"] == "RO401"


async def test_an_inbox_resumes_its_workspaces(client: Client) -> None:
    """Also one in which nothing had happened, and one that was shared meanwhile."""
    ada, grace = await client.sign_up(), await client.sign_up()
    silent = await workspace_of(grace, "/silent")
    kept = await workspace_of(ada, "/kept", grace)
    lost = await workspace_of(ada, "/lost", grace)
    inbox = f"user:{grace.user_id}"
    async with phone_of(grace) as phone:
        was = (await join(phone, grace, inbox))["response"]
    await grace.ask("update_workspace", workspace_id=silent, name="first")
    await ada.ask("update_workspace", workspace_id=kept, name="second")
    await ada.ask("remove_workspace_member", workspace_id=lost, user_id=grace.user_id)
    late = await workspace_of(ada, "/late", grace)
    async with phone_of(grace) as phone:
        reply = await join(
            phone,
            grace,
            inbox,
            replay={"epoch": was["epoch"], "resume": was["resume"], "topics": {}},
        )
        assert reply["status"] == "ok", reply
        events = await phone.events(5)
        await phone.is_answered()
    assert heard(events) == {
        (f"workspace:{silent}", "workspace.updated"),
        (f"workspace:{kept}", "workspace.updated"),
        (f"workspace:{late}", "workspace_member.added"),
        (None, "workspace.removed"),
        (None, "workspace.added"),
    }


async def test_a_device_that_was_away_for_weeks(client: Client, database: str) -> None:
    ada, grace, joan = [await client.sign_up(one) for one in (EMAIL, None, None)]
    tablet = SyncedDevice(await client.sign_in(EMAIL))
    own = await workspace_of(ada, "/own", grace, joan)
    gone = await workspace_of(ada, "/gone")
    shared = await workspace_of(grace, "/shared", ada)
    again = await workspace_of(grace, "/again", ada)
    await tablet.catch_up()
    await is_in_step(tablet)

    await ada.ask("update_workspace", workspace_id=own, settings={"a": 1})
    await ada.ask("remove_workspace_member", workspace_id=own, user_id=joan.user_id)
    await ada.ask("update_workspace_member", workspace_id=own, user_id=grace.user_id, role="editor")
    await ada.ask("delete_workspace", workspace_id=gone)
    await grace.ask("remove_workspace_member", workspace_id=shared, user_id=ada.user_id)
    # A role is a part of the workspace that one reads, and coming back is as if never gone.
    await grace.ask(
        "update_workspace_member", workspace_id=again, user_id=ada.user_id, role="editor"
    )
    await grace.ask("remove_workspace_member", workspace_id=again, user_id=ada.user_id)
    await grace.ask("add_workspace_member", workspace_id=again, user_id=ada.user_id, role="editor")
    new = await workspace_of(grace, "/new", joan, ada)
    async with await connect(database) as connection:
        await connection.execute("DELETE FROM realtime.events")

    copy = tablet.copy()
    page = await tablet.pull()
    await tablet.acknowledge()
    await is_in_step(tablet)
    told = {
        (change["scope"].removeprefix("workspace:"), change["kind"], change["op"])
        for change in page["changes"]
        if change["scope"].startswith("workspace:")
    }
    assert told == {
        (own, "workspace", "put"),
        (own, "workspace_member", "remove"),
        (own, "workspace_member", "put"),
        (own, "scope", "put"),
        (gone, "scope", "remove"),
        (shared, "scope", "remove"),
        (again, "workspace", "put"),
        (again, "workspace_member", "put"),
        (again, "scope", "put"),
        (new, "scope", "reset"),
        (new, "workspace", "put"),
        (new, "workspace_member", "put"),
        (new, "scope", "put"),
    }
    # In the smallest of pages, and for a device that begins.
    fresh = SyncedDevice(await client.sign_in(EMAIL))
    pages = await fresh.catch_up(limit=1)
    assert len(pages) > 6
    await is_in_step(fresh)
    assert copy.state() != tablet.state()


async def test_a_device_that_wants_some_workspaces_alone(client: Client) -> None:
    ada = await client.sign_up(EMAIL)
    one, two = [await workspace_of(ada, path) for path in ("/1", "/2")]
    talk = f"conversation:{await ada.open_conversation()}"
    inbox = f"user:{ada.user_id}"
    for chosen, scopes in (
        ({"workspaces": [one]}, {inbox, talk, f"workspace:{one}"}),
        ({"workspaces": []}, {inbox, talk}),
        ({"conversations": []}, {inbox, f"workspace:{one}", f"workspace:{two}"}),
    ):
        device = SyncedDevice(await client.sign_in(EMAIL))
        await device.catch_up(filter=chosen)
        assert set(device.scopes) == scopes
    for wrong in ({"workspaces": "x"}, {"workspaces": ["x"]}, {"workspaces": [None]}):
        assert await refused(ada, "pull_changes", filter=wrong) == (400, "RO302")


async def test_what_was_done_offline_takes_effect_once(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    other = SyncedDevice(await client.sign_in(EMAIL))
    await other.catch_up()
    workspace_id = str(uuid.uuid4())
    at = {"workspace_id": workspace_id}
    operations = [
        {
            "id": 1,
            "kind": "create_workspace",
            "args": {"id": workspace_id, "name": "Off", "path": "~/off/"},
        },
        {
            "id": 2,
            "kind": "add_workspace_member",
            "args": {**at, "user_id": grace.user_id, "role": "editor"},
        },
        {
            "id": 3,
            "kind": "update_workspace",
            "args": {**at, "settings": {"a": 1}},
            "base": {"settings": {}},
        },
    ]
    answers = await ada.ask("push_operations", operations=operations)
    assert [answer["outcome"] for answer in answers] == ["applied"] * 3
    again = await ada.ask("push_operations", operations=operations)
    assert [answer["outcome"] for answer in again] == ["duplicate"] * 3
    await other.catch_up()
    await is_in_step(other)

    # Two devices change settings of which neither knew: each keeps its key.
    for device, number, key in ((ada, 4, "b"), (other.client, 1, "c")):
        (answer,) = await device.ask(
            "push_operations",
            operations=[
                {
                    "id": number,
                    "kind": "update_workspace",
                    "args": {**at, "name": "On", "settings": {key: 1}},
                    "base": {"name": "Off", "settings": {"a": 1}},
                }
            ],
        )
        assert answer["outcome"] == "applied"
    workspace = await grace.ask("get_workspace", **at)
    assert (workspace["name"], workspace["settings"]) == ("On", {"a": 1, "b": 1, "c": 1})
    assert workspace["path"] == "~/off"
    # A third that had the old name says another: somebody has to decide.
    (answer,) = await ada.ask(
        "push_operations",
        operations=[
            {
                "id": 5,
                "kind": "update_workspace",
                "args": {**at, "name": "Else"},
                "base": {"name": "Off"},
            }
        ],
    )
    assert answer["outcome"] == "conflict"
    (conflict,) = await ada.ask("list_conflicts")
    assert (conflict["target_kind"], conflict["target_id"]) == ("workspace", workspace_id)
    await ada.ask("resolve_conflict", conflict_id=conflict["id"], strategy="mine")
    assert (await ada.ask("get_workspace", **at))["name"] == "Else"
    await other.catch_up()
    await is_in_step(other)


CREATE = "SELECT (api.create_workspace('x', %s)).id"
UPDATE_MEMBER = "SELECT api.update_workspace_member(%s, %s, 'editor')"
REMOVE_MEMBER = "SELECT api.remove_workspace_member(%s, %s)"
ADD_MEMBER = "SELECT api.add_workspace_member(%s, %s)"
DELETE = "SELECT api.delete_workspace(%s)"
RENAME = "SELECT api.update_workspace(%s, 'renamed')"
MOVE = "SELECT api.update_workspace(%s, path => %s)"


async def second_waits(
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


async def test_two_devices_make_a_workspace_of_one_folder(client: Client, database: str) -> None:
    ada = await client.sign_up()
    code = await second_waits(database, ada, (CREATE, ["/x"]), (CREATE, ["//x/"]))
    assert code == "RO301"
    (made,) = await ada.ask("list_workspaces")
    assert made["path"] == "/x"
    answer = await ada.call("create_workspace", name="x", path="/x")
    assert answer.body["details"] == f"Workspace: {made['id']}"
    # Nor by moving one there.
    other = await workspace_of(ada, "/other")
    code = await second_waits(database, ada, (CREATE, ["/y"]), (MOVE, [other, "/y"]))
    assert code == "RO301"
    assert (await ada.ask("get_workspace", workspace_id=other))["path"] == "/other"


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("remove", "update", "RO201"),
        ("update", "remove", None),
        ("remove", "remove", "RO201"),
        ("delete", "add", "RO201"),
        ("add", "delete", None),
        ("delete", "rename", "RO201"),
        ("rename", "delete", None),
        ("delete", "delete", "RO201"),
        ("add", "add", None),
    ],
)
async def test_who_comes_second_finds_what_the_first_has_done(
    client: Client, database: str, first: str, second: str, code: str | None
) -> None:
    ada, grace, joan = [await client.sign_up() for _ in range(3)]
    workspace_id = await workspace_of(ada, "/x", grace)
    calls = {
        "update": (UPDATE_MEMBER, [workspace_id, grace.user_id]),
        "remove": (REMOVE_MEMBER, [workspace_id, grace.user_id]),
        "add": (ADD_MEMBER, [workspace_id, joan.user_id]),
        "delete": (DELETE, [workspace_id]),
        "rename": (RENAME, [workspace_id]),
    }
    assert await second_waits(database, ada, calls[first], calls[second]) == code
    async with await connect(database) as connection:
        # Offsets are those of what was told, without a gap.
        cursor = await connection.execute(
            "SELECT array_agg(event_offset ORDER BY event_offset), max(topic.last_offset)"
            " FROM realtime.events JOIN realtime.topics AS topic USING (topic)"
            " WHERE topic = %s",
            [f"workspace:{workspace_id}"],
        )
        row = await cursor.fetchone()
        assert row is not None
        assert row[0] == [*range(1, row[1] + 1)]
    is_there = "delete" not in (first, second)
    people = [ada, *([joan] if "add" in (first, second) else [])]
    if "remove" not in (first, second):
        people.append(grace)
    for person in (ada, grace, joan):
        listed = await person.ask("list_workspaces")
        assert [one["id"] for one in listed] == (
            [workspace_id] if is_there and person in people else []
        )
        device = SyncedDevice(person)
        await device.catch_up()
        await is_in_step(device)
