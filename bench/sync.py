"""Catching up, and sending what was done offline, in the database, as a person on a device.

One person has BENCH_SYNC_MESSAGES messages (50) in each of 1,000 conversations, another ten times
as many in as many; a third has 20 conversations. What changes is the same for all of them. Nothing
is acknowledged while it is measured, so each call does the same again.

1,000 operations are pushed in one call, beside as many calls of the function that they call, in one
statement too; and they are pushed again, as by a device that the answer never reached.
"""

import json
import os
import statistics
import sys
import time
from typing import Any, Final

import psycopg

from bench.results import Row, ratios, report
from bench.servers import database

MESSAGES: Final = int(os.environ.get("BENCH_SYNC_MESSAGES", "50"))
CONVERSATIONS: Final = 1_000
CALLS: Final = 100
FEW: Final = 20
OPERATIONS: Final = 1_000
PUSHES: Final = 5

# Name, number, conversations, messages in each.
PEOPLE: Final = (
    ("few", 1, FEW, MESSAGES),
    ("many", 2, CONVERSATIONS, MESSAGES),
    ("10 times the history", 3, CONVERSATIONS, 10 * MESSAGES),
)
WRITER: Final = 9

ID: Final = "('00000000-0000-7000-{}-' || lpad(({})::text, 12, '0'))::uuid"
PERSON: Final = "00000000-0000-7000-8000-{:012}"
CONVERSATION: Final = "00000000-0000-7000-9000-{:012}"

FILL_PEOPLE: Final = f"""
SET session_replication_role = replica;

INSERT INTO roost.users (id, email, password_hash, display_name)
SELECT {ID.format("8000", "n")}, n || '@example.com', '$argon2id$v=19$x', 'Person ' || n
FROM generate_series(1, 9) AS n;

INSERT INTO roost.devices (id, user_id) SELECT id, id FROM roost.users;
"""  # noqa: S608  # of the constants above

FILL: Final = f"""
INSERT INTO roost.conversations (id, user_id, title, last_seq, last_number, last_activity)
SELECT {ID.format("9000", "%(person)s * 100000 + n")}, {ID.format("8000", WRITER)},
    'Conversation ' || n, %(messages)s, %(messages)s, now() - n * interval '1 minute'
FROM generate_series(1, %(conversations)s) AS n;

INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT {ID.format("9000", "%(person)s * 100000 + n")}, {ID.format("8000", "who")},
    CASE who WHEN {WRITER} THEN 'owner' ELSE 'member' END::roost.participant_role
FROM generate_series(1, %(conversations)s) AS n, unnest(ARRAY[%(person)s, {WRITER}]) AS who;

INSERT INTO roost.messages
    (conversation_id, seq, number, change_seq, user_id, device_id, content, created_at)
SELECT {ID.format("9000", "%(person)s * 100000 + n")}, s, s, s, {ID.format("8000", WRITER)},
    {ID.format("8000", WRITER)},
    jsonb_build_object('text', 'A message of the length that people write, number ' || s), now()
FROM generate_series(1, %(messages)s) AS s, generate_series(1, %(conversations)s) AS n;
"""  # noqa: S608  # of the constants above

SAY: Final = f"""
SELECT api.send_message(
    {ID.format("9000", "%(person)s * 100000 + n %% {few} + 1")},
    jsonb_build_object('text', 'A message of the length that people write, number ' || n)
)
FROM generate_series(1, %(number)s) AS n
""".replace("{few}", str(FEW))  # noqa: S608  # of the constants above


def _become(connection: psycopg.Connection[Any], number: int) -> None:
    for name in ("user_id", "device_id", "session_id"):
        connection.execute(
            "SELECT set_config(%s, %s, false)", [f"roost.{name}", PERSON.format(number)]
        )


def _pull(
    connection: psycopg.Connection[Any], limit: int = 1000, cursor: str | None = None
) -> tuple[str, str, bool]:
    """A page; its changes as text, since reading JSON is the client's."""
    row = connection.execute(
        "SELECT page.changes::text, page.cursor, page.has_more"
        " FROM api.pull_changes(%s, %s) AS page",
        [limit, cursor],
        prepare=True,
    ).fetchone()
    assert row is not None
    changes, position, has_more = row
    return changes, position, has_more


def _catch_up(connection: psycopg.Connection[Any], *, acknowledges: bool) -> float:
    """Seconds until there is no more."""
    started = time.perf_counter()
    cursor, has_more = None, True
    while has_more:
        _, cursor, has_more = _pull(connection, cursor=cursor)
        if acknowledges:
            connection.execute("SELECT api.ack_changes(%s)", [cursor], prepare=True)
            cursor = None
    return time.perf_counter() - started


