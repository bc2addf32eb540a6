-- Runs as the owner, since nobody else may write offsets.
CREATE OR REPLACE FUNCTION roost.publish_workspace_member(
    p_workspace_id uuid,
    p_user_id uuid,
    p_event text,
    p_revokes text DEFAULT NULL
)
RETURNS roost.workspace_member
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_topic text := format('workspace:%s', p_workspace_id);
    v_offset bigint := realtime.take_offset(v_topic);
    v_described roost.workspace_member;
BEGIN
    UPDATE roost.workspace_members AS member
    SET change_seq = v_offset
    WHERE member.workspace_id = p_workspace_id AND member.user_id = p_user_id
    RETURNING (roost.describe_workspace_member(member)).* INTO STRICT v_described;

    PERFORM realtime.append(
        v_topic, v_offset, p_event, row_to_json(v_described), p_revokes => p_revokes
    );

    RETURN v_described;
END;
$$;

REVOKE ALL ON FUNCTION roost.publish_workspace_member(uuid, uuid, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.publish_workspace_member(uuid, uuid, text, text) TO roost_api;

COMMENT ON FUNCTION roost.publish_workspace_member(uuid, uuid, text, text) IS
'Tells a workspace of a change of one who is in it, writes the offset of that into their row, and
answers it. To be called under roost.lock_workspace. p_revokes is as for realtime.append.';
