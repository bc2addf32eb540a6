"""Every SQL statement that the server sends by itself, one constant each.

Calls of `api` functions are not here: `catalogue` builds them from the functions' signatures.
"""

from typing import Final

from roost.database.pipeline import Statement

# --- catalogue -----------------------------------------------------------------------------------

# One row, one JSON document. Procedures, aggregates, trigger functions and functions with nameless
# arguments can't be called by name and are left out. type -1 makes format_type() write bpchar for
# character, which reads back as it was.
LOAD_CATALOGUE: Final = Statement(
    b"""
SELECT json_build_object(
    'functions',
    (
        SELECT coalesce(json_agg(json_build_object(
            'name', function.proname,
            'parameters', argument.parameters,
            'returns', CASE
                WHEN function.proretset THEN 'set'
                WHEN function.prorettype = 'void'::regtype THEN 'void'
                ELSE 'value'
            END,
            'column', CASE
                WHEN argument.outputs = 1 AND result.typtype <> 'c'
                    THEN argument.output_name
            END
        )), '[]')
        FROM pg_catalog.pg_proc AS function
        JOIN pg_catalog.pg_type AS result ON result.oid = function.prorettype
        CROSS JOIN LATERAL (
            SELECT
                coalesce(
                    json_agg(
                        json_build_object(
                            'name', input.name,
                            'type', pg_catalog.format_type(input.type, -1),
                            'required', input.place <= function.pronargs - function.pronargdefaults,
                            'variadic', input.mode = 'v'
                        )
                        ORDER BY input.place
                    ) FILTER (WHERE input.mode IN ('i', 'b', 'v')),
                    '[]'
                ) AS parameters,
                count(*) FILTER (WHERE input.mode IN ('o', 'b', 't')) AS outputs,
                min(input.name) FILTER (WHERE input.mode IN ('o', 'b', 't')) AS output_name,
                coalesce(bool_or(
                    coalesce(input.name, '') = '' AND input.mode IN ('i', 'b', 'v')
                ), false) AS nameless
            FROM (
                SELECT
                    listed.name,
                    listed.type,
                    coalesce(listed.mode, 'i') AS mode,
                    row_number() OVER (
                        PARTITION BY coalesce(listed.mode, 'i') IN ('i', 'b', 'v')
                        ORDER BY listed.position
                    ) AS place
                FROM unnest(
                    function.proargnames,
                    coalesce(function.proallargtypes, function.proargtypes::oid[]),
                    function.proargmodes
                ) WITH ORDINALITY AS listed (name, type, mode, position)
            ) AS input
        ) AS argument
        WHERE function.pronamespace = 'api'::regnamespace
            AND function.prokind = 'f'
            AND function.prorettype <> 'trigger'::regtype
            AND NOT argument.nameless
    ),
    'errors',
    (SELECT coalesce(json_agg(error_code), '[]') FROM roost.get_error_codes() AS error_code),
    'hints',
    (
        SELECT coalesce(json_object_agg(known.name, known.hint), '{}')
        FROM (
            SELECT c.conname, description.description
            FROM pg_catalog.pg_constraint AS c
            JOIN pg_catalog.pg_description AS description
                ON description.objoid = c.oid
                AND description.classoid = 'pg_catalog.pg_constraint'::regclass
            WHERE c.connamespace IN ('roost'::regnamespace, 'realtime'::regnamespace)
            UNION ALL
            SELECT
                pg_catalog.format('roost.%s', type.typname),
                pg_catalog.format(
                    'Send one of: %s.',
                    pg_catalog.string_agg(label.enumlabel, ', ' ORDER BY label.enumsortorder)
                )
            FROM pg_catalog.pg_type AS type
            JOIN pg_catalog.pg_enum AS label ON label.enumtypid = type.oid
            WHERE type.typnamespace = 'roost'::regnamespace
            GROUP BY type.typname
        ) AS known (name, hint)
    )
)::text
"""
)

# --- system --------------------------------------------------------------------------------------

SELECT_ONE: Final = Statement(b"SELECT 1")

GET_SERVER_SECRET: Final = Statement(b"SELECT roost.get_server_secret($1)")

# --- realtime ------------------------------------------------------------------------------------

JOIN_TOPIC: Final = Statement(
    b"SELECT topic, last_offset, epoch, visible_after, replay_after, is_gone, subscriptions, resume"
    b" FROM realtime.join_topic($1::text, $2::bigint, $3::text, $4::jsonb,"
    b" to_timestamp($5::double precision), $6::integer, $7::boolean, $8::text)"
)

GET_SUBSCRIPTIONS: Final = Statement(b"SELECT realtime.get_subscriptions()")

