"""People of a whole server who listen to a conversation over a socket."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from roost.realtime.protocol import Version
from tests.relaying import Phone, join_payload
from tests.serving import Client


class Listener:
    """Somebody's socket that has joined a conversation."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def next(self) -> tuple[str, Any]:
        """Name and payload of the next event, which has to be the next message."""
        (event,) = await self._phone.events(1)
        return event["event"], event["payload"]

    async def has_nothing_more(self) -> None:
        """Nothing else is on its way on the socket."""
        await self._phone.is_answered()


@contextlib.asynccontextmanager
async def listening(person: Client, conversation_id: str) -> AsyncIterator[Listener]:
    """Joins conversation:<id>; from then on every event of it arrives, that person's own too."""
    async with person.http.ws_connect(f"{person.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        joining = join_payload(person.token, self=True)
        ref = await phone.send(f"realtime:conversation:{conversation_id}", "phx_join", joining)
        reply = await phone.reply(ref)
        assert reply["status"] == "ok", reply
        yield Listener(phone)
