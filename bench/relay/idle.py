"""What a socket that does nothing costs the server in memory.

Each is another person's, with a session, an access token and an allowance of its own: those are
part of what it costs.
"""

import time
from typing import Final

from bench.people import SECRET, people
from bench.relay.sizes import IDLE
from bench.results import Row
from bench.servers import Server, database, roost
from bench.sockets import Sockets, at_most

IN_EACH: Final = 10

# Joined before the first look, so that what the first of all make is not counted.
FIRST: Final = 50

# The size has settled when it has changed by less than this in the time.
SETTLED_BYTES: Final = 262_144
SETTLED_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 30.0


def measure() -> list[Row]:
    """The rows."""
    count = at_most(IDLE)
    rows = []
    with database() as postgres:
        # Those of the first look are not counted again.
        members = people(postgres.conninfo(), count + FIRST, in_each=IN_EACH)
        conversations = [(person.topic, person.token) for person in members]
        inboxes = [(person.inbox, person.token) for person in members]
        for what, joins, deflate in (
            ("in a conversation", conversations, False),
            ("in a conversation, permessage-deflate", conversations, True),
            ("in an inbox with a conversation", inboxes, False),
            ("in an inbox with a conversation, permessage-deflate", inboxes, True),
        ):
            with roost(postgres.conninfo(), ROOST_JWT_SECRET=SECRET) as server:
                size = _measure(server, joins, deflate=deflate)
            rows.append(
                Row(f"an idle socket of {count}, {what}", size / count / 1024, "KiB", "<= 30")
            )
    return rows


def _measure(server: Server, joins: list[tuple[str, str]], *, deflate: bool) -> int:
    """Bytes that all but the first take."""
    with Sockets(server.url, FIRST, joins[:FIRST], deflate=deflate):
        before = _settled(server)
        rest = joins[FIRST:]
        with Sockets(server.url, len(rest), rest, deflate=deflate):
            return _settled(server) - before


def _settled(server: Server) -> int:
    """Bytes, once who is there is written down and what it took to join is given back."""
    give_up = time.monotonic() + LONGEST_SECONDS
    size = server.memory()
    while time.monotonic() < give_up:
        time.sleep(SETTLED_SECONDS)
        before, size = size, server.memory()
        if abs(size - before) < SETTLED_BYTES:
            break
    return size
