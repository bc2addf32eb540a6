"""Search in a million messages, or in as many as --messages says: 5000000 takes some ten minutes.

Every search is the real function, called as a signed-in person. For each kind of term and each
scope the 50th and 95th percentile over different terms are printed, beside a query that ranks all
matches, as one would write it first; and what a sent message costs with the index and without it.
"""

import argparse
import contextlib
import json
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, LiteralString

import psycopg

from bench.results import Row, report
from bench.servers import database

BUDGET: Final = "< 30"
WORDS: Final = 100_000
CONVERSATIONS: Final = 10_000
CALLS: Final = 30
NAIVE_CALLS: Final = 3
NAIVE_MS: Final = 5_000
SENDS: Final = 300
TURNS: Final = 10
SEED: Final = 4

# What people write: words as common as in a language (Zipf), 10 to 30 of them; one message in
# twelve long, one in twenty code, one in twenty Chinese. A fifth is in one large conversation.
PREPARE: Final[LiteralString] = """
CREATE SCHEMA bench;

SELECT setseed(0.4);

INSERT INTO roost.users (id, email, password_hash)
SELECT bench_id(1, step), step || '@example.com', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA'
FROM generate_series(0, 199) AS step;

INSERT INTO roost.conversations (id, user_id, search_language)
SELECT
    bench_id(2, step), bench_id(1, 100 + step % 100),
    CASE WHEN step % 10 = 9 THEN 'english' ELSE 'simple' END
FROM generate_series(0, {conversations} - 1) AS step;

INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT bench_id(2, step), bench_id(1, 100 + step % 100), 'owner'
FROM generate_series(0, {conversations} - 1) AS step;

-- The people who search: in the large conversation, in 10, in 100, and in 1,000 of them.
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT bench_id(2, step), bench_id(1, person.number), 'member'
FROM (VALUES (1, 10000, 0), (2, 1000, 7), (3, 100, 11), (4, 10, 3)) AS person (number, every, first)
CROSS JOIN generate_series(0, {conversations} - 1) AS step
WHERE step % person.every = person.first;

CREATE UNLOGGED TABLE bench.staged AS
SELECT
    drawn.number,
    drawn.conversation,
    row_number() OVER (PARTITION BY drawn.conversation ORDER BY drawn.number) AS seq
FROM (
    SELECT
        step AS number,
        CASE
            WHEN random() < 0.2 THEN 0
            ELSE floor(random() * random() * {conversations})::integer
        END AS conversation
    FROM generate_series(1, {messages}) AS step
) AS drawn;

-- As if all of it had been sent since there is a search.
UPDATE roost.search_history SET oldest = '2025-01-01 00:00Z', newest = '2025-01-01 00:00Z';

CREATE INDEX ON bench.staged (number);

ANALYZE bench.staged;

UPDATE roost.conversations AS conversation
SET last_seq = counted.last_seq
FROM (
    SELECT bench_id(2, staged.conversation) AS id, max(staged.seq) AS last_seq
    FROM bench.staged
    GROUP BY staged.conversation
) AS counted
WHERE conversation.id = counted.id;

DROP INDEX roost.message_search_index_vector_idx;
"""

