"""Messages from device to device: over real sockets, and what two sessions do at once."""

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Self

import psycopg
import pytest

from roost.realtime.protocol import Version
from tests.locks import wait_for_lock
from tests.relaying import Phone, join_payload
from tests.serving import Client
from tests.support import connect

EMAIL = "ada@example.com"
NOTHING = "00000000-0000-7000-8000-000000000000"
RUN = {"message_type": "command.run", "payload": {"command": "make test", "n": 1.50}}

# Each makes it another message.
OTHERS: list[dict[str, Any]] = [{"payload": {}}, {"message_type": "x"}, {"ttl_seconds": 60}]

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Serve = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
async def phone(client: Client) -> Client:
    return await client.sign_up(EMAIL)


@pytest.fixture
async def editor(phone: Client) -> Client:
    """The same person on another device."""
    return await phone.sign_in(EMAIL)


async def send(sender: Client, receiver: Client, **more: Any) -> dict[str, Any]:
    message: dict[str, Any] = await sender.ask(
        "send_device_message", **{"device_id": receiver.device_id, **RUN, **more}
    )
    return message


class Live:
    """A device's socket, which has joined its own topic."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def next(self) -> tuple[int, str, Any]:
        """Offset, name and payload of the next event, which has to be the next message."""
        (event,) = await self._phone.events(1)
        return event["meta"]["offset"], event["event"], event["payload"]

    async def has_nothing_more(self) -> None:
        await self._phone.is_answered()


@contextlib.asynccontextmanager
async def live(device: Client, after: int | None = None) -> AsyncIterator[Live]:
    """Joins device:<id>, from an offset if one is given."""
    async with device.http.ws_connect(f"{device.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        config = {"self": True} | ({} if after is None else {"replay": {"after": after}})
        topic = f"realtime:device:{device.device_id}"
        reply = await phone.reply(
            await phone.send(topic, "phx_join", join_payload(device.token, **config))
        )
        assert reply["status"] == "ok", reply
        yield Live(phone)


async def refusal(device: Client, function: str, **arguments: Any) -> tuple[int, str]:
    """Status and code of a call that has to be refused, with a cure."""
    answer = await device.call(function, **arguments)
    assert answer.body["hint"], answer
    return answer.status, answer.body["code"]


async def test_a_phone_asks_the_editor_to_run_something(phone: Client, editor: Client) -> None:
    """The editor is offline when it is asked, and the phone when it is answered."""
    first, second = await send(phone, editor), await send(phone, editor, payload={})
    assert first == {
        "id": first["id"],
        "from_device_id": phone.device_id,
        "to_device_id": editor.device_id,
        "number": 1,
        "state": "waiting",
        **RUN,
        "reply_to": None,
        "created_at": first["created_at"],
        "expires_at": first["expires_at"],
    }

    async with live(editor, after=0) as heard:
        # What is heard is what is listed, so one decoder does for both.
        assert await heard.next() == (1, "device_message.created", first)
        assert await heard.next() == (2, "device_message.created", second)
        assert await editor.ask("list_device_messages") == [first, second]
        # Reading takes nothing away.
        assert await editor.ask("list_device_messages", page_size=1) == [first]
        assert await editor.ask("list_device_messages", after_number=1) == [second]

        third = await send(phone, editor)
        assert await heard.next() == (3, "device_message.created", third)
        await heard.has_nothing_more()

    answer = await send(
        editor, phone, message_type="command.done", payload={"code": 0}, reply_to=first["id"]
    )
    ids = [first["id"], second["id"]]
    assert await editor.ask("acknowledge_device_messages", ids=ids) == 2
    assert await editor.ask("acknowledge_device_messages", ids=ids) == 0
    assert await editor.ask("list_device_messages") == [third]

    async with live(phone, after=0) as heard:
        assert await heard.next() == (1, "device_message.created", answer)
        for offset, message in ((2, first), (3, second)):
            assert await heard.next() == (
                offset,
                "device_message.acknowledged",
                {"id": message["id"], "device_id": editor.device_id},
            )
        assert await phone.ask("list_device_messages") == [answer]
        assert (answer["message_type"], answer["reply_to"]) == ("command.done", first["id"])
        await editor.ask("acknowledge_device_messages", ids=[third["id"]])
        assert (await heard.next())[1:] == (
            "device_message.acknowledged",
            {"id": third["id"], "device_id": editor.device_id},
        )
    # What it answers may be gone.
    late = await send(editor, phone, reply_to=first["id"])
    assert late["reply_to"] == first["id"]


async def test_it_survives_that_everybody_is_away(serve: Serve) -> None:
    async with serve() as client:
        phone = await client.sign_up(EMAIL)
        editor = await client.sign_in(EMAIL)
        kept = await send(phone, editor)
        brief = await send(phone, editor, ttl_seconds=1)
        assert await editor.ask("list_device_messages") == [kept, brief]
        while await editor.ask("list_device_messages") != [kept]:
            await asyncio.sleep(0.05)

    # Another server on the same database begins with what is past its time.
    async with serve() as client:
        phone = replace(phone, url=client.url, http=client.http)
        editor = replace(editor, url=client.url, http=client.http)
        assert await editor.ask("list_device_messages") == [kept]
        async with live(phone, after=0) as heard:
            expired = {"id": brief["id"], "device_id": editor.device_id}
            assert await heard.next() == (1, "device_message.expired", expired)
        async with live(editor, after=0) as heard:
            assert await heard.next() == (1, "device_message.created", kept)
            assert await heard.next() == (2, "device_message.created", gone(brief, "expired"))
            await heard.has_nothing_more()
        assert await editor.ask("acknowledge_device_messages", ids=[kept["id"], brief["id"]]) == 1


def gone(message: dict[str, Any], state: str) -> dict[str, Any]:
    """What is left of a message."""
    return {**message, "state": state, "message_type": None, "payload": None, "reply_to": None}


async def test_what_was_deleted_is_not_replayed(phone: Client, editor: Client) -> None:
    acknowledged, cancelled, waiting = [await send(phone, editor) for _ in range(3)]
    await editor.ask("acknowledge_device_messages", ids=[acknowledged["id"]])
    assert await phone.ask("cancel_device_message", id=cancelled["id"]) == gone(
        cancelled, "cancelled"
    )

    async with live(editor, after=0) as heard:
        assert await heard.next() == (
            1,
            "device_message.created",
            gone(acknowledged, "acknowledged"),
        )
        assert await heard.next() == (2, "device_message.created", gone(cancelled, "cancelled"))
        assert await heard.next() == (3, "device_message.created", waiting)
        assert await heard.next() == (
            4,
            "device_message.cancelled",
            {"id": cancelled["id"], "device_id": phone.device_id},
        )
        await heard.has_nothing_more()
    assert await editor.ask("list_device_messages") == [waiting]


async def test_the_same_id_is_one_message(phone: Client, editor: Client) -> None:
    message_id = str(uuid.uuid4())
    async with live(editor) as heard:
        first = await send(phone, editor, id=message_id)
        assert await send(phone, editor, id=message_id) == first
        assert (await heard.next())[2] == first
        for other in OTHERS:
            assert await refusal(
                phone,
                "send_device_message",
                **{"device_id": editor.device_id, **RUN, "id": message_id, **other},
            ) == (409, "RO301")
        # The answer was lost, and the editor is quicker than the second attempt.
        await editor.ask("acknowledge_device_messages", ids=[message_id])
        assert await send(phone, editor, id=message_id) == gone(first, "acknowledged")
        await heard.has_nothing_more()
    # It is too late to take it back.
    assert (await phone.ask("cancel_device_message", id=message_id))["state"] == "acknowledged"


async def test_a_device_has_nothing_to_do_with_anothers(
    client: Client, phone: Client, editor: Client
) -> None:
    tablet, stranger = await client.sign_in(EMAIL), await client.sign_up()
    message = await send(phone, editor)

    for other in (phone, tablet, stranger):
        assert await other.ask("list_device_messages") == []
        assert await other.ask("acknowledge_device_messages", ids=[message["id"]]) == 0
    for other in (editor, tablet, stranger):
        assert await refusal(other, "cancel_device_message", id=message["id"]) == (404, "RO201")
    for sender, receiver in ((stranger, editor), (phone, stranger)):
        assert await refusal(
            sender, "send_device_message", device_id=receiver.device_id, **RUN
        ) == (404, "RO201")
    # Nor does it hear of it.
    for other in (phone, tablet, stranger):
        async with other.http.ws_connect(f"{other.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
            socket = Phone(ws, Version.V2, None)
            topic = f"realtime:device:{editor.device_id}"
            reply = await socket.reply(
                await socket.send(topic, "phx_join", join_payload(other.token))
            )
            assert (reply["status"], reply["response"]["code"]) == ("error", "RO401")
    assert await editor.ask("list_device_messages") == [message]


async def test_a_revoked_device_gets_and_asks_nothing(
    client: Client, phone: Client, editor: Client
) -> None:
    lost = await client.sign_in(EMAIL)
    await send(editor, lost)
    asked = await send(lost, editor)
    stays = await send(phone, editor)

    await phone.ask("revoke_device", device_id=lost.device_id)

    assert await editor.ask("list_device_messages") == [stays]
    async with live(editor, after=0) as heard:
        assert (await heard.next())[2] == gone(asked, "cancelled")
        assert (await heard.next())[2] == stays
        await heard.has_nothing_more()
    assert await refusal(editor, "send_device_message", device_id=lost.device_id, **RUN) == (
        404,
        "RO201",
    )


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ({"ttl_seconds": 0}, 400, "23514"),
        ({"ttl_seconds": 2_592_001}, 400, "23514"),
        ({"ttl_seconds": 2**31}, 400, "22003"),
        ({"message_type": "Run"}, 400, "23514"),
        ({"payload": []}, 400, "23514"),
        ({"payload": {"x": "x" * 65_536}}, 400, "23514"),
        ({"device_id": NOTHING}, 404, "RO201"),
        ({"device_id": None}, 404, "RO201"),
        ({"id": "x"}, 400, "22P02"),
    ],
)
async def test_what_does_not_fit_is_refused_with_the_cure(
    phone: Client, editor: Client, arguments: dict[str, Any], status: int, code: str
) -> None:
    sent = {"device_id": editor.device_id, **RUN, **arguments}

    assert await refusal(phone, "send_device_message", **sent) == (status, code)
    assert await editor.ask("list_device_messages") == []


async def test_a_full_queue(phone: Client, editor: Client, database: str) -> None:
    async with await connect(database) as operator:
        await fill(operator, phone.user_id, phone.device_id, editor.device_id, 999)
    message = await send(phone, editor)

    assert await refusal(phone, "send_device_message", device_id=editor.device_id, **RUN) == (
        409,
        "RO205",
    )
    # The other way there is room.
    await send(editor, phone)
    await phone.ask("cancel_device_message", id=message["id"])
    await send(phone, editor)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("send_device_message", {"device_id": NOTHING, **RUN}),
        ("list_device_messages", {}),
        ("acknowledge_device_messages", {"ids": []}),
        ("cancel_device_message", {"id": NOTHING}),
    ],
)
async def test_nobody_has_no_messages(
    client: Client, function: str, arguments: dict[str, Any]
) -> None:
    assert await refusal(client, function, **arguments) == (401, "42501")


# --- at the same moment --------------------------------------------------------------------------


async def fill(operator: Connection, user: Any, sender: Any, receiver: Any, number: int) -> None:
    """So many messages wait, under numbers that no event has."""
    await operator.execute(
        "INSERT INTO roost.device_messages"
        " (user_id, from_device_id, to_device_id, number, message_type, expires_at)"
        " SELECT %s, %s, %s, 1000000 + n, 'x', now() + interval '1 hour'"
        " FROM generate_series(1, %s) AS n",
        [user, sender, receiver, number],
    )


@dataclass(frozen=True, slots=True)
class Device:
    """A session of PostgreSQL that calls from a device."""

    id: uuid.UUID
    connection: Connection

    async def ask(self, query: str, *values: Any) -> Any:
        """The first column of the first row."""
        cursor = await self.connection.execute(query.encode(), values)
        row = await cursor.fetchone()
        assert row is not None
        return row[0]

    async def send(
        self, receiver: "Device", message_id: uuid.UUID | None = None
    ) -> tuple[uuid.UUID, int, str]:
        """Id, number and state of a message sent."""
        cursor = await self.connection.execute(
            "SELECT id, number, state::text FROM api.send_device_message(%s, 'x', id => %s)",
            [receiver.id, message_id],
        )
        row = await cursor.fetchone()
        assert row is not None
        return row[0], row[1], row[2]

    async def acknowledge(self, *ids: uuid.UUID) -> int:
        return int(await self.ask("SELECT api.acknowledge_device_messages(%s)", list(ids)))

    async def cancel(self, message_id: uuid.UUID) -> str:
        """What became of it."""
        return str(
            await self.ask("SELECT state::text FROM api.cancel_device_message(%s)", message_id)
        )

    async def revoke(self, device: "Device") -> None:
        await self.ask("SELECT (api.revoke_device(%s)).status::text", device.id)

    async def waiting(self, after: int = 0) -> list[int]:
        cursor = await self.connection.execute(
            "SELECT number FROM api.list_device_messages(%s)", [after]
        )
        return [number for (number,) in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Devices:
    """Three devices of one person, their server's job, and somebody who looks on."""

    phone: Device
    tablet: Device
    editor: Device
    job: Connection
    observer: Connection
    user_id: uuid.UUID

    async def while_it_waits(
        self, device: Device, doing: Coroutine[Any, Any, Any]
    ) -> asyncio.Task[Any]:
        """Does something on a device, up to where it waits for a lock."""
        task = asyncio.create_task(doing)
        async with asyncio.timeout(10):
            await wait_for_lock(self.observer, device.connection.info.backend_pid)
        assert not task.done()
        return task

    async def expire(self) -> int:
        cursor = await self.job.execute("SELECT roost.expire_device_messages(100)")
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def make_old(self) -> None:
        await self.observer.execute(
            "UPDATE roost.device_messages"
            " SET created_at = now() - interval '1 hour', expires_at = now()"
        )

    async def events(self, device: Device) -> list[tuple[int, str, str | None]]:
        """Offset, name and state of what its topic has."""
        cursor = await self.observer.execute(
            "SELECT event_offset, replace(event, 'device_message.', ''), payload ->> 'state'"
            " FROM realtime.events WHERE topic = 'device:' || %s ORDER BY event_offset",
            [device.id],
        )
        return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]


