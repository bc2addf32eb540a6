"""Binary frames to the byte, both ways: kinds 0 to 4 of versions 1.0.0 and 2.0.0."""

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import pytest

from roost.realtime.lines import Broadcast, Reference, read_line
from roost.realtime.protocol import (
    LONGEST_FIELD,
    MalformedFrameError,
    Push,
    UserBroadcast,
    Version,
    decode,
    raw_fits,
    raw_frame,
    text_frame,
)

ALPHABET = string.ascii_letters + string.digits + ':._- "\\üß→日🙂'
SEEDS = range(20)


def text(randomness: random.Random, least: int = 0, most: int = LONGEST_FIELD) -> str:
    """Text of so many bytes in UTF-8, often at one of the two ends."""
    wanted = randomness.choice([least, most, randomness.randint(least, most)])
    made = ""
    while len(made.encode()) < wanted:
        made += randomness.choice(ALPHABET)
    while len(made.encode()) > wanted:
        made = made[:-1]
    return made + "x" * (wanted - len(made.encode()))


def data(randomness: random.Random) -> bytes:
    return randomness.randbytes(randomness.choice([0, 1, 125, 126, 127, 300, 65_535, 65_536]))


@dataclass(frozen=True, slots=True)
class Fields:
    """What a client says in a frame."""

    join_ref: str
    ref: str
    topic: str
    event: str
    metadata: str
    data: bytes


def many_fields(seed: int) -> Iterator[Fields]:
    randomness = random.Random(seed)
    for _ in range(50):
        yield Fields(
            text(randomness),
            text(randomness),
            text(randomness, 1),
            text(randomness, 1),
            text(randomness),
            data(randomness),
        )


def lengths(*fields: str) -> bytes:
    return bytes(len(field.encode()) for field in fields)


def push_frame(fields: Fields) -> bytes:
    """Kind 0, as Phoenix's client encodes it."""
    parts = (fields.join_ref, fields.ref, fields.topic, fields.event)
    return b"\x00" + lengths(*parts) + "".join(parts).encode() + fields.data


def user_broadcast_frame(fields: Fields, encoding: int) -> bytes:
    """Kind 3, as supabase-js encodes it."""
    parts = (fields.join_ref, fields.ref, fields.topic, fields.event, fields.metadata)
    head = b"\x03" + lengths(*parts) + bytes([encoding])
    return head + "".join(parts).encode() + fields.data


def payload_of(frame: bytes, opcode: int) -> bytes:
    """What is in an unmasked, final WebSocket frame, whose length takes as few bytes as it can."""
    assert frame[0] == 0x80 | opcode
    assert frame[1] < 128
    size, start = frame[1], 2
    if size == 126:
        size, start = int.from_bytes(frame[2:4], "big"), 4
        assert size >= 126
    elif size == 127:
        size, start = int.from_bytes(frame[2:10], "big"), 10
        assert size >= 65_536
    assert len(frame) == start + size
    return frame[start:]


