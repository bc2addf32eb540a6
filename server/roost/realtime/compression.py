"""permessage-deflate (RFC 7692) without any state that belongs to a socket.

Neither side refers back to earlier messages (no context takeover), so a compressed message is the
same bytes for every socket, and is made once for all of them. Only the message of an event is
compressed, by itself: the frame around it, which names the topic as the socket has joined it, goes
along in stored blocks of DEFLATE. So an inbox, whose frames are nobody else's, shares the work too.

A frame has one event, and what is compressed together is what one writer put into it. So nobody can
learn somebody else's text by sending guesses beside it and looking at sizes (CRIME, BREACH): there
is no context that both would be in.

What is read from the log for one socket, when it catches up, is not compressed: that would be work
for each socket. Nor are replies.
"""

import asyncio
import zlib
from typing import Final, Self, cast

from roost.realtime.protocol import Version, broadcast_ends, broadcast_frame, text_frame

EXTENSION: Final = "permessage-deflate"

# Measured with messages of 600 to 2,500 bytes: 6 to 14 us each, and 35 to 52 % less. Level 6 takes
# as long for these, and 8 times as long for large ones, for 10 % less.
# To 1,000 sockets, events of 1,000 bytes take 0.43 of the processor time that they take otherwise,
# since there is less to write.
LEVEL: Final = 1

# Raw DEFLATE, with the largest window: what a message refers back to is in itself.
_WINDOW_BITS: Final = -15

# What ends a flushed block. The last one of a message is left out on the wire.
_FLUSHED: Final = b"\x00\x00\xff\xff"

# The first byte of a final text frame whose payload is compressed (RSV1).
_COMPRESSED_TEXT: Final = 0xC1

# Two stored blocks around the message and an empty one behind it.
_LEAST_SAVED: Final = 16

_BITS: Final = frozenset(map(str, range(8, 16)))


def accepted(offers: str) -> str | None:
    """The answer to what a client offers in Sec-WebSocket-Extensions; None where none of it will
    do, which leaves the connection uncompressed.
    """
    for offer in offers.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name.lower() == EXTENSION:
            answer = _answer(parameters)
            if answer is not None:
                return answer
    return None


def _answer(parameters: list[str]) -> str | None:
    """A server may ask for no context takeover though it was not offered (section 7.1.1)."""
    answer = [EXTENSION, "server_no_context_takeover", "client_no_context_takeover"]
    seen = set()
    for parameter in parameters:
        name, separator, value = (part.strip() for part in parameter.partition("="))
        value = value.strip('"')
        if name in seen:
            return None
        seen.add(name)
        match name:
            case "server_no_context_takeover" | "client_no_context_takeover":
                if separator:
                    return None
            case "client_max_window_bits":
                if separator and value not in _BITS:
                    return None
            case "server_max_window_bits":
                # A smaller window would need bytes of its own.
                if value != "15":
                    return None
                answer.append("server_max_window_bits=15")
            case _:
                return None
    return "; ".join(answer)


class Deflated:
    """Messages of some events, compressed when they are first asked for, for every socket."""

    __slots__ = ("_bodies",)

    def __init__(self) -> None:
        self._bodies: dict[bytes, bytes | None] = {}

    def frame(self, version: Version, topic: bytes, message: bytes, least: int) -> bytes:
        """As broadcast_frame(), compressed where the message has `least` bytes and it is worth it.

        least -- 0 compresses nothing
        """
        if not 0 < least <= len(message):
            return broadcast_frame(version, topic, message)
        try:
            body = self._bodies[message]
        except KeyError:
            body = self._bodies[message] = _deflate(message)
        if body is None:
            return broadcast_frame(version, topic, message)
        head, tail = broadcast_ends(version, topic)
        # The empty block at the end loses its last four bytes: they are understood.
        return text_frame(_stored(head) + body + _stored(tail) + b"\x00", _COMPRESSED_TEXT)


def _deflate(message: bytes) -> bytes | None:
    """Blocks of DEFLATE that end on a byte; None where they would not be shorter.

    A compressor for each: measured, it costs no more than one that is flushed and used again.
    """
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW_BITS)
    body = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return body if len(body) + _LEAST_SAVED < len(message) else None


def _stored(data: bytes) -> bytes:
    """A block of DEFLATE with up to 65,535 bytes as they are (RFC 1951, section 3.2.4)."""
    length = len(data)
    return b"\x00%b%b%b" % (
        length.to_bytes(2, "little"),
        (length ^ 0xFFFF).to_bytes(2, "little"),
        data,
    )


# What aiohttp's reader answers with the right close code: reserved bits (1002).
_BROKEN: Final = b"\xf1\x80\x00\x00\x00\x00"


