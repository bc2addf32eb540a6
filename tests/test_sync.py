"""Devices that pull: what they get, in which order, and that they end with what the server has."""

import asyncio
import contextlib
import json
import random
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

EMAIL = "ada@example.com"


async def say(person: Client, conversation_id: str, number: int = 1, **more: Any) -> list[JSON]:
    return [
        await person.ask(
            "send_message", conversation_id=conversation_id, content={"text": f"{n}"}, **more
        )
        for n in range(number)
    ]


def scope_of(conversation_id: str) -> str:
    return f"conversation:{conversation_id}"


@contextlib.asynccontextmanager
async def session_of(database: str, person: Client) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A session in which transactions stay open for as long as one likes, as this person."""
    async with await connect(database) as connection:
        await connection.execute("SELECT set_config('roost.user_id', %s, false)", [person.user_id])
        await connection.execute(
            "SELECT set_config('roost.device_id', %s, false)", [person.device_id]
        )
        yield connection


SEND = """SELECT api.send_message(%s, '{"text": "x"}')"""


async def test_a_new_device_begins_with_the_newest(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    long, short, empty = [await ada.open_conversation(grace) for _ in range(3)]
    questions = await say(grace, long, 60)
    for question in questions[::7]:
        await say(ada, long, parent_message_id=question["id"])
    await say(grace, long, 60)
    await say(grace, short, 3)

    device = SyncedDevice(await client.sign_in(EMAIL))
    pages = [await device.pull(limit=40)]
    while not {scope_of(long), scope_of(short), scope_of(empty)} <= {
        name for name, held in device.scopes.items() if held.position is not None
    }:
        pages.append(await device.pull(limit=40))
    # It can be used: of each the newest is there, and one hundred and more are not.
    assert pages[-1]["has_more"]
    newest = (await ada.ask("list_messages", conversation_id=long))[:50]
    assert set(device.scopes[scope_of(long)].messages()) == {one["seq"] for one in newest}
    assert len(device.scopes[scope_of(short)].messages()) == 3
    assert not device.scopes[scope_of(long)].is_complete
    assert device.scopes[scope_of(short)].is_complete
    kinds = [change["kind"] for page in pages for change in page["changes"]]
    assert kinds[:2] == ["scope", "account"]
    assert all(len(page["changes"]) <= 40 + 4 for page in pages)

    pages += await device.catch_up(acknowledges=False, limit=40)
    done = [page["progress"]["done"] for page in pages]
    assert done == sorted(done)
    assert pages[-1]["progress"] == {"done": 4, "total": 4}
    assert device.scopes[scope_of(long)].is_complete
    await device.catch_up()
    await is_in_step(device)


async def test_a_page_is_the_same_until_the_next_is_asked_for(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    await say(ada, conversation_id, 30)
    first = await ada.ask("pull_changes", limit=10)
    assert await ada.ask("pull_changes", limit=10) == first
    second = await ada.ask("pull_changes", limit=10, cursor=first["cursor"])
    assert await ada.ask("pull_changes", limit=10, cursor=first["cursor"]) == second
    assert second["changes"] != first["changes"]
    # Each page by itself: the next one goes on from what was acknowledged.
    assert await ada.ask("ack_changes", cursor=first["cursor"]) > 0
    assert await ada.ask("ack_changes", cursor=first["cursor"]) == 0
    assert (await ada.ask("pull_changes", limit=10))["changes"] == second["changes"]


async def test_what_was_taken_in_without_an_acknowledgement_does_no_harm(client: Client) -> None:
    """The cursor is lost: some of it comes again, and what became of the rest is not told."""
    ada, grace, joan = [await client.sign_up() for _ in range(3)]
    conversation_id = await ada.open_conversation(grace, joan)
    sent = await say(ada, conversation_id, 80)
    device = SyncedDevice(grace)
    await device.pull(limit=20)
    await device.acknowledge()
    await device.catch_up(acknowledges=False, limit=20)
    device.cursor = None
    await ada.ask("remove_participant", conversation_id=conversation_id, user_id=joan.user_id)
    await ada.ask("delete_message", message_id=sent[2]["id"])
    assert (await device.pull(limit=1))["has_more"]
    await device.catch_up(limit=20)
    await is_in_step(device)


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_what_changed_comes_in_an_order_in_which_it_can_be_taken_in(
    client: Client, limit: int
) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    old = await say(grace, conversation_id, 10)
    device = SyncedDevice(ada)
    await device.catch_up()

    question = (await say(grace, conversation_id))[0]
    for _ in range(5):
        question = (await say(grace, conversation_id, parent_message_id=question["id"]))[0]
    await say(grace, conversation_id, parent_message_id=old[3]["id"])
    await grace.ask(
        "edit_message", message_id=old[1]["id"], content={"text": "y"}, based_on_version=1
    )
    await grace.ask("delete_message", message_id=old[2]["id"])
    await grace.ask("purge_message", message_id=old[4]["id"])
    await grace.ask("add_reaction", message_id=question["id"], reaction="ok")
    await ada.ask("update_conversation", conversation_id=conversation_id, title="Other plans")
    await ada.ask("update_me", preferences={"theme": "dark"})

    pages = await device.catch_up(limit=limit)
    assert len(pages) > 5 if limit == 1 else len(pages) <= 12
    messages = device.scopes[scope_of(conversation_id)].messages()
    assert messages[old[2]["seq"]]["content"] is None
    assert messages[old[4]["seq"]]["purged_at"] is not None
    await is_in_step(device)


async def test_access_is_gained_and_lost(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation()
    other_id = await ada.open_conversation(grace)
    await say(ada, conversation_id, 5)
    device = SyncedDevice(grace)
    await device.catch_up()
    assert set(device.scopes) == {f"user:{grace.user_id}", scope_of(other_id)}

    await ada.ask("add_participant", conversation_id=conversation_id, user_id=grace.user_id)
    await device.catch_up()
    assert len(device.scopes[scope_of(conversation_id)].messages()) == 5
    await is_in_step(device)

    for take, give in (
        (
            ("remove_participant", {"user_id": grace.user_id}),
            ("add_participant", {"user_id": grace.user_id}),
        ),
        (("delete_conversation", {}), ("restore_conversation", {})),
        (("delete_conversation", {}), ("purge_conversation", {})),
    ):
        await ada.ask(take[0], conversation_id=conversation_id, **take[1])
        (page, _) = await device.catch_up()
        assert {"scope": scope_of(conversation_id), "kind": "scope", "op": "remove"} in page[
            "changes"
        ]
        await is_in_step(device)
        assert scope_of(conversation_id) not in device.scopes
        await ada.ask(give[0], conversation_id=conversation_id, **give[1])
        await device.catch_up()
        await is_in_step(device)
    await grace.ask("leave_conversation", conversation_id=other_id)
    await device.catch_up()
    assert set(device.scopes) == {f"user:{grace.user_id}"}


async def test_a_removal_that_was_undone_meanwhile(client: Client) -> None:
    """The device has not heard of it: what it may not see any more goes, what it may comes."""
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    await say(ada, conversation_id, 5)
    device = SyncedDevice(grace)
    await device.catch_up()
    back = {"conversation_id": conversation_id, "user_id": grace.user_id}
    for history, seen in (("from_now", 1), ("all", 7)):
        await ada.ask("remove_participant", **back)
        hidden = (await say(ada, conversation_id))[0]
        await ada.ask("add_participant", **back, history=history)
        if history == "from_now":
            await say(ada, conversation_id)
        await device.catch_up()
        messages = device.scopes[scope_of(conversation_id)].messages()
        assert (hidden["seq"] in messages) == (history == "all")
        assert len(messages) == seen + (history == "all")
        await is_in_step(device)


@pytest.mark.parametrize("how", ["remove_participant", "delete_conversation", "purge_conversation"])
async def test_what_is_lost_before_it_is_acknowledged_goes(client: Client, how: str) -> None:
    """The device has taken it in, and nothing was kept of it yet."""
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    await say(ada, conversation_id, 3)
    device = SyncedDevice(grace)
    await device.pull()
    more = {"user_id": grace.user_id} if how == "remove_participant" else {}
    await ada.ask(how, conversation_id=conversation_id, **more)
    await device.acknowledge()
    assert scope_of(conversation_id) in device.scopes
    await device.catch_up()
    assert set(device.scopes) == {f"user:{grace.user_id}"}
    await is_in_step(device)


async def test_what_is_regained_before_its_loss_is_acknowledged_comes_anew(client: Client) -> None:
    """What is kept on the server is of before, and further than where the device begins."""
    ada, grace, joan = [await client.sign_up() for _ in range(3)]
    conversation_id = await ada.open_conversation(grace, joan)
    await say(ada, conversation_id, 5)
    device = SyncedDevice(grace)
    await device.catch_up()
    whom = {"conversation_id": conversation_id, "user_id": grace.user_id}
    await ada.ask("remove_participant", **whom)
    while scope_of(conversation_id) in device.scopes:
        await device.pull(limit=1)
    await ada.ask("add_participant", **whom)
    while scope_of(conversation_id) not in device.scopes:
        await device.pull(limit=1)
    assert device.scopes[scope_of(conversation_id)].position is None
    await device.acknowledge()
    await device.catch_up(limit=1)
    assert len(device.scopes[scope_of(conversation_id)].messages()) == 5
    await is_in_step(device)


async def test_nothing_is_delivered_to_a_device_without_messages(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    sent = await say(ada, conversation_id, 3)
    device = SyncedDevice(grace)
    await device.catch_up(filter={"messages": 0})
    assert not device.scopes[scope_of(conversation_id)].messages()
    assert await ada.ask("list_readers", message_id=sent[0]["id"]) == []
    await device.catch_up(limit=1)
    (reader,) = await ada.ask("list_readers", message_id=sent[2]["id"])
    assert reader["user_id"] == grace.user_id


async def test_who_sees_a_part_of_the_history_gets_that_part(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation()
    old = (await say(ada, conversation_id, 3))[0]
    await ada.ask(
        "add_participant",
        conversation_id=conversation_id,
        user_id=grace.user_id,
        history="from_now",
    )
    device = SyncedDevice(grace)
    await device.catch_up()
    assert not device.scopes[scope_of(conversation_id)].messages()
    await ada.ask(
        "edit_message", message_id=old["id"], content={"text": "secret"}, based_on_version=1
    )
    await ada.ask("add_reaction", message_id=old["id"], reaction="secret")
    answer = (await say(ada, conversation_id, parent_message_id=old["id"]))[0]
    pages = await device.catch_up()
    assert set(device.scopes[scope_of(conversation_id)].messages()) == {answer["seq"]}
    assert "secret" not in json.dumps(pages)
    await is_in_step(device)


async def test_messages_that_are_too_old_go(client: Client, database: str) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    old = await say(ada, conversation_id, 5)
    await say(ada, conversation_id, parent_message_id=old[0]["id"])
    device = SyncedDevice(ada)
    await device.catch_up()
    await ada.ask("set_retention", conversation_id=conversation_id, retention_days=1)
    async with await connect(database) as connection:
        await connection.execute(
            "UPDATE roost.messages SET created_at = now() - interval '2 days' WHERE seq <= 5"
        )
        while (
            await (await connection.execute("SELECT roost.expire_messages(100)")).fetchone()
        ) != (0,):
            pass
    await device.catch_up()
    assert set(device.scopes[scope_of(conversation_id)].messages()) == {6}
    await is_in_step(device)


async def test_a_phone_takes_few_and_more_on_demand(client: Client) -> None:
    ada = await client.sign_up()
    wanted, other = [await ada.open_conversation() for _ in range(2)]
    sent = await say(ada, wanted, 80)
    device = SyncedDevice(ada)
    few = {"conversations": [wanted], "messages": 5}
    await device.catch_up(filter=few)
    assert set(device.scopes) == {f"user:{ada.user_id}", scope_of(wanted)}
    held = device.scopes[scope_of(wanted)]
    assert set(held.messages()) == {one["seq"] for one in sent[-5:]}
    assert (held.from_seq, held.is_complete) == (sent[-5]["seq"], False)
    # What it does not have is not told of.
    await ada.ask(
        "edit_message", message_id=sent[0]["id"], content={"text": "y"}, based_on_version=1
    )
    await ada.ask(
        "edit_message", message_id=sent[-1]["id"], content={"text": "y"}, based_on_version=1
    )
    await device.catch_up(filter=few)
    assert len(held.messages()) == 5
    assert held.messages()[sent[-1]["seq"]]["content"] == {"text": "y"}
    # New ones come on top; after more than it wants it begins anew with the newest.
    await say(ada, wanted, 2)
    await device.catch_up(filter=few)
    assert len(device.scopes[scope_of(wanted)].messages()) == 7
    later = await say(ada, wanted, 9)
    await device.catch_up(filter=few)
    assert set(held.messages()) == {one["seq"] for one in later[-5:]}
    assert (await device.verify(scope_of(wanted)))["is_same"]
    # More on demand, in the order in which one scrolls back.
    pages = await device.catch_up(filter=few | {"messages": 60}, limit=20)
    assert len(pages) > 2
    assert len(held.messages()) == 60
    # The other one when it is wanted.
    assert scope_of(other) not in device.scopes
    await device.catch_up()
    assert scope_of(other) in device.scopes
    await is_in_step(device)


async def test_after_a_backup_was_restored_everything_comes_anew(
    client: Client, database: str
) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    await say(ada, conversation_id, 3)
    device = SyncedDevice(ada)
    await device.catch_up()
    old = await ada.ask("pull_changes")
    async with await connect(database) as connection:
        await connection.execute("SELECT realtime.new_epoch()")
        # What was written since the backup has gone with it.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("DELETE FROM roost.messages WHERE seq = 3")
        await connection.execute("UPDATE roost.conversations SET last_seq = 2, last_number = 2")
        await connection.execute(
            "UPDATE roost.conversation_participants SET last_read_seq = 2, last_delivered_seq = 2,"
            " read_number = 2, change_seq = 2"
        )
    for refused in (
        await ada.call("pull_changes", cursor=old["cursor"]),
        await ada.call("ack_changes", cursor=old["cursor"]),
    ):
        assert (refused.status, refused.body["code"]) == (410, "RO403")
        assert "without a cursor" in refused.body["hint"]
    page = await device.pull()
    assert page["changes"][0]["op"] == "reset"
    resets = [change for change in page["changes"] if change["op"] == "reset"]
    assert {change["scope"] for change in resets} == set(device.scopes)
    await device.acknowledge()
    await device.catch_up()
    await is_in_step(device)


async def test_a_device_that_has_lost_its_data_begins_anew(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    other_id = await grace.open_conversation(ada)
    await say(ada, conversation_id, 3)
    device = SyncedDevice(await client.sign_in(EMAIL))
    await device.catch_up()
    # What it was told last is lost to it, and is no more when it asks again.
    left_id = await grace.open_conversation(ada)
    lost = await device.client.ask("pull_changes")
    assert scope_of(left_id) in {change["scope"] for change in lost["changes"]}
    await ada.ask("leave_conversation", conversation_id=left_id)
    await grace.ask("remove_participant", conversation_id=other_id, user_id=ada.user_id)
    device.lose_cursor()
    pages = await device.catch_up()
    assert pages[0]["changes"][0]["op"] == "reset"
    assert set(device.scopes) == {scope_of(conversation_id), f"user:{ada.user_id}"}
    await is_in_step(device)


async def test_an_acknowledgement_that_comes_when_a_device_begins_anew(
    client: Client, database: str
) -> None:
    """Whichever comes first, nothing of what was acknowledged counts."""
    ada = await client.sign_up(EMAIL)
    cursor = (await ada.ask("pull_changes"))["cursor"]
    acknowledge, reset = "SELECT api.ack_changes(%s)", "SELECT api.reset_changes()"
    async with (
        await connect(database) as observer,
        session_of(database, ada) as first,
        session_of(database, ada) as second,
    ):
        async with first.transaction():
            await first.execute(acknowledge, [cursor])
            later = asyncio.create_task(second.execute(reset))
            await wait_for_lock(observer, second.info.backend_pid)
        await later
        assert await (await observer.execute("SELECT FROM roost.sync_scopes")).fetchall() == []

        cursor = (await ada.ask("pull_changes"))["cursor"]
        async with first.transaction():
            await first.execute(reset)
            late = asyncio.create_task(second.execute(acknowledge, [cursor]))
            await wait_for_lock(observer, second.info.backend_pid)
        with pytest.raises(psycopg.Error) as refusal:
            await late
        assert refusal.value.sqlstate == "RO403"
        assert await (await observer.execute("SELECT FROM roost.sync_scopes")).fetchall() == []


async def test_a_cursor_that_makes_no_sense(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    tablet = await client.sign_in(EMAIL)
    cursor = (await ada.ask("pull_changes"))["cursor"]
    # Nobody can make anything of it but the device that got it.
    for who, said, words in (
        (ada, "x", "no cursor"),
        (ada, "", "no cursor"),
        (ada, cursor[:-4], "no cursor"),
        (grace, cursor, "another device"),
        (tablet, cursor, "another device"),
    ):
        for function in ("pull_changes", "ack_changes"):
            refused = await who.call(function, cursor=said)
            assert (refused.status, refused.body["code"]) == (400, "RO302"), refused
            assert words in refused.body["message"]
            assert refused.body["hint"]
    assert (
        await tablet.ask("ack_changes", cursor=(await tablet.ask("pull_changes"))["cursor"])
    ) == 1
    assert (await ada.ask("ack_changes", cursor=cursor)) == 1


async def test_an_acknowledgement_delivers(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    sent = await say(ada, conversation_id, 3)
    device = SyncedDevice(grace)
    async with phone_of(ada, scope_of(conversation_id)) as phone:
        await device.pull()
        await phone.is_answered()
        await device.acknowledge()
        (event,) = await phone.events(1)
        assert event["event"] == "receipt"
        assert event["payload"]["user_id"] == grace.user_id
        assert event["payload"]["last_delivered_seq"] == sent[-1]["seq"]
        assert event["payload"]["last_read_seq"] == 0
        # The receipt is a change, which is no message: it makes no further receipt.
        await device.catch_up()
        await phone.is_answered()
    await is_in_step(device)


@contextlib.asynccontextmanager
async def phone_of(person: Client, topic: str, **broadcast: Any) -> AsyncIterator[Phone]:
    async with person.http.ws_connect(f"{person.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        payload = join_payload(person.token, **broadcast)
        reply = await phone.reply(await phone.send(f"realtime:{topic}", "phx_join", payload))
        assert reply["status"] == "ok", reply
        yield phone


async def test_the_progress_of_catching_up_is_told_to_all_devices(client: Client) -> None:
    ada = await client.sign_up(EMAIL)
    for _ in range(5):
        await say(ada, await ada.open_conversation(), 3)
    tablet = await client.sign_in(EMAIL)
    async with phone_of(ada, f"user:{ada.user_id}") as phone:
        device = SyncedDevice(tablet)
        pages = await device.catch_up(limit=4)
        # One that moves nothing is not told.
        assert await device.pull()
        assert await device.acknowledge() == 0
        told = await phone.events(len(pages) - 1)
        await phone.is_answered()
    assert len(pages) > 5
    assert [event["event"] for event in told] == ["sync.progress"] * len(told)
    assert [event["payload"] for event in told] == [
        {"device_id": tablet.device_id, "work": "pull", **page["progress"]} for page in pages[:-1]
    ]
    done = [event["payload"]["done"] for event in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (1, 6)
    assert {event["payload"]["total"] for event in told} == {6}


async def test_devices_hear_of_the_account_and_of_each_other(client: Client) -> None:
    ada = await client.sign_up(EMAIL)
    device = SyncedDevice(ada)
    await device.catch_up()
    async with phone_of(ada, f"user:{ada.user_id}") as phone:

        async def hears(*events: str) -> list[JSON]:
            heard = await phone.events(len(events))
            assert [event["event"] for event in heard] == list(events)
            await phone.is_answered()
            before = len(device.scopes[f"user:{ada.user_id}"].things)
            pages = await device.catch_up()
            assert pages[0]["changes"][-1]["offset"] == heard[-1]["meta"]["offset"]
            await is_in_step(device)
            (progress,) = await phone.events(1)
            assert progress["event"] == "sync.progress"
            assert before
            return [event["payload"] for event in heard]

        tablet = await client.sign_in(EMAIL)
        (added,) = await hears("device.added")
        assert added["device_id"] == tablet.device_id
        await tablet.ask("register_device", device_name="Tablet", device_type="tablet")
        await hears("device.registered")
        (account,) = [
            await tablet.ask("update_me", preferences={"theme": "dark"}),
        ]
        (told,) = await hears("account.updated")
        assert told == account
        # What changes nothing is no event.
        await tablet.ask("update_me", preferences={"theme": "dark"})
        await phone.is_answered()
        again = await client.sign_in(EMAIL)
        await hears("device.added")
        # A session that moves to a device which is known leaves an unused one behind.
        await again.ask(
            "register_device",
            device_name="Tablet",
            device_type="tablet",
            device_id=tablet.device_id,
        )
        # The old one still has its name of the session's beginning, and no use: it is gone.
        (_, removed) = await hears("device.registered", "device.removed")
        assert removed == {"device_id": again.device_id}
        await ada.ask("revoke_device", device_id=tablet.device_id)
        await hears("device.revoked")


async def test_of_a_revoked_device_nothing_is_kept(client: Client, database: str) -> None:
    ada = await client.sign_up(EMAIL)
    lost = SyncedDevice(await client.sign_in(EMAIL))
    await lost.catch_up()
    await lost.client.ask("acknowledge_events", positions={f"user:{ada.user_id}": 1})
    await SyncedDevice(ada).catch_up()
    page = await lost.client.ask("pull_changes")
    kept = (
        "SELECT device_id::text FROM roost.sync_scopes"
        " UNION SELECT device_id::text FROM roost.device_cursors"
    )
    async with await connect(database) as connection, session_of(database, lost.client) as session:
        assert set(await (await connection.execute(kept)).fetchall()) == {
            (ada.device_id,),
            (lost.client.device_id,),
        }
        # It acknowledges at the moment at which it is revoked: it waits, and is refused.
        async with session_of(database, ada) as revoking, revoking.transaction():
            await revoking.execute("SELECT api.revoke_device(%s)", [lost.client.device_id])
            late = asyncio.create_task(
                session.execute("SELECT api.ack_changes(%s)", [page["cursor"]])
            )
            await wait_for_lock(connection, session.info.backend_pid)
        with pytest.raises(psycopg.Error) as refusal:
            await late
        assert refusal.value.sqlstate == "RO302"
        assert await (await connection.execute(kept)).fetchall() == [(ada.device_id,)]


async def test_transactions_that_are_held_open(client: Client, database: str) -> None:
    """Begun first and committed last, or not at all: nothing is passed over or comes twice."""
    ada, grace = await client.sign_up(), await client.sign_up()
    slow, fast = [await ada.open_conversation(grace) for _ in range(2)]
    device = SyncedDevice(grace)
    await device.catch_up()

    def seqs(conversation_id: str) -> list[int]:
        return sorted(device.scopes[scope_of(conversation_id)].messages())

    async with (
        await connect(database) as observer,
        session_of(database, ada) as first,
        session_of(database, ada) as second,
    ):
        for keeps in (True, False):
            before, ending = seqs(slow), contextlib.suppress(psycopg.Rollback)
            with ending:
                async with first.transaction() as transaction:
                    await first.execute(SEND, [slow])
                    # Somebody else's waits for the offset, and the other conversation for nobody.
                    waiting = asyncio.create_task(second.execute(SEND, [slow]))
                    await wait_for_lock(observer, second.info.backend_pid)
                    await say(ada, fast)
                    newest = (await say(ada, fast))[0]["seq"]
                    await device.catch_up()
                    assert seqs(fast)[-1] == newest
                    assert seqs(slow) == before
                    if not keeps:
                        raise psycopg.Rollback(transaction)
            await waiting
            await device.catch_up()
            assert len(seqs(slow)) == len(before) + 1 + keeps
            await is_in_step(device)


@pytest.mark.parametrize("first", ["remove", "rename"])
async def test_a_removal_and_a_new_name_wait_for_each_other_in_one_direction(
    client: Client, database: str, first: str
) -> None:
    """Both write the participant and the inbox, in this order."""
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    device = SyncedDevice(grace)
    await device.catch_up()
    calls: dict[str, tuple[Client, str, list[Any]]] = {
        "remove": (ada, "SELECT api.remove_participant(%s, %s)", [conversation_id, grace.user_id]),
        "rename": (grace, "SELECT api.update_me(display_name => 'Grace')", []),
    }
    other = "rename" if first == "remove" else "remove"
    async with (
        await connect(database) as observer,
        session_of(database, calls[first][0]) as one,
        session_of(database, calls[other][0]) as two,
    ):
        async with one.transaction():
            await one.execute(calls[first][1].encode(), calls[first][2])
            late = asyncio.create_task(two.execute(calls[other][1].encode(), calls[other][2]))
            await wait_for_lock(observer, two.info.backend_pid)
        await late
    await device.catch_up()
    assert set(device.scopes) == {f"user:{grace.user_id}"}
    await is_in_step(device)


async def test_pulling_and_listening_join_without_a_gap(client: Client) -> None:
    """While others write: what was pulled and what is heard from there on is all, and once."""
    ada, grace, writer = [await client.sign_up() for _ in range(3)]
    ids = [await ada.open_conversation(grace, writer) for _ in range(3)]
    done = asyncio.Event()

    async def write(person: Client) -> None:
        while not done.is_set():
            conversation_id = random.choice(ids)
            (sent,) = await say(person, conversation_id)
            if random.random() < 1 / 3:
                await person.ask(
                    "edit_message", message_id=sent["id"], content={"text": "y"}, based_on_version=1
                )

    async with asyncio.TaskGroup() as group:
        for person in (ada, writer):
            group.create_task(write(person))
        device = SyncedDevice(grace)
        for _ in range(3):
            await device.catch_up(acknowledges=False, limit=7)
            before = device.copy()
            positions = {name: held.position for name, held in device.scopes.items()}
            async with phone_of(
                grace, f"user:{grace.user_id}", replay={"topics": positions}
            ) as phone:
                heard: dict[str, list[JSON]] = {scope_of(key): [] for key in ids}
                for _ in range(30):
                    (event,) = await phone.events(1)
                    heard[event["meta"]["topic"]].append(event)
            for scope, events in heard.items():
                offsets = [event["meta"]["offset"] for event in events]
                first = positions[scope]
                assert first is not None
                assert offsets == list(range(first + 1, first + 1 + len(events)))
                # The messages that were there are those up to the position, and no other.
                seqs = set(before.scopes[scope].messages())
                assert (
                    not {
                        event["payload"]["seq"]
                        for event in events
                        if event["event"] == "message.created"
                    }
                    & seqs
                )
        done.set()
    device = SyncedDevice(grace)
    await device.catch_up()
    await is_in_step(device)


async def act(person: Client, others: list[Client], ids: list[str], choice: random.Random) -> None:
    """Something that people do; what they may not is refused."""
    conversation_id = choice.choice(ids)
    messages = await person.call("list_messages", conversation_id=conversation_id, page_size=20)
    message = choice.choice(messages.body) if messages.status == 200 and messages.body else None
    other = choice.choice(others)
    what = choice.choice(
        ["send"] * 4
        + ["edit", "react", "delete", "restore", "purge", "answer", "read", "title", "me"]
        + ["remove", "add", "add_from_now", "leave"]
    )
    here = {"conversation_id": conversation_id}
    match what:
        case "send":
            await person.call("send_message", **here, content={"text": "x"})
        case "title":
            await person.call("update_conversation", **here, title=str(choice.random()))
        case "me":
            await person.call("update_me", preferences={"n": choice.randrange(3)})
            name = str(choice.randrange(3))
            await person.call("register_device", device_name=name, device_type="phone")
        case "leave":
            await person.call("leave_conversation", **here)
        case "remove":
            await person.call("remove_participant", **here, user_id=other.user_id)
        case "add" | "add_from_now":
            history = "all" if what == "add" else "from_now"
            await person.call("add_participant", **here, user_id=other.user_id, history=history)
        case _ if message is None:
            pass
        case "edit":
            await person.call(
                "edit_message",
                message_id=message["id"],
                content={"text": str(choice.random())},
                based_on_version=message["version"],
            )
        case "answer":
            await person.call(
                "send_message", **here, content={"text": "x"}, parent_message_id=message["id"]
            )
        case "react":
            await person.call(
                "add_reaction", message_id=message["id"], reaction=choice.choice("ab")
            )
        case "read":
            await person.call("mark_read", **here, up_to_seq=message["seq"])
        case _:
            await person.call(f"{what}_message", message_id=message["id"])


@pytest.mark.parametrize("seed", range(6))
async def test_after_quiet_all_devices_have_what_the_server_has(client: Client, seed: int) -> None:
    """Pages are lost, asked for again, acknowledged or not, while people write."""
    choice = random.Random(seed)
    ada, grace, joan = [await client.sign_up(f"{n}@example.com") for n in range(3)]
    tablet = await client.sign_in("0@example.com")
    ids = [await ada.open_conversation(grace, joan), await grace.open_conversation(ada)]
    people = [ada, grace, joan, tablet]
    devices = [SyncedDevice(person) for person in people]
    for _ in range(60):
        person = choice.choice(people)
        await act(person, [one for one in (ada, grace, joan) if one is not person], ids, choice)
        device = choice.choice(devices)
        if choice.random() < 1 / 3:
            kept = device.copy()
            await device.pull(limit=choice.choice([1, 2, 5, 50]))
            match choice.choice(["lost", "kept", "acknowledged", "acknowledged"]):
                case "lost":
                    device.scopes, device.cursor = kept.scopes, kept.cursor
                case "acknowledged":
                    await device.acknowledge()
    for device in devices:
        if device.cursor is not None:
            await device.acknowledge()
    # An acknowledgement is a change to others, once.
    for _ in range(2):
        for device in devices:
            await device.catch_up(limit=choice.choice([3, 500]))
    for device in devices:
        await is_in_step(device)


async def test_a_checksum_says_where_device_and_server_part(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    sent = await say(ada, conversation_id, 3)
    scope, inbox = scope_of(conversation_id), f"user:{ada.user_id}"
    device = SyncedDevice(ada)
    await device.catch_up()
    assert await device.verify(scope) == {
        "scope": scope,
        "last_offset": 3,
        "is_same": True,
        "differing": [],
        "changed": [],
    }
    broken = device.copy()
    del broken.scopes[scope].things["message", sent[1]["id"]]
    assert (await broken.verify(scope))["differing"] == ["0"]
    broken = device.copy()
    broken.scopes[scope].things["message", str(uuid.uuid4())] = (3, sent[2])
    del broken.scopes[scope].things["participant", ada.user_id]
    assert (await broken.verify(scope))["differing"] == ["0", "others"]
    broken.scopes[inbox].things.popitem()
    assert (await broken.verify(inbox))["differing"] == ["others"]
    # What has changed since is not compared.
    await ada.ask(
        "edit_message", message_id=sent[0]["id"], content={"text": "y"}, based_on_version=1
    )
    verified = await device.verify(scope)
    assert (verified["is_same"], verified["differing"], verified["changed"]) == (False, [], ["0"])
    refused = await (await client.sign_up()).call(
        "verify_scope", scope=scope, position=3, from_seq=1, buckets={}
    )
    assert (refused.status, refused.body["code"]) == (404, "RO201")