@pytest.fixture
async def devices(database: str) -> AsyncIterator[Devices]:
    async with AsyncExitStack() as stack:
        observer = await stack.enter_async_context(await connect(database))
        job = await stack.enter_async_context(await connect(database, "roost_gateway"))
        user_id = uuid.uuid4()
        await observer.execute(
            "INSERT INTO roost.users (id, email, password_hash)"
            " VALUES (%s, %s, '$argon2id$v=19$x')",
            [user_id, EMAIL],
        )
        made = []
        # In the order of their ids, in which they are locked.
        for device_id in sorted(uuid.uuid4() for _ in range(3)):
            await observer.execute(
                "INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)", [device_id, user_id]
            )
            made.append(Device(device_id, await on_device(stack, database, user_id, device_id)))
        phone, tablet, editor = made
        yield Devices(phone, tablet, editor, job, observer, user_id)


async def on_device(
    stack: AsyncExitStack, database: str, user_id: uuid.UUID, device_id: uuid.UUID
) -> Connection:
    connection = await stack.enter_async_context(await connect(database, "roost_user", user_id))
    await connection.execute("SELECT set_config('roost.device_id', %s, false)", [str(device_id)])
    await connection.execute("SET lock_timeout = '10s'")
    return connection


@pytest.mark.parametrize("commits", [True, False])
async def test_two_senders_to_one_device(devices: Devices, commits: bool) -> None:
    """The receiving device's row: numbers are in the order of commits, and none is skipped."""
    async with devices.phone.connection.transaction(force_rollback=not commits):
        _, first, _ = await devices.phone.send(devices.editor)
        second = await devices.while_it_waits(devices.tablet, devices.tablet.send(devices.editor))
        assert await devices.editor.waiting() == []

    assert first == 1
    assert (await second)[1] == (2 if commits else 1)
    assert await devices.editor.waiting() == ([1, 2] if commits else [1])
    assert [event[0] for event in await devices.events(devices.editor)] == (
        [1, 2] if commits else [1]
    )


