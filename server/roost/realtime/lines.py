"""What servers tell each other and the database tells them, line by line.

A line is a topic that has something new, or a control message ("!..."), or an ephemeral event: "~"
and its topic, the event's name and its payload, with tabs between them. The payload is JSON text,
or bytes in base64 behind "=", or, where it is too large for a notification, "@" and the id under
which the database keeps it. JSON begins with neither.

Within a host a topic may come with what is new in it: a stored event, see `log.told_event`. To
other hosts just the topic goes.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final
from uuid import UUID

EPHEMERAL: Final = "~"

_RAW: Final = "="
_KEPT: Final = "@"

# Between its parts JSON may have both; within its strings they are escaped.
_SPACES: Final = bytes.maketrans(b"\t\n\r", b"   ")


@dataclass(frozen=True, slots=True)
class Broadcast:
    """An ephemeral event.

    payload -- JSON text, or whatever bytes where is_raw
    """

    topic: str
    event: str
    payload: bytes
    is_raw: bool = False

    def line(self) -> str:
        """As a line, however long that is."""
        if self.is_raw:
            payload = _RAW + base64.b64encode(self.payload).decode()
        else:
            payload = self.payload.translate(_SPACES).decode()
        return f"{EPHEMERAL}{self.topic}\t{self.event}\t{payload}"


@dataclass(frozen=True, slots=True)
class Reference:
    """An ephemeral event whose payload the database keeps."""

    topic: str
    event: str
    id: str

    def line(self) -> str:
        """As a line."""
        return f"{EPHEMERAL}{self.topic}\t{self.event}\t{_KEPT}{self.id}"


def split_lines(text: str) -> list[str]:
    """The lines of a text, without empty ones."""
    # Not splitlines(), which takes a dozen other characters for the end of a line.
    return [line for line in text.split("\n") if line]


def read_line(line: str) -> Broadcast | Reference:
    """Reads the line of an ephemeral event. Raises ValueError. JSON is not looked at."""
    topic, event, payload = line.removeprefix(EPHEMERAL).split("\t")
    if payload.startswith(_KEPT):
        return Reference(topic, event, str(UUID(payload.removeprefix(_KEPT))))
    if payload.startswith(_RAW):
        try:
            return Broadcast(
                topic, event, base64.b64decode(payload.removeprefix(_RAW), validate=True), True
            )
        except binascii.Error as error:
            raise ValueError(str(error)) from None
    return Broadcast(topic, event, payload.encode())
