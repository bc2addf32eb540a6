-- Everything is looked at, and what is not known is refused: a misspelt key would be passed over in
-- silence, and what somebody else has written with it.
-- One that is pushed has a number and names numbers, one that is enqueued a UUID, or none yet.
CREATE OR REPLACE FUNCTION roost.read_operation(p_sent jsonb, p_is_offline boolean)
RETURNS roost.device_operation
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 524288;
    c_kinds CONSTANT text[] := ARRAY[
        'send_message', 'edit_message', 'delete_message', 'restore_message', 'add_reaction',
        'remove_reaction', 'mark_read', 'create_conversation', 'update_conversation',
        'archive_conversation', 'unarchive_conversation', 'add_participant', 'remove_participant',
        'leave_conversation', 'update_me', 'create_workspace', 'update_workspace',
        'delete_workspace', 'touch_workspace', 'add_workspace_member', 'update_workspace_member',
        'remove_workspace_member', 'leave_workspace', 'put_file_state', 'make_folder', 'move_file',
        'copy_file', 'delete_file', 'restore_file'
    ];
    c_uuid CONSTANT text := '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
    v_keys text[] := ARRAY[
        'id', 'kind', 'args', 'base_version', 'base', 'policy', 'depends_on', 'queued_at'
    ] || CASE WHEN p_is_offline THEN ARRAY['max_retries'] ELSE '{}'::text[] END;
    v_operation roost.device_operation;
    v_known text[];
    v_problem text;
    v_cure text;
