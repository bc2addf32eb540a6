"""A server crashes, and all of its sockets come back at once, each for what it has missed.

Times are from the moment that the new server takes connections, when all clients open theirs.
"""

import statistics
from typing import Final
from urllib.parse import urlsplit

import psycopg

from bench.people import SECRET, Person, people
from bench.relay.sizes import RECONNECTS, ROUNDS
from bench.results import Row
from bench.servers import database, roost
from bench.sockets import Sockets, at_most

IN_EACH: Final = 10
MISSED: Final = 10
EVENT: Final = "bench.event"
PAYLOAD: Final = '{"text":"' + "x" * 189 + '"}'

# More would take longer than all the rest.
MOST_ROUNDS: Final = 3


def measure() -> list[Row]:
    """The rows."""
    count = at_most(RECONNECTS)
    with database() as postgres:
        members = people(postgres.conninfo(), count, in_each=IN_EACH)
        rounds = [_come_back(postgres.conninfo(), members) for _ in range(min(ROUNDS, MOST_ROUNDS))]
    what = f"{count} sockets back at once after a crash"

    def median(figure: str, place: float) -> float:
        return statistics.median(
            sorted(times[figure])[round(place * (count - 1))] for times in rounds
        )

    return [
        Row(f"{what}: half have joined", median("joined", 0.5), "s"),
        Row(f"{what}: all have joined", median("joined", 1), "s"),
        Row(f"{what}: half have the {MISSED} events missed", median("resumed", 0.5), "s"),
        Row(f"{what}: all have the {MISSED} events missed", median("resumed", 1), "s"),
    ]


def _come_back(conninfo: str, members: list[Person]) -> dict[str, list[float]]:
    """Seconds until each socket had joined, and had what it had missed."""
    joins = [(person.topic, person.token) for person in members]
    with roost(conninfo, ROOST_JWT_SECRET=SECRET) as server:
        port = str(urlsplit(server.url).port)
        with Sockets(server.url, len(members), joins) as sockets:
            sockets.expect_loss()
            server.kill()
            with psycopg.connect(conninfo) as connection:
                connection.execute(
                    "SELECT realtime.publish(topic, %s, %s::json)"
                    " FROM unnest(%s::text[]) AS topic, generate_series(1, %s)",
                    [EVENT, PAYLOAD, sorted({person.topic for person in members}), MISSED],
                )
            # With what a client knows: the address is the same as before.
            with roost(conninfo, ROOST_JWT_SECRET=SECRET, ROOST_PORT=port) as again:
                return sockets.resume(again.url, MISSED)
