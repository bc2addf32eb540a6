CREATE OR REPLACE FUNCTION roost.keep_numbers(p_result jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p_result IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object(
        'id', p_result -> 'id',
        'conversation_id', p_result -> 'conversation_id',
        'workspace_id', p_result -> 'workspace_id',
        'message_id', p_result -> 'message_id',
        'user_id', p_result -> 'user_id',
        'seq', p_result -> 'seq',
        'version', p_result -> 'version',
        'change_seq', p_result -> 'change_seq',
        'added', p_result -> 'added',
        'role', p_result -> 'role',
        'last_seq', p_result -> 'last_seq',
        'last_read_seq', p_result -> 'last_read_seq',
        'last_delivered_seq', p_result -> 'last_delivered_seq'
    )) END;
$$;

REVOKE ALL ON FUNCTION roost.keep_numbers(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.keep_numbers(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.keep_numbers(jsonb) IS
'Of what a function has answered, ids and numbers: what may be kept when the thing is deleted.';
