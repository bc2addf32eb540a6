-- STABLE: all of it is read in one snapshot. A snapshot that sees an offset of a scope sees all
-- that was given out before it, so what is not in the page is above the position that the page ends
-- with.
CREATE OR REPLACE FUNCTION api.pull_changes(
    "limit" integer DEFAULT 500,
    cursor text DEFAULT NULL,
    filter jsonb DEFAULT NULL
)
RETURNS roost.pulled_changes
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT bigint := 4194304;
    -- A cursor grows with each scope that has moved since the acknowledgement.
    c_most_scopes CONSTANT bigint := 1000;
    c_first CONSTANT bigint := 50;
    v_given jsonb := '{}'::jsonb;
    v_most_messages bigint := 9223372036854775807;
    v_total bigint;
    v_steps roost.sync_step [];
    v_step roost.sync_step;
    v_id uuid;
    v_room bigint := pull_changes."limit";
    v_bytes bigint := c_most_bytes;
    v_asked bigint;
    v_count bigint;
    v_given_count bigint;
    v_size bigint;
    v_least bigint;
    v_most bigint;
    v_text text;
    v_is_up_to_date boolean;
    v_is_anew boolean;
    v_texts text [] := '{}'::text [];
    v_moved text [] := '{}'::text [];
    v_states jsonb [] := '{}'::jsonb [];
    v_open bigint;
    v_page roost.pulled_changes;
