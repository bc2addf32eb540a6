"""The main job, shown against a running server: two people, four devices, one conversation.

Nothing in here reaches into the server: it signs up, calls and listens as any client would, over
HTTP and a WebSocket in the protocol of Supabase Realtime (vsn 2.0.0).
"""

import asyncio
import contextlib
import itertools
import secrets
import sys
import time
from typing import Any, Final, NamedTuple, Self

import aiohttp
import orjson

# An answer or a message that has not arrived by then, in seconds, is lost.
PATIENCE: Final = 10.0
TEN: Final = 10


class DemoError(Exception):
    """Something did not happen as it should have. One line."""


class Arrival(NamedTuple):
    """An event that a device got; when is by the clock of time.perf_counter()."""

    offset: int
    event: str
    payload: dict[str, Any]
    when: float


class Device:
    """A signed-in device with a socket that has joined the conversation."""

    def __init__(self, http: aiohttp.ClientSession, url: str, name: str) -> None:
        self.name = name
        self.user_id = ""
        self.last_offset = 0
        self.received: asyncio.Queue[Arrival] = asyncio.Queue()
        self._http = http
        self._url = url
        self.token = ""
        self._refs = itertools.count(1)
        self._line: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None

    async def sign_in(self, path: str, email: str, password: str, device_type: str) -> Self:
        """Signs up or in on this device."""
        session = await self._post(
            path,
            {
                "email": email,
                "password": password,
                "device": {"device_name": self.name, "device_type": device_type},
            },
        )
        self.token = session["access_token"]
        self.user_id = session["user"]["id"]
        return self

    async def call(self, function: str, **arguments: Any) -> Any:
        """POST /rpc/<function>."""
        return await self._post(f"/rpc/{function}", arguments)

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self._http.post(self._url + path, json=body, headers=headers) as answer:
            result = await answer.json(content_type=None)
            if answer.status >= 300:
                raise DemoError(f"{path}: {answer.status} {result['message']}")
            return result

    async def join(self, conversation_id: str, after: int | None = None) -> None:
        """Opens the socket and joins, from an offset on if one is given. Raises TimeoutError."""
        topic = f"realtime:conversation:{conversation_id}"
        # Its own, so that this one connection can be cut.
        self._line = aiohttp.ClientSession()
        ref = str(next(self._refs))
        broadcast: dict[str, Any] = {"self": True}
        if after is not None:
            broadcast["replay"] = {"after": after}
        payload = {
            "config": {"private": True, "broadcast": broadcast},
            "access_token": self.token,
        }
        joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(PATIENCE):
            self._socket = await self._line.ws_connect(
                f"{self._url}/realtime/v1/websocket", params={"vsn": "2.0.0", "apikey": "demo"}
            )
            join = orjson.dumps([ref, ref, topic, "phx_join", payload])
            await self._socket.send_str(join.decode())
            self._reader = asyncio.create_task(self._read(self._socket, ref, joined))
            await asyncio.wait({joined, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        if not joined.done():
            await self._reader
            raise DemoError(f"{self.name} lost its connection before it had joined")
        await joined

    async def _read(
        self, socket: aiohttp.ClientWebSocketResponse, ref: str, joined: asyncio.Future[None]
    ) -> None:
        async for frame in socket:
            arrived = time.perf_counter()
            _, frame_ref, _, event, payload = orjson.loads(frame.data)
            if event == "phx_reply" and frame_ref == ref:
                if payload["status"] == "ok":
                    joined.set_result(None)
                else:
                    joined.set_exception(DemoError(payload["response"]["reason"]))
            # Who is there, or types, comes in between, without an offset.
            elif event == "broadcast" and "offset" in payload.get("meta", {}):
                offset = payload["meta"]["offset"]
                self.last_offset = offset
                self.received.put_nowait(
                    Arrival(offset, payload["event"], payload["payload"], arrived)
                )

    async def next(self, event: str = "message.created") -> Arrival:
        """The next event that arrives. Raises DemoError when it is another one."""
        try:
            arrival = await asyncio.wait_for(self.received.get(), PATIENCE)
        except TimeoutError:
            raise DemoError(
                f"{self.name} got nothing for {PATIENCE:.0f} s after offset {self.last_offset}"
            ) from None
        if arrival.event != event:
            raise DemoError(f"{self.name} got {arrival.event} instead of {event}")
        return arrival

    async def cut(self) -> None:
        """Drops the connection, as a tunnel or a closed lid does: no goodbye is said."""
        if self._line is None:
            return
        try:
            if self._reader is not None:
                self._reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._reader
        finally:
            await self._line.close()
            if self._socket is not None:
                # Nothing can be sent any more; this only gives the connection back.
                await self._socket.close()


async def _show(url: str) -> None:
    timeout = aiohttp.ClientTimeout(PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as http, contextlib.AsyncExitStack() as stack:
        # New accounts each time, so that it can be run again and again.
        run = secrets.token_hex(4)
        password = secrets.token_urlsafe(16)

        async def person(name: str, *kinds: str) -> list[Device]:
            email = f"{name}-{run}@example.com"
            first, second = (Device(http, url, f"{name}'s {kind}") for kind in kinds)
            await first.sign_in("/auth/v1/signup", email, password, kinds[0])
            await second.sign_in("/auth/v1/token?grant_type=password", email, password, kinds[1])
            print(f"{email} signed up on the {kinds[0]}, signed in on the {kinds[1]}")
            return [first, second]

        ada_phone, ada_laptop = await person("ada", "phone", "laptop")
        grace_phone, grace_editor = await person("grace", "phone", "editor")
        conversation = await ada_phone.call(
            "create_conversation", title="Plans", participants=[grace_phone.user_id]
        )
        listeners = [ada_laptop, grace_phone, grace_editor]
        for device in listeners:
            stack.push_async_callback(device.cut)
            await device.join(conversation["id"])
        print(f"ada opened the conversation {conversation['id']} with grace\n")

        async def send(text: str) -> tuple[dict[str, Any], float]:
            started = time.perf_counter()
            message = await ada_phone.call(
                "send_message", conversation_id=conversation["id"], content={"text": text}
            )
            return message, started

        print("ada's phone sends; when it arrives after the call began, in ms:")
        print(f"  {'offset':>6}  " + "  ".join(f"{d.name:>14}" for d in listeners) + "  message")
        for text in ("hello", "are you there?", "the tests pass"):
            message, started = await send(text)
            arrivals = [await device.next() for device in listeners]
            if any(arrival.payload != message for arrival in arrivals):
                raise DemoError(f"another message than {message} arrived: {arrivals}")
            times = "  ".join(f"{(arrival.when - started) * 1000:14.1f}" for arrival in arrivals)
            print(f"  {message['seq']:>6}  {times}  {text}")

        await grace_phone.cut()
        last = grace_phone.last_offset
        print(f"\ngrace's phone loses its connection after offset {last}")
        sent = [
            (await send(f"message {number} of {TEN}"))[0]["seq"] for number in range(1, TEN + 1)
        ]
        print(f"ada's phone sends ten more: offsets {sent[0]} to {sent[-1]}")
        await grace_phone.join(conversation["id"], after=last)
        live, _ = await send("and one more, live")
        expected = [*sent, live["seq"]]
        got = [(await grace_phone.next()).offset for _ in expected]
        print(f"grace's phone joins again after offset {last} and gets: {' '.join(map(str, got))}")
        if got != expected or not grace_phone.received.empty():
            raise DemoError(f"expected {expected}")
        print("All ten came once and in order, and the next one live.")

        await _show_what_else(ada_phone, ada_laptop, grace_phone, message)


async def _show_what_else(
    ada_phone: Device, ada_laptop: Device, grace_phone: Device, message: dict[str, Any]
) -> None:
    """An edit, a receipt and a search, of a message that both have."""
    while ada_laptop.last_offset < grace_phone.last_offset or not ada_laptop.received.empty():
        await ada_laptop.next()
    edited = await ada_phone.call(
        "edit_message",
        message_id=message["id"],
        content={"text": "all the tests pass"},
        based_on_version=message["version"],
    )
    update = await grace_phone.next("message.updated")
    await ada_laptop.next("message.updated")
    if update.payload != edited:
        raise DemoError(f"the event has {update.payload}, the call answered {edited}")
    print(
        f"\nada's phone edits offset {edited['seq']}; grace's phone has version"
        f" {update.payload['version']}: {update.payload['content']['text']}"
    )

    await grace_phone.call(
        "mark_read",
        conversation_id=message["conversation_id"],
        up_to_seq=grace_phone.last_offset,
    )
    receipt = (await ada_laptop.next("receipt")).payload
    if receipt["user_id"] != grace_phone.user_id:
        raise DemoError(f"the receipt is of another person: {receipt}")
    print(
        f"grace's phone has read up to offset {receipt['last_read_seq']}; ada's laptop knows, and"
        f" that grace has {receipt['unread_count']} unread"
    )

    found = await grace_phone.call("search_messages", query="test*")
    print(f"grace searches for test*, finds {found['total']}: {_shown(found['results'][0])}")


def _shown(result: dict[str, Any]) -> str:
    """What was found, with its matches in brackets instead of the markers."""
    snippet: str = result["snippet"]
    return snippet.translate({0xE000: "[", 0xE001: "]"})


async def main(url: str) -> int:
    """Runs the demo against the server at url; answers the exit code."""
    try:
        await _show(url.rstrip("/"))
    except DemoError as error:
        print(f"roost: the demo failed: {error}", file=sys.stderr)
        return 1
    except aiohttp.ClientConnectorError:
        print(f"roost: no server answers at {url}: start one with roost up", file=sys.stderr)
        return 1
    except TimeoutError:
        print(f"roost: {url} gave no answer for {PATIENCE:.0f} s", file=sys.stderr)
        return 1
    except aiohttp.ClientError as error:
        print(f"roost: {url} does not answer as Roost does: {error}", file=sys.stderr)
        return 1
    except (ValueError, LookupError, TypeError):
        # Not JSON, or JSON of another shape.
        print(f"roost: {url} does not answer as Roost does: is it the right one?", file=sys.stderr)
        return 1
    return 0
