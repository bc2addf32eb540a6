"""permessage-deflate over real sockets: what is agreed on, what is sent, and what is taken."""

import asyncio
import base64
import contextlib
import json
import os
import random
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from roost.realtime import compression
from roost.realtime.compression import Deflated, Inflater, accepted
from roost.realtime.protocol import Version, broadcast_frame
from tests.relaying import (
    VSN,
    Database,
    Node,
    Person,
    Phone,
    eventually,
    join_payload,
    running_node,
)
from tests.support import connect

EXTENSIONS = "Sec-WebSocket-Extensions"
AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TEXT = "the same words again and again " * 40


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


@pytest.fixture
async def node(database: str) -> AsyncIterator[Node]:
    async with running_node(database) as node:
        yield node


@pytest.fixture
async def ada(db: Database) -> Person:
    return await db.person()


# --- negotiation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate", AGREED),
        # Chrome, ws, aiohttp, Python's websockets.
        ("permessage-deflate; client_max_window_bits", AGREED),
        ("permessage-deflate; server_max_window_bits=12; client_max_window_bits=12", None),
        ('Permessage-Deflate ;server_max_window_bits="15"', f"{AGREED}; server_max_window_bits=15"),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", AGREED),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", AGREED),
        ("x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=8", AGREED),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; unheard_of", None),
        ("permessage-bzip2", None),
        ("", None),
    ],
)
def test_what_is_agreed_on(offers: str, answer: str | None) -> None:
    assert accepted(offers) == answer


# --- what is sent --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it came, and the message in it."""

    raw: bytes
    compressed: bool
    text: bytes

    @property
    def event(self) -> Any:
        """Name and payload of an event."""
        message = json.loads(self.text)
        payload = message["payload"] if isinstance(message, dict) else message[4]
        return payload["event"], payload["payload"]