@pytest.mark.parametrize("commits", [True, False])
async def test_the_same_id_twice_at_once(devices: Devices, database: str, commits: bool) -> None:
    """The sending device's row: whoever comes second finds the first, or that there is none."""
    message_id = uuid.uuid4()
    async with AsyncExitStack() as stack:
        again = Device(
            devices.phone.id,
            await on_device(stack, database, devices.user_id, devices.phone.id),
        )
        async with devices.phone.connection.transaction(force_rollback=not commits):
            first = await devices.phone.send(devices.editor, message_id)
            second = await devices.while_it_waits(again, again.send(devices.editor, message_id))
        assert await second == first == (message_id, 1, "waiting")
        assert await devices.events(devices.editor) == [(1, "created", "waiting")]

        # To another device it is another message: as if it had come later.
        async with devices.phone.connection.transaction():
            other = uuid.uuid4()
            await devices.phone.send(devices.editor, other)
            second = await devices.while_it_waits(again, again.send(devices.tablet, other))
        with pytest.raises(psycopg.Error) as refused:
            await second
        assert refused.value.sqlstate == "RO301"
        assert await devices.tablet.waiting() == []


async def test_the_same_id_from_two_devices_at_once(devices: Devices) -> None:
    """The primary key. The one that comes second has taken no offset."""
    message_id = uuid.uuid4()
    async with devices.phone.connection.transaction():
        await devices.phone.send(devices.phone, message_id)
        second = await devices.while_it_waits(
            devices.editor, devices.editor.send(devices.editor, message_id)
        )
    with pytest.raises(psycopg.Error) as refused:
        await second
    assert refused.value.sqlstate == "23505"
    assert (await devices.editor.send(devices.editor))[1] == 1