FUNCTIONS: Final[LiteralString] = """
CREATE FUNCTION bench_id(kind bigint, number bigint)
RETURNS uuid
LANGUAGE sql
IMMUTABLE
RETURN (
    '0190000000007000800' || kind || lpad(to_hex(number), 12, '0')
)::uuid;

CREATE FUNCTION bench_word(number integer)
RETURNS text
LANGUAGE sql
IMMUTABLE
RETURN substr(translate(md5(number::text), '0123456789', 'ghijklmnop'), 1, 3 + number % 7)
|| CASE WHEN number > 2000 THEN number::text ELSE '' END;

-- The triggers are left out: they would do row by row what this does for all.
CREATE PROCEDURE bench_fill(low bigint, high bigint, messages bigint)
LANGUAGE plpgsql
-- The tables grow faster than what the planner knows of them.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    INSERT INTO roost.messages (
        id, conversation_id, seq, user_id, message_type, content, created_at, updated_at
    )
    SELECT
        roost.uuid_v7(), bench_id(2, staged.conversation), staged.seq,
        bench_id(1, 100 + staged.number % 100),
        CASE WHEN staged.number % 20 = 1 THEN 'code' ELSE 'text' END,
        jsonb_build_object(
            'text',
            CASE
                WHEN staged.number % 20 = 0 THEN (
                    SELECT string_agg(chr(19968 + floor(exp(random() * ln(5000)))::integer), '')
                    FROM generate_series(1, 20 + staged.number * 0)
                )
                ELSE (
                    SELECT string_agg(
                        bench_word(floor(exp(random() * ln(100000)) + step * 0)::integer),
                        CASE WHEN staged.number % 20 = 1 THEN '_' ELSE ' ' END
                    )
                    FROM generate_series(
                        1,
                        CASE
                            WHEN staged.number % 12 = 0 THEN 300
                            ELSE 10 + floor(random() * 20)::integer
                        END
                    ) AS step
                )
            END
        ),
        drawn.time, drawn.time
    FROM bench.staged
    CROSS JOIN LATERAL (
        SELECT timestamptz '2025-01-01 00:00Z'
            + (now() - timestamptz '2025-01-01 00:00Z') * (staged.number / messages::float8)
    ) AS drawn (time)
    WHERE staged.number > low AND staged.number <= high;

    INSERT INTO roost.message_search_index (conversation_id, seq, place, created_at, vector)
    SELECT
        message.conversation_id, message.seq, staged.number, message.created_at,
        roost.search_vector(
            roost.message_text(message.content, message.attachments),
            conversation.search_language, message, staged.number
        )
    FROM bench.staged
    JOIN roost.conversations AS conversation ON conversation.id = bench_id(2, staged.conversation)
    JOIN roost.messages AS message
        ON message.conversation_id = conversation.id AND message.seq = staged.seq
    WHERE staged.number > low AND staged.number <= high;
END;
$$;
"""

FILL: Final[LiteralString] = "CALL bench_fill(%s, %s, %s)"

FINISH: Final[LiteralString] = """
SELECT setval('roost.message_search_places', {messages});

ALTER TABLE roost.message_search_index SET (autovacuum_enabled = off);

SET maintenance_work_mem = '256MB';

CREATE INDEX message_search_index_vector_idx ON roost.message_search_index USING gin (vector)
WITH (fastupdate = on, gin_pending_list_limit = 1024);

VACUUM ANALYZE roost.message_search_index;

VACUUM ANALYZE roost.messages;

ANALYZE roost.conversations;

ANALYZE roost.conversation_participants;
"""

# As one would write it first: every match is fetched and ranked.
NAIVE: Final[LiteralString] = """
SELECT indexed.conversation_id, indexed.seq
FROM roost.message_search_index AS indexed
JOIN roost.conversation_participants AS participant
    ON participant.conversation_id = indexed.conversation_id
    AND participant.user_id = %s
    AND participant.history_after_seq < indexed.seq
WHERE indexed.vector @@ websearch_to_tsquery('simple', %s)
    AND (%s::uuid IS NULL OR indexed.conversation_id = %s)
ORDER BY ts_rank_cd(indexed.vector, websearch_to_tsquery('simple', %s)) DESC
LIMIT 20
"""

SEARCH: Final[LiteralString] = """
SELECT api.search_messages(
    query => %s, conversation_id => %s, message_type => %s, user_id => %s, sent_after => %s,
    sent_before => %s
)
"""

LARGE: Final = 0
USUAL: Final = 5003


def identifier(kind: int, number: int) -> uuid.UUID:
    """The id that bench_id() makes."""
    return uuid.UUID(f"0190000000007000800{kind}{number:012x}")