ACKNOWLEDGE_EVENTS: Final = Statement(
    b"SELECT answer.number, current_setting('roost.touched', true)"
    b" FROM (SELECT count(*) AS number FROM api.acknowledge_events($1::jsonb, $2::text)) AS answer",
    touches=True,
)

READ_EVENTS: Final = Statement(
    b"SELECT topic, event_offset, id, event, payload, epoch, about_offset, revokes, grants_topic,"
    b" grants_after, age"
    b" FROM realtime.read_events($1::text[], $2::bigint[], $3::integer, $4::integer)"
)

# Whether the caller may broadcast, and whether the name is the server's own: in the order asked.
ASK_BROADCASTS: Final = Statement(
    b"SELECT is_allowed, is_reserved FROM realtime.ask_broadcasts($1::text[], $2::text[])"
)

KEEP_LARGE_BROADCAST: Final = Statement(
    b"SELECT realtime.keep_large_broadcast($1::text, $2::text, $3::json, $4::bytea)"
)

READ_LARGE_BROADCAST: Final = Statement(
    b"SELECT payload, raw FROM realtime.read_large_broadcast($1::uuid)"
)

GET_LOG_EPOCH: Final = Statement(b"SELECT realtime.get_epoch()")

FIND_ENDED_SESSIONS: Final = Statement(b"SELECT * FROM roost.find_ended_sessions($1::uuid[])")

# How many steps are left; each call does one.
MAINTAIN_PARTITIONS: Final = Statement(b"SELECT realtime.maintain_partitions()")

# A notification is not worth a flush: without one the lock that all notifying transactions of the
# cluster share is held for microseconds.
NOTIFY_EVENTS: Final = Statement(
    b"SELECT set_config('synchronous_commit', 'off', true), pg_notify('roost_events', $1::text)"
)

# --- presence ------------------------------------------------------------------------------------

BEAT: Final = Statement(b"SELECT roost.beat($1::uuid)")

RECORD_PRESENCE: Final = Statement(
    b"SELECT skipped, current_setting('roost.touched', true)"
    b" FROM roost.record_presence($1::uuid, $2::uuid[], $3::boolean[], $4::double precision[])"
    b" AS skipped",
    touches=True,
)

FORGET_SERVERS: Final = Statement(
    b"SELECT left_over, current_setting('roost.touched', true)"
    b" FROM roost.forget_servers($1::uuid, $2::integer) AS left_over",
    touches=True,
)

RECORD_PRESENCES: Final = Statement(
    b"SELECT to_json(realtime.record_presences("
    b"$1::uuid, $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]))"
)

READ_PRESENCES: Final = Statement(
    b"SELECT topic, reference, key, meta FROM realtime.read_presences($1::uuid, $2::text[])"
)

# --- auth ----------------------------------------------------------------------------------------

# Each answers one row: a JSON object, and the topics and sessions that the call has touched. The
# function is below the projection, so that the list is read after the function has filled it.

BEGIN_SIGN_UP: Final = Statement(
    b"SELECT json_build_object('email_is_free', answer)::text,"
    b" current_setting('roost.touched', true)"
    b" FROM roost.begin_sign_up($1::text, $2::text) AS answer"
)

SIGN_UP: Final = Statement(
    b"SELECT row_to_json(answer)::text, current_setting('roost.touched', true)"
    b" FROM roost.sign_up($1::text, $2::text, $3::jsonb, $4::bytea, $5::interval, $6::text,"
    b" $7::jsonb) AS answer",
    touches=True,
)

BEGIN_SIGN_IN: Final = Statement(
    b"SELECT row_to_json(answer)::text, current_setting('roost.touched', true)"
    b" FROM roost.begin_sign_in($1::text, $2::text) AS answer",
    touches=True,
)

FINISH_SIGN_IN: Final = Statement(
    b"SELECT row_to_json(answer)::text, current_setting('roost.touched', true)"
    b" FROM roost.finish_sign_in($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::bytea,"
    b" $7::interval, $8::text, $9::jsonb) AS answer",
    touches=True,
)

REFRESH_SESSION: Final = Statement(
    b"SELECT row_to_json(answer)::text, current_setting('roost.touched', true)"
    b" FROM roost.refresh_session($1::uuid, $2::bytea, $3::bytea, $4::interval) AS answer",
    touches=True,
)

GET_USER: Final = Statement(
    b"SELECT row_to_json(answer)::text, current_setting('roost.touched', true)"
    b" FROM roost.get_user($1::uuid) AS answer",
    touches=True,
)

UPDATE_USER: Final = Statement(
    b"SELECT row_to_json(answer)::text, current_setting('roost.touched', true)"
    b" FROM roost.update_user($1::uuid, $2::text, $3::text, $4::jsonb) AS answer",
    touches=True,
)

