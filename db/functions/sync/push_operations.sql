-- One batch of a device at a time: the row of sync_devices is locked first and to the end, so that
-- of two with the same operations the second finds what the first has done. What several operations
-- lock after that is in the order in which the device did it, so two devices can come to wait for
-- each other: one of the two is then rolled back whole, and run again by the server. That is rare,
-- since conversations and workspaces are locked beforehand, in the order of their ids.
CREATE OR REPLACE FUNCTION api.push_operations(operations jsonb)
RETURNS SETOF roost.pushed_operation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Shortened below where a call has less time, and put back at the end.
SET lock_timeout = '3s'
AS $$
DECLARE
    c_most CONSTANT integer := 1000;
    -- Well below the time that a call has: what has been applied stays applied, and what runs when
    -- the time is over has run for most of it.
    c_patience CONSTANT interval := coalesce(
        least(
            nullif(current_setting('statement_timeout')::interval, interval '0') * 0.3,
            '3 seconds'::interval
        ),
        '3 seconds'::interval
    );
    v_until CONSTANT timestamptz := statement_timestamp() + c_patience;
    -- What one of them that fails has done once more.
    c_most_together CONSTANT integer := 100;
    v_user_id uuid := roost.require_user();
    v_device_id uuid;
    v_last_id bigint;
    v_sent jsonb [];
    v_place integer := 1;
    v_count integer;
    v_id bigint;
    v_answer roost.pushed_operation;
    v_answers roost.pushed_operation [];
    v_opened uuid[] := '{}'::uuid[];
BEGIN
    IF (
        jsonb_typeof(push_operations.operations) = 'array'
        AND jsonb_array_length(push_operations.operations) <= c_most
        AND (
            SELECT coalesce(
                bool_and(
                    coalesce(
                        jsonb_typeof(sent.operation -> 'id') = 'number'
                        AND (sent.operation -> 'id')::text ~ '^[1-9][0-9]{0,17}$',
                        false
                    )
                ),
                true
            )
            FROM jsonb_array_elements(push_operations.operations) AS sent (operation)
        )
    ) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'That is no list of operations.',
            DETAIL = format(
                'It is: %s', coalesce(jsonb_typeof(push_operations.operations), 'null')
            ),
            HINT = 'Send a list of at most 1,000 objects {"id", "kind", "args"}; ids are the whole'
                ' numbers that the device has counted, from 1.';
    END IF;

    -- Who waits for somebody else's transaction is not who takes too long.
    PERFORM set_config(
        'lock_timeout', ceil(1000 * extract(EPOCH FROM c_patience))::text, true
    );

    SELECT known.device_id, known.last_operation_id
    INTO STRICT v_device_id, v_last_id
    FROM roost.lock_sync_device() AS known;

    PERFORM roost.lock_targets(push_operations.operations, v_last_id);

    v_sent := ARRAY(
        SELECT sent.operation
        FROM jsonb_array_elements(push_operations.operations)
            WITH ORDINALITY AS sent (operation, place)
        ORDER BY (sent.operation ->> 'id')::bigint, sent.place
    );

    WHILE v_place <= cardinality(v_sent) AND clock_timestamp() <= v_until LOOP
        v_id := (v_sent[v_place] ->> 'id')::bigint;
        v_count := 1;

        IF v_id <= v_last_id THEN
            RETURN NEXT roost.repeat_operation(v_sent[v_place]);
        ELSIF v_id = v_last_id + 1 THEN
            WHILE v_count < c_most_together
                AND (v_sent[v_place + v_count] ->> 'id')::bigint = v_id + v_count
            LOOP
                v_count := v_count + 1;
            END LOOP;

            v_answers := roost.take_operations(
                v_sent[v_place : v_place + v_count - 1], v_until
            );

            RETURN QUERY SELECT answer.* FROM unnest(v_answers) AS answer;

            v_opened := v_opened || ARRAY(
                SELECT answer.conflict_id
                FROM unnest(v_answers) AS answer
                WHERE answer.conflict_id IS NOT NULL
            );
            v_last_id := v_last_id + cardinality(v_answers);
            -- The time was over, one way or the other.
            EXIT WHEN cardinality(v_answers) < v_count
                OR v_answers[v_count].code = '57014';
        ELSE
            v_answer := NULL;
            v_answer.id := v_id;
            v_answer.outcome := 'rejected';
            v_answer.code := 'RO307';
            v_answer.message := 'An operation before it is missing.';
            v_answer.details := format('Missing: %s', v_last_id + 1);
            v_answer.hint := format('Send all from %s on, in order.', v_last_id + 1);

            RETURN NEXT v_answer;
        END IF;

        v_place := v_place + v_count;
    END LOOP;

    UPDATE roost.sync_devices AS known
    SET last_operation_id = v_last_id
    WHERE known.device_id = v_device_id
        AND known.user_id = v_user_id
        AND known.last_operation_id < v_last_id;

    -- At the end, since the inbox comes after conversations in the order of locks.
    PERFORM roost.publish_conflict(
        conflict,
        CASE conflict.state WHEN 'open' THEN 'conflict.opened' ELSE 'conflict.resolved' END
    )
    FROM roost.sync_conflicts AS conflict
    JOIN unnest(v_opened) WITH ORDINALITY AS opened (id, place) ON opened.id = conflict.id
    WHERE conflict.user_id = v_user_id
    ORDER BY opened.place;
END;
$$;

ALTER FUNCTION api.push_operations(jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.push_operations(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.push_operations(jsonb) TO roost_user;

COMMENT ON FUNCTION api.push_operations(jsonb) IS
'Applies what the calling device did while it was offline, in the order of its ids, each operation
once however often it is sent, and each by itself: one that fails is recorded and stops none but
those that depend on it. Everybody hears of what was applied as if it had been called.

Callers: signed-in people, on a device.
Arguments: operations, a list of at most 1,000 objects. id, a whole number that the device counts up
from 1 without gaps. kind, the name of a function: send_message, edit_message, delete_message,
restore_message, add_reaction, remove_reaction, mark_read, create_conversation, update_conversation,
archive_conversation, unarchive_conversation, add_participant, remove_participant,
leave_conversation, update_me, create_workspace, update_workspace, delete_workspace,
touch_workspace, add_workspace_member, update_workspace_member, remove_workspace_member,
leave_workspace, put_file_state, make_folder, move_file, copy_file, delete_file or restore_file.
args, its arguments, an object. base_version, the version of the message that the
device had, or base, an object of what it had; without either nothing is compared. policy, where
somebody else was there first: last_write_wins, server_wins, client_wins, merge or manual.
depends_on, a list of ids that have to be applied. queued_at, when it was done.
Returns: a list: id; outcome, applied, duplicate, conflict, rejected or deferred; of a duplicate
first_outcome; code, message, details and hint as a call would have answered them; conflict_id;
result, what the function has answered, of a duplicate only its ids and numbers. What is not in the
list was not looked at after 3 seconds: send it again.
Errors: RO101, RO302 (no list of operations, or a session without a device).
Example: POST /rpc/push_operations {"operations": [{"id": 1, "kind": "send_message", "args":
{"conversation_id": "<id>", "content": {"text": "hello"}}}]}';
