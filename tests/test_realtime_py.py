"""The official Python client, unmodified, against a whole server: version 1.0.0 of the protocol."""

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from realtime import (
    AsyncRealtimeChannel,
    AsyncRealtimeClient,
    RealtimeChannelOptions,
    RealtimeSubscribeStates,
)
from realtime.exceptions import RealtimeHTTPError

from tests.relaying import eventually
from tests.serving import PASSWORD, Client


@pytest.fixture(autouse=True)
def whatever_the_client_cannot_read(caplog: pytest.LogCaptureFixture) -> Any:
    """It logs what the server sends, and a frame that is not of the protocol as an error."""
    with caplog.at_level(logging.DEBUG, "realtime"):
        yield
    assert [r.getMessage() for r in caplog.records if "Unrecognized" in r.getMessage()] == []


@contextlib.asynccontextmanager
async def connected(person: Client) -> AsyncIterator[AsyncRealtimeClient]:
    """The official client as somebody."""
    made = AsyncRealtimeClient(f"{person.url}/realtime/v1", "anon")
    await made.connect()
    await made.set_auth(person.token)
    try:
        yield made
    finally:
        await made.remove_all_channels()


class Heard:
    """What a channel has received."""

    def __init__(self, channel: AsyncRealtimeChannel, event: str) -> None:
        self.events: list[Any] = []
        self._event = event
        channel.on_broadcast(event, self._receive)

    def _receive(self, message: Any) -> None:
        # The client calls everybody with everything.
        if message["event"] == self._event:
            self.events.append(message)

    async def first(self, number: int) -> list[Any]:
        await eventually(lambda: len(self.events) >= number)
        return self.events


def channel_of(
    client: AsyncRealtimeClient,
    topic: str,
    *,
    private: bool = True,
    ack: bool = False,
    echo: bool = False,
) -> AsyncRealtimeChannel:
    options: RealtimeChannelOptions = {
        "config": {
            "broadcast": {"ack": ack, "self": echo},
            "presence": {"key": "", "enabled": False},
            "private": private,
        }
    }
    return client.channel(topic, options)


async def subscribed(
    client: AsyncRealtimeClient, channel: AsyncRealtimeChannel, token: str | None
) -> tuple[RealtimeSubscribeStates, Exception | None]:
    """What the client is told of its join."""
    states: list[tuple[RealtimeSubscribeStates, Exception | None]] = []
    # As set_auth() leaves it to channels that are there already.
    channel.join_push.update_payload({"access_token": token})
    await channel.subscribe(lambda state, error: states.append((state, error)))
    assert client.is_connected
    return states[0]