async def test_the_last_place_in_a_queue(devices: Devices) -> None:
    """The receiving device's row: the second counts what the first has put there."""
    await fill(devices.observer, devices.user_id, devices.phone.id, devices.editor.id, 999)
    async with devices.phone.connection.transaction():
        await devices.phone.send(devices.editor)
        second = await devices.while_it_waits(devices.tablet, devices.tablet.send(devices.editor))
    with pytest.raises(psycopg.Error) as refused:
        await second
    assert refused.value.sqlstate == "RO205"


async def test_devices_that_send_to_each_other(devices: Devices) -> None:
    """Both rows in the order of their ids: the second waits with nothing that the first needs."""
    async with devices.editor.connection.transaction():
        await devices.editor.send(devices.phone)
        second = await devices.while_it_waits(devices.phone, devices.phone.send(devices.editor))
        await devices.editor.send(devices.phone)
    assert (await second)[1] == 1
    assert await devices.phone.waiting() == [1, 2]


async def test_a_message_to_a_device_that_is_revoked(devices: Devices) -> None:
    async with devices.tablet.connection.transaction():
        await devices.tablet.revoke(devices.editor)
        sent = await devices.while_it_waits(devices.phone, devices.phone.send(devices.editor))
    with pytest.raises(psycopg.Error) as refused:
        await sent
    assert refused.value.sqlstate == "RO201"


