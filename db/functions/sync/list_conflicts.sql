CREATE OR REPLACE FUNCTION api.list_conflicts(
    state roost.conflict_state DEFAULT 'open',
    page_size integer DEFAULT 50,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.sync_conflict
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_before_id uuid := coalesce(
        list_conflicts.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'
    );
BEGIN
    PERFORM roost.require_page_size(list_conflicts.page_size);

    -- Those are few among many, and have an index of their own.
    IF list_conflicts.state = 'open' THEN
        RETURN QUERY
        SELECT (roost.describe_conflict(conflict, false)).*
        FROM roost.sync_conflicts AS conflict
        WHERE conflict.user_id = v_user_id
            AND conflict.resolved_at IS NULL
            AND conflict.id < v_before_id
        ORDER BY conflict.id DESC
        LIMIT list_conflicts.page_size;
    ELSE
        RETURN QUERY
        SELECT (roost.describe_conflict(conflict, false)).*
        FROM roost.sync_conflicts AS conflict
        WHERE conflict.user_id = v_user_id
            AND (list_conflicts.state IS NULL OR conflict.resolved_at IS NOT NULL)
            AND conflict.id < v_before_id
        ORDER BY conflict.id DESC
        LIMIT list_conflicts.page_size;
    END IF;
END;
$$;

ALTER FUNCTION api.list_conflicts(roost.conflict_state, integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_conflicts(roost.conflict_state, integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_conflicts(roost.conflict_state, integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_conflicts(roost.conflict_state, integer, uuid) IS
'Lists conflicts of the caller''s operations, on whichever device, newest first.

Callers: signed-in people.
Arguments: state, open, resolved, or null for both. page_size, 1 to 200 rows. before_id, id of the
last row of the page before.
Returns: a list as get_conflict answers it; base, mine, theirs, hunks and resolution are null.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_conflicts {}';