async def test_an_event_of_a_conversation(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation(grace)
    async with connected(grace) as realtime:
        channel = channel_of(realtime, f"conversation:{conversation_id}")
        heard = Heard(channel, "message.created")
        state, error = await subscribed(realtime, channel, grace.token)
        assert (state, error) == (RealtimeSubscribeStates.SUBSCRIBED, None)
        sent = await ada.ask(
            "send_message", conversation_id=conversation_id, content={"text": "hello"}
        )
        (event,) = await heard.first(1)
        assert event["payload"] == sent
        # The client leaves out what else is in there.
        assert set(event["meta"]) == {"id"}


async def test_a_topic_of_somebody_else_is_refused(client: Client) -> None:
    ada, outsider = await client.sign_up(), await client.sign_up()
    conversation_id = await ada.open_conversation()
    async with connected(outsider) as realtime:
        channel = channel_of(realtime, f"conversation:{conversation_id}")
        state, error = await subscribed(realtime, channel, outsider.token)
        assert state == RealtimeSubscribeStates.CHANNEL_ERROR
        assert "may not join" in str(error)


async def test_broadcasts(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    topic = f"conversation:{await ada.open_conversation(grace)}"
    async with connected(ada) as sending, connected(grace) as hearing:
        sends, hears = channel_of(sending, topic, ack=True), channel_of(hearing, topic)
        own, heard = Heard(sends, "cursor"), Heard(hears, "cursor")
        for realtime, channel, person in ((sending, sends, ada), (hearing, hears, grace)):
            state, _ = await subscribed(realtime, channel, person.token)
            assert state == RealtimeSubscribeStates.SUBSCRIBED
        for n in range(20):
            await sends.send_broadcast("cursor", {"n": n, "name": "ü"})
        assert await heard.first(20) == [
            {"event": "cursor", "payload": {"n": n, "name": "ü"}} for n in range(20)
        ]
        # Each was confirmed, and none has come back.
        await eventually(lambda: not sends.messages_waiting_for_ack)
        assert own.events == []
        await sends.send_broadcast("typing", {})
        await eventually(lambda: "come from the server alone" in caplog.text)
        assert sends.is_joined


async def test_broadcasts_over_http(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    topic = f"conversation:{await ada.open_conversation(grace)}"
    async with connected(ada) as sending, connected(grace) as hearing:
        sends, hears = channel_of(sending, topic), channel_of(hearing, topic)
        heard = Heard(hears, "two words")
        await subscribed(hearing, hears, grace.token)
        await sends.http_send("two words", {"n": 1})
        # This version of the protocol has no form for bytes.
        await sends.http_send("two words", b"\x00\xff")
        await sends.http_send("two words", {"n": 2})
        assert [event["payload"] for event in await heard.first(2)] == [{"n": 1}, {"n": 2}]
        with pytest.raises(RealtimeHTTPError, match="come from the server alone"):
            await sends.http_send("typing", {})
        open_channel = channel_of(sending, f"user:{ada.user_id}", private=False)
        with pytest.raises(RealtimeHTTPError, match="private channels only"):
            await open_channel.http_send("x", {})


async def test_heartbeats_without_a_reference_are_answered(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    ada = await client.sign_up()
    answer = (
        'receive: \'{"topic":"phoenix","event":"phx_reply",'
        '"payload":{"status":"ok","response":{}},"ref":null}\''
    )
    async with connected(ada):
        # The first goes out with the connection.
        await eventually(lambda: answer in caplog.text)


async def test_a_new_token_keeps_a_channel(client: Client) -> None:
    email = "ada@example.com"
    ada = await client.sign_up(email)
    topic = f"conversation:{await ada.open_conversation()}"
    async with connected(ada) as realtime:
        channel = channel_of(realtime, topic, echo=True)
        heard = Heard(channel, "cursor")
        await subscribed(realtime, channel, ada.token)
        answer = await client.request(
            "POST",
            "/auth/v1/token?grant_type=password",
            json={"email": email, "password": PASSWORD},
        )
        await realtime.set_auth(answer.body["access_token"])
        # Of another session: the first may end now.
        await ada.request("POST", "/auth/v1/logout?scope=local")
        await channel.send_broadcast("cursor", {"n": 1})
        await heard.first(1)
        assert channel.is_joined


# The client says how its connection ended in a way that its own library is giving up.
@pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")
async def test_a_cut_connection_comes_back_and_resumes(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    topic = f"conversation:{conversation_id}"

    async def send() -> None:
        await ada.ask("send_message", conversation_id=conversation_id, content={"text": "a"})

    async with connected(ada) as realtime:
        channel = channel_of(realtime, topic)
        heard = Heard(channel, "message.created")
        await subscribed(realtime, channel, ada.token)
        await send()
        (event,) = await heard.first(1)
        # A message's number is the offset of the event.
        replay = {"after": event["payload"]["seq"]}
        config = {**channel.join_push.payload["config"], "broadcast": {"replay": replay}}
        channel.join_push.update_payload({"config": config})
        connection = realtime._ws_connection
        assert connection is not None
        connection.transport.abort()
        await send()
        await eventually(lambda: realtime._ws_connection not in (None, connection))
        await eventually(lambda: channel.is_joined)
        await send()
        events = await heard.first(3)
        assert [event["payload"]["seq"] for event in events] == [1, 2, 3]