BEGIN
    PERFORM roost.require_user();

    IF pull_changes."limit" IS NULL OR pull_changes."limit" NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The limit is out of range.',
            DETAIL = format('limit: %s', coalesce(pull_changes."limit"::text, 'null')),
            HINT = 'Send a limit from 1 to 1000, or leave it out.';
    END IF;

    PERFORM roost.require_sync_filter(pull_changes.filter);
    PERFORM roost.require_sync_device();

    -- Most that ask have everything.
    IF pull_changes.cursor IS NULL AND pull_changes.filter IS NULL THEN
        v_total := roost.count_scopes_in_step();

        IF v_total IS NOT NULL THEN
            v_page.changes := '[]';
            v_page.has_more := false;
            v_page.progress := json_build_object('done', v_total, 'total', v_total);
            v_page.cursor := roost.write_sync_cursor('{}', v_page.progress);

            RETURN v_page;
        END IF;
    END IF;

    IF pull_changes.cursor IS NOT NULL THEN
        v_given := roost.read_sync_cursor(pull_changes.cursor) -> 'scopes';
    END IF;

    v_open := (SELECT count(*) FROM jsonb_object_keys(v_given));

    IF v_open >= c_most_scopes THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Too much was pulled without an acknowledgement.',
            DETAIL = format('Scopes: %s', v_open),
            HINT = 'Call ack_changes with this cursor, then pull_changes without one.';
    END IF;

    IF pull_changes.filter ? 'messages' THEN
        v_most_messages := (pull_changes.filter ->> 'messages')::bigint;
    END IF;

    SELECT plan.o_total, plan.o_steps
    INTO v_total, v_steps
    -- Ids as the database writes them: there is nothing else in it that has letters of both kinds.
    FROM roost.plan_sync(v_given, lower(pull_changes.filter::text)::jsonb) AS plan;

    v_open := cardinality(v_steps);

    FOREACH v_step IN ARRAY v_steps LOOP
        EXIT WHEN v_room <= 0
            OR v_bytes <= 0
            OR cardinality(v_moved) >= c_most_scopes;

        v_id := realtime.topic_id(v_step.scope);
        v_given_count := 0;
        v_moved := array_append(v_moved, v_step.scope);

        IF v_step.stage = 0 THEN
            v_texts := array_append(
                v_texts,
                json_build_object(
                    'scope', v_step.scope, 'kind', 'scope', 'op', 'remove'
                )::text
            );
            v_states := array_append(v_states, 'null'::jsonb);
            v_room := v_room - 1;
            v_open := v_open - 1;
            CONTINUE;
        END IF;

        -- The device was told to drop it, and did not acknowledge that: what is stored of it is of
        -- before, and may be further than where it begins now.
        v_is_anew := coalesce(
            v_given -> v_step.scope = 'null' OR (v_given -> v_step.scope ->> 4) = '1', false
        );

        -- A device may have something of an answer that it did not acknowledge, too.
        IF v_step.position = -1 THEN
            v_texts := array_append(
                v_texts,
                json_build_object('scope', v_step.scope, 'kind', 'scope', 'op', 'reset')::text
            );
            v_room := v_room - 1;
        END IF;

        -- First of all, whenever it changed last; behind the beginning it comes when it changes.
        IF v_step.position = -1 AND v_step.scope LIKE 'workspace:%' THEN
            SELECT
                json_build_object(
                    'scope', v_step.scope,
                    'kind', 'workspace',
                    'op', 'put',
                    'id', v_id,
                    'offset', own.change_seq,
                    'value', own
                )::text
            INTO v_text
            FROM roost.own_workspace(v_id) AS own;
            v_texts := array_append(v_texts, v_text);
            v_bytes := v_bytes - octet_length(v_text);
            v_room := v_room - 1;
        ELSIF v_step.stage = 2 AND v_step.scope LIKE 'conversation:%' THEN
            -- With the newest message: it may be that of a page which this one does not reach.
            v_text := json_build_object(
                'scope', v_step.scope,
                'kind', 'conversation',
                'op', 'put',
                'id', v_id,
                'offset', v_step.last_offset,
                'value', roost.own_conversation(v_id)
            )::text;
            v_texts := array_append(v_texts, v_text);
            v_bytes := v_bytes - octet_length(v_text);
            v_room := v_room - 1;
        END IF;

        -- Whoever wants the newest few, and was away for more of them, begins with those.
        IF v_step.scope LIKE 'conversation:%'
            AND v_step.to_seq < v_step.last_offset
            AND pull_changes.filter ? 'messages'
            AND (
                SELECT count(*)
                FROM (
                    SELECT FROM roost.messages AS message
                    WHERE message.conversation_id = v_id AND message.seq > v_step.to_seq
                    LIMIT least(v_most_messages, 10000) + 1
                ) AS missed
            ) > v_most_messages
        THEN
            v_texts := array_append(
                v_texts,
                json_build_object(
                    'scope', v_step.scope,
                    'kind', 'message',
                    'op', 'remove_up_to',
                    'seq', v_step.last_offset
                )::text
            );
            v_room := v_room - 1;
            v_step.from_seq := v_step.last_offset + 1;
            v_step.to_seq := v_step.last_offset;
            v_step.held_count := 0;
        ELSIF v_step.from_seq <= v_step.visible_after THEN
            v_texts := array_append(
                v_texts,
                json_build_object(
                    'scope', v_step.scope,
                    'kind', 'message',
                    'op', 'remove_up_to',
                    'seq', v_step.visible_after
                )::text
            );
            v_room := v_room - 1;
            v_step.from_seq := v_step.visible_after + 1;
            v_step.to_seq := greatest(v_step.to_seq, v_step.visible_after);
        END IF;

        -- What has changed of what the device has.
        IF v_step.position < v_step.last_offset THEN
            v_asked := greatest(v_room, 1);
            v_bytes := greatest(v_bytes, 1);

            SELECT
                count(*),
                max(change.change_offset),
                coalesce(sum(change.size), 0),
                string_agg(
                    json_build_object(
                        'scope', v_step.scope,
                        'kind', change.kind,
                        'op', change.op,
                        'id', change.id,
                        'offset', change.change_offset,
                        'value', change.value
                    )::text,
                    ',' ORDER BY change.change_offset, change.kind, change.id
                )
            INTO v_count, v_most, v_size, v_text
            FROM roost.read_scope_changes(
                v_step.scope, v_step.position, v_step.from_seq, v_step.to_seq, v_asked,
                v_bytes
            ) AS change;

            v_step.position := CASE
                WHEN v_count < v_asked AND v_size < v_bytes OR v_step.stage = 1
                    THEN v_step.last_offset
                WHEN v_step.position = -1
                    THEN greatest(v_most, roost.removed_offset(v_step.scope))
                ELSE v_most
            END;

            IF v_count > 0 THEN
                v_texts := array_append(v_texts, v_text);
            END IF;

            v_given_count := v_count;
            v_room := v_room - v_count;
            v_bytes := v_bytes - v_size;
        END IF;

        -- These have nothing that is older or new.
        IF v_step.scope NOT LIKE 'conversation:%' THEN
            v_step.to_seq := v_step.position;
        END IF;

        -- What is new. At least one thing of a scope comes with it, so that a page always leads on.
        v_asked := greatest(v_room, CASE WHEN v_given_count = 0 THEN 1 ELSE 0 END);

        IF v_step.position = v_step.last_offset
            AND v_step.to_seq < v_step.last_offset
            AND v_asked > 0
            AND v_bytes > 0
        THEN
            SELECT
                count(*),
                max(change.seq),
                coalesce(sum(change.size), 0),
                string_agg(
                    json_build_object(
                        'scope', v_step.scope,
                        'kind', change.kind,
                        'op', change.op,
                        'id', change.id,
                        'offset', change.change_offset,
                        'value', change.value
                    )::text,
                    ',' ORDER BY change.seq
                )
            INTO v_count, v_most, v_size, v_text
            FROM roost.read_scope_messages(
                v_id, v_step.to_seq, v_step.last_offset + 1, false, v_asked, v_bytes
            ) AS change;

            v_step.to_seq := CASE
                WHEN v_count < v_asked AND v_size < v_bytes THEN v_step.last_offset ELSE v_most
            END;
            v_step.held_count := v_step.held_count + v_count;

            IF v_count > 0 THEN
                v_texts := array_append(v_texts, v_text);
            END IF;

            v_given_count := v_given_count + v_count;
            v_room := v_room - v_count;
            v_bytes := v_bytes - v_size;
        END IF;

        v_is_up_to_date := v_step.position = v_step.last_offset
            AND v_step.to_seq = v_step.last_offset;

        -- What is older.
        v_asked := least(
            greatest(v_room, CASE WHEN v_given_count = 0 THEN 1 ELSE 0 END),
            CASE WHEN v_step.stage = 3 THEN v_most_messages ELSE least(c_first, v_most_messages) END
            - v_step.held_count
        );

        IF v_is_up_to_date
            AND v_step.from_seq > v_step.visible_after + 1
            AND v_asked > 0
            AND v_bytes > 0
        THEN
            SELECT
                count(*),
                min(change.seq),
                coalesce(sum(change.size), 0),
                string_agg(
                    json_build_object(
                        'scope', v_step.scope,
                        'kind', change.kind,
                        'op', change.op,
                        'id', change.id,
                        'offset', change.change_offset,
                        'value', change.value
                    )::text,
                    ',' ORDER BY change.seq
                )
            INTO v_count, v_least, v_size, v_text
            FROM roost.read_scope_messages(
                v_id, v_step.visible_after, v_step.from_seq, true, v_asked, v_bytes
            ) AS change;

            v_step.from_seq := CASE
                WHEN v_count < v_asked AND v_size < v_bytes THEN v_step.visible_after + 1
                ELSE v_least
            END;
            v_step.held_count := v_step.held_count + v_count;

            IF v_count > 0 THEN
                v_texts := array_append(v_texts, v_text);
            END IF;

            v_room := v_room - v_count;
            v_bytes := v_bytes - v_size;
        END IF;

        -- From here on the device may listen.
        IF v_is_up_to_date THEN
            v_texts := array_append(
                v_texts,
                json_build_object(
                    'scope', v_step.scope,
                    'kind', 'scope',
                    'op', 'put',
                    'offset', v_step.position,
                    'value', json_build_object(
                        'from_seq', v_step.from_seq,
                        'is_complete', v_step.from_seq <= v_step.visible_after + 1
                    )
                )::text
            );
            v_room := v_room - 1;

            IF v_step.from_seq <= v_step.visible_after + 1
                OR v_step.held_count >= v_most_messages
            THEN
                v_open := v_open - 1;
            END IF;
        END IF;

        v_states := array_append(
            v_states,
            jsonb_build_array(
                v_step.position, v_step.from_seq, v_step.to_seq, v_step.held_count,
                v_is_anew::integer
            )
        );
    END LOOP;

    v_page.changes := ('[' || array_to_string(v_texts, ',') || ']')::json;
    v_page.has_more := v_open > 0;
    v_page.progress := json_build_object(
        'done', v_total - least(v_open, v_total), 'total', v_total
    );
    v_page.cursor := roost.write_sync_cursor(
        v_given || coalesce(
            (
                SELECT jsonb_object_agg(moved.scope, moved.state)
                FROM unnest(v_moved, v_states) AS moved (scope, state)
            ),
            '{}'
        ),
        v_page.progress
    );

    RETURN v_page;
