"""What a client sends again under the same id is told again: the server that took it may have died
between the commit and telling, and the client was not answered for that reason.
"""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from roost.realtime import relay
from roost.realtime.protocol import Version
from tests.relaying import Phone, join_payload
from tests.serving import Client, serving
from tests.support import connect


def _message(_ada: Client, conversation_id: str) -> tuple[str, dict[str, Any]]:
    return f"conversation:{conversation_id}", {
        "conversation_id": conversation_id,
        "content": {"text": "hello"},
    }


def _event(ada: Client, _conversation_id: str) -> tuple[str, dict[str, Any]]:
    topic = f"app:{ada.user_id}:notes"
    return topic, {"topic": topic, "event": "note.saved", "payload": {"n": 1}}


def _device_message(ada: Client, _conversation_id: str) -> tuple[str, dict[str, Any]]:
    return f"device:{ada.device_id}", {
        "device_id": ada.device_id,
        "message_type": "note",
        "payload": {"n": 1},
    }


@pytest.fixture
async def quiet(monkeypatch: pytest.MonkeyPatch, database: str) -> AsyncIterator[Client]:
    """A client of a server that does not look by itself."""
    monkeypatch.setattr(relay, "POLL_SECONDS", 3_600.0)
    async with serving(database) as served:
        yield served


@pytest.mark.parametrize(
    ("function", "prepare"),
    [
        ("send_message", _message),
        ("publish_event", _event),
        ("send_device_message", _device_message),
    ],
)
async def test_what_is_sent_again_is_told_again(
    quiet: Client,
    database: str,
    function: str,
    prepare: Callable[[Client, str], tuple[str, dict[str, Any]]],
) -> None:
    ada = await quiet.sign_up()
    topic, arguments = prepare(ada, await ada.open_conversation())
    arguments["id"] = str(uuid.uuid4())
    async with (
        ada.http.ws_connect(f"{ada.url}/realtime/v1/websocket?vsn=2.0.0") as ws,
        await connect(database, "roost_user", uuid.UUID(ada.user_id)) as dead,
    ):
        phone = Phone(ws, Version.V2, None)
        joining = await phone.send(f"realtime:{topic}", "phx_join", join_payload(ada.token))
        assert (await phone.reply(joining))["status"] == "ok"

        # A server that says nothing any more.
        for setting, value in (("roost.device_id", ada.device_id), ("roost.gateway", "on")):
            await dead.execute("SELECT set_config(%s, %s, false)", [setting, value])
        await dead.execute(
            sql.SQL("SELECT FROM api.{}({})").format(
                sql.Identifier(function),
                sql.SQL(", ").join(
                    sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name))
                    for name in arguments
                ),
            ),
            {
                name: Jsonb(value) if isinstance(value, dict) else value
                for name, value in arguments.items()
            },
        )
        await phone.is_answered()

        await ada.ask(function, **arguments)
        (event,) = await phone.events(1)
        assert event["meta"]["offset"] == 1
        await ada.ask(function, **arguments)
        await phone.is_answered()
