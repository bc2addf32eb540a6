-- Everything is looked at, and what is not known is refused: a misspelt key would be passed over in
-- silence, and what somebody else has written with it.
CREATE OR REPLACE FUNCTION roost.read_operation(p_sent jsonb)
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
        'leave_conversation', 'update_me'
    ];
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
    ELSIF p_sent - ARRAY[
        'id', 'kind', 'args', 'base_version', 'base', 'policy', 'depends_on', 'queued_at'
    ] <> '{}' THEN
        v_problem := 'The operation has a key that is not known.';
        v_cure := 'Send id, kind, args, base_version, base, policy, depends_on and queued_at.';
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
        AND coalesce(p_sent ->> 'depends_on', '[]') ~ '^\[([1-9][0-9]{0,17}(, )?)*\]$'
    ) THEN
        v_problem := 'depends_on is no list of ids.';
        v_cure := 'Send the ids of operations that the device has made before.';
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

    v_operation.id := (p_sent ->> 'id')::bigint;
    v_operation.kind := p_sent ->> 'kind';
    v_operation.args := p_sent -> 'args';
    v_operation.target_id := CASE
        WHEN v_operation.kind IN ('send_message', 'create_conversation')
            THEN (v_operation.args ->> 'id')::uuid
        WHEN v_operation.kind = 'update_me' THEN roost.current_user_id()
        WHEN 'message_id' = ANY (v_known) THEN (v_operation.args ->> 'message_id')::uuid
        ELSE (v_operation.args ->> 'conversation_id')::uuid
    END;
    v_operation.base_version := coalesce(
        (p_sent ->> 'base_version')::bigint, (v_operation.args ->> 'based_on_version')::bigint
    );
    v_operation.base := nullif(p_sent -> 'base', 'null');
    v_operation.policy := coalesce(
        (p_sent ->> 'policy')::roost.conflict_policy,
        CASE
            WHEN v_operation.kind IN ('edit_message', 'update_conversation', 'update_me')
                THEN 'merge'::roost.conflict_policy
            -- A deletion does not beat an edit.
            WHEN v_operation.kind = 'delete_message' THEN 'server_wins'
            ELSE 'last_write_wins'
        END
    );
    v_operation.depends_on := ARRAY(
        SELECT listed.id::bigint
        FROM jsonb_array_elements_text(
            coalesce(nullif(p_sent -> 'depends_on', 'null'), '[]')
        ) AS listed (id)
    );
    v_operation.queued_at := (p_sent ->> 'queued_at')::timestamptz;

    RETURN v_operation;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_operation(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_operation(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.read_operation(jsonb) IS
'An operation as it was sent, with what it leaves out. Raises RO302, or an error of class 22, where
it is none.';
