"""Reading and sending in large conversations, in the database, as a signed-in person.

A database of BENCH_MESSAGES messages (1,000,000) in 10,000 conversations, 1,000 of them the
caller's. Each list is timed beside the same rows read without row-level security and without
Roost's functions. Sending is measured in a conversation of 2 and in one of 1,000, in turns.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg

from bench.results import Row, ratios, report
from bench.servers import database

MESSAGES: Final = int(os.environ.get("BENCH_MESSAGES", "1000000"))
CONVERSATIONS: Final = 10_000
OWN: Final = 1_000
PEOPLE: Final = 2_000
CROWD: Final = 1_000
CALLS: Final = 200
ROUNDS: Final = 7
SENDS: Final = 400

USER: Final = "00000000-0000-7000-8000-000000000001"
SMALL: Final = "00000000-0000-7000-9001-000000000002"
LARGE: Final = "00000000-0000-7000-9001-000000001000"

# The same id for the same number, so that no lookup is needed while filling.
PERSON: Final = "('00000000-0000-7000-8000-' || lpad(({})::text, 12, '0'))::uuid"
CONVERSATION: Final = "('00000000-0000-7000-9000-' || lpad(({})::text, 12, '0'))::uuid"

FILL: Final = f"""
SET session_replication_role = replica;

INSERT INTO roost.users (id, email, password_hash, display_name)
SELECT {PERSON.format("n")}, n || '@example.com', '$argon2id$v=19$x', 'Person ' || n
FROM generate_series(1, {PEOPLE}) AS n;

INSERT INTO roost.devices (id, user_id) SELECT id, id FROM roost.users;

INSERT INTO roost.conversations (id, user_id, title, last_seq, last_number, last_activity)
SELECT {CONVERSATION.format("n")}, {PERSON.format(f"n % {PEOPLE - 1} + 2")}, 'Conversation ' || n,
    {MESSAGES} / {CONVERSATIONS}, {MESSAGES} / {CONVERSATIONS},
    now() - (n * 7919 % {CONVERSATIONS}) * interval '1 minute'
FROM generate_series(1, {CONVERSATIONS}) AS n;

INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT id, user_id, 'owner' FROM roost.conversations;

