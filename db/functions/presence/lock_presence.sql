-- In the order of ids, so that two batches don't wait for each other. Devices are locked behind it,
-- and their presence behind these.
CREATE OR REPLACE FUNCTION roost.lock_presence(p_user_ids uuid[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO roost.announced_presence (user_id)
    SELECT account.id
    FROM roost.users AS account
    WHERE account.id = ANY(p_user_ids)
        AND NOT EXISTS (
            SELECT FROM roost.announced_presence AS announced WHERE announced.user_id = account.id
        )
    ORDER BY account.id
    ON CONFLICT ON CONSTRAINT announced_presence_pkey DO NOTHING;

    PERFORM
    FROM roost.announced_presence AS announced
    WHERE announced.user_id = ANY(p_user_ids)
    ORDER BY announced.user_id
    FOR NO KEY UPDATE;
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_presence(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_presence(uuid[]) TO roost_api;

COMMENT ON FUNCTION roost.lock_presence(uuid[]) IS
'To be called before anything is changed that people''s presence is merged from; behind it comes
roost.announce_presence.';