@pytest.mark.parametrize("revoked", ["phone", "editor"])
async def test_a_revocation_takes_the_message_before_it(devices: Devices, revoked: str) -> None:
    async with devices.phone.connection.transaction():
        await devices.phone.send(devices.editor)
        revocation = await devices.while_it_waits(
            devices.tablet, devices.tablet.revoke(getattr(devices, revoked))
        )
    await revocation
    assert (await devices.events(devices.editor))[0] == (1, "created", "cancelled")
    cursor = await devices.observer.execute("SELECT count(*) FROM roost.device_messages")
    assert await cursor.fetchone() == (0,)


@pytest.mark.parametrize("revoked", ["phone", "editor"])
async def test_an_acknowledgement_and_a_revocation(devices: Devices, revoked: str) -> None:
    """The devices' rows: the second does not begin before the first has ended."""
    device = getattr(devices, revoked)
    first, *_ = await devices.phone.send(devices.editor)
    async with devices.editor.connection.transaction():
        assert await devices.editor.acknowledge(first) == 1
        revocation = await devices.while_it_waits(devices.tablet, devices.tablet.revoke(device))
    await revocation
    assert (await devices.events(devices.editor))[0] == (1, "created", "acknowledged")

    await devices.observer.execute("UPDATE roost.devices SET status = 'active'")
    second, *_ = await devices.phone.send(devices.editor)
    async with devices.tablet.connection.transaction():
        await devices.tablet.revoke(device)
        acknowledgement = await devices.while_it_waits(
            devices.editor, devices.editor.acknowledge(second)
        )
    assert await acknowledgement == 0


