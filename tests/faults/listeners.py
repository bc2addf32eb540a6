"""Those who listen: each counts the offsets of each topic, and comes back to where it was."""

import asyncio
import contextlib
import random
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import aiohttp
import orjson

from tests.faults.ledger import Event, Ledger, digest
from tests.faults.servers import Server
from tests.relaying import Person, join_payload

# A server that says nothing for so long is given up, and how often it is asked. Official clients
# ask every 25 or 30 seconds; nobody here has time for that.
PATIENCE = 2.5
HEARTBEAT_SECONDS = 0.8

# An event stream can't ask.
STREAM_PATIENCE = 4.0

# How often a device says what it has.
ACKNOWLEDGE_SECONDS = 0.3

# Beginnings of the codes of refusals after which the same is asked again.
AGAIN = ("08", "57P", "PGRST003", "RealtimeRestarting", "ClientJoinRateLimitReached")

# A connection that is cut (1006), a server that stops (1012), and one that has heard nothing, as of
# a client that reads nothing (1001).
CLOSE_CODES = frozenset({None, 1001, 1006, 1012})

# The kernel keeps this much for a client that does not read, and as much again.
STALLED_BUFFER = 4_096


class CutError(Exception):
    """The connection has ended, or is refused for now, as a client has to expect."""


