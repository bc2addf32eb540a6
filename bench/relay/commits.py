"""Messages committed a second by 32 clients that call send_message over HTTP, each in a
conversation of its own.

    live        as it is: a socket listens to every conversation, the server relays
    unheard     the same rows are written, and nobody listens: no word of an event leaves the
                transaction, so that nothing is read, relayed or told to other servers
    eventless   the same, and the event itself is not written either
    notifying   as live, but that every transaction tells the relay itself, by pg_notify

Each has a copy of the same database and a server of its own, all of it on one PostgreSQL; they take
turns in every round, and turns at being the first, who comes behind what is cleared up between the
rounds. So many database connections as clients, that all of them may commit at once.

The slow disk is commit_delay: whoever is to flush waits for a millisecond before. A round of those
that relay is over when all that was committed has been received.
"""

import json
import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

import psycopg

from bench.people import SECRET, Person, people
from bench.relay.sizes import ROUNDS, SECONDS
from bench.results import Row, ratios
from bench.servers import Load, Server, database, http_request, roost
from bench.sockets import Sockets
from roost.database.embedded import DATABASE, EmbeddedPostgres

WRITERS: Final = 32
# In each conversation. What they take themselves is counted too, where all share the processors.
SOCKETS: Final = 1

# Seconds. Elsewhere it is other machines that are woken by each message.
DOZE: Final = 0.01

CONTENT: Final = {
    "text": "A message of the length that people write to each other, most of the time."
}

_NOTHING: Final = """
CREATE OR REPLACE FUNCTION realtime.wake(p_line text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN;
END;
$$;
"""

_NO_EVENT: Final = """
CREATE OR REPLACE FUNCTION realtime.append(
    p_topic text,
    p_offset bigint,
    p_event text,
    p_payload json,
    p_about_offset bigint DEFAULT NULL,
    p_revokes text DEFAULT NULL,
    p_grants_topic text DEFAULT NULL,
    p_grants_after bigint DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN;
END;
$$;
"""

_NOTIFY: Final = """
CREATE OR REPLACE FUNCTION realtime.wake(p_line text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('roost_events', E'\n' || p_line);
END;
$$;
"""

# What is other than Roost has it, and whether somebody listens.
VARIANTS: Final = {
    "live": ("", True),
    "unheard": (_NOTHING, False),
    "eventless": (_NOTHING + _NO_EVENT, False),
    "notifying": (_NOTIFY, True),
}

FLUSHES: Final = {
    "default flush": ("0", "5"),
    "1 ms flush": ("1000", "0"),
}


@dataclass(slots=True)
class Variant:
    """
    A database, its server and who listens, if anybody does.

    rates -- commits a second, for each flush, a round each
    delays -- seconds until the last of them was received
    """

    conninfo: str
    server: Server
    sockets: Sockets | None
    rates: dict[str, list[float]] = field(default_factory=dict)
    delays: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, load: Load, requests: list[str], flush: str) -> None:
        """A round. Raises RuntimeError when something is not received."""
        before = _messages(self.conninfo)
        if self.sockets is not None:
            self.sockets.count("message.created", DOZE)
        self.rates.setdefault(flush, []).append(load.run(self.server.url, SECONDS, requests))
        if self.sockets is not None:
            started = time.perf_counter()
            self.sockets.until(SOCKETS * (_messages(self.conninfo) - before))
            self.delays.setdefault(flush, []).append(time.perf_counter() - started)


def measure() -> list[Row]:
    """The rows."""
    load = Load()
    with database(max_connections="300") as postgres, ExitStack() as stack:
        writers = people(postgres.conninfo(), WRITERS, in_each=1)
        requests = [_request(person) for person in writers]
        joins = [(person.topic, person.token) for person in writers]
        variants = {
            name: stack.enter_context(_variant(postgres, name, *differs, joins))
            for name, differs in VARIANTS.items()
        }
        turns = deque(variants.values())
        for _ in range(ROUNDS):
            for flush, settings in FLUSHES.items():
                _set_flush(postgres, *settings)
                for variant in turns:
                    _run(postgres, "CHECKPOINT")
                    variant.measure(load, requests, flush)
            turns.rotate()
    load.close()
    return [row for flush in FLUSHES for row in _rows(flush, variants)]


@contextmanager
def _variant(
    postgres: EmbeddedPostgres,
    name: str,
    differs: str,
    is_heard: bool,
    joins: list[tuple[str, str]],
) -> Iterator[Variant]:
    _run(postgres, f"CREATE DATABASE {name} TEMPLATE {DATABASE}")
    conninfo = postgres.conninfo(name)
    if differs:
        with psycopg.connect(conninfo) as connection:
            connection.execute(differs.encode())
    with (
        roost(conninfo, ROOST_JWT_SECRET=SECRET, ROOST_DB_CONNECTIONS=str(WRITERS)) as server,
        ExitStack() as stack,
    ):
        sockets = None
        if is_heard:
            sockets = stack.enter_context(Sockets(server.url, SOCKETS * len(joins), joins))
        yield Variant(conninfo, server, sockets)


def _rows(flush: str, variants: dict[str, Variant]) -> list[Row]:
    what = f"{WRITERS} writers, {flush}"
    live = variants["live"]
    rows = [
        Row(f"{what}: {name}", statistics.median(variant.rates[flush]), "commits/s")
        for name, variant in variants.items()
    ]
    rows.append(
        Row(
            f"{what}: live, last commit to the last socket",
            statistics.median(live.delays[flush]) * 1000,
            "ms",
        )
    )
    rows += [
        Row(
            f"{what}: live / {name}",
            ratios(live.rates[flush], variants[name].rates[flush]),
            "ratio",
            budget,
        )
        for name, budget in (("unheard", ">= 0.9"), ("eventless", None), ("notifying", None))
    ]
    return rows


def _request(person: Person) -> str:
    body = {"conversation_id": person.conversation_id, "content": CONTENT}
    return http_request("/rpc/send_message", json.dumps(body), person.token)


def _messages(conninfo: str) -> int:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT sum(last_number) FROM roost.conversations").fetchone()
    assert row is not None
    return int(row[0])


def _set_flush(postgres: EmbeddedPostgres, delay: str, siblings: str) -> None:
    _run(postgres, f"ALTER SYSTEM SET commit_delay = {delay}")
    _run(postgres, f"ALTER SYSTEM SET commit_siblings = {siblings}")
    _run(postgres, "SELECT pg_reload_conf()")


def _run(postgres: EmbeddedPostgres, statement: str) -> None:
    # Not in the database that is copied.
    with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())