@dataclass(frozen=True, slots=True)
class Locked:
    """A row, as a statement that locks it."""

    statement: str

    @classmethod
    def device(cls, device: Device) -> Self:
        return cls(f"SELECT FROM roost.devices WHERE id = '{device.id}' FOR UPDATE")

    @classmethod
    def message(cls, message_id: uuid.UUID) -> Self:
        return cls(f"SELECT FROM roost.device_messages WHERE id = '{message_id}' FOR UPDATE")

    @classmethod
    def topic(cls, device: Device) -> Self:
        return cls(f"SELECT FROM realtime.topics WHERE topic = 'device:{device.id}' FOR UPDATE")

    async def by(self, connection: Connection) -> None:
        """Fails when somebody else has it."""
        await connection.execute(f"{self.statement} NOWAIT".encode())


async def test_locks_are_taken_in_order(devices: Devices, database: str) -> None:
    """Whoever waits for one of its locks has none of those that come after it."""
    phone, tablet, editor = devices.phone, devices.tablet, devices.editor
    # Of each device one, so that all have a topic.
    first, *_ = await phone.send(editor, uuid.UUID(int=1))
    second, *_ = await tablet.send(editor, uuid.UUID(int=2))
    await editor.send(phone)
    await editor.send(tablet)

    async def acknowledge() -> int:
        return await editor.acknowledge(second, first)

    async with await connect(database) as other:
        for device, doing, held, free in (
            (editor, lambda: editor.send(phone), Locked.device(phone), Locked.device(editor)),
            (phone, lambda: phone.send(editor), Locked.device(phone), Locked.device(editor)),
            (phone, lambda: phone.send(editor), Locked.device(editor), Locked.topic(editor)),
            (editor, acknowledge, Locked.device(phone), Locked.device(tablet)),
            (editor, acknowledge, Locked.device(tablet), Locked.message(first)),
            (editor, acknowledge, Locked.message(first), Locked.message(second)),
            (editor, acknowledge, Locked.message(second), Locked.topic(phone)),
            (editor, acknowledge, Locked.topic(phone), Locked.topic(tablet)),
        ):
            async with device.connection.transaction(force_rollback=True):
                async with devices.observer.transaction():
                    await held.by(devices.observer)
                    task = await devices.while_it_waits(device, doing())
                    async with other.transaction():
                        await free.by(other)
                await task


