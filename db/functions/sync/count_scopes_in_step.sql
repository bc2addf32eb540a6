-- What roost.plan_sync would find nothing to do for, by the same rules: a device of which all is in
-- step, as most are that ask, needs no list of it. Runs as the owner, as roost.list_scopes does,
-- and reads from the caller's own rows alone.
CREATE OR REPLACE FUNCTION roost.count_scopes_in_step()
RETURNS bigint
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- However much of a table is one person's: the next one is another's.
SET enable_seqscan = off
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_device_id uuid := roost.current_device_id();
    v_epoch text := realtime.get_epoch();
    v_kept bigint;
    v_readable bigint;
    v_in_step bigint;
BEGIN
    -- These are few, and where something has changed, often they tell.
    SELECT
        count(*),
        count(*) FILTER (
            WHERE kept.epoch = v_epoch
                AND kept.position = coalesce(counted.last_offset, 0)
                AND kept.to_seq = coalesce(counted.last_offset, 0)
                AND kept.from_seq = 1
        )
    INTO v_readable, v_in_step
    FROM (
        SELECT format('user:%s', v_user_id) AS topic
        UNION ALL
        SELECT format('workspace:%s', member.workspace_id)
        FROM roost.workspace_members AS member
        WHERE member.user_id = v_user_id AND member.left_at IS NULL
    ) AS shared
    LEFT JOIN realtime.topics AS counted ON counted.topic = shared.topic
    LEFT JOIN roost.sync_scopes AS kept
        ON kept.device_id = v_device_id AND kept.scope = shared.topic;

    IF v_in_step < v_readable THEN
        RETURN NULL;
    END IF;

    SELECT v_readable + count(*), v_in_step + count(kept.scope)
    INTO v_readable, v_in_step
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    LEFT JOIN roost.sync_scopes AS kept
        ON kept.device_id = v_device_id
        AND kept.scope = 'conversation:' || conversation.id::text
        AND kept.epoch = v_epoch
        AND kept.position = conversation.last_seq
        AND kept.to_seq = conversation.last_seq
        AND kept.from_seq
        = greatest(participant.history_after_seq, conversation.expired_seq) + 1
    WHERE participant.user_id = v_user_id
        AND participant.left_at IS NULL
        AND NOT participant.suspended;

    v_kept := (
        SELECT count(*) FROM roost.sync_scopes AS stored WHERE stored.device_id = v_device_id
    );

    -- What is kept beyond that is of what the person may not read any more.
    RETURN CASE WHEN v_in_step = v_readable AND v_kept = v_readable THEN v_readable END;
END;
$$;

REVOKE ALL ON FUNCTION roost.count_scopes_in_step() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.count_scopes_in_step() TO roost_api;

COMMENT ON FUNCTION roost.count_scopes_in_step() IS
'How many scopes the caller may read, where the calling device has acknowledged all of all of them
and nothing beyond; else NULL. Errors: RO101.';
