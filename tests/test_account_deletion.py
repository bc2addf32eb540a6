"""An account is deleted, with all that hangs on it: everybody else's devices end with what the
server has, those that were away and those that listen.
"""

from typing import Any

import pytest

from roost.realtime.protocol import Version
from tests.relaying import Phone, join_payload
from tests.serving import Client
from tests.support import connect
from tests.syncing import JSON, LiveDevice, SyncedDevice, is_in_step, server_state


class Shared:
    """What mary has in common with ada and grace.

    busy -- where she has written, and others have answered
    quiet -- where she has only read
    own -- hers
    past -- which she has left
    """

    def __init__(self, ada: Client, grace: Client, mary: Client) -> None:
        self.ada = ada
        self.grace = grace
        self.mary = mary

    async def open(self) -> None:
        ada, grace, mary = self.ada, self.grace, self.mary
        self.busy = await ada.open_conversation(grace, mary)
        self.quiet = await ada.open_conversation(grace, mary)
        self.own = await mary.open_conversation(grace)
        self.past = await ada.open_conversation(grace, mary)
        for conversation_id in (self.busy, self.quiet, self.past):
            for n in range(5):
                await say(ada, conversation_id, f"{n}")
        question = await say(ada, self.busy, "who comes?")
        answer = await say(mary, self.busy, "me", parent_message_id=question["id"])
        await say(grace, self.busy, "me too", parent_message_id=answer["id"])
        await mary.ask("add_reaction", message_id=question["id"], reaction="ok")
        await mary.ask("mark_read", conversation_id=self.quiet, up_to_seq=3)
        await say(mary, self.own, "mine")
        self.workspaces = []
        for owner, members in ((ada, (grace, mary)), (mary, (grace,))):
            workspace = await owner.ask("create_workspace", name="W", path="/w")
            self.workspaces.append(workspace["id"])
            for member in members:
                await owner.ask(
                    "add_workspace_member",
                    workspace_id=workspace["id"],
                    user_id=member.user_id,
                    role="editor",
                )


async def say(person: Client, conversation_id: str, text: str, **more: Any) -> JSON:
    sent: JSON = await person.ask(
        "send_message", conversation_id=conversation_id, content={"text": text}, **more
    )
    return sent


async def delete_account(database: str, person: Client) -> None:
    async with await connect(database) as connection:
        await connection.execute("DELETE FROM roost.users WHERE id = %s", [person.user_id])


@pytest.fixture
async def shared(client: Client) -> Shared:
    shared = Shared(
        *[await client.sign_up(f"{name}@example.com") for name in ("ada", "grace", "mary")]
    )
    await shared.open()
    return shared


async def test_devices_that_were_away_end_with_what_the_server_has(
    client: Client, shared: Shared, database: str
) -> None:
    devices = [SyncedDevice(person) for person in (shared.ada, shared.grace)]
    devices += [SyncedDevice(await client.sign_in("grace@example.com")) for _ in range(3)]
    filters: list[JSON] = [{}, {}, {}, {"conversations": [shared.busy]}, {"messages": 1}]
    for device, filtered in zip(devices, filters, strict=True):
        await device.catch_up(filter=filtered)
    # One has taken it in, and nobody knows.
    devices.append(SyncedDevice(await client.sign_in("grace@example.com")))
    await devices[-1].catch_up(acknowledges=False)
    await shared.mary.ask("leave_conversation", conversation_id=shared.past)
    await delete_account(database, shared.mary)
    for device in devices:
        pages = await device.catch_up(limit=3)
        assert pages[0]["changes"]
        await is_in_step(device)
    assert f"conversation:{shared.own}" not in devices[1].scopes
    assert f"workspace:{shared.workspaces[1]}" not in devices[1].scopes
    held = devices[1].scopes[f"conversation:{shared.busy}"]
    assert ("participant", shared.mary.user_id) not in held.things


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("acknowledges", [True, False])
async def test_it_happens_between_two_pages(
    client: Client, shared: Shared, database: str, limit: int, acknowledges: bool
) -> None:
    """A device that has some of it, acknowledged or not, comes to an end, in step."""
    device = SyncedDevice(await client.sign_in("grace@example.com"))
    for _ in range(6):
        await device.pull(limit=limit)
        if acknowledges:
            await device.acknowledge()
    await delete_account(database, shared.mary)
    await device.catch_up(limit=limit)
    await is_in_step(device)


async def test_devices_that_listen_end_with_what_the_server_has(
    shared: Shared, database: str
) -> None:
    grace = shared.grace
    device = SyncedDevice(grace)
    await device.catch_up()
    live = LiveDevice.going_on(device)
    positions = dict(live.positions)
    async with grace.http.ws_connect(f"{grace.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        topic = f"realtime:user:{grace.user_id}"
        join = join_payload(grace.token, replay={"topics": positions})
        reply = await phone.reply(await phone.send(topic, "phx_join", join))
        assert reply["status"] == "ok", reply
        await delete_account(database, shared.mary)
        heard: list[tuple[str, str, int, JSON]] = []
        while len(heard) < 10:
            (event,) = await phone.events(1)
            told = event["meta"]
            # Not that she has gone offline.
            if "offset" in told:
                scope = told.get("topic", f"user:{grace.user_id}")
                heard.append((scope, event["event"], told["offset"], event["payload"]))
        await phone.is_answered()
    named = {
        f"user:{grace.user_id}": "inbox",
        **{f"conversation:{getattr(shared, of)}": of for of in ("busy", "quiet", "own", "past")},
        f"workspace:{shared.workspaces[0]}": "workspace",
        f"workspace:{shared.workspaces[1]}": "marys",
    }
    assert sorted((named[scope], name) for scope, name, _, _ in heard) == [
        ("busy", "conversation.reset"),
        ("busy", "participant.removed"),
        ("busy", "reaction"),
        ("inbox", "conversation.removed"),
        ("inbox", "workspace.removed"),
        ("marys", "workspace.deleted"),
        ("own", "conversation.deleted"),
        ("past", "participant.removed"),
        ("quiet", "participant.removed"),
        ("workspace", "workspace_member.removed"),
    ]
    for scope, name, offset, payload in heard:
        if scope in live.positions:
            live.hear(scope, offset, name, payload)
        if name in ("conversation.deleted", "workspace.deleted"):
            live.drop(scope)
    # What it was told to read anew, it does.
    await device.catch_up()
    for scope, held in device.scopes.items():
        if scope not in live.positions:
            assert named[scope] == "busy"
            live.adopt(scope, held)
    assert live.as_pulled().state() == await server_state(grace)
    await is_in_step(device)


async def test_many_who_were_there_from_the_start(client: Client, database: str) -> None:
    """More than fit into a page come with it: a device that begins anew is not left below what
    makes it begin.
    """
    people = [await client.sign_up() for _ in range(8)]
    ada, mary = people[0], people[-1]
    conversation_id = await ada.open_conversation(*people[1:])
    await say(mary, conversation_id, "x")
    workspace = await ada.ask("create_workspace", name="W", path="/w")
    for person in people[1:]:
        await ada.ask(
            "add_workspace_member",
            workspace_id=workspace["id"],
            user_id=person.user_id,
            role="viewer",
        )
        await person.ask("mark_read", conversation_id=conversation_id, up_to_seq=1)
    device = SyncedDevice(ada)
    await device.catch_up()
    await delete_account(database, mary)
    for _ in range(30):
        page = await device.pull(limit=2)
        if not page["has_more"] and await device.acknowledge() == 0:
            break
        if page["has_more"]:
            await device.acknowledge()
    else:
        pytest.fail("it begins again and again")
    await is_in_step(device)