END;
$$;

ALTER FUNCTION api.pull_changes(integer, text, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.pull_changes(integer, text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.pull_changes(integer, text, jsonb) TO roost_user;

COMMENT ON FUNCTION api.pull_changes(integer, text, jsonb) IS
'Answers what the calling device lacks of all that its person may read: the account and devices in
the scope user:<id>, conversations with their participants and messages in conversation:<id>,
workspaces with their members in workspace:<id>. Each thing comes once, as it is now.
docs/reference/sync.md says how to take a page in.

Callers: signed-in people, on a device.
Arguments: limit, 1 to 1000: about so many changes make a page. cursor, of the page before; without
one it begins at what ack_changes has acknowledged. filter, {"conversations": [ids], "workspaces":
[ids], "messages": n}: of conversations these alone, and of workspaces, at most 1,000; the newest n
messages of each alone, at most 10,000, of which a larger n later brings more.
Returns: an object: changes, a list of {scope, kind, op, id, offset, value}; cursor, for the next
page and for ack_changes; has_more; progress, {"done", "total"} in scopes. A page ends early once it
has 4 MiB.
Errors: RO101, RO302 (limit, filter, a cursor that is none or another device''s, too much without an
acknowledgement, or a session without a device), RO403 (the log began anew).
Example: POST /rpc/pull_changes {"limit": 500}';
