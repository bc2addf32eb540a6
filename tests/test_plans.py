"""How PostgreSQL carries out what runs on every call, on tables that are not small."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from tests.support import connect, migrated_database

USER = "00000000-0000-7000-8000-000000000001"
OTHER = "00000000-0000-7000-8000-000000000002"
CONVERSATION = "00000000-0000-7000-9000-000000000001"
# In the middle of the conversation, the first of a thread of 500.
MESSAGE = "00000000-0000-7000-a000-000000010000"
DELETED = "00000000-0000-7000-a000-000000010001"
# The person's own, in which all others are.
WORKSPACE = "00000000-0000-7000-e000-000000000001"
SUBSCRIPTION = "00000000-0000-7000-b000-000000000001"
# One that waits for the person's device, and is from it.
DEVICE_MESSAGE = "00000000-0000-7000-b000-000000000250"
# One that is open.
CONFLICT = "00000000-0000-7000-d000-000000010000"

# What is sent again, what meets somebody else's change, and what is new.
FAILED_OPERATION = "00000000-0000-7000-e000-000000001000"
PENDING_OPERATION = "00000000-0000-7000-e000-000000001049"
ENQUEUED: list[dict[str, Any]] = [
    {
        "kind": "edit_message",
        "args": {"message_id": MESSAGE, "content": {"text": "x"}},
        "base_version": 7,
    },
    {"kind": "update_me", "args": {}, "depends_on": [PENDING_OPERATION]},
]
OPERATIONS: list[dict[str, Any]] = [
    {"id": 1, "kind": "update_me", "args": {}},
    {
        "id": 20001,
        "kind": "edit_message",
        "args": {"message_id": MESSAGE, "content": {"text": "x"}},
        "base_version": 7,
    },
    {
        "id": 20002,
        "kind": "send_message",
        "args": {"conversation_id": CONVERSATION, "content": {"text": "x"}},
    },
    {"id": 20003, "kind": "add_reaction", "args": {"message_id": MESSAGE, "reaction": "x"}},
    {"id": 20004, "kind": "update_me", "args": {}, "depends_on": [20001]},
    {"id": 20005, "kind": "delete_message", "args": {"message_id": MESSAGE}, "base_version": 1},
    {
        "id": 20006,
        "kind": "update_workspace",
        "args": {"workspace_id": WORKSPACE, "name": "x"},
        "base": {"name": "Nest"},
    },
]

# In the workspace: a folder with 1,000 files, one of these, and another folder.
FOLDER = "00000000-0000-7000-f000-000000000100"
FILE = "00000000-0000-7000-f000-000000100500"
DELETED_FILE = "00000000-0000-7000-f000-000000100501"
OTHER_FOLDER = "00000000-0000-7000-f000-000000000200"

HASH = hashlib.sha256(b"1").hexdigest()
# As it is, changed, moved, and new.
MANIFEST: list[list[Any]] = [
    ["d100/file500.txt", HASH, 1, 2, FILE],
    ["d100/file502.txt", "0" * 64, 1, 1, FILE.replace("500", "502")],
    ["d100/file5020.txt", HASH, 1, 2, FILE.replace("500", "600")],
    ["d100/file5021.txt", HASH, 1, 0, None],
]

SERVER = "00000000-0000-7000-8000-0000000000c1"

# One person in 500 conversations, one of which has 20,000 messages; others in 2,000 more. 500
# messages wait for that person's device and 10 for each of the others; 1,000 are past their time.
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
    ('00000000-0000-7000-8000-' || lpad((n % 1999 + 2)::text, 12, '0'))::uuid, 40000,
    now() - n * interval '1 minute'
FROM generate_series(1, 2500) AS n;
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT id, user_id, 'owner' FROM roost.conversations;
INSERT INTO roost.conversation_participants (conversation_id, user_id)
SELECT id, '{USER}' FROM roost.conversations ORDER BY id LIMIT 500;
INSERT INTO roost.messages (
    id, conversation_id, seq, change_seq, user_id, device_id, content, root_message_id, created_at
)
SELECT
    ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid, '{CONVERSATION}', n, n,
    '{USER}', '{USER}', '{{"text": "hello @2@example.com"}}',
    CASE WHEN n BETWEEN 10002 AND 10501 THEN '{MESSAGE}'::uuid END,
    now() - (20000 - n) * interval '1 minute'
FROM generate_series(1, 20000) AS n;
UPDATE roost.messages SET content = '{{}}', deleted_at = now(), deleted_by = user_id, version = 2
WHERE id = '{DELETED}';
INSERT INTO roost.message_changes (
    conversation_id, seq, message_id, change_type, version, user_id
)
SELECT conversation_id, seq, id, 'created', 1, user_id FROM roost.messages;
INSERT INTO roost.message_changes (
    conversation_id, seq, message_id, change_type, version, before, user_id
)
SELECT
    conversation_id, 20000 + seq, id, 'deleted', 2, '{{"content": {{}}, "metadata": {{}}}}',
    user_id
FROM roost.messages
WHERE id = '{DELETED}';
INSERT INTO roost.message_mentions (user_id, message_id, conversation_id, created_at)
SELECT ('00000000-0000-7000-8000-000000000002')::uuid, id, conversation_id, created_at
FROM roost.messages;
INSERT INTO roost.message_attachments (message_id, conversation_id, seq, place, name, media_type,
    size, url)
SELECT id, conversation_id, seq, 1, 'x', 'text/plain', 1, 'https://example.com' FROM roost.messages;
INSERT INTO roost.message_reactions (message_id, user_id, reaction)
SELECT id, user_id, 'ship' FROM roost.messages;
INSERT INTO realtime.events (topic, event_offset, event, payload)
SELECT 'conversation:{CONVERSATION}', n, 'message.created', '{{}}'
FROM generate_series(1, 20000) AS n;
INSERT INTO realtime.events (topic, event_offset, event, payload, about_offset)
SELECT 'conversation:{CONVERSATION}', 20000 + n, 'reaction', '{{}}', n
FROM generate_series(1, 20000) AS n;
INSERT INTO realtime.topics (topic, last_offset) SELECT 'user:' || id, 1 FROM roost.users;
INSERT INTO realtime.topics (topic, last_offset) SELECT 'app:' || id || ':notes', 1
FROM roost.users;
INSERT INTO realtime.topic_prefixes (prefix, rule_schema, rule_name)
SELECT 'prefix' || n, 'public', 'may_use' FROM generate_series(1, 2000) AS n;
CREATE FUNCTION public.may_use(topic text, action text) RETURNS boolean STABLE RETURN true;
INSERT INTO realtime.large_broadcasts (topic, event, payload, created_at)
SELECT 'app:' || id || ':notes', 'drawing', '{{}}', now() + interval '1 hour' FROM roost.users;
INSERT INTO realtime.client_event_ids (actor_id, id, topic, event_offset, request_hash)
SELECT id, id, 'app:' || id || ':notes', 1, '\\x00' FROM roost.users;
INSERT INTO roost.event_subscriptions (user_id, event, delivery)
SELECT id, 'event.' || n, 'none' FROM roost.users, generate_series(1, 10) AS n;
INSERT INTO roost.event_subscriptions (id, user_id, delivery)
VALUES ('{SUBSCRIPTION}', '{USER}', 'none');
INSERT INTO realtime.topics (topic, last_offset) SELECT 'device:' || id, 600 FROM roost.users;
INSERT INTO roost.device_messages (
    id, user_id, from_device_id, to_device_id, number, message_type, created_at, expires_at
)
SELECT ('00000000-0000-7000-b000-' || lpad(n::text, 12, '0'))::uuid, '{USER}', '{USER}', '{USER}',
    n, 'x', now(), now() + interval '1 day'
FROM generate_series(1, 500) AS n;
INSERT INTO roost.device_messages (
    user_id, from_device_id, to_device_id, number, message_type, created_at, expires_at
)
SELECT id, id, id, n, 'x', now() - interval '1 day',
    now() + CASE WHEN n = 1 AND id::text < '00000000-0000-7000-8000-000000001002'
        THEN interval '-1 second' ELSE interval '1 day' END
FROM roost.users, generate_series(1, 10) AS n
WHERE id <> '{USER}';
INSERT INTO roost.sync_devices (device_id, user_id, last_operation_id)
SELECT id, id, CASE id::text WHEN '{USER}' THEN 20000 ELSE 10 END FROM roost.users;
INSERT INTO roost.sync_operations (
    device_id, user_id, operation_id, kind, target_id, body_hash, outcome, code, args, applied_at
)
SELECT '{USER}', '{USER}', n, 'edit_message',
    ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid, '',
    CASE WHEN n % 100 = 0 THEN 'rejected' ELSE 'applied' END::roost.operation_outcome,
    CASE WHEN n % 100 = 0 THEN 'RO302' END, CASE WHEN n % 100 = 0 THEN '{{}}'::jsonb END,
    now() - (20001 - n) * interval '3 minutes'
FROM generate_series(1, 20000) AS n;
INSERT INTO roost.sync_operations (device_id, user_id, operation_id, kind, body_hash, outcome)
SELECT id, id, n, 'update_me', '', 'applied' FROM roost.users, generate_series(1, 10) AS n
WHERE id <> '{USER}';
INSERT INTO roost.offline_operations (
    id, device_id, user_id, kind, target_id, policy, body_hash, depends_on, status, code, args,
    next_attempt_at, completed_at
)
SELECT ('00000000-0000-7000-e000-' || lpad(n::text, 12, '0'))::uuid, '{USER}', '{USER}',
    'edit_message', ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid, 'merge', '',
    CASE WHEN n % 100 = 50
        THEN ARRAY[('00000000-0000-7000-e000-' || lpad((n - 1)::text, 12, '0'))::uuid]
        ELSE '{{}}' END,
    CASE n % 100 WHEN 0 THEN 'failed' WHEN 49 THEN 'pending' WHEN 50 THEN 'pending'
        ELSE 'completed' END,
    CASE WHEN n % 100 = 0 THEN 'RO302' END,
    CASE WHEN n % 100 IN (0, 49, 50)
        THEN '{{"message_id": "{MESSAGE}", "content": {{"text": "x"}}}}'::jsonb END,
    CASE WHEN n % 100 = 49 THEN now() - interval '1 minute' END,
    CASE WHEN n % 100 NOT IN (0, 49, 50) THEN now() - (20001 - n) * interval '3 minutes' END
FROM generate_series(1, 20000) AS n;
INSERT INTO roost.offline_operations (
    device_id, user_id, kind, policy, body_hash, status, completed_at
)
SELECT id, id, 'update_me', 'merge', '', 'completed', now()
FROM roost.users, generate_series(1, 10)
WHERE id <> '{USER}';
UPDATE roost.sync_devices SET offline_due_at = now() - interval '1 minute'
WHERE device_id = '{USER}';
INSERT INTO roost.sync_conflicts (
    id, user_id, device_id, operation_id, kind, policy, target_kind, target_id, args, state,
    strategy, resolved_at
)
SELECT ('00000000-0000-7000-d000-' || lpad(n::text, 12, '0'))::uuid, '{USER}', '{USER}', n,
    'edit_message', 'merge', 'message',
    ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid,
    '{{"message_id": "{MESSAGE}"}}', CASE WHEN n % 100 = 0 THEN 'open' ELSE 'resolved' END
    ::roost.conflict_state, CASE WHEN n % 100 > 0 THEN 'theirs'::roost.conflict_strategy END,
    CASE WHEN n % 100 > 0 THEN now() - (20001 - n) * interval '3 minutes' END
FROM generate_series(1, 20000) AS n;
INSERT INTO roost.device_message_outcomes (
    id, user_id, from_device_id, to_device_id, number, state, created_at, expires_at, finished_at
)
SELECT gen_random_uuid(), id, id, id, 10 + n, 'acknowledged', now(), now(),
    now() - n * interval '1 day'
FROM roost.users, generate_series(1, 10) AS n;
INSERT INTO roost.servers (id) VALUES ('{SERVER}');
INSERT INTO roost.device_presence (device_id, user_id) SELECT id, user_id FROM roost.devices;
INSERT INTO roost.device_connections (session_id, server_id, user_id)
SELECT id, '{SERVER}', user_id FROM roost.sessions;
INSERT INTO roost.announced_presence (user_id) SELECT id FROM roost.users;
INSERT INTO realtime.presences (server_id, reference, topic, key, meta)
SELECT '{SERVER}', 'r' || n, 'conversation:' || n % 200, 'k', '{{}}'
FROM generate_series(1, 2000) AS n;
INSERT INTO roost.sync_scopes (device_id, scope, epoch, position, from_seq, to_seq, held_count)
SELECT '{USER}', 'conversation:' || id, (SELECT epoch FROM realtime.log), 40000, 1, 40000, 100
FROM roost.conversations ORDER BY id LIMIT 400;
UPDATE roost.sync_scopes SET position = 19990, from_seq = 19000, to_seq = 19990, held_count = 10
WHERE scope = 'conversation:{CONVERSATION}';
INSERT INTO roost.sync_scopes (device_id, scope, epoch, position, from_seq, to_seq, held_count)
SELECT id, 'conversation:' || n, 'none', 40000, 1, 40000, 100
FROM roost.users, generate_series(1, 10) AS n
WHERE id <> '{USER}';
INSERT INTO roost.workspaces (id, user_id, name, path)
SELECT ('00000000-0000-7000-e000-' || lpad(n::text, 12, '0'))::uuid,
    CASE n WHEN 1 THEN '{USER}' ELSE
    ('00000000-0000-7000-8000-' || lpad((n % 1999 + 2)::text, 12, '0')) END::uuid, 'Nest', '/' || n
FROM generate_series(1, 2500) AS n;
INSERT INTO roost.workspace_members (workspace_id, user_id, role)
SELECT id, user_id, 'owner' FROM roost.workspaces;
INSERT INTO roost.workspace_members (workspace_id, user_id)
SELECT id, '{USER}' FROM roost.workspaces WHERE user_id <> '{USER}' ORDER BY id LIMIT 200;
INSERT INTO roost.workspace_members (workspace_id, user_id, role, change_seq, left_at)
SELECT '{WORKSPACE}', id, 'viewer', row_number() OVER (ORDER BY id),
    CASE WHEN id > '{OTHER}' THEN now() END
FROM roost.users WHERE id <> '{USER}';
INSERT INTO roost.workspace_members (workspace_id, user_id)
SELECT workspace.id, account.id
FROM roost.workspaces AS workspace
JOIN roost.users AS account
    ON account.id > workspace.user_id
    AND right(account.id::text, 12)::bigint < right(workspace.user_id::text, 12)::bigint + 12
WHERE workspace.id <> '{WORKSPACE}'
ON CONFLICT DO NOTHING;
INSERT INTO realtime.topics (topic, last_offset)
SELECT 'workspace:' || id, 3000 FROM roost.workspaces;
INSERT INTO roost.sync_scopes (device_id, scope, epoch, position, from_seq, to_seq, held_count)
VALUES ('{USER}', 'workspace:{WORKSPACE}', (SELECT epoch FROM realtime.log), 1990, 1, 1990, 0);
INSERT INTO roost.storage_usage (user_id, bytes) SELECT id, 1000 FROM roost.users;
INSERT INTO roost.file_contents (id, workspace_id, owner_id, hash, size)
SELECT id, id, user_id, sha256('1'), 1 FROM roost.workspaces;
INSERT INTO roost.file_chunks (hash, content)
SELECT sha256(n::text::bytea), '1' FROM generate_series(1, 2500) AS n;
INSERT INTO roost.content_chunks (content_id, from_byte, size, workspace_id, chunk_hash)
SELECT id, 0, 1, id, sha256('1') FROM roost.workspaces;
INSERT INTO roost.uploads (kind, user_id, workspace_id, owner_id, path, length, expires_at)
SELECT 'whole', '{USER}', '{WORKSPACE}', '{USER}', 'd100/file' || n || '.txt', 1,
    now() + interval '1 day'
FROM generate_series(1, 2500) AS n;
INSERT INTO roost.file_sync_state (id, workspace_id, name, kind, change_seq)
SELECT ('00000000-0000-7000-f000-' || lpad(n::text, 12, '0'))::uuid, '{WORKSPACE}', 'd' || n,
    'folder', n
FROM generate_series(100, 1099) AS n;
INSERT INTO roost.file_sync_state (
    id, workspace_id, parent_id, name, kind, content_id, hash, size, change_seq
)
SELECT ('00000000-0000-7000-f000-' || lpad((1000 * d + n)::text, 12, '0'))::uuid, '{WORKSPACE}',
    ('00000000-0000-7000-f000-' || lpad(d::text, 12, '0'))::uuid, 'file' || n || '.txt', 'file',
    '{WORKSPACE}', sha256('1'), 1, d * 1000 + n - 98000
FROM generate_series(100, 1099) AS d, generate_series(0, 999) AS n;
INSERT INTO roost.file_versions (file_id, version, workspace_id, content_id, hash, size)
SELECT id, n, workspace_id, content_id, hash, 1
FROM roost.file_sync_state, generate_series(1, 2) AS n
WHERE kind = 'file' AND (n = 1 OR parent_id = '{FOLDER}');
UPDATE roost.file_versions SET expires_at = now() - interval '1 day'
WHERE file_id = '{FILE}' AND version = 1;
UPDATE roost.file_sync_state SET version = 2 WHERE parent_id = '{FOLDER}';
UPDATE roost.file_sync_state SET sync_status = 'deleted', deleted_at = now() - interval '1 day'
WHERE id = '{DELETED_FILE}';
UPDATE realtime.topics SET last_offset = 1001999 WHERE topic = 'workspace:{WORKSPACE}';
UPDATE roost.sync_scopes SET position = 1001000, to_seq = 1001000
WHERE scope = 'workspace:{WORKSPACE}';
SET session_replication_role = origin;
ANALYZE;
"""