class Listener(ABC):
    """
    One device that listens to one topic, and for an inbox to what is heard in it.

    A conversation that was added is held in mind until something of it has come: who comes back
    before that comes back to before the event that added it.

    topics -- all that it hears
    positions -- offset of the last event that it has, by topic
    is_patient -- it may be behind: nobody waits for it
    is_timely -- whatever comes late is the server's doing
    resumes -- joins after the first
    """

    is_patient = False
    is_timely = True

    def __init__(
        self,
        name: str,
        person: Person,
        topic: str,
        servers: Sequence[Server],
        ledger: Ledger,
        inner: Sequence[str] = (),
    ) -> None:
        """inner -- what is heard in an inbox beside its own events"""
        self.name = name
        self.topics = [topic, *inner]
        self.positions = dict.fromkeys(self.topics, 0)
        self.resumes = -1
        self._topic = topic
        self._person = person
        self._servers = servers
        self._server = random.choice(servers)
        self._ledger = ledger
        self._epoch: str | None = None
        # What this connection has brought, and before which offsets conversations were added.
        self._here: dict[str, int] = {}
        self._added_behind: dict[str, int] = {}
        self._sockets: list[socket.socket] = []

    def __str__(self) -> str:
        return f"{self.name} ({self._topic})"

    async def run(self) -> None:
        """Listens for ever, through whichever server there is."""
        connector = aiohttp.TCPConnector(socket_factory=self._new_socket, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            while True:
                try:
                    await self._listen(http)
                except CutError as error:
                    self._ledger.cuts[str(error)] += 1
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self._ledger.cuts[type(error).__name__] += 1
                self._server = self._other_server()
                await asyncio.sleep(random.uniform(0.02, 0.2))

    def cut(self) -> None:
        """Breaks the connection as a network does: nobody says goodbye."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RD)

    def has(self, offsets: dict[str, int]) -> bool:
        """Whether it has everything up to these offsets, of what it hears."""
        return all(self.positions.get(topic, 0) >= offsets.get(topic, 0) for topic in self.topics)

    def _other_server(self) -> Server:
        return random.choice([one for one in self._servers if one is not self._server])

    def _new_socket(self, address: Any) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.setblocking(False)
        self._sockets = [one for one in self._sockets if one.fileno() != -1]
        self._sockets.append(made)
        return made

    @abstractmethod
    async def _listen(self, http: aiohttp.ClientSession) -> None:
        """Joins behind what it has, and listens until the connection ends."""

    # --- what comes -------------------------------------------------------------------------------

    def _come_back(self) -> None:
        """A new connection goes on from what the one before has brought."""
        self._here = dict(self.positions)
        self._here[self._topic] = min((self._here[self._topic], *self._added_behind.values()))

    def _begin(self, offset: int, epoch: str) -> None:
        """The topic is joined; offset is its newest."""
        self.resumes += 1
        self._check_epoch(epoch)
        if offset < self.positions[self._topic]:
            self._ledger.problem(
                f"{self} has event {self.positions[self._topic]}, and the newest is said to be"
                f" {offset}"
            )

    def _take(self, message: dict[str, Any]) -> None:
        """An event, stored or not, as both kinds of connections bring it."""
        meta = message.get("meta", {})
        if message["event"] == "must_refetch":
            self._ledger.problem(f"{self} is told must_refetch: {message}")
        if "offset" not in meta:
            return
        topic, offset = meta.get("topic", self._topic), meta["offset"]
        self._check_epoch(meta["epoch"])
        event = Event(meta["id"], digest(message["event"], message["payload"]))
        if message["event"] == "conversation.added":
            added = f"conversation:{message['payload']['conversation_id']}"
            if added not in self.positions:
                self._added_behind.setdefault(added, offset - 1)
        self._added_behind.pop(topic, None)
        self._move(topic, offset)
        live = self.is_timely and not meta.get("replayed")
        self._ledger.heard(str(self), topic, offset, event, live=live)

    def _move(self, topic: str, offset: int) -> None:
        """An event has come, which has to be the one behind the last."""
        last = self._here.get(topic)
        if last is None:
            self._check_first(topic, offset)
        elif offset != last + 1:
            what = "lost something" if offset > last else "is sent something twice"
            self._ledger.problem(f"{self} {what}: event {offset} of {topic} comes behind {last}")
        self._here[topic] = offset
        if offset > self.positions.get(topic, 0):
            self.positions[topic] = offset
        else:
            self._ledger.repeats += 1

    def _check_first(self, topic: str, offset: int) -> None:
        """What was added is heard from its beginning."""
        if offset != 1:
            self._ledger.problem(f"{self} hears {topic}, which was added, from event {offset}")

    def _check_epoch(self, epoch: str) -> None:
        self._epoch = self._epoch or epoch
        if epoch != self._epoch:
            self._ledger.problem(f"{self} is in epoch {epoch}, and was in {self._epoch}")

    def _refused(self, code: str, error: Any) -> CutError:
        """What to raise when a join is refused, or ends."""
        self._ledger.refusals[code] += 1
        if not code.startswith(AGAIN):
            self._ledger.problem(f"{self} is refused: {error}")
        return CutError(code)


class SocketListener(Listener):
    """Over a WebSocket."""

    async def _listen(self, http: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(PATIENCE):
            ws = await http.ws_connect(
                f"{self._server.url}/realtime/v1/websocket?vsn=2.0.0",
                timeout=aiohttp.ClientWSTimeout(ws_close=0.2),
                max_msg_size=0,
            )
        beating = asyncio.create_task(self._beat(ws))
        try:
            payload = join_payload(self._person.token(), replay=self._replay())
            await self._send(ws, "join", "phx_join", payload)
            while True:
                self._receive(ws, await self._next_frame(ws))
        finally:
            beating.cancel()
            self._end()
            # With the server's own word for it, if it has said one.
            await ws.close()

    def _replay(self) -> dict[str, Any]:
        self._come_back()
        others = {topic: self._here[topic] for topic in self._here if topic != self._topic}
        known = {} if self._epoch is None else {"epoch": self._epoch}
        inner = {"topics": others} if others else {}
        return {"after": self._here[self._topic], **known, **inner}

    async def _send(
        self, ws: aiohttp.ClientWebSocketResponse, ref: str, event: str, payload: Any
    ) -> None:
        frame = ["join", ref, f"realtime:{self._topic}", event, payload]
        await ws.send_str(orjson.dumps(frame).decode())

    async def _beat(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            while True:
                await asyncio.sleep(HEARTBEAT_SECONDS)
                await ws.send_str('[null,"beat","phoenix","heartbeat",{}]')

    async def _next_frame(self, ws: aiohttp.ClientWebSocketResponse) -> list[Any]:
        message = await ws.receive(timeout=PATIENCE)
        if message.type is aiohttp.WSMsgType.TEXT:
            frame: list[Any] = orjson.loads(message.data)
            return frame
        if ws.close_code not in CLOSE_CODES:
            self._ledger.problem(f"{self} is closed with {ws.close_code}: {message.extra}")
        raise CutError(f"closed with {ws.close_code}")

    def _receive(self, ws: aiohttp.ClientWebSocketResponse, frame: list[Any]) -> None:
        _, ref, _, event, payload = frame
        if event == "broadcast":
            self._take(payload)
        elif event == "phx_reply":
            if payload["status"] != "ok":
                self._reply_refused(ref, payload["response"])
            elif ref == "join":
                self._begin(payload["response"]["offset"], payload["response"]["epoch"])
                self._joined(ws)
            else:
                self._replied(ref)
        elif event in ("phx_error", "phx_close"):
            raise self._refused(payload.get("code", event), payload)

    def _reply_refused(self, ref: str, error: dict[str, Any]) -> None:
        if ref == "join":
            raise self._refused(error["code"], error)

    def _joined(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """The join has been answered."""

    def _replied(self, ref: str) -> None:
        """Something else has been answered."""

    def _end(self) -> None:
        """The connection is over."""


class StalledListener(SocketListener):
    """Reads nothing while its server is there, unless it is told to; then it reads on.

    It stays with one server: each has one that does not read.
    """

    is_patient = True
    is_timely = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reads = asyncio.Event()
        self._gone: asyncio.Event | None = None

    def read_on(self) -> None:
        """It reads from now on."""
        self.is_patient = False
        self._reads.set()

    def _other_server(self) -> Server:
        return self._server if len(self._servers) == 1 else super()._other_server()

    def _new_socket(self, address: Any) -> socket.socket:
        made = super()._new_socket(address)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BUFFER)
        return made

    def _joined(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        del ws
        self._gone = self._server.gone

    def _end(self) -> None:
        self._gone = None

    async def _next_frame(self, ws: aiohttp.ClientWebSocketResponse) -> list[Any]:
        if self._gone is not None and not (self._reads.is_set() or self._gone.is_set()):
            waits = [asyncio.create_task(event.wait()) for event in (self._reads, self._gone)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        return await super()._next_frame(ws)


class AcknowledgingListener(SocketListener):
    """Comes back to what its device has acknowledged, which the database keeps.

    It knows between which offsets that is: what was known to be written down, and what was sent.

    acknowledges -- whether it says more
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.acknowledges = True
        self._known: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        # What was sent over this connection, under which reference.
        self._waiting: dict[str, dict[str, int]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def is_answered(self) -> bool:
        """Whether what it has said is known to be written down, and the receipts with it."""
        return not self._waiting

    def _replay(self) -> dict[str, Any]:
        self._waiting = {}
        # Without a word of this device there is nothing to come back to.
        if not self._known:
            return super()._replay()
        self._here = {}
        return {"acknowledged": True}

    def _check_first(self, topic: str, offset: int) -> None:
        # Of what it has never acknowledged it has had nothing.
        known, sent = self._known.get(topic, 0), self._sent.get(topic, 0)
        if not known < offset <= sent + 1:
            self._ledger.problem(
                f"{self} comes back to event {offset} of {topic}, having acknowledged {known} to"
                f" {sent}"
            )

    def _joined(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._task = asyncio.create_task(self._acknowledge(ws))

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _acknowledge(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        number = 0
        told: dict[str, int] = {}
        with contextlib.suppress(aiohttp.ClientError, OSError):
            while True:
                if self.acknowledges and told != self._here:
                    told = dict(self._here)
                    number += 1
                    ref = f"ack {number}"
                    self._waiting[ref] = told
                    for topic, offset in told.items():
                        self._sent[topic] = max(offset, self._sent.get(topic, 0))
                    others = {topic: told[topic] for topic in told if topic != self._topic}
                    own = {"offset": told[self._topic]} if self._topic in told else {}
                    await self._send(ws, ref, "ack", {**own, "topics": others})
                await asyncio.sleep(ACKNOWLEDGE_SECONDS)

    def _replied(self, ref: str) -> None:
        for topic, offset in self._waiting.pop(ref, {}).items():
            self._known[topic] = max(offset, self._known.get(topic, 0))

    def _reply_refused(self, ref: str, error: dict[str, Any]) -> None:
        super()._reply_refused(ref, error)
        if self._waiting.pop(ref, None) is not None:
            # Nobody knows whether it was written down; the next one says as much and more.
            self._refused(error["code"], error)


class StreamListener(Listener):
    """Over Server-Sent Events, with whatever id came last.

    To begin with it says no offsets of the topics in an inbox, for which there is no place.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._last_id: str | None = None
        self.positions = {self._topic: 0}
        # Of these whatever is heard first will do.
        self._from_the_join = frozenset(self.topics)

    async def _listen(self, http: aiohttp.ClientSession) -> None:
        headers = {"Authorization": f"Bearer {self._person.token()}"}
        query = {}
        self._come_back()
        if self._last_id is None:
            query["after"] = "0"
        else:
            headers["Last-Event-ID"] = self._last_id
        async with asyncio.timeout(PATIENCE):
            answer = await http.get(
                f"{self._server.url}/events/{self._topic}",
                params=query,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_read=STREAM_PATIENCE),
            )
        async with answer:
            if answer.status != 200:
                error = await answer.json()
                raise self._refused(error["code"], error)
            self.resumes += 1
            fields: dict[str, str] = {}
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                else:
                    self._dispatch(fields)
                    fields = {}
        raise CutError("end of the stream")

    def _come_back(self) -> None:
        # The id says it all, also of what was added and not heard yet.
        self._here = dict(self.positions)

    def _check_first(self, topic: str, offset: int) -> None:
        if topic not in self._from_the_join:
            super()._check_first(topic, offset)

    def _dispatch(self, fields: dict[str, str]) -> None:
        """A message, or an id without one."""
        if "data" in fields:
            data = orjson.loads(fields["data"])
            if fields.get("event") == "system":
                raise self._refused(data["code"], data)
            self._take(data)
        self._last_id = fields.get("id", self._last_id)
