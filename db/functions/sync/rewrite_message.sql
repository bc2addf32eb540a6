CREATE OR REPLACE FUNCTION roost.rewrite_message(
    p_message_id uuid,
    p_content jsonb,
    p_metadata jsonb
)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stored roost.messages := roost.lock_message(p_message_id, 'message.edit_own');
BEGIN
    IF v_stored.deleted_at IS NOT NULL THEN
        PERFORM api.restore_message(p_message_id);
        v_stored := roost.require_message(p_message_id);
    END IF;

    RETURN to_jsonb(
        api.edit_message(p_message_id, p_content, v_stored.version, p_metadata)
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.rewrite_message(uuid, jsonb, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.rewrite_message(uuid, jsonb, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.rewrite_message(uuid, jsonb, jsonb) IS
'Edits a message whatever version it has, and brings it back before that where its author has
deleted it. Raises as edit_message and restore_message do.';
