CREATE OR REPLACE FUNCTION roost.carry_out_operation(p_operation roost.device_operation)
RETURNS roost.operation_effect
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE
        WHEN p_operation.kind = 'edit_message' THEN
            RETURN roost.settle_edit(p_operation);
        WHEN p_operation.kind = 'delete_message' AND p_operation.base_version IS NOT NULL THEN
            RETURN roost.settle_deletion(p_operation);
        WHEN p_operation.kind = 'put_file_state' THEN
            RETURN roost.settle_put(p_operation);
        WHEN p_operation.kind = 'delete_file' AND p_operation.base_version IS NOT NULL THEN
            RETURN ROW(
                roost.apply_operation(
                    p_operation.kind,
                    p_operation.args
                    || jsonb_build_object('base_version', p_operation.base_version)
                ),
                NULL, false, true
            )::roost.operation_effect;
        WHEN p_operation.kind IN ('update_conversation', 'update_workspace', 'update_me')
            AND p_operation.base IS NOT NULL
        THEN
            RETURN roost.settle_fields(p_operation);
        ELSE
            -- What these do is the same in whatever order they come.
            RETURN ROW(
                roost.apply_operation(p_operation.kind, p_operation.args), NULL, false, true
            )::roost.operation_effect;
    END CASE;
END;
$$;

REVOKE ALL ON FUNCTION roost.carry_out_operation(roost.device_operation) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.carry_out_operation(roost.device_operation) TO roost_api;

COMMENT ON FUNCTION roost.carry_out_operation(roost.device_operation) IS
'Applies an operation, or settles it with what others did meanwhile by its policy. Raises RO303 for
what the server wins, RO306 where it builds on an edit that was not applied, and what the function
that it calls raises.';
