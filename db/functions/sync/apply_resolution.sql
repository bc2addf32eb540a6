CREATE OR REPLACE FUNCTION roost.apply_resolution(
    p_conflict roost.sync_conflicts,
    p_strategy roost.conflict_strategy,
    p_content jsonb
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_conflict.target_kind = 'file' THEN
        PERFORM roost.resolve_file_conflict(p_conflict, p_strategy, p_content);

        RETURN;
    END IF;

    -- A misspelt field would be passed over in silence, and the conflict be closed all the same.
    IF p_strategy = 'merged'
        AND p_conflict.target_kind <> 'message'
        AND p_content - ARRAY[
            'title', 'workspace_path', 'metadata', 'search_language', 'display_name',
            'preferences', 'security_settings', 'name', 'path', 'settings'
        ] <> '{}'
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The content has a field that is not known.',
            DETAIL = format('content: %s', left(p_content::text, 200)),
            HINT = 'Send the fields as update_conversation, update_workspace and update_me do.';
    END IF;

    IF p_strategy = 'mine' AND p_conflict.kind = 'edit_message' THEN
        PERFORM roost.rewrite_message(
            p_conflict.target_id, p_conflict.mine -> 'content', p_conflict.mine -> 'metadata'
        );
    ELSIF p_strategy = 'mine' THEN
        PERFORM roost.apply_operation(p_conflict.kind, p_conflict.args);
    ELSIF p_strategy = 'merged' AND p_conflict.target_kind = 'message' THEN
        PERFORM roost.rewrite_message(p_conflict.target_id, p_content, NULL);
    ELSIF p_strategy = 'merged' THEN
        PERFORM roost.apply_operation(
            p_conflict.kind,
            p_content || jsonb_build_object(
                CASE p_conflict.target_kind
                    WHEN 'workspace' THEN 'workspace_id' ELSE 'conversation_id'
                END,
                p_conflict.target_id
            )
        );
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.apply_resolution(
    roost.sync_conflicts, roost.conflict_strategy, jsonb
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.apply_resolution(
    roost.sync_conflicts, roost.conflict_strategy, jsonb
) TO roost_api;

COMMENT ON FUNCTION roost.apply_resolution(
    roost.sync_conflicts, roost.conflict_strategy, jsonb
) IS
'Puts in place what a conflict was decided to be: for theirs nothing but that the copy of a file
goes, since that is there. Raises what the function that it calls raises.';