def test_frames_as_the_clients_have_them_in_their_own_tests() -> None:
    """To the byte, from the tests of the two clients' serializers."""
    assert decode(Version.V2, b"\x00\x01\x01\x02\x0101t1e\x01") == Push("0", "1", "t1", "e", {})
    sent = UserBroadcast("user-event", b"", b'{"a":"b"}', is_raw=False)
    assert decode(Version.V2, b'\x03\x02\x01\x03\x0a\x00\x01101topuser-event{"a":"b"}') == Push(
        "10", "1", "top", "broadcast", {}, sent
    )
    sent = UserBroadcast("user-event", b'{"k":1}', b"\x01\x04", is_raw=True)
    assert decode(Version.V2, b'\x03\x00\x00\x03\x0a\x07\x00topuser-event{"k":1}\x01\x04') == Push(
        None, None, "top", "broadcast", {}, sent
    )
    assert payload_of(raw_frame("top", "user-event", b"\x01\x04"), 2) == (
        b"\x04\x03\x0a\x00\x00topuser-event\x01\x04"
    )
    assert payload_of(raw_frame("user", "x", b"", topic="a:b"), 2) == (
        b'\x04\x04\x01\x0f\x00userx{"topic":"a:b"}'
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_pushes_are_read_as_they_were_written(seed: int) -> None:
    for fields in many_fields(seed):
        push = decode(Version.V2, push_frame(fields))
        assert push == Push(
            fields.join_ref or None, fields.ref or None, fields.topic, fields.event, {}
        )
        for encoding in (0, 1):
            push = decode(Version.V2, user_broadcast_frame(fields, encoding))
            assert push == Push(
                fields.join_ref or None,
                fields.ref or None,
                fields.topic,
                "broadcast",
                {},
                UserBroadcast(
                    fields.event, fields.metadata.encode(), fields.data, is_raw=encoding == 0
                ),
            )


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_that_are_cut_or_of_another_kind_are_malformed(seed: int) -> None:
    randomness = random.Random(seed)
    for fields in many_fields(seed):
        for frame in (push_frame(fields), user_broadcast_frame(fields, 0)):
            assert decode(Version.V2, frame).topic == fields.topic
            with pytest.raises(MalformedFrameError):
                decode(Version.V1, frame)
            head = len(frame) - len(fields.data)
            with pytest.raises(MalformedFrameError):
                decode(Version.V2, frame[: randomness.randrange(head)])
            # 1, 2 and 4 are the server's own.
            for kind in (1, 2, 4, 5, 255):
                with pytest.raises(MalformedFrameError):
                    decode(Version.V2, bytes([kind]) + frame[1:])
        for encoding in (2, 255):
            with pytest.raises(MalformedFrameError) as refusal:
                decode(Version.V2, user_broadcast_frame(fields, encoding))
            # There is somebody to answer.
            assert refusal.value.ref == fields.ref


def read_user_broadcast(payload: bytes) -> tuple[str, str, bytes, int, bytes]:
    """Topic, event, metadata, encoding and data of kind 4, as supabase-js decodes it."""
    kind, topic_size, event_size, metadata_size, encoding = payload[:5]
    assert kind == 4
    fields, start = [], 5
    for size in (topic_size, event_size, metadata_size):
        fields.append(payload[start : start + size])
        assert len(fields[-1]) == size
        start += size
    topic, event, metadata = fields
    return topic.decode(), event.decode(), metadata, encoding, payload[start:]


@pytest.mark.parametrize("seed", SEEDS)
def test_broadcasts_of_bytes_are_written_as_clients_read_them(seed: int) -> None:
    randomness = random.Random(seed)
    for fields in many_fields(seed):
        topic = text(randomness, 1, 120)
        assert raw_fits(topic)
        for inner in (False, True):
            joined = "realtime:user:1" if inner else f"realtime:{topic}"
            frame = raw_frame(joined, fields.event, fields.data, topic=topic if inner else None)
            metadata = orjson.dumps({"topic": topic}) if inner else b""
            assert read_user_broadcast(payload_of(frame, 2)) == (
                joined,
                fields.event,
                metadata,
                0,
                fields.data,
            )


def test_names_that_fit_in_a_broadcast_of_bytes() -> None:
    longest = "x" * (LONGEST_FIELD - len('{"topic":"","silent":true}'))
    assert raw_fits(longest)
    assert not raw_fits(longest + "x")
    # What JSON escapes is longer there.
    assert not raw_fits('"' * 130)


def test_text_frames_of_every_size() -> None:
    for size in (0, 1, 125, 126, 127, 65_535, 65_536):
        assert payload_of(text_frame(b"x" * size), 1) == b"x" * size


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_are_read_as_they_were_written(seed: int) -> None:
    randomness = random.Random(seed)
    for fields in many_fields(seed):
        value = {"x": [fields.event, {fields.metadata: None}], "n": randomness.random()}
        payload = orjson.dumps(value, option=orjson.OPT_INDENT_2).replace(b"\n  ", b"\n\t\r")
        line = Broadcast(fields.topic, fields.event, payload).line()
        assert "\n" not in line
        read = read_line(line)
        assert isinstance(read, Broadcast)
        assert (read.topic, read.event, read.is_raw) == (fields.topic, fields.event, False)
        assert orjson.loads(read.payload) == value
        raw = Broadcast(fields.topic, fields.event, fields.data, is_raw=True)
        assert read_line(raw.line()) == raw
    reference = Reference("user:1", "x", "01890a5d-ac96-774b-bcce-b302099a8057")
    assert read_line(reference.line()) == reference
    for malformed in (
        "~",
        "~t\te",
        "~t\te\t@",
        "~t\te\t@1",
        "~t\te\t=x",
        "~t\te\t=!!!!",
        "~t\te\t=ü",
    ):
        with pytest.raises(ValueError, match=r"\w"):
            read_line(malformed)