END_SESSIONS: Final = Statement(
    b"SELECT '{}', current_setting('roost.touched', true)"
    b" FROM roost.end_sessions($1::uuid, $2::text)",
    touches=True,
)

# --- jobs ----------------------------------------------------------------------------------------

# Each does a bounded piece and answers how much is left, 0 for nothing. The limits keep a piece
# well below a second.
JOBS: Final = {
    name: Statement(
        b"SELECT left_to_do, current_setting('roost.touched', true) FROM "
        + call
        + b" AS left_to_do",
        touches=True,
    )
    for name, call in {
        "roost.expire_messages": b"roost.expire_messages(500)",
        "roost.purge_conversations": b"roost.purge_conversations(500)",
        "roost.expire_typing": b"roost.expire_typing(1000)",
        "realtime.expire_large_broadcasts": b"realtime.expire_large_broadcasts(1000)",
        "realtime.expire_client_event_ids": b"realtime.expire_client_event_ids(1000)",
        "roost.expire_device_messages": b"roost.expire_device_messages(500)",
        "roost.expire_sync_operations": b"roost.expire_sync_operations(1000)",
        "roost.expire_uploads": b"roost.expire_uploads(100)",
        "roost.expire_chunk_leases": b"roost.expire_chunk_leases(1000)",
        "roost.expire_content_leases": b"roost.expire_content_leases(100)",
        "roost.collect_chunks": b"roost.collect_chunks(500)",
        "roost.expire_files": b"roost.expire_files(500)",
        "roost.purge_workspaces": b"roost.purge_workspaces(500)",
        "roost.backfill_messages": b"roost.backfill_messages(1000)",
        "roost.backfill_participants": b"roost.backfill_participants(1000)",
        "roost.index_messages": b"roost.index_messages(200)",
    }.items()
}

# How many it has tried, 0 when nothing is due now. The limit keeps one batch, which holds its
# conversations, well below a second.
RUN_OFFLINE_OPERATIONS: Final = Statement(
    b"SELECT done, current_setting('roost.touched', true)"
    b" FROM roost.run_offline_operations(100) AS done",
    touches=True,
)

# For the metrics: how many wait, how many have failed, and for how long the oldest has been due.
COUNT_OFFLINE_OPERATIONS: Final = Statement(
    b"SELECT waiting, failed, oldest_due_seconds FROM roost.count_offline_operations()"
)

# --- files ---------------------------------------------------------------------------------------

# These carry bytes, and go through `transactions`. Each answers one row.

CREATE_UPLOAD: Final = (
    b"SELECT upload.*, upload.kind::text AS kind FROM roost.create_upload("
    b"%s::roost.upload_kind, %s::bigint, %s::text, %s::jsonb, %s::uuid[]) AS upload"
)

FIND_UPLOAD: Final = (
    b"SELECT upload.*, upload.kind::text AS kind FROM roost.find_upload(%s::uuid) AS upload"
)

SET_UPLOAD_LENGTH: Final = (
    b"SELECT upload.*, upload.kind::text AS kind"
    b" FROM roost.set_upload_length(%s::uuid, %s::bigint) AS upload"
)

APPEND_UPLOAD: Final = (
    b"SELECT roost.append_upload(%s::uuid, %s::bigint, %b::bytea[], %b::integer[], %b::bytea,"
    b" %b::bytea, %s::boolean) AS received"
)

READ_UPLOAD: Final = b"SELECT roost.read_upload(%s::uuid, %s::bigint, %s::bigint) AS bytes"

FINISH_UPLOAD: Final = (
    b"SELECT upload.*, upload.kind::text AS kind"
    b" FROM roost.finish_upload(%s::uuid, %b::bytea) AS upload"
)

DELETE_UPLOAD: Final = b"SELECT roost.delete_upload(%s::uuid)::text AS nothing"

STORE_CHUNKS: Final = (
    b"SELECT roost.store_chunks(%s::uuid, %b::bytea[], %b::integer[], %b::bytea)::text AS nothing"
)

BEGIN_CONTENT: Final = (
    b"SELECT roost.begin_content(%s::uuid, %b::bytea, %s::bigint, %b::bytea[], %b::integer[]) AS id"
)

READ_CHUNKS: Final = b"SELECT roost.read_chunks(%s::uuid, %b::bytea[]) AS bytes"

MAKE_CONTENT: Final = (
    b"SELECT roost.make_content(%s::uuid, %b::bytea, %s::bigint, %b::bytea[], %b::integer[]) AS id"
)

OPEN_DOWNLOAD: Final = b"SELECT * FROM roost.open_download(%s::uuid, %s::bigint)"

READ_CONTENT: Final = (
    b"SELECT roost.read_content(%s::uuid, %s::bigint, %s::bigint, %s::jsonb) AS bytes"
)