INSERT INTO roost.conversation_participants (conversation_id, user_id, role, read_number)
SELECT {CONVERSATION.format("n")}, '{USER}', 'member', n % ({MESSAGES} / {CONVERSATIONS})
FROM generate_series(1, {CONVERSATIONS}, {CONVERSATIONS // OWN}) AS n;

-- Written as they would come: conversations in turns.
INSERT INTO roost.messages
    (conversation_id, seq, number, change_seq, user_id, device_id, content, created_at)
SELECT {CONVERSATION.format("c")}, s, s, s, {PERSON.format(f"c % {PEOPLE - 1} + 2")},
    {PERSON.format(f"c % {PEOPLE - 1} + 2")},
    jsonb_build_object('text', 'A message of the length that people write, number ' || s),
    now() - ({MESSAGES} / {CONVERSATIONS} - s) * interval '1 hour'
FROM generate_series(1, {MESSAGES} / {CONVERSATIONS}) AS s,
    generate_series(1, {CONVERSATIONS}) AS c;

INSERT INTO roost.conversations (id, user_id)
VALUES ('{SMALL}', '{USER}'), ('{LARGE}', '{USER}');

INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT asked.id, {PERSON.format("n")},
    CASE n WHEN 1 THEN 'owner' ELSE 'member' END::roost.participant_role
FROM (VALUES ('{SMALL}'::uuid, 2), ('{LARGE}', {CROWD})) AS asked (id, people),
    generate_series(1, asked.people) AS n;

SET session_replication_role = origin;
"""  # noqa: S608  # of the constants above

# What the budget of reading is.
MEDIAN_MS: Final = "< 5"


def _timed(connection: psycopg.Connection[Any], query: str, values: list[Any]) -> float:
    """Milliseconds that a query takes, its answer included; the round trip is of microseconds."""
    started = time.perf_counter()
    connection.execute(query.encode(), values, prepare=True).fetchall()
    return (time.perf_counter() - started) * 1000


def _list_rows(connection: psycopg.Connection[Any], plain: psycopg.Connection[Any]) -> list[Row]:
    own = [
        row[0]
        for row in plain.execute(
            "SELECT conversation_id FROM roost.conversation_participants"
            " WHERE user_id = %s LIMIT %s",
            [USER, CALLS],
        ).fetchall()
    ]
    conversations = (
        "SELECT c.* FROM roost.conversation_participants AS p"
        " JOIN roost.conversations AS c ON c.id = p.conversation_id WHERE p.user_id = %s"
        " AND p.left_at IS NULL ORDER BY c.last_activity DESC, c.id DESC LIMIT 50"
    )
    messages = "SELECT * FROM roost.messages WHERE conversation_id = %s ORDER BY seq DESC LIMIT 50"
    middle = (
        "SELECT * FROM roost.messages WHERE conversation_id = %s AND seq < 60"
        " ORDER BY seq DESC LIMIT 50"
    )
    measures: list[tuple[str, str, str, Callable[[int], list[Any]], Callable[[int], list[Any]]]] = [
        (
            f"list_conversations, 50 of {OWN:,}",
            "SELECT * FROM api.list_conversations()",
            conversations,
            lambda _: [],
            lambda _: [USER],
        ),
        (
            "list_messages, newest 50",
            "SELECT * FROM api.list_messages(%s)",
            messages,
            lambda n: [own[n % len(own)]],
            lambda n: [own[n % len(own)]],
        ),
        (
            "list_messages, 50 before the middle",
            "SELECT * FROM api.list_messages(%s, before_seq => 60)",
            middle,
            lambda n: [own[n % len(own)]],
            lambda n: [own[n % len(own)]],
        ),
        (
            "get_unread_counts",
            "SELECT api.get_unread_counts()",
            conversations,
            lambda _: [],
            lambda _: [USER],
        ),
    ]
    rows = []
    for name, ours, theirs, our_values, their_values in measures:
        for number in range(20):
            _timed(connection, ours, our_values(number))
            _timed(plain, theirs, their_values(number))
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        for number in range(CALLS):
            times["ours"].append(_timed(connection, ours, our_values(number)))
            times["theirs"].append(_timed(plain, theirs, their_values(number)))
        rows += [
            Row(f"{name}: median", statistics.median(times["ours"]), "ms", MEDIAN_MS),
            Row(f"{name}: 95th percentile", statistics.quantiles(times["ours"], n=20)[18], "ms"),
            Row(f"{name}: bare rows, median", statistics.median(times["theirs"]), "ms"),
        ]
    return rows


def _send_rows(connection: psycopg.Connection[Any]) -> list[Row]:
    def sends(conversation: str, text: str) -> float:
        """Messages a second, one after the other."""
        started = time.perf_counter()
        for number in range(SENDS):
            connection.execute(
                "SELECT api.send_message(%s, jsonb_build_object('text', %s::text))",
                [conversation, f"{text} {number}"],
                prepare=True,
            )
        return SENDS / (time.perf_counter() - started)

    figures: dict[tuple[str, str], list[float]] = {}
    texts = {
        "plain": "A message of the length that people write",
        "a mention": "@3@example.com look",
    }
    for text in texts.values():
        for conversation in (SMALL, LARGE):
            sends(conversation, text)
    for _ in range(ROUNDS):
        for kind, text in texts.items():
            for name, conversation in (("2", SMALL), (f"{CROWD:,}", LARGE)):
                figures.setdefault((kind, name), []).append(sends(conversation, text))
    rows = [
        Row(f"send_message to {name}, {kind}", statistics.median(values), "messages/s")
        for (kind, name), values in figures.items()
    ]
    for kind, budget in (("plain", "< 1.5"), ("a mention", "< 1.5")):
        rows.append(
            Row(
                f"send_message, {kind}: time to {CROWD:,} / time to 2",
                ratios(figures[kind, "2"], figures[kind, f"{CROWD:,}"]),
                "ratio",
                budget,
            )
        )
    return rows


def main() -> int:
    """Fills, measures and reports; answers the exit code."""
    with (
        database() as postgres,
        psycopg.connect(postgres.conninfo(), autocommit=True) as plain,
        psycopg.connect(postgres.conninfo(), autocommit=True) as connection,
    ):
        print(f"filling: {MESSAGES:,} messages", file=sys.stderr)
        plain.execute(FILL.encode())
        # Filled without triggers.
        while plain.execute("SELECT roost.backfill_participants(10000)").fetchone() != (0,):
            pass
        plain.execute("VACUUM (ANALYZE)")
        plain.execute("CHECKPOINT")
        for name, value in (
            ("role", "roost_user"),
            ("roost.user_id", USER),
            ("roost.device_id", USER),
            ("roost.session_id", USER),
            ("roost.gateway", "on"),
        ):
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        rows = [*_list_rows(connection, plain), *_send_rows(connection)]
    report("conversations", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
