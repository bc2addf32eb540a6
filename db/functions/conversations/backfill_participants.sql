-- One batch a call. A row that somebody is writing is left to a later call, so that neither waits
-- for the other; find_mentions looks such a name up itself. Who is renamed meanwhile has the new
-- name: of the two that write a row, the second sees what the first wrote.
CREATE OR REPLACE FUNCTION roost.backfill_participants(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_count bigint;
BEGIN
    WITH unnamed AS MATERIALIZED (
        SELECT participant.conversation_id, participant.user_id
        FROM roost.conversation_participants AS participant
        WHERE participant.mention_name IS NULL
        ORDER BY participant.conversation_id, participant.user_id
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    )

    UPDATE roost.conversation_participants AS participant
    SET mention_name = roost.mention_name(account.display_name)
    FROM unnamed
    JOIN roost.users AS account ON account.id = unnamed.user_id
    WHERE participant.conversation_id = unnamed.conversation_id
        AND participant.user_id = unnamed.user_id;

    GET DIAGNOSTICS v_count = ROW_COUNT;

    RETURN v_count;
END;
$$;

REVOKE ALL ON FUNCTION roost.backfill_participants(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.backfill_participants(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.backfill_participants(integer) IS
'Gives participants from before release 0.2.0 the name by which they are mentioned, up to p_limit of
them, and answers how many: call it again, each time in a transaction of its own, until it answers
0.';
