-- One conversation after another, until there was enough to do. SKIP LOCKED: two servers at the
-- same moment take different ones.
CREATE OR REPLACE FUNCTION roost.purge_conversations(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_id uuid;
    v_done bigint := 0;
BEGIN
    WHILE v_done < p_limit LOOP
        SELECT conversation.id
        INTO v_id
        FROM roost.conversations AS conversation
        WHERE conversation.deleted_at IS NOT NULL AND conversation.purged_at IS NOT NULL
        ORDER BY conversation.purged_at
        LIMIT 1
        FOR UPDATE SKIP LOCKED;

        IF NOT FOUND THEN
            SELECT conversation.id
            INTO v_id
            FROM roost.conversations AS conversation
            WHERE conversation.purged_at IS NULL
                AND conversation.deleted_at <= now() - roost.restore_period()
            ORDER BY conversation.deleted_at
            LIMIT 1
            FOR UPDATE SKIP LOCKED;

            EXIT WHEN NOT FOUND;

            PERFORM roost.mark_purged(v_id);
        END IF;

        v_done := v_done + 1 + roost.erase_conversation(v_id, p_limit);
    END LOOP;

    RETURN v_done;
END;
$$;

REVOKE ALL ON FUNCTION roost.purge_conversations(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.purge_conversations(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.purge_conversations(integer) IS
'Erases what is left of conversations that were deleted for good, or 30 days ago, until it has
erased some p_limit messages and events, and answers how many: call it again, each time in a
transaction of its own, until it answers 0. The server does so; without a server, let cron do it.';