BEGIN
    IF NOT roost.json_fits(p_sent, c_most_bytes) THEN
        v_problem := 'The operation is too large.';
        v_cure := 'Send at most 512 KiB, in which numbers count with all their digits.';
    ELSIF (p_sent ->> 'kind' = ANY (c_kinds)) IS NOT TRUE THEN
        v_problem := 'There is no such kind of operation.';
        v_cure := format('Send one of: %s.', array_to_string(c_kinds, ', '));
    ELSIF p_sent - v_keys <> '{}' THEN
        v_problem := 'The operation has a key that is not known.';
        v_cure := format('Send of these: %s.', array_to_string(v_keys, ', '));
    ELSIF p_is_offline AND coalesce(p_sent ->> 'id', roost.uuid_v7()::text) !~* concat(
        '^', c_uuid, '$'
    ) THEN
        v_problem := 'The id is no UUID.';
        v_cure := 'Make a new one, at random or ordered by time, or send none.';
    ELSIF coalesce(p_sent ->> 'max_retries', '0') !~ '^([0-9]|1[0-9]|20)$' THEN
        v_problem := 'max_retries is no number of retries.';
        v_cure := 'Send a whole number from 0 to 20.';
    ELSIF jsonb_typeof(p_sent -> 'args') IS DISTINCT FROM 'object' THEN
        v_problem := 'The operation has no arguments.';
        v_cure := 'Send args, an object with the arguments of the function.';
    ELSIF coalesce(p_sent ->> 'base_version', '1') !~ '^[1-9][0-9]{0,17}$' THEN
        v_problem := 'base_version is no version.';
        v_cure := 'Send the version of the message that was changed, a whole number from 1.';
    ELSIF jsonb_typeof(coalesce(nullif(p_sent -> 'base', 'null'), '{}')) <> 'object' THEN
        v_problem := 'base is no object.';
        v_cure := 'Send the fields as they were on the device before they were changed.';
    ELSIF coalesce(p_sent ->> 'policy', 'merge') NOT IN (
        'last_write_wins', 'server_wins', 'client_wins', 'merge', 'manual'
    ) THEN
        v_problem := 'There is no such policy.';
        v_cure := 'Send last_write_wins, server_wins, client_wins, merge or manual.';
    ELSIF NOT (
        jsonb_typeof(coalesce(nullif(p_sent -> 'depends_on', 'null'), '[]')) = 'array'
        AND coalesce(p_sent ->> 'depends_on', '[]') ~* format(
            '^\[(%s(, )?)*\]$',
            CASE WHEN p_is_offline THEN format('"%s"', c_uuid) ELSE '[1-9][0-9]{0,17}' END
        )
        AND (
            NOT p_is_offline
            OR jsonb_array_length(coalesce(nullif(p_sent -> 'depends_on', 'null'), '[]')) <= 1000
        )
    ) THEN
        v_problem := 'depends_on is no list of ids.';
        v_cure := 'Send the ids of at most 1,000 operations that the device has made before.';
    END IF;

    IF v_problem IS NULL THEN
        -- As the function is now.
        SELECT called.proargnames
        INTO STRICT v_known
        FROM pg_catalog.pg_proc AS called
        WHERE called.pronamespace = 'api'::regnamespace AND called.proname = p_sent ->> 'kind';

        IF (p_sent -> 'args') - v_known <> '{}' THEN
            v_problem := 'The function has no such argument.';
            v_cure := format('Send of these: %s.', array_to_string(v_known, ', '));
        END IF;
    END IF;

    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = v_problem,
            DETAIL = format('Operation: %s', p_sent -> 'id'),
            HINT = v_cure;
    END IF;

    IF p_is_offline THEN
        v_operation.offline_id := coalesce((p_sent ->> 'id')::uuid, roost.uuid_v7());
    ELSE
        v_operation.id := (p_sent ->> 'id')::bigint;
        v_operation.depends_on := ARRAY(
            SELECT listed.id::bigint
            FROM jsonb_array_elements_text(
                coalesce(nullif(p_sent -> 'depends_on', 'null'), '[]')
            ) AS listed (id)
        );
    END IF;

    v_operation.kind := p_sent ->> 'kind';
    v_operation.args := p_sent -> 'args';
    v_operation.target_id := CASE
        WHEN v_operation.kind IN ('send_message', 'create_conversation', 'create_workspace')
            THEN (v_operation.args ->> 'id')::uuid
        WHEN v_operation.kind = 'update_me' THEN roost.current_user_id()
        WHEN v_operation.kind = 'put_file_state' THEN (v_operation.args ->> 'workspace_id')::uuid
        WHEN 'message_id' = ANY (v_known) THEN (v_operation.args ->> 'message_id')::uuid
        WHEN 'file_id' = ANY (v_known) THEN (v_operation.args ->> 'file_id')::uuid
        WHEN v_operation.kind IN ('create_conversation', 'update_conversation')
            THEN (v_operation.args ->> 'conversation_id')::uuid
        WHEN 'workspace_id' = ANY (v_known) THEN (v_operation.args ->> 'workspace_id')::uuid
        ELSE (v_operation.args ->> 'conversation_id')::uuid
    END;
    v_operation.base_version := coalesce(
        (p_sent ->> 'base_version')::bigint, (v_operation.args ->> 'based_on_version')::bigint
    );
    v_operation.base := nullif(p_sent -> 'base', 'null');
    v_operation.policy := coalesce(
        (p_sent ->> 'policy')::roost.conflict_policy,
        CASE
            WHEN v_operation.kind IN (
                'edit_message', 'update_conversation', 'update_workspace', 'update_me',
                'put_file_state'
            )
                THEN 'merge'::roost.conflict_policy
            -- A deletion does not beat an edit.
            WHEN v_operation.kind = 'delete_message' THEN 'server_wins'
            ELSE 'last_write_wins'
        END
    );
    v_operation.queued_at := (p_sent ->> 'queued_at')::timestamptz;

    RETURN v_operation;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_operation(jsonb, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_operation(jsonb, boolean) TO roost_api;

COMMENT ON FUNCTION roost.read_operation(jsonb, boolean) IS
'An operation as it was sent, with what it leaves out; of one that is enqueued all but what it
depends on. Raises RO302, or an error of class 22, where
it is none.';
