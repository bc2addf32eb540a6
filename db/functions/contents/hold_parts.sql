CREATE OR REPLACE FUNCTION roost.hold_parts(p_parts uuid[])
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_count bigint;
    v_length numeric;
BEGIN
    -- Their chunks stay until the whole has references of its own.
    SELECT count(*), sum(part.length)
    INTO v_count, v_length
    FROM (
        SELECT upload.length
        FROM roost.uploads AS upload
        WHERE upload.id = ANY (p_parts)
            AND upload.user_id = roost.current_user_id()
            AND upload.kind = 'partial'
            AND upload.received = upload.length
            AND upload.expires_at > now()
        ORDER BY upload.id
        FOR NO KEY UPDATE
    ) AS part;

    IF v_count = 0 OR v_count <> cardinality(p_parts) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'These uploads can not be put together.',
            DETAIL = format('Named: %s; complete parts: %s', cardinality(p_parts), v_count),
            HINT = 'Name uploads that were made with Upload-Concat: partial and are complete, each'
                ' once.';
    END IF;

    -- The whole takes over what they have reserved.
    UPDATE roost.uploads AS upload
    SET reserved = 0
    WHERE upload.id = ANY (p_parts);

    RETURN v_length;
END;
$$;

REVOKE ALL ON FUNCTION roost.hold_parts(uuid[]) FROM PUBLIC;

COMMENT ON FUNCTION roost.hold_parts(uuid[]) IS
'Locks the parts of an upload, gives back what they have reserved, and answers how long they are
together. Raises RO302 where one is not complete, or not the caller''s.';