async def test_no_circle_of_an_acknowledgement_and_a_revocation(
    devices: Devices, database: str
) -> None:
    """
    The devices' rows. A revocation has its topics before it comes to messages, and whoever
    acknowledges has messages before topics: one of them must not begin.
    """
    first, *_ = await devices.phone.send(devices.editor)
    second, *_ = await devices.tablet.send(devices.editor)
    await devices.editor.send(devices.phone)
    async with await connect(database) as holder, holder.transaction():
        await Locked.topic(devices.phone).by(holder)
        # It has both messages, and is yet to take the topic of the tablet.
        acknowledgement = await devices.while_it_waits(
            devices.editor, devices.editor.acknowledge(first, second)
        )
        revocation = await devices.while_it_waits(
            devices.phone, devices.phone.revoke(devices.tablet)
        )
    assert await acknowledgement == 2
    await revocation
    assert await devices.events(devices.tablet) == [
        (1, "acknowledged", None),
        (2, "device.revoked", None),
    ]


async def test_an_acknowledgement_waits_for_no_sender(devices: Devices) -> None:
    """Nor a sender for it, unless it sends to a device that is told of it."""
    first, *_ = await devices.phone.send(devices.editor)
    second, *_ = await devices.phone.send(devices.editor)
    for device in (devices.tablet, devices.editor):
        await device.connection.execute("SET lock_timeout = '1s'")
    async with devices.tablet.connection.transaction():
        await devices.tablet.send(devices.editor)
        assert await devices.editor.acknowledge(first) == 1
    async with devices.editor.connection.transaction():
        assert await devices.editor.acknowledge(second) == 1
        await devices.tablet.send(devices.editor)
    assert await devices.editor.waiting() == [3, 4]


async def test_a_message_that_is_sent_again_while_it_is_acknowledged(devices: Devices) -> None:
    """It is found in the queue or among what is done: never in neither."""
    message_id = uuid.uuid4()
    await devices.phone.send(devices.editor, message_id)
    async with devices.editor.connection.transaction():
        assert await devices.editor.acknowledge(message_id) == 1
        assert await devices.phone.send(devices.editor, message_id) == (message_id, 1, "waiting")
    assert await devices.phone.send(devices.editor, message_id) == (message_id, 1, "acknowledged")
    assert await devices.editor.waiting() == []


async def test_acknowledged_or_cancelled(devices: Devices) -> None:
    """The message's row: one of the two happens, and both are told which."""
    first, *_ = await devices.phone.send(devices.editor)
    second, *_ = await devices.phone.send(devices.editor)
    async with devices.editor.connection.transaction():
        assert await devices.editor.acknowledge(first) == 1
        cancellation = await devices.while_it_waits(devices.phone, devices.phone.cancel(first))
    assert await cancellation == "acknowledged"

    async with devices.phone.connection.transaction():
        assert await devices.phone.cancel(second) == "cancelled"
        acknowledgement = await devices.while_it_waits(
            devices.editor, devices.editor.acknowledge(second)
        )
    assert await acknowledgement == 0
    assert await devices.events(devices.phone) == [(1, "acknowledged", None)]
    assert await devices.events(devices.editor) == [
        (1, "created", "acknowledged"),
        (2, "created", "cancelled"),
        (3, "cancelled", None),
    ]


