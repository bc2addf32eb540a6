CREATE OR REPLACE FUNCTION roost.require_conflict(p_conflict_id uuid)
RETURNS roost.sync_conflicts
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_conflict roost.sync_conflicts;
BEGIN
    SELECT conflict.*
    INTO v_conflict
    FROM roost.sync_conflicts AS conflict
    WHERE conflict.id = p_conflict_id AND conflict.user_id = v_user_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'You have no such conflict.',
            DETAIL = format('Conflict: %s', coalesce(p_conflict_id::text, 'null')),
            HINT = 'Send the id of a conflict from list_conflicts.';
    END IF;

    RETURN v_conflict;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_conflict(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_conflict(uuid) TO roost_api;

COMMENT ON FUNCTION roost.require_conflict(uuid) IS
'A conflict of the caller''s. Raises RO101, or RO201 where there is none.';
