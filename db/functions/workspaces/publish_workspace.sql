-- Runs as the owner, since nobody else may write offsets.
CREATE OR REPLACE FUNCTION roost.publish_workspace(
    p_workspace_id uuid,
    p_event text,
    p_revokes text DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_topic text := format('workspace:%s', p_workspace_id);
    v_offset bigint := realtime.take_offset(v_topic);
    v_workspace roost.workspaces;
BEGIN
    UPDATE roost.workspaces AS workspace
    SET change_seq = v_offset
    WHERE workspace.id = p_workspace_id
    RETURNING workspace.* INTO STRICT v_workspace;

    PERFORM realtime.append(
        v_topic,
        v_offset,
        p_event,
        row_to_json(roost.describe_shared_workspace(v_workspace)),
        p_revokes => p_revokes
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.publish_workspace(uuid, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.publish_workspace(uuid, text, text) TO roost_api;

COMMENT ON FUNCTION roost.publish_workspace(uuid, text, text) IS
'Tells a workspace of a change of itself, and writes the offset of that into its row. To be called
under roost.lock_workspace. p_revokes is as for realtime.append.';