class Wire:
    """A client that shows every frame as it comes, and sends what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.extensions: str | None = None

    async def frame(self) -> Frame:
        """The next frame, which has to be the text of a whole message."""
        async with asyncio.timeout(20):
            head = await self.reader.readexactly(2)
            assert head[0] in (0x81, 0xC1), head
            assert head[1] < 128
            extended = {126: 2, 127: 8}.get(head[1], 0)
            head += await self.reader.readexactly(extended)
            length = int.from_bytes(head[2:], "big") if extended else head[1]
            payload = await self.reader.readexactly(length)
        is_compressed = head[0] == 0xC1
        # Nothing before it is needed to read it.
        text = inflated(payload) if is_compressed else payload
        return Frame(head + payload, is_compressed, text)

    async def close_code(self) -> int:
        """The code of the close frame, which has to be the next."""
        async with asyncio.timeout(20):
            first, length = await self.reader.readexactly(2)
            assert first == 0x88, first
            return int.from_bytes((await self.reader.readexactly(length))[:2], "big")

    async def join(self, person: Person, topic: str) -> None:
        joining = json.dumps(
            ["1", "1", f"realtime:{topic}", "phx_join", join_payload(person.token())]
        )
        self.writer.write(client_frame(0x81, joining.encode()))
        assert b'"status":"ok"' in (await self.frame()).text


@contextlib.asynccontextmanager
async def wire(
    node: Node, offers: str | None, version: Version = Version.V2
) -> AsyncIterator[Wire]:
    """A connection whose handshake offers these extensions."""
    host, port = node.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        f"GET /realtime/v1/websocket?vsn={VSN[version]} HTTP/1.1",
        "Host: roost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        *([] if offers is None else [f"{EXTENSIONS}: {offers}"]),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert answer.startswith("HTTP/1.1 101 "), answer
    opened = Wire(reader, writer)
    for line in answer.splitlines():
        name, _, value = line.partition(": ")
        if name == EXTENSIONS:
            opened.extensions = value
    try:
        yield opened
    finally:
        writer.close()


def client_frame(first: int, payload: bytes, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    size = len(payload)
    length = (
        bytes([0x80 | size])
        if size < 126
        else struct.pack("!BH", 0xFE, size)
        if size < 65_536
        else struct.pack("!BQ", 0xFF, size)
    )
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return bytes([first]) + length + mask + masked


def deflated(text: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload: bytes) -> bytes:
    """As the standard says to read a message (RFC 7692, section 7.2.2)."""
    inflator = zlib.decompressobj(wbits=-15)
    text = inflator.decompress(payload + b"\x00\x00\xff\xff")
    assert not inflator.unconsumed_tail
    assert not inflator.unused_data
    return text


async def test_events_are_compressed_for_who_asks_for_it(
    node: Node, db: Database, ada: Person
) -> None:
    """The same bytes for all of them, and the same message as for the others."""
    topic = ada.own_device
    async with contextlib.AsyncExitStack() as stack:
        wires = [
            await stack.enter_async_context(wire(node, offers, version))
            for version in Version
            for offers in (
                None,
                "permessage-deflate; client_max_window_bits",
                "permessage-deflate",
            )
        ]
        assert [each.extensions for each in wires] == [None, AGREED, AGREED] * 2
        v1, v2 = wires[:3], wires[3:]
        for each in v2:
            await each.join(ada, topic)
        for each in v1:
            joining = dict(
                zip(
                    ("join_ref", "ref", "topic", "event", "payload"),
                    ("1", "1", f"realtime:{topic}", "phx_join", join_payload(ada.token())),
                    strict=True,
                )
            )
            each.writer.write(client_frame(0x81, json.dumps(joining).encode()))
            assert b'"status":"ok"' in (await each.frame()).text

        await db.publish(topic, json.dumps({"text": TEXT}))
        await db.publish(topic, json.dumps({"text": "short"}))
        await db.broadcast(topic, json.dumps({"text": TEXT}))
        await db.broadcast(topic, json.dumps({"text": "short"}))
        for plain, *compressed in (v1, v2):
            for text in (TEXT, "short") * 2:
                frame = await plain.frame()
                assert not frame.compressed
                assert frame.event[1] == {"text": text}
                for each in compressed:
                    same = await each.frame()
                    assert same.text == frame.text
                    assert same.compressed == (text is TEXT)
                    assert same.compressed == (len(same.raw) < len(frame.raw) / 3)
                    assert same.compressed or same.raw == frame.raw


async def test_a_message_is_compressed_once_for_everybody(
    monkeypatch: pytest.MonkeyPatch, node: Node, db: Database
) -> None:
    """For who has joined the topic, in both versions, and for the inboxes of all."""
    compressed = []
    deflate = compression._deflate

    def counted(message: bytes) -> bytes | None:
        compressed.append(message)
        return deflate(message)

    monkeypatch.setattr(compression, "_deflate", counted)
    people = [await db.person() for _ in range(4)]
    topic = f"conversation:{await db.conversation(*people)}"
    async with aiohttp.ClientSession() as http:
        phones = []
        for person in people:
            for version in Version:
                for joined in (topic, person.inbox):
                    ws = await http.ws_connect(
                        f"{node.url}/realtime/v1/websocket?vsn={VSN[version]}", compress=15
                    )
                    phones.append(await Phone(ws, version, person).joined(joined))
        for publish in (db.publish, db.broadcast):
            compressed.clear()
            await publish(topic, json.dumps({"text": TEXT}))
            for phone in phones:
                (event,) = await phone.events(1)
                assert event["payload"] == {"text": TEXT}
            # By itself and, with its topic in `meta`, for the inboxes.
            assert len(compressed) == 2
        # A frame has no more than one event, so that nobody's text is beside another's.
        compressed.clear()
        await db.publish_many(topic, 3, 1_000)
        for phone in phones:
            assert [event["payload"]["n"] for event in await phone.events(3)] == [1, 2, 3]
        assert len(compressed) == 6
        assert all(message.count(b'"event":"note.made"') == 1 for message in compressed)


async def test_large_events_are_compressed_too(node: Node, db: Database, ada: Person) -> None:
    async with wire(node, "permessage-deflate") as opened:
        await opened.join(ada, ada.own_device)
        for size in (20_000, 300_000):
            await db.publish(ada.own_device, json.dumps({"text": "x" * size}))
            frame = await opened.frame()
            assert frame.compressed
            assert frame.event[1] == {"text": "x" * size}


def test_what_gets_no_shorter_is_sent_as_it_is() -> None:
    noise = random.Random(1).randbytes(1_000)
    assert Deflated().frame(Version.V2, b'"t"', noise, 1) == broadcast_frame(
        Version.V2, b'"t"', noise
    )


async def test_who_catches_up_is_sent_plain_frames(node: Node, db: Database, ada: Person) -> None:
    """They are made for one socket, so compressing them would be too."""
    await db.publish(ada.own_device, json.dumps({"text": TEXT}))
    async with aiohttp.ClientSession() as http:
        ws = await http.ws_connect(f"{node.url}/realtime/v1/websocket?vsn=2.0.0", compress=15)
        phone = await Phone(ws, Version.V2, ada).joined(ada.own_device, replay={"after": 0})
        for _ in range(2):
            (event,) = await phone.events(1)
            assert event["payload"] == {"text": TEXT}
            await db.publish(ada.own_device, json.dumps({"text": TEXT}))


async def test_it_can_be_turned_off(database: str) -> None:
    async with (
        running_node(database, realtime_compress_from_bytes=0) as node,
        wire(node, "permessage-deflate") as opened,
    ):
        assert opened.extensions is None
        opened.writer.write(client_frame(0xC1, deflated(b"[]")))
        assert await opened.close_code() == 1002


# --- what is taken -------------------------------------------------------------------------------


async def test_a_client_that_compresses_all_it_sends(node: Node, db: Database, ada: Person) -> None:
    async with aiohttp.ClientSession() as http:
        ws = await http.ws_connect(f"{node.url}/realtime/v1/websocket?vsn=2.0.0", compress=15)
        assert ws.compress == 15
        phone = await Phone(ws, Version.V2, ada).joined(ada.own_device)
        for _ in range(20):
            await phone.is_answered()
        # More than goes in one piece.
        frame = json.dumps([None, "x", "phoenix", "heartbeat", {"noise": os.urandom(60_000).hex()}])
        await ws.send_str(frame)
        assert (await phone.reply("x"))["status"] == "ok"
        await ws.ping(b"still there?")
        await phone.is_answered()
        await db.publish(ada.own_device)
        assert await phone.offsets(1) == [1]
        await ws.close()


HEARTBEAT = b'[null,"1","phoenix","heartbeat",{}]'


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        # What fits on the wire, and not in memory.
        (client_frame(0xC1, deflated(b"x" * 300_000)), 1009),
        (client_frame(0xC1, deflated(b"x" * 30_000_000)), 1009),
        (client_frame(0xC1, b"")[:1] + b"\xff" + (2**40).to_bytes(8, "big") + bytes(4), 1009),
        (client_frame(0x41, bytes(200_000)) + client_frame(0x80, bytes(200_000)), 1009),
        # What is not DEFLATE.
        (client_frame(0xC1, b"\xff\xff\xff\xff"), 1002),
        # Frames out of order.
        (client_frame(0xC0, deflated(HEARTBEAT)), 1002),
        (client_frame(0x41, b"") + client_frame(0xC0, deflated(HEARTBEAT)), 1002),
        (client_frame(0x41, b"") + client_frame(0x81, HEARTBEAT), 1002),
        # Text that is none.
        (client_frame(0xC1, deflated(b"\xff\xfe")), 1007),
    ],
    ids=range(9),
)
async def test_what_is_refused(node: Node, sent: bytes, code: int) -> None:
    async with wire(node, "permessage-deflate") as opened, wire(node, None) as other:
        opened.writer.write(client_frame(0xC1, deflated(HEARTBEAT)))
        assert b'"status":"ok"' in (await opened.frame()).text
        opened.writer.write(sent + client_frame(0x81, HEARTBEAT))
        assert await opened.close_code() == code
        other.writer.write(client_frame(0x81, HEARTBEAT))
        assert b'"status":"ok"' in (await other.frame()).text


class Received(asyncio.Protocol):
    """What comes out of an Inflater."""

    def __init__(self) -> None:
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """First byte and payload of client frames."""
    at = 0
    while at < len(data):
        first, length = data[at], data[at + 1] & 0x7F
        extended = {126: 2, 127: 8}.get(length, 0)
        if extended:
            length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
        at += 2 + extended
        mask, payload = data[at : at + 4], data[at + 4 : at + 4 + length]
        yield first, bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
        at += 4 + length


@pytest.mark.parametrize("seed", range(30))
def test_frames_come_through_however_they_are_cut(seed: int) -> None:
    randomness = random.Random(seed)
    sent, expected = b"", []
    for _ in range(20):
        text = randomness.randbytes(randomness.choice([0, 1, 100, 125, 126, 200, 70_000]))
        mask = randomness.randbytes(4)
        if randomness.random() < 0.5:
            sent += client_frame(0x82, text, mask)
            expected.append((0x82, text))
            continue
        payload = deflated(text)
        cuts = sorted(
            randomness.randrange(len(payload) + 1) for _ in range(randomness.randrange(3))
        )
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for n, part in enumerate(parts):
            first = (0x42 if n == 0 else 0) | (0x80 if n == len(parts) - 1 else 0)
            sent += client_frame(first, part, mask)
            if n < len(parts) - 1:
                sent += client_frame(0x89, b"ping", mask)
                expected.append((0x89, b"ping"))
        expected.append((0x82, text))
    received = Received()
    inflater = Inflater(received, 100_000)
    while sent:
        size = randomness.choice([1, 2, 3, 10, 100, 100_000])
        inflater.data_received(sent[:size])
        sent = sent[size:]
    assert list(frames(received.data)) == expected
    # Nothing of it is kept.
    kept = (inflater._message, inflater._part, inflater._partial)
    assert kept == (None, None, b"")


async def test_a_client_that_does_not_read_is_paused_as_without(
    node: Node, db: Database, ada: Person
) -> None:
    """Whether there is room reaches aiohttp through what stands between."""
    async with wire(node, "permessage-deflate") as opened:
        await opened.join(ada, ada.own_device)
        for n in range(60):
            noise = base64.b85encode(random.Random(n).randbytes(200_000)).decode()
            await db.publish(ada.own_device, json.dumps({"n": n, "noise": noise}))
        await eventually(lambda: node.relay.counters.evictions > 0)
        assert [(await opened.frame()).event[1]["n"] for _ in range(60)] == list(range(60))
        opened.writer.write(client_frame(0xC1, deflated(HEARTBEAT)))
        assert b'"status":"ok"' in (await opened.frame()).text
