CREATE OR REPLACE FUNCTION roost.settle_deletion(p_operation roost.device_operation)
RETURNS roost.operation_effect
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stored roost.messages := roost.lock_message(
        p_operation.target_id, 'message.delete_own', 'message.delete_any'
    );
    v_is_stale boolean := v_stored.deleted_at IS NULL
        AND v_stored.version <> p_operation.base_version;
    v_effect roost.operation_effect := ROW(NULL, NULL, false, true)::roost.operation_effect;
BEGIN
    IF v_is_stale AND p_operation.policy IN ('server_wins', 'merge') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The message was edited since the version that was deleted: it is kept.',
            DETAIL = row_to_json(roost.describe_message(v_stored))::text,
            HINT = 'Delete the message that details has, based on its version, if need be.';
    END IF;

    IF v_is_stale AND p_operation.policy IN ('client_wins', 'manual') THEN
        v_effect.is_open := p_operation.policy = 'manual';
        v_effect.is_as_sent := NOT v_effect.is_open;
        v_effect.conflict_id := roost.open_conflict(
            p_operation,
            'message',
            roost.read_message_version(v_stored.id, p_operation.base_version),
            NULL,
            -- What somebody else has written is not kept here: it may be deleted, or the caller may
            -- see it no more.
            CASE
                WHEN v_stored.user_id = roost.current_user_id()
                    THEN jsonb_build_object(
                        'content', v_stored.content, 'metadata', v_stored.metadata
                    )
                ELSE jsonb_build_object('version', v_stored.version)
            END,
            NULL,
            v_effect.is_open
        );
    END IF;

    IF NOT v_effect.is_open THEN
        v_effect.result := roost.apply_operation(p_operation.kind, p_operation.args);
    END IF;

    RETURN v_effect;
END;
$$;

REVOKE ALL ON FUNCTION roost.settle_deletion(roost.device_operation) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.settle_deletion(roost.device_operation) TO roost_api;

COMMENT ON FUNCTION roost.settle_deletion(roost.device_operation) IS
'Deletes a message, unless it was edited since the version that the deletion is based on: then the
edit is kept, or what the policy of the operation says is done.';
