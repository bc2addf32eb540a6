-- One conversation after another, until there was enough to do. SKIP LOCKED: two servers at the
-- same moment take different ones. One in which it fails, also because somebody holds one of its
-- rows for long, is left to the next round and keeps no other waiting; after some time of that the
-- rest is left as well, and keeps no other job waiting.
CREATE OR REPLACE FUNCTION roost.purge_conversations(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    c_lost CONSTANT interval := '3 seconds'::interval;
    v_lost interval := '0'::interval;
    v_begun timestamptz;
    v_id uuid;
    v_is_marked boolean;
    v_done bigint := 0;
    v_passed uuid[] := ARRAY[]::uuid[];
BEGIN
    WHILE v_done < p_limit AND v_lost < c_lost LOOP
        SELECT conversation.id
        INTO v_id
        FROM roost.conversations AS conversation
        WHERE conversation.deleted_at IS NOT NULL
            AND conversation.purged_at IS NOT NULL
            AND conversation.id <> ALL (v_passed)
        ORDER BY conversation.purged_at
        LIMIT 1
        FOR UPDATE SKIP LOCKED;

        v_is_marked := FOUND;

        IF NOT v_is_marked THEN
            SELECT conversation.id
            INTO v_id
            FROM roost.conversations AS conversation
            WHERE conversation.purged_at IS NULL
                AND conversation.deleted_at <= now() - roost.restore_period()
                AND conversation.id <> ALL (v_passed)
            ORDER BY conversation.deleted_at
            LIMIT 1
            FOR UPDATE SKIP LOCKED;

            EXIT WHEN NOT FOUND;
        END IF;

        v_begun := clock_timestamp();

        BEGIN
            IF NOT v_is_marked THEN
                PERFORM roost.mark_purged(v_id);
            END IF;

            v_done := v_done + 1 + roost.erase_conversation(v_id, p_limit);
        EXCEPTION
            WHEN OTHERS THEN
                v_passed := v_passed || v_id;
                v_lost := v_lost + (clock_timestamp() - v_begun);

                RAISE WARNING USING
                    MESSAGE = 'A deleted conversation can''t be erased.',
                    DETAIL = format('Conversation: %s; %s: %s', v_id, SQLSTATE, SQLERRM),
                    HINT = 'Remove what the error tells of; it is tried again.';
        END;
    END LOOP;

    RETURN v_done;
END;
$$;

REVOKE ALL ON FUNCTION roost.purge_conversations(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.purge_conversations(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.purge_conversations(integer) IS
'Erases what is left of conversations that were deleted for good, or 30 days ago, until it has
erased some p_limit messages and events, and answers how many: call it again, each time in a
transaction of its own, until it answers 0. It warns of those in which it failed. The server does
so; without a server, let cron do it.';
