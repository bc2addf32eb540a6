-- What the policies do not let the caller lock, as a viewer, is locked when its turn comes.
CREATE OR REPLACE FUNCTION roost.lock_targets(p_operations jsonb, p_last_id bigint)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_uuid CONSTANT text := '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
    v_conversation_ids uuid[];
    v_message_ids uuid[];
    v_workspace_ids uuid[];
    v_file_ids uuid[];
    v_changes_account boolean;
BEGIN
    SELECT
        array_agg(DISTINCT CASE
            WHEN sent.args ->> 'conversation_id' ~* c_uuid
                THEN (sent.args ->> 'conversation_id')::uuid
        END),
        array_agg(DISTINCT CASE
            WHEN sent.args ->> 'message_id' ~* c_uuid THEN (sent.args ->> 'message_id')::uuid
        END),
        array_agg(DISTINCT CASE
            WHEN sent.args ->> 'workspace_id' ~* c_uuid THEN (sent.args ->> 'workspace_id')::uuid
        END),
        array_agg(DISTINCT CASE
            WHEN sent.args ->> 'file_id' ~* c_uuid THEN (sent.args ->> 'file_id')::uuid
        END),
        bool_or(sent.kind = 'update_me')
    INTO v_conversation_ids, v_message_ids, v_workspace_ids, v_file_ids, v_changes_account
    FROM (
        SELECT sent.operation -> 'args' AS args, sent.operation ->> 'kind' AS kind
        FROM jsonb_array_elements(p_operations) AS sent (operation)
        WHERE (sent.operation ->> 'id')::bigint > p_last_id
    ) AS sent;

    IF v_changes_account THEN
        PERFORM FROM roost.users AS account
        WHERE account.id = roost.current_user_id()
        FOR NO KEY UPDATE;
    END IF;

    PERFORM FROM roost.conversations AS conversation
    WHERE conversation.id = ANY (
        v_conversation_ids || ARRAY(
            SELECT message.conversation_id
            FROM roost.messages AS message
            WHERE message.id = ANY (v_message_ids)
        )
    )
    ORDER BY conversation.id
    FOR NO KEY UPDATE;

    PERFORM FROM roost.workspaces AS workspace
    WHERE workspace.id = ANY (
        v_workspace_ids || ARRAY(
            SELECT file.workspace_id
            FROM roost.file_sync_state AS file
            WHERE file.id = ANY (v_file_ids)
        )
    )
    ORDER BY workspace.id
    FOR NO KEY UPDATE;
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_targets(jsonb, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_targets(jsonb, bigint) TO roost_api;

COMMENT ON FUNCTION roost.lock_targets(jsonb, bigint) IS
'Locks what operations behind p_last_id name, the caller''s account, then conversations by id, then
workspaces by id, as far as the caller may: two batches with the same of these can''t wait for each
other.';
