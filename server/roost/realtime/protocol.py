"""Frames of Phoenix channels as Supabase's clients speak them, versions 1.0.0 and 2.0.0, and of
event streams.

Sources: Phoenix's V1 and V2 serializers, and lib/serializer.ts of supabase-js for the binary
frames of kinds 3 and 4. A version 1.0.0 frame is a JSON object {topic, event, payload, ref,
join_ref}; a version 2.0.0 frame is a JSON list [join_ref, ref, topic, event, payload], or binary.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import orjson

# A binary frame counts each of these in one byte. Text frames are held to the same, since a socket
# keeps join references and topics for as long as it is open.
LONGEST_FIELD: Final = 255

_BINARY_PUSH: Final = 0
_USER_BROADCAST_PUSH: Final = 3
_USER_BROADCAST: Final = 4

# The encodings of a user broadcast.
_RAW: Final = 0
_JSON: Final = 1

# The first byte of a final frame (RFC 6455, section 5.2).
_TEXT: Final = 0x81
_BINARY: Final = 0x82


class Version(IntEnum):
    """The encoding that a client chose with `vsn`; without one it is the first."""

    V1 = 0
    V2 = 1


VERSIONS: Final = {"1.0.0": Version.V1, "2.0.0": Version.V2}


@dataclass(frozen=True, slots=True)
class UserBroadcast:
    """The content of a binary frame of kind 3. Neither it nor the metadata have been looked at.

    payload -- JSON text, or whatever bytes where is_raw
    """

    event: str
    metadata: bytes
    payload: bytes
    is_raw: bool


@dataclass(frozen=True, slots=True)
class Push:
    """What a client sent. payload is empty for a binary frame; what kind 0 has is not looked at."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: dict[str, Any]
    user_broadcast: UserBroadcast | None = None


