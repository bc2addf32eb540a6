"""One topic to many sockets, Roost beside Socket.IO, in turns in every round.

The same process listens to either, and an event has the same 200 bytes. A burst is 200 events at
once: in Roost one transaction that stores them, told by NOTIFY, in Socket.IO a loop that emits
them. The steady rate is the same for both, one request over HTTP for each event: Roost stores it,
Socket.IO does not.
"""

import json
import statistics
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Protocol

import psycopg

from bench.people import SECRET, people
from bench.relay.sizes import FAN_OUT, ROUNDS, SECONDS
from bench.relay.steady import Latencies, Post, median_percentile, send_steadily
from bench.results import Row, ratios
from bench.servers import Server, cpu_seconds, database, roost, socket_io
from bench.sockets import Sockets, at_most, numbered
from roost.database.embedded import EmbeddedPostgres

EVENT: Final = "bench.event"
BURST: Final = 200

# 200 bytes of JSON, with {"text":""}.
TEXT_BYTES: Final = 189

# A second. Both keep up with this, with one core for them and one for whoever listens.
STEADY_DELIVERIES: Final = 20_000


class Contestant(Protocol):
    """A server, as it is told to pass events on."""

    server: Server

    def listen(self, count: int) -> Sockets:
        """Opens sockets."""

    def publish_burst(self) -> None:
        """Publishes BURST events at once."""

    def post(self, number: int) -> Post:
        """The request that publishes a number."""

    def database_cpu_seconds(self) -> float:
        """Processor time that its database has taken so far, if it has one."""


class Roost:
    """With an application topic."""

    def __init__(self, server: Server, postgres: EmbeddedPostgres) -> None:
        (person,) = people(postgres.conninfo(), 1, in_each=1)
        self.server = server
        self._postgres = postgres
        self._token = person.token
        self._topic = f"app:{person.user_id}:bench"

    def listen(self, count: int) -> Sockets:
        return Sockets(self.server.url, count, [(self._topic, self._token)])

    def publish_burst(self) -> None:
        with psycopg.connect(self._postgres.conninfo(), autocommit=True) as connection:
            connection.execute(
                "SELECT realtime.publish(%s, %s, %s::json) FROM generate_series(1, %s)",
                [self._topic, EVENT, _payload(0), BURST],
            )

    def post(self, number: int) -> Post:
        body = f'{{"topic":"{self._topic}","event":"{EVENT}","payload":{_payload(number)}}}'
        return Post(f"{self.server.url}/rpc/publish_event", body, self._token)

    def database_cpu_seconds(self) -> float:
        return cpu_seconds(self._postgres)


class SocketIo:
    """With a room."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def listen(self, count: int) -> Sockets:
        return Sockets(self.server.url, count)

    def publish_burst(self) -> None:
        url = f"{self.server.url}/emit?times={BURST}"
        with urllib.request.urlopen(url, _payload(0).encode()) as answer:  # noqa: S310
            answer.read()

    def post(self, number: int) -> Post:
        return Post(f"{self.server.url}/emit?times=1", _payload(number))

    def database_cpu_seconds(self) -> float:
        return 0.0


@dataclass(slots=True)
class Figures:
    """
    Of a contestant with so many sockets, a round each.

    bursts -- deliveries a second, from the first arrival to the last
    steady -- latencies
    costs, database_costs -- processor seconds for a million deliveries at the steady rate
    """

    bursts: list[float] = field(default_factory=list)
    steady: list[Latencies] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    database_costs: list[float] = field(default_factory=list)


def measure() -> list[Row]:
    """The rows."""
    rows = []
    with (
        database() as postgres,
        roost(postgres.conninfo(), ROOST_JWT_SECRET=SECRET) as ours,
        socket_io() as theirs,
    ):
        contestants: dict[str, Contestant] = {
            "Roost": Roost(ours, postgres),
            "Socket.IO": SocketIo(theirs),
        }
        for wanted in FAN_OUT:
            count = at_most(wanted)
            figures: dict[str, Figures] = {name: Figures() for name in contestants}
            with ExitStack() as stack:
                sockets = {
                    name: stack.enter_context(contestant.listen(count))
                    for name, contestant in contestants.items()
                }
                for number in range(ROUNDS + 1):
                    for name, contestant in contestants.items():
                        # The first is for warming up.
                        figured = figures[name] if number else Figures()
                        figured.bursts.append(_burst(contestant, sockets[name]))
                    for name, contestant in contestants.items():
                        if number:
                            _add_steady(figures[name], contestant, sockets[name])
            rows += _rows(count, figures)
    return rows


def _burst(contestant: Contestant, sockets: Sockets) -> float:
    sockets.count(EVENT)
    contestant.publish_burst()
    first, last = sockets.until(BURST * sockets.number)
    return BURST * sockets.number / max(last - first, 1e-6)


def _add_steady(figures: Figures, contestant: Contestant, sockets: Sockets) -> None:
    before, database_before = contestant.server.cpu_seconds(), contestant.database_cpu_seconds()
    latencies = send_steadily(sockets, contestant.post, STEADY_DELIVERIES / sockets.number, SECONDS)
    millions = latencies.requests * sockets.number / 1e6
    figures.costs.append((contestant.server.cpu_seconds() - before) / millions)
    figures.database_costs.append((contestant.database_cpu_seconds() - database_before) / millions)
    figures.steady.append(latencies)


def _payload(number: int) -> str:
    return json.dumps({"text": numbered(number, TEXT_BYTES)}, separators=(",", ":"))


def _rows(count: int, figures: dict[str, Figures]) -> list[Row]:
    burst = f"burst of {BURST} events of 200 bytes to {count} sockets"
    steady = f"{STEADY_DELIVERIES} deliveries/s to {count} sockets"
    ours, theirs = figures["Roost"], figures["Socket.IO"]
    is_promised = count == 1000
    rows = [
        Row(
            f"{burst}: {name}",
            statistics.median(figured.bursts),
            "deliveries/s",
            ">= 1000000" if is_promised and figured is ours else None,
        )
        for name, figured in figures.items()
    ]
    rows.append(
        Row(
            f"{burst}: Roost / Socket.IO",
            ratios(ours.bursts, theirs.bursts),
            "ratio",
            ">= 5" if is_promised else None,
        )
    )
    for percent, called in ((50, "median"), (99, "99th percentile")):
        rows += [
            Row(
                f"{steady}: {name}, from the request, {called}",
                median_percentile([each.from_request for each in figured.steady], percent),
                "ms",
            )
            for name, figured in figures.items()
        ]
    rows += [
        Row(f"{steady}: {name}, server", statistics.median(figured.costs), "CPU s/million")
        for name, figured in figures.items()
    ]
    rows.append(
        Row(f"{steady}: server, Roost / Socket.IO", ratios(ours.costs, theirs.costs), "ratio")
    )
    rows.append(
        Row(
            f"{steady}: Roost, its database",
            statistics.median(ours.database_costs),
            "CPU s/million",
        )
    )
    return rows