async def test_acknowledged_or_expired(devices: Devices) -> None:
    """The message's row: one of the two happens, and the sender hears of that alone."""
    first, *_ = await devices.phone.send(devices.editor)
    await devices.make_old()
    async with devices.editor.connection.transaction():
        assert await devices.editor.acknowledge(first) == 1
        # It does not wait, and has nothing to do.
        assert await devices.expire() == 0

    second, *_ = await devices.phone.send(devices.editor)
    await devices.make_old()
    async with devices.job.transaction():
        await devices.expire()
        acknowledgement = await devices.while_it_waits(
            devices.editor, devices.editor.acknowledge(second)
        )
    assert await acknowledgement == 0
    assert await devices.events(devices.phone) == [
        (1, "acknowledged", None),
        (2, "expired", None),
    ]


async def test_the_expiry_waits_for_no_device(devices: Devices) -> None:
    """Somebody may be about to revoke it, and then needs what the expiry would have."""
    await devices.phone.send(devices.editor)
    await devices.phone.send(devices.tablet)
    await devices.make_old()
    await devices.job.execute("SET lock_timeout = '1s'")
    async with devices.observer.transaction():
        await devices.observer.execute(
            "SELECT FROM roost.devices WHERE id = %s FOR UPDATE", [devices.editor.id]
        )
        assert await devices.expire() == 0
        assert await devices.events(devices.tablet) == [(1, "created", "expired")]
        assert await devices.events(devices.editor) == [(1, "created", "waiting")]
    await devices.expire()
    assert await devices.events(devices.editor) == [(1, "created", "expired")]


@pytest.mark.parametrize("seed", range(3))
async def test_everything_at_once(devices: Devices, database: str, seed: int) -> None:
    """No two wait for each other, no offset is skipped, and each message ends in one way."""
    chance = random.Random(seed)
    all_devices = [devices.phone, devices.tablet, devices.editor]
    sent: list[uuid.UUID] = []

    async def work(device: Device) -> None:
        for _ in range(60):
            what = chance.random()
            if what < 0.4 or not sent:
                message_id, *_ = await device.send(chance.choice(all_devices))
                sent.append(message_id)
            elif what < 0.7:
                await device.acknowledge(*chance.choices(sent, k=8))
            elif what < 0.9:
                await cancel(device, chance.choice(sent))
            else:
                await devices.observer.execute(
                    "UPDATE roost.device_messages"
                    " SET created_at = now() - interval '1 hour', expires_at = now()"
                    " WHERE id = ANY (%s)",
                    [chance.choices(sent, k=4)],
                )
                await devices.expire()

    async def cancel(device: Device, message_id: uuid.UUID) -> None:
        try:
            await device.cancel(message_id)
        except psycopg.Error as error:
            # It is another device's.
            if error.sqlstate != "RO201":
                raise

    async with AsyncExitStack() as stack:
        workers = [
            Device(device.id, await on_device(stack, database, devices.user_id, device.id))
            for device in all_devices * 2
        ]
        await asyncio.gather(*map(work, workers))

    created: Counter[str | None] = Counter()
    told: Counter[str | None] = Counter()
    for device in all_devices:
        events = await devices.events(device)
        assert [offset for offset, *_ in events] == list(range(1, len(events) + 1))
        created.update(state for _, event, state in events if event == "created")
        told.update(event for _, event, _ in events if event != "created")
    cursor = await devices.observer.execute(
        "SELECT 'waiting', count(*) FROM roost.device_messages"
        " UNION ALL SELECT state::text, count(*) FROM roost.device_message_outcomes GROUP BY state"
    )
    known = {str(state): int(count) for state, count in await cursor.fetchall()}
    assert created.total() == len(sent)
    assert +created == +Counter(known)
    assert told == created - Counter({"waiting": len(sent)})