class MalformedFrameError(Exception):
    """A frame that is not one of the protocol. Carries as much of it as could be read."""

    def __init__(
        self, message: str, *, join_ref: str | None, ref: str | None, topic: str | None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.join_ref = join_ref
        self.ref = ref
        self.topic = topic


def decode(version: Version, data: str | bytes) -> Push:
    """Reads a text (str) or binary (bytes) frame of a client. Raises MalformedFrameError."""
    if isinstance(data, bytes):
        return _decode_binary(version, data)
    fields: list[Any]
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise _malformed("The frame is not JSON.") from None
    if version is Version.V1:
        if not isinstance(frame, dict):
            raise _malformed("A frame of version 1.0.0 is a JSON object.")
        fields = [frame.get(name) for name in ("join_ref", "ref", "topic", "event", "payload")]
    else:
        if not isinstance(frame, list):
            raise _malformed("A frame of version 2.0.0 is a JSON list.")
        fields = frame[:5]
        if len(fields) < 5:
            raise _malformed(
                "A frame of version 2.0.0 has five elements: join_ref, ref, topic, event, payload.",
                [*fields, None, None, None],
            )
    join_ref, ref, topic, event, payload = fields
    if not (_is_ref(join_ref) and _is_ref(ref)):
        raise _malformed("References are strings of at most 255 characters, or null.", fields)
    if not (_is_name(topic) and _is_name(event)):
        raise _malformed("Topic and event are strings of 1 to 255 characters.", fields)
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        raise _malformed("The payload is a JSON object.", fields)
    return Push(join_ref, ref, topic, event, payload)


def _decode_binary(version: Version, data: bytes) -> Push:
    """Reads `kind | lengths, a byte each | fields | data`.

    kind 0: join_ref, ref, topic, event. kind 3: join_ref, ref, topic, the user's event, metadata,
    and behind the lengths one byte for the encoding of the data; its event is "broadcast".
    """
    if version is Version.V1:
        raise _malformed("Version 1.0.0 has no binary frames.")
    kind = data[0] if data else None
    if kind == _BINARY_PUSH:
        lengths, start = data[1:5], 5
    elif kind == _USER_BROADCAST_PUSH:
        lengths, start = data[1:6], 7
    else:
        raise _malformed("Binary frames are of kind 0 or 3.")
    if len(data) < start + sum(lengths):
        raise _malformed("The binary frame ends before its fields do.")
    fields = []
    for length in lengths[:4]:
        try:
            fields.append(data[start : start + length].decode())
        except UnicodeDecodeError:
            raise _malformed("The fields of a binary frame are UTF-8.") from None
        start += length
    join_ref, ref, topic, event = fields
    if not (topic and event):
        raise _malformed("Topic and event are strings of 1 to 255 characters.", fields)
    if kind == _BINARY_PUSH:
        return Push(join_ref or None, ref or None, topic, event, {})
    encoding = data[6]
    if encoding not in (_RAW, _JSON):
        raise _malformed("The encoding of a broadcast is 0 for bytes or 1 for JSON.", fields)
    metadata_end = start + lengths[4]
    sent = UserBroadcast(event, data[start:metadata_end], data[metadata_end:], encoding == _RAW)
    return Push(join_ref or None, ref or None, topic, "broadcast", {}, sent)


def _is_ref(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= LONGEST_FIELD)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_FIELD


def _malformed(message: str, fields: list[Any] | None = None) -> MalformedFrameError:
    join_ref, ref, topic = (fields or [None, None, None])[:3]
    return MalformedFrameError(
        message,
        join_ref=join_ref if _is_ref(join_ref) else None,
        ref=ref if _is_ref(ref) else None,
        topic=topic if _is_name(topic) else None,
    )


def encode(
    version: Version,
    *,
    join_ref: str | None = None,
    ref: str | None = None,
    topic: str,
    event: str,
    payload: dict[str, Any],
) -> bytes:
    """A WebSocket frame with one message of the server. Version 1.0.0 leaves join_ref out."""
    if version is Version.V1:
        message = {"topic": topic, "event": event, "payload": payload, "ref": ref}
        return text_frame(orjson.dumps(message))
    return text_frame(orjson.dumps([join_ref, ref, topic, event, payload]))


def broadcast_message(
    event: str,
    payload: bytes,
    *,
    event_id: str,
    offset: int,
    epoch: str,
    topic: str | None = None,
    replayed: bool = False,
    silent: bool = False,
) -> bytes:
    """The payload of a "broadcast", the same in both versions, as JSON text.

    payload -- JSON text as the database keeps it, passed on unread
    event_id, offset, epoch -- identify the stored event; clients hand them on as `meta`
    topic -- the event's own, where it is heard in another one
    silent -- the person wants nothing to draw attention to it
    """
    meta: dict[str, Any] = {"id": event_id, "offset": offset, "epoch": epoch}
    if topic is not None:
        meta["topic"] = topic
    if replayed:
        meta["replayed"] = True
    if silent:
        meta["silent"] = True
    return b'{"type":"broadcast","event":%b,"payload":%b,"meta":%b}' % (
        orjson.dumps(event),
        payload,
        orjson.dumps(meta),
    )


def ephemeral_message(
    event: str, payload: bytes, *, topic: str | None = None, silent: bool = False
) -> bytes:
    """As broadcast_message(), for an event that is not stored: it has no id and no offset."""
    meta = _ephemeral_meta(topic, silent=silent)
    if not meta:
        return b'{"type":"broadcast","event":%b,"payload":%b}' % (orjson.dumps(event), payload)
    return b'{"type":"broadcast","event":%b,"payload":%b,"meta":%b}' % (
        orjson.dumps(event),
        payload,
        meta,
    )


def _ephemeral_meta(topic: str | None, *, silent: bool) -> bytes:
    meta: dict[str, Any] = {}
    if topic is not None:
        meta["topic"] = topic
    if silent:
        meta["silent"] = True
    return orjson.dumps(meta) if meta else b""


def broadcast_frame(version: Version, topic: bytes, message: bytes) -> bytes:
    """A WebSocket frame with a message from one of the two above; topic is a JSON string."""
    if version is Version.V1:
        return text_frame(
            b'{"topic":%b,"event":"broadcast","payload":%b,"ref":null}' % (topic, message)
        )
    return text_frame(b'[null,null,%b,"broadcast",%b]' % (topic, message))


def raw_frame(
    joined_name: str,
    event: str,
    payload: bytes,
    *,
    topic: str | None = None,
    silent: bool = False,
) -> bytes:
    """A WebSocket frame with a broadcast of bytes, of kind 4. Version 1.0.0 has no such frames.

    joined_name -- under which the channel was joined
    topic, silent -- as for ephemeral_message(); raw_fits() has to be true of it
    """
    name, event_name = joined_name.encode(), event.encode()
    meta = _ephemeral_meta(topic, silent=silent)
    lengths = bytes((_USER_BROADCAST, len(name), len(event_name), len(meta), _RAW))
    return _frame(_BINARY, b"%b%b%b%b%b" % (lengths, name, event_name, meta, payload))


def raw_fits(topic: str) -> bool:
    """Whether the name of a topic fits in a frame of kind 4, joined by itself and in an inbox."""
    meta = _ephemeral_meta(topic, silent=True)
    return max(len(f"realtime:{topic}".encode()), len(meta)) <= LONGEST_FIELD


def message_frame(
    version: Version, topic: bytes, event: str, payload: bytes, *, join_ref: str | None = None
) -> bytes:
    """A WebSocket frame with a message of the server; topic is a JSON string, payload JSON text."""
    if version is Version.V1:
        return text_frame(
            b'{"topic":%b,"event":"%b","payload":%b,"ref":null}' % (topic, event.encode(), payload)
        )
    return text_frame(
        b'[%b,null,%b,"%b",%b]' % (orjson.dumps(join_ref), topic, event.encode(), payload)
    )


def broadcast_ends(version: Version, topic: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind the message in broadcast_frame()."""
    if version is Version.V1:
        return b'{"topic":%b,"event":"broadcast","payload":' % topic, b',"ref":null}'
    return b'[null,null,%b,"broadcast",' % topic, b"]"


def text_frame(payload: bytes, first: int = _TEXT) -> bytes:
    """A WebSocket text frame.

    A frame of the server is the same bytes for every receiver, so it is built once.

    first -- its first byte: flags and opcode
    """
    return _frame(first, payload)


def _frame(opcode: int, payload: bytes) -> bytes:
    """An unmasked, final WebSocket frame (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (opcode, length, payload)
    if length < 65_536:
        return b"%c\x7e%b%b" % (opcode, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (opcode, length.to_bytes(8, "big"), payload)


def server_sent_event(
    data: bytes, *, event: str | None = None, event_id: str | None = None
) -> bytes:
    """A message of an event stream; data is JSON text."""
    lines = []
    if event is not None:
        lines.append(b"event: %b\n" % event.encode())
    if event_id is not None:
        lines.append(b"id: %b\n" % event_id.encode())
    # In JSON line breaks stand between values only.
    lines.append(b"data: %b\n\n" % data.replace(b"\r", b" ").replace(b"\n", b" "))
    return b"".join(lines)


def chunk(data: bytes) -> bytes:
    """A piece of an HTTP body whose length is not known before (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