def _in_turns(
    connection: psycopg.Connection[Any], calls: int, figures: dict[str, list[float]]
) -> None:
    """Milliseconds of catching up of each of the people, without acknowledging it."""
    for call in range(calls + 5):
        for name, number, _, _ in PEOPLE:
            _become(connection, number)
            taken = _catch_up(connection, acknowledges=False)
            if call >= 5:
                figures.setdefault(name, []).append(taken * 1000)


def _measure(connection: psycopg.Connection[Any], plain: psycopg.Connection[Any]) -> list[Row]:
    rows = []
    for name, number, conversations, messages in PEOPLE:
        _become(connection, number)
        taken = _catch_up(connection, acknowledges=True)
        rows += [
            Row(f"first sync, {name}: {conversations:,} conversations by {messages}", taken, "s"),
            Row(f"first sync, {name}", conversations * messages / taken, "messages/s"),
        ]
        _catch_up(connection, acknowledges=True)
    # It was all written at once, and the tables are read by what has been seen of them.
    plain.execute("VACUUM (ANALYZE)")
    for count, calls, most in ((0, CALLS, "< 1"), (100, CALLS, "< 10"), (10_000, 5, "< 500")):
        for _, number, _, _ in PEOPLE:
            _become(connection, WRITER)
            connection.execute(SAY.encode(), {"person": number, "number": count})
        figures: dict[str, list[float]] = {}
        _in_turns(connection, calls, figures)
        for name, _, conversations, _ in PEOPLE:
            # What is promised for no change is about a person as there are many.
            budget = most if count or conversations == FEW else None
            what = f"{count:,} changes, {name}: {conversations:,} conversations"
            rows.append(Row(what, statistics.median(figures[name]), "ms", budget))
        ten_times = ratios(figures[PEOPLE[2][0]], figures[PEOPLE[1][0]])
        rows.append(
            Row(f"{count:,} changes, 10 times the history / once", ten_times, "ratio", "< 1.5")
        )
        for _, number, _, _ in PEOPLE:
            _become(connection, number)
            for _ in range(2):
                _catch_up(connection, acknowledges=True)
    return rows


def _timed(connection: psycopg.Connection[Any], statement: str, values: Any) -> float:
    """Milliseconds of a statement."""
    started = time.perf_counter()
    connection.execute(statement.encode(), values, prepare=True)
    return (time.perf_counter() - started) * 1000


def _measure_push(connection: psycopg.Connection[Any]) -> list[Row]:
    person = PEOPLE[0][1]
    figures: dict[str, list[float]] = {"push": [], "again": [], "calls": []}
    for push in range(PUSHES + 1):
        operations = json.dumps(
            [
                {
                    "id": push * OPERATIONS + n,
                    "kind": "send_message",
                    "args": {
                        "conversation_id": CONVERSATION.format(person * 100_000 + n % FEW + 1),
                        "content": {
                            "text": f"A message of the length that people write, number {n}"
                        },
                    },
                }
                for n in range(1, OPERATIONS + 1)
            ]
        )
        _become(connection, person)
        statement = "SELECT count(*) FROM api.push_operations(%s)"
        taken = {name: _timed(connection, statement, [operations]) for name in ("push", "again")}
        _become(connection, WRITER)
        taken["calls"] = _timed(connection, SAY, {"person": person, "number": OPERATIONS})
        if push:
            for name, milliseconds in taken.items():
                figures[name].append(milliseconds)
    what = f"push of {OPERATIONS:,} operations"
    return [
        Row(what, statistics.median(figures["push"]), "ms"),
        Row(f"{what}, again", statistics.median(figures["again"]), "ms"),
        Row(f"{what} / as many calls", ratios(figures["push"], figures["calls"]), "ratio"),
    ]


def main() -> int:
    """Fills, measures and reports; answers the exit code."""
    with (
        database() as postgres,
        psycopg.connect(postgres.conninfo(), autocommit=True) as plain,
        psycopg.connect(postgres.conninfo(), autocommit=True) as connection,
    ):
        print("filling", file=sys.stderr)
        plain.execute(FILL_PEOPLE.encode())
        for _, number, conversations, messages in PEOPLE:
            for statement in FILL.split(";\n"):
                if statement.strip():
                    plain.execute(
                        statement.encode(),
                        {"person": number, "conversations": conversations, "messages": messages},
                    )
        plain.execute("SET session_replication_role = origin")
        # Filled without triggers.
        while plain.execute("SELECT roost.backfill_participants(10000)").fetchone() != (0,):
            pass
        plain.execute("VACUUM (ANALYZE)")
        plain.execute("CHECKPOINT")
        connection.execute("SET ROLE roost_user")
        connection.execute("SET roost.gateway = 'on'")
        rows = _measure(connection, plain) + _measure_push(connection)
    report("sync", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
