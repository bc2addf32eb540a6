CREATE OR REPLACE FUNCTION roost.open_conflict(
    p_operation roost.device_operation,
    p_target_kind text,
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
    v_id uuid := roost.uuid_v7();
BEGIN
    INSERT INTO roost.sync_conflicts (
        id, user_id, device_id, operation_id, offline_operation_id, kind, policy, target_kind,
        target_id, args, base, mine, theirs, hunks, state, strategy, resolved_by, resolved_at
    )
    VALUES (
        v_id,
        roost.current_user_id(),
        roost.current_device_id(),
        p_operation.id,
        p_operation.offline_id,
        p_operation.kind,
        p_operation.policy,
        p_target_kind,
        p_operation.target_id,
        p_operation.args,
        p_base,
        p_mine,
        p_theirs,
        coalesce(p_hunks, '[]'),
        CASE WHEN p_is_open THEN 'open'::roost.conflict_state ELSE 'resolved' END,
        CASE WHEN NOT p_is_open THEN 'mine'::roost.conflict_strategy END,
        CASE WHEN NOT p_is_open THEN roost.current_device_id() END,
        CASE WHEN NOT p_is_open THEN now() END
    );

    RETURN v_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.open_conflict(
    roost.device_operation, text, jsonb, jsonb, jsonb, jsonb, boolean
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.open_conflict(
    roost.device_operation, text, jsonb, jsonb, jsonb, jsonb, boolean
) TO roost_api;

COMMENT ON FUNCTION roost.open_conflict(
    roost.device_operation, text, jsonb, jsonb, jsonb, jsonb, boolean
) IS
'Records a conflict of the caller''s, to be decided or decided by its policy, and answers its id.
roost.publish_conflict is to be called with it at the end of the transaction.';
