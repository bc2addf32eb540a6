CREATE OR REPLACE FUNCTION roost.settle_put(p_operation roost.device_operation)
RETURNS roost.operation_effect
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_args jsonb := p_operation.args;
    v_workspace_id uuid := (p_operation.args ->> 'workspace_id')::uuid;
    v_outcome roost.file_outcome;
BEGIN
    PERFORM roost.require_workspace(v_workspace_id, 'editor');

    v_outcome := roost.write_file(
        p_operation,
        v_workspace_id,
        v_args ->> 'path',
        (
            roost.find_put_content(v_workspace_id, v_args ->> 'hash', (v_args ->> 'size')::bigint)
        ).id,
        coalesce(p_operation.base_version, (v_args ->> 'base_version')::bigint),
        (v_args ->> 'modified_at')::timestamptz,
        v_args ->> 'media_type',
        nullif(v_args -> 'metadata', 'null'),
        (v_args ->> 'file_id')::uuid
    );

    RETURN ROW(
        to_jsonb(v_outcome),
        v_outcome.conflict_id,
        v_outcome.outcome = 'conflict' AND v_outcome.conflict_id IS NOT NULL,
        v_outcome.outcome NOT IN ('merged', 'conflict')
    )::roost.operation_effect;
END;
$$;

REVOKE ALL ON FUNCTION roost.settle_put(roost.device_operation) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.settle_put(roost.device_operation) TO roost_api;

COMMENT ON FUNCTION roost.settle_put(roost.device_operation) IS
'Carries out put_file_state as an operation: of a conflict the copy is there, and a person is to
decide. Raises what roost.write_file raises.';
