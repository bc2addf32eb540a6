"""What a client says to each of the servers, as bytes: only as much as it takes to listen."""

import base64
import json
import os
import re
import struct
from typing import Any, Final, Protocol

_MASKED: Final = 0x80
_OFFSET: Final = re.compile(rb'"offset":(\d+)')
_EPOCH: Final = re.compile(rb'"epoch":"([^"]+)"')


def text_frame(text: str) -> bytes:
    """A masked text frame, as clients have to send them (RFC 6455); the mask is zero."""
    payload = text.encode()
    if len(payload) < 126:
        head = struct.pack("!BB", 0x81, _MASKED | len(payload))
    else:
        head = struct.pack("!BBH", 0x81, _MASKED | 126, len(payload))
    return head + bytes(4) + payload


def _upgrade(path: str, *, deflate: bool = False) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{extensions}\r\n"
    ).encode()


class Dialect(Protocol):
    """
    One client's part of a protocol.

    keepalive -- what it sends now and then, so that the server knows that it is there
    """

    keepalive: bytes

    def upgrade(self) -> bytes:
        """The request that opens the WebSocket."""

    def join(self, last_offset: int) -> bytes:
        """What is sent when it is open; last_offset is up to where the socket has the topic."""

    def joined_at(self, data: bytes) -> int | None:
        """The offset at which it has joined, if this is the answer to that, or 0 where the server
        has no offsets. Raises RuntimeError when it is a refusal.
        """


class Roost:
    """Phoenix channels, vsn 2.0.0: joins one topic, and resumes it when it comes back."""

    keepalive = text_frame(json.dumps([None, "0", "phoenix", "heartbeat", {}]))

    def __init__(self, topic: str, token: str, *, deflate: bool = False) -> None:
        self._topic = topic
        self._token = token
        self._deflate = deflate
        self._epoch: str | None = None

    def upgrade(self) -> bytes:
        return _upgrade("/realtime/v1/websocket?vsn=2.0.0&apikey=bench", deflate=self._deflate)

    def join(self, last_offset: int) -> bytes:
        config: dict[str, Any] = {"private": True}
        if self._epoch is not None:
            config["broadcast"] = {"replay": {"after": last_offset, "epoch": self._epoch}}
        payload = {"config": config, "access_token": self._token}
        return text_frame(json.dumps(["1", "1", f"realtime:{self._topic}", "phx_join", payload]))

    def joined_at(self, data: bytes) -> int | None:
        if b'"phx_reply"' not in data:
            return None
        offset, epoch = _OFFSET.search(data), _EPOCH.search(data)
        if b'"status":"ok"' not in data or offset is None or epoch is None:
            raise RuntimeError(f"a join was refused: {data!r}")
        self._epoch = epoch[1].decode()
        return int(offset[1])


class SocketIo:
    """Engine.IO 4 over WebSocket alone, the main namespace; the server puts it into its room."""

    # A pong. The server takes one that it has not asked for, and asks so much later.
    keepalive = text_frame("3")

    def upgrade(self) -> bytes:
        return _upgrade("/socket.io/?EIO=4&transport=websocket")

    def join(self, _last_offset: int) -> bytes:
        return text_frame("40")

    def joined_at(self, data: bytes) -> int | None:
        if b"44{" in data:
            raise RuntimeError(f"a connection was refused: {data!r}")
        return 0 if b"40{" in data else None
