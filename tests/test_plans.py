"""How PostgreSQL carries out what runs on every call, on tables that are not small."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from tests.support import connect, new_database

USER = "00000000-0000-7000-8000-000000000001"
CONVERSATION = "00000000-0000-7000-9000-000000000001"

# One person in 500 conversations, one of which has 20,000 messages; others in 2,000 more.
FILL = f"""
SET session_replication_role = replica;
INSERT INTO roost.users (id, email, password_hash)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, n || '@example.com',
    '$argon2id$v=19$x'
FROM generate_series(1, 2000) AS n;
INSERT INTO roost.devices (id, user_id) SELECT id, id FROM roost.users;
INSERT INTO roost.sessions (id, user_id, device_id, refresh_token_hash, expires_at)
SELECT id, id, id, sha256(id::text::bytea), now() + interval '1 day' FROM roost.users;
INSERT INTO roost.extension_connections (user_id, device_id, editor)
SELECT id, id, 'vscode' FROM roost.users, generate_series(1, 10);
INSERT INTO roost.conversations (id, user_id, last_seq, last_activity)
SELECT ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid,
    ('00000000-0000-7000-8000-' || lpad((n % 1999 + 2)::text, 12, '0'))::uuid, 20000,
    now() - n * interval '1 minute'
FROM generate_series(1, 2500) AS n;
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT id, user_id, 'owner' FROM roost.conversations;
INSERT INTO roost.conversation_participants (conversation_id, user_id)
SELECT id, '{USER}' FROM roost.conversations ORDER BY id LIMIT 500;
INSERT INTO roost.messages (conversation_id, seq, user_id, device_id, content)
SELECT '{CONVERSATION}', n, '{USER}', '{USER}', '{{}}' FROM generate_series(1, 20000) AS n;
INSERT INTO realtime.events (topic, event_offset, event, payload)
SELECT 'conversation:{CONVERSATION}', n, 'message.created', '{{}}'
FROM generate_series(1, 20000) AS n;
INSERT INTO realtime.topics (topic, last_offset) SELECT 'user:' || id, 1 FROM roost.users;
SET session_replication_role = origin;
ANALYZE;
"""

# Tables that stay small whatever is stored.
SMALL = {"log"}

# A scan may pass over a row or two that changed meanwhile, but must not search.
MOST_ROWS_REMOVED = 5


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """The connection string of a database with the rows above."""
    with new_database(postgres, template_database) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(FILL)
        yield conninfo


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT roost.begin_call('user', '{USER}')",
        f"SELECT api.send_message('{CONVERSATION}', '{{}}')",
        f"SELECT api.send_message('{CONVERSATION}', '{{}}', id => gen_random_uuid())",
        f"SELECT api.list_messages('{CONVERSATION}')",
        f"SELECT api.list_messages('{CONVERSATION}', before_seq => 10000)",
        f"SELECT api.list_messages('{CONVERSATION}', after_seq => 10000)",
        "SELECT api.list_conversations()",
        f"SELECT realtime.join_topic('conversation:{CONVERSATION}', 100)",
        f"SELECT * FROM realtime.read_events("
        f"ARRAY['conversation:{CONVERSATION}', 'user:{USER}'], ARRAY[19990, 0], 100)",
        "SELECT api.get_me()",
        "SELECT api.list_devices()",
        "SELECT api.list_sessions()",
        "SELECT api.list_extension_connections()",
    ],
)
async def test_every_statement_inside_goes_by_index(filled: str, query: str) -> None:
    plans: list[dict[str, Any]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        message = diagnostic.message_primary or ""
        if "plan:\n" in message:
            plans.append(json.loads(message.partition("plan:\n")[2])["Plan"])

    async with await connect(filled) as connection:
        connection.add_notice_handler(note)
        await connection.execute("LOAD 'auto_explain'")
        for setting in (
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_nested_statements = on",
            "auto_explain.log_analyze = on",
            "auto_explain.log_format = json",
            # What a statement gets that is prepared once and then serves everybody.
            "plan_cache_mode = force_generic_plan",
            "client_min_messages = log",
            f"roost.user_id = '{USER}'",
            f"roost.device_id = '{USER}'",
            f"roost.session_id = '{USER}'",
            "roost.gateway = on",
        ):
            await connection.execute(f"SET {setting}")
        await connection.execute(query)

    nodes = [node for plan in plans for node in _nodes(plan)]
    assert any("Index" in node["Node Type"] for node in nodes), "nothing was looked at"
    for node in nodes:
        if node["Actual Loops"] and node["Node Type"] == "Seq Scan":
            assert node["Relation Name"] in SMALL or node["Actual Rows"] == 0, node
        if node.get("Relation Name") not in SMALL:
            assert node.get("Rows Removed by Filter", 0) <= MOST_ROWS_REMOVED, node
        assert "hashed SubPlan" not in json.dumps(node.get("Filter", "")), node
