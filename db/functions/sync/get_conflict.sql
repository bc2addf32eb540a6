CREATE OR REPLACE FUNCTION api.get_conflict(conflict_id uuid)
RETURNS roost.sync_conflict
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN roost.describe_conflict(roost.require_conflict(get_conflict.conflict_id), true);
END;
$$;

ALTER FUNCTION api.get_conflict(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_conflict(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_conflict(uuid) TO roost_user;

COMMENT ON FUNCTION api.get_conflict(uuid) IS
'Reads a conflict: what an operation was based on, what it made of it, and what it met.

Callers: the person whose operation it was.
Arguments: conflict_id.
Returns: an object: id, device_id and operation_id, kind and policy of the operation, target_kind
(message, conversation or account) and target_id; base, mine and theirs, the fields that it was to
change, null where unknown or deleted; hunks, where they can''t be merged, a list of path, base,
mine and theirs, for text also lines; state, open or resolved; strategy, resolution, resolved_by,
a device, created_at and resolved_at.
Errors: RO101, RO201 (no such conflict).
Example: POST /rpc/get_conflict {"conflict_id": "<id>"}';
