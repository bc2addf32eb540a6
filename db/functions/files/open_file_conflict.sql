CREATE OR REPLACE FUNCTION roost.open_file_conflict(
    p_operation roost.device_operation,
    p_base jsonb,
    p_mine jsonb,
    p_theirs jsonb,
    p_hunks jsonb,
    p_is_open boolean
)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_operation roost.device_operation := p_operation;
BEGIN
    IF roost.current_device_id() IS NULL THEN
        RETURN NULL;
    END IF;

    v_operation.args := jsonb_strip_nulls(v_operation.args) - 'metadata';

    RETURN roost.open_conflict(
        v_operation,
        'file',
        p_base,
        p_mine,
        p_theirs,
        -- What is too large to be shown is to be compared by its versions.
        CASE WHEN roost.json_fits(p_hunks, 524288) THEN p_hunks END,
        p_is_open
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.open_file_conflict(
    roost.device_operation, jsonb, jsonb, jsonb, jsonb, boolean
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.open_file_conflict(
    roost.device_operation, jsonb, jsonb, jsonb, jsonb, boolean
) TO roost_api;

COMMENT ON FUNCTION roost.open_file_conflict(
    roost.device_operation, jsonb, jsonb, jsonb, jsonb, boolean
) IS
'Records a conflict about a file, and answers its id; NULL where the caller has no device, for
which nobody could decide it. roost.publish_conflict is to be called at the end of the
transaction.';