def fill(conninfo: str, messages: int) -> None:
    """Fills a migrated database."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in (FUNCTIONS, PREPARE):
            connection.execute("SET session_replication_role = replica")
            connection.execute(
                with_numbers(statement, messages=messages).encode()
                if statement is PREPARE
                else statement
            )

    def piece(low: int) -> None:
        high = min(low + 20_000, messages)
        with psycopg.connect(conninfo) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(FILL, [low, high, messages])

    with ThreadPoolExecutor(2) as executor:
        for done, _ in enumerate(executor.map(piece, range(0, messages, 20_000)), 1):
            if done % 10 == 0:
                print(f"{done * 20_000:,} messages", file=sys.stderr)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in with_numbers(FINISH, messages=messages).split(";\n"):
            connection.execute(statement.encode())


def with_numbers(statement: str, **numbers: int) -> str:
    """A statement with numbers in the places of their names."""
    for name, number in {"words": WORDS, "conversations": CONVERSATIONS, **numbers}.items():
        statement = statement.replace(f"{{{name}}}", str(number))
    return statement


def terms(words: list[str], chance: random.Random) -> dict[str, Callable[[], dict[str, Any]]]:
    """Each kind of search: a function that draws the arguments of one."""

    def word(low: int, high: int) -> str:
        return words[chance.randrange(low, high)]

    def common() -> str:
        return word(1, 6)

    def middling() -> str:
        return word(100, 300)

    def rare() -> str:
        return word(20_000, 60_000)

    old = {"sent_after": "2025-02-01T00:00Z", "sent_before": "2025-03-01T00:00Z"}
    return {
        "common": lambda: {"query": common()},
        "frequent": lambda: {"query": word(10, 40)},
        "middling": lambda: {"query": middling()},
        "rare": lambda: {"query": rare()},
        "none": lambda: {"query": f"{rare()}{rare()}"},
        "two words": lambda: {"query": f"{common()} {middling()}"},
        "phrase": lambda: {"query": f'"{common()} {common()}"'},
        "negation": lambda: {"query": f"{middling()} -{common()}"},
        "either": lambda: {"query": f"{rare()} OR {middling()}"},
        "prefix": lambda: {"query": f"{middling()[:3]}*"},
        "short prefix": lambda: {"query": f"{common()[:1]}*"},
        "Chinese": lambda: {
            "query": "".join(chr(19968 + chance.randrange(1, 40)) for _ in range(2))
        },
        "common, code": lambda: {"query": common(), "message_type": "code"},
        "middling, one author": lambda: {
            "query": middling(),
            "user_id": identifier(1, 100 + chance.randrange(100)),
        },
        "common, old": lambda: {"query": common(), **old},
        "middling, old": lambda: {"query": middling(), **old},
        "rare, old": lambda: {"query": rare(), **old},
    }


SCOPES: Final = {
    "the large conversation": (1, LARGE),
    "a usual conversation": (4, USUAL),
    "10 conversations": (2, None),
    "100 conversations": (3, None),
    "1,000 conversations": (4, None),
}


def measure(conninfo: str) -> Iterator[Row]:
    """The searches, and the naive query for those of one word."""
    chance = random.Random(SEED)  # noqa: S311 -- the same terms in every run
    with (
        psycopg.connect(conninfo, autocommit=True) as searching,
        psycopg.connect(conninfo, autocommit=True) as owner,
    ):
        words = list_words(owner)
        owner.execute(f"SET statement_timeout = {NAIVE_MS}".encode())
        searching.execute("SET ROLE roost_user")
        for scope, (person, conversation) in SCOPES.items():
            user_id = identifier(1, person)
            conversation_id = None if conversation is None else identifier(2, conversation)
            searching.execute("SELECT set_config('roost.user_id', %s, false)", [str(user_id)])
            for name, draw in terms(words, chance).items():
                took, counts = [], []
                for call in range(CALLS + 2):
                    asked = draw()
                    begun = time.perf_counter()
                    answer = searching.execute(
                        SEARCH,
                        [
                            asked["query"],
                            conversation_id,
                            asked.get("message_type"),
                            asked.get("user_id"),
                            asked.get("sent_after"),
                            asked.get("sent_before"),
                        ],
                        prepare=True,
                    ).fetchone()
                    if call >= 2:
                        took.append((time.perf_counter() - begun) * 1000)
                    assert answer is not None
                    counts.append(answer[0]["total"])
                took.sort()
                label = f"{scope}: {name}"
                print(f"{label:50} {sorted(counts)[len(counts) // 2]:>6}", file=sys.stderr)
                yield Row(f"{label}, p50", statistics.median(took), "ms")
                yield Row(f"{label}, p95", took[int(len(took) * 0.95)], "ms", BUDGET)
                if name in {"common", "middling", "rare"}:
                    naive = []
                    for _ in range(NAIVE_CALLS):
                        query = draw()["query"]
                        begun = time.perf_counter()
                        # Some of them would take half a minute: then this is the figure.
                        with contextlib.suppress(psycopg.errors.QueryCanceled):
                            owner.execute(
                                NAIVE, [user_id, query, conversation_id, conversation_id, query]
                            ).fetchall()
                        naive.append((time.perf_counter() - begun) * 1000)
                    yield Row(f"{label}, naive", statistics.median(naive), "ms")


def sending(conninfo: str) -> Iterator[Row]:
    """What the index adds to a message that is sent: in turns, since a machine drifts."""
    chance = random.Random(SEED)  # noqa: S311 -- the same messages in every run
    took: dict[str, list[list[float]]] = {"with the index": [], "without it": []}
    with (
        psycopg.connect(conninfo, autocommit=True) as sending,
        psycopg.connect(conninfo, autocommit=True) as owner,
    ):
        words = list_words(owner)
        sending.execute("SET synchronous_commit = off")
        sending.execute("SELECT set_config('roost.user_id', %s, false)", [str(identifier(1, 4))])
        sending.execute("SET ROLE roost_user")
        # The first round makes the plans, and does not count.
        for turn in range(TURNS + 1):
            for name, command in (("with the index", "ENABLE"), ("without it", "DISABLE")):
                owner.execute(
                    f"ALTER TABLE roost.messages {command} TRIGGER messages_search_insert".encode()
                )
                times = []
                for _ in range(SENDS):
                    picked = (words[int(len(words) ** chance.random())] for _ in range(20))
                    text = json.dumps({"text": " ".join(picked)})
                    begun = time.perf_counter()
                    sending.execute(
                        "SELECT api.send_message(%s, %s::jsonb)",
                        [identifier(2, USUAL), text],
                        prepare=True,
                    )
                    times.append((time.perf_counter() - begun) * 1_000_000)
                if turn > 0:
                    took[name].append(times)
    for name, turns in took.items():
        yield Row(f"sending {name}, mean", statistics.median(map(statistics.mean, turns)), "us")
        every = sorted(one for times in turns for one in times)
        yield Row(f"sending {name}, p50", statistics.median(every), "us")
        yield Row(f"sending {name}, p99", every[int(len(every) * 0.99)], "us")
    differences = (
        statistics.mean(one) - statistics.mean(other)
        for one, other in zip(*took.values(), strict=True)
    )
    yield Row("sending: the index adds", statistics.median(differences), "us")


def list_words(connection: psycopg.Connection) -> list[str]:
    """The words, the most common first."""
    return [
        word
        for (word,) in connection.execute(
            "SELECT bench_word(step) FROM generate_series(0, %s) AS step ORDER BY step",
            [WORDS - 1],
        )
    ]


def sizes(conninfo: str) -> Iterator[Row]:
    """How much room the index takes."""
    with psycopg.connect(conninfo) as connection:
        for name, relation in (
            ("messages", "roost.messages"),
            ("search rows", "roost.message_search_index"),
            ("index of words", "roost.message_search_index_vector_idx"),
        ):
            row = connection.execute(
                "SELECT pg_table_size(%s::regclass) / 1048576.0", [relation]
            ).fetchone()
            assert row is not None
            yield Row(f"size: {name}", float(row[0]), "MiB")


def main() -> int:
    """Fills, measures and reports; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    messages: int = parser.parse_args().messages
    with database() as postgres:
        begun = time.monotonic()
        fill(postgres.conninfo(), messages)
        print(f"filled in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        rows = [
            *measure(postgres.conninfo()),
            *sizes(postgres.conninfo()),
            *sending(postgres.conninfo()),
        ]
    report("search", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