TEXT = '{"text": "hello @1@example.com"}'
ATTACHMENTS = '[{"name": "x", "media_type": "a/b", "size": 1, "url": "https://example.com"}]'

# Tables that stay small whatever is stored.
SMALL = {
    "log",
    "conversation_permissions",
    "message_backfill",
    "plan_limits",
    "search_history",
    "pg_namespace",
    "servers",
}

# A scan may pass over a row or two that changed meanwhile, but must not search.
MOST_ROWS_REMOVED = 5


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The connection string of a database with the rows above."""
    with migrated_database(postgres) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(FILL)
            # Filled without triggers, so as it was before release 0.2.0.
            while connection.execute("SELECT roost.backfill_participants(1000)").fetchone() != (0,):
                pass
            connection.execute("VACUUM (ANALYZE)")
        yield conninfo


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT roost.begin_call('user', '{USER}')",
        f"SELECT api.send_message('{CONVERSATION}', '{TEXT}')",
        f"SELECT api.send_message('{CONVERSATION}', '{TEXT}', id => gen_random_uuid())",
        f"SELECT api.send_message('{CONVERSATION}', '{TEXT}', parent_message_id => '{MESSAGE}')",
        f"SELECT api.send_message('{CONVERSATION}', '{TEXT}', attachments => '{ATTACHMENTS}')",
        f"SELECT api.edit_message('{MESSAGE}', '{TEXT}', 1)",
        f"SELECT api.delete_message('{MESSAGE}')",
        f"SELECT api.restore_message('{DELETED}')",
        f"SELECT api.purge_message('{MESSAGE}')",
        f"SELECT api.get_message('{MESSAGE}')",
        f"SELECT api.list_thread('{MESSAGE}')",
        f"SELECT api.list_thread('{MESSAGE}', after_seq => 10100)",
        f"SELECT api.list_message_changes('{MESSAGE}')",
        f"SELECT api.list_conversation_changes('{CONVERSATION}')",
        f"SELECT api.list_conversation_changes('{CONVERSATION}', after_seq => 10000)",
        "SELECT roost.backfill_messages(100)",
        "SELECT roost.backfill_participants(100)",
        f"SELECT api.list_attachments('{CONVERSATION}')",
        "SELECT api.list_mentions()",
        "SELECT api.get_unread_counts()",
        f"SELECT api.mark_read('{CONVERSATION}', 15000)",
        f"SELECT api.mark_delivered('{CONVERSATION}', 15000)",
        f"SELECT api.list_readers('{MESSAGE}')",
        f"SELECT api.list_reactions('{MESSAGE}')",
        f"SELECT api.add_reaction('{MESSAGE}', ':ship:')",
        f"SELECT api.remove_reaction('{MESSAGE}', ':ship:')",
        f"SELECT api.list_typing('{CONVERSATION}')",
        f"SELECT api.set_typing('{CONVERSATION}')",
        "SELECT api.set_presence('busy', 'Reading')",
        f"SELECT api.get_presence(ARRAY['{USER}', '{OTHER}']::uuid[])",
        f"SELECT api.list_presence('{CONVERSATION}')",
        f"SELECT roost.record_presence('{SERVER}', '{{{USER},{OTHER}}}', '{{t,f}}', '{{0,1}}')",
        f"SELECT realtime.record_presences('{SERVER}', '{{r,s}}', '{{t:1,t:2}}', '{{k,k}}',"
        f" ARRAY['{{}}', '{{}}'], '{{r1,r2}}')",
        f"SELECT * FROM realtime.read_presences('{USER}', '{{conversation:1,conversation:2}}')",
        "SELECT roost.expire_messages(100)",
        "SELECT api.list_conversations(state => 'archived')",
        f"SELECT api.get_conversation('{CONVERSATION}')",
        f"SELECT api.list_participants('{CONVERSATION}')",
        f"SELECT api.leave_conversation('{CONVERSATION}')",
        f"SELECT api.get_conversation_analytics('{CONVERSATION}', now() - interval '1 minute')",
        "SELECT api.get_my_analytics(now() - interval '1 minute')",
        "SELECT roost.purge_conversations(100)",
        f"SELECT realtime.redact('conversation:{CONVERSATION}', '{{5,70,19000}}', '{{}}')",
        f"SELECT realtime.forget_topic('conversation:{CONVERSATION}', 100)",
        f"SELECT api.list_messages('{CONVERSATION}')",
        f"SELECT api.list_messages('{CONVERSATION}', before_seq => 10000)",
        f"SELECT api.list_messages('{CONVERSATION}', after_seq => 10000)",
        "SELECT api.list_conversations()",
        f"SELECT realtime.join_topic('conversation:{CONVERSATION}', 100)",
        f"SELECT realtime.join_topic('user:{USER}', p_resume => realtime.snapshot_token())",
        f"SELECT realtime.offset_in_snapshot('conversation:{CONVERSATION}',"
        " realtime.read_snapshot_token(realtime.snapshot_token()))",
        f"SELECT * FROM realtime.read_events("
        f"ARRAY['conversation:{CONVERSATION}', 'user:{USER}'], ARRAY[19990, 0], 100)",
        "SELECT api.publish_event('prefix1000:one', 'saved', '{}')",
        "SELECT api.broadcast_event('prefix1000:one', 'cursor', '{}')",
        f"SELECT api.broadcast_event('conversation:{CONVERSATION}', 'cursor', '{{}}')",
        f"SELECT api.broadcast_event('device:{USER}', 'cursor', to_jsonb(repeat('x', 10000)))",
        f"SELECT api.publish_event('app:{USER}:notes', 'saved', '{{}}', gen_random_uuid())",
        "SELECT realtime.expire_client_event_ids(100)",
        "SELECT realtime.read_large_broadcast(gen_random_uuid())",
        "SELECT realtime.expire_large_broadcasts(100)",
        "SELECT api.set_event_subscription('all', event => 'event.5')",
        f"SELECT api.set_event_subscription('all', 'conversation:{CONVERSATION}')",
        f"SELECT api.set_event_subscription('all', device_id => '{USER}')",
        "SELECT api.list_event_subscriptions()",
        f"SELECT api.delete_event_subscription('{SUBSCRIPTION}')",
        "SELECT realtime.get_subscriptions()",
        "SELECT api.pull_changes()",
        "SELECT api.pull_changes(1000, (SELECT page.cursor FROM api.pull_changes(50) AS page))",
        "SELECT api.pull_changes(filter => jsonb_build_object("
        f"'conversations', ARRAY['{CONVERSATION}'], 'messages', 5))",
        "SELECT api.ack_changes((SELECT page.cursor FROM api.pull_changes() AS page))",
        "SELECT api.reset_changes()",
        f"SELECT api.verify_scope('conversation:{CONVERSATION}', 40000, 1,"
        """ '{"19": [1, 1], "others": [2, 1]}')""",
        f"""SELECT api.verify_scope('user:{USER}', 40000, 1, '{{"others": [1, 1]}}')""",
        "SELECT api.get_me()",
        "SELECT api.list_devices()",
        "SELECT api.list_sessions()",
        f"SELECT api.send_device_message('{USER}', 'x', '{{}}', '{MESSAGE}', '{DEVICE_MESSAGE}')",
        f"SELECT api.send_device_message('{USER}', 'x', '{{}}', '{DEVICE_MESSAGE}')",
        "SELECT api.list_device_messages()",
        "SELECT api.list_device_messages(400)",
        f"SELECT api.acknowledge_device_messages('{{{DEVICE_MESSAGE},{MESSAGE}}}')",
        "SELECT api.acknowledge_device_messages(ARRAY(SELECT id FROM api.list_device_messages()))",
        f"SELECT api.cancel_device_message('{DEVICE_MESSAGE}')",
        "SELECT roost.expire_device_messages(100)",
        f"SELECT api.push_operations('{json.dumps(OPERATIONS)}')",
        "SELECT api.list_sync_operations(outcome => 'rejected')",
        "SELECT api.list_sync_operations(before_id => 10000)",
        "SELECT api.list_conflicts(before_id => '00000000-0000-7000-d000-000000010000')",
        "SELECT api.list_conflicts(NULL)",
        f"SELECT api.get_conflict('{CONFLICT}')",
        f"SELECT api.resolve_conflict('{CONFLICT}', 'theirs')",
        "SELECT roost.expire_sync_operations(100)",
        "SELECT roost.count_offline_operations()",
        f"SELECT api.enqueue_operations('{json.dumps(ENQUEUED)}')",
        "SELECT api.list_offline_operations('failed')",
        "SELECT api.list_offline_operations(before_position => 10000)",
        f"SELECT api.retry_operation('{FAILED_OPERATION}')",
        f"SELECT api.discard_operation('{PENDING_OPERATION}')",
        "SELECT api.process_offline_operations(10)",
        "SELECT roost.run_offline_operations(10)",
        "SELECT api.create_workspace('x', '/x')",
        "SELECT api.create_workspace('x', '/y', id => gen_random_uuid())",
        f"SELECT api.get_workspace('{WORKSPACE}')",
        "SELECT api.list_workspaces()",
        f"SELECT api.list_workspaces(200, '{WORKSPACE}')",
        f"SELECT api.update_workspace('{WORKSPACE}', 'x', '/x')",
        f"SELECT api.touch_workspace('{WORKSPACE}')",
        f"SELECT api.delete_workspace('{WORKSPACE}')",
        f"SELECT api.list_workspace_members('{WORKSPACE}')",
        f"SELECT api.remove_workspace_member('{WORKSPACE}', '{OTHER}')",
        f"SELECT api.update_workspace_member('{WORKSPACE}', '{OTHER}', 'editor')",
        f"SELECT realtime.join_topic('workspace:{WORKSPACE}')",
        f"""SELECT api.verify_scope('workspace:{WORKSPACE}', 2990, 1, '{{"others": [1, 1]}}')""",
        f"""SELECT api.verify_scope('workspace:{WORKSPACE}', 1001999, 1, '{{"999": [1, 1]}}')""",
        f"SELECT api.put_file_state('{WORKSPACE}', 'd100/new.txt', '{HASH}')",
        f"SELECT api.put_file_state('{WORKSPACE}', 'd100/file501.txt', '{HASH}',"
        " base_version => 2)",
        f"SELECT roost.store_content('{WORKSPACE}', 'x'),"
        f" api.put_file_state('{WORKSPACE}', 'd100/file500.txt', encode(sha256('x'), 'hex'),"
        " base_version => 0)",
        f"SELECT api.make_folder('{WORKSPACE}', 'd100/x/y')",
        f"SELECT api.get_file('{FILE}')",
        f"SELECT api.get_file(workspace_id => '{WORKSPACE}', path => 'd100/file500.txt')",
        f"SELECT api.list_files('{WORKSPACE}')",
        f"SELECT api.list_files('{WORKSPACE}', 'd100', after => 'file500.txt')",
        f"SELECT api.list_files('{WORKSPACE}', 'd100', include_deleted => true,"
        " after => 'file500.txt')",
        f"SELECT api.list_files('{WORKSPACE}', prefix => 'd100/file50')",
        f"SELECT api.list_files('{WORKSPACE}', prefix => '', after => 'd100/file500.txt')",
        f"SELECT api.list_files('{WORKSPACE}', changed_since => 1001900)",
        f"SELECT api.move_file('{FILE}', 'd200/moved.txt')",
        f"SELECT api.move_file('{FOLDER}', folder_id => '{OTHER_FOLDER}')",
        f"SELECT api.verify_file('{FILE}')",
        f"SELECT api.list_uploads('{WORKSPACE}')",
        f"SELECT api.copy_file('{FILE}', 'd200/copy.txt')",
        f"SELECT api.delete_file('{FILE}', 2)",
        f"SELECT api.delete_file('{FOLDER}', seen_offset => 1001990)",
        f"SELECT api.restore_file('{DELETED_FILE}')",
        f"SELECT api.list_file_versions('{FILE}')",
        f"SELECT api.restore_file_version('{FILE}', 1)",
        f"SELECT api.compare_file_versions('{FILE}', 1, 2)",
        f"SELECT api.diff_workspace('{WORKSPACE}', '{json.dumps(MANIFEST)}', 'd100')",
        "SELECT roost.expire_files(10)",
        f"SELECT api.revoke_device('{USER}')",
        "SELECT api.list_extension_connections()",
    ],
)
# What is prepared once gets some plans for its arguments first, and then one that serves everybody.
@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_every_statement_inside_goes_by_index(filled: str, query: str, mode: str) -> None:
    # A fifth of all conversations are this person's: to read them all is right then.
    small = SMALL | ({"conversations"} if mode == "force_custom_plan" else set())
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
            f"plan_cache_mode = {mode}",
            "client_min_messages = log",
            f"roost.user_id = '{USER}'",
            f"roost.device_id = '{USER}'",
            f"roost.session_id = '{USER}'",
            "roost.gateway = on",
        ):
            await connection.execute(f"SET {setting}")
        await connection.execute("BEGIN")
        await connection.execute(query)
        await connection.execute("ROLLBACK")

    nodes = [node for plan in plans for node in _nodes(plan)]
    assert any("Index" in node["Node Type"] for node in nodes), "nothing was looked at"
    for node in nodes:
        if node["Actual Loops"] and node["Node Type"] == "Seq Scan":
            assert node["Relation Name"] in small or node["Actual Rows"] == 0, node
        # What a CTE holds was sent, or is a page: where it comes from is looked at by itself.
        if node.get("Relation Name") not in small and node["Node Type"] != "CTE Scan":
            assert node.get("Rows Removed by Filter", 0) <= MOST_ROWS_REMOVED, node
        assert "hashed SubPlan" not in json.dumps(node.get("Filter", "")), node