class Inflater(asyncio.Protocol):
    """Stands between a transport and aiohttp, to which it hands compressed frames on as plain ones.

    aiohttp would keep a decompressor of some 40 KB for each socket that has ever sent a compressed
    frame. Nothing is kept here between two messages.
    """

    __slots__ = (
        "_fin",
        "_inner",
        "_is_over",
        "_left",
        "_mask",
        "_message",
        "_most",
        "_opcode",
        "_part",
        "_partial",
    )

    def __init__(self, inner: asyncio.Protocol, most: int) -> None:
        self._inner = inner
        self._most = most
        # The beginning of a frame, up to its payload.
        self._partial = b""
        # What is missing of the payload of the frame that is coming in.
        self._left = 0
        # Of a compressed message: what there is of its frames, and of the one that is coming in.
        self._message: bytearray | None = None
        self._part: bytearray | None = None
        self._mask = b""
        self._fin = False
        self._opcode = 0
        self._is_over = False

    @classmethod
    def install(cls, transport: asyncio.Transport, most: int) -> Self:
        """Begins to look at what comes in; most is how large a message may be, in bytes."""
        inflater = cls(cast("asyncio.Protocol", transport.get_protocol()), most)
        transport.set_protocol(inflater)
        return inflater

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._inner.resume_writing()

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""
        return self._inner.eof_received()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self._is_over:
            plain = self._plain(data)
            if plain:
                self._inner.data_received(plain)

    def _plain(self, data: bytes) -> bytes:
        """The same frames, as far as they have come, without compressed ones."""
        if self._partial:
            data, self._partial = self._partial + data, b""
        plain: list[bytes] = []
        # Frames that need no change go in one piece, from here.
        run = at = 0
        while at < len(data):
            if self._left:
                end = min(len(data), at + self._left)
                self._left -= end - at
                if self._part is not None:
                    self._part += data[at:end]
                    run = end
                at = end
            else:
                start = _payload_start(data, at)
                if start > len(data):
                    self._partial = data[at:]
                    break
                refusal = self._open(data, at, start)
                if self._part is not None or refusal:
                    plain += (data[run:at], refusal)
                    run = start
                at = start
            if self._part is not None and not self._left:
                plain.append(self._end_part(self._part))
            if self._is_over:
                return b"".join(plain)
        plain.append(data[run:at])
        return b"".join(plain)

    def _open(self, data: bytes, at: int, start: int) -> bytes:
        """Begins a frame whose payload is at `start`. Returns what to hand on instead of a frame
        that can't be: something that aiohttp refuses for the same reason.
        """
        first, length = data[at], data[at + 1] & 0x7F
        if length == 126:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
        elif length == 127:
            length = int.from_bytes(data[at + 2 : at + 10], "big")
        self._left = length
        opcode, is_compressed = first & 0x0F, bool(first & 0x40)
        # Control frames come between those of a message, and are not compressed.
        if opcode >= 0x8 or not (is_compressed or self._message is not None):
            return b""
        if self._message is None:
            self._message = bytearray()
            self._opcode = opcode
            is_wrong = opcode == 0
        else:
            # Only what goes on with it may follow, and that says nothing of compression.
            is_wrong = opcode != 0 or is_compressed
        if is_wrong:
            return self._give_up(_BROKEN)
        if len(self._message) + length > self._most:
            return self._give_up(self._too_large())
        self._part = bytearray()
        self._fin = bool(first & 0x80)
        self._mask = data[start - 4 : start] if data[at + 1] & 0x80 else bytes(4)
        return b""

    def _end_part(self, part: bytearray) -> bytes:
        """Takes in a frame of a compressed message; with the last one, the message as a frame."""
        message = bytearray() if self._message is None else self._message
        message += _unmasked(part, self._mask)
        self._message = None if self._fin else message
        self._part = None
        if not self._fin:
            return b""
        inflator = zlib.decompressobj(_WINDOW_BITS)
        try:
            text = inflator.decompress(message + _FLUSHED, self._most + 1)
        except zlib.error:
            return self._give_up(_BROKEN)
        if len(text) > self._most:
            return self._give_up(self._too_large())
        return _frame(0x80 | self._opcode, len(text)) + text

    def _give_up(self, frame: bytes) -> bytes:
        self._is_over = True
        return frame

    def _too_large(self) -> bytes:
        """The beginning of a frame that is refused for what it says of its size (1009)."""
        return _frame(0x82, self._most + 1)


def _payload_start(data: bytes, at: int) -> int:
    """Where the payload of the frame at `at` begins; behind the end where that can't be known."""
    if len(data) - at < 2:
        return len(data) + 1
    second = data[at + 1]
    length = second & 0x7F
    return at + 2 + (0 if length < 126 else 2 if length == 126 else 8) + (4 if second & 0x80 else 0)


def _unmasked(data: bytearray, mask: bytes) -> bytes:
    """Client frames are masked with four bytes, over and over (RFC 6455, section 5.3)."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _frame(first: int, length: int) -> bytes:
    """The beginning of a client's frame, with a mask that changes nothing."""
    if length < 126:
        return b"%c%c" % (first, 0x80 | length) + bytes(4)
    if length < 65_536:
        return b"%c\xfe%b" % (first, length.to_bytes(2, "big")) + bytes(4)
    return b"%c\xff%b" % (first, length.to_bytes(8, "big")) + bytes(4)
