-- One place says what a person has in step: another kind of scope is one more branch. Runs as the
-- owner: under the policies each of a person's conversations and workspaces is looked up once more.
-- It reads from the caller's own rows alone; what is in a scope is read under the policies.
CREATE OR REPLACE FUNCTION roost.list_scopes()
RETURNS TABLE (
    topic text,
    last_offset bigint,
    removed_offset bigint,
    visible_after bigint,
    last_activity timestamptz
)
LANGUAGE plpgsql
STABLE
ROWS 50
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- However much of a table is one person's: the next one is another's.
SET enable_seqscan = off
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    RETURN QUERY
    SELECT
        inbox.topic,
        coalesce(counted.last_offset, 0),
        coalesce(counted.removed_offset, 0),
        0::bigint,
        'infinity'::timestamptz
    FROM (SELECT format('user:%s', v_user_id) AS topic) AS inbox
    LEFT JOIN realtime.topics AS counted ON counted.topic = inbox.topic;

    RETURN QUERY
    SELECT
        format('conversation:%s', conversation.id),
        conversation.last_seq,
        conversation.removed_seq,
        greatest(participant.history_after_seq, conversation.expired_seq),
        conversation.last_activity
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    WHERE participant.user_id = v_user_id
        AND participant.left_at IS NULL
        AND NOT participant.suspended;

    RETURN QUERY
    SELECT
        shared.topic,
        coalesce(counted.last_offset, 0),
        coalesce(counted.removed_offset, 0),
        0::bigint,
        shared.last_accessed
    FROM (
        SELECT format('workspace:%s', workspace.id) AS topic, workspace.last_accessed
        FROM roost.workspace_members AS member
        JOIN roost.workspaces AS workspace ON workspace.id = member.workspace_id
        WHERE member.user_id = v_user_id AND member.left_at IS NULL
    ) AS shared
    LEFT JOIN realtime.topics AS counted ON counted.topic = shared.topic;
END;
$$;

REVOKE ALL ON FUNCTION roost.list_scopes() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.list_scopes() TO roost_api;

COMMENT ON FUNCTION roost.list_scopes() IS
'The scopes that the caller may read: offset of the newest event of each, of the newest one that
told of something gone without a trace, and the seq up to which messages are gone or not theirs to
see. Errors: RO101.';
