-- For the conversations in which nobody types any more; the others are cleared by set_typing. There
-- is no index on expires_at, which would have to be written with every key stroke: the table has
-- who typed since the last time.
CREATE OR REPLACE FUNCTION roost.expire_typing(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM roost.typing_indicators AS indicator
    USING (
        SELECT expired.conversation_id, expired.user_id, expired.device_id
        FROM roost.typing_indicators AS expired
        WHERE expired.expires_at <= now()
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ) AS forgotten
    WHERE indicator.conversation_id = forgotten.conversation_id
        AND indicator.user_id = forgotten.user_id
        AND indicator.device_id = forgotten.device_id;

    RETURN (
        SELECT count(*)
        FROM (
            SELECT
            FROM roost.typing_indicators AS expired
            WHERE expired.expires_at <= now()
            LIMIT p_limit
        ) AS left_over
        -- What others hold at this moment is not for now.
        WHERE FOUND
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.expire_typing(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.expire_typing(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.expire_typing(integer) IS
'Removes who no longer types, p_limit rows at most, and answers 0 when none is left, else how many
there are for the next call, up to p_limit.';
